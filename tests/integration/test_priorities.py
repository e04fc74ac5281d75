"""Where a tick holds more than its limits let through: who comes first, and that nobody waits for ever."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from itertools import groupby, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pollbridge.model.instant import epoch_minute
from pollbridge.polling.client import Refused
from pollbridge.polling.report import Outcome
from tests.kit.world import WorldBench, in_world, numbered

pytestmark = pytest.mark.long

RANKS = {"new": 1, "two": 2, "five": 5, "slow": 15, "done": 16}
"""Jobs by the rung they stand on; those that have ended come last."""


def ladder(each: int = 4) -> WorldBench:
    """Jobs on every rung, each rung's named for it, and all of them due in the next tick."""
    bench = in_world(fresh=timedelta(minutes=10))
    bench.set(limits=bench.connection.limits.model_copy(update={"concurrency": 1}))
    bench.follow(*numbered(each, "slow"), *numbered(each, "done"))
    bench.tick(2)
    bench.world.update(*numbered(each, "done"), state="succeeded")
    bench.tick(250)
    bench.follow(*numbered(each, "five"))
    bench.tick(60)
    bench.follow(*numbered(each, "two"))
    bench.tick(20)
    bench.follow(*numbered(each, "new"))
    bench.tick()
    assert [bench.head(bench.world.key(f"{name}00000")).slot.rung for name in RANKS] == [1, 2, 5, 15, 15]
    # All at once, and still soon enough for the new ones to be new.
    bench.miss(14)
    bench.world.taken()
    return bench


def one_at_a_time(bench: WorldBench, budget: int | None = None) -> None:
    bench.budget(budget)
    bench.set(limits=bench.connection.limits.model_copy(update={"concurrency": 1}))


def asked(bench: WorldBench) -> list[str]:
    bench.tick()
    return bench.jobs_asked()


def ranks(names: Iterable[str]) -> list[str]:
    """The names without their numbers, runs of equal ones as one."""
    return [rank for rank, _ in groupby(name.rstrip("0123456789") for name in names)]


# Who comes first


def test_the_fastest_rung_comes_first_and_what_has_ended_last() -> None:
    assert ranks(asked(ladder())) == list(RANKS)


def test_a_job_whose_last_poll_failed_comes_behind_all_others() -> None:
    bench = ladder()
    bench.world.fail(Refused(400), what="new00000")
    bench.tick()
    bench.miss(14)
    bench.world.taken()

    assert asked(bench)[-1] == "new00000"


@pytest.mark.promise(13)
@pytest.mark.parametrize("budget", [3, 4, 10, 19])
def test_what_there_is_no_room_for_is_the_slowest(budget: int) -> None:
    bench = ladder()
    order = asked(ladder())
    one_at_a_time(bench, budget)

    assert sorted(asked(bench)) == sorted(order[:budget])


@pytest.mark.promise(13)
@pytest.mark.parametrize("budget", [6, 10])
def test_what_an_earlier_tick_left_over_comes_before_everything_else(budget: int) -> None:
    bench = ladder()
    order = asked(ladder())
    one_at_a_time(bench, budget)
    asked(bench)

    assert sorted(asked(bench)) == sorted(order[budget : 2 * budget])


@pytest.mark.promise(13)
def test_the_rest_of_a_tick_is_worked_off_before_its_first_jobs_come_again() -> None:
    bench = ladder()
    one_at_a_time(bench, 6)

    first_turns = [name for _ in range(4) for name in asked(bench)][:20]

    assert len(set(first_turns)) == 20


# Nobody waits for ever


@pytest.mark.promise(12)
@pytest.mark.promise(13)
@pytest.mark.parametrize("budget", [1, 3, 6, 19])
def test_every_job_gets_its_turn_in_each_round(budget: int) -> None:
    bench = in_world(fresh=timedelta(days=2))
    bench.follow(*numbered(20))
    one_at_a_time(bench, budget)
    longest = -(-20 // budget) + 1
    turns: dict[str, list[int]] = {name: [0] for name in numbered(20)}

    for tick in range(1, 6 * longest):
        for name in asked(bench):
            turns[name].append(tick)

    assert max(later - earlier for ticks in turns.values() for earlier, later in pairwise(ticks)) <= longest
    assert all(6 * longest - ticks[-1] <= longest for ticks in turns.values())


@pytest.mark.promise(13)
def test_busy_jobs_starve_no_slow_one() -> None:
    bench = ladder()
    bench.set(cadence=bench.connection.cadence.model_copy(update={"fresh": timedelta(days=2)}))
    bench.follow(*numbered(20, "busy"))
    one_at_a_time(bench, 5)
    ticks = 40

    seen = [name for _ in range(ticks) for name in asked(bench)]

    assert set(numbered(4, "slow") + numbered(4, "done")) <= set(seen)
    assert len(seen) == 5 * ticks


@pytest.mark.promise(12)
@settings(deadline=None, max_examples=20)
@given(budgets=st.lists(st.integers(1, 8), min_size=4, max_size=20), misses=st.lists(st.integers(0, 3), max_size=20))
def test_after_every_round_each_due_job_has_had_its_turn(budgets: list[int], misses: list[int]) -> None:
    bench = in_world(fresh=timedelta(days=2))
    bench.follow(*numbered(8))
    last = dict.fromkeys(numbered(8), 0)
    polls = 0

    for n, budget in enumerate(budgets):
        one_at_a_time(bench, budget)
        bench.miss(misses[n] if n < len(misses) else 0)
        for name in asked(bench):
            polls += 1
            last[name] = polls
        # Two rounds of eight hold each job's two turns, wherever they begin.
        assert all(polls - turn < 16 for turn in last.values())


@pytest.mark.promise(13)
def test_a_list_and_single_polls_share_what_the_limits_let_through() -> None:
    bench = in_world(scopes=["p"])
    bench.follow(*numbered(12), scope="q")
    bench.world.add(*numbered(500), scope="p")
    one_at_a_time(bench, 4)

    for _ in range(40):
        bench.tick()
        assert len(bench.world.taken()) <= 4

    assert {bench.state(name, "q") for name in numbered(12)} == {"running"}
    assert {bench.state(name, "p") for name in numbered(500)} == {"running"}


@pytest.mark.promise(12)
@pytest.mark.parametrize("budget", [1, 2, 3, 4])
def test_many_lists_starve_no_single_poll(budget: int) -> None:
    bench = in_world(scopes=["p", "q", "r"])
    for scope in "pqr":
        bench.world.add(*numbered(5), scope=scope)
    bench.tick(2)
    bench.follow("run", kind="execution")
    bench.budget(budget)

    bench.tick(20)

    assert len(bench.told("run", kind="execution")) == 1


# What is told of it


def test_a_report_tells_what_was_left_and_how_far_behind_it_is() -> None:
    bench = in_world(fresh=timedelta(days=2))
    bench.follow(*numbered(12))
    assert _told(bench) == (Outcome.COMPLETED, 0, 0)
    one_at_a_time(bench, 5)

    assert _told(bench) == (Outcome.UNFINISHED, 7, 1)
    assert _told(bench)[:2] == (Outcome.UNFINISHED, 7)
    one_at_a_time(bench)
    assert _told(bench) == (Outcome.COMPLETED, 0, 0)


def test_a_backlog_that_grows_is_told_in_minutes() -> None:
    bench = in_world(fresh=timedelta(days=2))
    bench.follow(*numbered(12))
    bench.tick()
    one_at_a_time(bench, 1)

    for _ in range(8):
        report = bench.tick()
        assert report.behind == epoch_minute(report.tick) - (bench.completed() or 0)

    assert report.behind == 8


def test_missed_minutes_that_are_made_up_for_leave_nothing_behind() -> None:
    bench = in_world()
    bench.follow(*numbered(12))
    bench.tick()
    bench.miss(30)

    assert _told(bench) == (Outcome.COMPLETED, 0, 0)


def _told(bench: WorldBench) -> tuple[Outcome, int, int]:
    report = bench.tick()
    return report.outcome, report.left, report.behind
