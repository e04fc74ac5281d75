"""`events/schemas/*.json`: what others may rely on, made from the models.

`python -m pollbridge.schemas` writes them; with `--check` it only says whether they are the models'.

No object forbids further fields: within schema 1 fields are only added, and a reader has to let them pass.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel
from pydantic.json_schema import JsonSchemaMode

from pollbridge.history.heads import LABELS_LIMIT
from pollbridge.model.event import (
    DISABLED,
    FIRST_SEEN,
    LOST,
    PROGRESSED,
    RECOVERED,
    STATE_CHANGED,
    UNREACHABLE,
    UPDATED,
    DestinationDisabled,
    JobEvent,
    VendorRecovered,
    VendorUnreachable,
    webhook_type,
)
from pollbridge.model.job import Fact
from pollbridge.watches import WatchRequest

FOLDER = Path("events/schemas")
DIALECT = "https://json-schema.org/draft/2020-12/schema"
JOB_TYPES = (STATE_CHANGED, FIRST_SEEN, LOST, UPDATED, PROGRESSED)


class Webhook(Fact):
    """The body of a webhook (Standard Webhooks 1.0.0); `data` is the event as the bus has it."""

    type: Annotated[str, Field(json_schema_extra={"enum": [webhook_type(name) for name in JOB_TYPES]})]
    timestamp: str
    data: JobEvent


class UnreachableWebhook(Fact):
    """That a vendor brings no answers any more."""

    type: Literal["vendor.unreachable"]
    timestamp: str
    data: VendorUnreachable


class RecoveredWebhook(Fact):
    """That it brings answers again."""

    type: Literal["vendor.recovered"]
    timestamp: str
    data: VendorRecovered


class VendorWebhook(RootModel[Annotated[UnreachableWebhook | RecoveredWebhook, Field(discriminator="type")]]):
    """The body of a webhook (Standard Webhooks 1.0.0); `data` is the event as the bus has it."""


class DestinationWebhook(Fact):
    """The body of a webhook (Standard Webhooks 1.0.0); `data` is the event as the bus has it."""

    type: Literal["destination.disabled"]
    timestamp: str
    data: DestinationDisabled


SCHEMAS: dict[str, tuple[type[BaseModel], JsonSchemaMode, str]] = {
    "destination-disabled": (DestinationDisabled, "serialization", f"The detail of {DISABLED}"),
    "job-event": (JobEvent, "serialization", f"The detail of {', '.join(JOB_TYPES)}"),
    "job-watch-requested": (WatchRequest, "validation", "The detail of Job Watch Requested"),
    "vendor-unreachable": (VendorUnreachable, "serialization", f"The detail of {UNREACHABLE}"),
    "vendor-recovered": (VendorRecovered, "serialization", f"The detail of {RECOVERED}"),
    "webhook-destination": (DestinationWebhook, "serialization", "The body of a webhook about a destination"),
    "webhook-job": (Webhook, "serialization", "The body of a webhook about a job"),
    "webhook-vendor": (VendorWebhook, "serialization", "The body of a webhook about a vendor"),
}
"""By file name: the model, whether we write it or read it, and what it describes."""

MOMENT = {"format": "date-time"}

EVENT: dict[str, dict[str, Any]] = {
    "schema": {"description": "The shape of this event. Within one schema fields are only added."},
    "id": {"description": "Receivers de-duplicate by it: a repeated delivery has the same.", "format": "uuid"},
    "vendor": {"description": "The vendor's type."},
}

OUTAGE: dict[str, dict[str, Any]] = {
    **EVENT,
    "version": {"description": "1, 2, 3 … per connection: a higher one is newer.", "minimum": 1},
    "connection": {"description": "The configured vendor; it opens the keys of its jobs."},
    "scope": {"description": "The scope it is about; null when it is the whole connection."},
    "reason": {
        "description": "unreachable: every poll failed; unauthorized: HTTP 401; forbidden: HTTP 403;"
        " no_credentials: the secret is missing or unusable, and the vendor isn't asked."
    },
    "error": {"description": "How the polls failed, in short."},
    "since": {"description": "When the first poll failed.", **MOMENT},
    "observed_at": {"description": "When that was certain.", **MOMENT},
}

DISABLING: dict[str, dict[str, Any]] = {
    **{name: EVENT[name] for name in ("schema", "id")},
    "version": {"description": "1, 2, 3 … per destination: a higher one is newer.", "minimum": 1},
    "destination": {"description": "The configured receiver that is told nothing any more."},
    "reason": {
        "description": "gone: it answered 410; refused: Slack refuses for good what is sent there;"
        " failing: five days of nothing but failure."
    },
    "error": {"description": "How the last attempt failed, in short."},
    "since": {"description": "When the first of the attempts failed that have failed ever since.", **MOMENT},
    "observed_at": {"description": "When the last one did, and it was disabled.", **MOMENT},
}

TIMESTAMP: dict[str, dict[str, Any]] = {"timestamp": {"description": "The event's observed_at.", **MOMENT}}

SAYINGS: dict[str, dict[str, dict[str, Any]]] = {
    "JobEvent": {
        **EVENT,
        "version": {"description": "1, 2, 3 … per job: a higher one is newer.", "minimum": 1},
        "connection": {"description": "The configured vendor; it opens the job key."},
        "reasons": {"description": "Why this is told, strongest first.", "minItems": 1},
        "from": {"description": "Null at first sight."},
        "progress": {"description": "Null where the vendor doesn't count."},
        "error": {"description": "The vendor's words."},
        "message": {"description": "The vendor's words."},
        "observed_at": {"description": "When the answer that showed the change was there.", **MOMENT},
        "last_seen_at": {"description": "Between this and observed_at nobody looked. Null at first sight.", **MOMENT},
        "occurred_at": {"description": "When it happened, in the vendor's words; null if the vendor didn't say so."},
    },
    "Job": {
        "key": {"description": "<connection>/<kind>/<scope>/<id>, each part percent-encoded."},
        "labels": {"description": "What was given when the job was registered."},
    },
    "From": {"vendor_status": {"description": "The vendor's word, verbatim; null when there was none."}},
    "To": {
        "vendor_status": {"description": "The vendor's word, verbatim; null when there is none."},
        "terminal": {"description": "The job has ended. It may still be reopened."},
        "lost": {"description": "The vendor doesn't know the job; the state is the last one it was seen in, if any."},
    },
    "VendorUnreachable": OUTAGE,
    "VendorRecovered": {
        **OUTAGE,
        "observed_at": {"description": "When all that fell due meanwhile had been looked at.", **MOMENT},
        "duration_seconds": {"description": "From since to observed_at.", "minimum": 0},
        "changes": {"description": "What changed while the vendor brought no answers."},
    },
    "Changes": {
        "total": {"description": "How many jobs changed.", "minimum": 0},
        "states": {"description": "How many of them were found in which state."},
        "jobs": {"description": "The keys of the first of them.", "maxItems": 20},
    },
    "DestinationDisabled": DISABLING,
    "Webhook": TIMESTAMP,
    "UnreachableWebhook": TIMESTAMP,
    "RecoveredWebhook": TIMESTAMP,
    "DestinationWebhook": TIMESTAMP,
    "WatchRequest": {
        "key": {"description": "The job key of the job to follow.", "minLength": 1},
        "labels": {"description": "Told with every event of the job; short texts.", "maxProperties": LABELS_LIMIT},
    },
}
"""What the models' types don't tell, by model and field."""


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of that name."""
    model, mode, title = SCHEMAS[name]
    made = model.model_json_schema(by_alias=True, mode=mode)
    for owner, part in ((made["title"], made), *made.get("$defs", {}).items()):
        for field, told in part.get("properties", {}).items():
            told.pop("title", None)
            told.update(SAYINGS.get(owner, {}).get(field, {}))
        if mode == "serialization" and "properties" in part:
            _always_whole(part)
        if "description" in part:
            part["description"] = " ".join(part["description"].split())
    return {"$schema": DIALECT, "$id": f"urn:pollbridge:schema:1:{name}", **made, "title": title}


def _always_whole(part: dict[str, Any]) -> None:
    """What we write has every field, defaults included."""
    part["required"] = list(part["properties"])
    for told in part["properties"].values():
        told.pop("default", None)


def texts() -> Iterator[tuple[str, str]]:
    """Each file's name and content."""
    for name in SCHEMAS:
        yield f"{name}.json", json.dumps(schema(name), ensure_ascii=False, indent=2) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the files below the working directory, or check them."""
    stale = []
    for file, text in texts():
        path = FOLDER / file
        if arguments != ["--check"]:
            path.write_text(text, "utf-8")
        elif not path.is_file() or path.read_text("utf-8") != text:
            stale.append(str(path))
    if stale:
        sys.stderr.write(f"not the models': {', '.join(stale)}; run `python -m pollbridge.schemas`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
