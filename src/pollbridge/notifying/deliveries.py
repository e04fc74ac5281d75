"""From a destination's queue to its receiver: claim, deliver, write down, and wait or give up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pollbridge.history.ledger import Attempt, Claimed, Delivery, Ledger, Status
from pollbridge.history.table import LostRace
from pollbridge.model.instant import iso
from pollbridge.notifying.notice import DeliveryError, Notice, Notifier, Treatment
from pollbridge.notifying.retries import ELSEWHERE, OLDEST, wait

TOO_MANY_REQUESTS = 429

NO_TIME = 15.0
"""Seconds: with less than this left of the invocation no attempt is begun."""


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
class Deliveries:
    """Delivers a queue's messages at least once; the ledger makes a redelivered message a no-op."""

    queue: Queue
    ledger: Ledger
    notifier: Notifier
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def deliver(self, messages: Sequence[Mapping[str, Any]], time_left: Callable[[], float]) -> Result:
        """One bad message never harms the others."""
        result = Result()
        for message in messages:
            try:
                way = self._one(message) if time_left() > NO_TIME else self._put_off(message, timedelta(seconds=1))
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
        try:
            delivery = self.ledger.claim(notice.pk, notice.event_id, notice.version, self.now())
        except Claimed:
            return self._later(message, ELSEWHERE)
        if delivery.status.finished:
            return "already_done"
        return self._attempt(message, notice, delivery)

    def _attempt(self, message: Mapping[str, Any], notice: Notice, delivery: Delivery) -> str:
        at, started = self.now(), time.monotonic()
        try:
            receipt = self.notifier.deliver(notice)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is an attempt
            # A message that can't even be made counts as an attempt, or it would come back a thousand times.
            broke = DeliveryError(f"the notifier broke: {type(error).__name__}")
            failure = error if isinstance(error, DeliveryError) else broke
            return self._failed(message, delivery, _attempt(at, started, failure.outcome, failure.code), failure)
        self.ledger.finish(delivery, Status.DELIVERED, _attempt(at, started, "delivered", receipt.code), None)
        return "delivered"

    def _failed(self, message: Mapping[str, Any], delivery: Delivery, attempt: Attempt, error: DeliveryError) -> str:
        pause = (
            None
            if error.treatment in {Treatment.GIVE_UP, Treatment.DISABLE}
            else wait(len(delivery.attempts) + 1, error.retry_after)
        )
        if error.code == TOO_MANY_REQUESTS and pause:
            # Being told to come later exhausts nothing; the message's age bounds it.
            if not self._too_old(message):
                self.ledger.finish(delivery, Status.PENDING, None, self.now() + pause)
                return self._put_off(message, pause)
            pause = None
        if error.maybe_sent and not self.notifier.receiver_deduplicates:
            self.ledger.finish(delivery, Status.MAYBE_SENT, attempt, None)
            return "maybe_sent"
        if pause is None:
            self.queue.bury(message, error.outcome)
            self.ledger.finish(delivery, Status.FAILED, attempt, None)
            return "failed"
        self.ledger.finish(delivery, Status.PENDING, attempt, self.now() + pause)
        self.queue.put_off(message, pause)
        return "retried"

    def _later(self, message: Mapping[str, Any], pause: timedelta) -> str:
        if self._too_old(message):
            self.queue.bury(message, "put off for too long")
            return "failed"
        return self._put_off(message, pause)

    def _too_old(self, message: Mapping[str, Any]) -> bool:
        sent_at = int(message["attributes"]["SentTimestamp"]) / 1000
        return self.now().timestamp() - sent_at > OLDEST.total_seconds()

    def _put_off(self, message: Mapping[str, Any], pause: timedelta) -> str:
        self.queue.put_off(message, pause)
        return "put_off"


def _attempt(at: datetime, started: float, outcome: str, code: int | None) -> Attempt:
    latency = int((time.monotonic() - started) * 1000)
    return Attempt(at=iso(at), outcome=outcome, code=code, latency_ms=latency)
