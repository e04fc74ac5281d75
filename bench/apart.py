"""What a vendor in trouble costs another: a connection's sweep beside one that hangs or fails, over alone.

Run `.venv/bin/python bench/apart.py`. Each connection has a poller of its own in a process of its own, as in Lambda;
they share one table, which is another process, in memory. Both are woken at once: the healthy one to sweep 500 due jobs
whose answers have not changed, the other to its first sweep of 500, none of which is answered, or all with 500. Wall
time of the healthy sweep, in alternating rounds; read the ratios. All processes share this machine, which in Lambda
they don't: beside one whose jobs are all answered it says what the machine is short of.
"""

from __future__ import annotations

import asyncio
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from multiprocessing import current_process
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any

from aiohttp import web

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.http_clients import server
from bench.indexed import Indexed
from pollbridge.config import Cadence, Connection, Limits
from pollbridge.history.connections import Connections
from pollbridge.history.discoveries import Discoveries
from pollbridge.history.entries import Entries
from pollbridge.history.heads import Heads
from pollbridge.history.table import Table
from pollbridge.local.serving import listening
from pollbridge.model.instant import MINUTE
from pollbridge.model.job import JobKey
from pollbridge.polling.client import VendorClient
from pollbridge.polling.poller import MARGIN
from pollbridge.polling.report import Report
from pollbridge.polling.sweep import Sweep

JOBS = 500
CONCURRENCY = 20
ROUNDS = 7
START = datetime(2026, 6, 8, 12, 0, tzinfo=UTC)
TIMEOUT = 55.0
"""Seconds of the poller's function."""

ALONE = "alone"
OTHERS = {"answers": "beside one that answers", "hangs": "beside one that hangs", "fails": "beside one that fails"}

current_process().authkey = b"bench"


@cache
def _table() -> Indexed:
    return Indexed()


class Shared(BaseManager):
    """The table, in a process of its own."""


Shared.register("table", _table)


class Poller:
    """One connection's sweeps over the shared table."""

    def __init__(self, name: str, url: str, memory: Any) -> None:
        table = Table(memory, "history")
        self.now, self.url, self.tls = START, url, ssl.create_default_context()
        connection = Connection(
            type="oration",
            base_url=url,
            secret="s",
            allow_private=True,
            cadence=Cadence(fresh=timedelta(days=1)),
            limits=Limits(per_second=1e6, per_minute=1e6, concurrency=CONCURRENCY),
        )
        kept = timedelta(days=1)
        self.sweep_ = Sweep(
            name,
            connection,
            Heads(table),
            Entries(table, kept, kept),
            Connections(table),
            Discoveries(table),
            lambda _: {"x-api-key": "k"},
        )
        for n in range(JOBS):
            self.sweep_.heads.follow(JobKey(name, "job", "acme", f"j{n}"), {}, START)

    async def sweep(self) -> Report:
        self.now += MINUTE
        until = time.monotonic() + TIMEOUT - MARGIN
        async with VendorClient(self.url, CONCURRENCY, self.tls, allow_private=True) as client:
            return await self.sweep_.run(self.now, client.fetch, lambda: self.now, lambda: until - time.monotonic())


def other(kind: str, name: str, port: str) -> None:
    """The other poller and its vendor, in a process of their own: says that it begins, and sweeps once."""

    async def answer(request: web.Request) -> web.Response:
        if kind == "hangs":
            await asyncio.Event().wait()
        if kind == "fails":
            return web.Response(status=500)
        return web.json_response({"id": request.path.rpartition("/")[2], "status": "active"})

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        async with listening(app) as vendor:
            shared = Shared(("127.0.0.1", int(port)))
            shared.connect()
            poller = Poller(name, f"http://127.0.0.1:{vendor}", shared.table())
            print("sweeping", flush=True)
            report = await poller.sweep()
            assert report.counts["changed"] == (JOBS if kind == "answers" else 0), report

    asyncio.run(run())


@contextmanager
def beside(kind: str, name: str, port: int) -> Iterator[None]:
    command = [sys.executable, __file__, kind, name, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            assert process.stdout.readline() == "sweeping\n"
            yield
        finally:
            process.terminate()


def measured(poller: Poller) -> float:
    """Milliseconds of one sweep."""
    started = time.perf_counter()
    report = asyncio.run(poller.sweep())
    assert report.counts["changed"] + report.counts["unchanged"] == JOBS, report
    return (time.perf_counter() - started) * 1000


def main() -> None:
    times: dict[str, list[float]] = {told: [] for told in (ALONE, *OTHERS.values())}
    with Shared(("127.0.0.1", 0)) as shared, server() as url:
        _, port = shared.address
        healthy = Poller("healthy", url, shared.table())
        measured(healthy)
        for round_ in range(ROUNDS):
            times[ALONE].append(measured(healthy))
            for kind, told in OTHERS.items():
                with beside(kind, f"{kind}-{round_}", port):
                    times[told].append(measured(healthy))
    base = statistics.median(times[ALONE])
    print(f"a sweep of {JOBS} due jobs, {CONCURRENCY} at once, median of {ROUNDS} alternating rounds")
    for told, took in times.items():
        median = statistics.median(took)
        print(f"{told:<24} {median:7.0f} ms   fastest {min(took):5.0f}   ratio {median / base:.2f}")


if __name__ == "__main__":
    if sys.argv[1:]:
        other(*sys.argv[1:])
    else:
        main()
