"""Whatever a vendor writes, and wherever: Slack takes the message, and nothing in it does what the vendor wants."""

from __future__ import annotations

import copy
import json
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollbridge.local.slack import UPDATE_LIMIT, objection, pings
from pollbridge.model.change import detect
from pollbridge.model.event import Cause, Changes, Trouble
from pollbridge.model.job import JobKey, Link, Snapshot, State
from pollbridge.notifying.notice import Notice
from pollbridge.notifying.slack.message import card, listing, message, reply
from tests.kit.events import notice, recovered, unreachable
from tests.unit.slack_words import HOSTILE, KEYS, PULL_REQUEST, WORDS, changes, disabled, step, texts
from tests.unit.slack_words import told as changed

WRITTEN = WORDS.filter(lambda text: text is not None)
OUTAGES = st.fixed_dictionaries(
    {
        "connection": st.sampled_from(["mentionlab", "m" * 40]),
        "scope": WORDS,
        "reason": st.sampled_from(Trouble),
        "error": WRITTEN,
        "since": st.sampled_from(["2026-06-08T12:31:00Z", "2026-06-07T23:58:02.118Z"]),
    }
)
CHANGES = st.builds(
    Changes,
    total=st.integers(0, 2**63 - 1),
    states=st.dictionaries(st.sampled_from(State), st.integers(0, 2**63 - 1)),
    jobs=st.lists(KEYS.map(str) | st.sampled_from(HOSTILE), max_size=20).map(tuple),
)
ABOUT_VENDORS = OUTAGES.map(lambda fields: notice(unreachable(**fields))) | st.builds(
    lambda fields, changes, seconds: notice(recovered(**fields, changes=changes, duration_seconds=seconds)),
    OUTAGES,
    CHANGES,
    st.integers(0, 10**9),
)
ABOUT_DESTINATIONS = st.fixed_dictionaries(
    {"reason": st.sampled_from(Cause), "type": st.sampled_from(["slack", "webhook"]), "error": WRITTEN}
).map(lambda fields: disabled(**fields))


def listed(told: Notice) -> dict[str, Any]:
    return listing([told] * 12)


OF_JOBS = st.builds(lambda show, told: show(told), st.sampled_from([message, card, reply, listed]), changes())
OF_OTHERS = (ABOUT_VENDORS | ABOUT_DESTINATIONS).map(message)
OURS = re.compile(
    r"""(?x)
      \*This\ is\ a\ test\*.*
    | [a-z ]*\*[a-z ]+\*                                   # where a job stands
    | \S+\ \*[\d,]+\ [a-z ]+\*                             # the title of a group in a list
    | \S+\ [a-z →·:,\d*]+                                  # a reply
    | \*[a-z →]+\*(\n[🟩🟥⬛⬜]*\ ?[a-z\d, ·*]+)?           # a step, with bar and counts
    """
)


@pytest.mark.promise(42)
@given(OF_JOBS | OF_OTHERS)
def test_slack_takes_every_message(shown: Any) -> None:
    assert objection(shown, UPDATE_LIMIT) is None
    assert len(shown["text"].encode()) <= UPDATE_LIMIT
    assert shown["text"]


@pytest.mark.promise(42)
@given(OF_JOBS | OF_OTHERS)
def test_vendor_words_can_neither_ping_nor_link(shown: Any) -> None:
    for text in texts(shown):
        assert not set("<>") & set(text)
        assert not re.search("&(?!(amp|lt|gt);)", text)
    assert pings(shown | {"link_names": True}) == []


@pytest.mark.long
@pytest.mark.promise(42)
@given(OF_JOBS | OF_OTHERS)
def test_vendor_words_can_neither_hide_nor_turn_what_stands_around_them(shown: Any) -> None:
    for text in texts(shown):
        odd = {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs"}}
        assert odd <= set("\n\u200c\u200d")
        assert text.count("\n") <= 50
        assert not any(map(unicodedata.combining, text)) or not re.search("(?s)(.)(\u0301){5}", text)


@pytest.mark.promise(42)
@given(OF_JOBS)
def test_what_slack_formats_is_ours_alone(shown: Any) -> None:
    """All else is plain text; `text` is formatted too, and holds none of the characters that would."""
    for text in texts(shown["blocks"], "mrkdwn"):
        assert OURS.fullmatch(text), text


@pytest.mark.long
@pytest.mark.promise(42)
@given(OF_OTHERS)
def test_what_slack_formats_about_others_is_ours_alone(shown: Any) -> None:
    for text in texts(shown["blocks"], "mrkdwn"):
        assert re.fullmatch(r"(\*[A-Za-z\d, .]+\*)?\n?[A-Za-z\d, ·*'.]*(:\n```[\w\n :-]+```)?", text, re.ASCII), text


@pytest.mark.promise(42)
@given(OF_JOBS | OF_OTHERS)
def test_a_notification_holds_nothing_that_formats_mentions_or_links(shown: Any) -> None:
    assert not set("*_~`\n@#") & set(shown["text"])
    assert not re.search(r"://|:\w+:|\w\.[^\W\d]", shown["text"])


@pytest.mark.promise(42)
@pytest.mark.parametrize("show", [message, card, reply, listed])
def test_half_a_character_is_left_out(show: Any) -> None:
    """JSON can carry one, `\\ud800`; what is sent is UTF-8, which can't."""
    told = copy.deepcopy(step(State.RUNNING, State.FAILED, links=(PULL_REQUEST,)))
    told.detail["error"] = told.detail["message"] = told.detail["job"]["name"] = "\ud800x"
    told.detail["job"]["labels"] = {"\ud800": "\udfff"}
    told.detail["links"][0] = {"rel": "\ud800", "href": "https://x.test/\ud800"}

    shown = json.dumps(show(told), ensure_ascii=False).encode()

    assert b"x" in shown


@pytest.mark.promise(42)
@pytest.mark.parametrize("show", [message, card, reply, listed])
@pytest.mark.parametrize("character", ['"', "\\", "&", "😀", "字"])
def test_what_is_long_everywhere_is_not_too_long_in_all(show: Any, character: str) -> None:
    links = [Link(rel=character * 80, href="https://x.test/" + "a" * size) for size in (2985, 2033, 900, 3100)]
    prose, key = character * 50_000, JobKey("m" * 40, "job", character * 20, "x" * 600)
    given = {"vendor_status": prose, "error": prose, "message": prose, "links": tuple(links)}
    told = changed(detect(None, Snapshot(state=State.UNKNOWN, name=prose, **given)), key, None, **{prose[:64]: prose})

    assert objection(show(told)) is None
