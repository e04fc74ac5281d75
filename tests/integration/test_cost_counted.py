"""The model of costs against what sweeps really ask for and DynamoDB would charge, minute by minute."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from bench.indexed import Indexed
from bench.simulate import Case, simulate
from pollbridge.cli.counting import followed
from pollbridge.config import Cadence, Connection
from pollbridge.cost.assumed import (
    CHANGE_READS,
    CHANGE_WRITES,
    DELIVERY_READS,
    DELIVERY_WRITES,
    ROW_BYTES,
    TICKS,
    UNIT_READ,
)
from pollbridge.cost.sweeps import Followed
from pollbridge.history.heads import DueJob, DueRow
from pollbridge.history.table import Table
from pollbridge.model.cadence import Slot
from pollbridge.model.change import Fingerprint
from pollbridge.model.instant import epoch_minute
from pollbridge.model.job import JobKey
from pollbridge.vendors.answer import Limits
from tests.kit.memory import Memory
from tests.kit.receiving import Post, message
from tests.kit.sweeping import START, UNLIMITED, Bench
from tests.kit.world import WorldBench, in_world, numbered

MINUTES = 30
PACE = Limits(per_second=10, per_minute=300, concurrency=20)
AGES = {1: timedelta(0), 2: timedelta(hours=20), 5: timedelta(days=5), 15: timedelta(days=15)}
"""Since its last change a job with `fresh = 10h` is looked at so many minutes apart."""


class Counting(Indexed):
    """A table that is asked how many there are, too."""

    def query(self, **query: Any) -> dict[str, Any]:
        answer = super().query(**query)
        return answer | {"Count": len(answer["Items"])}

    def batch_get_item(self, *, RequestItems: dict[str, dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's
        # Each of them is read by itself, also one that isn't there: half a unit up to 4 KB.
        self.spent["read units"] += sum(len(wanted["Keys"]) / 2 for wanted in RequestItems.values())
        return super().batch_get_item(RequestItems=RequestItems)

    @classmethod
    def holding(cls, other: Memory) -> Counting:
        """A table with the same items, of which nothing was spent yet."""
        table = cls()
        table.fill(other.items.values())
        return table


def steady(**jobs: int) -> Bench:
    """A connection that has followed so many jobs for long, by rung, none of which changes."""
    connection = Connection(
        type="oration",
        base_url="https://oration.test",
        secret="s",
        limits=UNLIMITED,
        cadence=Cadence(fresh=timedelta(hours=10)),
    )
    bench = Bench(Table(Counting(), "history"), connection=connection)
    for name, count in jobs.items():
        for number in range(count):
            _settle(bench, int(name.removeprefix("every_")), f"{number:08x}-0000-4000-8000-{len(bench.answers):012x}")
    bench.tick(16)  # The first one reads everything.
    bench.polled()
    return bench


def _settle(bench: Bench, rung: int, name: str) -> None:
    key, kind = JobKey("oration", "job", "acme", name), bench.connection.vendor.kinds["job"]
    body = json.dumps({"id": name, "status": "active", "error": None}).encode()
    bench.watch(key, body)
    row = DueRow(
        version=1,
        since=bench.now - AGES[rung],
        seen=bench.now,
        entered=epoch_minute(bench.now),
        body_hash=kind.body_hash(body),
        fingerprint=Fingerprint.of(kind.answer(key, body)),
    )
    head = bench.head(key)
    assert head.slot
    assert head.row
    bench.heads.move(DueJob(key, head.slot, head.row), Slot.of(key, rung), row)


def counted(bench: Bench) -> Followed:
    [found] = followed(bench.table, {bench.name: bench.connection})
    bench.table.client.spent.clear()
    return found


@pytest.mark.parametrize(
    "jobs",
    [{}, {"every_1": 3, "every_2": 6, "every_5": 20, "every_15": 450}],
    ids=["none", "some on each rung"],
)
def test_sweeps_over_unchanged_jobs_cost_what_the_model_says(jobs: dict[str, int]) -> None:
    bench = steady(**jobs)
    model = counted(bench)

    bench.tick(MINUTES)

    spent, share = bench.table.client.spent, MINUTES / TICKS
    assert model.watches == sum(jobs.values())
    assert len(bench.polled()) == pytest.approx(model.polls * share)
    assert spent["write units"] == pytest.approx(model.writes * share)
    assert spent["read units"] == pytest.approx(model.reads * share, rel=0.05)


@pytest.mark.long
@pytest.mark.parametrize("vendor", ["mentionlab", "scale"])
def test_lists_cost_no_more_than_the_model_says(vendor: str) -> None:
    bench = listing(vendor)
    [model] = followed(bench.table, {bench.name: bench.connection})
    counting = bench.aws.client = Counting.holding(bench.aws.client)

    bench.tick(60)

    share = 60 / TICKS
    # A page that is read to find new jobs saves the polls of those that stand on it.
    assert 0.7 <= len(bench.world.taken()) / (model.requests * share) <= 1.05
    assert len(bench.reads) == pytest.approx(model.asking * share, rel=0.05)
    assert 0.7 <= counting.spent["read units"] / (model.reads * share) <= 1.05
    assert counting.spent["write units"] == pytest.approx(model.writes * share, rel=0.1)


def listing(vendor: str) -> WorldBench:
    """Two scopes whose jobs were found long ago, and are looked at on the slowest rung."""
    bench = in_world(vendor, scopes=["p", "q"], fresh="5m", discovery="5m")
    bench.aws.client = Counting()
    for scope in ("p", "q"):
        bench.follow(*numbered(30), scope=scope)
        bench.world.add(*numbered(70, "old"), scope=scope, state="succeeded", at=START - timedelta(days=9))
    for _ in range(12):
        bench.tick()
        bench.miss(14)
    bench.tick(16)
    bench.world.taken()
    bench.reads.clear()
    return bench


def test_a_change_costs_what_the_model_says() -> None:
    minutes = 30
    counts = simulate(Case(600, minutes=minutes)).counts
    idle = Followed("oration", {}, PACE).reads * minutes / TICKS
    looks = counts["polls"] * ROW_BYTES / UNIT_READ / 2

    assert (counts["write units"] - 2 * minutes) / counts["changes"] == pytest.approx(CHANGE_WRITES, rel=0.1)
    assert (counts["read units"] - idle - looks) / counts["changes"] == pytest.approx(CHANGE_READS, abs=1)


def test_a_delivery_to_a_webhook_costs_what_the_model_says() -> None:
    post = Post()
    post.aws.client = Indexed()

    post.deliver(message())

    spent = post.aws.client.spent
    assert (spent["read units"], spent["write units"]) == (DELIVERY_READS["webhook"], DELIVERY_WRITES["webhook"])
