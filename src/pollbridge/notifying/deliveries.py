"""From a destination's queue to its receiver: claim, deliver, write down, and wait or give up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from pollbridge.history.destinations import DestinationHead
from pollbridge.history.ledger import Attempt, Claimed, Delivery, Ledger, NotDue, Status
from pollbridge.history.table import LostRace
from pollbridge.model.instant import iso
from pollbridge.model.job import clip
from pollbridge.notifying.fate import Fate, Parcel, Result
from pollbridge.notifying.notice import DeliveryError, Notice, Notifier, NotYet, Treatment
from pollbridge.notifying.retries import ELSEWHERE, LONGEST, OLDEST, STEPS, RetryClock, may_wait
from pollbridge.notifying.standing import Standing

NO_TIME = 35.0
"""Seconds: with less than this left of the invocation no attempt is begun. A card whose message is gone takes three
calls of ten (http.DEADLINE), and five are for the queue and the table. A function that ends in the middle tells Slack
twice."""

RESPONSE_KEPT = 2048
"""Bytes of a receiver's answer that the ledger keeps."""

SOON = timedelta(seconds=1)

THREADS = 8

FORGOTTEN = "put off for too long"

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
            notice = _read(message)
            try:
                fate = self._one(message, notice) if time_left() > NO_TIME else self._leave(message, SOON, "no time")
            except LostRace:
                fate = Fate("already_done")
            except Exception as error:  # noqa: BLE001 - one message never harms the others
                fate = self._broke(message, type(error).__name__)
                result.errors[type(error).__name__] += 1
            result.add(message, notice if isinstance(notice, Notice) else None, fate)
        return result

    def _one(self, message: Mapping[str, Any], notice: Notice | ValueError) -> Fate:
        if isinstance(notice, ValueError):
            self.queue.bury(message, str(notice))
            return Fate("unreadable", reason=str(notice))
        return self._told(message, notice)

    def _told(self, message: Mapping[str, Any], notice: Notice) -> Fate:
        head, now = self.standing.head(), self.now()
        known = self.ledger.of(notice.pk, notice.event_id)
        if known and known.status.finished:
            return Fate("already_done")
        try:
            if head.disabled:
                self.ledger.close(notice.pk, notice.event_id, notice.version, Status.DISABLED, now)
                return Fate("disabled", reason=head.disabled.reason)
            if head.waits_until and head.waits_until > now:
                raise NotYet(head.waits_until - now)
            if known:
                known.check(now)
            together = self.notifier.gather(notice, self._age(message), known.tries if known else 0)
            parcels = self._claimed(notice, together, now)
        except NotYet as soon:
            return self._later(message, notice, soon.pause, known)
        except Claimed:
            return self._leave(message, ELSEWHERE, "claimed elsewhere")
        except NotDue as early:
            return self._leave(message, early.until - now, "not due yet")
        return self._attempt(message, parcels, head) if parcels else Fate("already_done")

    def _claimed(self, notice: Notice, together: Sequence[Notice], now: datetime) -> list[Parcel]:
        """Those of the notices that are not delivered yet, claimed, this one first; nothing if it is delivered.

        Raises Claimed or NotDue when this one can't be had.
        """

        def take(each: Notice) -> Delivery | Claimed | NotDue:
            try:
                return self.ledger.claim(each.pk, each.event_id, each.version, now)
            except (Claimed, NotDue) as refusal:
                return refusal

        taken = {together[0].event_id: take(together[0])}
        if isinstance(refusal := taken[together[0].event_id], Claimed):
            raise refusal  # Whoever holds the first of them tells them all.
        taken |= zip((each.event_id for each in together[1:]), _side_by_side(take, together[1:]), strict=True)
        parcels = [
            Parcel(each, delivery)
            for each in together
            if isinstance(delivery := taken[each.event_id], Delivery) and not delivery.status.finished
        ]
        own = taken[notice.event_id]
        if isinstance(own, Delivery) and not own.status.finished:
            return sorted(parcels, key=lambda parcel: parcel.notice.event_id != notice.event_id)
        self._release(parcels)
        if isinstance(own, Delivery):
            return []
        raise own

    def _attempt(self, message: Mapping[str, Any], parcels: list[Parcel], head: DestinationHead) -> Fate:
        at, started = self.now(), time.monotonic()
        try:
            receipt = self.notifier.deliver([parcel.notice for parcel in parcels])
        except NotYet as soon:
            self._release(parcels)
            return self._later(message, parcels[0].notice, soon.pause, parcels[0].delivery)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is an attempt
            # A message that can't even be made counts as an attempt, or it would come back a thousand times.
            broke = DeliveryError(f"the notifier broke: {type(error).__name__}")
            failure = error if isinstance(error, DeliveryError) else broke
            attempt = _attempt(at, started, failure.outcome, failure.code, failure.response)
            return self._failed(message, parcels, attempt, failure, head)
        attempt = _attempt(at, started, "delivered", receipt.code)
        self._write_down(parcels, Status.DELIVERED, attempt)
        self.standing.succeeded()
        return Fate("delivered", attempt, parcels)

    def _failed(
        self,
        message: Mapping[str, Any],
        parcels: list[Parcel],
        attempt: Attempt,
        error: DeliveryError,
        head: DestinationHead,
    ) -> Fate:
        if error.treatment is Treatment.GIVE_UP and len(parcels) > 1:
            # What is wrong may be with another of them, or with the list.
            self._release(parcels[1:])
            return self._attempt(message, parcels[:1], head)
        if error.maybe_sent and not self.notifier.receiver_deduplicates:
            self._write_down(parcels, Status.MAYBE_SENT, attempt)
            fate = Fate("maybe_sent", attempt, parcels)
        elif error.treatment is Treatment.LATER:
            fate = self._told_to_wait(message, parcels, attempt, error)
        else:
            fate = self._refused(message, parcels, attempt, error)
        self.standing.failed(head, self.now(), error)
        return fate

    def _refused(
        self, message: Mapping[str, Any], parcels: list[Parcel], attempt: Attempt, error: DeliveryError
    ) -> Fate:
        tries = parcels[0].delivery.tries + 1
        pause = self.clock.wait(tries, error.retry_after) if error.treatment is Treatment.RETRY else None
        if pause is None or not may_wait(self._age(message), pause):
            return self._give_up(message, parcels, attempt)
        self._write_down(parcels, Status.PENDING, attempt, self.now() + pause)
        return replace(
            self._put_off(message, pause, attempt.outcome), outcome="retried", attempt=attempt, parcels=parcels
        )

    def _told_to_wait(
        self, message: Mapping[str, Any], parcels: list[Parcel], attempt: Attempt, error: DeliveryError
    ) -> Fate:
        """Being told to come later is no attempt and exhausts nothing; 36 hours of it do, and the message's age."""
        delivery, now = parcels[0].delivery, self.now()
        waited = now - (delivery.waiting_since or now)
        pause = error.wait or self.clock.wait(min(delivery.tries + 1, len(STEPS)), error.retry_after, waited) or SOON
        if waited > OLDEST or not may_wait(self._age(message), pause):
            return self._give_up(message, parcels, attempt)
        self._write_down(parcels, Status.PENDING, None, now + pause, now)
        if error.wait:
            self.standing.told_to_wait(now + pause)
        return replace(self._put_off(message, pause, attempt.outcome), attempt=attempt, parcels=parcels)

    def _give_up(self, message: Mapping[str, Any], parcels: list[Parcel], attempt: Attempt) -> Fate:
        self._release(parcels[1:])
        self.queue.bury(message, attempt.outcome)
        self._write_down(parcels[:1], Status.FAILED, attempt)
        return Fate("failed", attempt, parcels[:1])

    def _write_down(
        self,
        parcels: Sequence[Parcel],
        status: Status,
        attempt: Attempt | None,
        next_attempt_at: datetime | None = None,
        waiting_since: datetime | None = None,
    ) -> None:
        """In the ledger of every parcel. What another has finished stays so; what breaks does not keep the others."""

        def write(parcel: Parcel) -> Exception | None:
            since = None if attempt else parcel.delivery.waiting_since or waiting_since
            try:
                self.ledger.finish(parcel.delivery, status, attempt, next_attempt_at, since)
            except Exception as error:  # noqa: BLE001 - raised below, when all have been tried
                return error
            return None

        errors = [error for error in _side_by_side(write, parcels) if error]
        broken = [error for error in errors if not isinstance(error, LostRace)]
        if broken:
            raise broken[0]
        if errors and len(errors) == len(parcels):
            raise errors[0]

    def _release(self, parcels: Sequence[Parcel]) -> None:
        with suppress(LostRace):
            self._write_down(parcels, Status.PENDING, None, self.now())

    def _later(self, message: Mapping[str, Any], notice: Notice, pause: timedelta, delivery: Delivery | None) -> Fate:
        """Come back without an attempt; 36 hours of that are enough, and less where the message is old."""
        now, waiting_since = self.now(), delivery.waiting_since if delivery else None
        since = waiting_since or self.ledger.put_off(notice.pk, notice.event_id, notice.version, now)
        if now - since <= OLDEST and may_wait(self._age(message), pause):
            return self._put_off(message, pause, "not yet")
        self.queue.bury(message, FORGOTTEN)
        with suppress(Claimed):
            self.ledger.close(notice.pk, notice.event_id, notice.version, Status.FAILED, now)
        return Fate("failed", reason=FORGOTTEN)

    def _leave(self, message: Mapping[str, Any], pause: timedelta, reason: str) -> Fate:
        """Come back without a word in the ledger: another may be at work on the event."""
        if may_wait(self._age(message), pause):
            return self._put_off(message, pause, reason)
        self.queue.bury(message, FORGOTTEN)
        return Fate("failed", reason=FORGOTTEN)

    def _broke(self, message: Mapping[str, Any], error: str) -> Fate:
        """The table's or the queue's trouble: the message comes back by itself when it is visible again."""
        if not may_wait(self._age(message), timedelta()):
            with suppress(BotoCoreError, ClientError):
                self.queue.bury(message, error)
                return Fate("failed", reason=error)
        return Fate("broke", reason=error)

    def _age(self, message: Mapping[str, Any]) -> timedelta:
        sent_at = int(message["attributes"]["SentTimestamp"]) / 1000
        return self.now() - datetime.fromtimestamp(sent_at, UTC)

    def _put_off(self, message: Mapping[str, Any], pause: timedelta, reason: str) -> Fate:
        often = int(message["attributes"]["ApproximateReceiveCount"]) > OFTEN
        wait = min(max(pause, SELDOM if often else SOON), LONGEST)
        self.queue.put_off(message, wait)
        return Fate("put_off", reason=reason, wait=wait)


T = TypeVar("T")
R = TypeVar("R")


def _side_by_side(do: Callable[[T], R], many: Sequence[T]) -> list[R]:
    """In their order; a burst has hundreds, each a call to the table."""
    if len(many) < 2:
        return [do(one) for one in many]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(do, many))


def _attempt(at: datetime, started: float, outcome: str, code: int | None, response: str | None = None) -> Attempt:
    latency = int((time.monotonic() - started) * 1000)
    kept = clip(response, RESPONSE_KEPT) if response else None
    return Attempt(at=iso(at), outcome=outcome, code=code, latency_ms=latency, response=kept)


def _read(message: Mapping[str, Any]) -> Notice | ValueError:
    try:
        return Notice.read(message["body"])
    except ValueError as error:
        return error
