"""Events as they lie on the bus, one of each sort, and all of them mixed; and what moto thinks of a pattern."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from moto.events.models import EventPattern

from pollbridge.model.change import Reason
from pollbridge.model.event import (
    DISABLED,
    Cause,
    DestinationDisabled,
    Event,
    From,
    Job,
    JobEvent,
    To,
)
from pollbridge.model.job import JobKey, Link, State
from pollbridge.routing import CONNECTION_TYPES, DESTINATION_TYPES, JOB_TYPES, SOURCE
from tests.kit.events import recovered, unreachable

TYPES = (*JOB_TYPES, *CONNECTION_TYPES, *DESTINATION_TYPES)

REASONS = {
    "Job State Changed": ["state_changed"],
    "Job First Seen": ["first_seen"],
    "Job Lost": ["lost"],
    "Job Updated": ["link_added"],
    "Job Progressed": ["progressed"],
}


def envelope(event: Event) -> dict[str, Any]:
    """The event as EventBridge delivers it."""
    return {
        "version": "0",
        "id": "11111111-2222-3333-4444-555555555555",
        "detail-type": event.detail_type,
        "source": SOURCE,
        "account": "111122223333",
        "time": "2026-06-08T12:33:02Z",
        "region": "eu-west-1",
        "resources": [],
        "detail": json.loads(event.json_text()),
    }


def about_job(
    *reasons: str,
    connection: str = "oration",
    vendor: str = "oration",
    kind: str = "job",
    scope: str = "p",
    **told: Any,
) -> JobEvent:
    """A job's event for these reasons; `state`, `labels`, `links`, `error` and `message` as the test says."""
    state = State(told.get("state", "running"))
    key = JobKey(connection, kind, scope, "1")
    return JobEvent(
        schema="1",
        id="5f6b3c86-2f3e-5a55-8c5f-0d2b6f9c1a11",
        version=told.get("version", 2),
        vendor=vendor,
        connection=connection,
        reasons=tuple(Reason(reason) for reason in reasons),
        job=Job.of(key, None, told.get("labels", {})),
        **{"from": From(state=State.PENDING, vendor_status="pending")},
        to=To(state=state, vendor_status=str(state), terminal=state.terminal, lost=False),
        progress=None,
        links=tuple(Link(rel="pull_request", href=href) for href in told.get("links", ())),
        error=told.get("error"),
        message=told.get("message"),
        observed_at="2026-06-08T12:33:02Z",
        last_seen_at="2026-06-08T12:32:01Z",
        occurred_at=None,
    )


def disabled(destination: str = "team") -> DestinationDisabled:
    return DestinationDisabled(
        schema="1",
        id="0c0a4d3e-7d55-5d0e-9b1c-7a0d1b2c3d4e",
        version=1,
        destination=destination,
        type="slack",
        reason=Cause.REFUSED,
        error="channel_not_found",
        since="2026-06-08T12:31:00Z",
        observed_at="2026-06-08T12:33:02Z",
    )


def of_type(name: str, **told: Any) -> Event:
    """An event of that detail-type."""
    if name in JOB_TYPES:
        return about_job(*told.pop("reasons", REASONS[name]), **told)
    if name == DISABLED:
        return disabled(**told)
    return {"Vendor Unreachable": unreachable, "Vendor Recovered": recovered}[name](**told)


VENDORS = st.sampled_from(["oration", "scale", "mentionlab"])

JOBS = st.builds(
    lambda reasons, **told: about_job(*reasons, **told),
    st.lists(st.sampled_from([reason.value for reason in Reason]), min_size=1, max_size=3, unique=True),
    vendor=VENDORS,
    connection=st.sampled_from(["oration", "scale", "docs"]),
    kind=st.sampled_from(["job", "execution"]),
    scope=st.sampled_from(["p", "q"]),
    state=st.sampled_from([state.value for state in State]),
    labels=st.dictionaries(st.sampled_from(["team", "env"]), st.sampled_from(["docs", "web"])),
    version=st.integers(1, 3),
    links=st.lists(st.sampled_from(["https://a.test/1", "https://a.test/2"]), max_size=2),
)

EVENTS: st.SearchStrategy[Event] = st.one_of(
    JOBS,
    st.builds(unreachable, vendor=VENDORS, connection=VENDORS),
    st.builds(recovered, vendor=VENDORS, connection=VENDORS),
    st.builds(disabled, st.sampled_from(["team", "service", "raw"])),
)
"""Of every sort, with values that patterns of tests tell apart."""


def moto_matches(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """The second opinion."""
    verdict: bool = EventPattern.load(json.dumps(pattern)).matches_event(dict(event))  # type: ignore[arg-type]
    return verdict
