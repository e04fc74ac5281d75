"""How many messages wait in a queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

VISIBLE, TAKEN, DELAYED = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """About how many messages a queue holds; SQS counts its shards one after the other."""

    visible: int
    """Nobody has taken them up."""
    taken: int
    """Somebody works on them, or has put them off."""
    delayed: int

    @property
    def all(self) -> int:
        return self.visible + self.taken + self.delayed


def waiting(sqs: Any, url: str) -> Waiting:
    """Raises ClientError, e.g. when there is no such queue."""
    told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[VISIBLE, TAKEN, DELAYED])["Attributes"]
    return Waiting(*(int(told.get(name, 0)) for name in (VISIBLE, TAKEN, DELAYED)))
