"""Lists that fail, are throttled, or take what the limits let through: the polls go on, and nothing false is told."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from pollbridge.model.instant import MINUTE
from pollbridge.polling.client import Refused, Throttled
from pollbridge.polling.report import Outcome
from tests.kit.world import WorldBench, in_world, numbered

pytestmark = pytest.mark.long

LISTING = ["mentionlab", "scale", "mintlify"]
DAY = timedelta(days=1)


def slow(jobs: int = 2, vendor: str = "mentionlab", **more: Any) -> WorldBench:
    """Healthy jobs that are looked at every fifteen minutes."""
    bench = in_world(vendor, fresh=MINUTE, **more)
    bench.follow(*numbered(jobs))
    bench.tick(60)
    bench.world.taken()
    return bench


def quota(bench: WorldBench, requests: int) -> None:
    """The vendor lets so many requests through a minute, and says so with a 429."""
    asked: Counter[int] = Counter()

    def throttled(call: Any) -> Throttled | None:
        asked[call.minute] += 1
        return Throttled(MINUTE) if asked[call.minute] > requests else None

    bench.world.troubles.append(throttled)


def polls(bench: WorldBench, ticks: int) -> list[int]:
    """How many jobs were asked for in each of the next ticks."""
    counts = []
    for _ in range(ticks):
        bench.world.taken()
        bench.tick()
        counts.append(len(bench.jobs_asked()))
    return counts


def longest_gap(counts: list[int]) -> int:
    """The most ticks in a row in which nothing was asked for."""
    return max(len(run) for run in "".join("x" if count else "." for count in counts).split("x"))


# Throttled


def test_one_failure_of_the_list_does_not_lead_into_throttling_for_ever() -> None:
    bench = in_world(scopes=["p"], fresh=10 * DAY)
    bench.follow(*numbered(60))
    quota(bench, 20)
    bench.tick(5)
    bench.world.fail(Refused(500), kind="list")
    bench.tick()
    bench.world.troubles.pop()

    bench.tick(30)
    bench.world.add("new")
    bench.world.update("j00050", state="succeeded")
    bench.tick(30)

    assert bench.state("new") == "running"
    assert bench.state("j00050") == "succeeded"
    assert bench.troubles() == []


@pytest.mark.parametrize("wait", [30, 600])
@pytest.mark.parametrize("vendor", LISTING)
def test_a_list_that_is_always_throttled_keeps_the_polls_back_twice_and_is_then_read_seldom(
    vendor: str, wait: int
) -> None:
    bench = in_world(vendor, scopes=["p"], fresh=10 * DAY, discovery=MINUTE)
    bench.follow(*numbered(5))
    bench.tick(5)
    bench.world.taken()
    bench.world.fail(Throttled(timedelta(seconds=wait)), kind="list")
    swept, asked, lists = [], [], []

    for _ in range(70):
        report = bench.tick()
        calls = bench.world.taken()
        swept += [] if report.outcome == Outcome.WAITING else [sum(not call.listing for call in calls)]
        lists += [call.minute for call in calls if call.listing]
        asked += [len(calls)]

    assert longest_gap(swept) == 2
    assert {later - earlier for earlier, later in pairwise(lists[1:])} == {16}
    assert len(lists) >= 70 // 16
    assert bench.troubles() == []


@pytest.mark.promise(11)
@pytest.mark.parametrize("vendor", LISTING)
@pytest.mark.parametrize("missed", [0, 1, 4])
@pytest.mark.parametrize("discovery", [5, 7, 16, 48])
def test_lists_that_were_in_the_way_are_tried_again_in_time_whosever_turn_it_is(
    vendor: str, discovery: int, missed: int
) -> None:
    bench = in_world(vendor, scopes=["p", "q"], fresh=10 * DAY, discovery=discovery * MINUTE)
    bench.follow("a", "b", scope="r")
    bench.tick(2)
    bench.world.fail(Throttled(timedelta(seconds=30)), kind="list")
    tries = []

    for _ in range(400 // (1 + missed)):
        bench.tick()
        tries += [call.minute for call in bench.world.taken() if call.listing]
        bench.miss(missed)

    assert {later - earlier for earlier, later in pairwise(tries[-5:])} == {-(-16 // (1 + missed)) * (1 + missed)}


@pytest.mark.parametrize("vendor", LISTING)
@pytest.mark.parametrize("discovery", [5, 48])
def test_lists_that_were_in_the_way_find_what_is_new_once_they_answer(vendor: str, discovery: int) -> None:
    bench = in_world(vendor, scopes=["p", "q"], fresh=10 * DAY, discovery=discovery * MINUTE)
    bench.follow("a", "b", scope="r")
    bench.tick(5)
    bench.world.fail(Throttled(timedelta(seconds=30)), kind="list")
    bench.tick(200)
    bench.world.heal()
    bench.world.add("new", scope="q")

    bench.tick(17)

    assert bench.reasons("new", "q") == [["first_seen"]]


def test_a_list_that_fails_after_it_was_in_the_way_is_tried_as_seldom() -> None:
    bench = in_world("scale", scopes=["p"], fresh=10 * DAY, discovery=MINUTE)
    bench.follow("a", scope="r")
    bench.tick(5)
    bench.world.fail(Throttled(timedelta(seconds=30)), kind="list")
    bench.tick(20)
    bench.world.heal()
    bench.world.fail(Refused(500), kind="list")
    bench.world.taken()

    bench.tick(64)

    assert len([call for call in bench.world.taken() if call.listing]) == 4


def test_lists_that_take_the_whole_budget_keep_the_polls_back_twice_and_are_then_read_seldom() -> None:
    scopes = numbered(12, "s")
    bench = in_world("scale", scopes=scopes, fresh=10 * DAY, discovery=MINUTE)
    bench.follow("a", "b")
    bench.budget(4)

    counts = polls(bench, 60)

    assert longest_gap(counts) <= 2
    assert sum(counts) >= 2 * 40


# Failing


@pytest.mark.parametrize("vendor", LISTING)
@pytest.mark.parametrize("trouble", [Refused(500), Refused(403), b"<html>"], ids=str)
def test_a_list_that_always_fails_beside_healthy_slow_jobs_is_no_outage(vendor: str, trouble: Any) -> None:
    bench = slow(vendor=vendor, scopes=["p"], discovery=MINUTE)
    bench.world.fail(trouble, kind="list")

    bench.tick(40)

    assert bench.troubles() == []


@pytest.mark.parametrize("jobs", [1, 5])
def test_a_key_that_is_good_for_lists_only_is_told_once(jobs: int) -> None:
    bench = slow(jobs, scopes=["p"], discovery=MINUTE)
    bench.world.hide(*numbered(jobs))
    bench.tick(70)
    bench.world.fail(Refused(403), kind="job")

    bench.tick(70)

    assert [(event["detail_type"], event["reason"]) for event in bench.troubles()] == [
        ("Vendor Unreachable", "forbidden")
    ]


@pytest.mark.parametrize("scopes", [(), ("p",)])
def test_wrong_ids_beside_few_healthy_slow_jobs_are_no_outage(scopes: tuple[str, ...]) -> None:
    bench = slow(5, scopes=scopes)
    for name in numbered(12, "wrong"):
        bench.heads.follow(bench.world.key(name), {}, bench.now)

    bench.tick(100)

    assert bench.troubles() == []
    assert bench.followed("wrong00000")


@pytest.mark.parametrize("scopes", [(), ("p",)])
def test_a_fifth_of_all_jobs_deleted_at_once_is_told_lost_to_the_last(scopes: tuple[str, ...]) -> None:
    bench = slow(60, scopes=scopes, settle=60 * DAY)
    bench.world.delete(*numbered(12))

    bench.tick(3 * 60)

    assert [name for name in numbered(60) if ["lost"] in bench.reasons(name)] == numbered(12)
    assert bench.troubles() == []
