"""A connection in moto whose vendor is a function: ticks by hand, answers as the test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pollbridge.config import Connection, Limits
from pollbridge.history.connections import Connections
from pollbridge.history.discoveries import Discoveries
from pollbridge.history.entries import Entries, Entry
from pollbridge.history.heads import Head, Heads
from pollbridge.history.table import Table
from pollbridge.model.instant import MINUTE
from pollbridge.model.job import JobKey
from pollbridge.polling.sweep import Report, Sweep
from pollbridge.vendors.answer import Request
from tests.kit.faults import Faulty
from tests.kit.memory import Memory

START = datetime(2026, 6, 8, 12, 0, tzinfo=UTC)

UNLIMITED = Limits(per_second=1e6, per_minute=1e6)

Answer = dict[str, Any] | bytes | BaseException


def oration_key(name: str = "j1") -> JobKey:
    return JobKey("oration", "job", "acme", name)


def oration_body(name: str = "j1", status: str = "active", **more: Any) -> dict[str, Any]:
    return {"id": name, "status": status, "name": "customer.createBatch", "error": None, **more}


@dataclass
class Bench:
    """One connection over a table, Oration's unless told; every tick is a minute."""

    table: Table
    answers: dict[str, Callable[[], Answer]] = field(default_factory=dict)
    now: datetime = START
    asked: list[str] = field(default_factory=list)
    time_left: Callable[[], float] = lambda: 100.0
    headers: Callable[[str], dict[str, str]] = lambda _: {"x-api-key": "k"}
    connection: Connection = field(
        default_factory=lambda: Connection(
            type="oration", base_url="https://oration.test", secret="s", limits=UNLIMITED
        )
    )
    name: str = "oration"

    def __post_init__(self) -> None:
        self.heads = Heads(self.table)
        self.entries = Entries(self.table, timedelta(days=400), timedelta(days=30))
        self.connections = Connections(self.table)
        self.discoveries = Discoveries(self.table)

    def sweep(self) -> Sweep:
        return Sweep(
            self.name, self.connection, self.heads, self.entries, self.connections, self.discoveries, self.headers
        )

    def watch(self, key: JobKey, *answers: Answer) -> None:
        """Follow a job that answers these, one per poll; the last stays."""
        self.heads.follow(key, {}, self.now)
        self.answer(key, *answers)

    def answer(self, key: JobKey, *answers: Answer) -> None:
        left = list(answers)
        self.answers[f"/jobs/{key.id}"] = lambda: left.pop(0) if len(left) > 1 else left[0]

    async def fetch(self, request: Request, headers: dict[str, str], now: datetime) -> bytes:
        self.asked.append(request.path)
        answer = self.answers[request.path]()
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    def tick(self, times: int = 1) -> Report:
        for _ in range(times):
            self.now += MINUTE
            report = self.run()
        return report

    def run(self, tick: datetime | None = None) -> Report:
        """A sweep now, for this tick or the present one."""
        return asyncio.run(self.sweep().run(tick or self.now, self.fetch, lambda: self.now, self.time_left))

    def miss(self, times: int = 1) -> None:
        """Ticks that never come."""
        self.now += times * MINUTE

    @property
    def aws(self) -> Faulty:
        """The client in front of the table, if it is one of the kit's."""
        assert isinstance(self.table.client, Faulty)
        return self.table.client

    def polled(self) -> list[str]:
        """The ids of the jobs that were asked for since the last time this was called."""
        asked, self.asked = self.asked, []
        return [path.removeprefix("/jobs/") for path in asked]

    def head(self, key: JobKey) -> Head:
        head = self.heads.get(key)
        assert head
        return head

    def history(self, key: JobKey) -> list[Entry]:
        return list(self.entries.of(key))

    def events(self, key: JobKey) -> list[dict[str, Any]]:
        return [json.loads(entry.event) for entry in self.history(key)]


def in_memory(**settings: Any) -> Bench:
    """A bench over the kit's own table, whose calls are counted and can fail."""
    return Bench(Table(Faulty(Memory()), "history", pause=lambda _: None), **settings)
