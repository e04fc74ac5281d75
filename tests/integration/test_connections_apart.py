"""Two organisations at one type of vendor, over HTTP: jobs, histories, keys and troubles of their own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from aiohttp import web

from pollbridge import config
from pollbridge.aws import client
from pollbridge.history.connections import Connections
from pollbridge.history.entries import Entries
from pollbridge.history.heads import Head, Heads
from pollbridge.history.table import Table
from pollbridge.model.instant import MINUTE, epoch_minute, iso
from pollbridge.model.job import JobKey
from pollbridge.polling.client import VendorClient
from pollbridge.polling.poller import Poller, _tls
from pollbridge.polling.report import Outcome, Report
from tests.integration.simulated import running
from tests.kit.sweeping import START

A, B = "mentionlab-a", "mentionlab-b"
KEYS = {A: "canary-a", "scoped": "canary-scoped", B: "canary-b"}

TROUBLES = {"away": 503, "throttled": 429, "hanging": 0, "refusing": 401}
"""What a whole organisation answers; 0 is nothing at all."""


@dataclass
class Organisation:
    """One organisation's MentionLab: knows each id in each project, and every key that was shown to it."""

    status: str = "processing"
    trouble: str = ""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Project, id and key of each request."""

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/api/jobs/{id}", self.answer)
        return app

    async def answer(self, request: web.Request) -> web.Response:
        project, name = request.headers["x-project-id"], request.match_info["id"]
        self.asked.append((project, name, request.headers["x-api-key"]))
        if self.trouble == "hanging":
            await asyncio.sleep(60)
        if self.trouble:
            return web.Response(status=TROUBLES[self.trouble], headers={"Retry-After": "600"})
        return web.json_response({"id": name, "status": self.status})

    def forget(self) -> None:
        self.asked.clear()

    @property
    def keys(self) -> dict[str, set[str]]:
        """The keys that were shown for each project."""
        return {project: {key for where, _, key in self.asked if where == project} for project, _, _ in self.asked}


@dataclass
class World:
    """Two organisations and their pollers, over one table; every tick is a minute."""

    table: Table
    a: Organisation
    b: Organisation
    configuration: config.Configuration
    now: datetime = START

    def __post_init__(self) -> None:
        self.secrets = client("secretsmanager")
        self.heads, self.connections = Heads(self.table), Connections(self.table)
        self.entries = Entries(self.table, timedelta(days=400), timedelta(days=30))

    def keep(self, *names: str) -> None:
        for name in names:
            self.secrets.create_secret(Name=name, SecretString=json.dumps({"x-api-key": KEYS[name]}))

    def follow(self, *names: str, project: str = "p", at: tuple[str, ...] = (A, B)) -> None:
        for connection in at:
            for name in names:
                self.heads.follow(JobKey(connection, "job", project, name), {}, self.now)

    def sweep(self, name: str) -> Report:
        """As the function of that connection does it, with less patience for those who hang."""
        poller = Poller.of(name, self.configuration, self.table, self.secrets)
        connection = self.configuration.vendors[name]
        patience = 1.5 if "hanging" in {self.a.trouble, self.b.trouble} else 20.0
        client = partial(VendorClient, connection.base_url, 20, _tls(), patience, allow_private=True)
        patient = replace(poller, client=client)
        return asyncio.run(patient.sweep({"virtual_time": iso(self.now)}, lambda: 55.0))

    def tick(self, times: int = 1) -> dict[str, Report]:
        """Both pollers at once, as the schedule wakes them."""
        for _ in range(times):
            self.now += MINUTE
            with ThreadPoolExecutor(2) as pool:
                reports = dict(zip((A, B), pool.map(self.sweep, (A, B)), strict=True))
        return reports

    def head(self, connection: str, name: str = "1", project: str = "p") -> Head:
        head = self.heads.get(JobKey(connection, "job", project, name))
        assert head
        return head

    def states(self, connection: str) -> list[str]:
        entries = self.entries.of(JobKey(connection, "job", "p", "1"))
        return [json.loads(entry.event)["to"]["state"] for entry in entries]


@pytest.fixture
def world(table: Table) -> Iterator[World]:
    a, b = Organisation(), Organisation()
    with running(a.application()) as here, running(b.application()) as there:
        more = {"type": "mentionlab", "allow_private": True, "limits": {"per_second": 1000, "per_minute": 100_000}}
        vendors = {
            A: {"base_url": here, "secret": A, "scope_secrets": {"q": "scoped"}, **more},
            B: {"base_url": there, "secret": B, **more},
        }
        yield World(table, a, b, config.check({"vendors": vendors}, "test"))


def test_the_same_job_in_two_organisations_is_two_jobs_with_two_histories(world: World) -> None:
    world.keep(*KEYS)
    world.follow("1")
    world.tick()
    world.b.status = "completed"

    world.tick()

    assert (world.states(A), world.states(B)) == (["running"], ["running", "succeeded"])
    events = {entry.event_id for at in (A, B) for entry in world.entries.of(JobKey(at, "job", "p", "1"))}
    assert len(events) == 3


def test_each_organisation_is_shown_its_own_key_and_no_other(world: World) -> None:
    world.keep(*KEYS)
    world.follow(*"12345")

    world.tick(3)

    assert (world.a.keys, world.b.keys) == ({"p": {"canary-a"}}, {"p": {"canary-b"}})
    assert {name for _, name, _ in world.a.asked} == {name for _, name, _ in world.b.asked} == set("12345")


def test_unwatching_a_job_in_one_organisation_leaves_it_in_the_other(world: World) -> None:
    world.keep(*KEYS)
    world.follow("1")
    world.heads.unfollow(JobKey(A, "job", "p", "1"), world.now)

    world.tick()

    assert (len(world.a.asked), len(world.b.asked)) == (0, 1)


@pytest.mark.long
@pytest.mark.parametrize("trouble", TROUBLES)
def test_one_organisations_trouble_changes_nothing_for_the_other(world: World, trouble: str) -> None:
    world.keep(*KEYS)
    world.follow(*"123")
    world.a.trouble = trouble

    reports = [world.tick() for _ in range(4)]

    assert {report[B].outcome for report in reports} == {Outcome.COMPLETED}
    assert all(report[B].counts["due"] == 3 and not report[B].errors for report in reports)
    assert (len(world.b.asked), world.states(B)) == (12, ["running"])
    head = world.connections.get(B)
    assert (head.completed, head.waits_until, head.health.troubles) == (epoch_minute(world.now), None, 0)
    assert {str(world.head(B, name).slot) for name in "123"} == {f"{B}#0#1m#0"}
    assert {world.head(B, name).row.failures for name in "123"} == {0}
    assert (world.states(A), world.connections.get(A).health.troubles > 0) == ([], trouble != "throttled")


def test_a_429_lets_the_organisation_that_sent_it_wait_and_no_other(world: World) -> None:
    world.keep(*KEYS)
    world.follow("1")
    world.a.trouble = "throttled"

    outcomes = [{name: report.outcome for name, report in world.tick().items()} for _ in range(3)]

    assert [outcome[A] for outcome in outcomes] == [Outcome.THROTTLED, Outcome.WAITING, Outcome.WAITING]
    assert world.connections.get(A).waits_until == START + MINUTE + timedelta(minutes=10)
    assert (len(world.a.asked), len(world.b.asked)) == (1, 3)
    assert world.connections.get(B).waits_until is None


def test_a_scope_with_a_secret_of_its_own_is_asked_with_that_one_only(world: World) -> None:
    world.keep(*KEYS)
    for project in "pqr":
        world.follow("1", "2", project=project)

    world.tick(2)

    assert world.a.keys == {"p": {"canary-a"}, "q": {"canary-scoped"}, "r": {"canary-a"}}
    assert world.b.keys == {key: {"canary-b"} for key in "pqr"}


def test_a_missing_secret_of_a_scope_fails_the_jobs_of_that_scope_only(world: World) -> None:
    world.keep(A, B)
    world.follow("1", "2")
    world.follow("1", "2", project="q")

    report = world.tick()[A]

    assert (report.outcome, report.counts["changed"]) == (Outcome.COMPLETED, 2)
    assert [world.head(A, name, "q").version for name in "12"] == [0, 0]
    assert "secret scoped is missing" in (world.head(A, project="q").poll_error or "")
    assert (world.states(A), world.a.keys) == (["running"], {"p": {"canary-a"}})
    assert world.b.keys == {key: {"canary-b"} for key in "pq"}


def test_a_missing_secret_of_the_connection_leaves_the_scopes_that_have_their_own(world: World) -> None:
    world.keep("scoped", B)
    world.follow("1")
    world.follow("1", project="q")

    world.tick()

    assert (world.head(A).version, world.head(A, project="q").version) == (0, 1)
    assert world.a.keys == {"q": {"canary-scoped"}}


def test_a_secret_that_is_set_at_last_serves_its_scope_from_the_next_tick(world: World) -> None:
    world.keep(A, B)
    world.follow("1", project="q")
    world.tick()
    world.keep("scoped")

    world.tick()

    assert (world.head(A, project="q").version, world.head(A, project="q").poll_error) == (1, None)
    assert world.a.keys == {"q": {"canary-scoped"}}
