"""How many messages wait in a queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VISIBLE, TAKEN, DELAYED = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


COUNTS = (VISIBLE, TAKEN, DELAYED)


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


def counted(attributes: Mapping[str, str]) -> Waiting:
    """What GetQueueAttributes answered, asked for COUNTS and maybe more."""
    return Waiting(*(int(attributes.get(name, 0)) for name in COUNTS))


def waiting(sqs: Any, url: str) -> Waiting:
    """Raises ClientError, e.g. when there is no such queue."""
    return counted(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[*COUNTS])["Attributes"])
