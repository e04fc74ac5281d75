"""The simulation in small: what it counts keeps the promises that its table of costs rests on."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from bench import simulate as simulation
from bench.simulate import Case, Row, dollars, simulate
from bench.stories import CONNECTION, START, STORIES, Job, World
from pollbridge.history.heads import Heads
from pollbridge.history.table import Table
from pollbridge.model.cadence import RUNGS, slots_due

CASE = Case(400, minutes=60)

WRITES_PER_CHANGE = 4
"""The raw answer, the head and the entry, and the entry once more when it has been published."""

WRITES_PER_TICK = 2
"""The lease, taken and given back."""


@pytest.fixture(scope="module")
def row() -> Row:
    return simulate(CASE)


def test_nothing_is_written_but_changes_moves_registrations_and_leases(row: Row) -> None:
    counts = row.counts

    assert counts["changes"] > 20
    assert counts["items written"] == (
        WRITES_PER_CHANGE * counts["changes"]
        + counts["moves"]
        + counts["registrations"]
        + WRITES_PER_TICK * counts["ticks"]
    )


def test_every_due_job_is_asked_for_once(row: Row) -> None:
    assert row.counts["calls"] == row.counts["polls"]
    assert row.counts["secret reads"] <= row.counts["ticks"]


def test_a_change_is_seen_within_the_slowest_rung(row: Row) -> None:
    assert 1 <= row.slowest <= RUNGS[-1]


@pytest.mark.long
def test_jobs_that_are_followed_no_more_cost_nothing(row: Row) -> None:
    beside = simulate(Case(CASE.watches, minutes=CASE.minutes, gone=2_000))

    assert _without_time(beside.counts) == _without_time(row.counts)


def test_idle_watches_are_polled_every_fifteen_minutes_and_hardly_ever_written() -> None:
    idle = simulate(Case(300, stories=(STORIES[-1].shared(1.0),)))
    written = idle.counts["items written"] - WRITES_PER_TICK * idle.counts["ticks"]

    assert idle.counts["polls"] == pytest.approx(4 * 300, rel=0.1)
    assert written <= 0.1 * 300


def test_a_row_that_is_broken_off_is_extrapolated_and_says_so() -> None:
    row = Row(Case(10, minutes=60), minutes=15, counts=Counter(polls=100))

    assert row.total["polls"] == 400
    assert "extrapolated from 15 minutes" in simulation.line("10", row)


def test_heads_stand_in_slots_that_are_read_within_their_rung() -> None:
    table = Table(simulation.Indexed(), "history")
    world = World(300, STORIES)
    table.client.fill(world.heads())

    due = list(Heads(table).due(slots_due("oration", None, START)))

    assert len(due) == len({job.key for job in due}) >= 295
    assert all(world.named(job.key.id).turn(START) - job.row.version in {0, 1} for job in due)
    assert {job.slot.rung for job in due} == set(RUNGS)


def test_the_vendor_says_the_same_until_the_next_change() -> None:
    job: Job = World(1, STORIES).job(0, 1)
    kind = CONNECTION.vendor.kinds["job"]
    states = [kind.answer(job.key, job.body(turn)).state for turn in range(1, len(job.story.changes) + 1)]

    assert all(before != after for before, after in pairwise(states))
    assert [state.terminal for state in states] == [False] * (len(states) - 1) + [True]


def test_dollars_grow_with_every_price() -> None:
    assert dollars(Counter()) == 0
    for name in ("ticks", "polls", "requests", "read units", "write units", "changes", "secret reads"):
        assert dollars(Counter({name: 1})) > 0, name


def _without_time(counts: Counter[str]) -> dict[str, float]:
    return {name: count for name, count in counts.items() if name != "seconds"}
