"""One message for many changes: the worst first, all counted, and as many told as there is room for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pollbridge.local.slack import objection
from pollbridge.model.change import Reason, detect
from pollbridge.model.job import JobKey, Link, Progress, Snapshot, State
from pollbridge.notifying.notice import Notice
from pollbridge.notifying.slack.message import listing
from tests.kit.events import notice, unreachable
from tests.unit.slack_words import COUNTS, changes, header, step, stood, texts, told


def job(number: int, state: State, name: str | None = None, **fields: Any) -> Notice:
    current = Snapshot(state=state, name=name or f"Page {number:03}", **fields)
    return told(detect(Snapshot(state=State.RUNNING), current), JobKey("docs", "agent-v1", "p", str(number)))


def lines(shown: Any) -> list[str]:
    return [line for text in texts(shown["blocks"][1:-1], "plain_text") for line in text.splitlines()]


def accessories(shown: Any) -> list[Any]:
    return [block["accessory"] for block in shown["blocks"] if "accessory" in block]


def test_a_list_is_told_the_worst_first() -> None:
    shown = listing(
        [
            *(job(n, State.SUCCEEDED) for n in range(9)),
            job(10, State.PARTIALLY_FAILED, progress=COUNTS),
            job(11, State.FAILED, error="HTTP 502\nfrom upstream"),
        ]
    )

    assert shown["text"] == header(shown) == "🔴 docs · 11 jobs changed: 1 failed, 1 partly failed, 9 succeeded"
    assert list(texts(shown["blocks"]))[1:5] == [
        "🔴 *1 failed*",
        "• Page 011 · running → failed · HTTP 502 from upstream",
        "🟠 *1 partly failed*",
        "• Page 010 · running → partially failed · 92 of 100 succeeded, 8 failed",
    ]
    assert len(lines(shown)) == 11


def test_a_pull_request_has_a_button_beside_its_job() -> None:
    address = "https://github.test/o/r/pull/7?a=1&b=2"
    shown = listing(
        [job(n, State.SUCCEEDED, links=(Link(rel="pull_request", href=address),) if n == 5 else ()) for n in range(11)]
    )

    [accessory] = accessories(shown)
    assert (accessory["text"]["text"], accessory["url"]) == ("Open pull request", address)
    assert shown["blocks"][2]["text"]["text"] == "• Page 005 · running → succeeded"


def test_where_there_are_too_many_buttons_a_pull_request_is_told_in_words() -> None:
    link = (Link(rel="pull_request", href="https://github.test/o/r/pull/7"),)
    shown = listing([job(n, State.SUCCEEDED, links=link) for n in range(25)])

    assert len(accessories(shown)) == 20
    assert [line for line in lines(shown) if line.endswith("has a pull request")] == [
        f"• Page {n:03} · running → succeeded · has a pull request" for n in range(20, 25)
    ]


@pytest.mark.parametrize("number", [1, 11, 60, 500])
@pytest.mark.parametrize("linked", [False, True])
def test_slack_takes_a_list_of_any_length_and_all_are_counted(number: int, linked: bool) -> None:
    link = (Link(rel="pull_request", href="https://github.test/o/r/pull/7?" + "x" * 200),) if linked else ()
    states = [state for state in State if state is not State.RUNNING]
    shown = listing([job(n, states[n % len(states)], "R&D " * 9, links=link, progress=COUNTS) for n in range(number)])

    told = [line for line in lines(shown) if line.startswith("•")]
    more = [line for line in lines(shown) if line.startswith("…")]
    assert objection(shown) is None
    assert len(told) + sum(int(line.split()[2]) for line in more) == number
    assert len(told) >= min(number, 25)


def test_a_list_with_everything_in_it_has_no_more_blocks_than_slack_takes() -> None:
    link = (Link(rel="pull_request", href="https://x.test/"),)
    plain = [job(n, state) for n, state in enumerate(State) if state is not State.RUNNING]
    linked = [job(n, State.FAILED, links=link) for n in range(20, 50)]
    others = [stood(Snapshot(state=State.RUNNING, name="a"), reason) for reason in (Reason.LOST, Reason.EXPIRED)]
    shown = listing([notice(unreachable()), *plain, *linked, *others, step(State.PENDING, State.RUNNING)])

    assert len(accessories(shown)) == 20
    assert not any(line.startswith("…") for line in lines(shown))
    assert objection(shown) is None


def test_what_did_not_fit_is_counted_by_state_with_the_way_to_see_it() -> None:
    shown = listing([job(n, State.FAILED if n < 50 else State.SUCCEEDED, error="x" * 80) for n in range(500)])

    left = 500 - len(lines(shown)[:-2])
    assert lines(shown)[-2:] == [
        f"… and {left} more: {left} succeeded",
        "To see them all: pollbridge jobs --vendor docs --since 2026-06-08T12:31:00Z --limit 500",
    ]


def test_jobs_of_one_name_are_told_apart() -> None:
    shown = listing([job(n, State.SUCCEEDED, "Nightly") for n in range(11)])

    assert lines(shown)[0] == "• Nightly (0) · running → succeeded"


def test_two_changes_of_one_job_are_counted_as_what_they_are() -> None:
    shown = listing([job(n % 10, State.SUCCEEDED) for n in range(11)])

    assert header(shown) == "🟢 docs · 11 changes of 10 jobs: 11 succeeded"


def test_lost_and_expired_jobs_have_groups_of_their_own() -> None:
    running = Snapshot(state=State.RUNNING, name="Report", progress=Progress(total=4, succeeded=1))
    shown = listing([stood(running, Reason.EXPIRED), stood(running, Reason.LOST), step(State.PENDING, State.RUNNING)])

    assert header(shown) == "👻 mentionlab · 3 changes of 1 job: 1 lost, 1 no longer followed, 1 running"


def test_what_is_no_job_stands_above_the_list() -> None:
    shown = listing([notice(unreachable()), *(job(n, State.SUCCEEDED) for n in range(11))])

    assert lines(shown)[0] == "🔌 mentionlab doesn't answer: HTTP 503, since 12:31 UTC"


def test_a_test_in_a_list_says_that_it_is_one() -> None:
    shown = listing([step(State.RUNNING, State.FAILED, JobKey("pollbridge", "test", "x", str(n))) for n in range(11)])

    assert all(line.startswith("• test: Report") for line in lines(shown))


@pytest.mark.long
@pytest.mark.promise(42)
@settings(max_examples=25)
@given(st.lists(changes(), min_size=11, max_size=25))
def test_slack_takes_a_list_whatever_the_vendors_wrote(given: list[Notice]) -> None:
    shown = listing(given)

    assert objection(shown) is None
    assert len(json.dumps(shown["blocks"], ensure_ascii=False).encode()) <= 13_000
