"""Troubles told, writes dropped, readings broken off, jobs let go of: where it is easy to get them wrong."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from pollbridge.model.instant import MINUTE, epoch_minute, read_iso
from pollbridge.model.job import JobKey
from pollbridge.polling.client import Refused
from pollbridge.polling.report import Outcome
from tests.kit.faults import WRITES, Fault, throttle
from tests.kit.sweeping import START
from tests.kit.world import WorldBench, in_world, numbered

pytestmark = pytest.mark.long

DAY = timedelta(days=1)


def kinds(bench: WorldBench) -> list[tuple[str, str | None, str]]:
    """What was told of the connection, in short."""
    return [(event["detail_type"], event["scope"], event["reason"]) for event in bench.troubles()]


def known(jobs: int, **more: Any) -> WorldBench:
    """A scope that was read once; its jobs were updated a second apart, the first the latest, and stay fresh."""
    bench = in_world(scopes=["p"], fresh=10 * DAY, **more)
    for n, name in enumerate(numbered(jobs)):
        bench.follow(name, at=START - timedelta(hours=1, seconds=n))
    bench.tick(2)
    bench.world.taken()
    return bench


def due_within(bench: WorldBench, job: JobKey, ticks: int) -> bool:
    slot, tick = bench.head(job).slot, epoch_minute(bench.now)
    return slot is not None and any(slot.last_due(tick + n) == tick + n for n in range(1, ticks + 1))


# What is told


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_after_a_failed_tick_is_told(status: int) -> None:
    bench = in_world()
    bench.follow(*numbered(5))
    bench.tick(2)
    bench.world.fail(Refused(500))
    bench.tick()
    bench.world.heal()
    bench.world.fail(Refused(status))

    bench.tick(30)

    assert [event["error"] for event in bench.troubles()] == [f"HTTP {status}"]
    assert bench.completed() == epoch_minute(bench.now)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("jobs", [1, 4])
def test_a_vendor_that_is_down_is_asked_three_times_a_tick_though_every_scope_refuses(jobs: int, status: int) -> None:
    bench = in_world(fresh=10 * DAY)
    for scope in "pqrstu":
        bench.follow(*numbered(jobs), scope=scope)
    bench.tick(2)
    bench.world.fail(Refused(status))
    bench.tick(3)
    bench.world.taken()

    calls = []
    for _ in range(20):
        bench.tick()
        calls.append(len(bench.world.taken()))

    assert max(calls) <= 3
    assert min(calls) >= 1
    assert len(bench.troubles()) == 1


@pytest.mark.parametrize("budget", [None, 7])
def test_a_scope_that_is_back_is_told_with_the_changes_of_all_its_jobs(budget: int | None) -> None:
    bench = in_world(fresh=MINUTE)
    bench.follow(*numbered(10))
    bench.follow("other", scope="q")
    bench.tick(60)
    bench.world.fail(Refused(403), scope="p")
    bench.tick(20)
    bench.world.heal()
    bench.world.update(*numbered(10), state="succeeded")
    bench.budget(budget)

    bench.tick(3)

    assert kinds(bench) == [("Vendor Unreachable", "p", "forbidden"), ("Vendor Recovered", "p", "forbidden")]
    assert bench.troubles()[1]["changes"]["total"] == 10
    assert bench.troubles()[1]["changes"]["states"] == {"succeeded": 10}


def test_a_scope_whose_jobs_are_all_unwatched_is_no_trouble_after_sixty_sweeps() -> None:
    bench = in_world()
    bench.follow("a")
    bench.follow("x", scope="q")
    bench.tick(2)
    bench.world.fail(Refused(403), scope="q")
    bench.tick(3)
    bench.heads.unfollow(bench.world.key("x", "q"), bench.now)

    troubles = [bench.tick().troubles for _ in range(62)]

    assert troubles[0] == 1
    assert troubles[-1] == 0
    assert kinds(bench) == [("Vendor Unreachable", "q", "forbidden")]


# Writes that are dropped, and reads that fail


def test_a_reading_in_which_a_write_was_dropped_is_read_again() -> None:
    bench = in_world(scopes=["p"], discovery=MINUTE, fresh=MINUTE)
    bench.follow(*numbered(5))
    bench.tick(70)
    job = bench.world.key("j00003")
    while due_within(bench, job, 4):
        bench.tick()
    bench.world.update("j00003", state="succeeded")
    bench.aws.plan = lambda call: Fault(throttle()) if call.operation in WRITES and call.touches(str(job)) else None
    changed = bench.now
    bench.tick()
    bench.aws.plan = lambda _: None

    bench.tick(2)

    assert bench.state("j00003") == "succeeded"
    assert read_iso(bench.told("j00003")[-1]["last_seen_at"]) <= changed


@pytest.mark.parametrize("vendor", ["mentionlab", "scale", "mintlify"])
def test_when_heads_cannot_be_looked_up_the_due_jobs_of_that_page_are_polled(vendor: str) -> None:
    bench = in_world(vendor, scopes=["p"], discovery=MINUTE, fresh=10 * DAY)
    bench.follow("a")
    bench.tick(5)
    bench.world.update("a", state="succeeded")
    bench.world.add("new")
    bench.world.taken()
    bench.aws.plan = lambda call: Fault(throttle()) if call.operation == "batch_get_item" else None

    bench.tick()

    assert bench.jobs_asked() == ["a"]
    assert bench.state("a") == "succeeded"
    bench.aws.plan = lambda _: None
    bench.tick()
    assert bench.reasons("new") == [["first_seen"]]


def test_the_calendar_is_read_once_a_sweep_however_many_scopes_are_listed() -> None:
    def queries(scopes: int) -> int:
        bench = in_world("scale", scopes=numbered(scopes, "s"), discovery=MINUTE)
        bench.follow(*numbered(3), scope="s00000")
        bench.tick(3)
        before = bench.aws.counts["query"]
        bench.tick()
        return bench.aws.counts["query"] - before

    assert queries(20) == queries(1)


@pytest.mark.parametrize("vendor", ["mentionlab", "scale", "mintlify"])
def test_a_list_of_one_page_that_does_not_change_is_not_written_down_at_each_reading(vendor: str) -> None:
    bench = in_world(vendor, scopes=["p"], discovery=MINUTE)
    bench.follow(*numbered(3))
    bench.tick(10)
    before = len(bench.aws.writes("DISCOVERY#"))

    bench.tick(59)

    assert len(bench.aws.writes("DISCOVERY#")) - before <= 1


# Readings that are broken off


def test_a_first_reading_that_the_limits_break_off_is_gone_on_with() -> None:
    bench = in_world(scopes=["p"])
    bench.world.add(*numbered(350))
    bench.budget(4)

    bench.tick(10)
    tokens = Counter(call.what for call in bench.world.taken() if call.listing)
    discovery = bench.discoveries.get(bench.name, "p")
    bench.world.add("new")
    bench.tick(5)

    assert discovery is not None
    assert discovery.baseline_done
    # A first reading of several pages is made twice, each page once.
    assert [tokens[str(page)] for page in range(2, 5)] == [2] * 3
    assert bench.reasons("j00349") == []
    assert bench.reasons("new") == [["first_seen"]]


# Jobs that are let go of, and taken up again


def test_a_job_that_is_watched_again_is_first_asked_for_by_itself() -> None:
    bench = known(300)
    bench.heads.unfollow(bench.world.key("j00150"), bench.now)
    bench.world.update("j00150", state="succeeded")
    changed = bench.now
    bench.tick()
    bench.world.update(*numbered(140), state="failed")
    bench.tick(3)
    bench.heads.follow(bench.world.key("j00150"), {}, bench.now)
    bench.world.taken()

    bench.tick()

    assert bench.jobs_asked() == ["j00150"]
    assert bench.state("j00150") == "succeeded"
    assert read_iso(bench.told("j00150")[-1]["last_seen_at"]) <= changed


def test_a_job_that_leaves_the_list_and_denies_itself_in_one_tick_leaves_no_tick_unfinished() -> None:
    bench = known(10)
    bench.world.delete("j00003")

    reports = [bench.tick() for _ in range(80)]

    assert {report.outcome for report in reports} == {Outcome.COMPLETED}
    assert bench.reasons("j00003")[-1] == ["lost"]


@pytest.mark.parametrize("vendor", ["mentionlab", "scale", "mintlify"])
def test_a_running_job_that_was_found_silently_expires_silently_and_a_watched_one_does_not(vendor: str) -> None:
    bench = in_world(vendor, scopes=["p"], discovery=MINUTE, expire=10 * MINUTE)
    bench.world.add("silent")
    bench.follow("watched")

    bench.tick(15)

    assert bench.told("silent") == []
    assert not bench.followed("silent")
    assert bench.reasons("watched") == [["first_seen"], ["expired"]]
    assert not bench.followed("watched")
