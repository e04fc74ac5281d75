"""Whether a destination's rule lets an event through; if not, which key of its `match` keeps it out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pollbridge.config import Destination, Match
from pollbridge.matching import Mismatch, judge, told
from pollbridge.routing import SOURCE, pattern


@dataclass(frozen=True, slots=True)
class Hearing:
    """What today's rule of a destination makes of an event."""

    heard: bool
    why: str
    """One line; it may hold words of vendors."""
    key: str | None = None
    """What keeps the event out: a key of `match`, or `enabled`."""
    in_short: str = ""
    """Why not, in words for people: what that key wants, or that nobody asked for such events."""

    @property
    def off(self) -> bool:
        return self.key == "enabled"


def hearing(name: str, destination: Destination, event: Mapping[str, Any]) -> Hearing:
    """Whether the destination hears of an event as the bus has it, and why: the answer of its rule's pattern."""
    if not destination.enabled:
        return Hearing(False, "enabled = false: its rule is off", "enabled", "enabled = false")
    verdict = judge(pattern(destination.match, name), event)
    if not isinstance(verdict, Mismatch):
        return Hearing(True, told(verdict) or "everything")
    match = destination.match
    key = "pattern" if match.pattern is not None else _key(verdict.field)
    return Hearing(False, str(verdict), key, _in_short(key, match, verdict))


def envelope(detail_type: str, event: str) -> dict[str, Any]:
    """An event of the history as the bus has it."""
    return {"source": SOURCE, "detail-type": detail_type, "detail": json.loads(event)}


def _key(field: str) -> str:
    """`detail.to.state` → `state`; `detail.job.labels.team` → `labels.team`."""
    first = field.partition(", ")[0].removeprefix("detail.")
    return first.removeprefix("job.").removeprefix("to.").replace("detail-type", "detail_type")


def _in_short(key: str, match: Match, verdict: Mismatch) -> str:
    if key == "pattern" or not verdict.wanted:
        return f"match.{key}: {verdict}"
    if key == "detail_type" and match.detail_type is None:
        name = verdict.found[0] if verdict.found else "such"
        return f"{name} is told only where match.detail_type asks for it"
    if key == "reasons" and match.reasons is None:
        return "an update without a new link is told only where match.reasons or match.detail_type asks for it"
    wanted = ", ".join(map(str, verdict.wanted))
    return f"match.{key} wants {wanted}, and it {_is(verdict.found)}"


def _is(found: tuple[Any, ...]) -> str:
    return f"is {', '.join(map(str, found))}" if found else "has none"
