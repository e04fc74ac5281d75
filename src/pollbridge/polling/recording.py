"""What becomes of an answer, or of its absence: a change recorded, a move to another slot, or nothing at all."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from botocore.exceptions import ClientError

from pollbridge.config import Connection
from pollbridge.history.entries import Entries, Observation
from pollbridge.history.heads import LOST_AFTER, DueJob, DueRow, Head, Heads
from pollbridge.history.table import LostRace
from pollbridge.model import cadence
from pollbridge.model.cadence import Slot
from pollbridge.model.change import Change, Fingerprint, Reason, absent, detect, withholds_outcome
from pollbridge.model.health import Changed
from pollbridge.model.instant import epoch_minute, read_iso, vendor_moment
from pollbridge.model.job import JobKey, Snapshot, State
from pollbridge.polling.asking import Clock
from pollbridge.polling.client import PollError
from pollbridge.polling.report import Report

MISSED_APART = timedelta(minutes=2)
"""Between two 404s that count towards a job being lost."""

GIVEN_UP = timedelta(hours=24)
"""A job that was never answered for counts 404s only this long after it was registered: it may be to come."""


class NotRecorded(PollError):
    """The vendor answered, and the table did not take it."""


class NoOutcome(PollError):
    """The job had ended, and the answer reports no outcome: it is no news."""


@dataclass(slots=True)
class Recorder:
    """Writes what one sweep finds out about jobs."""

    connection: Connection
    heads: Heads
    entries: Entries
    clock: Clock
    minute: int
    completed: int | None
    """The last completed tick before this sweep."""
    report: Report
    dropped: bool = False
    """An answer was neither recorded nor its failure stored: the tick stays open."""
    changed: list[Changed] = field(default_factory=list)
    moved: dict[JobKey, Slot] = field(default_factory=dict)
    """Where jobs were put in the calendar."""

    async def answered(self, job: DueJob, snapshot: Snapshot | None, observation: Observation) -> None:
        """The vendor said how the job stands; None when in the very bytes that were recorded last."""
        recorded = job.row.fingerprint
        same = snapshot is None or (recorded and Fingerprint.of(snapshot).since(recorded) == recorded)
        if not same or job.row.lost:
            await self._stored(self.record, job, snapshot, observation)
            return
        self.report.counts["unchanged"] += 1
        state = recorded.state if recorded else None
        row = job.row
        if self._expired(job, state):
            await self._stored(self._expire, job)
            return
        slot = self._slot(job, state)
        if slot != job.slot or row.failures or observation.covered > row.covered:
            await self._stored(self._moved, job, slot, observation)

    def stays(self, job: DueJob) -> bool:
        """Whether an unchanged job stays just as it is."""
        state = job.row.fingerprint.state if job.row.fingerprint else None
        return (
            not (job.row.failures or job.row.lost or self._expired(job, state)) and self._slot(job, state) == job.slot
        )

    async def failed(self, job: DueJob, error: PollError) -> None:
        """The poll failed for reasons of this job alone: it backs off, and its 404s are counted anew."""
        await self._lapsed(job, error, _more(job.row.failures), missed=0)

    async def denied(self, job: DueJob, error: PollError) -> None:
        """A 404 that says nothing of this job: it backs off, and the 404s that were counted stay counted."""
        await self._lapsed(job, error, _more(job.row.failures), job.row.missed)

    async def missed(self, job: DueJob, error: PollError) -> None:
        """The vendor doesn't know the job, so it says: the third time in a row, the job is lost."""
        row, now = job.row, self.clock()
        known = row.version > 0 or now - row.since > GIVEN_UP
        if not row.lost and known and (row.missed_at is None or now - row.missed_at >= MISSED_APART):
            if row.missed + 1 == LOST_AFTER:
                await self._stored(self._lose, job)
                return
            await self._stored(self._failed, job, error, _more(row.failures), row.missed + 1)
            return
        await self.denied(job, error)

    async def shut_out(self, job: DueJob, error: PollError) -> None:
        """The job was not answered for because of its scope or its vendor: it keeps its slot, and the error is kept."""
        await self._lapsed(job, error, 0, missed=0)

    async def discovered(self, key: JobKey, snapshot: Snapshot, observation: Observation, *, told: bool) -> bool:
        """A job that nobody registered stands in the vendor's list. Whether it is known now."""
        report = self.report
        try:
            await asyncio.to_thread(self._discover, key, snapshot, observation, told)
        except LostRace:
            return True
        except Exception as error:  # noqa: BLE001 - one job never harms the others
            report.counts["not_stored"] += 1
            report.errors[f"{key}: {_code(error)}"] += 1
            return False
        report.counts["discovered"] += 1
        if told:
            self.changed.append((key, snapshot.state))
        return True

    async def uncover(self, job: DueJob, shown_at: datetime | None) -> DueJob:
        """The vendor's list no longer shows the job, as it surely did then: from now on it is polled."""
        # The looks that the slot vouches for since then were looks at a list that may not have held the job.
        uncovered = replace(job, row=replace(job.row, covered=False, seen=shown_at, entered=self.minute))
        await self._stored(self._uncover, job, uncovered)
        return uncovered

    async def _lapsed(self, job: DueJob, error: PollError, failures: int, missed: int) -> None:
        state = job.row.fingerprint.state if job.row.fingerprint else None
        if job.row.lost:
            await self._stored(self._still_lost, job)
        elif self._expired(job, state):
            await self._stored(self._expire, job)
        elif self._slot(job, state) is None:
            await self._stored(self._settle, job)
        else:
            await self._stored(self._failed, job, error, failures, missed)

    async def _stored(self, write: Callable[..., str], job: DueJob, *facts: object) -> None:
        """A write in a thread of its own. A lost race drops what we had to say: the job is due again."""
        try:
            self.report.counts[await asyncio.to_thread(write, job, *facts)] += 1
        except LostRace:
            self.report.counts["raced"] += 1
            self.dropped = True
        except PollError as error:
            self.report.counts["failed"] += 1
            self.report.errors[str(error)] += 1
            await self.failed(job, error)
        except Exception as error:  # noqa: BLE001 - one job never harms the others
            self.report.counts["not_stored"] += 1
            self.report.errors[f"{job.key}: {_code(error)}"] += 1
            if write == self._failed:
                self.dropped = True
                return
            # An answer that can't be recorded is a failure of its poll: the job backs off, the tick need not wait.
            await self.failed(job, NotRecorded(f"the answer could not be recorded: {_code(error)}"))

    def _slot(self, job: DueJob, state: State | None) -> Slot | None:
        policy = self.connection.cadence
        wanted = cadence.rung(state, job.row.since, self.clock(), fresh=policy.fresh, settle=policy.settle)
        if wanted is None:
            return None
        return job.slot if wanted == job.slot.rung and not job.row.failures else Slot.of(job.key, wanted)

    def _expired(self, job: DueJob, state: State | None) -> bool:
        """Whether the job said nothing new for so long that nobody waits for it any more."""
        running = state is None or not state.terminal
        return running and self.clock() - job.row.since >= self.connection.cadence.expire

    def _moved(self, job: DueJob, slot: Slot | None, observation: Observation) -> str:
        row = replace(
            job.row,
            seen=observation.asked_at,
            entered=epoch_minute(observation.observed_at),
            failures=0,
            error="",
            covered=observation.covered or job.row.covered,
            missed=0,
            missed_at=None,
        )
        self._move(job, slot, row)
        return "moved" if slot else "settled"

    def _failed(self, job: DueJob, error: PollError, failures: int, missed: int) -> str:
        row = job.row
        # Without failures of its own, the job stays where it is.
        slot = Slot.at(job.key, self.minute, cadence.backoff(failures)) if failures else job.slot
        told = hashlib.blake2b(str(error).encode("utf-8", "replace"), digest_size=4).hexdigest()
        new = replace(
            row,
            seen=row.last_seen(job.slot, self.completed),
            entered=self.minute,
            failures=failures or max(1, row.failures),
            error=told,
            missed=missed,
            missed_at=row.missed_at if missed == row.missed else self.clock() if missed else None,
        )
        if (slot, new.failures, told, missed) == (job.slot, row.failures, row.error, row.missed):
            return "failed_again"
        self._move(job, slot, new, poll_error=str(error))
        return "put_off"

    def _move(self, job: DueJob, slot: Slot | None, row: DueRow, poll_error: str | None = None) -> None:
        self.heads.move(job, slot, row, poll_error)
        if slot:
            self.moved[job.key] = slot

    def _settle(self, job: DueJob) -> str:
        self._move(job, None, job.row)
        return "settled"

    def _still_lost(self, job: DueJob) -> str:
        slot = Slot.of(job.key, cadence.RUNGS[-1])
        if self.clock() - job.row.since >= self.connection.cadence.settle:
            self._move(job, None, job.row)
            return "settled"
        if slot != job.slot:
            self._move(job, slot, job.row)
        return "still_lost"

    def _uncover(self, job: DueJob, uncovered: DueJob) -> str:
        self._move(job, job.slot, uncovered.row)
        return "uncovered"

    def record(self, job: DueJob, snapshot: Snapshot | None, observation: Observation) -> str:
        """What the vendor said, if it is a change against the job's head. Raises LostRace or NoOutcome."""
        head = self._head(job.key)
        if _overtaken(head, observation):
            raise LostRace
        current = snapshot or head.snapshot
        assert current  # the bytes that were recorded last are those of a snapshot
        told = head.snapshot if head.row and head.row.fingerprint else None
        if told and withholds_outcome(told, current):
            raise NoOutcome("the answer has no outcome, though the job had ended")
        change = detect(told, current, lost=head.lost, outcome=head.outcome)
        if change is None:
            return "unchanged"
        slot = Slot.of(job.key, cadence.RUNGS[-1] if current.state.terminal else cadence.RUNGS[0])
        covered = observation.covered or job.row.covered
        self._told(head, change, replace(observation, covered=covered), slot)
        return "changed"

    def _lose(self, job: DueJob) -> str:
        slot = Slot.of(job.key, cadence.RUNGS[-1])
        self._absent(job, Reason.LOST, slot)
        return "lost"

    def _expire(self, job: DueJob) -> str:
        if self._head(job.key).silent:
            # Nobody asked for the job, and nobody was told of it.
            self._move(job, None, job.row)
            return "settled"
        self._absent(job, Reason.EXPIRED, None)
        return "expired"

    def _absent(self, job: DueJob, reason: Reason, slot: Slot | None) -> None:
        head, now = self._head(job.key), self.clock()
        if head.row != job.row:
            raise LostRace
        self._told(head, absent(head.snapshot, reason), Observation(now, now, None, ""), slot)

    def _head(self, key: JobKey) -> Head:
        head = self.heads.get(key)
        if head is None or head.slot is None or head.row is None:
            raise LostRace
        return head

    def _told(self, head: Head, change: Change, observation: Observation, slot: Slot | None) -> None:
        assert head.row
        assert head.slot
        event = self.entries.record(
            head,
            change,
            observation,
            vendor=self.connection.type,
            slot=slot,
            last_seen_at=self._last_seen(head, head.row, head.slot, change)
            if head.version and change.previous
            else None,
            recorded_at=self.clock(),
        )
        self.report.tell(event)
        self.changed.append((head.key, change.current.state))
        if slot:
            self.moved[head.key] = slot

    def _last_seen(self, head: Head, row: DueRow, slot: Slot, change: Change) -> datetime | None:
        """The last look before the change: never before the one that brought the version before it."""
        seen = row.last_seen(slot, self.completed)
        if seen and row.covered and change.seen:
            # A list that was read after the change, and did not show it, was no look at the job.
            seen = min(seen, vendor_moment(change.current.updated_at) or row.since)
        before = read_iso(head.observed_at) if head.observed_at else None
        return max((moment for moment in (seen, before) if moment), default=None)

    def _discover(self, key: JobKey, snapshot: Snapshot, observation: Observation, told: bool) -> None:
        policy, now = self.connection.cadence, observation.observed_at
        since = now if told else min(now, _ended(snapshot) or now)
        rung = cadence.rung(snapshot.state, since, now, fresh=policy.fresh, settle=policy.settle)
        event = self.entries.discover(
            key,
            snapshot,
            observation,
            vendor=self.connection.type,
            slot=Slot.of(key, rung) if rung else None,
            told=told,
            since=since,
            recorded_at=self.clock(),
        )
        if told:
            self.report.tell(event)


def _more(failures: int) -> int:
    return min(failures + 1, len(cadence.BACKOFF))


def _ended(snapshot: Snapshot) -> datetime | None:
    """When a job that is over ended, as far as the vendor tells: what ended long ago needs no settling."""
    if not snapshot.state.terminal:
        return None
    told = (snapshot.finished_at, snapshot.state_since, snapshot.updated_at, snapshot.created_at)
    return next((moment for moment in map(vendor_moment, told) if moment), None)


def _overtaken(head: Head, observation: Observation) -> bool:
    """An answer asked for before the head was observed may be older than what the head says."""
    return head.observed_at is not None and observation.asked_at < read_iso(head.observed_at)


def _code(error: Exception) -> str:
    code: str = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
    return code
