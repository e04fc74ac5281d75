"""A sweep: one tick's work for one connection."""

from __future__ import annotations

import asyncio
import uuid
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pollbridge.config import Connection
from pollbridge.history.connections import ConnectionHead, Connections, NotBegun, Place, Round, connection_pk
from pollbridge.history.discoveries import Discoveries
from pollbridge.history.entries import Entries, Observation
from pollbridge.history.heads import DueJob, Heads
from pollbridge.history.table import LostRace
from pollbridge.model import cadence
from pollbridge.model.cadence import slots_due
from pollbridge.model.health import Findings, Told, connection_event
from pollbridge.model.instant import epoch_minute
from pollbridge.model.job import JobKey, Snapshot
from pollbridge.polling.asking import Asker, Clock, Fetch, Keys, Stopped
from pollbridge.polling.client import BadAnswer, PollError, Refused, Throttled, Unreachable
from pollbridge.polling.limits import Pace, Pause
from pollbridge.polling.lists import WRITERS, Lists
from pollbridge.polling.recording import Recorder
from pollbridge.polling.report import Outcome, Report
from pollbridge.polling.scopes import Scope, Scopes, refuses_key
from pollbridge.polling.workers import in_parallel
from pollbridge.vendors.answer import Kind, NoAnswer

LEASE = timedelta(seconds=70)
"""Longer than the poller's timeout (55 s): a sweep that still lives still holds it."""

PROBES = 3
"""Requests per tick while the vendor is known to be unreachable."""

DOUBTED_BELOW = 10
"""When fewer polls than this all failed, a few other jobs are asked too: it may be these jobs alone."""

SETTLING = cadence.RUNGS[-1] + 1
"""The rank of jobs that have ended."""

MASS = 3
"""404s in one scope from which on they may be the vendor's trouble."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Looks at every due job of one connection, records what changed, and completes the tick."""

    name: str
    connection: Connection
    heads: Heads
    entries: Entries
    connections: Connections
    discoveries: Discoveries
    headers: Callable[[str], dict[str, str]]
    """The request headers that a secret of that name holds. Raises UnusableSecret."""
    pause: Pause = asyncio.sleep

    async def run(
        self,
        tick: datetime,
        fetch: Fetch,
        clock: Clock,
        time_left: Callable[[], float],
        quota: Callable[[], datetime | None] = lambda: None,
    ) -> Report:
        """Sweep for a tick. `time_left` is in seconds; the sweep stops in time and says where it stopped.

        `quota` tells until when the vendor's own count says to send nothing more.
        """
        report = Report(self.name, tick)
        owner, minute = uuid.uuid4().hex, epoch_minute(tick)
        try:
            head = await asyncio.to_thread(self.connections.begin, self.name, minute, owner, clock(), clock() + LEASE)
        except NotBegun as refused:
            report.outcome = Outcome(refused.refusal)
            return report
        told: list[Told] = []
        if head.waits_until and head.waits_until > clock():
            report.outcome = Outcome.WAITING
            report.troubles = head.health.troubles
        else:
            pace = Pace.after(head.sent, self.connection.pace, clock, self.pause)
            polls = _Polls(self, head, minute, Asker(fetch, pace, clock, time_left, quota), report)
            head, told = await polls.poll()
        report.behind = 0 if head.completed is None else minute - head.completed
        try:
            await asyncio.to_thread(self._give_back, owner, head, told, clock())
        except LostRace:
            # The lease ran out and another sweep took over: what was recorded stands, the tick is theirs.
            report.outcome = Outcome.OVERTAKEN
        return report

    def _give_back(self, owner: str, head: ConnectionHead, told: list[Told], now: datetime) -> None:
        entries = []
        for version, news in enumerate(told, start=head.version + 1):
            event = connection_event(
                news,
                vendor=self.connection.type,
                connection=self.name,
                incarnation=head.incarnation,
                version=version,
                now=now,
            )
            entry = self.entries.entry(connection_pk(self.name), connection_pk(self.name), event, now)
            entries.append(self.entries.put(entry))
        self.connections.give_back(self.name, owner, replace(head, version=head.version + len(told)), entries)


@dataclass(slots=True)
class _Polls:
    """The polls of one sweep."""

    sweep: Sweep
    head: ConnectionHead
    minute: int
    asker: Asker
    report: Report
    scopes: Scopes = field(init=False)
    recorder: Recorder = field(init=False)
    order: list[DueJob] = field(default_factory=list)
    """What is to be polled: what an earlier tick left over, then this tick's."""
    overdue: int = 0
    """How many of them an earlier tick left over."""
    stopped: int | None = None
    """The place in the order from which on nothing was looked at."""
    looked: set[JobKey] = field(default_factory=set)
    retried: set[JobKey] = field(default_factory=set)
    failures: list[tuple[DueJob, PollError]] = field(default_factory=list)
    shut_out: list[tuple[DueJob, PollError]] = field(default_factory=list)
    listing: list[PollError] = field(default_factory=list)
    """What kept lists from being read."""
    failing: bool = False
    """The vendor is in trouble: nothing of this sweep is stored, and nothing completed."""

    def __post_init__(self) -> None:
        sweep, connection = self.sweep, self.sweep.connection
        self.scopes = Scopes(Keys(connection, sweep.headers), self.asker)
        self.recorder = Recorder(
            connection, sweep.heads, sweep.entries, self.asker.clock, self.minute, self.head.completed, self.report
        )

    async def poll(self) -> tuple[ConnectionHead, list[Told]]:
        """Look at all there is. Returns the connection as the sweep leaves it, and what is to be told of it."""
        self.order = await asyncio.to_thread(self._due)
        self.report.counts["due"] = len(self.order)
        if self.head.health.down and self.order:
            await self._look_at(self.order[:PROBES])
            if not self._alive:
                self.stopped = 0
        if self.stopped is None:
            await self._read_lists()
            await self._look_at(self.order)
            if self._doubtful:
                await self._look_at(await asyncio.to_thread(self._others))
        found = self._found()
        self.failing = self.head.health.systemic(found)
        if not self.failing:
            await self._store_failures()
        return self._left(found)

    def _left(self, found: Findings) -> tuple[ConnectionHead, list[Told]]:
        completed, round_ = self._progress()
        health, told = self.head.health.after(replace(found, completed=completed, changed=self.recorder.changed))
        self.report.outcome = self.outcome
        self.report.left = 0 if self.stopped is None else len(self.order) - self.stopped
        self.report.troubles = health.troubles
        wait = self.asker.wait
        head = replace(
            self.head,
            completed=completed,
            round=round_,
            waits_until=None if wait is None else self.asker.clock() + wait,
            sent=self.asker.pace.told(),
            health=health,
        )
        return head, told

    @property
    def outcome(self) -> Outcome:
        if self.asker.wait is not None:
            return Outcome.THROTTLED
        if self.failing:
            return Outcome.FAILING
        whole = self.stopped is None and not self.recorder.dropped
        return Outcome.COMPLETED if whole else Outcome.UNFINISHED

    @property
    def round(self) -> Round | None:
        """The round to go on with. After a death there is none: it may have died of the job at the cursor."""
        return None if self._restless else self.head.round

    @property
    def _restless(self) -> bool:
        """Whether to begin with another job each time: the last sweep died, or got no answers."""
        ailment = self.head.health.connection
        return self.head.died or (ailment is not None and ailment.back is None)

    def _due(self) -> list[DueJob]:
        """The due jobs in the order they are looked at."""
        heads, name, completed, last = self.sweep.heads, self.sweep.name, self.head.completed, self.round
        if last is None:
            order = _in_order(heads.due(slots_due(name, completed, self.minute)))
            return self._turned(order) if self._restless else order
        old = _in_order(
            job for job in heads.due(slots_due(name, completed, last.tick)) if not last.looked_at(_place(job))
        )
        start = next((n for n, job in enumerate(old) if _place(job) >= last.cursor), 0)
        # What the round has looked at already is due again only if one of the minutes since then says so.
        new = _in_order(heads.due(slots_due(name, last.tick, self.minute)))
        left = {job.key for job in old}
        self.overdue = len(old)
        return old[start:] + old[:start] + [job for job in new if job.key not in left]

    def _progress(self) -> tuple[int | None, Round | None]:
        """The tick that is completed, and the round to go on with."""
        last, completed = self.round, self.head.completed
        if self.failing:
            return completed, self.head.round
        if self.outcome is Outcome.COMPLETED:
            return self.minute, None
        if self.stopped is None or self.stopped == len(self.order):
            return completed, None
        cursor = _place(self.order[self.stopped])
        if self.recorder.dropped:
            # From where it stopped, so that all get their turn; but nothing counts as looked at.
            return completed, Round(self.minute, cursor, cursor)
        if last and self.stopped < self.overdue:
            return completed, Round(last.tick, last.start, cursor)
        start = min(map(_place, self.order)) if last else _place(self.order[0])
        return last.tick if last else completed, Round(self.minute, start, cursor)

    async def _read_lists(self) -> None:
        """What the lists tell needs no poll."""
        # After a wait the polls come first: it may be the lists alone that the vendor throttles.
        if self.head.waits_until is not None:
            return
        connection = self.sweep.connection
        lists = Lists(
            self.sweep.name,
            connection,
            self.sweep.heads,
            self.sweep.discoveries,
            self.recorder,
            self.scopes,
            self.minute,
            self.head.tick,
            {job.key: job for job in self.order if job.key not in self.looked},
            self._followed,
            pages=max(1, int(connection.pace.per_minute // 2)),
        )
        shown = await lists.read()
        self.listing = lists.failures
        overdue = [job for job in self.order[: self.overdue] if job.key not in shown]
        self.order = overdue + [job for job in self.order[self.overdue :] if job.key not in shown]
        self.overdue = len(overdue)

    def _followed(self) -> Iterator[DueJob]:
        return self.sweep.heads.due(slots_due(self.sweep.name, None, self.minute))

    def _others(self) -> list[DueJob]:
        """A few followed jobs that were not asked about, other ones each time."""
        return self._turned(_in_order(job for job in self._followed() if job.key not in self.looked))[:PROBES]

    def _turned(self, order: list[DueJob]) -> list[DueJob]:
        """The order begun somewhere else each time."""
        # While the lease of the dead runs out, only every other minute is swept: multiples of it would miss jobs.
        turn = zlib.crc32(str(self.minute).encode()) if self.head.died else self.minute * PROBES
        start = turn % len(order) if order else 0
        return order[start:] + order[:start]

    async def _look_at(self, jobs: list[DueJob]) -> None:
        await in_parallel(enumerate(jobs), self._look, min(len(jobs), self.sweep.connection.pace.concurrency))

    async def _look(self, placed: tuple[int, DueJob]) -> None:
        place, job = placed
        if self.stopped is not None or job.key in self.looked:
            return
        scope = self.scopes[job.key.scope]
        if scope.tried and not scope.answers:
            await scope.known.wait()
        scope.tried = True
        if job.key in self.looked:
            return
        try:
            await self._poll(job, scope)
        except Stopped:
            self._stop_at(place)
        except Throttled as error:
            self.report.errors[str(error)] += 1
            # Begin with it next time; but one that is always throttled must not stand before all others.
            self._stop_at(place or 1)
            self.recorder.dropped = self.recorder.dropped or not place
        finally:
            scope.known.set()
        # Those who waited come first: their places are before the next one.
        await asyncio.sleep(0)

    def _stop_at(self, place: int) -> None:
        self.stopped = place if self.stopped is None else min(self.stopped, place)

    async def _poll(self, job: DueJob, scope: Scope) -> None:
        """Raises Stopped or Throttled when the job was not looked at."""
        if scope.closed:
            self.shut_out.append((job, scope.closed))
        else:
            try:
                snapshot, observation = await self._ask(job)
            except Throttled:
                raise
            except PollError as error:
                await self._failed(job, scope, error)
            else:
                scope.good += 1
                await self.recorder.answered(job, snapshot, observation)
        self.looked.add(job.key)

    async def _failed(self, job: DueJob, scope: Scope, error: PollError) -> None:
        self.report.counts["failed"] += 1
        self.report.errors[str(error)] += 1
        if scope.closed:
            self.shut_out.append((job, error))
            return
        if refuses_key(error):
            if not scope.answers and (other := self._another(job)):
                # It may be this job alone that is refused.
                await self._poll(other, scope)
            if scope.closed:
                self.shut_out.append((job, error))
                return
            if (scope.renewed or not scope.answers) and job.key not in self.retried:
                self.retried.add(job.key)
                await self._poll(job, scope)
                return
        self.failures.append((job, error))

    def _another(self, job: DueJob) -> DueJob | None:
        """Another job of the scope that was not looked at yet; which one changes with the minute."""
        others = [
            other
            for other in self.order
            if other.key.scope == job.key.scope and other.key != job.key and other.key not in self.looked
        ]
        return others[self.minute % len(others)] if others else None

    async def _ask(self, job: DueJob) -> tuple[Snapshot | None, Observation]:
        """The snapshot, None when the body is the one that was recorded last. Raises PollError or Stopped."""
        kind = self._kind(job.key)
        with _contained("the request"):
            reply = await self.scopes.ask(job.key.scope, kind.request(job.key))
        body_hash = kind.body_hash(reply.body)
        observation = Observation(reply.asked_at, reply.observed_at, reply.body, body_hash)
        if body_hash == job.row.body_hash:
            return None, observation
        with _contained("the answer"):
            return kind.answer(job.key, reply.body), observation

    def _kind(self, key: JobKey) -> Kind:
        kind = self.sweep.connection.vendor.kinds.get(key.kind)
        if kind is None:
            raise NotAsked(f"{self.sweep.connection.type} has no kind {key.kind!r}")
        return kind

    @property
    def _alive(self) -> bool:
        """Whether the vendor said something of use to anybody."""
        return bool(self._answered())

    @property
    def _doubtful(self) -> bool:
        """Whether the few polls that all failed may be about jobs that are broken, with a vendor that is well."""
        if self._alive or self.asker.wait is not None or self.stopped is not None or self.head.health.down:
            return False
        return 0 < len(self.failures) < DOUBTED_BELOW and bool(self._troubles())

    def _answered(self) -> set[str]:
        """The scopes that were answered: with a job, or with an honest no."""
        no = Counter(
            job.key.scope for job, error in self.failures if isinstance(error, Refused) and not _is_trouble(error)
        )
        mass = self._mass()
        scopes = self.scopes.by_name.items()
        return {name for name, scope in scopes if scope.good or (no[name] and name not in mass and not scope.closed)}

    def _mass(self) -> set[str]:
        """The scopes in which so many jobs at once are unknown to the vendor that it is the vendor's trouble."""
        missing = Counter(job.key.scope for job, error in self.failures if _is_missing(error))
        return {scope for scope, count in missing.items() if count >= MASS and count > self.scopes[scope].good}

    def _troubles(self) -> list[str]:
        """The errors that speak against the vendor as a whole."""
        mass = self._mass()
        polls = [
            str(error)
            for job, error in self.failures
            if _is_trouble(error) or (_is_missing(error) and job.key.scope in mass)
        ]
        return polls + [str(error) for error in self.listing if _is_trouble(error)]

    def _found(self) -> Findings:
        answered, troubles = self._answered(), self._troubles()
        return Findings(
            minute=self.minute,
            at=self.asker.clock(),
            completed=None,
            failed=Counter(troubles).most_common(1)[0][0] if troubles and not answered else None,
            refused={name: scope.trouble for name, scope in self.scopes.by_name.items() if scope.trouble},
            answered=answered,
        )

    async def _store_failures(self) -> None:
        mass = self._mass()

        async def store(failure: tuple[DueJob, PollError]) -> None:
            job, error = failure
            if _is_missing(error) and job.key.scope not in mass:
                await self.recorder.missed(job, error)
            else:
                await self.recorder.failed(job, error)

        async def shut_out(failure: tuple[DueJob, PollError]) -> None:
            await self.recorder.shut_out(*failure)

        await in_parallel(self.failures, store, WRITERS)
        await in_parallel(self.shut_out, shut_out, WRITERS)


class NotAsked(PollError):
    """There is no way to ask: the job's trouble, and not the vendor's."""


def _place(job: DueJob) -> Place:
    ended = job.row.fingerprint is not None and job.row.fingerprint.state.terminal
    return Place(SETTLING if ended else job.slot.rung, job.key)


def _in_order(jobs: Iterable[DueJob]) -> list[DueJob]:
    """Each job once: the fastest rung first, those that settle last."""
    return sorted({job.key: job for job in jobs}.values(), key=_place)


def _is_trouble(error: PollError) -> bool:
    """Whether an error says more of the vendor than of the job."""
    return isinstance(error, Unreachable | BadAnswer) or (isinstance(error, Refused) and error.status >= 500)


def _is_missing(error: PollError) -> bool:
    return isinstance(error, Refused) and error.status == 404


@contextmanager
def _contained(what: str) -> Iterator[None]:
    """One job whose request or answer breaks something must not end the sweep of all others."""
    try:
        yield
    except (PollError, Stopped):
        raise
    except NoAnswer as error:
        raise BadAnswer(f"no answer for this job: {error}"[:200]) from None
    except Exception as error:
        raise BadAnswer(f"{what} broke the poll: {type(error).__name__}") from error
