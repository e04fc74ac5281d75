"""A job's card, which shows how it stands whatever came before; and the replies below it, which tell what came."""

from __future__ import annotations

from typing import Any

import pytest

from pollbridge.model.change import Change, Reason, detect
from pollbridge.model.job import Progress, Snapshot, State
from pollbridge.notifying.slack.message import card, message, reply
from tests.kit.events import notice, unreachable
from tests.unit.slack_words import COUNTS, PULL_REQUEST, SEEN, buttons, disabled, header, step, stood, texts, told

HALF = Progress(total=100, succeeded=48, failed=2, pending=50)


def words(shown: Any) -> list[str]:
    return list(texts(shown["blocks"]))


def test_a_card_says_all_there_is_to_know() -> None:
    given = {"vendor_status": "partial_failed", "error": "8 pages timed out", "message": "See the report."}
    current = Snapshot(state=State.PARTIALLY_FAILED, name="Report", progress=COUNTS, links=(PULL_REQUEST,), **given)
    shown = card(told(detect(Snapshot(state=State.RUNNING), current), team="docs"))

    assert words(shown) == [
        "🟠 mentionlab · Report partly failed: 92 of 100 succeeded, 8 failed",
        "*partially failed*\n🟩🟩🟩🟩🟩🟩🟩🟩🟩🟥 92 of 100 succeeded · *8 failed*",
        "Error: 8 pages timed out",
        "See the report.",
        "Open pull request",
        "team=docs",
        "mentionlab says “partial_failed”",
        "as of 2026-06-08 12:31 UTC, version 3",
        "mentionlab/job/p/1",
    ]
    assert buttons(shown)[0]["url"] == PULL_REQUEST.href


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (State.PENDING, "⚪ mentionlab · Report is waiting"),
        (State.RUNNING, "🔵 mentionlab · Report is running"),
        (State.RETRYING, "🟡 mentionlab · Report is being retried"),
        (State.SUCCEEDED, "🟢 mentionlab · Report succeeded"),
        (State.PARTIALLY_FAILED, "🟠 mentionlab · Report partly failed"),
        (State.FAILED, "🔴 mentionlab · Report failed"),
        (State.CANCELLED, "⚫ mentionlab · Report was cancelled"),
        (State.HALTED, "🟣 mentionlab · Report halted without saying how it ended"),
        (State.ARCHIVED, "🗄️ mentionlab · Report was archived"),
        (State.UNKNOWN, "❔ mentionlab · Report tells no state"),
    ],
)
def test_a_card_says_how_the_job_stands(state: State, verdict: str) -> None:
    shown = card(step(None, state))

    assert header(shown) == verdict
    assert words(shown)[1] == f"*{state.replace('_', ' ')}*"


@pytest.mark.parametrize(
    "change",
    [
        Change(Snapshot(state=State.FAILED), Snapshot(state=State.RUNNING), (Reason.STATE_CHANGED, Reason.REOPENED)),
        Change(Snapshot(state=State.RUNNING), Snapshot(state=State.RUNNING), (Reason.FOUND,)),
        detect(None, Snapshot(state=State.RUNNING)),
    ],
)
def test_however_it_came_there_the_card_is_the_same(change: Change) -> None:
    assert words(card(told(change)))[:2] == ["🔵 mentionlab · job 1 is running", "*running*"]


def test_the_card_of_a_lost_job_keeps_where_it_stood() -> None:
    shown = card(stood(Snapshot(state=State.RUNNING, progress=HALF), Reason.LOST))

    assert words(shown)[:2] == [
        "👻 mentionlab · job 1 is lost: the vendor no longer knows it",
        "*running when it was last seen*\n🟩🟩🟩🟩🟥⬜⬜⬜⬜⬜ 48 of 100 succeeded · *2 failed* · 50 pending",
    ]


def test_the_card_of_a_job_followed_no_more_tells_the_way_back() -> None:
    shown = card(stood(Snapshot(state=State.RUNNING), Reason.EXPIRED, SEEN))

    assert words(shown)[1:3] == [
        "*running when it was last seen*",
        "Last seen 2026-06-08 12:16 UTC. To follow it again: pollbridge watch mentionlab/job/p/1",
    ]


def test_the_card_of_a_job_never_seen_tells_no_state() -> None:
    assert words(card(stood(None, Reason.LOST)))[1] == "*never seen*"


def test_a_reply_is_a_line_with_its_moment_and_version() -> None:
    shown = reply(step(State.RUNNING, State.PARTIALLY_FAILED, progress=COUNTS))

    assert words(shown) == [
        "🟠 running → partially failed · 92 of 100 succeeded, *8 failed*",
        "version 3 · seen 2026-06-08 12:31 UTC",
    ]


@pytest.mark.parametrize(
    ("before", "after", "fields", "line"),
    [
        (None, State.PENDING, {}, "⚪ first seen → pending"),
        (State.FAILED, State.RUNNING, {}, "🔵 reopened: failed → running"),
        (State.SUCCEEDED, State.ARCHIVED, {}, "🗄️ succeeded → archived"),
        (State.RUNNING, State.RUNNING, {"links": (PULL_REQUEST,)}, "🔵 running · has a pull request"),
        (State.FAILED, State.FAILED, {"error": "x"}, "🔴 failed · reports an error"),
        (State.RUNNING, State.RUNNING, {"progress": HALF}, "🔵 running · 48 of 100 succeeded, *2 failed*, 50 pending"),
    ],
)
def test_a_reply_says_what_is_new(before: State | None, after: State, fields: dict[str, Any], line: str) -> None:
    assert words(reply(step(before, after, **fields)))[0] == line


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        (Reason.LOST, "👻 running → lost · the vendor no longer knows it"),
        (Reason.FOUND, "🔵 found again: lost → running"),
        (Reason.EXPIRED, "💤 running · nothing new for too long, no longer followed"),
    ],
)
def test_a_reply_tells_a_job_lost_found_again_or_followed_no_more(reason: Reason, line: str) -> None:
    assert words(reply(stood(Snapshot(state=State.RUNNING), reason)))[0] == line


def test_a_word_new_to_us_is_told_below_the_line() -> None:
    shown = reply(step(State.RUNNING, State.UNKNOWN, vendor_status="requeued"))

    assert words(shown)[:2] == ["❔ running → unknown", "The vendor says “requeued”, which is new to us."]


def test_an_error_is_told_once_in_the_thread() -> None:
    before = Snapshot(state=State.RETRYING, error="HTTP 502")
    after = Snapshot(state=State.FAILED, error="HTTP 502")

    assert "Error: HTTP 502" in words(reply(told(detect(None, before))))
    assert "Error: HTTP 502" not in words(reply(told(detect(before, after))))
    assert "Error: HTTP 502" in words(card(told(detect(before, after))))


def test_a_reply_has_a_button_when_its_link_is_new() -> None:
    before = Snapshot(state=State.RUNNING, links=(PULL_REQUEST,))
    after = Snapshot(state=State.SUCCEEDED, links=(PULL_REQUEST,))

    assert buttons(reply(told(detect(Snapshot(state=State.RUNNING), before))))
    assert not buttons(reply(told(detect(before, after))))


def test_a_notification_of_a_reply_says_which_job() -> None:
    assert reply(step(State.RUNNING, State.SUCCEEDED))["text"] == (
        "🟢 mentionlab · Report succeeded (running → succeeded)"
    )


@pytest.mark.parametrize("other", [notice(unreachable()), disabled()])
def test_what_is_about_no_job_is_told_as_ever(other: Any) -> None:
    assert card(other) == reply(other) == message(other)
