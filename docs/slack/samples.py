"""The events whose messages are drawn: one of every sort that Slack is told of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pollbridge.model.change import Reason, absent, detect
from pollbridge.model.event import (
    Cause,
    Changes,
    DestinationDisabled,
    Event,
    Trouble,
    VendorRecovered,
    VendorUnreachable,
    job_event,
)
from pollbridge.model.job import JobKey, Link, Progress, Snapshot, State
from pollbridge.notifying.notice import Notice
from pollbridge.notifying.slack.message import card, listing, message, reply

NOON = datetime(2026, 6, 8, 12, 0, tzinfo=UTC)
RUNNING = Snapshot(state=State.RUNNING, vendor_status="processing")

AUDIT = JobKey("mentionlab", "job", "6650c1a9e4b0f5d2a1b3c4d5", "0b9f6c1e-6d0f-4d6e-9d1a-2f7f1b9c3e55")
PAGES = JobKey("mintlify", "agent-v1", "5f2b7c", "agt_41c8")
CALL = JobKey("oration", "job", "support-eu", "job_7d10f2")
PARSING = JobKey("scale", "job", "proj_77", "job_3f9a")
TRIAL = JobKey("pollbridge", "test", "docs-team", "20260608T120000Z")

PULL_REQUEST = Link(rel="pull_request", href="https://github.com/example/docs/pull/318")

Drawn = tuple[dict[str, Any], str, bool]
"""A message, when it was posted, and whether it is a reply."""


def told(event: Event) -> Notice:
    return Notice(event.detail_type, json.loads(event.json_text()))


def changed(
    key: JobKey,
    before: Snapshot | None,
    after: Snapshot,
    *,
    minute: int = 31,
    version: int = 3,
    labels: Mapping[str, str] | None = None,
) -> Notice:
    change = detect(before, after)
    assert change
    moment = NOON + timedelta(minutes=minute)
    return told(
        job_event(
            key,
            change,
            vendor=key.connection,
            incarnation="sample",
            version=version,
            labels=labels or {},
            observed_at=moment,
            last_seen_at=moment - timedelta(minutes=1),
        )
    )


def gone(key: JobKey, before: Snapshot, reason: Reason) -> Notice:
    return told(
        job_event(
            key,
            absent(before, reason),
            vendor=key.connection,
            incarnation="sample",
            version=4,
            labels={},
            observed_at=NOON + timedelta(minutes=31),
            last_seen_at=NOON - timedelta(minutes=14),
        )
    )


def audit(state: State, word: str | None, succeeded: int, failed: int, **fields: Any) -> Snapshot:
    progress = Progress(total=100, succeeded=succeeded, failed=failed, pending=100 - succeeded - failed)
    return Snapshot(state=state, vendor_status=word, name="Brand audit, June", progress=progress, **fields)


def posted(notice: Notice) -> list[Drawn]:
    return [(message(notice), notice.detail["observed_at"][11:16], False)]


def partially_failed() -> list[Drawn]:
    after = audit(State.PARTIALLY_FAILED, "partial_failed", 92, 8)
    return posted(changed(AUDIT, RUNNING, after, labels={"team": "marketing"}))


def succeeded() -> list[Drawn]:
    after = Snapshot(
        state=State.SUCCEEDED,
        vendor_status="completed",
        name="Document the retry options",
        links=(PULL_REQUEST,),
    )
    return posted(changed(PAGES, RUNNING, after, labels={"team": "docs", "repo": "example/docs"}))


def failed() -> list[Drawn]:
    error = "LLM provider answered 502 three times in a row\nlast attempt: 2026-06-08T12:30:41Z, request req_01h9"
    after = Snapshot(state=State.FAILED, vendor_status="failed", name="Call summary, 8 June", error=error)
    return posted(changed(CALL, RUNNING, after, version=5))


def halted() -> list[Drawn]:
    after = Snapshot(state=State.HALTED, name="Rewrite the quick start", message="Waiting for your answer: which SDK?")
    return posted(changed(PAGES, RUNNING, after))


def unknown() -> list[Drawn]:
    after = Snapshot(state=State.UNKNOWN, vendor_status="requeued_for_review", name="Call summary, 8 June")
    return posted(changed(CALL, RUNNING, after))


def lost() -> list[Drawn]:
    before = audit(State.RUNNING, "processing", 40, 0)
    return posted(gone(AUDIT, before, Reason.LOST))


def expired() -> list[Drawn]:
    return posted(gone(CALL, Snapshot(state=State.PENDING, name="Call summary, 8 May"), Reason.EXPIRED))


def reopened() -> list[Drawn]:
    before = audit(State.PARTIALLY_FAILED, "partial_failed", 92, 8)
    return posted(changed(AUDIT, before, audit(State.RUNNING, "processing", 92, 0), version=6))


OUTAGE: dict[str, Any] = {
    "schema": "1",
    "id": "sample",
    "version": 1,
    "vendor": "mentionlab",
    "connection": "mentionlab",
    "scope": None,
    "reason": Trouble.UNREACHABLE,
    "error": "HTTP 503",
    "since": "2026-06-08T12:28:00Z",
    "observed_at": "2026-06-08T12:31:00Z",
}


def unreachable() -> list[Drawn]:
    return posted(told(VendorUnreachable(**OUTAGE)))


def recovered() -> list[Drawn]:
    changes = Changes(
        total=14,
        states={State.SUCCEEDED: 11, State.PARTIALLY_FAILED: 1, State.FAILED: 2},
        jobs=tuple(f"mentionlab/job/6650c1a9e4b0f5d2a1b3c4d5/{n:04x}-6d0f-4d6e" for n in range(4096, 4110)),
    )
    later = {"version": 2, "observed_at": "2026-06-08T13:43:00Z", "duration_seconds": 4500, "changes": changes}
    return posted(told(VendorRecovered(**OUTAGE | later)))


def destination_disabled() -> list[Drawn]:
    event = DestinationDisabled(
        schema="1",
        id="sample",
        version=1,
        destination="warehouse",
        type="webhook",
        reason=Cause.FAILING,
        error="HTTP 503",
        since="2026-06-03T12:30:11Z",
        observed_at="2026-06-08T12:31:00Z",
    )
    return posted(told(event))


def card_and_thread() -> list[Drawn]:
    life = [
        Snapshot(state=State.PENDING, vendor_status="pending", name="Brand audit, June"),
        audit(State.RUNNING, "processing", 0, 0),
        audit(State.RUNNING, "processing", 48, 2),
        audit(State.PARTIALLY_FAILED, "partial_failed", 92, 8, error="8 prompts were refused by the model"),
    ]
    minutes = (2, 4, 17, 31)
    before = [None, *life[:-1]]
    notices = [
        changed(AUDIT, *step, minute=minute, version=version, labels={"team": "marketing"})
        for version, (minute, step) in enumerate(zip(minutes, zip(before, life, strict=True), strict=True), 1)
    ]
    replies = [(reply(notice), notice.detail["observed_at"][11:16], True) for notice in notices]
    return [(card(notices[-1]), "12:02", False), *replies]


def a_listing() -> list[Drawn]:
    notices = []
    for n in range(24):
        key, name = JobKey("mintlify", "agent-v2", "5f2b7c", f"agt_{n:04}"), f"Translate chapter {n + 1}"
        if n in {7, 19}:
            after = Snapshot(state=State.FAILED, name=name, error="The branch could not be pushed: 403")
        elif n == 11:
            after = Snapshot(state=State.UNKNOWN, vendor_status="paused", name=name)
        else:
            link = Link(rel="pull_request", href=f"https://github.com/example/docs/pull/{400 + n}")
            after = Snapshot(state=State.SUCCEEDED, name=name, links=(link,) if n % 7 == 0 else ())
        notices.append(changed(key, Snapshot(state=State.RUNNING), after))
    return [(listing(notices), "12:31", False)]


def trial() -> list[Drawn]:
    after = Snapshot(
        state=State.PARTIALLY_FAILED, name="Trial", progress=Progress(total=100, succeeded=92, failed=8, pending=0)
    )
    return posted(changed(TRIAL, RUNNING, after, version=1))


def every_state() -> list[Drawn]:
    stands = {
        State.PENDING: (0, 0, None),
        State.RUNNING: (34, 0, None),
        State.RETRYING: (71, 0, None),
        State.SUCCEEDED: (100, 0, None),
        State.PARTIALLY_FAILED: (92, 8, None),
        State.FAILED: (0, 100, None),
        State.CANCELLED: (34, 0, None),
        State.HALTED: (58, 0, None),
        State.ARCHIVED: (100, 0, None),
        State.UNKNOWN: (58, 0, "requeued"),
    }
    return [
        (card(changed(AUDIT, None, audit(state, word, succeeded, failed))), "12:31", False)
        for state, (succeeded, failed, word) in stands.items()
    ]


PICTURES = {
    "partially-failed": partially_failed,
    "succeeded": succeeded,
    "failed": failed,
    "halted": halted,
    "unknown": unknown,
    "reopened": reopened,
    "lost": lost,
    "expired": expired,
    "unreachable": unreachable,
    "recovered": recovered,
    "destination-disabled": destination_disabled,
    "listing": a_listing,
    "card-and-thread": card_and_thread,
    "test": trial,
    "every-state": every_state,
}
