"""What requests are narrowed down by: read strictly, so that a slip is told and not ignored."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from annotated_types import Interval
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BeforeValidator, Field

from pollbridge.api.paging import MOST
from pollbridge.api.shapes import CURSOR_LIMIT, CURSOR_PATTERN, EVENT_PATTERN, KEY_PATTERN
from pollbridge.model.instant import EARLIEST, LATEST
from pollbridge.model.job import State
from pollbridge.model.state import UNSEEN
from pollbridge.vendors import VENDORS

NAME_LIMIT = 40

STATES = (*(state.value for state in State), UNSEEN)


def _state(value: Any) -> Any:
    if value not in STATES:
        raise ValueError(f"is one of {', '.join(STATES)}")
    return value


StateAsked = Annotated[str, BeforeValidator(_state), Field(json_schema_extra={"enum": [*STATES]})]

_AGE = re.compile(r"([0-9]{1,4})([smhd])", re.ASCII)
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
NO_MOMENT = "wants a time such as 2026-06-08T12:00:00Z, or an age such as 2h"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(since: str, now: datetime) -> datetime:
    """What `since` means now. Raises ValueError for what is neither an age nor a moment, in words for people.

    Stricter than the commands: only what the document's format lets through.
    """
    if age := _AGE.fullmatch(since):
        return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
    if not _DATE_TIME.fullmatch(since):
        raise ValueError(NO_MOMENT)
    # RFC 3339 has leap seconds, and fractions as fine as one likes; a moment of ours has neither.
    text = re.sub(r"(\.\d{1,6})\d*", r"\1", since.upper().replace(":60", ":59"))
    try:
        told = datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError:
        told = EARLIEST if since.startswith("0") else LATEST
    except ValueError:
        raise ValueError(NO_MOMENT) from None
    return min(max(told, EARLIEST), LATEST)


def _since(value: Any) -> Any:
    if isinstance(value, str):
        moment(value, LATEST)
    return value


def _whole(value: Any) -> Any:
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,9}", value, re.ASCII):
        raise ValueError("wants a whole number")
    return value


def _flag(value: Any) -> Any:
    if isinstance(value, str) and value not in {"true", "false"}:
        raise ValueError("wants true or false")
    return value


KeyAsked = Annotated[
    str,
    Query(
        description="A job key: `<connection>/<kind>/<scope>/<id>`, each part percent-encoded; and then the whole of"
        " it once more, as every value in a query is.",
        pattern=KEY_PATTERN,
        json_schema_extra={"format": "job-key"},
    ),
]
JobAsked = Annotated[
    str | None,
    Query(
        description="Only events of the job with this key.",
        pattern=KEY_PATTERN,
        json_schema_extra={"format": "job-key"},
    ),
]
CursorAsked = Annotated[
    str | None,
    Query(
        description="Where the page begins: the `next` of the page before it, which was asked for just as this one.",
        pattern=CURSOR_PATTERN,
        max_length=CURSOR_LIMIT,
        json_schema_extra={"format": "cursor"},
    ),
]
Limit = Annotated[int, Interval(ge=1, le=MOST), BeforeValidator(_whole), Query(description="Items of a page, at most.")]
SinceAsked = Annotated[
    str | None,
    BeforeValidator(_since),
    Query(
        description="Only what was seen since: a time, or an age such as `2h` (`s`, `m`, `h`, `d`).",
        json_schema_extra={"format": "moment-or-age"},
    ),
]
ConnectionAsked = Annotated[
    str | None, Query(description="Only this connection of pollbridge.toml.", min_length=1, max_length=NAME_LIMIT)
]
DestinationAsked = Annotated[
    str | None, Query(description="Only to this destination of pollbridge.toml.", min_length=1, max_length=NAME_LIMIT)
]
VendorAsked = Annotated[
    str | None,
    Query(
        description="Only connections to this vendor.",
        pattern=f"^({'|'.join(VENDORS)})$",
        json_schema_extra={"enum": [*VENDORS]},
    ),
]
StatesAsked = Annotated[
    list[StateAsked] | None,
    Query(description="Only in this state; several times for several. `unseen`: the vendor has not answered yet."),
]
FailedAsked = Annotated[
    bool, BeforeValidator(_flag), Query(description="Only what did not arrive: failed, disabled, maybe_sent.")
]
EventAsked = Annotated[str, Path(description="The event's id: the `webhook-id` of a webhook.", pattern=EVENT_PATTERN)]
