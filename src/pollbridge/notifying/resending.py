"""Sending again: what failed, what a destination missed while it was disabled, what somebody asks for."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from pollbridge.config import Configuration
from pollbridge.history.destinations import Destinations
from pollbridge.history.ledger import Claimed, Delivery, Ledger, Status, deliveries_of
from pollbridge.history.table import Table
from pollbridge.history.timeline import Timeline, Told
from pollbridge.matching import mismatch
from pollbridge.notifying.notice import Notice
from pollbridge.notifying.outcomes import CHUNK
from pollbridge.notifying.retries import LEASE
from pollbridge.routing import SOURCE, pattern

THREADS = 8

GLANCE = 120
"""Seconds for which a dead letter that is looked at stays invisible, at the longest."""

LISTEN = 1
"""Seconds until there is nothing more: asked without waiting, SQS looks at some of its servers only.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html"""

TEN = 10
"""Messages that one call to SQS can be about."""

ROUNDS = 3
"""Times that SQS is asked for dead letters by `drop_near_letters`."""

HOLD = 30
"""Seconds for which a letter that it looked at stays invisible where it could not be put back."""

RECOVERED = frozenset({Status.FAILED, Status.DISABLED})
"""What `recover` sends again, beside what was never taken up, or is pending with no message left to bring it back. What
was maybe sent is not repeated."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """An event whose delivery did not arrive, or was never begun."""

    told: Told
    delivery: Delivery | None


@dataclass(slots=True)
class Recovery:
    """What a destination was sent again."""

    sent: Counter[str] = field(default_factory=Counter)
    """By what had become of it before: failed, disabled, pending (forsaken), missed."""
    left: Counter[str] = field(default_factory=Counter)
    """By why it was not: delivered, pending, maybe_sent."""
    letters: int = 0
    """Dead letters that were taken out of their queue: their events were sent again, or have arrived since."""


@dataclass(frozen=True, slots=True)
class Resending:
    """Puts events of the history into a destination's queue, past whatever the ledger says of them."""

    sqs: Any
    table: Table
    configuration: Configuration
    queues: Mapping[str, Mapping[str, str]]
    """By destination: the addresses of its `queue` and of its `dead_letter` queue."""

    def find(self, event_id: str, until: datetime) -> Told | None:
        """An event of the history; failing that, of a destination's dead letters."""
        since = until - self.configuration.history.retain - timedelta(days=1)
        for told in Timeline(self.table).newest_first(since, until):
            if told.event_id == event_id:
                return told
        for name in self.queues:
            letters = self._letters(name)
            self._put_back(name, letters)
            for letter in letters:
                if letter.told and letter.told.event_id == event_id:
                    return letter.told
        return None

    def hears_of(self, destination: str) -> Callable[[Told], bool]:
        """Whether the destination's rule lets an event through."""
        wanted = pattern(self.configuration.destinations[destination].match, destination)
        return lambda told: mismatch(wanted, _event(told)) is None

    def send(self, told: Told, destination: str, now: datetime, seen: tuple[Status | None, ...] = ()) -> None:
        """Have an event delivered once more, under the same id.

        Raises Claimed while it is being delivered, or if its delivery is not in a state that was `seen`, see
        Ledger.again.
        """
        version = int(json.loads(told.event)["version"])
        ledger = Ledger(self.table, destination, LEASE)
        requeued = ledger.again(told.pk, told.event_id, version, now, seen)
        body = json.dumps({**_event(told), "resent": True}, ensure_ascii=False, separators=(",", ":"))
        try:
            self.sqs.send_message(QueueUrl=self.queues[destination]["queue"], MessageBody=body)
        except BaseException:
            # What may be in no queue is not under way, and a retry that was waiting still is.
            ledger.restore(requeued)
            raise

    def recover(
        self,
        destination: str,
        since: datetime,
        until: datetime,
        now: datetime,
        *,
        done: Callable[[int], None] = lambda _: None,
        only_count: bool = False,
    ) -> Recovery:
        """Send everything that the destination should have heard of since then, and didn't.

        `done` is told how many events were looked at.
        """
        recovery, arrives = Recovery(), set[str]()
        events = Timeline(self.table).oldest_first(since, until)
        with ThreadPoolExecutor(THREADS) as pool:
            for chunk in _chunks(filter(self.hears_of(destination), events), CHUNK):
                wrong = []
                for told, delivery in self._with_deliveries(chunk, destination):
                    if delivery is None or delivery.status in RECOVERED or delivery.forsaken(now):
                        wrong.append(Wrong(told, delivery))
                    else:
                        recovery.left[delivery.status] += 1
                        if delivery.status is Status.DELIVERED:
                            arrives.add(told.event_id)
                send = (lambda _: True) if only_count else (lambda one: self._again(one, destination, now))
                # One job's events go one after the other, in their order.
                for one, sent in itertools.chain(*pool.map(partial(_each, send), _by_subject(wrong))):
                    if sent:
                        recovery.sent[one.delivery.status if one.delivery else "missed"] += 1
                        arrives.add(one.told.event_id)
                    else:
                        recovery.left[Status.PENDING] += 1
                done(len(chunk))
        if not only_count:
            recovery.letters = self.drop_letters(destination, arrives)
        return recovery

    def _again(self, wrong: Wrong, destination: str, now: datetime) -> bool:
        try:
            self.send(wrong.told, destination, now, seen=(wrong.delivery.status if wrong.delivery else None,))
        except Claimed:
            return False
        return True

    def _with_deliveries(self, chunk: list[Told], destination: str) -> Iterator[tuple[Told, Delivery | None]]:
        found = deliveries_of(self.table, [(told.pk, told.event_id) for told in chunk], [destination])
        for told in chunk:
            yield told, found.get((told.event_id, destination))

    def drop_letters(self, destination: str, sent: Container[str]) -> int:
        """Take the dead letters of these events out of their queue. Returns how many there were."""
        letters = self._letters(destination)
        gone = [letter for letter in letters if letter.told and letter.told.event_id in sent]
        stays = [letter for letter in letters if not (letter.told and letter.told.event_id in sent)]
        for few in _chunks(gone, TEN):
            entries = [{"Id": str(n), "ReceiptHandle": letter.receipt} for n, letter in enumerate(few)]
            self.sqs.delete_message_batch(QueueUrl=self._dead_letter_url(destination), Entries=entries)
        self._put_back(destination, stays)
        return len(gone)

    def drop_near_letters(self, destination: str, sent: Container[str]) -> None:
        """The same for the few dead letters that SQS has at hand: for whoever is waited for.

        Each is a call of its own: AWS allows a batch to whoever may do it singly, the emulator does not.
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
        """
        url = self._dead_letter_url(destination)
        gone, stays = list[str](), list[str]()
        try:
            for _ in range(ROUNDS):
                answer = self.sqs.receive_message(
                    QueueUrl=url, MaxNumberOfMessages=TEN, VisibilityTimeout=HOLD, WaitTimeSeconds=0
                )
                for message in answer.get("Messages", ()):
                    told = _told(message["Body"])
                    (gone if told and told.event_id in sent else stays).append(message["ReceiptHandle"])
            for receipt in gone:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=receipt)
        finally:
            for receipt in stays:
                self.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=0)

    def _letters(self, destination: str) -> list[_Letter]:
        """All the dead letters, each once. They are invisible until they are put back."""
        letters: dict[str, _Letter] = {}
        while True:
            answer = self.sqs.receive_message(
                QueueUrl=self._dead_letter_url(destination),
                MaxNumberOfMessages=TEN,
                VisibilityTimeout=GLANCE,
                WaitTimeSeconds=LISTEN,
            )
            before = len(letters)
            for message in answer.get("Messages", ()):
                letters[message["MessageId"]] = _Letter(message["ReceiptHandle"], _told(message["Body"]))
            if len(letters) == before:
                return list(letters.values())

    def _put_back(self, destination: str, letters: Iterable[_Letter]) -> None:
        for few in _chunks(letters, TEN):
            entries = [
                {"Id": str(n), "ReceiptHandle": letter.receipt, "VisibilityTimeout": 0} for n, letter in enumerate(few)
            ]
            self.sqs.change_message_visibility_batch(QueueUrl=self._dead_letter_url(destination), Entries=entries)

    def _dead_letter_url(self, destination: str) -> str:
        return self.queues[destination]["dead_letter"]

    def disabled(self, destination: str) -> datetime | None:
        """Since when the destination is disabled; None when it isn't."""
        disabled = Destinations(self.table).head(destination).disabled
        return disabled.since if disabled else None

    def waits(self, destination: str, now: datetime) -> datetime | None:
        """Until when the destination asks to be left alone; None when it doesn't."""
        until = Destinations(self.table).head(destination).waits_until
        return until if until and until > now else None


@dataclass(frozen=True, slots=True)
class _Letter:
    receipt: str
    told: Told | None


def _told(body: str) -> Told | None:
    try:
        notice = Notice.read(body)
        return Told(notice.pk, notice.event_id, notice.detail_type, json.dumps(notice.detail, ensure_ascii=False))
    except ValueError:
        return None


def _event(told: Told) -> dict[str, Any]:
    """In EventBridge's envelope, as far as we read it."""
    return {"source": SOURCE, "detail-type": told.detail_type, "detail": json.loads(told.event)}


def _by_subject(wrong: Iterable[Wrong]) -> Collection[list[Wrong]]:
    found: dict[str, list[Wrong]] = {}
    for one in wrong:
        found.setdefault(one.told.pk, []).append(one)
    return found.values()


def _each(send: Callable[[Wrong], bool], wrong: Iterable[Wrong]) -> list[tuple[Wrong, bool]]:
    return [(one, send(one)) for one in wrong]


T = TypeVar("T")


def _chunks(every: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(every)
    while chunk := list(itertools.islice(remaining, size)):
        yield chunk
