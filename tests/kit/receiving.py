"""A destination's queue and receiver: messages as Lambda brings them, answers as the test says."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from botocore.exceptions import ClientError

from pollbridge.history.destinations import DestinationHead, Destinations
from pollbridge.history.entries import Entries, Entry
from pollbridge.history.ledger import Delivery, Ledger, deliveries
from pollbridge.history.table import Table
from pollbridge.model.job import JobKey
from pollbridge.notifying.deliveries import Deliveries, Queue, Result
from pollbridge.notifying.notice import Notice, Receipt
from pollbridge.notifying.retries import RetryClock
from pollbridge.notifying.standing import Standing
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


LONGEST_INVISIBLE = 43_200
"""Seconds from the receipt: ChangeMessageVisibility refuses what would end later (SQS API Reference)."""


@dataclass
class Sqs:
    """The two calls a notifier makes, with AWS's cap on how long a received message may stay invisible."""

    now: Callable[[], datetime]
    waits: dict[str, int] = field(default_factory=dict)
    buried: list[dict[str, Any]] = field(default_factory=list)
    received_at: dict[str, datetime] = field(default_factory=dict)

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:  # noqa: N803
        assert QueueUrl == "queue"
        held = (self.now() - self.received_at[ReceiptHandle]).total_seconds()
        if not 0 <= VisibilityTimeout <= LONGEST_INVISIBLE or held + VisibilityTimeout > LONGEST_INVISIBLE:
            message = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"
            error = {"Code": "InvalidParameterValue", "Message": message}
            raise ClientError({"Error": error}, "ChangeMessageVisibility")
        self.waits[ReceiptHandle] = VisibilityTimeout

    def send_message(self, *, QueueUrl: str, MessageBody: str, MessageAttributes: Any) -> None:  # noqa: N803
        assert QueueUrl == "dead letters"
        self.buried.append({"body": MessageBody, "reason": MessageAttributes["reason"]["StringValue"]})


@dataclass
class Receiver:
    """Takes every notice, or does what the test wants."""

    does: Callable[[Notice], Receipt] = lambda _: Receipt(200)
    receiver_deduplicates: bool = True
    gathers: Callable[[Notice, timedelta], Sequence[Notice]] = lambda notice, _: [notice]
    got: list[str] = field(default_factory=list)
    together: list[list[str]] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def gather(self, notice: Notice, age: timedelta) -> Sequence[Notice]:
        return self.gathers(notice, age)

    def deliver(self, notices: Sequence[Notice]) -> Receipt:
        with self.lock:
            self.got += [notice.event_id for notice in notices]
            self.together.append([notice.event_id for notice in notices])
        return self.does(notices[0])


@dataclass
class Post:
    """One destination over a table in memory."""

    receiver: Receiver = field(default_factory=Receiver)
    now: datetime = NOW
    aws: Faulty = field(default_factory=lambda: Faulty(Memory()))
    time_left: float = 60.0
    sqs: Sqs = field(init=False)

    def __post_init__(self) -> None:
        self.sqs = Sqs(lambda: self.now)

    def deliver(self, *messages: dict[str, Any]) -> Result:
        self.sqs.received_at |= {message["receiptHandle"]: self.now for message in messages}
        queue = Queue(self.sqs, "queue", "dead letters")
        ledger = Ledger(self.table, "team", LEASE)
        post = Deliveries(queue, ledger, self.standing, self.receiver, RetryClock(), lambda: self.now)
        return post.deliver(messages, lambda: self.time_left)

    @property
    def table(self) -> Table:
        return Table(self.aws, "history")

    @property
    def entries(self) -> Entries:
        return Entries(self.table, timedelta(days=400), timedelta(days=30))

    @property
    def standing(self) -> Standing:
        return Standing(Destinations(self.table), self.entries, "team", "slack")

    @property
    def head(self) -> DestinationHead:
        return self.standing.head()

    @property
    def told(self) -> list[Entry]:
        """What the destination's own history tells the others."""
        return list(self.entries.of_destination("team"))

    @property
    def ledger(self) -> list[Delivery]:
        return list(deliveries(self.table, KEY))

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)
