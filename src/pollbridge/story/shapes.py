"""The story as data: the JSON shape that docs/explaining.md promises."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from pollbridge.model.instant import iso
from pollbridge.story.arrivals import Arrival, Outcome
from pollbridge.story.job import Story, ToldChange
from pollbridge.story.unknown import Unknown
from pollbridge.story.verdict import verdict
from pollbridge.views import change_json, delivery_json, job_json


def story_json(story: Story) -> dict[str, Any]:
    """Every moment in UTC, if the story was read so."""
    head, looks = story.head, story.looks
    return {
        "job_key": str(head.key),
        "known": True,
        "verdict": verdict(story),
        "at": iso(story.now),
        "job": job_json(head)
        | {
            "registered_at": head.registered_at,
            "found": story.found,
            "silent": head.silent,
            "unwatched_at": _iso(story.unwatched_at),
        },
        "polls": {
            "every_minutes": looks.every,
            "last_look_at": _iso(looks.last_at),
            "next_due_at": _iso(looks.next_at),
            "failures": looks.failures,
            "error": looks.error,
            "listed": looks.covered,
            "last_tick_at": _iso(looks.tick_at),
            "scheduled": looks.scheduled,
        },
        "remarks": [asdict(remark) for remark in story.remarks],
        "like": [],
        "earlier": story.earlier,
        "changes": [_change(told) for told in story.changes],
    }


def unknown_json(unknown: Unknown, at: datetime) -> dict[str, Any]:
    """The same shape, of a job that is not known."""
    return {
        "job_key": str(unknown.key),
        "known": False,
        "verdict": unknown.verdict,
        "at": iso(at),
        "job": None,
        "polls": None,
        "remarks": [asdict(remark) for remark in unknown.remarks],
        "like": [str(key) for key in unknown.like],
        "earlier": 0,
        "changes": [],
    }


def _change(told: ToldChange) -> dict[str, Any]:
    change = told.change
    return change_json(change.entry) | {
        "recorded_at": iso(change.recorded_at),
        "published": not (change.silent or change.entry.unpublished),
        "silent": change.silent,
        "remark": asdict(told.remark) if told.remark else None,
        "destinations": [_arrival(arrival) for arrival in told.arrivals],
    }


def _arrival(arrival: Arrival) -> dict[str, Any]:
    today, delivery, settings = arrival.hearing, arrival.delivery, arrival.receiver.settings
    tried = delivery_json(delivery) if delivery else {"attempts": [], "next_attempt_at": None}
    return {
        "destination": arrival.name,
        "type": settings.type if settings else None,
        "outcome": arrival.outcome.value,
        "heard": arrival.outcome is Outcome.DELIVERED,
        "heard_at": _iso(arrival.heard_at),
        "says": arrival.says,
        "do": arrival.do,
        "match": {"matches": today.heard, "why": today.why, "key": today.key} if today else None,
        "attempts": tried["attempts"],
        "next_attempt_at": tried["next_attempt_at"],
    }


def _iso(moment: datetime | None) -> str | None:
    return iso(moment) if moment else None
