"""A deployment that somebody asks to explain a job: its poller, its destinations, and one clock for all of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from pollbridge import config
from pollbridge.cli import explain
from pollbridge.cli.clock import Clock
from pollbridge.cli.deployment import Deployment
from pollbridge.config import Connection
from pollbridge.history.destinations import Destinations, Disabled
from pollbridge.history.entries import Entry, Observation
from pollbridge.history.ledger import Ledger
from pollbridge.history.publication import Publication
from pollbridge.history.table import key
from pollbridge.model.cadence import Slot
from pollbridge.model.event import Cause
from pollbridge.model.job import JobKey, Snapshot, State
from pollbridge.notifying.notice import Notice, Receipt
from pollbridge.notifying.worker import LEASE
from tests.kit.offices import Office
from tests.kit.sweeping import START, UNLIMITED, Bench, oration_body, oration_key

KEY = oration_key("j1")
JOB = str(KEY)
SECOND = timedelta(seconds=1)


@dataclass
class Desk(Office):
    """An office with a poller. Everybody's clock is the bench's."""

    vendors: dict[str, Any] = field(default_factory=lambda: {"oration": {"secret": "s"}})
    more: dict[str, Any] = field(default_factory=dict)
    """Parts of the deployment that only some tests need."""
    deployed_at: datetime | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.bench = Bench(
            self.table, connection=Connection(type="oration", base_url="https://o.test", secret="s", limits=UNLIMITED)
        )
        self.now = START

    @property
    def deployment(self) -> Deployment:
        settings = config.check({"vendors": self.vendors, "destinations": self.destinations}, "test")
        parts = {"destinations": self.parts, **self.more}
        return Deployment(self.stack, self.table, "pollbridge", settings, parts, self.deployed_at)

    def watch(self, *statuses: str | BaseException, key: JobKey = KEY, **body: Any) -> None:
        """Follow a job that answers these, one per tick."""
        answers = [one if isinstance(one, BaseException) else oration_body(key.id, one, **body) for one in statuses]
        self.bench.watch(key, *answers)
        for _ in statuses:
            self.tick()

    def tick(self, times: int = 1) -> None:
        self.bench.tick(times)
        self.now = self.bench.now + 10 * SECOND

    def later(self, **span: float) -> None:
        """Nobody sweeps meanwhile."""
        self.now += timedelta(**span)

    def publish(self, *names: str) -> list[Entry]:
        """All that is recorded is put on the bus, and comes into these queues."""
        entries = self.bench.history(KEY)
        for entry in entries:
            if entry.unpublished:
                Publication(self.table).published(entry)
                self.route(entry, *names)
        return entries

    def tell(self, *names: str) -> list[Entry]:
        """The same, and the notifiers take it up."""
        entries = self.publish(*names)
        for name in names:
            self.work(name)
        return entries

    def again(self, does: Callable[[Notice], Receipt] | None = None) -> None:
        """Somebody resends the last change to `service`, which does that with it; else it waits in its queue."""
        self.later(minutes=20)
        entry = self.bench.history(KEY)[-1]
        Ledger(self.table, "service", LEASE).again(entry.pk, entry.event_id, entry.version, self.now)
        self.route(entry, "service")
        if does:
            self.does["service"] = does
            self.work("service")

    def find(self, *, told: bool) -> None:
        """The job in a list; not `told` if that was the first reading of it."""
        self.tick()
        now = self.bench.now
        self.bench.entries.discover(
            KEY,
            Snapshot(state=State.RUNNING, vendor_status="active"),
            Observation(now, now, b"{}", "hash"),
            vendor="oration",
            slot=Slot.of(KEY, 1),
            told=told,
            since=now,
            recorded_at=now,
        )

    def disable(self, name: str = "service") -> None:
        heads = Destinations(self.table)
        entry = self.entries.put(key("X", name))
        heads.disable(name, heads.head(name), Disabled(self.now, Cause.GONE, "HTTP 410"), 1, entry)


@contextmanager
def opened() -> Iterator[Desk]:
    """A desk to ask at, in UTC."""
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        desk = Desk()
        patch.setattr(explain, "find", lambda: desk.deployment)
        patch.setattr(explain, "client", lambda _: desk.sqs)
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield desk
    time.tzset()


def run(desk: Desk, *arguments: str, **more: Any) -> Result:
    clock = Clock(wall=lambda: desk.now)
    result = CliRunner().invoke(explain.explain, arguments or [JOB], obj=clock, **more)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def told(desk: Desk, job: str = JOB, *arguments: str, code: int = 0) -> Any:
    result = run(desk, job, "--json", *arguments)
    assert result.exit_code == code, result.stderr
    return json.loads(result.stdout)


def page(desk: Desk, *arguments: str, **more: Any) -> str:
    """As people read it, with its lines put together again."""
    return " ".join(run(desk, JOB, *arguments, **more).output.split())


def remark(desk: Desk, about: str, job: str = JOB, code: int = 0) -> dict[str, Any]:
    remarks = {each["about"]: each for each in told(desk, job, code=code)["remarks"]}
    assert about in remarks, remarks
    found: dict[str, Any] = remarks[about]
    return found


def last(desk: Desk, name: str = "service") -> dict[str, Any]:
    """What became of the last change on its way to that destination."""
    found: dict[str, Any] = {each["destination"]: each for each in told(desk)["changes"][-1]["destinations"]}[name]
    return found


def resend(entry: Entry, name: str = "service") -> str:
    return f"pollbridge resend {entry.event_id} --to {name}"
