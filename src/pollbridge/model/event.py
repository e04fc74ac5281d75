"""Events: what goes on the bus, exactly one per history entry, and what a webhook carries as `data`."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from pollbridge.model.change import Change, Reason
from pollbridge.model.instant import iso
from pollbridge.model.job import Fact, JobKey, Link, Progress, Snapshot, State

NAMESPACE = uuid.UUID("6b1f0d5e-7a70-5c9b-9f0e-3f1f4a3d8c11")
"""Of the name-based event ids (RFC 9562, version 5)."""

EVENT_LIMIT = 64 * 1024
"""Bytes of an event's detail, kept by the limits of the snapshot and of labels."""

STATE_CHANGED = "Job State Changed"
FIRST_SEEN = "Job First Seen"
LOST = "Job Lost"
UPDATED = "Job Updated"
PROGRESSED = "Job Progressed"
UNREACHABLE = "Vendor Unreachable"
RECOVERED = "Vendor Recovered"
DISABLED = "Destination Disabled"


def event_id(subject: JobKey | str, incarnation: str, version: int) -> str:
    """The same on every replay; new when a deployment starts anew, because the incarnation is random.

    The subject is a job's key, `CONNECTION#<name>` or `DESTINATION#<name>`.
    """
    return str(uuid.uuid5(NAMESPACE, f"{subject}\n{incarnation}\n{version}"))


def detail_type(reasons: tuple[Reason, ...]) -> str:
    """What kind of event the strongest of the reasons makes."""
    told = frozenset(reasons)
    if told & {Reason.STATE_CHANGED, Reason.REOPENED, Reason.FOUND}:
        return STATE_CHANGED
    if Reason.FIRST_SEEN in told:
        return FIRST_SEEN
    if told & {Reason.LOST, Reason.EXPIRED}:
        return LOST
    if told & {Reason.ARCHIVED, Reason.UNARCHIVED, Reason.LINK_ADDED, Reason.ERROR_CHANGED}:
        return UPDATED
    return PROGRESSED


def webhook_type(detail_type: str) -> str:
    """`Job State Changed` → `job.state_changed`."""
    subject, _, rest = detail_type.lower().partition(" ")
    return f"{subject}.{rest.replace(' ', '_')}"


class Job(Fact):
    """Which job an event is about."""

    key: str
    kind: str
    scope: str
    id: str
    name: str | None
    labels: dict[str, str]

    @classmethod
    def of(cls, key: JobKey, name: str | None, labels: Mapping[str, str]) -> Job:
        return cls(key=str(key), kind=key.kind, scope=key.scope, id=key.id, name=name, labels=dict(labels))


class From(Fact):
    """Where the job stood before."""

    state: State
    vendor_status: str | None


class To(From):
    """Where the job stands now."""

    terminal: bool
    lost: bool


class JobEvent(Fact):
    """`from` is null at first sight; between `last_seen_at` and `observed_at` nobody looked;
    `occurred_at` only if the vendor said so. Receivers de-duplicate by `id`. Within schema 1 fields are only added.
    """

    schema_: Literal["1"] = Field("1", alias="schema")
    id: str
    version: int
    vendor: str
    connection: str
    reasons: tuple[Reason, ...]
    job: Job
    from_: From | None = Field(alias="from")
    to: To
    progress: Progress | None
    links: tuple[Link, ...]
    error: str | None
    message: str | None
    observed_at: str
    last_seen_at: str | None
    occurred_at: str | None

    @property
    def detail_type(self) -> str:
        return detail_type(self.reasons)

    def json_text(self) -> str:
        return self.model_dump_json(by_alias=True)


def job_event(
    key: JobKey,
    change: Change,
    *,
    vendor: str,
    incarnation: str,
    version: int,
    labels: Mapping[str, str],
    observed_at: datetime,
    last_seen_at: datetime | None,
) -> JobEvent:
    """The event that tells a change as that version of the job."""
    previous, current = change.previous, change.current
    return JobEvent(
        schema="1",
        id=event_id(key, incarnation, version),
        version=version,
        vendor=vendor,
        connection=key.connection,
        reasons=change.reasons,
        job=Job.of(key, current.name, labels),
        **{"from": From(state=previous.state, vendor_status=previous.vendor_status) if previous else None},
        to=To(
            state=current.state,
            vendor_status=current.vendor_status,
            terminal=current.state.terminal,
            lost=change.lost,
        ),
        progress=current.progress,
        links=current.links,
        error=current.error,
        message=current.message,
        observed_at=iso(observed_at),
        last_seen_at=iso(last_seen_at) if last_seen_at else None,
        occurred_at=_occurred_at(change, current),
    )


def _occurred_at(change: Change, current: Snapshot) -> str | None:
    if Reason.STATE_CHANGED not in change.reasons or not re.fullmatch(r"\d{4}-.*Z", current.state_since or ""):
        return None
    return current.state_since


class Trouble(StrEnum):
    """Why a vendor brings no answers."""

    UNREACHABLE = "unreachable"
    """Every poll failed: no connection, timeouts, 5xx, a 200 with nothing of use, 404 for most jobs at once."""
    UNAUTHORIZED = "unauthorized"
    """401, with a secret read anew too."""
    FORBIDDEN = "forbidden"
    """403."""
    NO_CREDENTIALS = "no_credentials"
    """The secret is missing or unusable: the vendor isn't even asked."""


class Changes(Fact):
    """The changes that were found once a vendor brought answers again."""

    total: int = 0
    states: dict[State, int] = Field(default_factory=dict)
    """How many of them led to which state."""
    jobs: tuple[str, ...] = ()
    """The keys of the first jobs that changed, at most 20."""


class VendorUnreachable(Fact):
    """Told once when a connection, or one scope of it, brings no answers any more."""

    schema_: Literal["1"] = Field("1", alias="schema")
    id: str
    version: int
    vendor: str
    connection: str
    scope: str | None
    """Null when it is the whole connection."""
    reason: Trouble
    error: str
    since: str
    """When the first poll failed."""
    observed_at: str

    @property
    def detail_type(self) -> str:
        return UNREACHABLE

    def json_text(self) -> str:
        return self.model_dump_json(by_alias=True)


class VendorRecovered(VendorUnreachable):
    """Told once, when every job that fell due meanwhile has been looked at again."""

    duration_seconds: int
    """From `since` to `observed_at`."""
    changes: Changes

    @property
    def detail_type(self) -> str:
        return RECOVERED


class Cause(StrEnum):
    """Why a destination is not delivered to any more."""

    GONE = "gone"
    """It said so itself: 410."""
    REFUSED = "refused"
    """Slack refuses for good: the channel, the token or the webhook is no longer valid."""
    FAILING = "failing"
    """Five days of nothing but failure."""


class DestinationDisabled(Fact):
    """Told once, to the other destinations, when one is not delivered to any more."""

    schema_: Literal["1"] = Field("1", alias="schema")
    id: str
    version: int
    destination: str
    type: Literal["slack", "webhook"]
    reason: Cause
    error: str
    since: str
    """When the first of the attempts failed that have failed ever since."""
    observed_at: str

    @property
    def detail_type(self) -> str:
        return DISABLED

    def json_text(self) -> str:
        return self.model_dump_json(by_alias=True)


ConnectionEvent = VendorUnreachable | VendorRecovered
Event = JobEvent | ConnectionEvent | DestinationDisabled
