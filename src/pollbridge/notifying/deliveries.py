"""From a destination's queue to its receiver: claim, deliver, write down, and wait or give up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pollbridge.history.destinations import DestinationHead
from pollbridge.history.ledger import Attempt, Claimed, Delivery, Ledger, NotDue, Status
from pollbridge.history.table import LostRace
from pollbridge.model.instant import iso
from pollbridge.model.job import clip
from pollbridge.notifying.notice import DeliveryError, Notice, Notifier, NotYet, Treatment
from pollbridge.notifying.retries import ELSEWHERE, LONGEST, OLDEST, STEPS, RetryClock
from pollbridge.notifying.standing import Standing

NO_TIME = 35.0
"""Seconds: with less than this left of the invocation no attempt is begun. A card takes three calls of ten."""

RESPONSE_KEPT = 2048
"""Bytes of a receiver's answer that the ledger keeps."""

SOON = timedelta(seconds=1)

OFTEN, SELDOM = 500, timedelta(minutes=5)
"""A message that came so often waits at least so long: SQS itself gives up what it handed out 1,000 times, and what is
only put off is not to be given up before its age says so."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A destination's queue and its dead-letter queue."""

    client: Any
    url: str
    dead_letter_url: str

    def put_off(self, message: Mapping[str, Any], wait: timedelta) -> None:
        """Bring the message back after that time. The caller reports it as failed, so that it isn't deleted."""
        self.client.change_message_visibility(
            QueueUrl=self.url, ReceiptHandle=message["receiptHandle"], VisibilityTimeout=int(wait.total_seconds())
        )

    def bury(self, message: Mapping[str, Any], why: str) -> None:
        """Keep the message, whole, where a person can find and resend it."""
        self.client.send_message(
            QueueUrl=self.dead_letter_url,
            MessageBody=message["body"],
            MessageAttributes={"reason": {"DataType": "String", "StringValue": why[:256] or "-"}},
        )


@dataclass(slots=True)
class Result:
    """What became of a batch: the messages that come back, and how many went which way."""

    back: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    """What broke on our side, by its type."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """An event that goes out now, and its delivery, which is claimed."""

    notice: Notice
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Delivers a queue's messages at least once; the ledger makes a redelivered message a no-op."""

    queue: Queue
    ledger: Ledger
    standing: Standing
    notifier: Notifier
    clock: RetryClock = field(default_factory=RetryClock)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def deliver(self, messages: Sequence[Mapping[str, Any]], time_left: Callable[[], float]) -> Result:
        """One bad message never harms the others."""
        result = Result()
        for message in messages:
            try:
                way = self._one(message) if time_left() > NO_TIME else self._put_off(message, SOON)
            except LostRace:
                way = "already_done"
            except Exception as error:  # noqa: BLE001 - one message never harms the others
                # The table's or the queue's trouble: the message comes back by itself when it is visible again.
                way = "broke"
                result.errors[type(error).__name__] += 1
            result.counts[way] += 1
            if way in {"retried", "put_off", "broke"}:
                result.back.append(message["messageId"])
        return result

    def _one(self, message: Mapping[str, Any]) -> str:
        try:
            notice = Notice.read(message["body"])
        except ValueError as error:
            self.queue.bury(message, str(error))
            return "unreadable"
        return self._told(message, notice)

    def _told(self, message: Mapping[str, Any], notice: Notice) -> str:
        head, now = self.standing.head(), self.now()
        try:
            if head.disabled:
                self.ledger.close(notice.pk, notice.event_id, notice.version, Status.DISABLED, now)
                return "disabled"
            if head.waits_until and head.waits_until > now:
                raise NotYet(head.waits_until - now)
            parcels = self._claimed(notice, self.notifier.gather(notice, self._age(message)), now)
        except NotYet as soon:
            return self._later(message, notice, soon.pause)
        except Claimed:
            return self._later(message, notice, ELSEWHERE)
        except NotDue as early:
            return self._put_off(message, early.until - now)
        return self._attempt(message, parcels, head) if parcels else "already_done"

    def _claimed(self, notice: Notice, together: Sequence[Notice], now: datetime) -> list[Parcel]:
        """Those of the notices that are not delivered yet, claimed, this one first; nothing if it is delivered."""
        parcels: list[Parcel] = []
        for each in together:
            try:
                delivery = self.ledger.claim(each.pk, each.event_id, each.version, now)
            except (Claimed, NotDue):
                # Whoever holds the first of them tells them all.
                if each == notice or not parcels:
                    self._release(parcels)
                    raise
                continue
            if not delivery.status.finished:
                parcels.append(Parcel(each, delivery))
            elif each == notice:
                self._release(parcels)
                return []
        return sorted(parcels, key=lambda parcel: parcel.notice != notice)

    def _attempt(self, message: Mapping[str, Any], parcels: list[Parcel], head: DestinationHead) -> str:
        at, started = self.now(), time.monotonic()
        try:
            receipt = self.notifier.deliver([parcel.notice for parcel in parcels])
        except NotYet as soon:
            self._release(parcels)
            return self._later(message, parcels[0].notice, soon.pause)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is an attempt
            # A message that can't even be made counts as an attempt, or it would come back a thousand times.
            broke = DeliveryError(f"the notifier broke: {type(error).__name__}")
            failure = error if isinstance(error, DeliveryError) else broke
            attempt = _attempt(at, started, failure.outcome, failure.code, failure.response)
            return self._failed(message, parcels, attempt, failure, head)
        attempt = _attempt(at, started, "delivered", receipt.code)
        self._finish(parcels, Status.DELIVERED, attempt)
        self.standing.succeeded()
        return "delivered"

    def _failed(
        self,
        message: Mapping[str, Any],
        parcels: list[Parcel],
        attempt: Attempt,
        error: DeliveryError,
        head: DestinationHead,
    ) -> str:
        if error.maybe_sent and not self.notifier.receiver_deduplicates:
            # First of all: until it is written down, it could be sent again.
            self._finish(parcels, Status.MAYBE_SENT, attempt)
            self.standing.failed(head, self.now(), error)
            return "maybe_sent"
        self.standing.failed(head, self.now(), error)
        [parcel, *others] = parcels
        pause = self._pause(message, parcel.delivery, error)
        if pause is None:
            self._release(others)
            self.queue.bury(message, error.outcome)
            self.ledger.finish(parcel.delivery, Status.FAILED, attempt, None)
            return "failed"
        counts, until = error.treatment is Treatment.RETRY, self.now() + pause
        if error.wait:
            self.standing.told_to_wait(until)
        # The others have messages of their own, which count their attempts.
        self._release(others, until)
        self.ledger.finish(parcel.delivery, Status.PENDING, attempt if counts else None, until)
        self._put_off(message, pause)
        return "retried" if counts else "put_off"

    def _pause(self, message: Mapping[str, Any], delivery: Delivery, error: DeliveryError) -> timedelta | None:
        """How long until the next attempt; None when there is none."""
        if error.treatment is Treatment.LATER and self._age(message) <= OLDEST:
            # Being told to come later exhausts nothing.
            return error.wait or self.clock.wait(min(delivery.tries + 1, len(STEPS)), error.retry_after)
        return self.clock.wait(delivery.tries + 1, error.retry_after) if error.treatment is Treatment.RETRY else None

    def _finish(self, parcels: Sequence[Parcel], status: Status, attempt: Attempt) -> None:
        for parcel in parcels[1:]:
            with suppress(LostRace):
                self.ledger.finish(parcel.delivery, status, attempt, None)
        self.ledger.finish(parcels[0].delivery, status, attempt, None)

    def _release(self, parcels: Sequence[Parcel], until: datetime | None = None) -> None:
        for parcel in parcels:
            with suppress(LostRace):
                self.ledger.finish(parcel.delivery, Status.PENDING, None, until)

    def _later(self, message: Mapping[str, Any], notice: Notice, pause: timedelta) -> str:
        if self._age(message) <= OLDEST:
            return self._put_off(message, pause)
        self.queue.bury(message, "put off for too long")
        with suppress(Claimed):
            self.ledger.close(notice.pk, notice.event_id, notice.version, Status.FAILED, self.now())
        return "failed"

    def _age(self, message: Mapping[str, Any]) -> timedelta:
        sent_at = int(message["attributes"]["SentTimestamp"]) / 1000
        return self.now() - datetime.fromtimestamp(sent_at, UTC)

    def _put_off(self, message: Mapping[str, Any], pause: timedelta) -> str:
        often = int(message["attributes"]["ApproximateReceiveCount"]) > OFTEN
        self.queue.put_off(message, min(max(pause, SELDOM if often else SOON), LONGEST))
        return "put_off"


def _attempt(at: datetime, started: float, outcome: str, code: int | None, response: str | None = None) -> Attempt:
    latency = int((time.monotonic() - started) * 1000)
    kept = clip(response, RESPONSE_KEPT) if response else None
    return Attempt(at=iso(at), outcome=outcome, code=code, latency_ms=latency, response=kept)
