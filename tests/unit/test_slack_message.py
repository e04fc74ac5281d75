"""The message about one change of a job: understood at a glance."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pollbridge.model.change import Change, Reason, detect
from pollbridge.model.job import JobKey, Link, Progress, Snapshot, State
from pollbridge.notifying.slack.blocks import links
from pollbridge.notifying.slack.message import message
from pollbridge.notifying.slack.text import ESCAPES, fit
from tests.unit.slack_words import (
    COUNTS,
    PULL_REQUEST,
    SEEN,
    buttons,
    header,
    step,
    stood,
    summary,
    texts,
    told,
)


def test_a_partial_failure_is_told_at_a_glance() -> None:
    shown = message(
        step(State.RUNNING, State.PARTIALLY_FAILED, progress=COUNTS, error="8 pages timed out", links=(PULL_REQUEST,))
    )

    assert shown["text"] == (
        "🟠 mentionlab · Report partly failed: 92 of 100 succeeded, 8 failed (running → partially failed)"
    )
    assert list(texts(shown["blocks"])) == [
        "🟠 mentionlab · Report partly failed: 92 of 100 succeeded, 8 failed",
        "*running → partially failed*\n🟩🟩🟩🟩🟩🟩🟩🟩🟩🟥 92 of 100 succeeded · *8 failed*",
        "Error: 8 pages timed out",
        "Open pull request",
        "seen 2026-06-08 12:31 UTC, version 3",
        "mentionlab/job/p/1",
    ]


@pytest.mark.parametrize(
    ("before", "after", "fields", "headline", "steps"),
    [
        (None, State.RUNNING, {}, "🔵 mentionlab · Report is running", "first seen → running"),
        (State.RUNNING, State.SUCCEEDED, {}, "🟢 mentionlab · Report succeeded", "running → succeeded"),
        (State.FAILED, State.RUNNING, {}, "🔵 mentionlab · Report was reopened and is running", "failed → running"),
        (State.SUCCEEDED, State.ARCHIVED, {}, "🗄️ mentionlab · Report was archived", "succeeded → archived"),
        (
            State.RUNNING,
            State.RUNNING,
            {"links": (PULL_REQUEST,)},
            "🔵 mentionlab · Report has a pull request",
            "running",
        ),
        (State.FAILED, State.FAILED, {"error": "x"}, "🔴 mentionlab · Report reports an error", "failed"),
        (State.RUNNING, State.RUNNING, {"progress": COUNTS}, "🔵 mentionlab · Report has done 100 of 100", "running"),
        (State.RUNNING, State.UNKNOWN, {}, "❔ mentionlab · Report tells no state", "running → unknown"),
        (
            State.RUNNING,
            State.UNKNOWN,
            {"vendor_status": "requeued"},
            "❔ mentionlab · Report says “requeued”, which is new to us",
            "running → unknown",
        ),
    ],
)
def test_the_headline_says_what_is_new(
    before: State | None, after: State, fields: dict[str, Any], headline: str, steps: str
) -> None:
    shown = message(step(before, after, **fields))

    assert header(shown) == headline
    assert summary(shown).splitlines()[0] == f"*{steps}*"


@pytest.mark.parametrize(
    ("reason", "verdict", "steps"),
    [
        (Reason.LOST, "👻 mentionlab · job 1 is lost: the vendor no longer knows it", "running → lost"),
        (Reason.FOUND, "🔵 mentionlab · job 1 was found again and is running", "lost → running"),
        (Reason.EXPIRED, "💤 mentionlab · job 1 is no longer followed: nothing new for too long", "running"),
    ],
)
def test_a_lost_job_is_told_as_lost_found_again_or_followed_no_more(reason: Reason, verdict: str, steps: str) -> None:
    shown = message(stood(Snapshot(state=State.RUNNING), reason))

    assert (header(shown), summary(shown)) == (verdict, f"*{steps}*")


@pytest.mark.parametrize(
    ("reason", "verdict"),
    [
        (Reason.LOST, "👻 mentionlab · job 1 is lost: the vendor does not know it"),
        (Reason.EXPIRED, "💤 mentionlab · job 1 is no longer followed: nothing new for too long"),
    ],
)
def test_no_state_is_told_of_a_job_that_was_never_seen(reason: Reason, verdict: str) -> None:
    shown = message(stood(None, reason))

    assert (header(shown), summary(shown)) == (verdict, "*never seen*")


def test_a_job_found_in_another_state_is_told_as_both() -> None:
    running, done = Snapshot(state=State.RUNNING), Snapshot(state=State.SUCCEEDED)
    shown = message(told(Change(running, done, (Reason.STATE_CHANGED, Reason.FOUND))))

    assert shown["text"] == "🟢 mentionlab · job 1 was found again and succeeded (lost → succeeded)"


def test_of_a_job_followed_no_more_is_told_how_old_its_state_is_and_the_way_back() -> None:
    shown = message(stood(Snapshot(state=State.RUNNING), Reason.EXPIRED, SEEN))

    assert shown["blocks"][2]["text"]["text"] == (
        "Last seen 2026-06-08 12:16 UTC. To follow it again: pollbridge watch mentionlab/job/p/1"
    )


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        ({"total": 1200, "succeeded": 0, "pending": 1200}, "⬜⬜⬜⬜⬜⬜⬜⬜⬜⬜ 0 of 1,200 succeeded · 1,200 pending"),
        ({"total": 9, "failed": 2, "cancelled": 1}, "9 in total · *2 failed* · 1 cancelled"),
        ({"succeeded": 5, "retrying": 1}, "5 succeeded · 1 retrying"),
        ({"total": 0, "succeeded": 0, "failed": 0}, None),
    ],
)
def test_no_count_is_told_that_the_vendor_did_not_tell(counts: dict[str, int], line: str | None) -> None:
    shown = message(step(State.PENDING, State.RUNNING, progress=Progress(**counts)))

    assert summary(shown).split("\n") == ["*pending → running*", *([line] if line else [])]


@pytest.mark.parametrize("name", [None, "", "\u202e \n", "\u200d", "\u3164\u2800", "\u0301"])
def test_a_job_without_a_name_goes_by_its_kind_and_id(name: str | None) -> None:
    shown = message(told(detect(None, Snapshot(state=State.FAILED, name=name))))

    assert header(shown) == "🔴 mentionlab · job 1 failed"


def test_labels_and_key_stand_at_the_foot() -> None:
    shown = message(told(detect(None, Snapshot(state=State.RUNNING)), team="docs", tier="<1>"))

    assert [note["text"] for note in shown["blocks"][-1]["elements"]] == [
        "team=docs tier=&lt;1&gt;",
        "seen 2026-06-08 12:31 UTC, version 3",
        "mentionlab/job/p/1",
    ]


def test_a_long_name_is_cut_and_the_verdict_stays() -> None:
    shown = message(told(detect(None, Snapshot(state=State.SUCCEEDED, name="R&D " * 100))))

    assert len(header(shown)) <= 150
    assert re.fullmatch(r"🟢 mentionlab · (R&amp;D )+(R|R&amp;|R&amp;D)?… succeeded", header(shown))


@pytest.mark.promise(42)
@pytest.mark.parametrize(("character", "units"), [("é", 1), ("字", 1), ("😀", 2), ("𝒳", 2), ("&", 5)])
def test_lengths_are_counted_in_utf16_units_which_are_never_fewer_than_slack_counts(character: str, units: int) -> None:
    """Slack's documents speak of characters, and don't say whether these are code points."""
    room = 75 // units

    assert fit(character * room, 75) == ESCAPES.get(character, character) * room
    assert len(fit(character * 150, 75).encode("utf-16-le")) // 2 in range(75 - units, 76)


@pytest.mark.promise(42)
@pytest.mark.parametrize(("emoji", "opens"), [(1490, True), (1491, False)])
def test_a_button_takes_an_address_of_three_thousand_utf16_units(emoji: int, opens: bool) -> None:
    address = "https://x.test/" + "😀" * emoji + "12345"

    [block] = links([{"rel": "result", "href": address}])

    assert (block["type"] == "actions") is opens


@pytest.mark.promise(42)
def test_a_long_text_is_cut_in_length_and_in_lines() -> None:
    shown = message(
        step(State.RUNNING, State.FAILED, error="x" * 50_000, message="\n".join("abcdefghijklmnopqrstuvwxyz"))
    )

    error, said = (block["text"]["text"] for block in shown["blocks"][2:4])
    assert (len(error), error[:8], error[-1]) == (1000, "Error: x", "…")
    assert said.splitlines() == [*"abcdefghijkl", "…"]


@pytest.mark.parametrize(
    ("counts", "bar"),
    [
        ({"total": 100, "succeeded": 92, "failed": 8}, "🟩🟩🟩🟩🟩🟩🟩🟩🟩🟥"),
        ({"total": 10**6, "succeeded": 10**6 - 1, "failed": 1}, "🟩🟩🟩🟩🟩🟩🟩🟩🟩🟥"),
        ({"total": 1000, "succeeded": 999}, "🟩🟩🟩🟩🟩🟩🟩🟩🟩⬜"),
        ({"total": 1000, "succeeded": 1, "failed": 1, "cancelled": 998}, "🟩🟥⬛⬛⬛⬛⬛⬛⬛⬛"),
        ({"total": 3, "succeeded": 1, "failed": 1, "cancelled": 1}, "🟩🟩🟩🟩🟥🟥🟥⬛⬛⬛"),
        ({"total": 3, "succeeded": 3}, "🟩🟩🟩🟩🟩🟩🟩🟩🟩🟩"),
        ({"total": 3, "succeeded": 2, "failed": 4}, "🟩🟩🟩🟥🟥🟥🟥🟥🟥🟥"),
    ],
)
def test_a_bar_hides_no_failure_and_is_full_only_at_the_end(counts: dict[str, int], bar: str) -> None:
    shown = message(step(State.PENDING, State.RUNNING, progress=Progress(**counts)))

    assert summary(shown).splitlines()[1].split()[0] == bar


def test_every_link_is_a_button_with_its_address_unaltered() -> None:
    given = (PULL_REQUEST, Link(rel="job_report", href="https://x.test/r"))
    shown = message(step(State.RUNNING, State.SUCCEEDED, links=given))

    assert [(button["text"]["text"], button["url"]) for button in buttons(shown)] == [
        ("Open pull request", PULL_REQUEST.href),
        ("Open job report", "https://x.test/r"),
    ]


@pytest.mark.parametrize(
    ("href", "words"),
    [
        ("https://x.test/" + "a" * 3000, "has 3,015 characters, too many for a button"),
        ("javascript:alert(1)", "is none that a button opens"),
    ],
)
def test_an_address_that_no_button_takes_is_told_in_words(href: str, words: str) -> None:
    shown = message(step(State.RUNNING, State.SUCCEEDED, links=(Link(rel="pull_request", href=href),)))

    assert not buttons(shown)
    assert shown["blocks"][2]["text"]["text"] == (
        f"The address of its pull request {words}. It is told by: pollbridge show, with the key below"
    )


def test_a_test_says_that_it_is_one() -> None:
    shown = message(step(State.RUNNING, State.SUCCEEDED, JobKey("pollbridge", "test", "docs-team", "1")))

    assert shown["text"].startswith("🧪 Test: 🟢 pollbridge · Report succeeded")
    assert header(shown).startswith("🧪 Test: ")
    assert summary(shown).startswith("*This is a test*, sent by `pollbridge test-notify`")


def test_in_a_notification_nothing_of_a_vendors_does_anything() -> None:
    shown = message(told(detect(None, Snapshot(state=State.RUNNING, name="@here :smile: https://evil.test 12:31"))))

    assert shown["text"] == "🔵 mentionlab · ＠here ∶smile: https∶//evil․test 12:31 is running (first seen → running)"
