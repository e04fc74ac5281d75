"""What the API reads and answers, as the published document describes it. The answers are made by `pollbridge.views`.

Words of ours are texts here, with the known ones named: an answer that tells of another release's history stays one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from pollbridge.history.heads import LABELS_LIMIT
from pollbridge.history.ledger import Status
from pollbridge.model.change import Reason
from pollbridge.model.job import Link, Progress, State
from pollbridge.routing import JOB_TYPES
from pollbridge.watches import LABEL_NAME_LIMIT, LABEL_VALUE_LIMIT

KEYS_LIMIT = 100
"""Jobs that one request registers."""

KEY_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}(/([^/%]|%[0-9A-Fa-f]{2})+){3}$"
CURSOR_LIMIT = 2048
"""Characters. The longest one holds a job key, a moment and a destination, in base64."""

CURSOR_PATTERN = r"^[A-Za-z0-9_-]+$"
EVENT_PATTERN = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


def _known(words: Iterable[str]) -> Any:
    return Field(json_schema_extra={"enum": [str(word) for word in words]})


Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
StateWord = Annotated[str, _known(State)]
EventId = Annotated[str, Field(description="Of the event that told it: the `webhook-id` of a webhook.")]
Key = Annotated[str, Field(description="<connection>/<kind>/<scope>/<id>, each part percent-encoded.")]
Next = Annotated[
    str | None,
    Field(description="The cursor of the next page; null on the last one. A page may be short, even empty, before it."),
]


class Told(BaseModel):
    """Base of what is answered: every field is always there."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class Job(Told):
    """Which job it is."""

    key: Key
    kind: str
    scope: str
    id: str
    name: Annotated[str | None, Field(description="The vendor's; null where it has none.")]
    labels: Annotated[dict[str, str], Field(description="What was given when the job was registered.")]


class JobStanding(Told):
    """A job as it stands: what the vendor said last, and what is known of following it."""

    job: Job
    state: Annotated[StateWord | None, Field(description="Null until the vendor has answered for the job.")]
    vendor_status: Annotated[str | None, Field(description="The vendor's word, verbatim; null when there is none.")]
    terminal: Annotated[bool, Field(description="The job has ended. It may still be reopened.")]
    name: str | None
    progress: Annotated[Progress | None, Field(description="Null where the vendor doesn't count.")]
    links: tuple[Link, ...]
    error: Annotated[str | None, Field(description="The vendor's words.")]
    message: Annotated[str | None, Field(description="The vendor's words.")]
    created_at: Annotated[str | None, Field(description="The vendor's time, as all four are.")]
    started_at: str | None
    updated_at: str | None
    finished_at: str | None
    version: Annotated[int, Field(ge=0, description="Of the last recorded change; 0 before the first.")]
    changed_at: Annotated[Moment, Field(description="When that change was seen, or the job was registered.")]
    watched: Annotated[bool, Field(description="It is being followed.")]
    lost: Annotated[bool, Field(description="The vendor doesn't know the job any more.")]
    failing: Annotated[
        str | None,
        Field(description="The error of the last poll, if three or more in a row failed; null otherwise."),
    ]


class From(Told):
    """Where the job stood before."""

    state: StateWord
    vendor_status: str | None


class To(From):
    """Where the job stood then."""

    terminal: bool
    lost: bool


class Change(Told):
    """A recorded change."""

    version: Annotated[int, Field(ge=1, description="1, 2, 3 … per job.")]
    event_id: EventId
    detail_type: Annotated[str, _known(JOB_TYPES)]
    reasons: Annotated[
        list[Annotated[str, _known(Reason)]], Field(min_length=1, description="Why it was told, strongest first.")
    ]
    from_: Annotated[From | None, Field(alias="from", description="Null at first sight.")]
    to: To
    progress: Progress | None
    links: tuple[Link, ...]
    error: str | None
    observed_at: Annotated[Moment, Field(description="When the answer that showed the change was there.")]
    last_seen_at: Annotated[
        Moment | None, Field(description="Between this and observed_at nobody looked. Null at first sight.")
    ]


class Attempt(Told):
    """One try to deliver."""

    at: Moment
    outcome: Annotated[str, Field(description="What came of it, in a word, such as `delivered` or `HTTP 503`.")]
    code: Annotated[int | None, Field(description="The receiver's status code, if it gave one.")]
    latency_ms: Annotated[int, Field(ge=0)]


class Delivery(Told):
    """What became of an event on its way to one destination."""

    event_id: EventId
    job_key: Annotated[Key | None, Field(description="Null where the event is about no job.")]
    version: Annotated[int, Field(ge=1)]
    destination: str
    status: Annotated[str, _known(Status)]
    attempts: tuple[Attempt, ...]
    next_attempt_at: Annotated[Moment | None, Field(description="Null unless it waits for another attempt.")]


class Jobs(Told):
    """A page of jobs."""

    items: tuple[JobStanding, ...]
    next: Next


class Changes(Told):
    """A page of a job's history."""

    items: tuple[Change, ...]
    next: Next


class Deliveries(Told):
    """A page of deliveries."""

    items: tuple[Delivery, ...]
    next: Next


class Watched(Told):
    """A job that is followed now."""

    key: Annotated[Key, Field(description="The job's key in its one spelling.")]
    new: Annotated[bool, Field(description="It was not followed before.")]


class Registered(Told):
    """The jobs that are followed now, in the order in which they were asked for, each once."""

    items: tuple[Watched, ...]


class Unwatched(Told):
    """A job that is not followed any more."""

    key: Key
    watched: bool


class Resent(Told):
    """Whether an event was put into a destination's queue once more."""

    destination: str
    resent: bool
    why: Annotated[str | None, Field(description="Why it was not; null if it was.")]


class Resending(Told):
    """What became of having an event sent again."""

    event_id: EventId
    items: tuple[Resent, ...]


JobKeyGiven = Annotated[
    str,
    Field(
        description="A job key: <connection>/<kind>/<scope>/<id>, each part percent-encoded.",
        pattern=KEY_PATTERN,
        json_schema_extra={"format": "job-key"},
    ),
]


class WatchWish(BaseModel):
    """The jobs to follow, and what to tell with every event of theirs."""

    model_config = ConfigDict(extra="forbid", strict=True)

    keys: Annotated[list[JobKeyGiven], Field(min_length=1, max_length=KEYS_LIMIT)]
    labels: Annotated[
        dict[
            Annotated[str, Field(min_length=1, max_length=LABEL_NAME_LIMIT)],
            Annotated[str, Field(max_length=LABEL_VALUE_LIMIT)],
        ],
        Field(max_length=LABELS_LIMIT, description="Short texts; they are added to those that the jobs have."),
    ] = {}


class ResendWish(BaseModel):
    """To whom to send an event again."""

    model_config = ConfigDict(extra="forbid", strict=True)

    to: Annotated[
        str | None,
        Field(
            description="Only to this destination, even if its match says no; without it, to all that match.",
            min_length=1,
            max_length=40,
        ),
    ] = None
    job: Annotated[
        JobKeyGiven | None,
        Field(description="The job that the event is about: then it is found at once, however old it is."),
    ] = None
