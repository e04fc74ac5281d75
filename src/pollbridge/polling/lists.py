"""The vendors' lists: new jobs are found in them, and each entry is a poll that need not be made.

A short reading takes in the top of a list ordered by update, down to the first page without news. A whole one, at
first and then hourly, takes in every page: it is a scope's baseline, and says which jobs the list shows at all.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from pollbridge.config import Connection
from pollbridge.history.discoveries import Discoveries, Discovery, Pass, digest
from pollbridge.history.entries import Observation
from pollbridge.history.heads import DueJob, Heads
from pollbridge.model.instant import from_minute, sortable, vendor_moment
from pollbridge.model.job import InvalidJobKey, JobKey, Snapshot
from pollbridge.polling.asking import Reply, Stopped
from pollbridge.polling.client import BadAnswer, PollError, Refused, Unreachable
from pollbridge.polling.recording import Recorder
from pollbridge.polling.scopes import Scopes, refuses_key
from pollbridge.polling.workers import in_parallel
from pollbridge.vendors.answer import Kind, Listed, Listing, NoAnswer, Page

PAGE = 100
"""Entries of a page: the most that the vendors' lists give."""

PAGES_LIMIT = 1000
"""Pages of one whole reading; a list that is longer never ends, for all we know."""

WHOLE_EVERY = 60
"""Minutes between two whole readings."""

FIRST_TRIES = 5
"""Minutes between two tries, at most, until a whole reading was made."""

TOKEN_LIMIT = 2048

WRITERS = 20

TIES_LIMIT = 2000
"""Entries of one moment that are remembered."""

STALE_LIMIT = 5
"""Pages in a row that hold nothing new; some may, when hundreds of entries moved up between two requests."""

TOP_LIMIT = 3
"""Times that one sweep reads the top of a list, because entries moved up while it was read."""


class BrokenList(PollError):
    """The list goes in a circle, repeats itself, or doesn't end."""


@dataclass(slots=True)
class Pages:
    """Pages of one list that are read one after the other."""

    keys: set[JobKey] = field(default_factory=set)
    moved: bool = False
    """An entry came again: others moved up between two requests, and some of them may be above what was read."""
    stale: int = 0
    """How many of the last pages held nothing but what came before."""

    def add(self, page: Page, entries: Mapping[JobKey, Listed]) -> None:
        """Raises BrokenList."""
        new = entries.keys() - self.keys
        self.moved = self.moved or len(new) < len(entries)
        self.keys |= new
        empty = not page.jobs and not page.unreadable
        self.stale = 0 if new or empty else self.stale + 1
        if self.stale >= STALE_LIMIT and page.next is not None:
            raise BrokenList("its pages repeat themselves")


@dataclass(slots=True)
class Reading:
    """One scope's list in one sweep."""

    kind: Kind
    listing: Listing
    stem: tuple[str, str, str]
    """Connection, kind and scope: what the keys of its jobs begin with."""
    before: Discovery
    begun: datetime
    due: list[DueJob]
    after: Discovery = field(init=False)
    met: dict[JobKey, str | None] = field(default_factory=dict)
    """Its jobs, as far as it was read, and when they had been updated."""
    seen: set[bytes] = field(default_factory=set)
    """Digests of its followed jobs, over all sweeps of a whole reading."""
    standings: list[tuple[datetime | None, bytes]] = field(default_factory=list)
    """Its entries as they stood, and when they were updated, from the top down."""
    newest: datetime | None = None
    calls: int = 0
    unknown: int = 0
    """Its jobs that nobody had registered."""
    hidden: set[JobKey] = field(default_factory=set)
    """Followed jobs that a whole reading did not show."""
    down: bool = False
    """It was read down to where nothing is new, and to where the last reading got."""
    reached: bool = False
    """All that had changed since the last reading when this one began has been read."""
    complete: bool = False
    """It began at the top, and no news below is left for nobody to read."""

    def __post_init__(self) -> None:
        self.after = self.before
        if self.before.unfinished:
            self.seen |= self.before.unfinished.seen

    @property
    def scope(self) -> str:
        return self.stem[2]

    def shown(self) -> set[JobKey]:
        """The due jobs of which the list told how they stand, or would have told if they had changed."""
        told = {job.key for job in self.due if job.key in self.met}
        if self.reached:
            told |= {job.key for job in self.due if job.row.covered and job.row.fingerprint and not job.row.failures}
        return told - self.hidden

    def is_news(self, listed: Listed) -> bool:
        """Whether the entry changed since the last reading, as far as the list can tell."""
        mark, updated = vendor_moment(self.before.mark), vendor_moment(listed.updated_at)
        late = mark is None or updated is None or updated >= mark
        return late and _standing(listed) not in self.before.top

    def is_old(self, listed: Listed) -> bool:
        """Whether the last reading got as far as the entry: those above it are all that changed since."""
        mark, updated = vendor_moment(self.before.mark), vendor_moment(listed.updated_at)
        return mark is not None and updated is not None and updated <= mark

    def is_told(self, snapshot: Snapshot) -> bool:
        """Whether a job that nobody registered is announced.

        Not what the baseline finds, nor what only its second reading finds, unless the vendor created it meanwhile.
        """
        if self.before.baseline_done or self.after.full_at is None:
            return self.before.baseline_done
        until, created = vendor_moment(self.after.baseline_until), vendor_moment(snapshot.created_at)
        return until is not None and created is not None and created > until

    def begin_baseline(self, page: Page) -> None:
        """Note the newest moment that the vendor names: what it created up to then is not new."""
        moments = [moment for listed in page.jobs for moment in _moments(listed.snapshot)]
        known = vendor_moment(self.after.baseline_until)
        if moments:
            # In the vendor's own time; but what it dates ahead must not make all that comes until then old.
            newest = min(max(moments), self.begun)
            self.after = replace(self.after, baseline_until=max(newest, known or newest).isoformat())


@dataclass(slots=True)
class Lists:
    """The lists of a connection's configured scopes, in one sweep."""

    name: str
    connection: Connection
    heads: Heads
    discoveries: Discoveries
    recorder: Recorder
    scopes: Scopes
    minute: int
    last_tick: int | None
    """The tick that was begun before this one."""
    due: Mapping[JobKey, DueJob]
    followed: Callable[[], Iterable[DueJob]]
    """Every job of the connection that is followed."""
    pages: int
    """How many pages whole readings may take in this sweep: the polls need some of what the limits allow."""
    overdue: bool = False
    """They have not been read for long: each is now, whether its turn came or not."""
    failures: list[PollError] = field(default_factory=list)
    calls: int = 0
    uncovered: dict[JobKey, DueJob] = field(default_factory=dict)
    """Jobs that no list shows any more, as they stand now."""
    _rows: dict[JobKey, DueJob] | None = None
    _reading: asyncio.Task[dict[JobKey, DueJob]] | None = None

    async def read(self) -> set[JobKey]:
        """The due jobs that need no poll of their own. A list that fails leaves its jobs to their polls."""
        kinds = [(name, kind, kind.listing) for name, kind in self.connection.vendor.kinds.items() if kind.listing]
        scopes = dict.fromkeys(self.connection.scopes)
        readings = [(*kind, scope) for kind in kinds for scope in scopes]
        # Each is first in its turn: where there is not enough for all, none is always the last.
        start = self.minute % len(readings) if readings else 0
        readings = readings[start:] + readings[:start]
        return set().union(*await in_parallel(readings, self._scope, self.connection.pace.concurrency))

    async def _scope(self, list_: tuple[str, Kind, Listing, str]) -> set[JobKey]:
        kind_name, kind, listing, scope = list_
        stem = (self.name, kind_name, kind.canonical(scope))
        try:
            before = await asyncio.to_thread(self.discoveries.get, self.name, stem[2])
        except Exception as error:  # noqa: BLE001 - one list never harms the others
            self._tell(scope, f"how far it was read could not be looked up: {type(error).__name__}")
            return set()
        due = [job for job in self.due.values() if _stem(job.key) == stem]
        reading = Reading(kind, listing, stem, before or Discovery(), self.recorder.clock(), due)
        await self._try(reading, new=before is None)
        if reading.complete and listing.by_update and not self.recorder.dropped:
            self._remember(reading)
        if reading.after != before:
            try:
                await asyncio.to_thread(self.discoveries.save, self.name, stem[2], before, reading.after)
            except Exception as error:  # noqa: BLE001 - what was read stands, and is read again
                self._tell(scope, f"how far it was read could not be stored: {type(error).__name__}")
        shown = reading.shown()
        silent = shown - reading.met.keys()
        vouched = [job for job in due if job.key in silent and not self.recorder.stays(job)]

        async def vouch_for(job: DueJob) -> None:
            """The list would have shown a change: as good as an answer that says what was recorded last."""
            if self.scopes.asker.time_left() > 0:
                now = self.recorder.clock()
                await self.recorder.answered(job, None, Observation(reading.begun, now, None, job.row.body_hash))

        await in_parallel(vouched, vouch_for, WRITERS)
        return shown

    async def _try(self, reading: Reading, *, new: bool) -> None:
        """Read the list as far as it can be. What was read before it failed counts."""
        try:
            await self._read(reading, new=new)
        except Stopped:
            pass  # The next sweep goes on.
        except PollError as error:
            self._tell(reading.scope, str(error))
            self.failures.append(error)
            unfinished = reading.after.unfinished
            if not _passing(error):
                reading.complete = False
            if not _passing(error) or (unfinished and not unfinished.pages):
                reading.after = replace(reading.after, unfinished=None)
        except Exception as error:  # noqa: BLE001 - one list never harms the polls
            reading.complete = False
            reading.after = replace(reading.after, unfinished=None)
            self._tell(reading.scope, f"it could not be read: {type(error).__name__}")

    async def _read(self, reading: Reading, *, new: bool) -> None:
        before, ordered = reading.before, reading.listing.by_update
        covered = ordered and any(job.row.covered for job in reading.due)
        age = None if before.full_at is None else self.minute - before.full_at
        aged = age is None or age >= WHOLE_EVERY
        interval = max(1, int(self.connection.cadence.discovery.total_seconds() // 60))
        # A turn may have fallen into a wait, or its reading may have failed.
        missed = age is not None and age >= interval + WHOLE_EVERY
        turn = self._turn(reading.scope, interval if before.baseline_done else min(interval, FIRST_TRIES))
        asked = new or missed or turn or self.overdue
        whole = before.unfinished is not None or (asked and (aged or not before.baseline_done))
        if ordered and (before.mark or (before.baseline_done and not whole)) and (asked or covered):
            await self._short(reading)
        if whole:
            await self._whole(reading, before.unfinished)
        elif asked and not ordered:
            await self._whole(reading, early=True)

    def _turn(self, scope: str, interval: int) -> bool:
        """Whether the scope's turn came since the last tick; scopes take turns within the interval, in minutes."""
        last = self.minute - interval if self.last_tick is None else max(self.last_tick, self.minute - interval)
        phase = zlib.crc32(f"{self.name}#{scope}".encode("utf-8", "replace"))
        return any((minute - phase) % interval == 0 for minute in range(last + 1, self.minute + 1))

    async def _short(self, reading: Reading) -> None:
        """From the top of a list ordered by update down to the first page without news.

        ⌈k/100⌉ + 1 pages for k changes, and more where entries move up meanwhile: those are above what was read.
        """
        for _ in range(TOP_LIMIT):
            if not (moved := await self._from_top(reading)):
                break
        reading.complete = True
        reading.reached = reading.down and not moved

    async def _from_top(self, reading: Reading) -> bool:
        """Down to the first page without news, or to an entry that has not moved since it was met.

        Returns whether entries moved up between two of its pages.
        """
        met, pages, token = dict(reading.met), Pages(), None
        while True:
            page, entries, fresh = await self._page(reading, token)
            pages.add(page, entries)
            lowest = next(reversed(entries), None)
            unmoved = lowest in met and met[lowest] == entries[lowest].updated_at
            # What was met on an earlier page says nothing, nor does an old entry above newer ones.
            down = page.next is None or (bool(fresh) and not any(map(reading.is_news, fresh.values())))
            if down:
                reading.down = page.next is None or any(map(reading.is_old, fresh.values()))
            if down or unmoved:
                return pages.moved
            if reading.calls >= PAGES_LIMIT:
                raise BrokenList(f"it has no end within {PAGES_LIMIT} pages")
            token = page.next

    async def _whole(self, reading: Reading, last: Pass | None = None, *, early: bool = False) -> None:
        """Every page, in as many sweeps as it takes; `early`: only down to where all is known, and older below."""
        token, count = (last.token or None, last.pages) if last else (None, 0)
        tokens, pages = {token}, Pages()
        reading.complete = reading.complete or not count
        if not count and not early:
            # Whoever finds no room in this sweep does not wait for the next turn.
            reading.after = replace(reading.after, unfinished=Pass("", 0, frozenset(reading.seen)))
        self._rows = await self._all_rows()
        while self.pages > 0:
            self.pages -= 1
            unknown = reading.unknown
            page, entries, fresh = await self._page(reading, token)
            count += 1
            pages.add(page, entries)
            if not reading.before.baseline_done and reading.after.full_at is None:
                reading.begin_baseline(page)
            if page.next is None:
                if reading.listing.by_update and pages.moved:
                    await self._from_top(reading)
                await self._finish(reading, several=count - (not page.jobs) > 1)
                if reading.after.unfinished is None:
                    break
                token, count, tokens, pages = None, 0, {None}, Pages()
                continue
            if early and fresh and reading.unknown == unknown and _newest_first(page):
                reading.after = replace(reading.after, unfinished=None)
                break
            token = _next(page.next, tokens, count)
            reading.after = replace(reading.after, unfinished=Pass(token, count, frozenset(reading.seen)))

    async def _finish(self, reading: Reading, *, several: bool) -> None:
        """The last page of a whole reading was read; `several` pages can have moved between two requests.

        Then a baseline is read twice: a row that moved up behind our back would be announced as new later.
        """
        before = reading.before.full_at
        young = before is not None and self.minute - before < WHOLE_EVERY
        again = several and not reading.before.baseline_done and reading.after.full_at is None
        reading.after = replace(
            reading.after,
            unfinished=Pass("", 0, frozenset(reading.seen)) if again else None,
            baseline_done=not again,
            full_at=before if young else self.minute,
        )
        if again:
            return
        if not reading.listing.by_update or self._rows is None:
            return
        covered = [job for job in self._rows.values() if job.row.covered and _stem(job.key) == reading.stem]
        hidden = [job for job in covered if digest(str(job.key)) not in reading.seen]
        reading.hidden |= {job.key for job in hidden}
        shown_at = None if reading.before.full_at is None else from_minute(reading.before.full_at)

        async def uncover(job: DueJob) -> None:
            self.uncovered[job.key] = await self.recorder.uncover(job, shown_at)

        await in_parallel(hidden, uncover, WRITERS)

    @staticmethod
    def _remember(reading: Reading) -> None:
        """What the next reading needs to tell news from what was there."""
        if reading.newest is None:
            return
        mark = min(reading.newest, reading.begun)
        # The first page, and what has the very moment of the mark, or none: a next reading cannot tell it by its date.
        first = [standing for _, standing in reading.standings[:PAGE]]
        tied = [standing for updated, standing in reading.standings if updated is None or updated >= mark]
        top = frozenset((*first, *tied[:TIES_LIMIT]))
        if sortable(mark) == reading.before.mark and len(top | reading.before.top) <= TIES_LIMIT:
            top |= reading.before.top
        reading.after = replace(reading.after, mark=sortable(mark), top=top)

    async def _page(
        self, reading: Reading, token: str | None
    ) -> tuple[Page, dict[JobKey, Listed], dict[JobKey, Listed]]:
        """One page, taken in. Returns it with its entries, and those of them that were not met before."""
        reply = await self._ask(reading, token)
        try:
            page = reading.listing.parse(reply.body, token)
        except NoAnswer as error:
            raise BadAnswer(f"no list: {error}"[:200]) from None
        except Exception as error:
            raise BadAnswer(f"reading the list broke: {type(error).__name__}") from error
        self.scopes[reading.scope].good += max(1, len(page.jobs))
        entries: dict[JobKey, Listed] = {}
        for key, listed in _keyed(page, reading):
            # Of a job that stands there twice, the first entry is the newer one.
            entries.setdefault(key, listed)
        self.recorder.report.counts["unreadable"] += page.unreadable + len(page.jobs) - len(entries)
        fresh = {key: listed for key, listed in entries.items() if key not in reading.met}
        reading.seen |= {digest(str(key)) for key in entries if key in self.due or key in (self._rows or ())}
        dated = [moment for listed in fresh.values() if (moment := vendor_moment(listed.updated_at))]
        reading.newest = max([*dated, *([reading.newest] if reading.newest else [])], default=None)
        reading.standings += [(vendor_moment(listed.updated_at), _standing(listed)) for listed in fresh.values()]
        await self._take_in(reading, reply, fresh)
        reading.met |= {key: listed.updated_at for key, listed in fresh.items()}
        return page, entries, fresh

    async def _ask(self, reading: Reading, token: str | None) -> Reply:
        request, scope = reading.listing.request(reading.scope, token), self.scopes[reading.scope]
        reading.calls += 1
        try:
            reply = await self.scopes.ask(reading.scope, request, listing=True, closes=False)
        except Refused as error:
            # The second question goes to a job, once one is due: the key may be good for jobs and not for lists.
            if not refuses_key(error) or scope.closed or await self._follows(reading):
                raise
            reply = await self.scopes.ask(reading.scope, request, listing=True)
        self.calls += 1
        self.recorder.report.counts["list_calls"] += 1
        return reply

    async def _follows(self, reading: Reading) -> bool:
        """Whether any job of the scope is followed."""
        return any(key.scope == reading.scope for key in await self._all_rows())

    async def _all_rows(self) -> dict[JobKey, DueJob]:
        if self._reading is None:
            # A task and not its result: many scopes begin at once, and each read is paid for.
            rows = asyncio.to_thread(lambda: {job.key: job for job in self.followed()})
            self._reading = asyncio.create_task(rows)
        return await self._reading

    async def _take_in(self, reading: Reading, reply: Reply, fresh: Mapping[JobKey, Listed]) -> None:
        rows: dict[JobKey, DueJob | None] = {}
        wanted, lost = [], []
        for key, listed in fresh.items():
            if row := self.due.get(key) or (self._rows or {}).get(key):
                rows[key] = row
            elif reading.listing.by_update and _standing(listed) in reading.before.top:
                continue  # Taken in last time.
            wanted.append((key, listed))
        unsure = [key for key, _ in wanted if key not in rows]
        if unsure:
            rows |= await asyncio.to_thread(self.heads.known, unsure)

        async def take_in(entry: tuple[JobKey, Listed]) -> None:
            key, listed = entry
            body_hash = reading.kind.body_hash(listed.body)
            updated = vendor_moment(listed.updated_at)
            # Whose date stands still, or ahead, would not come to the top when it changes.
            covered = reading.listing.by_update and updated is not None and updated <= reply.asked_at
            observation = Observation(reply.asked_at, reply.observed_at, listed.body, body_hash, covered)
            if row := rows.get(key):
                await self._listed(row, listed, observation)
            elif key not in rows:
                reading.unknown += 1
                told = reading.is_told(listed.snapshot)
                if not await self.recorder.discovered(key, listed.snapshot, observation, told=told):
                    lost.append(key)

        await in_parallel(wanted, take_in, WRITERS)
        if lost:
            raise BrokenList(f"{len(lost)} of its jobs could not be stored")

    async def _listed(self, job: DueJob, listed: Listed, observation: Observation) -> None:
        """The entry of a followed job."""
        if job.row.covered and not observation.covered:
            job = await self.recorder.uncover(job, job.row.last_seen(job.slot, self.recorder.completed))
        same = job.row.body_hash == observation.body_hash
        await self.recorder.answered(job, None if same else listed.snapshot, observation)

    def _tell(self, scope: str, error: str) -> None:
        self.recorder.report.errors[f"list of {scope}: {error}"] += 1


def _next(token: str, tokens: set[str | None], count: int) -> str:
    """The token of the next page, after so many. Raises BrokenList."""
    if len(token) > TOKEN_LIMIT or not token.isascii():
        raise BrokenList("its next page has no name that can be asked for")
    if token in tokens:
        raise BrokenList("its pages go in a circle")
    if count >= PAGES_LIMIT:
        raise BrokenList(f"it has no end within {PAGES_LIMIT} pages")
    tokens.add(token)
    return token


def _keyed(page: Page, reading: Reading) -> Iterator[tuple[JobKey, Listed]]:
    for listed in page.jobs:
        with suppress(InvalidJobKey):
            yield reading.kind.key(JobKey(*reading.stem, listed.id)).askable(), listed


def _stem(key: JobKey) -> tuple[str, str, str]:
    return key.connection, key.kind, key.scope


def _standing(listed: Listed) -> bytes:
    """An entry as it stood: another one when the job was updated since."""
    return digest(f"{listed.id} {listed.updated_at}")


def _moments(snapshot: Snapshot) -> Iterator[datetime]:
    """The moments that an entry names."""
    named = ("created_at", "started_at", "updated_at", "finished_at", "state_since")
    return (moment for name in named if (moment := vendor_moment(getattr(snapshot, name))))


def _newest_first(page: Page) -> bool:
    """Whether the page's jobs stand in the order in which they were created, the last one on top."""
    created = [vendor_moment(listed.snapshot.created_at) for listed in page.jobs]
    dated = [moment for moment in created if moment]
    return len(dated) == len(created) > 1 and dated == sorted(dated, reverse=True) and dated[0] > dated[-1]


def _passing(error: PollError) -> bool:
    """Whether the same page may be asked for again later."""
    return isinstance(error, Unreachable) or (
        isinstance(error, Refused) and (error.status >= 500 or error.status == 429)
    )
