"""What a sweep tells of itself: to the log, to the metrics, and to whoever ticks by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


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

    def json_object(self) -> dict[str, object]:
        gauges = {"behind": self.behind, "left": self.left, "troubles": self.troubles}
        return {
            "connection": self.connection,
            "tick": self.tick.isoformat(),
            "outcome": self.outcome,
            **self.counts,
            **{name: value for name, value in gauges.items() if value},
            **({"errors": dict(self.errors)} if self.errors else {}),
        }
