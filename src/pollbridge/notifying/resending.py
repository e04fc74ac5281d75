"""Sending again: what failed, what a destination missed while it was disabled, what somebody asks for."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
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
from pollbridge.notifying.dead_letters import DeadLetters
from pollbridge.notifying.outcomes import CHUNK
from pollbridge.notifying.retries import LEASE
from pollbridge.routing import SOURCE, pattern

THREADS = 8

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
            for letter in self.dead_letters(name).all():
                if letter.is_about(event_id):
                    return letter.told
        return None

    def dead_letters(self, destination: str) -> DeadLetters:
        return DeadLetters(self.sqs, self.queues[destination]["dead_letter"])

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
        letters = [] if only_count else self.dead_letters(destination).all()
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
        # A letter that came since is of another failure.
        gone = {letter.message_id for letter in letters if letter.told and letter.told.event_id in arrives}
        recovery.letters = self.dead_letters(destination).delete(gone)
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

    def disabled(self, destination: str) -> datetime | None:
        """Since when the destination is disabled; None when it isn't."""
        disabled = Destinations(self.table).head(destination).disabled
        return disabled.since if disabled else None

    def waits(self, destination: str, now: datetime) -> datetime | None:
        """Until when the destination asks to be left alone; None when it doesn't."""
        until = Destinations(self.table).head(destination).waits_until
        return until if until and until > now else None


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
