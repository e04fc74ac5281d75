"""A destination's queue and receiver: messages as Lambda brings them, answers as the test says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from pollbridge.history.ledger import Delivery, Ledger, deliveries
from pollbridge.history.table import Table
from pollbridge.model.job import JobKey
from pollbridge.notifying.deliveries import Deliveries, Queue, Result
from pollbridge.notifying.notice import Notice, Receipt
from pollbridge.notifying.worker import LEASE
from tests.kit.faults import Faulty
from tests.kit.memory import Memory

NOW = datetime(2026, 6, 8, 12, 31, tzinfo=UTC)
KEY = JobKey("oration", "job", "acme", "j1")


def envelope(number: int = 1, **detail: Any) -> dict[str, Any]:
    """An event as EventBridge hands it on."""
    return {
        "version": "0",
        "id": f"envelope-{number}",
        "detail-type": "Job State Changed",
        "source": "pollbridge",
        "detail": {"id": f"event-{number}", "version": number, "job": {"key": str(KEY)}, **detail},
    }


def message(number: int = 1, body: str | None = None, sent_at: datetime = NOW) -> dict[str, Any]:
    return {
        "messageId": f"message-{number}",
        "receiptHandle": f"receipt-{number}",
        "body": json.dumps(envelope(number)) if body is None else body,
        "attributes": {"SentTimestamp": str(int(sent_at.timestamp() * 1000)), "ApproximateReceiveCount": "1"},
    }


@dataclass
class Sqs:
    """The two calls a notifier makes."""

    waits: dict[str, int] = field(default_factory=dict)
    buried: list[dict[str, Any]] = field(default_factory=list)

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:  # noqa: N803
        assert QueueUrl == "queue"
        assert 0 <= VisibilityTimeout <= 43_200
        self.waits[ReceiptHandle] = VisibilityTimeout

    def send_message(self, *, QueueUrl: str, MessageBody: str, MessageAttributes: Any) -> None:  # noqa: N803
        assert QueueUrl == "dead letters"
        self.buried.append({"body": MessageBody, "reason": MessageAttributes["reason"]["StringValue"]})


@dataclass
class Receiver:
    """Takes every notice, or does what the test wants."""

    does: Callable[[Notice], Receipt] = lambda _: Receipt(200)
    receiver_deduplicates: bool = True
    got: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def deliver(self, notice: Notice) -> Receipt:
        with self.lock:
            self.got.append(notice.event_id)
        return self.does(notice)


@dataclass
class Post:
    """One destination over a table in memory."""

    receiver: Receiver = field(default_factory=Receiver)
    now: datetime = NOW
    sqs: Sqs = field(default_factory=Sqs)
    aws: Faulty = field(default_factory=lambda: Faulty(Memory()))
    time_left: float = 60.0

    def deliver(self, *messages: dict[str, Any]) -> Result:
        queue = Queue(self.sqs, "queue", "dead letters")
        ledger = Ledger(Table(self.aws, "history"), "team", LEASE)
        post = Deliveries(queue, ledger, self.receiver, lambda: self.now)
        return post.deliver(messages, lambda: self.time_left)

    @property
    def ledger(self) -> list[Delivery]:
        return list(deliveries(Table(self.aws, "history"), KEY))

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)
