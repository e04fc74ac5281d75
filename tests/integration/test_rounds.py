"""More work than one sweep holds: finished in rounds that starve nobody and vouch for nothing they haven't seen."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pollbridge.history.connections import Place, Round
from pollbridge.history.table import Table
from pollbridge.model.instant import MINUTE, epoch_minute
from pollbridge.polling.client import Refused, Throttled
from pollbridge.polling.report import Outcome
from pollbridge.polling.sweep import STORING
from tests.kit.faults import Crash
from tests.kit.memory import Memory
from tests.kit.sweeping import UNLIMITED, Bench, oration_body, oration_key
from tests.kit.world import in_world, numbered

JOBS = [f"j{n:02}" for n in range(10)]


def _bench(jobs: list[str]) -> Bench:
    bench = Bench(Table(Memory(), "history"))
    for name in jobs:
        bench.watch(oration_key(name), oration_body(name))
    return bench


def _tick(bench: Bench, room: int) -> list[str]:
    """One tick in which there is time for so many polls; the jobs it asked for."""
    asked, left = len(bench.asked), iter(range(room))
    bench.time_left = lambda: float(next(left, -1) >= 0)
    bench.tick()
    return [path.rpartition("/")[2] for path in bench.asked[asked:]]


def _completed(bench: Bench) -> int | None:
    return bench.connections.get("oration").completed


@pytest.mark.promise(13)
def test_what_one_sweep_leaves_the_next_ones_finish() -> None:
    bench = _bench(JOBS)
    first = epoch_minute(bench.now) + 1

    asked = [_tick(bench, 4) for _ in range(3)]

    assert sorted(asked[0] + asked[1] + asked[2][:2]) == JOBS
    assert _completed(bench) == first


@pytest.mark.promise(13)
def test_every_job_gets_its_turn_as_often_as_any_other() -> None:
    bench = _bench(JOBS)

    turns = Counter(name for _ in range(30) for name in _tick(bench, 3))

    assert set(turns) == set(JOBS)
    assert max(turns.values()) - min(turns.values()) <= 1


def test_a_backlog_once_worked_off_is_over() -> None:
    bench = _bench(JOBS)
    for _ in range(20):
        _tick(bench, 3)

    _tick(bench, 100)

    assert bench.connections.get("oration").round is None
    assert _completed(bench) == epoch_minute(bench.now)


def test_jobs_that_are_seldom_due_are_not_asked_more_often_because_others_wait() -> None:
    bench = _bench(JOBS)
    bench.tick(60 * 7)
    fresh = [f"new{n}" for n in range(6)]
    for name in fresh:
        bench.watch(oration_key(name), oration_body(name))

    turns = Counter(name for _ in range(30) for name in _tick(bench, 5))

    assert all(turns[name] <= 3 for name in JOBS)
    assert all(turns[name] >= 15 for name in fresh)


@pytest.mark.long
@settings(deadline=None, max_examples=40)
@given(
    jobs=st.integers(1, 12),
    rooms=st.lists(st.integers(0, 8), min_size=1, max_size=12),
)
def test_a_completed_minute_is_one_after_which_every_due_job_was_asked(jobs: int, rooms: list[int]) -> None:
    bench = _bench(JOBS[:jobs])
    asked_at: dict[str, int] = {}
    for room in rooms:
        for name in _tick(bench, room):
            asked_at[name] = epoch_minute(bench.now)
        completed = _completed(bench)

        assert completed is None or all(asked_at.get(name, 0) >= completed for name in JOBS[:jobs])


def test_a_round_knows_what_it_has_looked_at_though_it_goes_round_behind_the_last_key() -> None:
    keys = [Place(1, oration_key(name)) for name in JOBS]
    straight, around = Round(1, keys[2], keys[5]), Round(1, keys[7], keys[1])

    assert [n for n, key in enumerate(keys) if straight.looked_at(key)] == [2, 3, 4]
    assert [n for n, key in enumerate(keys) if around.looked_at(key)] == [0, 7, 8, 9]
    assert not any(Round(1, keys[3], keys[3]).looked_at(key) for key in keys)


def test_an_unfinished_sweep_says_so() -> None:
    bench = _bench(JOBS)
    left = iter(range(3))
    bench.time_left = lambda: float(next(left, -1) >= 0)

    assert bench.tick().outcome == Outcome.UNFINISHED


def test_after_a_long_throttling_the_backlog_is_worked_off_and_over() -> None:
    bench = _bench([f"j{n:03}" for n in range(60)])
    bench.tick(20)
    healthy = bench.answers
    bench.answers = {path: lambda: Throttled(timedelta(minutes=1)) for path in healthy}
    bench.tick(17)
    bench.answers = healthy

    for _ in range(12):
        asked = _tick(bench, 40)

    assert bench.connections.get("oration").round is None
    assert len(asked) < 40


@pytest.mark.promise(69)
def test_after_twenty_minutes_without_a_poller_a_backlog_with_failures_in_it_drains_within_minutes() -> None:
    bench = in_world(fresh=MINUTE)
    bench.follow(*numbered(300))
    bench.tick(120)
    bench.world.fail(Refused(500), what="j00007")
    bench.world.delete("j00100")
    bench.miss(20)
    began: dict[datetime, int] = {}
    # Sixty polls fit into a sweep.
    bench.time_left = lambda: 60 - len(bench.world.calls) + began.setdefault(bench.now, len(bench.world.calls))

    behind = [bench.tick().behind for _ in range(30)]

    assert behind[10:] == [0] * 20
    assert bench.head(bench.world.key("j00007")).row.failures == 5
    assert bench.reasons("j00100")[-1] == ["lost"]


@pytest.mark.promise(69)
def test_failures_that_there_is_no_time_left_to_store_keep_the_tick_open() -> None:
    bench = _bench(JOBS)
    bench.tick()
    bench.answers["/jobs/j05"] = lambda: Refused(400)
    left = iter([100.0] * len(JOBS))
    bench.time_left = lambda: next(left, -STORING)

    report = bench.tick()

    assert (report.outcome, report.behind) == (Outcome.UNFINISHED, 1)
    assert bench.head(oration_key("j05")).row.failures == 0


def test_what_failed_just_in_time_is_stored() -> None:
    bench = _bench(JOBS)
    bench.tick()
    bench.answers["/jobs/j05"] = lambda: Refused(400)
    left = iter([100.0] * len(JOBS))
    bench.time_left = lambda: next(left, 1 - STORING)

    bench.tick()

    assert bench.head(oration_key("j05")).row.failures == 1


def test_a_job_that_is_always_throttled_is_passed_by_though_it_is_the_first() -> None:
    bench = _bench(JOBS[:4])
    bench.connection = bench.connection.model_copy(update={"limits": UNLIMITED.model_copy(update={"concurrency": 1})})
    bench.answers["/jobs/j00"] = lambda: Throttled(timedelta(seconds=30))

    bench.tick(8)

    assert {name for name in JOBS[:4] if bench.history(oration_key(name))} == set(JOBS[1:4])


@pytest.mark.promise(12)
def test_a_round_is_not_gone_on_with_where_a_sweep_died() -> None:
    bench = _bench(JOBS)
    _tick(bench, 4)
    killer = bench.connections.get("oration").round
    assert killer
    path = f"/jobs/{killer.cursor.key.id}"
    bench.answers[path] = Crash

    for _ in range(20):
        with suppress(BaseException):
            _tick(bench, 4)

    assert set(JOBS) - {name for name in JOBS if bench.history(oration_key(name))} <= {killer.cursor.key.id}
