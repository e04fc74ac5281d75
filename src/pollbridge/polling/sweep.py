"""A sweep: one tick's work for one connection."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pollbridge.config import Connection
from pollbridge.history.connections import ConnectionHead, Connections, InTheWay, NotBegun, connection_pk
from pollbridge.history.discoveries import Discoveries
from pollbridge.history.entries import Entries, Observation
from pollbridge.history.heads import DueJob, Heads
from pollbridge.history.table import LostRace
from pollbridge.model.cadence import slots_due
from pollbridge.model.event import ConnectionEvent
from pollbridge.model.health import Told, connection_event
from pollbridge.model.instant import MINUTE, epoch_minute
from pollbridge.model.job import JobKey, Snapshot
from pollbridge.polling.asking import Asker, Clock, Fetch, Keys, Stopped
from pollbridge.polling.client import DEADLINE, BadAnswer, PollError, Throttled
from pollbridge.polling.limits import Pace, Pause
from pollbridge.polling.lists import WRITERS, Lists
from pollbridge.polling.order import PROBES, Order, in_order
from pollbridge.polling.recording import Recorder
from pollbridge.polling.report import Outcome, Report
from pollbridge.polling.scopes import REFUSALS, Scope, Scopes, refuses_key
from pollbridge.polling.verdict import Failure, Sample, Verdict, is_missing
from pollbridge.polling.workers import in_parallel
from pollbridge.vendors.answer import Kind, NoAnswer

LEASE = timedelta(seconds=70)
"""Longer than the poller's timeout (55 s): a sweep that still lives still holds it."""

STORING = DEADLINE + 5
"""Seconds past the end of a sweep's time in which failures are still stored: the last request may take its whole
deadline, and what failed until then has 5 seconds of its own."""

SAMPLE = 50
"""Jobs at most that are asked about beside those of a scope that the vendor says it doesn't know."""

IN_THE_WAY = 2
"""Sweeps in a row in which lists kept all polls from being made; from then on they are read but seldom."""

READ_ANYWAY = 16
"""Minutes between two tries of such lists, whichever scope's turn it is."""


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
        if head.completed is None and head.first is None:
            head = replace(head, first=minute)
        told: list[Told] = []
        if head.waits_until and head.waits_until > clock():
            report.outcome = Outcome.WAITING
            report.troubles = head.health.troubles
        else:
            pace = Pace.after(head.sent, self.connection.pace, clock, self.pause)
            polls = _Polls(self, owner, head, minute, Asker(fetch, pace, clock, time_left, quota), report)
            head, told = await polls.poll()
        report.behind = head.behind(minute)
        try:
            events = await asyncio.to_thread(self._give_back, owner, head, told, clock())
        except LostRace:
            # The lease ran out and another sweep took over: what was recorded stands, the tick is theirs.
            report.outcome = Outcome.OVERTAKEN
        else:
            for event in events:
                report.tell(event)
        return report

    def _give_back(self, owner: str, head: ConnectionHead, told: list[Told], now: datetime) -> list[ConnectionEvent]:
        pk = connection_pk(self.name)
        events = [
            connection_event(
                news,
                vendor=self.connection.type,
                connection=self.name,
                incarnation=head.incarnation,
                version=version,
                now=now,
            )
            for version, news in enumerate(told, start=head.version + 1)
        ]
        entries = [self.entries.put(self.entries.entry(pk, pk, event, now)) for event in events]
        self.connections.give_back(self.name, owner, replace(head, version=head.version + len(told)), entries)
        return events


@dataclass(slots=True)
class _Polls:
    """The polls of one sweep."""

    sweep: Sweep
    owner: str
    """Of the connection's lease."""
    head: ConnectionHead
    minute: int
    asker: Asker
    report: Report
    order: Order = field(init=False)
    scopes: Scopes = field(init=False)
    verdict: Verdict = field(init=False)
    recorder: Recorder = field(init=False)
    lists_read: bool = False
    looked: set[JobKey] = field(default_factory=set)
    retried: set[JobKey] = field(default_factory=set)

    def __post_init__(self) -> None:
        sweep, connection = self.sweep, self.sweep.connection
        self.order = Order(self.head, self.minute)
        questions = 1 if self.head.health.down else REFUSALS
        self.scopes = Scopes(Keys(connection, sweep.headers), self.asker, questions)
        self.verdict = Verdict(self.scopes)
        self.recorder = Recorder(
            connection, sweep.heads, sweep.entries, self.asker.clock, self.minute, self.head.completed, self.report
        )

    async def poll(self) -> tuple[ConnectionHead, list[Told]]:
        """Look at all there is. Returns the connection as the sweep leaves it, and what is to be told of it."""
        await asyncio.to_thread(self.order.fill, self.sweep.heads, self.sweep.name)
        await asyncio.to_thread(self.order.look_for_late, self.sweep.heads)
        self.report.counts["due"] = len(self.order.jobs)
        down, failing = self.head.health.down, False
        if down and self.order.jobs:
            await self._look_at(self.order.jobs[:PROBES])
            if not self.verdict.alive:
                self.order.stop_at(0)
                failing = True
        if self.order.stopped is None:
            await self._read_lists()
            await self._look_at(self.order.jobs)
            if not down and self.order.stopped is None:
                await self._look_at_others()
        await self._keep_away()
        found = self.verdict.findings(self.minute, self.asker.clock())
        failing = failing or self.head.health.systemic(found)
        if failing:
            # It says nothing of the jobs: nothing is completed, and nothing stored but that their 404s are interrupted.
            completed, round_ = self.head.completed, self.head.round
            await self._interrupt_missed()
        else:
            await self._store_failures()
            completed, round_ = self.order.progress(dropped=self.recorder.dropped)
        health, told = self.head.health.after(replace(found, completed=completed, changed=self.recorder.changed))
        self.report.outcome = self._outcome(failing=failing)
        self.report.left = self.order.left
        self.report.troubles = health.troubles
        left = replace(
            self.head,
            completed=completed,
            round=round_,
            waits_until=None if self.asker.wait is None else self.asker.clock() + self.asker.wait,
            sent=self.asker.pace.told(),
            health=health,
            moved=self.order.moved(self.recorder.moved),
            in_the_way=self._in_the_way(),
        )
        return left, told

    async def _keep_away(self) -> None:
        """Write down at once for how long the vendor wants no requests: the sweep's last write may fail."""
        wait = self.asker.wait
        if wait is None or wait <= MINUTE:
            return
        try:
            until = self.asker.clock() + wait
            await asyncio.to_thread(self.sweep.connections.wait, self.sweep.name, self.owner, until)
        except Exception as error:  # noqa: BLE001 - the last write says it too
            self.report.errors[f"how long to wait could not be stored: {type(error).__name__}"] += 1

    def _in_the_way(self) -> InTheWay:
        """For how many sweeps lists have been throttled, or took all that the limits let through, before any poll."""
        throttled = any(isinstance(error, Throttled) for error in self.verdict.lists)
        if self.order.stopped == 0 and (throttled or (self.lists_read and self.asker.wait is None)):
            return InTheWay(self.head.in_the_way.sweeps + 1, self.minute)
        if self.lists_read:
            return InTheWay()
        return replace(self.head.in_the_way, tried=self.minute) if self.verdict.lists else self.head.in_the_way

    def _outcome(self, *, failing: bool) -> Outcome:
        if self.asker.wait is not None:
            return Outcome.THROTTLED
        if failing:
            return Outcome.FAILING
        whole = self.order.stopped is None and not self.recorder.dropped and not self.order.late
        return Outcome.COMPLETED if whole else Outcome.UNFINISHED

    async def _read_lists(self) -> None:
        """What the lists tell needs no poll."""
        in_the_way = self.head.in_the_way.sweeps >= IN_THE_WAY
        if in_the_way and self.minute - self.head.in_the_way.tried < READ_ANYWAY:
            return
        lists = Lists(
            self.sweep.name,
            self.sweep.connection,
            self.sweep.heads,
            self.sweep.discoveries,
            self.recorder,
            self.scopes,
            self.minute,
            self.head.tick,
            {job.key: job for job in self.order.jobs if job.key not in self.looked},
            self._followed,
            pages=max(1, int(self.sweep.connection.pace.per_minute // 2)),
            overdue=in_the_way,
        )
        self.order.leave_out(await lists.read(), lists.uncovered)
        self.verdict.lists = lists.failures
        self.lists_read = lists.calls > 0

    def _followed(self) -> Iterator[DueJob]:
        return self.sweep.heads.due(slots_due(self.sweep.name, None, self.minute))

    async def _look_at_others(self) -> None:
        """Ask about followed jobs that are not due, other ones each time: the due ones may be no fair sample.

        A few where nothing was answered at all; of a scope with many 404s as many as it has and one more, up to SAMPLE.
        """
        missing, probes = self.verdict.missing(), PROBES if self.verdict.doubtful else 0
        if not (missing or probes):
            return
        followed = await asyncio.to_thread(lambda: [job for job in self._followed() if not job.row.lost])
        others = self.order.turned(in_order(job for job in followed if job.key not in self.looked))
        within = {scope: [job for job in others if job.key.scope == scope] for scope in missing}
        drawn = [job for scope, keys in missing.items() for job in _spread(within[scope], min(len(keys) + 1, SAMPLE))]
        sample = list(dict.fromkeys([*others[:probes], *drawn]))
        await self._look_at(sample, len(self.order.jobs))
        errors = {job.key: error for job, error in (*self.verdict.failures, *self.verdict.shut_out)}
        for scope, jobs in within.items():
            asked = [job.key for job in sample if job.key.scope == scope and job.key in self.looked]
            gone = [key for key in asked if key in errors and is_missing(errors[key])]
            answered = [key for key in asked if key not in errors]
            self.verdict.samples[scope] = Sample(
                followed=sum(job.key.scope == scope for job in followed),
                others=len(jobs),
                answered=len(answered) + len(gone),
                missing=len(gone),
            )

    async def _look_at(self, jobs: list[DueJob], first: int = 0) -> None:
        """Look at jobs, the first of which has that place in the order."""
        await in_parallel(self.order.placed(jobs, first), self._look, self.sweep.connection.pace.concurrency)

    async def _look(self, placed: tuple[int, DueJob]) -> None:
        place, job = placed
        if self.order.stopped is not None or job.key in self.looked:
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
            self.order.stop_at(place)
        except Throttled as error:
            self.report.errors[str(error)] += 1
            # Begin with it next time; but one that is always throttled must not stand before all others.
            self.order.stop_at(place or 1)
            self.recorder.dropped = self.recorder.dropped or not place
        finally:
            scope.known.set()
        # Those who waited come first: their places are before the next one.
        await asyncio.sleep(0)

    async def _poll(self, job: DueJob, scope: Scope) -> None:
        """Raises Stopped or Throttled when the job was not looked at."""
        if scope.closed:
            self.verdict.shut_out.append((job, scope.closed))
        else:
            try:
                snapshot, observation = await self._ask(job)
            except Throttled:
                raise
            except PollError as error:
                await self._failed(job, scope, error)
            else:
                self.report.polls += 1
                scope.good += 1
                await self.recorder.answered(job, snapshot, observation)
        self.looked.add(job.key)

    async def _failed(self, job: DueJob, scope: Scope, error: PollError) -> None:
        self.report.polls += 1
        self.report.counts["failed"] += 1
        self.report.errors[str(error)] += 1
        if scope.closed:
            self.verdict.shut_out.append((job, error))
            return
        if refuses_key(error):
            if not scope.answers and (other := await asyncio.to_thread(self._another, job)):
                # It may be this job alone that is refused.
                await self._poll(other, scope)
            if scope.closed:
                self.verdict.shut_out.append((job, error))
                return
            if (scope.renewed or not scope.answers) and job.key not in self.retried:
                self.retried.add(job.key)
                await self._poll(job, scope)
                return
        self.verdict.failures.append((job, error))

    def _another(self, job: DueJob) -> DueJob | None:
        """Another job of the scope that was not looked at yet, due or not; which one changes with the minute."""
        for jobs in (self.order.jobs, self._followed()):
            others = [other for other in jobs if other.key.scope == job.key.scope and other.key not in self.looked]
            others = [other for other in others if other.key != job.key]
            if others:
                return others[self.minute % len(others)]
        return None

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

    async def _store_failures(self) -> None:
        mass, recorder = self.verdict.mass(), self.recorder

        async def store(failure: Failure) -> None:
            job, error = failure
            if not is_missing(error):
                await recorder.failed(job, error)
            elif job.key.scope in mass:
                await recorder.denied(job, error)
            else:
                await recorder.missed(job, error)

        await self._in_time(self.verdict.failures, store)
        await self._in_time(self.verdict.shut_out, lambda failure: recorder.shut_out(*failure))

    async def _interrupt_missed(self) -> None:
        """Another failure between two 404s starts their count anew, also one that speaks against the vendor."""
        failures = (*self.verdict.failures, *self.verdict.shut_out)
        interrupted = [(job, error) for job, error in failures if job.row.missed and not is_missing(error)]
        await self._in_time(interrupted, lambda failure: self.recorder.shut_out(*failure))

    async def _in_time(self, failures: Iterable[Failure], store: Callable[[Failure], Awaitable[None]]) -> None:
        """Store failures side by side, as long as their share of the time lasts."""

        async def in_time(failure: Failure) -> None:
            if self.asker.time_left() <= -STORING:
                self.recorder.dropped = True
            else:
                await store(failure)

        await in_parallel(failures, in_time, WRITERS)


def _spread(jobs: list[DueJob], count: int) -> list[DueJob]:
    """So many of the jobs, evenly spaced: a group that was deleted together may stand together in the order."""
    return jobs[:: max(1, len(jobs) // count)][:count]


class NotAsked(PollError):
    """There is no way to ask: the job's trouble, and not the vendor's."""


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
