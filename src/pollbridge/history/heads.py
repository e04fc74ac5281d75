"""Job heads: the current item of every job, and the calendar that says when it is due."""

from __future__ import annotations

import heapq
import itertools
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

from pollbridge.history.table import HEAD, Item, LostRace, Table, key, number, setting, text
from pollbridge.model.cadence import Slot
from pollbridge.model.change import Fingerprint
from pollbridge.model.instant import epoch_minute, from_minute, iso, sortable
from pollbridge.model.job import JobKey, Snapshot, State
from pollbridge.model.state import UNSEEN

FOLLOW_TRIES = 5
"""A poll, or somebody else's watch, may write between our look at a head and our own write."""


LOST_AFTER = 3
"""404s after which a job is lost."""


FAILING_AFTER = 3
"""Failed polls in a row after which a job is called failing."""


LABELS_LIMIT = 20
"""Labels travel in every event of the job."""


AT_ONCE = 16
"""Queries at a time: half of what the client's pool of connections holds."""


PAGE = 100
"""Heads that one query for the newest in a state reads: a list seldom shows more."""


ATTRIBUTES = (
    *("PK", "incarnation", "version", "snapshot", "labels", "registered_at", "changed_at", "observed_at"),
    *("due_row", "due_slot", "poll_error", "lost", "silent", "outcome"),
)
"""All that makes a head."""


class TooManyLabels(ValueError):
    """The job has labels already, and these would be too many."""


@dataclass(frozen=True, slots=True)
class DueRow:
    """What a sweep knows of a job without reading its head. Travels packed in the due index."""

    version: int
    since: datetime
    """The last change, or the registration: what the cadence counts from."""
    seen: datetime | None
    """The job was surely asked for then, and answered; it may have been since. A slow answer tells of its beginning."""
    entered: int
    """The minute in which the job came into its slot."""
    failures: int = 0
    body_hash: str = ""
    fingerprint: Fingerprint | None = None
    error: str = ""
    """A digest of the last poll's error, so that another one is told and the same one is not written again."""
    covered: bool = False
    """The vendor's list shows the job, so that its next change will stand on top of it."""
    missed: int = 0
    """404s in a row that count; LOST_AFTER of them say that the vendor no longer knows the job."""
    missed_at: datetime | None = None
    """When the last of them came."""

    @property
    def lost(self) -> bool:
        return self.missed >= LOST_AFTER

    @property
    def failing(self) -> bool:
        return self.failures >= FAILING_AFTER

    def __str__(self) -> str:
        told: tuple[object, ...] = (
            self.version,
            _seconds(self.since),
            _seconds(self.seen) if self.seen else "-",
            self.entered,
            self.failures,
            self.body_hash or "-",
            self.fingerprint or "-",
            self.error or "-",
        )
        # Left out where they say nothing, as for most jobs: every byte of a row is read with each poll.
        if self.covered or self.missed:
            told = (*told, int(self.covered))
        if self.missed:
            told = (*told, self.missed, _seconds(self.missed_at) if self.missed_at else "-")
        return " ".join(map(str, told))

    @classmethod
    def read(cls, packed: str) -> Self:
        version, since, seen, entered, failures, body_hash, print_, error, *rest = packed.split(" ")
        covered, missed, missed_at = (*rest, *("0", "0", "-")[len(rest) :])
        return cls(
            version=int(version),
            since=_moment(since),
            seen=None if seen == "-" else _moment(seen),
            entered=int(entered),
            failures=int(failures),
            body_hash="" if body_hash == "-" else body_hash,
            fingerprint=None if print_ == "-" else Fingerprint.read(print_),
            error="" if error == "-" else error,
            covered=covered == "1",
            missed=int(missed),
            missed_at=None if missed_at == "-" else _moment(missed_at),
        )

    def last_seen(self, slot: Slot, completed: int | None) -> datetime | None:
        """The latest moment we can vouch for: no later than the job was really looked at and answered.

        An unchanged poll writes nothing, so the looks since `entered` follow from the slot and from the last
        completed tick, which stands for every due job having been answered or its failure stored.
        """
        if self.failures or completed is None:
            return self.seen
        looked = slot.last_due(completed)
        if looked <= self.entered:
            return self.seen
        return max(from_minute(looked), self.seen) if self.seen else from_minute(looked)


def _seconds(moment: datetime) -> str:
    return f"{moment.timestamp():.3f}"


def _moment(seconds: str) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)


@dataclass(frozen=True, slots=True)
class DueJob:
    """A job that a tick has to look at."""

    key: JobKey
    slot: Slot
    row: DueRow


@dataclass(frozen=True, slots=True)
class Head:
    """A job as it stands now. `snapshot` is None until the vendor has answered for it."""

    key: JobKey
    incarnation: str
    version: int
    snapshot: Snapshot | None
    labels: Mapping[str, str]
    registered_at: str
    changed_at: str
    observed_at: str | None
    row: DueRow | None
    slot: Slot | None
    poll_error: str | None
    lost: bool
    silent: bool
    """Found in a first discovery, and never told since."""
    outcome: State | None = None
    """The outcome that an archived job had before it was archived."""

    @property
    def watched(self) -> bool:
        return self.slot is not None

    @property
    def failing(self) -> str | None:
        """The error of the last poll, if that and those before it failed: three or more in a row, of a watched job."""
        return self.poll_error if self.watched and self.row and self.row.failing else None

    @property
    def state(self) -> State | None:
        return self.snapshot.state if self.snapshot else None


def _begun(heads: Iterator[Head]) -> Iterator[Head]:
    """The same heads, the first page of which has been read."""
    first = next(heads, None)
    return heads if first is None else itertools.chain((first,), heads)


def job_pk(key: JobKey) -> str:
    return f"JOB#{key}"


def job_key(pk: str) -> JobKey:
    return JobKey.parse(pk.removeprefix("JOB#"))


def head_of(item: Item) -> Head:
    snapshot, packed, slot = text(item, "snapshot"), text(item, "due_row"), text(item, "due_slot")
    outcome = text(item, "outcome")
    return Head(
        key=job_key(item["PK"]["S"]),
        incarnation=text(item, "incarnation") or "",
        version=number(item, "version"),
        snapshot=Snapshot.model_validate_json(snapshot) if snapshot else None,
        labels={name: value["S"] for name, value in item.get("labels", {"M": {}})["M"].items()},
        registered_at=text(item, "registered_at") or "",
        changed_at=text(item, "changed_at") or "",
        observed_at=text(item, "observed_at"),
        row=DueRow.read(packed) if packed else None,
        slot=Slot.read(slot) if slot else None,
        poll_error=text(item, "poll_error"),
        lost="lost" in item,
        silent="silent" in item,
        outcome=State(outcome) if outcome else None,
    )


def unborn(key: JobKey, since: datetime) -> Head:
    """The head of a job that has none yet."""
    row = DueRow(version=0, since=since, seen=None, entered=epoch_minute(since))
    return Head(
        key=key,
        incarnation=uuid.uuid4().hex,
        version=0,
        snapshot=None,
        labels={},
        registered_at="",
        changed_at="",
        observed_at=None,
        row=row,
        slot=None,
        poll_error=None,
        lost=False,
        silent=False,
    )


def labels_value(labels: Mapping[str, str]) -> dict[str, Any]:
    return {"M": {name: {"S": value} for name, value in labels.items()}}


def by_state(connection: str, state: str) -> dict[str, str]:
    return {"S": f"{connection}#{state}"}


@dataclass(frozen=True, slots=True)
class Heads:
    """Registering jobs, finding those that are due, moving them through the calendar."""

    table: Table

    def get(self, key: JobKey) -> Head | None:
        item = self.table.get(job_pk(key), HEAD)
        return head_of(item) if item else None

    def follow(self, key: JobKey, labels: Mapping[str, str], now: datetime) -> bool:
        """Register a job, or follow a known one (again); labels are added to those it has.

        True if nobody asked for it before. The first poll comes with the next tick, and announces the job unless
        it was told of already.
        """
        for _ in range(FOLLOW_TRIES):
            with suppress(LostRace):
                return self._follow(self.get(key), key, labels, now)
        raise LostRace

    def _follow(self, head: Head | None, key: JobKey, labels: Mapping[str, str], now: datetime) -> bool:
        if head is None:
            self._register(key, labels, now)
            return True
        every_label = {**head.labels, **labels}
        if len(every_label) > LABELS_LIMIT:
            raise TooManyLabels(f"the job would have {len(every_label)} labels; {LABELS_LIMIT} is the most")
        if head.watched and not head.silent:
            if every_label != head.labels:
                self._update(head, {"labels": labels_value(every_label)})
            return False
        row = head.row or DueRow(version=head.version, since=now, seen=None, entered=0)
        # Nobody looked while it was not followed, so the slot vouches for nothing before the next minute.
        row = replace(row, since=now, entered=epoch_minute(now) + 1, failures=0, error="", covered=False)
        if not row.lost:
            row = replace(row, missed=0, missed_at=None)
        if head.silent:
            # As if never seen: the next poll announces it.
            row = replace(row, body_hash="", fingerprint=None)
        self._update(
            head,
            {
                "labels": labels_value(every_label),
                "due_slot": {"S": str(Slot.of(key, 1))},
                "due_row": {"S": str(row)},
            },
            remove=("unwatched_at", "silent", "poll_error"),
        )
        return True

    def _register(self, key: JobKey, labels: Mapping[str, str], now: datetime) -> None:
        row = DueRow(version=0, since=now, seen=None, entered=epoch_minute(now))
        self.table.update(
            setting(
                job_pk(key),
                HEAD,
                when="attribute_not_exists(PK)",
                set_={
                    "incarnation": {"S": uuid.uuid4().hex},
                    "version": {"N": "0"},
                    "labels": labels_value(labels),
                    "registered_at": {"S": iso(now)},
                    "changed_at": {"S": sortable(now)},
                    "connection_state": by_state(key.connection, UNSEEN),
                    "due_slot": {"S": str(Slot.of(key, 1))},
                    "due_row": {"S": str(row)},
                },
                values={},
            )
        )

    def unfollow(self, key: JobKey, now: datetime) -> bool:
        """Stop following; history stays, and the tombstone tells discovery not to begin again. False: unknown job."""
        try:
            self.table.update(
                setting(
                    job_pk(key),
                    HEAD,
                    when="attribute_exists(PK)",
                    set_={"unwatched_at": {"S": iso(now)}},
                    remove=("due_slot",),
                    values={},
                )
            )
        except LostRace:
            return False
        return True

    def due(self, slots: Iterable[Slot]) -> Iterator[DueJob]:
        """The jobs in those slots, from the index: what it says is checked again by every write's condition."""
        for slot in slots:
            for item in self.table.query("due_slot = :slot", {":slot": {"S": str(slot)}}, index="due"):
                yield DueJob(job_key(item["PK"]["S"]), slot, DueRow.read(item["due_row"]["S"]))

    def followed(self, slots: Iterable[Slot], after: JobKey | None = None) -> Iterator[tuple[Slot, JobKey]]:
        """The jobs in those slots, slot by slot and there by key; in the first slot only those after that key."""
        for slot in slots:
            condition, values = "due_slot = :slot", {":slot": {"S": str(slot)}}
            if after:
                condition, values = condition + " AND PK > :after", values | {":after": {"S": job_pk(after)}}
                after = None
            for item in self.table.query(condition, values, index="due"):
                yield slot, job_key(item["PK"]["S"])

    def many(self, keys: Sequence[JobKey]) -> dict[JobKey, Head]:
        """Those of the jobs that have a head; eventually consistent."""
        items = self.table.batch([key(job_pk(job), HEAD) for job in keys], ATTRIBUTES)
        return {head.key: head for head in map(head_of, items)}

    def whole(self, heads: Sequence[Head]) -> list[Head]:
        """The same heads with what the index `by_state` does not carry, where the table still has that version.

        Nothing is read of jobs that are not watched. Eventually consistent.
        """
        found = self.many(list(dict.fromkeys(head.key for head in heads if head.watched)))
        return [new if (new := found.get(head.key)) and new.version == head.version else head for head in heads]

    def known(self, keys: Sequence[JobKey], *, consistent: bool = False) -> dict[JobKey, DueJob | None]:
        """Those of the jobs that have a head, with their rows; None for one that is not followed."""
        found: dict[JobKey, DueJob | None] = {}
        wanted, attributes = [key(job_pk(job), HEAD) for job in keys], ("PK", "due_slot", "due_row")
        for item in self.table.batch(wanted, attributes, consistent=consistent):
            job, slot = job_key(item["PK"]["S"]), text(item, "due_slot")
            found[job] = DueJob(job, Slot.read(slot), DueRow.read(item["due_row"]["S"])) if slot else None
        return found

    def move(self, job: DueJob, slot: Slot | None, row: DueRow, poll_error: str | None = None) -> None:
        """Put a job into another slot (None: stop following). Raises LostRace if it moved or changed meanwhile."""
        set_: dict[str, Any] = {"due_row": {"S": str(row)}}
        remove = []
        if slot:
            set_["due_slot"] = {"S": str(slot)}
        else:
            remove.append("due_slot")
        if poll_error:
            set_["poll_error"] = {"S": poll_error}
        else:
            remove.append("poll_error")
        self.table.update(
            setting(
                job_pk(job.key),
                HEAD,
                when="due_slot = :old_slot AND due_row = :old_row",
                set_=set_,
                remove=remove,
                values={":old_slot": {"S": str(job.slot)}, ":old_row": {"S": str(job.row)}},
            )
        )

    def newest(
        self, connections: Sequence[str], states: Sequence[str], since: datetime | None, until: str | None = None
    ) -> Iterator[Head]:
        """Heads by their last change, newest first; `until` is the `changed_at` of another, as it is kept."""
        found = [self._in_state(connection, state, since, until) for connection in connections for state in states]
        # A connection in a state is a query of its own: dozens, one after the other, would take seconds from afar.
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = list(pool.map(_begun, found))
        yield from heapq.merge(*found, key=lambda head: head.changed_at, reverse=True)

    def _in_state(self, connection: str, state: str, since: datetime | None, until: str | None) -> Iterator[Head]:
        condition, values = "connection_state = :state", {":state": by_state(connection, state)}
        # A sort key may be named in one condition only, and a span that ends before it begins is refused.
        if since and until and until < sortable(since):
            return
        if since and until:
            condition += " AND changed_at BETWEEN :since AND :until"
        elif since or until:
            condition += " AND changed_at >= :since" if since else " AND changed_at <= :until"
        values |= {":since": {"S": sortable(since)}} if since else {}
        values |= {":until": {"S": until}} if until else {}
        for item in self.table.query(condition, values, index="by_state", ScanIndexForward=False, Limit=PAGE):
            yield head_of(item)

    def _update(self, head: Head, set_: dict[str, Any], remove: Sequence[str] = ()) -> None:
        self.table.update(
            setting(
                job_pk(head.key),
                HEAD,
                when="version = :version AND incarnation = :incarnation AND labels = :old_labels",
                set_=set_,
                remove=remove,
                values={
                    ":version": {"N": str(head.version)},
                    ":incarnation": {"S": head.incarnation},
                    ":old_labels": labels_value(head.labels),
                },
            )
        )
