"""What becomes of a queue's messages: which come back, what the log says of each event, and the batch in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pollbridge import metrics
from pollbridge.history.ledger import Attempt, Delivery
from pollbridge.metrics import Metric
from pollbridge.notifying.notice import Notice


@dataclass(frozen=True, slots=True)
class Parcel:
    """An event that goes out now, and its delivery, which is claimed."""

    notice: Notice
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a message."""

    outcome: str
    attempt: Attempt | None = None
    parcels: Sequence[Parcel] = ()
    """What the attempt was about."""
    reason: str | None = None
    wait: timedelta | None = None
    """Until it comes back."""

    @property
    def comes_back(self) -> bool:
        return self.outcome in {"retried", "put_off", "broke"}


@dataclass(slots=True)
class Result:
    """What became of a batch: the messages that come back, and how many went which way."""

    back: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    """What broke on our side, by its type."""
    lines: list[dict[str, Any]] = field(default_factory=list)
    """What became of each event, those that were told together with a message's own too."""

    def add(self, message: Mapping[str, Any], notice: Notice | None, fate: Fate) -> None:
        """Note what became of a message, and of the event in it if it could be read."""
        self.counts[fate.outcome] += 1
        if fate.comes_back:
            self.back.append(message["messageId"])
        if not fate.parcels:
            self.lines.append(_line(message, notice, None, fate))
        for parcel in fate.parcels:
            # Being told to come later is no attempt.
            attempt = None if fate.outcome == "put_off" else parcel.delivery.tries + 1
            self.lines.append(_line(message, parcel.notice, attempt, fate))

    def measures(self) -> dict[Metric, float]:
        """The batch in numbers of events."""
        outcomes = Counter(line["outcome"] for line in self.lines)
        return {
            metrics.DELIVERED: outcomes["delivered"],
            metrics.RETRIED: outcomes["retried"] + outcomes["broke"],
            metrics.NOT_DELIVERED: sum(outcomes[one] for one in ("failed", "disabled", "maybe_sent", "unreadable")),
        }


def _line(message: Mapping[str, Any], notice: Notice | None, attempt: int | None, fate: Fate) -> dict[str, Any]:
    """What the log says of one event: of the attempt the ledger's words, and nothing of the receiver's answer."""
    made, together = fate.attempt, len(fate.parcels)
    told = {
        **(notice.subject if notice else {}),
        "event_id": notice.event_id if notice else None,
        "version": notice.version if notice else None,
        "outcome": fate.outcome,
        "reason": made.outcome if made else fate.reason,
        "attempt": attempt,
        "code": made.code if made else None,
        "latency_ms": made.latency_ms if made else None,
        "wait_s": int(fate.wait.total_seconds()) if fate.wait else None,
        "together": together if together > 1 else None,
        "message_id": message["messageId"],
    }
    return {name: value for name, value in told.items() if value is not None}
