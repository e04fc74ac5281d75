"""Where the vendor's list is ordered by update, calls grow with what changes and not with what is followed."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.indexed import Indexed
from pollbridge.history.table import Table
from pollbridge.model.instant import MINUTE, read_iso
from pollbridge.polling.client import Refused, Throttled, Unreachable
from pollbridge.polling.report import Outcome
from tests.kit.faults import Fault, Faulty, throttle
from tests.kit.sweeping import START
from tests.kit.world import Call, World, WorldBench, in_world, numbered

pytestmark = pytest.mark.long

DAY = timedelta(days=1)
NEVER = datetime.min.replace(tzinfo=UTC)
"""What Go writes for no date."""
HOURLY = 60 + 5 + 1
"""Ticks in which a whole pass surely begins: an hour after the last, when the scope's discovery comes round."""


def known(jobs: int, **more: object) -> WorldBench:
    """A connection whose scope of so many running jobs has been read once, a second apart, the first the latest."""
    bench = in_world(scopes=["p"], **more)
    for n, name in enumerate(numbered(jobs)):
        bench.world.add(name, at=START - timedelta(hours=1, seconds=n))
    bench.tick()
    bench.world.taken()
    return bench


@pytest.fixture(scope="module")
def ten_thousand() -> WorldBench:
    return known(10_000)


@pytest.fixture
def crowd(ten_thousand: WorldBench) -> WorldBench:
    """Ten thousand followed jobs, for one test to do with as it likes."""
    rows = Indexed()
    rows.fill(ten_thousand.aws.client.items.values())
    world = World(jobs={place: copy(job) for place, job in ten_thousand.world.jobs.items()})
    table = Table(Faulty(rows), "history", pause=lambda _: None)
    return WorldBench(table, name="mentionlab", connection=ten_thousand.connection, world=world, now=ten_thousand.now)


def spread(count: int) -> list[str]:
    """So many of ten thousand, from everywhere in the list."""
    return numbered(10_000)[:: 10_000 // count][:count] if count else []


def cost(bench: WorldBench) -> tuple[int, int]:
    """List calls and single polls since the last time."""
    calls = bench.world.taken()
    lists = len([call for call in calls if call.listing])
    return lists, len(calls) - lists


# What it costs


@pytest.mark.parametrize("changed", [0, 1, 99, 100, 101, 250])
def test_a_tick_costs_a_list_call_for_each_hundred_changes_and_one_more(crowd: WorldBench, changed: int) -> None:
    names = spread(changed)
    crowd.world.update(*names, state="succeeded", at=crowd.now + MINUTE / 2)

    report = crowd.tick()

    lists, singles = cost(crowd)
    assert lists <= ceil(changed / 100) + 1
    assert singles == 0
    assert [name for name in names if crowd.state(name) != "succeeded"] == []
    assert report.outcome == Outcome.COMPLETED


@pytest.mark.parametrize("burst", [100, 250])
@pytest.mark.parametrize("apart", [0, 0.1])
def test_the_ticks_after_a_burst_cost_no_more_than_any(crowd: WorldBench, burst: int, apart: float) -> None:
    for n, name in enumerate(spread(burst)):
        crowd.world.update(name, state="succeeded", at=crowd.now + timedelta(seconds=1 + n * apart))
    crowd.tick()
    cost(crowd)

    for changed in (0, 1, 0, 2, 0):
        names = spread(burst + changed)[:changed]
        crowd.world.update(*names, state="failed", at=crowd.now + MINUTE / 2)
        crowd.tick()
        lists, singles = cost(crowd)
        assert lists <= ceil(changed / 100) + 1
        assert singles == 0
        assert all(crowd.state(name) == "failed" for name in names)


def test_due_jobs_that_the_list_shows_are_not_polled_singly() -> None:
    bench = known(10)

    bench.tick(30)

    assert cost(bench) == (30, 0)


def test_after_a_throttling_the_list_spares_the_polls_again() -> None:
    bench = known(50)
    bench.world.fail(Throttled(timedelta(seconds=30)))
    bench.tick()
    bench.world.heal()
    bench.world.taken()

    bench.tick()

    assert cost(bench) == (1, 0)


def test_after_an_outage_the_list_spares_all_polls_but_the_probes() -> None:
    bench = known(50)
    bench.world.fail(Refused(500))
    bench.tick(6)
    bench.world.heal()
    bench.world.update("j00003", state="failed")
    bench.world.taken()

    bench.tick()

    lists, singles = cost(bench)
    assert (lists, bench.state("j00003")) == (1, "failed")
    assert singles <= 3


def test_unchanged_jobs_write_nothing_but_their_moves() -> None:
    bench = known(50)
    before = bench.written()

    bench.tick(14)

    assert bench.written() == before


def test_once_an_hour_the_whole_list_is_read() -> None:
    bench = known(300)
    passes = []

    for tick in range(1, 3 * HOURLY):
        bench.tick()
        lists, singles = cost(bench)
        passes += [tick] if lists >= 3 else []
        assert lists <= 4
        assert singles == 0

    assert 2 <= len(passes) <= 3
    assert all(later - earlier >= 55 for earlier, later in zip([0, *passes], passes, strict=False))


def test_other_kinds_of_job_are_polled_singly() -> None:
    bench = known(3)
    bench.follow("run", kind="execution")

    bench.tick(5)

    assert cost(bench) == (5, 5)
    assert bench.reasons("j00000") == []
    assert len(bench.told("run", kind="execution")) == 1


# What it sees


def test_a_change_is_seen_at_the_next_tick_however_seldom_the_job_is_looked_at() -> None:
    bench = known(120)
    bench.tick(30)
    bench.miss(400)
    bench.tick(30)
    assert bench.head(bench.world.key("j00110")).slot.rung == 15
    bench.world.update("j00110", state="failed")

    bench.tick()

    assert bench.reasons("j00110") == [["state_changed"]]


@pytest.mark.promise(8)
def test_a_change_that_was_committed_late_is_seen_at_the_next_tick_if_the_first_page_has_it() -> None:
    bench = known(300)
    for name in numbered(20):
        bench.world.update(name, state="succeeded")
        bench.tick()
    bench.world.update("j00250", state="failed", at=bench.now - 4 * MINUTE)

    bench.tick()

    assert bench.state("j00250") == "failed"


@pytest.mark.promise(8)
def test_a_change_that_was_committed_late_and_deep_is_seen_by_the_next_whole_pass() -> None:
    bench = known(150)
    bench.tick(7)
    bench.world.update("j00000", state="failed", at=START - 2 * DAY)

    bench.tick(HOURLY)

    assert bench.state("j00000") == "failed"


@pytest.mark.promise(9)
def test_a_new_job_that_was_committed_late_and_deep_is_announced_by_the_next_whole_pass() -> None:
    bench = known(150)
    bench.world.add("late")
    bench.world.update("late", state="running", at=START - 2 * DAY)

    bench.tick(HOURLY)

    assert bench.reasons("late") == [["first_seen"]]


@pytest.mark.promise(8)
def test_a_job_dated_tomorrow_hides_no_other_change() -> None:
    bench = known(300)
    bench.world.update("j00299", state="failed", at=START + DAY)
    bench.tick()
    assert bench.state("j00299") == "failed"

    for name in numbered(20):
        bench.world.update(name, state="succeeded")
        bench.tick()
        assert bench.state(name) == "succeeded"


@pytest.mark.promise(8)
def test_where_a_page_of_jobs_is_dated_tomorrow_a_whole_pass_sees_what_changed() -> None:
    bench = known(300)
    bench.world.update(*numbered(150), state="failed", at=START + DAY)
    bench.tick(3)
    bench.world.update("j00299", state="succeeded")

    bench.tick(HOURLY)

    assert bench.state("j00299") == "succeeded"


@pytest.mark.promise(8)
def test_where_all_dates_are_equal_a_whole_pass_sees_what_changed() -> None:
    bench = in_world(scopes=["p"])
    bench.world.add(*numbered(150), at=START)
    bench.tick(3)
    bench.world.update("j00120", "j00149", state="failed", at=START)

    bench.tick(HOURLY)

    assert {bench.state("j00120"), bench.state("j00149")} == {"failed"}


@pytest.mark.parametrize("count", [100, 101, 150, 299])
def test_a_burst_of_changes_with_one_date_is_seen_whole(count: int) -> None:
    bench = known(300)
    bench.world.update(*numbered(count), state="failed")

    bench.tick()

    assert {bench.state(name) for name in numbered(count)} == {"failed"}


@pytest.mark.promise(9)
@pytest.mark.parametrize("shift", ["a job is updated", "a job comes", "a job goes"])
def test_pages_that_shift_while_they_are_read_lose_nothing(shift: str) -> None:
    bench = known(400)
    bench.world.add("gone")
    bench.world.update(*numbered(250), state="failed")
    shifts = {
        "a job is updated": lambda: bench.world.update("j00399", "j00001", state="succeeded"),
        "a job comes": lambda: bench.world.add("new"),
        "a job goes": lambda: bench.world.delete("gone"),
    }
    bench.world.before = on_page("2", shifts[shift])

    bench.tick(HOURLY)

    states = {name: job.state for (_, name), job in bench.world.jobs.items()}
    assert {name: bench.state(name) for name in states} == states


def on_page(page: str, change: Callable[[], None]) -> Callable[[Call], None]:
    """Makes that change once, when that page is asked for."""
    done: list[Call] = []

    def before(call: Call) -> None:
        if call.listing and call.what == page and not done:
            done.append(call)
            change()

    return before


def before_each_page(change: Callable[[int], None]) -> Callable[[Call], None]:
    """Makes a change before each page but the first one; it is told how many were made."""
    made: list[Call] = []

    def before(call: Call) -> None:
        if call.listing and call.what != "1":
            change(len(made))
            made.append(call)

    return before


@pytest.mark.promise(59)
@pytest.mark.parametrize("shift", [1, 30, 99, 100, 250])
def test_a_burst_is_seen_whole_while_other_jobs_move_up_between_its_pages(crowd: WorldBench, shift: int) -> None:
    burst, others = numbered(10_000)[5_000:5_600], numbered(10_000)[6_000:]
    crowd.world.update(*burst, state="failed")
    crowd.world.before = before_each_page(
        lambda n: crowd.world.update(*others[n * shift : (n + 1) * shift], state="pending") if n < 9 else None
    )

    report = crowd.tick()

    assert {crowd.state(name) for name in burst} == {"failed"}
    assert report.outcome == Outcome.COMPLETED


def test_a_burst_that_others_move_into_costs_a_page_for_each_hundred_of_both_and_few_more(crowd: WorldBench) -> None:
    burst, others = numbered(10_000)[5_000:5_600], numbered(10_000)[6_000:]
    crowd.world.update(*burst, state="failed")
    crowd.world.before = before_each_page(
        lambda n: crowd.world.update(*others[n * 30 : n * 30 + 30], state="pending") if n < 9 else None
    )

    crowd.tick()

    lists, singles = cost(crowd)
    assert lists <= (600 + 9 * 30) // 100 + 6
    assert singles == 0
    assert {crowd.state(name) for name in others[:270]} == {"pending"}


@pytest.mark.promise(59)
def test_a_change_that_moves_up_while_the_list_is_read_is_seen_in_that_tick() -> None:
    bench = known(400)
    bench.world.update(*numbered(250), state="failed")
    bench.world.before = on_page("2", lambda: bench.world.update("j00249", state="pending"))

    bench.tick()

    assert bench.state("j00249") == "pending"


def test_what_moved_up_is_polled_singly_when_the_top_cannot_be_read_again() -> None:
    bench = known(400)
    bench.world.update(*numbered(250), state="failed")
    bench.world.before = on_page("2", lambda: bench.world.update("j00249", state="pending"))
    tops = iter([None])
    bench.world.troubles.append(lambda call: next(tops, Refused(500)) if call.what == "1" else None)

    bench.tick()

    assert bench.state("j00249") == "pending"
    assert "j00249" in bench.jobs_asked()


@pytest.mark.promise(59)
@pytest.mark.parametrize("place", [0, 50, 99])
def test_an_old_dated_row_above_newer_ones_does_not_end_a_burst(place: int) -> None:
    bench = known(600)
    bench.tick()
    for n, name in enumerate(numbered(301)):
        bench.world.update(name, state="failed", at=bench.now + timedelta(seconds=30 - n / 100))
    old = bench.world.jobs["p", numbered(301)[place]]
    old.sorted_by, old.updated = old.updated, START - 9 * DAY

    bench.tick()

    assert {bench.state(name) for name in numbered(301)} == {"failed"}


@pytest.mark.promise(59)
def test_a_list_that_always_shifts_by_a_page_ends_and_loses_nothing(crowd: WorldBench) -> None:
    names = numbered(10_000)
    crowd.world.update(*names[:150], state="failed")
    crowd.world.before = before_each_page(
        lambda n: crowd.world.update(*names[200 + n * 100 : 300 + n * 100], state="pending")
    )
    crowd.tick()
    lists, _ = cost(crowd)
    crowd.world.before = lambda _: None

    crowd.tick()

    assert lists <= 10
    assert {crowd.state(name) for name in names[:150]} == {"failed"}


# What is vouched for


@pytest.mark.promise(8)
def test_where_a_page_of_jobs_is_dated_tomorrow_nothing_is_vouched_for() -> None:
    bench = known(300)
    bench.world.update(*numbered(150), state="failed", at=START + DAY)
    bench.tick()
    bench.world.update("j00299", state="succeeded")

    bench.tick(2)

    assert bench.state("j00299") == "succeeded"


@pytest.mark.promise(8)
def test_a_job_dated_tomorrow_is_polled_for_its_date_may_stand_still() -> None:
    bench = known(300)
    bench.world.add("new", at=START + DAY)
    bench.world.update("j00299", state="pending", at=START + DAY)
    bench.tick()
    bench.world.update("new", "j00299", state="succeeded", at=START - DAY)

    bench.tick()

    assert (bench.state("new"), bench.state("j00299")) == ("succeeded", "succeeded")
    assert {"new", "j00299"} <= set(bench.jobs_asked())


def test_a_job_whose_change_could_not_be_recorded_is_not_vouched_for() -> None:
    bench = known(500)
    refused = throttle("TransactWriteItems")
    bench.aws.plan = lambda call: (
        Fault(refused) if call.operation == "transact_write_items" and call.touches("j00300") else None
    )
    bench.world.update("j00300", state="failed")
    bench.tick(2)
    bench.world.update(*numbered(150), state="pending")
    bench.aws.plan = lambda _: None
    bench.tick(1)
    bench.world.update(*[name for name in numbered(450)[150:] if name != "j00300"], state="pending")

    bench.tick()

    assert bench.state("j00300") == "failed"


@pytest.mark.promise(2)
def test_what_the_list_vouches_for_is_as_old_as_its_first_page() -> None:
    bench = known(500, fresh=MINUTE)
    bench.world.update(*numbered(250), state="pending")
    bench.world.before = lambda call: setattr(bench, "now", bench.now + MINUTE / 6) if call.listing else None

    bench.tick()

    rows = [bench.head(bench.world.key(name)).row for name in numbered(500)[400:]]
    assert {row.seen for row in rows if row} == {START + 2 * MINUTE}


# What it remembers


def test_jobs_with_one_date_stay_known_while_nothing_changes(crowd: WorldBench) -> None:
    crowd.world.update(*spread(150), state="failed")
    crowd.tick(3)
    cost(crowd)
    crowd.world.update("j09999", state="failed")

    crowd.tick()

    assert cost(crowd) == (2, 0)


def test_undated_jobs_stay_known_while_nothing_changes() -> None:
    bench = known(350)
    for name in numbered(150):
        job = bench.world.jobs["p", name]
        job.updated, job.sorted_by = NEVER, START + DAY
    bench.tick(HOURLY)
    cost(bench)
    bench.world.update("j00349", state="failed")
    bench.world.jobs["p", "j00349"].sorted_by = START + 2 * DAY

    bench.tick()

    assert cost(bench)[0] == 2


def test_the_end_of_a_whole_pass_is_not_taken_for_the_top_of_the_list() -> None:
    """Where nothing is followed any more, nothing but the pass is read until the scope's next turn."""
    bench = in_world(scopes=["p"], settle=MINUTE)
    for n, name in enumerate(numbered(800)):
        bench.world.add(name, state="succeeded", at=START - timedelta(days=1, seconds=n))
    bench.budget(6)
    bench.tick(10)
    assert cost(bench)[0] >= 16

    bench.budget()
    bench.tick(5)

    assert cost(bench) == (1, 0)


# What the list does not show


def test_a_followed_job_that_the_list_never_shows_is_polled_singly() -> None:
    bench = known(5)
    bench.follow("hidden")
    bench.world.hide("hidden")

    bench.tick(HOURLY)
    assert bench.reasons("hidden") == [["first_seen"]]
    bench.world.update("hidden", state="succeeded")
    bench.tick(6)

    assert bench.state("hidden") == "succeeded"


def test_a_job_that_the_list_never_shows_is_polled_from_the_first_whole_pass_on() -> None:
    bench = in_world(scopes=["p"])
    bench.follow("hidden", "shown")
    bench.world.hide("hidden")

    bench.tick(5)

    assert bench.state("hidden") == "running"
    assert set(bench.jobs_asked()) == {"hidden"}


def test_a_job_that_the_list_shows_no_more_is_polled_singly_from_the_next_whole_pass_on() -> None:
    bench = known(5)
    bench.world.hide("j00000")
    bench.world.update("j00000", state="succeeded")

    bench.tick(HOURLY + 15)

    assert bench.state("j00000") == "succeeded"
    assert set(bench.jobs_asked()) == {"j00000"}


@pytest.mark.promise(9)
def test_a_job_that_was_deleted_is_lost_when_it_denies_itself() -> None:
    bench = known(5)
    bench.world.delete("j00000")

    bench.tick(HOURLY + 60)

    assert bench.reasons("j00000") == [["lost"]]


@pytest.mark.promise(2)
def test_the_gap_that_is_told_of_a_job_that_left_the_list_holds_its_change() -> None:
    bench = known(5)
    bench.world.hide("j00000")
    bench.tick(5)
    bench.world.update("j00000", state="succeeded")
    changed = bench.now

    bench.tick(HOURLY + 15)

    assert read_iso(bench.told("j00000")[-1]["last_seen_at"]) <= changed


@pytest.mark.promise(9)
def test_some_jobs_that_were_deleted_at_once_are_lost_while_the_list_shows_the_others() -> None:
    bench = known(20)
    bench.world.delete(*numbered(4))

    bench.tick(HOURLY + 60)

    assert [bench.reasons(name) for name in numbered(5)] == [[["lost"]]] * 4 + [[]]


@pytest.mark.promise(9)
def test_a_job_that_is_missing_from_the_list_is_not_lost_for_that() -> None:
    bench = known(5)
    bench.world.hide("j00000", "j00001", "j00002")

    bench.tick(4 * HOURLY)

    assert all(bench.reasons(name) == [] and bench.followed(name) for name in numbered(5))


def test_a_job_that_the_list_shows_again_is_polled_singly_no_more() -> None:
    bench = known(5)
    bench.world.hide("j00000")
    bench.tick(HOURLY + 15)
    bench.world.jobs["p", "j00000"].listed = True
    bench.world.update("j00000", state="pending")
    bench.tick(2)
    assert bench.state("j00000") == "pending"
    bench.world.taken()

    bench.tick(20)

    assert bench.jobs_asked() == []


# When the list fails


@pytest.mark.promise(11)
@pytest.mark.parametrize("trouble", [Refused(500), Unreachable("no connection"), b"<html>"], ids=str)
def test_when_the_list_fails_due_jobs_are_polled_singly_in_that_tick(trouble: BaseException | bytes) -> None:
    bench = known(20)
    bench.world.fail(trouble, kind="list")
    bench.world.update("j00003", state="failed")

    report = bench.tick()

    assert sorted(bench.jobs_asked()) == numbered(20)
    assert bench.state("j00003") == "failed"
    assert report.errors
    bench.world.heal()
    bench.tick()
    assert cost(bench) == (1, 0)


@pytest.mark.promise(10)
def test_a_burst_whose_second_page_fails_is_seen_whole_all_the_same() -> None:
    bench = known(300)
    bench.world.update(*numbered(250), state="failed")
    bench.world.fail(Refused(500), kind="list", what="2")
    bench.tick()
    bench.world.heal()

    bench.tick()

    assert {bench.state(name) for name in numbered(250)} == {"failed"}


@pytest.mark.promise(13)
def test_a_whole_pass_that_no_sweep_has_room_for_is_spread_over_several() -> None:
    bench = known(300)
    bench.world.update("j00000", state="failed", at=START - 2 * DAY)
    bench.budget(2)

    bench.tick(HOURLY + 10)

    assert max(len([call for call in bench.world.calls if call.minute == minute]) for minute in minutes(bench)) <= 2
    assert bench.state("j00000") == "failed"


def minutes(bench: WorldBench) -> set[int]:
    return {call.minute for call in bench.world.calls}


def test_while_a_whole_pass_is_spread_over_sweeps_the_latest_changes_are_seen() -> None:
    bench = known(500)
    bench.budget(4)

    for name in numbered(500)[::10]:
        bench.world.update(name, state="failed")
        bench.tick(2)
        assert bench.state(name) == "failed"


STEPS = ["tick", "update", "late", "tomorrow", "same", "shift", "hide", "add", "list fails", "miss"]
steps = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 24), st.integers(0, 3)), max_size=40)


@pytest.mark.promise(8)
@pytest.mark.promise(9)
@settings(deadline=None, max_examples=30)
@given(steps=steps, page_size=st.integers(1, 30))
def test_whatever_moves_in_the_list_a_whole_pass_has_seen_each_jobs_last_state(
    steps: list[tuple[str, int, int]], page_size: int
) -> None:
    bench = known(25)
    bench.world.page_size = page_size
    for step, job, state in steps:
        live(bench, step, f"j{job:05}", STATES[state])
    bench.world.heal()
    bench.world.before = lambda _: None

    bench.miss(60)
    bench.tick(3)

    states = {name: job.state for (_, name), job in bench.world.jobs.items()}
    assert {name: bench.state(name) for name in states} == states
    assert not any("lost" in reasons for name in states for reasons in bench.reasons(name))


@pytest.mark.promise(2)
@settings(deadline=None, max_examples=20)
@given(steps=steps, page_size=st.integers(1, 30))
def test_whatever_moves_in_the_list_the_gap_that_is_told_is_never_smaller_than_the_true_one(
    steps: list[tuple[str, int, int]], page_size: int
) -> None:
    bench = known(25)
    bench.world.page_size = page_size
    # What each job was at the vendor's from when on: what isn't done during a tick is done amid two.
    truth = {name: [(START - DAY, "running")] for name in numbered(25)}
    for step, job, state in [*steps, *[("miss", 0, 0)] * 25, *[("tick", 0, 0)] * 3]:
        live(bench, step, f"j{job:05}", STATES[state])
        for name, known_since in truth.items():
            now = bench.world.jobs["p", name].state
            if now != known_since[-1][1]:
                known_since.append((bench.now + (MINUTE / 60 if step == "tick" else MINUTE / 2), now))

    for name, known_since in truth.items():
        for before, event in pairwise(bench.recorded(name)):
            seen = read_iso(event["last_seen_at"])
            was = [state for since, state in known_since if since <= seen][-1]
            assert was == event["from"]["state"] or seen <= read_iso(before["observed_at"]), event


STATES = ["running", "pending", "failed", "succeeded"]


def live(bench: WorldBench, step: str, name: str, state: str) -> None:
    world = bench.world
    match step:
        case "tick":
            bench.tick()
            world.heal()
        case "miss":
            bench.miss(3)
        case "list fails":
            world.fail(Refused(500), kind="list")
        case "add":
            world.add(f"new{len(world.jobs)}", state=state)
        case "hide":
            world.hide(name)
        case "shift":
            world.before = on_page("2", lambda: world.update(name, state=state))
        case "same":
            world.update(name, state=state, at=world.jobs["p", name].updated)
        case "late":
            world.update(name, state=state, at=bench.now - 7 * MINUTE)
        case "tomorrow":
            world.update(name, state=state, at=bench.now + DAY)
        case _:
            world.update(name, state=state)
