"""The sample events of `events/`, one file per case, in the shapes of AWS; and events about vendors."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from pollbridge.model.event import Changes, Event, Trouble, VendorRecovered, VendorUnreachable
from pollbridge.model.job import State
from pollbridge.notifying.notice import Notice

FOLDER = Path(__file__).parents[2] / "events"


def event(function: str, case: str) -> dict[str, Any]:
    """A sample; its queue messages were sent an hour ago: none waits for its burst, and none is too old to wait."""
    sample: dict[str, Any] = json.loads((FOLDER / function / f"{case}.json").read_bytes())
    for record in sample.get("Records", ()):
        if "SentTimestamp" in record.get("attributes", ()):
            record["attributes"]["SentTimestamp"] = str(int((time.time() - 3600) * 1000))
    return sample


def cases() -> list[tuple[str, str]]:
    """Each function with each of its samples."""
    return sorted((path.parent.name, path.stem) for path in FOLDER.glob("*/*.json") if path.parent.name != "schemas")


OUTAGE: dict[str, Any] = {
    "schema": "1",
    "id": "3d0c6a0e-52a5-5f3c-9d0e-3b8f4f1f7a21",
    "version": 1,
    "vendor": "mentionlab",
    "connection": "mentionlab",
    "scope": None,
    "reason": Trouble.UNREACHABLE,
    "error": "HTTP 503",
    "since": "2026-06-08T12:31:00Z",
    "observed_at": "2026-06-08T12:33:02.417Z",
}

RECOVERY: dict[str, Any] = {
    **OUTAGE,
    "id": "a4ff0f65-0c53-5b5e-8f5b-6c0f3f9a9b3e",
    "version": 2,
    "observed_at": "2026-06-08T13:43:05Z",
    "duration_seconds": 4325,
    "changes": Changes(
        total=14,
        states={State.SUCCEEDED: 12, State.FAILED: 2},
        jobs=tuple(f"mentionlab/job/p/{n}" for n in range(1, 15)),
    ),
}


def unreachable(**fields: Any) -> VendorUnreachable:
    """MentionLab doesn't answer, but for what the test says."""
    return VendorUnreachable(**OUTAGE | fields)


def recovered(**fields: Any) -> VendorRecovered:
    """MentionLab answers again, but for what the test says."""
    return VendorRecovered(**RECOVERY | fields)


def notice(event: Event) -> Notice:
    """The event as a notifier gets it."""
    return Notice(event.detail_type, json.loads(event.json_text()))
