"""A job's outcome is told once, and again only after a real reopening: missing and archived answers invent none."""

from __future__ import annotations

from typing import Any

import pytest

from pollbridge.polling.report import Outcome
from tests.kit.sweeping import Bench, in_memory, oration_body, oration_key
from tests.kit.world import WorldBench, in_world

KEY = oration_key()
WITHHELD: dict[str, dict[str, Any]] = {
    "no status": {"id": "j1", "name": "customer.createBatch"},
    "null": oration_body(status=None),
    "an unrecognised word": oration_body(status="requeued"),
    "a number": oration_body(status=5),
}
withheld = pytest.mark.parametrize("body", WITHHELD.values(), ids=WITHHELD)


def ended(status: str = "success") -> Bench:
    """A job that ran and ended, beside one that goes on."""
    bench = in_memory()
    bench.watch(oration_key("well"), oration_body("well"))
    bench.watch(KEY, oration_body(), oration_body(status=status))
    bench.tick(2)
    return bench


def told(bench: Bench) -> list[tuple[str, list[str], str]]:
    """Of every event of the job after it ended: detail type, reasons, state."""
    entries = bench.history(KEY)[2:]
    events = bench.events(KEY)[2:]
    return [
        (entry.detail_type, event["reasons"], event["to"]["state"])
        for entry, event in zip(entries, events, strict=True)
    ]


@pytest.mark.promise(6)
@withheld
@pytest.mark.parametrize("status", ["success", "failed"])
def test_an_answer_without_an_outcome_changes_nothing_of_a_job_that_had_ended(body: Any, status: str) -> None:
    bench = ended(status)
    bench.answer(KEY, body, body, oration_body(status=status))

    reports = [bench.tick() for _ in range(90)]

    assert told(bench) == []
    assert {report.outcome for report in reports} == {Outcome.COMPLETED}
    assert bench.head(KEY).row.failures == 0


@pytest.mark.promise(6)
@withheld
def test_an_answer_without_an_outcome_is_a_failed_poll(body: Any) -> None:
    bench = ended()
    bench.answer(KEY, body)

    bench.tick(90)

    head = bench.head(KEY)
    assert (head.state, head.poll_error) == ("succeeded", "the answer has no outcome, though the job had ended")
    assert head.row.failures >= 3


@pytest.mark.promise(6)
@withheld
def test_an_answer_without_an_outcome_says_nothing_against_the_vendor(body: Any) -> None:
    bench = in_memory()
    bench.watch(KEY, oration_body(status="success"))
    bench.tick()
    bench.answer(KEY, body)

    bench.tick(120)

    assert list(bench.entries.of_connection("oration")) == []


@pytest.mark.promise(7)
def test_a_real_reopening_makes_room_for_a_second_completion() -> None:
    bench = ended()
    bench.answer(KEY, oration_body(), oration_body(status=None), oration_body(status="success"))

    bench.tick(30)

    assert [reasons for _, reasons, _ in told(bench)] == [
        ["state_changed", "reopened"],
        ["state_changed"],
        ["state_changed"],
    ]
    assert [state for *_, state in told(bench)] == ["running", "unknown", "succeeded"]


@pytest.mark.promise(6)
def test_an_entry_of_a_list_without_an_outcome_changes_nothing_of_a_job_that_had_ended() -> None:
    bench = in_world(scopes=["p"])
    bench.follow("j", "well", state="succeeded")
    bench.tick()

    for state in (None, "requeued", "succeeded"):
        bench.world.update("j", state=state)
        bench.tick(20)

    assert bench.reasons("j") == [["first_seen", "state_changed"]]


def agent(state: str) -> WorldBench:
    """A job of a vendor that archives, in that state."""
    bench = in_world("mintlify")
    bench.follow("j", kind="agent-v2")
    bench.tick()
    through(bench, state)
    return bench


def through(bench: WorldBench, *states: str) -> None:
    for state in states:
        bench.world.update("j", state=state)
        bench.tick(16)


def news(bench: WorldBench) -> list[tuple[str, list[str]]]:
    return [(event["detail_type"], event["reasons"]) for event in bench.told("j", kind="agent-v2")][1:]


@pytest.mark.promise(6)
@pytest.mark.parametrize("state", ["succeeded", "failed"])
def test_leaving_the_archive_for_the_outcome_it_had_is_no_second_completion(state: str) -> None:
    bench = agent(state)

    through(bench, "archived", state, "archived", state)

    assert news(bench) == [
        ("Job State Changed", ["state_changed"]),
        *[("Job Updated", ["archived"]), ("Job Updated", ["unarchived"])] * 2,
    ]
    assert bench.told("j", kind="agent-v2")[-1]["from"]["state"] == "archived"


def test_leaving_the_archive_for_another_outcome_is_a_state_change() -> None:
    bench = agent("failed")

    through(bench, "archived", "succeeded")

    assert news(bench)[-1] == ("Job State Changed", ["state_changed"])


@pytest.mark.promise(7)
def test_a_job_that_runs_again_after_the_archive_is_reopened_and_completes_again() -> None:
    bench = agent("succeeded")

    through(bench, "archived", "running", "succeeded")

    assert [reasons for _, reasons in news(bench)[2:]] == [["state_changed", "reopened"], ["state_changed"]]


def test_the_outcome_of_a_job_that_was_archived_when_it_was_first_seen_is_news() -> None:
    bench = in_world("mintlify")
    bench.follow("j", kind="agent-v2", state="archived")
    bench.tick()

    through(bench, "succeeded")

    assert news(bench) == [("Job State Changed", ["state_changed"])]


def test_an_archived_job_that_was_lost_and_found_remembers_its_outcome() -> None:
    bench = agent("succeeded")
    bench.follow("n1", "n2", kind="agent-v2")
    through(bench, "archived")
    job = bench.world.jobs.pop(("p", "j"))
    bench.tick(60)
    bench.world.jobs["p", "j"] = job

    through(bench, "archived", "succeeded")

    assert [reasons for _, reasons in news(bench)[1:]] == [["archived"], ["lost"], ["found"], ["unarchived"]]
