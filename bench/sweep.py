"""What an unchanged poll costs in a whole sweep, over the bare GET it is made of.

Run `.venv/bin/python bench/sweep.py`. A sweep of a thousand due jobs whose answers have not changed, over a table
in memory, asks a tiny server in another process on loopback; beside it, in alternating rounds, a bare aiohttp
session asks the same server as often. CPU of this process; read the ratio.
"""

from __future__ import annotations

import asyncio
import ssl
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.http_clients import server
from pollbridge.config import Connection, Limits
from pollbridge.history.connections import Connections
from pollbridge.history.discoveries import Discoveries
from pollbridge.history.entries import Entries
from pollbridge.history.heads import Heads
from pollbridge.history.table import Item, Table
from pollbridge.model.instant import MINUTE
from pollbridge.model.job import JobKey
from pollbridge.polling.client import VendorClient
from pollbridge.polling.sweep import Sweep
from tests.kit.memory import Memory

JOBS = 1_000
CONCURRENCY = 50
ROUNDS = 5

TLS = ssl.create_default_context()
"""Made once, as in a warm function."""


class Prepared(Memory):
    """A table whose due index answers at once: what is measured is the sweep, not the table's stand-in."""

    def query(self, *, ExpressionAttributeValues: Item, **_: Any) -> dict[str, Any]:  # noqa: N803
        return {"Items": self.rows.get(ExpressionAttributeValues[":slot"]["S"], [])}

    def prepare(self) -> None:
        self.rows: dict[str, list[Item]] = defaultdict(list)
        for item in self.items.values():
            if "due_slot" in item:
                self.rows[item["due_slot"]["S"]].append({"PK": item["PK"], "due_row": item["due_row"]})


async def bare(url: str) -> None:
    left = iter(range(JOBS))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY)) as session:

        async def work() -> None:
            for n in left:
                async with session.get(f"{url}/jobs/j{n}") as answer:
                    await answer.read()

        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))


async def swept(sweep: Sweep, url: str, now: datetime) -> None:
    async with VendorClient(url, CONCURRENCY, TLS, allow_private=True) as client:
        report = await sweep.run(now, client.fetch, lambda: now, lambda: 60.0)
    assert report.counts["unchanged"] + report.counts["changed"] == JOBS, report


def cost(work: Callable[[], Awaitable[None]]) -> float:
    started = time.process_time()
    asyncio.run(work())
    return (time.process_time() - started) / JOBS * 1e6


def main() -> None:
    memory = Prepared()
    table = Table(memory, "history")
    connection = Connection(
        type="oration",
        base_url="http://127.0.0.1",
        secret="s",
        allow_private=True,
        limits=Limits(per_second=1e6, per_minute=1e6, concurrency=CONCURRENCY),
    )
    sweep = Sweep(
        "oration",
        connection,
        Heads(table),
        Entries(table, timedelta(days=1), timedelta(days=1)),
        Connections(table),
        Discoveries(table),
        lambda _: {"x-api-key": "k"},
    )
    now = datetime(2026, 6, 8, 12, 0, tzinfo=UTC)
    for n in range(JOBS):
        sweep.heads.follow(JobKey("oration", "job", "acme", f"j{n}"), {}, now)
    costs: dict[str, list[float]] = {"a bare aiohttp GET": [], "an unchanged poll in a sweep": []}
    with server() as url:
        for round_ in range(ROUNDS + 1):
            now += MINUTE
            memory.prepare()
            ours = cost(partial(swept, sweep, url, now))
            theirs = cost(partial(bare, url))
            if round_:
                costs["a bare aiohttp GET"].append(theirs)
                costs["an unchanged poll in a sweep"].append(ours)
    base = statistics.median(costs["a bare aiohttp GET"])
    for name, told in costs.items():
        print(f"{name:<32} {statistics.median(told):7.0f} µs of CPU   ratio {statistics.median(told) / base:.2f}")


if __name__ == "__main__":
    main()
