"""The delivery ledger: one item per event and destination, claimed before it is attempted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel

from pollbridge.history.entries import expiry
from pollbridge.history.heads import job_pk
from pollbridge.history.table import Item, LostRace, Table, key, moment, new_token, number, text
from pollbridge.model.instant import sortable
from pollbridge.model.job import JobKey

KEEP = timedelta(days=60)
"""Longer than any message can live: 14 days in the queue and 14 in its dead-letter queue."""

EARLY = timedelta(seconds=2)
"""A message that comes back by so little before its time is taken up: SQS counts in whole seconds. It is shorter than
any wait between attempts, so that a copy of the message isn't."""

ATTRIBUTES = (
    *("PK", "SK", "status", "version", "attempts", "earlier"),
    *("next_attempt_at", "claimed_until", "waiting_since"),
)

UNDER_WAY = ("claim", "claimed_until", "next_attempt_at", "waiting_since")
"""Attributes that only a pending delivery has."""

REQUEUED = ("attempts", "earlier", "next_attempt_at")
"""Attributes that every delivery has which was begun anew, and not every other."""

FORSAKEN = timedelta(hours=12)
"""A message comes back sooner than that: SQS hides a received one no longer."""


class Status(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    DISABLED = "disabled"
    MAYBE_SENT = "maybe_sent"

    @property
    def finished(self) -> bool:
        return self is not Status.PENDING


class Attempt(BaseModel):
    """One try to deliver: what came of it, in a word, with the receiver's status code if it gave one."""

    at: str
    outcome: str
    code: int | None
    latency_ms: int
    response: str | None = None
    """The beginning of what a receiver answered that did not take it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one destination."""

    pk: str
    event_id: str
    destination: str
    version: int
    status: Status
    attempts: tuple[Attempt, ...]
    earlier: int
    """How many of the attempts were made before somebody had it sent again."""
    next_attempt_at: datetime | None
    claimed_until: datetime | None
    waiting_since: datetime | None
    """Since when it has only been put off, without an attempt."""
    claim: str | None = None
    """Names the claim that holds it."""

    @property
    def tries(self) -> int:
        """Attempts that the retry clock counts."""
        return len(self.attempts) - self.earlier

    def check(self, now: datetime) -> None:
        """Whether it can be attempted now. Raises Claimed or NotDue."""
        if self.claimed_until and self.claimed_until > now:
            raise Claimed
        if self.next_attempt_at and self.next_attempt_at > now + EARLY:
            raise NotDue(self.next_attempt_at)

    def forsaken(self, now: datetime) -> bool:
        """Whether it is pending, and no message is left that would bring it back."""
        moments = [moment for moment in (self.next_attempt_at, self.claimed_until, self.waiting_since) if moment]
        return not self.status.finished and now - max(moments, default=now - 2 * FORSAKEN) > FORSAKEN


class Claimed(Exception):
    """Somebody else is delivering it at this moment."""


class NotDue(Exception):
    """It waits for its next attempt: this message came too early, or is a copy."""

    def __init__(self, until: datetime) -> None:
        super().__init__(until)
        self.until = until


def delivery_sk(event_id: str, destination: str) -> str:
    return f"DELIVERY#{event_id}#{destination}"


def delivery_of(item: Item) -> Delivery:
    _, event_id, destination = item["SK"]["S"].split("#", 2)
    return Delivery(
        pk=item["PK"]["S"],
        event_id=event_id,
        destination=destination,
        version=int(item["version"]["N"]),
        status=Status(item["status"]["S"]),
        attempts=tuple(Attempt.model_validate(attempt) for attempt in json.loads(text(item, "attempts") or "[]")),
        earlier=number(item, "earlier"),
        next_attempt_at=moment(item, "next_attempt_at"),
        claimed_until=moment(item, "claimed_until"),
        waiting_since=moment(item, "waiting_since"),
        claim=text(item, "claim"),
    )


@dataclass(frozen=True, slots=True)
class Requeued:
    """A delivery that was begun anew, and how to undo that."""

    pk: str
    event_id: str
    before: Item | None
    """The item as it was read; None where there was none."""
    token: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """The deliveries to one destination. Every write is conditional, and sets a `token` of its own."""

    table: Table
    destination: str
    lease: timedelta
    """How long a claim holds: longer than an attempt can take."""

    def claim(self, pk: str, event_id: str, version: int, now: datetime) -> Delivery:
        """Take a delivery up. Returns it as it stands; a finished one is not claimed. Raises Claimed or NotDue."""
        token = new_token()
        try:
            item = self._write(
                pk,
                event_id,
                when="(attribute_not_exists(PK) OR #status = :status) AND"
                " (attribute_not_exists(claimed_until) OR claimed_until <= :now) AND"
                " (attribute_not_exists(next_attempt_at) OR next_attempt_at <= :soon)",
                set_={
                    "status": {"S": Status.PENDING},
                    "version": {"N": str(version)},
                    "claim": {"S": token},
                    "claimed_until": {"S": sortable(now + self.lease)},
                    "expires_at": expiry(now, KEEP),
                },
                values={":now": {"S": sortable(now)}, ":soon": {"S": sortable(now + EARLY)}},
                token=token,
            )
        except LostRace as race:
            if race.item is None:
                raise Claimed from None
            delivery = delivery_of(race.item)
            if not delivery.status.finished:
                delivery.check(now)
                raise Claimed from None
            return delivery
        return delivery_of(item)

    def finish(
        self,
        delivery: Delivery,
        status: Status,
        attempt: Attempt | None,
        next_attempt_at: datetime | None,
        waiting_since: datetime | None = None,
    ) -> None:
        """Write down what an attempt came to (None: it was none), and let go of the claim.

        What comes back changes nothing where another has claimed it meanwhile. Raises LostRace on a delivery that
        another finished.
        """
        attempts = [*delivery.attempts, attempt] if attempt else delivery.attempts
        moments = {"next_attempt_at": next_attempt_at, "waiting_since": waiting_since}
        held = {} if status.finished or not delivery.claim else {":held": {"S": delivery.claim}}
        try:
            self._write(
                delivery.pk,
                delivery.event_id,
                when="#status = :pending" + (" AND claim = :held" if held else ""),
                set_={
                    "status": {"S": status},
                    "attempts": {"S": _compact(attempts)},
                    **{name: {"S": sortable(moment)} for name, moment in moments.items() if moment},
                },
                remove=["claim", "claimed_until", *(name for name, moment in moments.items() if not moment)],
                values={":pending": {"S": Status.PENDING}, **held},
            )
        except LostRace as race:
            if not (held and race.item and not delivery_of(race.item).status.finished):
                raise

    def put_off(self, pk: str, event_id: str, version: int, now: datetime) -> datetime:
        """Note that a delivery waits without an attempt. Returns since when it does."""
        try:
            self._write(
                pk,
                event_id,
                when="(attribute_not_exists(PK) OR #status = :status) AND attribute_not_exists(waiting_since)",
                set_={
                    "status": {"S": Status.PENDING},
                    "version": {"N": str(version)},
                    "waiting_since": {"S": sortable(now)},
                    "expires_at": expiry(now, KEEP),
                },
            )
        except LostRace as race:
            # It waits already; or it was finished a moment ago, as the message will find.
            return (delivery_of(race.item).waiting_since if race.item else None) or now
        return now

    def close(self, pk: str, event_id: str, version: int, status: Status, now: datetime) -> None:
        """Finish a delivery that nobody attempts; a finished one stays as it is. Raises Claimed."""
        try:
            self._write(
                pk,
                event_id,
                when="(attribute_not_exists(PK) OR #status = :pending) AND"
                " (attribute_not_exists(claimed_until) OR claimed_until <= :now)",
                set_={"status": {"S": status}, "version": {"N": str(version)}, "expires_at": expiry(now, KEEP)},
                remove=UNDER_WAY,
                values={":pending": {"S": Status.PENDING}, ":now": {"S": sortable(now)}},
            )
        except LostRace as race:
            if race.item is None or not delivery_of(race.item).status.finished:
                raise Claimed from None

    def again(
        self, pk: str, event_id: str, version: int, now: datetime, seen: tuple[Status | None, ...] = ()
    ) -> Requeued:
        """Have it delivered once more, with all the attempts of a new one, if it still is in a state that was seen.

        None of `seen` stands for no delivery; nothing at all for whatever became of it. The earlier attempts stay on
        record, without what was answered: an item takes 400 KB, however often this is done.
        Raises Claimed while it is being attempted, and where it is in another state by now.
        """
        for _ in range(2):
            item = self.table.get(pk, delivery_sk(event_id, self.destination))
            delivery = delivery_of(item) if item else None
            if seen and (delivery.status if delivery else None) not in seen:
                break
            attempts = delivery.attempts if delivery else ()
            as_read = {":read": item["token"]} if item and "token" in item else {}
            conditions = [
                "(attribute_not_exists(claimed_until) OR claimed_until <= :now)",
                "#token = :read" if as_read else "attribute_not_exists(#token)",
            ]
            requeued = Requeued(pk, event_id, item, new_token())
            try:
                self._write(
                    pk,
                    event_id,
                    when=" AND ".join(conditions),
                    set_={
                        "status": {"S": Status.PENDING},
                        "version": {"N": str(version)},
                        "attempts": {"S": _compact(one.model_copy(update={"response": None}) for one in attempts)},
                        "earlier": {"N": str(len(attempts))},
                        "next_attempt_at": {"S": sortable(now)},
                        "expires_at": expiry(now, KEEP),
                    },
                    remove=("claim", "claimed_until", "waiting_since"),
                    values={":now": {"S": sortable(now)}, **as_read},
                    token=requeued.token,
                )
            except LostRace:
                continue
            except BaseException:
                # Whether it was written is not known.
                self.restore(requeued)
                raise
            return requeued
        raise Claimed

    def restore(self, requeued: Requeued) -> None:
        """Undo `again`: the delivery is as it was read, unless anybody has written to it since.

        Where there was none a pending one stays, which nobody holds and no moment delays.
        """
        before = requeued.before or {"status": {"S": Status.PENDING}}
        kept = {name: value for name, value in before.items() if name not in {"PK", "SK", "token"}}
        with suppress(LostRace):
            self._write(
                requeued.pk,
                requeued.event_id,
                when="#token = :requeued",
                set_=kept,
                remove=[name for name in REQUEUED if name not in kept],
                values={":requeued": {"S": requeued.token}},
            )

    def _write(
        self,
        pk: str,
        event_id: str,
        *,
        when: str,
        set_: Item,
        remove: Sequence[str] = (),
        values: Item | None = None,
        token: str | None = None,
    ) -> Item:
        return self.table.update_once(
            pk,
            delivery_sk(event_id, self.destination),
            when=when,
            set_=set_,
            remove=remove,
            values=values or {},
            token=token or new_token(),
        )

    def of(self, pk: str, event_id: str) -> Delivery | None:
        """The delivery of that event, None while it is only queued."""
        item = self.table.get(pk, delivery_sk(event_id, self.destination))
        return delivery_of(item) if item else None


def _compact(attempts: Iterable[Attempt]) -> str:
    dumped = [attempt.model_dump(exclude_none=False) for attempt in attempts]
    return json.dumps(dumped, ensure_ascii=False, separators=(",", ":"))


def deliveries(table: Table, job: JobKey) -> Iterator[Delivery]:
    """Every delivery of a job's events."""
    return deliveries_in(table, job_pk(job))


def deliveries_in(table: Table, pk: str) -> Iterator[Delivery]:
    """Every delivery of the events of a job, a connection or a destination."""
    values = {":pk": {"S": pk}, ":d": {"S": "DELIVERY#"}}
    for item in table.query("PK = :pk AND begins_with(SK, :d)", values):
        yield delivery_of(item)


def deliveries_of(
    table: Table, events: Iterable[tuple[str, str]], destinations: Iterable[str]
) -> dict[tuple[str, str], Delivery]:
    """The deliveries of events, given by partition and id, to destinations: by event id and destination."""
    names = list(destinations)
    keys = [key(pk, delivery_sk(event_id, name)) for pk, event_id in events for name in names]
    found = map(delivery_of, table.batch(keys, ATTRIBUTES)) if keys else ()
    return {(delivery.event_id, delivery.destination): delivery for delivery in found}
