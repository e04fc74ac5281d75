"""A sweep: one tick's work for one connection."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Protocol

from botocore.exceptions import BotoCoreError, ClientError

from pollbridge.config import Connection
from pollbridge.history.connections import ConnectionHead, Connections, NotBegun, Round
from pollbridge.history.entries import Entries, Observation
from pollbridge.history.heads import DueJob, Head, Heads
from pollbridge.history.table import LostRace
from pollbridge.model import cadence
from pollbridge.model.cadence import Slot, slots_due
from pollbridge.model.change import Fingerprint, detect
from pollbridge.model.instant import epoch_minute, read_iso
from pollbridge.model.job import JobKey, Snapshot, State
from pollbridge.polling.client import BadAnswer, NoCredentials, PollError, Throttled
from pollbridge.polling.limits import Pace, Pause
from pollbridge.secrets import UnusableSecret
from pollbridge.vendors.answer import Kind, NoAnswer, Request

LEASE = timedelta(seconds=70)
"""Longer than the poller's timeout (55 s): a sweep that still lives still holds it."""

Clock = Callable[[], datetime]


class Fetch(Protocol):
    """Sends one request. Raises PollError."""

    async def __call__(self, request: Request, headers: dict[str, str], now: datetime) -> bytes: ...


class NotRecorded(PollError):
    """The vendor answered, and the table did not take it."""


class Outcome(StrEnum):
    """How a sweep ended."""

    COMPLETED = "completed"
    UNFINISHED = "unfinished"
    WAITING = "waiting"
    THROTTLED = "throttled"
    LEASED = "leased"
    DONE = "done"
    OVERTAKEN = "overtaken"


@dataclass(slots=True)
class Report:
    """What a sweep did."""

    connection: str
    tick: datetime
    outcome: Outcome = Outcome.COMPLETED
    counts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    """Poll errors by their short text."""
    behind: int = 0
    """The minutes by which the connection's last completed tick lies behind this one."""
    left: int = 0
    """The due jobs that this sweep did not look at."""
    troubles: int = 0
    """How many of the connection's scopes, or it itself, bring no answers and were told so."""

    def json_object(self) -> dict[str, object]:
        return {
            "connection": self.connection,
            "tick": self.tick.isoformat(),
            "outcome": self.outcome,
            **self.counts,
            **{name: n for name in ("behind", "left", "troubles") if (n := getattr(self, name))},
            **({"errors": dict(self.errors)} if self.errors else {}),
        }


@dataclass(frozen=True, slots=True)
class Sweep:
    """Looks at every due job of one connection, records what changed, and completes the tick."""

    name: str
    connection: Connection
    heads: Heads
    entries: Entries
    connections: Connections
    headers: Callable[[str], dict[str, str]]
    """The request headers that a secret of that name holds. Raises UnusableSecret."""
    pause: Pause = asyncio.sleep

    async def run(self, tick: datetime, fetch: Fetch, clock: Clock, time_left: Callable[[], float]) -> Report:
        """Sweep for a tick. `time_left` is in seconds; the sweep stops in time and says where it stopped."""
        report = Report(self.name, tick)
        owner, minute = uuid.uuid4().hex, epoch_minute(tick)
        try:
            head = await asyncio.to_thread(self.connections.begin, self.name, minute, owner, clock(), clock() + LEASE)
        except NotBegun as refused:
            report.outcome = Outcome(refused.refusal)
            return report
        give_back = partial(self.connections.give_back, self.name, owner)
        if head.waits_until and head.waits_until > clock():
            report.outcome = Outcome.WAITING
            left = partial(give_back, waits_until=head.waits_until, round_=head.round, sent=head.sent)
            return await _given_back(report, partial(left, completed=head.completed))
        pace = Pace.after(head.sent, self.connection.pace, clock, self.pause)
        polls = _Polls(self, head, minute, fetch, clock, time_left, report, pace)
        await polls.poll()
        completed, round_ = polls.left()
        report.outcome = polls.outcome
        waits_until = None if polls.wait is None else clock() + polls.wait
        left = partial(give_back, completed=completed, round_=round_, waits_until=waits_until, sent=pace.told())
        return await _given_back(report, left)


async def _given_back(report: Report, give_back: Callable[[], None]) -> Report:
    try:
        await asyncio.to_thread(give_back)
    except LostRace:
        # The lease ran out and another sweep took over: what was recorded stands, the tick is theirs.
        report.outcome = Outcome.OVERTAKEN
    return report


@dataclass(slots=True)
class _Polls:
    """The polls of one sweep."""

    sweep: Sweep
    head: ConnectionHead
    minute: int
    fetch: Fetch
    clock: Clock
    time_left: Callable[[], float]
    report: Report
    pace: Pace
    order: list[DueJob] = field(default_factory=list)
    stopped: int | None = None
    """The place in the order from which on nothing was looked at."""
    dropped: bool = False
    """Somewhere before that, an answer was neither recorded nor its failure stored: the tick stays open."""
    wait: timedelta | None = None
    secrets: dict[str, asyncio.Task[dict[str, str]]] = field(default_factory=dict)

    @property
    def outcome(self) -> Outcome:
        if self.wait is not None:
            return Outcome.THROTTLED
        return Outcome.COMPLETED if self.stopped is None and not self.dropped else Outcome.UNFINISHED

    @property
    def round(self) -> Round | None:
        """The round to go on with. After a death there is none: it may have died of the job at the cursor."""
        return None if self.head.died else self.head.round

    async def poll(self) -> None:
        self.order = await asyncio.to_thread(self._due)
        self.report.counts["due"] = len(self.order)
        jobs = enumerate(self.order)
        workers = min(len(self.order), self.sweep.connection.pace.concurrency)
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work(jobs))

    def _due(self) -> list[DueJob]:
        """The due jobs in the order they are looked at: what is left of the last round first."""
        name, last = self.sweep.name, self.round
        if last is None:
            jobs = {job.key: job for job in self.sweep.heads.due(slots_due(name, self.head.completed, self.minute))}
            order = sorted(jobs.values(), key=lambda job: job.key)
            # After a death, begin with another job each time: it may have died of one. Not with the minute itself:
            # while the lease of the dead runs out, only every other minute is swept.
            start = zlib.crc32(str(self.minute).encode()) % len(order) if self.head.died and order else 0
            return order[start:] + order[:start]
        old = {job.key: job for job in self.sweep.heads.due(slots_due(name, self.head.completed, last.tick))}
        new = {job.key: job for job in self.sweep.heads.due(slots_due(name, last.tick, self.minute))}
        # What the round has looked at already is due again only if one of the minutes since then says so.
        jobs = {key: job for key, job in old.items() if not last.looked_at(key)} | new
        order = sorted(jobs.values(), key=lambda job: job.key)
        start = next((n for n, job in enumerate(order) if job.key >= last.cursor), 0)
        return order[start:] + order[:start]

    def left(self) -> tuple[int | None, Round | None]:
        """What the sweep leaves: the tick it completed in spite of all, and the round to go on with."""
        last = self.round
        if self.outcome is Outcome.COMPLETED:
            return self.minute, None
        if self.stopped is None or self.stopped == len(self.order):
            return self.head.completed, None
        cursor = self.order[self.stopped].key
        if self.dropped:
            # From where it stopped, so that all get their turn; but nothing counts as looked at.
            return self.head.completed, Round(self.minute, cursor, cursor)
        if last is None:
            return self.head.completed, Round(self.minute, self.order[0].key, cursor)
        if last.looked_at(cursor):
            # Once round: this sweep's own minute has been looked at from the old cursor on.
            return last.tick, Round(self.minute, last.cursor, cursor)
        return self.head.completed, Round(last.tick, last.start, cursor)

    async def _work(self, jobs: Iterator[tuple[int, DueJob]]) -> None:
        for place, job in jobs:
            if not await self._may_ask():
                self._stop_at(place)
                return
            try:
                snapshot, observation = await self._ask(job)
            except Throttled as error:
                self.wait = max(error.wait, self.wait or error.wait)
                self.report.errors[str(error)] += 1
                # Begin with it next time; but one that is always throttled must not stand before all others.
                self._stop_at(place or 1)
                self.dropped = self.dropped or not place
            except PollError as error:
                self.report.counts["failed"] += 1
                self.report.errors[str(error)] += 1
                await self._stored(self._failed, job, error)
            else:
                await self._answered(job, snapshot, observation)

    async def _may_ask(self) -> bool:
        time_left = self.time_left()
        if self.wait is not None or time_left <= 0:
            return False
        return await self.pace.admit(time_left) and self.wait is None

    def _stop_at(self, place: int) -> None:
        self.stopped = place if self.stopped is None else min(self.stopped, place)

    async def _ask(self, job: DueJob) -> tuple[Snapshot | None, Observation]:
        """The snapshot, None when the body is the one that was recorded last. Raises PollError."""
        kind = self._kind(job.key)
        headers = await self._headers(job.key.scope)
        asked_at = self.clock()
        with _contained("the request"):
            body = await self.fetch(kind.request(job.key), headers, asked_at)
        body_hash = hashlib.blake2b(body, digest_size=8, salt=kind.version.to_bytes(2)).hexdigest()
        observation = Observation(asked_at, self.clock(), body, body_hash)
        if body_hash == job.row.body_hash:
            return None, observation
        with _contained("the answer"):
            return kind.answer(job.key, body), observation

    def _kind(self, key: JobKey) -> Kind:
        kind = self.sweep.connection.vendor.kinds.get(key.kind)
        if kind is None:
            raise BadAnswer(f"{self.sweep.connection.type} has no kind {key.kind!r}")
        return kind

    async def _headers(self, scope: str) -> dict[str, str]:
        connection = self.sweep.connection
        name = connection.scope_secrets.get(scope, connection.secret)
        if name not in self.secrets:
            # A task and not its result: all workers start at once, and each read is paid for.
            self.secrets[name] = asyncio.create_task(asyncio.to_thread(self.sweep.headers, name))
        try:
            return await self.secrets[name]
        except UnusableSecret as error:
            raise NoCredentials(str(error)) from None
        except (BotoCoreError, ClientError) as error:
            raise NoCredentials(f"secret {name} could not be read: {type(error).__name__}") from None

    async def _answered(self, job: DueJob, snapshot: Snapshot | None, observation: Observation) -> None:
        recorded = job.row.fingerprint
        if snapshot is None or (recorded and Fingerprint.of(snapshot).since(recorded) == recorded):
            self.report.counts["unchanged"] += 1
            slot = self._slot(job, recorded.state if recorded else None, observation)
            if slot != job.slot or job.row.failures:
                await self._stored(self._moved, job, slot, observation)
            return
        await self._stored(self._record, job, snapshot, observation)

    async def _stored(self, write: Callable[..., str], job: DueJob, *facts: object) -> None:
        """A write in a thread of its own. A lost race drops what we had to say: the job is due again."""
        try:
            self.report.counts[await asyncio.to_thread(write, job, *facts)] += 1
        except LostRace:
            self.report.counts["raced"] += 1
            self.dropped = True
        except Exception as error:  # noqa: BLE001 - one job never harms the others
            self.report.counts["not_stored"] += 1
            self.report.errors[f"{job.key}: {_code(error)}"] += 1
            if write == self._failed:
                self.dropped = True
                return
            # An answer that can't be recorded is a failure of its poll: the job backs off, the tick need not wait.
            await self._stored(self._failed, job, NotRecorded(f"the answer could not be recorded: {_code(error)}"))

    def _slot(self, job: DueJob, state: State | None, observation: Observation) -> Slot | None:
        policy = self.sweep.connection.cadence
        wanted = cadence.rung(state, job.row.since, observation.observed_at, fresh=policy.fresh, settle=policy.settle)
        if wanted is None:
            return None
        return job.slot if wanted == job.slot.rung and not job.row.failures else Slot.of(job.key, wanted)

    def _moved(self, job: DueJob, slot: Slot | None, observation: Observation) -> str:
        minute = epoch_minute(observation.observed_at)
        row = replace(job.row, seen=observation.asked_at, entered=minute, failures=0, error="")
        self.sweep.heads.move(job, slot, row)
        return "moved" if slot else "settled"

    def _failed(self, job: DueJob, error: PollError) -> str:
        # A secret set in the meantime counts from the next tick; everything else backs off.
        failures = 1 if isinstance(error, NoCredentials) else min(job.row.failures + 1, len(cadence.BACKOFF))
        slot = Slot.at(job.key, self.minute, cadence.backoff(failures))
        seen = job.row.last_seen(job.slot, self.head.completed)
        told = hashlib.blake2b(str(error).encode("utf-8", "replace"), digest_size=4).hexdigest()
        if (slot, failures, told) == (job.slot, job.row.failures, job.row.error):
            return "failed_again"
        row = replace(job.row, seen=seen, entered=self.minute, failures=failures, error=told)
        self.sweep.heads.move(job, slot, row, poll_error=str(error))
        return "put_off"

    def _record(self, job: DueJob, snapshot: Snapshot, observation: Observation) -> str:
        head = self.sweep.heads.get(job.key)
        if head is None or head.slot is None or head.row is None or _overtaken(head, observation):
            raise LostRace
        change = detect(head.snapshot, snapshot)
        if change is None:
            return "unchanged"
        self.sweep.entries.record(
            head,
            change,
            observation,
            vendor=self.sweep.connection.type,
            slot=Slot.of(job.key, cadence.RUNGS[-1] if snapshot.state.terminal else cadence.RUNGS[0]),
            last_seen_at=head.row.last_seen(head.slot, self.head.completed) if head.version else None,
            recorded_at=self.clock(),
        )
        return "changed"


@contextmanager
def _contained(what: str) -> Iterator[None]:
    """One job whose request or answer breaks something must not end the sweep of all others."""
    try:
        yield
    except PollError:
        raise
    except NoAnswer as error:
        raise BadAnswer(f"no answer for this job: {error}"[:200]) from None
    except Exception as error:
        raise BadAnswer(f"{what} broke the poll: {type(error).__name__}") from error


def _code(error: Exception) -> str:
    code: str = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
    return code


def _overtaken(head: Head, observation: Observation) -> bool:
    """An answer asked for before the head was observed may be older than what the head says."""
    return head.observed_at is not None and observation.asked_at < read_iso(head.observed_at)
