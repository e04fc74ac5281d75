"""`events/schemas/*.json`: what others may rely on, made from the models.

`python -m pollbridge.schemas` writes them; with `--check` it only says whether they are the models'.

No object forbids further fields: within schema 1 fields are only added, and a reader has to let them pass.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field
from pydantic.json_schema import JsonSchemaMode

from pollbridge.history.heads import LABELS_LIMIT
from pollbridge.model.event import FIRST_SEEN, LOST, PROGRESSED, STATE_CHANGED, UPDATED, JobEvent, webhook_type
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


SCHEMAS: dict[str, tuple[type[BaseModel], JsonSchemaMode, str]] = {
    "job-event": (JobEvent, "serialization", f"The detail of {', '.join(JOB_TYPES)}"),
    "job-watch-requested": (WatchRequest, "validation", "The detail of Job Watch Requested"),
    "webhook-job": (Webhook, "serialization", "The body of a webhook about a job"),
}
"""By file name: the model, whether we write it or read it, and what it describes."""

MOMENT = {"format": "date-time"}

SAYINGS: dict[str, dict[str, dict[str, Any]]] = {
    "JobEvent": {
        "schema": {"description": "The shape of this event. Within one schema fields are only added."},
        "id": {"description": "Receivers de-duplicate by it: a repeated delivery has the same.", "format": "uuid"},
        "version": {"description": "1, 2, 3 … per job: a higher one is newer.", "minimum": 1},
        "vendor": {"description": "The vendor's type."},
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
        "lost": {"description": "The vendor no longer knows the job; the state is the last one it was seen in."},
    },
    "Webhook": {"timestamp": {"description": "The event's observed_at.", **MOMENT}},
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
