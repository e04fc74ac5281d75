"""A deployment whose destinations have their queues in moto, a table in memory, and receivers that do as told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pollbridge import config
from pollbridge.aws import client
from pollbridge.cli.deployment import Deployment
from pollbridge.history.destinations import Destinations
from pollbridge.history.entries import Entries, Entry
from pollbridge.history.ledger import Delivery, Ledger, deliveries
from pollbridge.history.table import Table
from pollbridge.model.event import Event
from pollbridge.model.instant import read_iso
from pollbridge.model.job import JobKey
from pollbridge.notifying.deliveries import Deliveries, Queue, Result
from pollbridge.notifying.notice import DeliveryError, Notice, Receipt, Treatment
from pollbridge.notifying.resending import Resending
from pollbridge.notifying.retries import RetryClock
from pollbridge.notifying.standing import Standing
from pollbridge.notifying.worker import LEASE
from pollbridge.routing import SOURCE
from tests.kit.envelopes import TYPES
from tests.kit.faults import Faulty
from tests.kit.receiving import Receiver
from tests.kit.telling import Dated, changed

DESTINATIONS: dict[str, dict[str, Any]] = {
    "team": {"type": "slack", "secret": "t", "match": {"state": ["succeeded", "failed", "running"]}},
    "service": {"type": "webhook", "secret": "w", "match": {"detail_type": [*TYPES]}},
}
WALL = datetime(2026, 6, 8, 12, 0, tzinfo=UTC)


def refusing(notice: Notice) -> Receipt:
    raise DeliveryError("HTTP 400", Treatment.GIVE_UP, code=400, response="no such thing")


def closing(notice: Notice) -> Receipt:
    raise DeliveryError("HTTP 410", Treatment.DISABLE, code=410)


def breaking(notice: Notice) -> Receipt:
    raise DeliveryError("HTTP 500", code=500, response="out of order")


def taking(notice: Notice) -> Receipt:
    return Receipt(200)


class Prompt:
    """SQS that never waits for messages to come, and where no message stays invisible longer than told."""

    def __init__(self, sqs: Any) -> None:
        self.sqs = sqs
        self.waited: list[int] = []
        self.broken = False
        self.queued: Callable[[], object] = lambda: None
        """What happens as soon as something is in a destination's queue."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sqs, name)

    def receive_message(self, *, WaitTimeSeconds: int = 0, **wish: Any) -> Any:  # noqa: N803 - boto3's
        self.waited.append(WaitTimeSeconds)
        return self.sqs.receive_message(**wish)

    def send_message(self, **wish: Any) -> Any:
        if self.broken:
            raise TimeoutError("SQS is gone")
        answer = self.sqs.send_message(**wish)
        if not wish["QueueUrl"].endswith("dead_letter"):
            self.queued()
        return answer


@dataclass
class Office:
    """To be made within moto. `now` is the notifiers' clock, the commands have the wall's."""

    destinations: dict[str, dict[str, Any]] = field(default_factory=lambda: DESTINATIONS)
    stack: str = "Pollbridge"
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    aws: Faulty = field(default_factory=lambda: Faulty(Dated()))
    does: dict[str, Callable[[Notice], Receipt]] = field(default_factory=dict)
    """What a destination's receiver does with a notice; else it takes it."""
    got: list[tuple[str, str]] = field(default_factory=list)
    """Destination and event id of all that arrived, in its order."""

    def __post_init__(self) -> None:
        self.sqs = Prompt(client("sqs"))
        self.parts = {name: self._queues(name) for name in self.destinations}

    def _queues(self, name: str) -> dict[str, str]:
        urls = {
            part: self.sqs.create_queue(QueueName=f"{self.stack}-Notifying{name}{part}")["QueueUrl"]
            for part in ("queue", "dead_letter")
        }
        return {"function": f"{self.stack}-{name}", **urls}

    @property
    def deployment(self) -> Deployment:
        values = {"vendors": {"oration": {"secret": "s"}}, "destinations": self.destinations}
        settings = config.check(values, "test")
        return Deployment(self.stack, self.table, "pollbridge", settings, {"destinations": self.parts})

    @property
    def table(self) -> Table:
        return Table(self.aws, "history", pause=lambda _: None)

    @property
    def entries(self) -> Entries:
        return Entries(self.table, timedelta(days=400), timedelta(days=30))

    @property
    def resending(self) -> Resending:
        return Resending(self.sqs, self.table, self.deployment.configuration, self.parts)

    def standing(self, name: str) -> Standing:
        kind = self.destinations[name]["type"]
        return Standing(Destinations(self.table), self.entries, name, kind)

    def record(self, version: int, job: JobKey, at: datetime = WALL, *, told: bool = True, **more: Any) -> Entry:
        """A change in the history."""
        event = changed(version, job, **more).model_copy(update={"observed_at": at.strftime("%Y-%m-%dT%H:%M:%SZ")})
        return self.keep(event, f"JOB#{job}", str(job), told=told)

    def keep(self, event: Event, pk: str, subject: str, *, told: bool = True) -> Entry:
        recorded_at = read_iso(event.observed_at)
        self.table.put(self.entries.entry(pk, subject, event, recorded_at, told=told))
        return next(entry for entry in self.entries._of(pk) if entry.event_id == event.id)

    def route(self, entry: Entry, *names: str) -> None:
        """What the rules do: a copy for each destination."""
        body = {"source": SOURCE, "detail-type": entry.detail_type, "detail": json.loads(entry.event)}
        for name in names:
            self.sqs.send_message(QueueUrl=self.parts[name]["queue"], MessageBody=json.dumps(body))

    def work(self, name: str) -> Result:
        """The notifier takes all that is in its queue."""
        result = Result()
        while messages := self.waiting(name, seconds=43_000):
            self._deliver(name, messages, result)
        return result

    def work_at_once(self, name: str) -> None:
        """From now on the notifier takes whatever is queued before the one who sent it goes on."""

        def queued() -> None:
            self.now = datetime.now(UTC)
            self.work(name)

        self.sqs.queued = queued

    def letters(self, name: str) -> dict[str, str]:
        """The visible dead letters: event id by message id."""
        return {one["MessageId"]: json.loads(one["Body"])["detail"]["id"] for one in self.waiting(name, "dead_letter")}

    def _deliver(self, name: str, messages: list[Mapping[str, Any]], result: Result) -> None:
        """What comes back stays in the queue, invisible; the tests' clock does not move moto's."""
        told = [_as_lambda(message, self.now) for message in messages]
        queue = Queue(self.sqs, self.parts[name]["queue"], self.parts[name]["dead_letter"])
        ledger, receiver = Ledger(self.table, name, LEASE), Receiver(self.does.get(name, taking))
        batch = Deliveries(queue, ledger, self.standing(name), receiver, RetryClock(), lambda: self.now)
        done = batch.deliver(told, lambda: 60.0)
        self.got += [(name, event_id) for event_id in receiver.got]
        for message in told:
            if message["messageId"] not in done.back:
                self.sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=message["receiptHandle"])
        result.back += done.back
        result.counts += done.counts

    def waiting(self, name: str, part: str = "queue", seconds: int = 0) -> list[Any]:
        """Up to ten messages; they are visible again after that time."""
        answer = self.sqs.sqs.receive_message(
            QueueUrl=self.parts[name][part], MaxNumberOfMessages=10, VisibilityTimeout=seconds
        )
        return list(answer.get("Messages", ()))

    def count(self, name: str, part: str = "queue") -> int:
        """Of the messages in a queue, visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self.sqs.get_queue_attributes(QueueUrl=self.parts[name][part], AttributeNames=names)["Attributes"]
        return sum(int(told[name]) for name in names)

    def visible(self, name: str, part: str) -> int:
        wanted = ["ApproximateNumberOfMessages"]
        told = self.sqs.get_queue_attributes(QueueUrl=self.parts[name][part], AttributeNames=wanted)
        return int(told["Attributes"][wanted[0]])

    def ledger(self, job: JobKey) -> list[Delivery]:
        return list(deliveries(self.table, job))


def _as_lambda(message: Mapping[str, Any], sent_at: datetime) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": {"SentTimestamp": str(int(sent_at.timestamp() * 1000)), "ApproximateReceiveCount": "1"},
    }
