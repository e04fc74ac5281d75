"""The Slack message: understood at a glance, whatever the vendor wrote."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollbridge.local.slack import objection
from pollbridge.model.change import Change, Reason, detect
from pollbridge.model.event import Changes, Trouble, job_event
from pollbridge.model.job import JobKey, Link, Progress, Snapshot, State
from pollbridge.notifying.notice import Notice
from pollbridge.notifying.slack.message import message
from tests.kit.events import event, notice, recovered, unreachable

KEY = JobKey("mentionlab", "job", "p", "1")
SEEN = datetime(2026, 6, 8, 12, 16, tzinfo=UTC)
PULL_REQUEST = Link(rel="pull_request", href="https://github.test/o/r/pull/7?a=1&b=<*x*>%20~é")
COUNTS = Progress(total=100, succeeded=92, failed=8, pending=0, retrying=0, cancelled=0)

HOSTILE = [
    *(
        "<!channel>",
        "<@U1>",
        "<#C1|x>",
        "<https://evil.test|ok>",
        "&lt;!here&gt;",
        "*b* _i_ ~s~ `c` ```d```",
        "> quote",
    ),
    *(
        "\u202egnp.exe\u2066",
        "\x00\x1b[31m",
        "a\nb\r\nc\u2028d\ne",
        "\n" * 1000,
        "&" * 500,
        "<" * 50_000,
        "😀" * 9_000,
        "",
    ),
]
WORDS = st.none() | st.sampled_from(HOSTILE) | st.text(max_size=200)
NUMBERS = st.none() | st.integers(0, 3) | st.sampled_from([100, 2**63 - 1])
SNAPSHOTS = st.builds(
    Snapshot,
    state=st.sampled_from(State),
    vendor_status=WORDS,
    name=WORDS,
    error=WORDS,
    message=WORDS,
    progress=st.none() | st.builds(Progress, **dict.fromkeys(Progress.model_fields, NUMBERS)),
    links=st.lists(st.sampled_from([PULL_REQUEST, Link(rel="<!here>" * 20, href="https://x.test/")])).map(tuple),
)
PARTS = st.text(min_size=1, max_size=35).filter(lambda part: part not in {".", ".."})
KEYS = st.builds(JobKey, st.just("m" * 40), st.sampled_from(["job", "agent-v1"]), PARTS, PARTS)
LABELS = st.dictionaries(st.sampled_from(HOSTILE) | st.text(max_size=64), st.text(max_size=256), max_size=20)


def told(change: Change | None, key: JobKey = KEY, seen: datetime | None = None, /, **labels: str) -> Any:
    assert change
    event = job_event(
        key,
        change,
        vendor="mentionlab",
        incarnation="i",
        version=3,
        labels=labels,
        observed_at=datetime(2026, 6, 8, 12, 31, tzinfo=UTC),
        last_seen_at=seen,
    )
    return message(notice(event))


def step(before: State | None, after: State, **fields: Any) -> Any:
    """The message of a job called Report that came from one state into another."""
    return told(detect(Snapshot(state=before) if before else None, Snapshot(state=after, name="Report", **fields)))


@st.composite
def messages(draw: st.DrawFn) -> Any:
    previous, current = draw(st.none() | SNAPSHOTS), draw(SNAPSHOTS)
    change = detect(previous, current) or Change(
        previous, current, (draw(st.sampled_from([Reason.LOST, Reason.FOUND, Reason.EXPIRED])),)
    )
    return told(change, draw(KEYS), draw(st.none() | st.just(SEEN)), **draw(LABELS))


OUTAGES = st.fixed_dictionaries(
    {
        "connection": st.sampled_from(["mentionlab", "m" * 40]),
        "scope": WORDS,
        "reason": st.sampled_from(Trouble),
        "error": WORDS.filter(lambda text: text is not None),
        "since": st.sampled_from(["2026-06-08T12:31:00Z", "2026-06-07T23:58:02.118Z"]),
    }
)
CHANGES = st.builds(
    Changes,
    total=st.integers(0, 2**63 - 1),
    states=st.dictionaries(st.sampled_from(State), st.integers(0, 2**63 - 1)),
    jobs=st.lists(KEYS.map(str) | st.sampled_from(HOSTILE), max_size=20).map(tuple),
)
VENDOR_MESSAGES = OUTAGES.map(lambda fields: message(notice(unreachable(**fields)))) | st.builds(
    lambda fields, changes, seconds: message(notice(recovered(**fields, changes=changes, duration_seconds=seconds))),
    OUTAGES,
    CHANGES,
    st.integers(0, 10**9),
)


def texts(part: Any, kind: str | None = None) -> Iterator[str]:
    """Every text that Slack shows; of one kind of text object, if asked."""
    if isinstance(part, list):
        for entry in part:
            yield from texts(entry, kind)
    elif isinstance(part, dict):
        if isinstance(part.get("text"), str) and kind in {None, part.get("type")}:
            yield part["text"]
        for entry in part.values():
            yield from texts(entry, kind)


def header(shown: Any) -> str:
    return str(shown["blocks"][0]["text"]["text"])


def summary(shown: Any) -> str:
    return str(shown["blocks"][1]["text"]["text"])


def test_a_partial_failure_is_told_at_a_glance() -> None:
    shown = step(
        State.RUNNING, State.PARTIALLY_FAILED, progress=COUNTS, error="8 pages timed out", links=(PULL_REQUEST,)
    )

    assert shown["text"] == (
        "🟠 mentionlab · Report partly failed: 92 of 100 succeeded, 8 failed (running → partially failed)"
    )
    assert list(texts(shown["blocks"])) == [
        "🟠 mentionlab · Report partly failed: 92 of 100 succeeded, 8 failed",
        "*running → partially failed*\n92 of 100 succeeded · *8 failed*",
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
    shown = step(before, after, **fields)

    assert header(shown) == headline
    assert summary(shown).splitlines()[0] == f"*{steps}*"


def stood(previous: Snapshot | None, reason: Reason, seen: datetime | None = None) -> Any:
    """The message of what only a poller can tell, since the job stands where it stood."""
    return told(Change(previous, previous or Snapshot(state=State.UNKNOWN), (reason,)), KEY, seen)


@pytest.mark.parametrize(
    ("reason", "verdict", "steps"),
    [
        (Reason.LOST, "👻 mentionlab · job 1 is lost: the vendor no longer knows it", "running → lost"),
        (Reason.FOUND, "🔵 mentionlab · job 1 was found again and is running", "lost → running"),
        (Reason.EXPIRED, "💤 mentionlab · job 1 is no longer followed: nothing new for too long", "running"),
    ],
)
def test_a_lost_job_is_told_as_lost_found_again_or_followed_no_more(reason: Reason, verdict: str, steps: str) -> None:
    shown = stood(Snapshot(state=State.RUNNING), reason)

    assert (header(shown), summary(shown)) == (verdict, f"*{steps}*")


@pytest.mark.parametrize(
    ("reason", "verdict"),
    [
        (Reason.LOST, "👻 mentionlab · job 1 is lost: the vendor does not know it"),
        (Reason.EXPIRED, "💤 mentionlab · job 1 is no longer followed: nothing new for too long"),
    ],
)
def test_no_state_is_told_of_a_job_that_was_never_seen(reason: Reason, verdict: str) -> None:
    shown = stood(None, reason)

    assert (header(shown), summary(shown)) == (verdict, "*never seen*")


def test_a_job_found_in_another_state_is_told_as_both() -> None:
    running, done = Snapshot(state=State.RUNNING), Snapshot(state=State.SUCCEEDED)
    shown = told(Change(running, done, (Reason.STATE_CHANGED, Reason.FOUND)))

    assert shown["text"] == "🟢 mentionlab · job 1 was found again and succeeded (lost → succeeded)"


def test_of_a_job_followed_no_more_is_told_how_old_its_state_is_and_the_way_back() -> None:
    shown = stood(Snapshot(state=State.RUNNING), Reason.EXPIRED, SEEN)

    assert shown["blocks"][2]["text"]["text"] == (
        "Last seen 2026-06-08 12:16 UTC. To follow it again: pollbridge watch mentionlab/job/p/1"
    )


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        ({"total": 1200, "succeeded": 0, "pending": 1200}, "0 of 1,200 succeeded · 1,200 pending"),
        ({"total": 9, "failed": 2, "cancelled": 1}, "9 in total · *2 failed* · 1 cancelled"),
        ({"succeeded": 5, "retrying": 1}, "5 succeeded · 1 retrying"),
        ({"total": 0, "succeeded": 0, "failed": 0}, None),
    ],
)
def test_no_count_is_told_that_the_vendor_did_not_tell(counts: dict[str, int], line: str | None) -> None:
    shown = step(State.PENDING, State.RUNNING, progress=Progress(**counts))

    assert summary(shown).split("\n") == ["*pending → running*", *([line] if line else [])]


def test_a_job_without_a_name_goes_by_its_kind_and_id() -> None:
    shown = told(detect(None, Snapshot(state=State.FAILED, name="\u202e \n")))

    assert header(shown) == "🔴 mentionlab · job 1 failed"


def test_labels_and_key_stand_at_the_foot() -> None:
    shown = told(detect(None, Snapshot(state=State.RUNNING)), team="docs", tier="<1>")

    assert [note["text"] for note in shown["blocks"][-1]["elements"]] == [
        "team=docs tier=&lt;1&gt;",
        "seen 2026-06-08 12:31 UTC, version 3",
        "mentionlab/job/p/1",
    ]


def test_a_long_name_is_cut_and_the_verdict_stays() -> None:
    shown = told(detect(None, Snapshot(state=State.SUCCEEDED, name="R&D " * 100)))

    assert len(header(shown)) <= 150
    assert re.fullmatch(r"🟢 mentionlab · (R&amp;D )+(R|R&amp;|R&amp;D)?… succeeded", header(shown))


@pytest.mark.promise(42)
def test_a_long_text_is_cut_in_length_and_in_lines() -> None:
    shown = step(State.RUNNING, State.FAILED, error="x" * 50_000, message="\n".join("abcdefghijklmnopqrstuvwxyz"))

    error, said = (block["text"]["text"] for block in shown["blocks"][2:4])
    assert (len(error), error[:8], error[-1]) == (1200, "Error: x", "…")
    assert said.splitlines() == [*"abcdefghijkl", "…"]


@pytest.mark.promise(42)
@given(messages() | VENDOR_MESSAGES)
def test_slack_takes_every_message(shown: Any) -> None:
    assert objection(shown) is None
    assert len(header(shown).encode("utf-16-le")) // 2 <= 150
    assert shown["text"]
    json.dumps(shown, ensure_ascii=False).encode()


@pytest.mark.promise(42)
@given(messages() | VENDOR_MESSAGES)
def test_vendor_words_can_neither_ping_nor_link(shown: Any) -> None:
    for text in texts(shown):
        assert not set("<>") & set(text)
        assert not re.search("&(?!(amp|lt|gt);)", text)


@pytest.mark.promise(42)
@given(messages() | VENDOR_MESSAGES)
def test_vendor_words_can_neither_hide_nor_turn_what_stands_around_them(shown: Any) -> None:
    for text in texts(shown):
        odd = {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs"}}
        assert odd <= set("\n\u200c\u200d")
        assert text.count("\n") <= 12


@pytest.mark.promise(42)
@given(messages())
def test_what_slack_formats_is_ours_alone(shown: Any) -> None:
    """All else is plain text; `text` is formatted too, and holds none of the characters that would."""
    for text in texts(shown["blocks"], "mrkdwn"):
        assert re.fullmatch(r"\*[a-z →]+\*(\n[a-z\d, ·*]+)?", text, re.ASCII)
    assert not set("*_~`\n") & set(shown["text"])


@given(SNAPSHOTS)
def test_every_link_is_a_button_with_its_address_unaltered(current: Snapshot) -> None:
    shown = told(detect(None, current))

    buttons = [button for block in shown["blocks"] if block["type"] == "actions" for button in block["elements"]]
    assert [button["url"] for button in buttons] == [link.href for link in current.links]


def test_an_outage_is_told_at_a_glance() -> None:
    shown = message(notice(unreachable()))

    assert shown["text"] == (
        "🔌 mentionlab doesn't answer: HTTP 503, since 12:31 UTC (its jobs are not looked at until it answers again)"
    )
    assert list(texts(shown["blocks"])) == [
        "🔌 mentionlab doesn't answer: HTTP 503, since 12:31 UTC",
        "Its jobs are not looked at until it answers again. What changes meanwhile is told then.",
        "seen 2026-06-08 12:33 UTC, version 1",
    ]


@pytest.mark.parametrize(
    ("reason", "error", "text"),
    [
        (
            Trouble.UNAUTHORIZED,
            "HTTP 401",
            "🔑 mentionlab refuses the key: HTTP 401, since 12:31 UTC (check the secret)",
        ),
        (
            Trouble.FORBIDDEN,
            "HTTP 403",
            "🔑 mentionlab denies access: HTTP 403, since 12:31 UTC (check what the key may read)",
        ),
        (
            Trouble.NO_CREDENTIALS,
            "secret s is missing",
            "🔑 mentionlab can't be asked: secret s is missing, since 12:31 UTC (store the secret)",
        ),
    ],
)
def test_trouble_with_a_key_is_told_with_its_remedy(reason: Trouble, error: str, text: str) -> None:
    shown = message(notice(unreachable(reason=reason, error=error)))

    assert shown["text"] == text
    assert summary(shown).splitlines()[0] == f"*{text[text.index('(') + 1 : -1]}*"


def test_trouble_of_one_scope_is_told_of_that_scope_only() -> None:
    shown = message(notice(unreachable(scope="6650c1a9", reason=Trouble.UNAUTHORIZED, error="HTTP 401")))

    assert header(shown) == "🔑 mentionlab refuses the key for scope 6650c1a9: HTTP 401, since 12:31 UTC"
    assert summary(shown).splitlines()[1].startswith("The scope's jobs are not looked at")
    assert shown["blocks"][-1]["elements"][0]["text"] == "scope 6650c1a9"


def test_an_outage_of_yesterday_has_its_date() -> None:
    shown = message(notice(unreachable(since="2026-06-07T23:58:00Z")))

    assert header(shown).endswith(", since 2026-06-07 23:58 UTC")


def test_an_error_too_long_for_the_headline_is_told_below() -> None:
    shown = message(notice(unreachable(error="x" * 140)))

    assert header(shown).endswith("xxx…, since 12:31 UTC")
    assert shown["blocks"][2]["text"] == {"type": "plain_text", "text": "x" * 140, "emoji": False}


def test_a_recovery_is_told_with_how_long_and_what_changed() -> None:
    shown = message(notice(recovered()))

    assert shown["text"] == (
        "✅ mentionlab answers again after 1 h 12 min (14 jobs changed meanwhile: 12 succeeded, 2 failed)"
    )
    assert list(texts(shown["blocks"])) == [
        "✅ mentionlab answers again after 1 h 12 min",
        "*14 jobs changed meanwhile*\n12 succeeded · *2 failed*",
        "\n".join([*(f"mentionlab/job/p/{n}" for n in range(1, 11)), "… and 4 more"]),
        "HTTP 503, since 12:31 UTC",
        "seen 2026-06-08 13:43 UTC, version 2",
    ]


def test_of_many_jobs_that_changed_ten_are_named_and_all_are_counted() -> None:
    shown = message(notice(recovered(changes=Changes(total=1200, jobs=("m/job/p/1",) * 20))))

    assert shown["blocks"][2]["text"]["text"].splitlines() == ["m/job/p/1"] * 10 + ["… and 1,190 more"]


def test_a_recovery_after_which_nothing_is_new_says_so() -> None:
    shown = message(notice(recovered(scope="p", changes=Changes())))

    assert shown["text"] == "✅ mentionlab answers again for scope p after 1 h 12 min (no job changed meanwhile)"
    assert [block["type"] for block in shown["blocks"]] == ["header", "section", "context"]


@pytest.mark.parametrize(
    ("seconds", "span"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (135, "2 min 15 s"),
        (3600, "1 h"),
        (86_399, "23 h 59 min"),
        (90_000, "1 d 1 h"),
        (86_460, "1 d"),
    ],
)
def test_a_duration_is_told_in_its_largest_unit_and_the_next(seconds: int, span: str) -> None:
    assert header(message(notice(recovered(duration_seconds=seconds)))).endswith(f" after {span}")


@pytest.mark.promise(42)
@given(VENDOR_MESSAGES)
def test_what_slack_formats_about_a_vendor_is_ours_alone(shown: Any) -> None:
    for text in texts(shown["blocks"], "mrkdwn"):
        assert re.fullmatch(r"(\*[a-z\d, ]+\*)?\n?[A-Za-z\d, ·*'.]*", text, re.ASCII)
    assert not set("*_~`\n") & set(shown["text"])


def test_the_sample_of_an_outage_is_told() -> None:
    [record] = event("slack_notifier", "unreachable")["Records"]

    assert header(message(Notice.read(record["body"]))) == "🔌 mentionlab doesn't answer: HTTP 503, since 12:31 UTC"
