"""Sending again: what failed, what a destination missed while it was disabled, what somebody asks for."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pollbridge.config import Configuration
from pollbridge.history.destinations import Destinations
from pollbridge.history.ledger import Claimed, Delivery, Ledger, Status, deliveries_of
from pollbridge.history.table import Table
from pollbridge.history.timeline import Timeline, Told
from pollbridge.matching import mismatch
from pollbridge.notifying.notice import Notice
from pollbridge.notifying.worker import LEASE
from pollbridge.routing import SOURCE, pattern

CHUNK = 50
"""Events whose deliveries are looked up at once."""

THREADS = 8

GLANCE = 30
"""Seconds for which a dead letter that was looked at stays invisible."""

RECOVERED = frozenset({Status.FAILED, Status.DISABLED})
"""What `recover` sends again, beside what was never taken up. What was maybe sent is not repeated."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """An event whose delivery did not arrive, or was never begun."""

    told: Told
    delivery: Delivery | None


@dataclass(slots=True)
class Recovery:
    """What a destination was sent again."""

    sent: Counter[str] = field(default_factory=Counter)
    """By what had become of it before: failed, disabled, missed."""
    left: Counter[str] = field(default_factory=Counter)
    """By why it was not: delivered, pending, maybe_sent."""
    letters: int = 0
    """Dead letters that were sent again, and taken out of their queue."""


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
            for letter in self._letters(name):
                if letter.told and letter.told.event_id == event_id:
                    return letter.told
        return None

    def hears_of(self, destination: str) -> Callable[[Told], bool]:
        """Whether the destination's rule lets an event through."""
        wanted = pattern(self.configuration.destinations[destination].match, destination)
        return lambda told: mismatch(wanted, _event(told)) is None

    def send(self, told: Told, destination: str, now: datetime) -> None:
        """Have an event delivered once more, under the same id. Raises Claimed while it is being delivered."""
        version = int(json.loads(told.event)["version"])
        Ledger(self.table, destination, LEASE).again(told.pk, told.event_id, version, now)
        body = json.dumps({**_event(told), "resent": True}, ensure_ascii=False, separators=(",", ":"))
        self.sqs.send_message(QueueUrl=self.queues[destination]["queue"], MessageBody=body)

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
        recovery, seen = Recovery(), set[str]()
        events = Timeline(self.table).oldest_first(since, until)
        with ThreadPoolExecutor(THREADS) as pool:
            for chunk in _chunks(filter(self.hears_of(destination), events)):
                wrong = []
                for told, delivery in self._with_deliveries(chunk, destination):
                    if delivery is None or delivery.status in RECOVERED:
                        wrong.append(Wrong(told, delivery))
                    else:
                        recovery.left[delivery.status] += 1
                send = (lambda _: True) if only_count else (lambda one: self._again(one.told, destination, now))
                for one, sent in zip(wrong, pool.map(send, wrong), strict=True):
                    if sent:
                        recovery.sent[one.delivery.status if one.delivery else "missed"] += 1
                    else:
                        recovery.left[Status.PENDING] += 1
                seen.update(told.event_id for told in chunk)
                done(len(chunk))
        if not only_count:
            recovery.letters = self.drop_letters(destination, seen)
        return recovery

    def _again(self, told: Told, destination: str, now: datetime) -> bool:
        try:
            self.send(told, destination, now)
        except Claimed:
            return False
        return True

    def _with_deliveries(self, chunk: list[Told], destination: str) -> Iterator[tuple[Told, Delivery | None]]:
        found = deliveries_of(self.table, [(told.pk, told.event_id) for told in chunk], [destination])
        for told in chunk:
            yield told, found.get((told.event_id, destination))

    def drop_letters(self, destination: str, sent: Container[str]) -> int:
        """Take the dead letters of these events out of their queue. Returns how many there were."""
        dropped = 0
        for letter in self._letters(destination):
            if letter.told and letter.told.event_id in sent:
                url = self.queues[destination]["dead_letter"]
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=letter.receipt)
                dropped += 1
        return dropped

    def _letters(self, destination: str) -> Iterator[_Letter]:
        """The dead letters, each once; those that are left there are visible again a little later."""
        seen: set[str] = set()
        while True:
            answer = self.sqs.receive_message(
                QueueUrl=self.queues[destination]["dead_letter"], MaxNumberOfMessages=10, VisibilityTimeout=GLANCE
            )
            fresh = [message for message in answer.get("Messages", ()) if message["MessageId"] not in seen]
            if not fresh:
                return
            for message in fresh:
                seen.add(message["MessageId"])
                yield _Letter(message["ReceiptHandle"], _told(message["Body"]))

    def disabled(self, destination: str) -> datetime | None:
        """Since when the destination is disabled; None when it isn't."""
        disabled = Destinations(self.table).head(destination).disabled
        return disabled.since if disabled else None


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


def _chunks(events: Iterable[Told]) -> Iterator[list[Told]]:
    remaining = iter(events)
    while chunk := list(itertools.islice(remaining, CHUNK)):
        yield chunk
