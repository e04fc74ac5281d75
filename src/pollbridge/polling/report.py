"""What a sweep tells of itself: to the log, to the metrics, and to whoever ticks by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pollbridge import metrics
from pollbridge.metrics import Metric
from pollbridge.model.event import Event, JobEvent

LINES = 1000
"""Changes of one sweep that have a line of their own in the log; the publisher has one for each in any case."""


class Outcome(StrEnum):
    """How a sweep ended."""

    COMPLETED = "completed"
    UNFINISHED = "unfinished"
    FAILING = "failing"
    """Every poll failed: the vendor is in trouble, and nothing was stored."""
    WAITING = "waiting"
    THROTTLED = "throttled"
    LEASED = "leased"
    DONE = "done"
    OVERTAKEN = "overtaken"


SWAMPED = frozenset({Outcome.UNFINISHED, Outcome.OVERTAKEN})
"""There was more to do than the time or the limits let through; the vendor is not to blame."""


@dataclass(slots=True)
class Report:
    """What a sweep did."""

    connection: str
    tick: datetime
    outcome: Outcome = Outcome.COMPLETED
    counts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    """Poll errors by their short text."""
    behind: int = 0
    """Minutes by which the last completed tick lies behind this one."""
    left: int = 0
    """Due jobs that were not looked at."""
    troubles: int = 0
    """How many of its scopes, or the connection itself, bring no answers and were told so."""
    polls: int = 0
    """Requests for one job that were answered or failed."""
    recorded: list[dict[str, Any]] = field(default_factory=list)
    """What was recorded to be told, a line for each event; what was found silently is only counted."""

    def tell(self, event: Event) -> None:
        """Remember what was recorded. Safe to call from several threads."""
        self.recorded.append(recorded(event))

    def measures(self) -> dict[Metric, float]:
        """The sweep in numbers."""
        return {
            metrics.MINUTES_BEHIND: self.behind,
            metrics.TROUBLES: self.troubles,
            metrics.UNFINISHED: self.outcome in SWAMPED,
            metrics.POLLS: self.polls,
            metrics.POLLS_FAILED: self.counts["failed"],
            metrics.CHANGES: len(self.recorded),
        }

    def json_object(self) -> dict[str, object]:
        gauges = {"polls": self.polls, "behind": self.behind, "left": self.left, "troubles": self.troubles}
        return {
            "connection": self.connection,
            "tick": self.tick.isoformat(),
            "outcome": self.outcome,
            **self.counts,
            **{name: value for name, value in gauges.items() if value},
            **({"errors": dict(self.errors)} if self.errors else {}),
        }


def recorded(event: Event) -> dict[str, Any]:
    """By what an event can be followed from its poll to its deliveries: of the vendor's words nothing but ids."""
    ids = {"event_id": event.id, "version": event.version, "detail_type": event.detail_type}
    if not isinstance(event, JobEvent):
        told = event.model_dump(mode="json", include={"connection", "scope", "reason"})
        return ids | {name: value for name, value in told.items() if value is not None}
    return {
        "job": event.job.key,
        **ids,
        "from": event.from_.state.value if event.from_ else None,
        "to": event.to.state.value,
        "reasons": [reason.value for reason in event.reasons],
    }
