"""However many pollers race on one job, the truth is recorded once, in order, and no loser invents anything."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pollbridge.history.heads import Heads
from pollbridge.history.table import Table
from pollbridge.model.event import event_id
from pollbridge.polling.report import Outcome
from tests.kit.faults import Call, Faulty
from tests.kit.memory import Memory
from tests.kit.racing import Meeting, recording
from tests.kit.sweeping import START, Bench, in_memory, oration_body, oration_key

pytestmark = pytest.mark.long

KEY = oration_key()
SECOND = timedelta(seconds=1)
ROUNDS = 200


def race(bench: Bench, statuses: list[str], at: str, pool: ThreadPoolExecutor) -> Counter[str]:
    """Record these answers at the same time; all have come to that call before one of them makes it."""
    racing = Bench(Table(Meeting(bench.table.client, at, Barrier(len(statuses))), bench.table.name))
    recorders = [recording(racing, KEY, status, bench.now) for status in statuses]
    bench.now += SECOND
    return Counter(pool.map(lambda record: record(), recorders))


def assert_recorded_without_gap(bench: Bench, versions: int) -> None:
    history = bench.history(KEY)
    assert [entry.version for entry in history] == list(range(1, versions + 1))
    assert [entry.event_id for entry in history] == [
        event_id(KEY, bench.head(KEY).incarnation, version) for version in range(1, versions + 1)
    ]


@pytest.mark.promise(1)
@pytest.mark.parametrize("at", ["put_item", "transact_write_items"])
def test_two_equal_answers_are_recorded_once(at: str) -> None:
    bench = in_memory()
    bench.watch(KEY, oration_body())

    with ThreadPoolExecutor(2) as pool:
        outcomes = [race(bench, [f"word-{n}"] * 2, at, pool) for n in range(ROUNDS)]

    assert outcomes == [{"changed": 1, "lost": 1}] * ROUNDS
    assert_recorded_without_gap(bench, ROUNDS)


@pytest.mark.promise(1)
def test_of_two_different_answers_one_is_recorded() -> None:
    bench = in_memory()
    bench.watch(KEY, oration_body())

    with ThreadPoolExecutor(2) as pool:
        outcomes = [race(bench, [f"this-{n}", f"that-{n}"], "transact_write_items", pool) for n in range(ROUNDS)]

    assert outcomes == [{"changed": 1, "lost": 1}] * ROUNDS
    assert_recorded_without_gap(bench, ROUNDS)


@pytest.mark.promise(1)
def test_of_eight_answers_one_is_recorded() -> None:
    bench = in_memory()
    bench.watch(KEY, oration_body())

    with ThreadPoolExecutor(8) as pool:
        outcomes = [race(bench, [f"{k}-{n}" for k in range(8)], "transact_write_items", pool) for n in range(25)]

    assert outcomes == [{"changed": 1, "lost": 7}] * 25
    assert_recorded_without_gap(bench, 25)


@pytest.mark.promise(1)
def test_the_same_holds_in_moto(table: Table) -> None:
    """Behind a lock: moto's check and its write are two steps."""
    bench = Bench(Table(Faulty(table.client), table.name))
    bench.watch(KEY, oration_body())

    with ThreadPoolExecutor(2) as pool:
        outcomes = [race(bench, [f"this-{n}", f"that-{n}"], "transact_write_items", pool) for n in range(20)]

    assert outcomes == [{"changed": 1, "lost": 1}] * 20
    assert_recorded_without_gap(bench, 20)


@pytest.mark.promise(1)
def test_what_a_loser_saw_is_told_by_the_next_look() -> None:
    bench = in_memory()
    bench.watch(KEY, oration_body(status="retrying"))
    loser = recording(bench, KEY, "retrying", bench.now)
    assert recording(bench, KEY, "active", bench.now + SECOND)() == "changed"

    assert loser() == "lost"
    bench.tick()

    assert [event["to"]["state"] for event in bench.events(KEY)] == ["running", "retrying"]


def test_a_tick_whose_answer_was_dropped_stays_open_and_vouches_for_nothing() -> None:
    bench = in_memory()
    bench.watch(KEY, oration_body(status="success"))
    bench.now += 60 * SECOND
    winner = [recording(bench, KEY, "retrying", bench.now + SECOND)]
    bench.answers["/jobs/j1"] = lambda: (winner and winner.pop()(), oration_body(status="success"))[1]

    assert bench.run().outcome == Outcome.UNFINISHED
    bench.tick()

    assert [event["to"]["state"] for event in bench.events(KEY)] == ["retrying", "succeeded"]
    assert bench.events(KEY)[1]["last_seen_at"] == "2026-06-08T12:01:01Z"


def test_an_older_answer_is_never_compared() -> None:
    bench = in_memory()
    bench.watch(KEY, oration_body())
    early = recording(bench, KEY, "queued", START, latency=timedelta(seconds=9))
    assert recording(bench, KEY, "success", START + 2 * SECOND)() == "changed"

    assert early() == "lost"
    assert len(bench.history(KEY)) == 1


answers = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(1, 5)), min_size=2, max_size=6)


@pytest.mark.promise(1)
@settings(max_examples=300, deadline=None)
@given(answers=answers)
def test_whatever_the_interleaving_history_is_a_part_of_what_happened_in_its_order(answers: list[Any]) -> None:
    """The word changes every second; each answer is asked for at its second and interrupted at one of its calls."""
    bench = in_memory()
    bench.watch(KEY, oration_body())

    interleave(bench, answers)

    words = [int(event["to"]["vendor_status"]) for event in bench.events(KEY)]
    assert words == sorted(set(words))
    assert words
    assert_recorded_without_gap(bench, len(words))


def interleave(bench: Bench, answers: list[tuple[int, int, int]]) -> None:
    """Record the first answer, and all others between two of its calls."""
    if not answers:
        return
    (second, latency, pause), *others = answers
    record = recording(bench, KEY, str(second), START + second * SECOND, latency * SECOND)
    due = [len(bench.aws.calls) + pause]

    def plan(call: Call) -> None:
        if call.number in due:
            due.clear()
            interleave(bench, others)
            bench.aws.plan = lambda _: None

    bench.aws.plan = plan
    record()
    bench.aws.plan = lambda _: None
    if due:
        interleave(bench, others)


def test_a_job_followed_while_a_poll_writes_is_followed() -> None:
    bench = in_memory()
    bench.watch(KEY, oration_body())
    bench.now += SECOND
    poll = [recording(bench, KEY, "active", bench.now)]

    bench.aws.plan = lambda call: poll.pop()() and None if call.operation == "update_item" and poll else None
    assert bench.heads.follow(KEY, {"team": "docs"}, bench.now) is False

    assert bench.head(KEY).labels == {"team": "docs"}
    assert len(bench.history(KEY)) == 1


def test_two_that_register_one_job_at_once_register_it_once() -> None:
    heads = Heads(Table(Meeting(Memory(), "update_item", Barrier(2)), "history"))

    with ThreadPoolExecutor(2) as pool:
        new = list(pool.map(lambda _: heads.follow(KEY, {}, START), "ab"))

    assert sorted(new) == [False, True]
