"""A destination's queue and receiver: messages as Lambda brings them, answers as the test says."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, Literal

from botocore.exceptions import ClientError

from pollbridge.history.destinations import DestinationHead, Destinations
from pollbridge.history.entries import Entries, Entry
from pollbridge.history.ledger import Delivery, Ledger, deliveries
from pollbridge.history.table import Table
from pollbridge.model.job import JobKey
from pollbridge.notifying.deliveries import Deliveries, Queue, Result
from pollbridge.notifying.notice import DeliveryError, Notice, Receipt
from pollbridge.notifying.retries import RetryClock
from pollbridge.notifying.standing import Standing
from pollbridge.notifying.worker import LEASE
from tests.kit.faults import WRITES, Call, Crash, Fault, Faulty
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


def message(
    number: int = 1, body: str | None = None, sent_at: datetime = NOW, *, received: int = 1, copy: str = ""
) -> dict[str, Any]:
    """As Lambda brings it, for the time that `received` says; a `copy` is a message of its own with the same event."""
    return {
        "messageId": f"message-{number}{copy}",
        "receiptHandle": f"receipt-{number}{copy}",
        "body": json.dumps(envelope(number)) if body is None else body,
        "attributes": {
            "SentTimestamp": str(int(sent_at.timestamp() * 1000)),
            "ApproximateReceiveCount": str(received),
        },
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
    gathers: Callable[[Notice, timedelta, int], Sequence[Notice]] = lambda notice, _, __: [notice]
    got: list[str] = field(default_factory=list)
    together: list[list[str]] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def gather(self, notice: Notice, age: timedelta, tries: int) -> Sequence[Notice]:
        return self.gathers(notice, age, tries)

    def deliver(self, notices: Sequence[Notice]) -> Receipt:
        with self.lock:
            self.got += [notice.event_id for notice in notices]
            self.together.append([notice.event_id for notice in notices])
        return self.does(notices[0])


def failing(**how: Any) -> Receiver:
    """Takes nothing: HTTP 500, or as the test says."""

    def fail(_: Notice) -> Receipt:
        raise DeliveryError("HTTP 500", **{"code": 500, **how})

    return Receiver(fail)


def once(fault: Fault, *words: str) -> Callable[[Call], Fault | None]:
    """At the first write in which all of these stand."""
    left = [fault]

    def plan(call: Call) -> Fault | None:
        return left.pop() if left and call.operation in WRITES and all(map(call.touches, words)) else None

    return plan


@dataclass
class Repeating:
    """A client that makes each update twice, as the SDK does when the first answer is lost."""

    client: Any
    meanwhile: Callable[[], object] = lambda: None
    """What others do between the two."""

    def __getattr__(self, operation: str) -> Any:
        return getattr(self.client, operation)

    def update_item(self, **arguments: Any) -> Any:
        self.client.update_item(**arguments)
        self.meanwhile()
        return self.client.update_item(**arguments)


DELIVERED = ("DELIVERY#", "'delivered'")
"""What stands in the write of a delivery that arrived."""


@dataclass
class Post:
    """One destination over a table in memory."""

    receiver: Any = field(default_factory=Receiver)
    now: datetime = NOW
    aws: Any = field(default_factory=lambda: Faulty(Memory()))
    time_left: float = 60.0
    name: str = "team"
    type: Literal["slack", "webhook"] = "slack"
    clock: RetryClock = field(default_factory=RetryClock)
    sqs: Sqs = field(init=False)
    queues: Any = field(init=False)
    """What speaks to the queues; a test may stand in between."""

    def __post_init__(self) -> None:
        self.queues = self.sqs = Sqs(lambda: self.now)

    def deliver(self, *messages: dict[str, Any]) -> Result:
        self.sqs.received_at |= {message["receiptHandle"]: self.now for message in messages}
        queue = Queue(self.queues, "queue", "dead letters")
        ledger = Ledger(self.table, self.name, LEASE)
        post = Deliveries(queue, ledger, self.standing, self.receiver, self.clock, lambda: self.now)
        return post.deliver(messages, lambda: self.time_left)

    @property
    def table(self) -> Table:
        return Table(self.aws, "history")

    @property
    def entries(self) -> Entries:
        return Entries(self.table, timedelta(days=400), timedelta(days=30))

    @property
    def standing(self) -> Standing:
        return Standing(Destinations(self.table), self.entries, self.name, self.type)

    @property
    def head(self) -> DestinationHead:
        return self.standing.head()

    @property
    def told(self) -> list[Entry]:
        """What the destination's own history tells the others."""
        return list(self.entries.of_destination(self.name))

    @property
    def ledger(self) -> list[Delivery]:
        return list(deliveries(self.table, KEY))

    @property
    def statuses(self) -> dict[str, str]:
        """What became of each event."""
        return {delivery.event_id: delivery.status.value for delivery in self.ledger}

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)


VISIBILITY = timedelta(minutes=6)
"""After so long a message comes back that nobody acknowledged or put off: six times the notifier's timeout."""

MOST_RECEIVES = 1000
"""SQS itself moves what was received more often to the dead letters."""

KEPT = timedelta(days=14)
"""SQS forgets a message so long after it was sent, whatever its visibility."""

BATCH = 5


@dataclass
class Mail:
    """A destination's queue in virtual time: each message comes when it is visible, again until it is done."""

    post: Post
    pace: timedelta = timedelta()
    """How long a batch takes, beside what the receiver does."""
    coming: list[tuple[datetime, int]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    receives: Counter[int] = field(default_factory=Counter)
    dropped: list[int] = field(default_factory=list)
    """What SQS itself gave up."""
    forgotten: list[int] = field(default_factory=list)
    """What was too old when it would have come back."""

    def put(self, *messages: dict[str, Any]) -> Mail:
        for message in messages:
            heapq.heappush(self.coming, (self.post.now, len(self.messages)))
            self.messages.append(message)
        return self

    def go(self, **span: float) -> Mail:
        """Until the queue is empty, or for this long."""
        end = self.post.now + timedelta(**span) if span else None
        while self.coming and not (end and self.coming[0][0] > end):
            self.post.now = max(self.post.now, self.coming[0][0])
            batch: list[int] = []
            while self.coming and len(batch) < BATCH and self.coming[0][0] <= self.post.now:
                batch.append(heapq.heappop(self.coming)[1])
            self._bring(batch)
            self.post.now += self.pace
        self.post.now = end or self.post.now
        return self

    def _bring(self, batch: list[int]) -> None:
        received, brought = self.post.now, {}
        self.post.sqs.waits.clear()
        for number in batch:
            self.receives[number] += 1
            brought[number] = message = self.messages[number]
            message["attributes"]["ApproximateReceiveCount"] = str(self.receives[number])
        try:
            back = set(self.post.deliver(*brought.values()).back)
        except Crash:
            back = {message["messageId"] for message in brought.values()}
        for number, message in brought.items():
            if message["messageId"] in back:
                self._again(number, message["receiptHandle"], received)

    def _again(self, number: int, handle: str, received: datetime) -> None:
        if self.receives[number] >= MOST_RECEIVES:
            self.dropped.append(number)
            return
        wait = self.post.sqs.waits.get(handle)
        visible = received + VISIBILITY if wait is None else self.post.now + timedelta(seconds=wait)
        sent_at = int(self.messages[number]["attributes"]["SentTimestamp"]) / 1000
        if visible >= datetime.fromtimestamp(sent_at, UTC) + KEPT:
            self.forgotten.append(number)
            return
        heapq.heappush(self.coming, (visible, number))
