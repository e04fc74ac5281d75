"""What the command line and the API say of a job, a change and a delivery: the JSON shapes that are promised."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pollbridge.model.cadence import BACKOFF
from pollbridge.model.instant import iso
from pollbridge.model.job import JobKey, Snapshot

if TYPE_CHECKING:
    # `parse` prints a snapshot where no AWS library needs to be loaded.
    from pollbridge.history.entries import Entry
    from pollbridge.history.heads import Head
    from pollbridge.history.ledger import Delivery

_TOLD = ("reasons", "from", "to", "progress", "links", "error", "observed_at", "last_seen_at")


def snapshot_json(key: JobKey, snapshot: Snapshot | None, labels: Mapping[str, str]) -> dict[str, Any]:
    """How a job stands; without a snapshot the vendor has not answered for it yet."""
    return {
        "job": {
            "key": str(key),
            "kind": key.kind,
            "scope": key.scope,
            "id": key.id,
            "name": snapshot.name if snapshot else None,
            "labels": dict(labels),
        },
        "state": snapshot.state.value if snapshot else None,
        "vendor_status": snapshot.vendor_status if snapshot else None,
        "terminal": snapshot.state.terminal if snapshot else False,
        "name": snapshot.name if snapshot else None,
        "progress": snapshot.progress.model_dump() if snapshot and snapshot.progress else None,
        "links": [link.model_dump() for link in snapshot.links] if snapshot else [],
        "error": snapshot.error if snapshot else None,
        "message": snapshot.message if snapshot else None,
        "created_at": snapshot.created_at if snapshot else None,
        "started_at": snapshot.started_at if snapshot else None,
        "updated_at": snapshot.updated_at if snapshot else None,
        "finished_at": snapshot.finished_at if snapshot else None,
    }


def job_json(head: Head) -> dict[str, Any]:
    """A snapshot, and what is known of following the job."""
    return snapshot_json(head.key, head.snapshot, head.labels) | {
        "version": head.version,
        "changed_at": head.changed_at.replace(".000Z", "Z"),
        "watched": head.watched,
        "lost": head.lost,
        "failing": head.failing,
    }


def failing_text(head: Head, when: Callable[[datetime], str]) -> str | None:
    """That a job's polls fail, for people: how many did, since when, and the last error. None if it is not failing."""
    if head.failing is None or head.row is None:
        return None
    seen = f"last answered at {when(head.row.seen)}" if head.row.seen else "never answered"
    return f"the last {polls_failed(head.row.failures)} polls failed, {seen}: {head.failing}"


def polls_failed(failures: int) -> str:
    """How many polls in a row failed; they are counted no further than the back-off grows."""
    return f"{failures} or more" if failures >= len(BACKOFF) else str(failures)


def change_json(entry: Entry) -> dict[str, Any]:
    """A recorded change of a job."""
    event = json.loads(entry.event)
    told = {"version": entry.version, "event_id": entry.event_id, "detail_type": entry.detail_type}
    return told | {name: event[name] for name in _TOLD}


def delivery_json(delivery: Delivery, *, responses: bool = False) -> dict[str, Any]:
    """What became of an event on its way to one destination; `job_key` is None where it concerns no job.

    `responses` adds what receivers answered that did not take it.
    """
    hidden = None if responses else {"response"}
    return {
        "event_id": delivery.event_id,
        "job_key": delivery.pk.removeprefix("JOB#") if delivery.pk.startswith("JOB#") else None,
        "version": delivery.version,
        "destination": delivery.destination,
        "status": delivery.status.value,
        "attempts": [attempt.model_dump(exclude=hidden) for attempt in delivery.attempts],
        "next_attempt_at": iso(delivery.next_attempt_at) if delivery.next_attempt_at else None,
    }
