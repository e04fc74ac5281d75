"""What it costs to follow many jobs: the real sweep, cadence and adapter in virtual time, without AWS.

Run `make simulate`. Each row is a process of its own, two at a time. A table in memory stands in for DynamoDB and
counts what that would charge for, a function stands in for the vendor; the processor time of both is left out. A row
that takes longer than ten minutes is broken off, extrapolated from the minutes it did, and says so.
"""

from __future__ import annotations

import asyncio
import gc
import pickle
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.indexed import Indexed
from bench.stories import CONNECTION, CONNECTION_HEAD, START, STORIES, Job, Story, World
from pollbridge.cost.assumed import CALL_CPU, CPUS_PER_GB, GET_CPU, GIGABYTES, ROW_CPU, VENDOR_LATENCY
from pollbridge.history.connections import Connections
from pollbridge.history.discoveries import Discoveries
from pollbridge.history.entries import Entries, entry_of, raw_sk
from pollbridge.history.heads import Heads
from pollbridge.history.publication import Publication
from pollbridge.history.table import Item, Table
from pollbridge.model.instant import epoch_minute, from_minute
from pollbridge.polling.sweep import Outcome, Sweep
from pollbridge.prices import PRICES
from pollbridge.vendors.answer import Request

BUDGET = 600
"""Seconds a row may take."""

SAMPLE = 2_000
"""Answers of the vendor that are timed."""


@dataclass
class Standins:
    """The table and the vendor, and the processor time they take, which is not the sweep's."""

    table: Indexed
    world: World
    table_seconds: float = 0
    requests: int = 0
    calls: int = 0

    def __post_init__(self) -> None:
        # Asking for the time at every call would cost more than the answer does.
        keys = [self.world.job(seat, 1).key for seat in range(SAMPLE)]
        started = time.process_time()
        for each in keys:
            self._answer(each.id, START + 1)
        self.answering = (time.process_time() - started) / SAMPLE

    @property
    def seconds(self) -> float:
        return self.table_seconds + self.calls * self.answering

    def __getattr__(self, operation: str) -> Any:
        def timed(**arguments: Any) -> Any:
            with self.table.lock:
                started = time.thread_time()
                try:
                    return getattr(self.table, operation)(**arguments)
                finally:
                    self.requests += 1
                    self.table_seconds += time.thread_time() - started

        return timed

    async def fetch(self, request: Request, _headers: dict[str, str], now: datetime) -> bytes:
        self.calls += 1
        return self._answer(request.path.rpartition("/")[2], epoch_minute(now))

    def _answer(self, identifier: str, minute: int) -> bytes:
        job = self.world.named(identifier)
        return job.body(job.turn(minute))


@dataclass(frozen=True)
class Case:
    """What a row simulates. `gone` jobs have heads in the table and are not followed any more."""

    watches: int
    minutes: int = 60
    stories: tuple[Story, ...] = STORIES
    gone: int = 0


@dataclass
class Row:
    """What came of it."""

    case: Case
    minutes: int = 0
    """Simulated before the time was over."""
    counts: Counter[str] = field(default_factory=Counter)
    """Polls, calls, changes, moves, registrations; items written, units; processor seconds. All grow with time."""
    megabytes: float = 0
    """Peak of the process, without what filled the table."""
    slowest: int = 0
    """Minutes from a change to the look that saw it."""

    @property
    def total(self) -> Counter[str]:
        """The counts of the whole case: extrapolated where the row was broken off."""
        return Counter({name: count * self.case.minutes / self.minutes for name, count in self.counts.items()})


def simulate(case: Case, budget: float = BUDGET) -> Row:
    deadline = time.monotonic() + budget
    before = _peak()
    world, table, row = World(case.watches, case.stories), Indexed(), Row(case)
    table.fill([CONNECTION_HEAD, *_gone(case)])
    table.fill(world.heads())
    standins = Standins(table, world)
    births, full = world.births(), _peak()
    gc.freeze()
    run = _Run(row, standins)
    run.register(births[START])
    while row.minutes < case.minutes and (not row.minutes or time.monotonic() < deadline):
        row.minutes += 1
        run.tick(START + row.minutes)
        run.publish(START + row.minutes)
        run.register(births[START + row.minutes])
    row.counts |= table.spent | {"calls": standins.calls}
    row.megabytes = before + _peak() - full
    return row


def _gone(case: Case) -> Iterator[Item]:
    for head in World(case.gone, case.stories).heads():
        del head["due_slot"]
        yield head | {"PK": {"S": f"{head['PK']['S']}-gone"}}


class _Run:
    def __init__(self, row: Row, standins: Standins) -> None:
        self.row, self.standins = row, standins
        table = Table(standins, "history")
        self.heads = Heads(table)
        self.publication = Publication(table)
        entries = Entries(table, timedelta(days=400), timedelta(days=30))
        connections, discoveries = Connections(table), Discoveries(table)
        self.sweep = Sweep("oration", CONNECTION, self.heads, entries, connections, discoveries, self._secret)

    def _secret(self, _name: str) -> dict[str, str]:
        self.row.counts["secret reads"] += 1
        return {"x-api-key": "k"}

    def tick(self, minute: int) -> None:
        now, counts, standins = from_minute(minute), self.row.counts, self.standins
        requests, apart = standins.requests, standins.seconds
        started = time.process_time()
        report = asyncio.run(self.sweep.run(now, standins.fetch, lambda: now, lambda: inf))
        counts["seconds"] += time.process_time() - started
        counts["seconds"] -= standins.seconds - apart
        counts["requests"] += standins.requests - requests
        assert report.outcome is Outcome.COMPLETED, report
        assert report.counts["due"] == report.counts["unchanged"] + report.counts["changed"], report
        counts["ticks"] += 1
        counts["polls"] += report.counts["due"]
        counts["changes"] += report.counts["changed"]
        counts["moves"] += report.counts["moved"] + report.counts["settled"]

    def publish(self, minute: int) -> None:
        """What the publisher writes for each entry. Then the entry expires, for nothing here reads it any more."""
        table = self.standins.table
        for (pk, sk), item in [*table.partitions["unpublished"]["1"].items()]:
            entry = entry_of(item)
            self.publication.published(entry)
            table.expire(pk, sk)
            table.expire(pk, raw_sk(entry.version))
            job = self.standins.world.named(pk.rpartition("/")[2])
            self.row.slowest = max(self.row.slowest, minute - job.changed(entry.version))

    def register(self, jobs: list[Job]) -> None:
        for job in jobs:
            self.heads.follow(job.key, {}, from_minute(job.born))
        self.row.counts["registrations"] += len(jobs)


def _peak() -> float:
    """MB this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def dollars(counts: Mapping[str, float]) -> float:
    working = counts["seconds"] + counts["polls"] * (GET_CPU + ROW_CPU) + counts["requests"] * CALL_CPU
    waiting = counts["polls"] * VENDOR_LATENCY / CONNECTION.limits.concurrency
    memory = GIGABYTES["poller"]
    paid = {
        "lambda_gb_second": max(working / (memory * CPUS_PER_GB), waiting) * memory,
        "lambda_request": counts["ticks"],
        "scheduler_invocation": counts["ticks"],
        "read_unit": counts["read units"],
        "write_unit": counts["write units"],
        "event": counts["changes"],
        "secret_read": counts["secret reads"],
    }
    return sum(quantity * PRICES[name].usd for name, quantity in paid.items())


SHORT, LONG, IDLE = STORIES
HOURS = {f"{watches:,}": Case(watches) for watches in (1_000, 10_000, 100_000, 1_000_000)}
DAY = {"10,000, a day": Case(10_000, minutes=24 * 60)}
BESIDE = {
    "none": Case(0),
    "10,000 more idle": Case(20_000, stories=(SHORT.shared(0.15), LONG.shared(0.1), IDLE.shared(0.75))),
    "twice as busy": Case(10_000, stories=(SHORT.shared(0.6), LONG.shared(0.4))),
    "90,000 followed no more": Case(10_000, gone=90_000),
}
"""What 10,000 watches for an hour are compared with."""

COLUMNS = {
    "watches": 24,
    "polls": 11,
    "calls": 11,
    "changes": 9,
    "moves": 9,
    "RRU": 9,
    "WRU": 11,
    "µs/poll": 9,
    "MB": 6,
    "slowest": 9,
    "$": 10,
    "$/M polls": 11,
}


def line(name: str, row: Row) -> str:
    told, paid = row.total, dollars(row.total)
    polls = told["polls"] or inf
    figures = [f"{told[count]:,.0f}" for count in ("polls", "calls", "changes", "moves", "read units", "write units")]
    figures += [f"{told['seconds'] / polls * 1e6:.0f}", f"{row.megabytes:.0f}", f"{row.slowest} min"]
    figures += [f"{paid:.4f}", f"{paid / polls * 1e6:.2f}"]
    _first, *widths = COLUMNS.values()
    note = f"  extrapolated from {row.minutes} minutes" if row.minutes < row.case.minutes else ""
    return f"{name:<24}" + "".join(f"{figure:>{width}}" for figure, width in zip(figures, widths, strict=True)) + note


def marginal(rows: Mapping[str, Row]) -> Iterator[str]:
    """What grows with what, as differences of rows."""
    usual = rows["10,000"].total

    def more(name: str) -> tuple[Counter[str], float]:
        total = rows[name].total
        total.subtract(usual)
        return total, dollars(rows[name].total) - dollars(usual)

    idle, idle_paid = more("10,000 more idle")
    busy, busy_paid = more("twice as busy")
    gone, gone_paid = more("90,000 followed no more")
    poll, poll_seconds = idle_paid / idle["polls"], idle["seconds"] / idle["polls"]
    change = (busy_paid - busy["polls"] * poll) / busy["changes"]
    change_seconds = (busy["seconds"] - busy["polls"] * poll_seconds) / busy["changes"]
    yield f"{'':<34}{'$ per million':>14}"
    tick, secret = dollars(rows["none"].total) / 60, PRICES["secret_read"].usd
    yield f"{'a tick with nothing due':<34}{tick * 1e6:>14.2f}"
    yield f"{'a tick with something due':<34}{(tick + secret) * 1e6:>14.2f}   the secret is read"
    yield f"{'a look at a job that is due':<34}{poll * 1e6:>14.2f}   {poll_seconds * 1e6:.0f} µs of CPU"
    yield (
        f"{'a change, with all that follows':<34}{change * 1e6:>14.2f}   {change_seconds * 1e6:.0f} µs of CPU, "
        f"{busy['write units'] / busy['changes']:.1f} write units, {busy['moves'] / busy['changes']:.1f} moves"
    )
    for name, total, paid, jobs in (
        ("an idle watch, for an hour", idle, idle_paid, 10_000),
        ("a job followed no more, an hour", gone, gone_paid, 90_000),
    ):
        yield (
            f"{name:<34}{paid / jobs * 1e6:>14.2f}   "
            f"{total['polls'] / jobs:.2f} polls, {total['write units'] / jobs:.2f} write units"
        )


def apart(name: str) -> Row:
    """The row, from a process of its own."""
    child = subprocess.run([sys.executable, __file__, name], stdout=subprocess.PIPE, check=True)
    row: Row = pickle.loads(child.stdout)
    return row


def main() -> None:
    print("".join(f"{name:{'<' if name == 'watches' else '>'}{width}}" for name, width in COLUMNS.items()), flush=True)
    rows: dict[str, Row] = {}
    with ThreadPoolExecutor(2) as pool:
        for name, row in zip(CASES, pool.map(apart, CASES), strict=True):
            rows[name] = row
            print(line(name, row), flush=True)
    print("", *marginal(rows), sep="\n")


CASES = HOURS | DAY | BESIDE

if __name__ == "__main__":
    if sys.argv[1:]:
        sys.stdout.buffer.write(pickle.dumps(simulate(CASES[sys.argv[1]])))
    else:
        main()
