"""The calendar is read from an index that DynamoDB updates when it likes: no look is vouched for that was not taken."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pollbridge.config import Cadence
from pollbridge.history.table import Item, Table
from pollbridge.model.instant import MINUTE, iso, read_iso
from pollbridge.polling.report import Outcome
from tests.kit.faults import Faulty
from tests.kit.memory import Memory
from tests.kit.sweeping import Bench, oration_body, oration_key

KEY = oration_key()


class Late(Memory):
    """A table whose index of due jobs can stop at what it shows now."""

    shown: list[Item] | None = None

    def stop(self) -> None:
        self.shown = [dict(item) for item in self.items.values() if "due_slot" in item]

    def go_on(self) -> None:
        self.shown = None

    def query(self, **query: Any) -> dict[str, Any]:
        if self.shown is None or query.get("IndexName") != "due":
            return super().query(**query)
        slot = query["ExpressionAttributeValues"][":slot"]
        return {"Items": [item for item in self.shown if item["due_slot"] == slot]}


def seldom() -> Bench:
    """A job that is looked at every fifteen minutes, beside another that is as well."""
    bench = Bench(Table(Faulty(Late()), "history", pause=lambda _: None))
    bench.connection = bench.connection.model_copy(update={"cadence": Cadence(fresh=MINUTE)})
    bench.watch(KEY, oration_body())
    bench.watch(oration_key("well"), oration_body("well"))
    bench.tick(60)
    return bench


def changed() -> Bench:
    """Where the job has just changed, and the index does not show yet that it is looked at every minute now."""
    bench = seldom()
    index(bench).stop()
    bench.answer(KEY, oration_body(status="queued"))
    while len(bench.history(KEY)) == 1:
        bench.tick()
    bench.polled()
    return bench


def index(bench: Bench) -> Late:
    assert isinstance(bench.aws.client, Late)
    return bench.aws.client


@pytest.mark.promise(2)
def test_a_job_that_was_moved_is_looked_at_though_the_index_does_not_show_it_yet() -> None:
    bench = changed()
    bench.answer(KEY, oration_body(status="success"))

    bench.tick()

    assert bench.events(KEY)[-1]["to"]["state"] == "succeeded"


@pytest.mark.promise(2)
@pytest.mark.parametrize("ticks", [1, 2, 5])
def test_while_the_index_is_late_no_tick_is_completed(ticks: int) -> None:
    bench = changed()
    completed = bench.connections.get("oration").completed

    reports = [bench.tick() for _ in range(ticks)]

    assert {report.outcome for report in reports} == {Outcome.UNFINISHED}
    assert bench.connections.get("oration").completed == completed
    index(bench).go_on()
    assert bench.tick().outcome == Outcome.COMPLETED


def test_a_job_that_was_unwatched_is_not_waited_for() -> None:
    bench = changed()
    bench.heads.unfollow(KEY, bench.now)

    report = bench.tick()

    assert report.outcome == Outcome.COMPLETED
    assert KEY.id not in bench.polled()


def test_a_sweep_after_one_that_moved_nothing_looks_for_nothing() -> None:
    bench = seldom()
    before = bench.aws.counts["batch_get_item"]

    bench.tick(15)

    assert bench.aws.counts["batch_get_item"] == before
    assert bench.connections.get("oration").moved == ()


def test_a_job_that_is_due_much_later_is_not_looked_for() -> None:
    bench = seldom()
    bench.answer(KEY, oration_body(status="success"))
    while len(bench.history(KEY)) == 1:
        bench.tick()

    assert bench.connections.get("oration").moved == ()


STEPS = st.lists(st.sampled_from(["tick", "tick", "stop", "go on", "change", "change", "miss"]), max_size=12)


@pytest.mark.promise(2)
@settings(deadline=None, max_examples=15)
@given(steps=STEPS)
def test_however_late_the_index_is_the_gap_that_is_told_holds_the_change(steps: list[str]) -> None:
    bench, changes = changed(), [""]
    for step in [*steps, "go on", *["tick"] * 15]:
        match step:
            case "stop":
                index(bench).stop()
            case "go on":
                index(bench).go_on()
            case "miss":
                bench.miss()
            case "change":
                changes.append(iso(bench.now + MINUTE / 2))
                bench.answer(KEY, oration_body(status=f"word-{len(changes)}"))
                bench.tick()
            case _:
                bench.tick()

    for before, event in pairwise(bench.events(KEY)[1:]):
        first = min(change for change in changes if change > before["observed_at"])
        assert read_iso(event["last_seen_at"]) < read_iso(first) < read_iso(event["observed_at"])
