"""What the tests of Slack's messages say of a job, and hostile words in every place where a vendor may put them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from pollbridge.model.change import Change, Reason, detect
from pollbridge.model.event import Cause, DestinationDisabled, job_event
from pollbridge.model.job import JobKey, Link, Progress, Snapshot, State
from pollbridge.notifying.notice import Notice
from tests.kit.events import notice

KEY = JobKey("mentionlab", "job", "p", "1")
SEEN = datetime(2026, 6, 8, 12, 16, tzinfo=UTC)
NOW = datetime(2026, 6, 8, 12, 31, tzinfo=UTC)
PULL_REQUEST = Link(rel="pull_request", href="https://github.test/o/r/pull/7?a=1&b=<*x*>%20~é")
COUNTS = Progress(total=100, succeeded=92, failed=8, pending=0, retrying=0, cancelled=0)

HOSTILE = [
    *(
        "<!channel>",
        "<@U1>",
        "<#C1|x>",
        "<https://evil.test|ok>",
        "https://evil.test/a.b see evil.test or @here #general :smile: ping @channel",
        "&lt;!here&gt;",
        "*b* _i_ ~s~ `c` ```d```",
        "> quote",
    ),
    *(
        "\u202egnp.exe\u2066",
        "\u200b\u200d\u2060\ufeff",
        "\u3164\u2800",
        "\x00\x1b[31m",
        "a\nb\r\nc\u2028d\ne",
        "\n" * 1000,
        "&" * 500,
        '"\\' * 3000,
        "<" * 50_000,
        "😀" * 9_000,
        "e" + "\u0301" * 3000,
        "",
    ),
]
WORDS = st.none() | st.sampled_from(HOSTILE) | st.text(max_size=200)
NUMBERS = st.none() | st.integers(0, 3) | st.sampled_from([100, 2**63 - 1])
LINKS = [
    PULL_REQUEST,
    Link(rel="<!here>" * 20, href="https://x.test/"),
    Link(rel="", href="javascript:alert(1)"),
    Link(rel="report", href="https://x.test/" + "a" * 2900),
    Link(rel="pull_request", href="https://x.test/" + "b" * 3000),
]
SNAPSHOTS = st.builds(
    Snapshot,
    state=st.sampled_from(State),
    vendor_status=WORDS,
    name=WORDS,
    error=WORDS,
    message=WORDS,
    progress=st.none() | st.builds(Progress, **dict.fromkeys(Progress.model_fields, NUMBERS)),
    links=st.lists(st.sampled_from(LINKS)).map(tuple),
)
PARTS = st.text(min_size=1, max_size=35).filter(lambda part: part not in {".", ".."})
KEYS = st.builds(JobKey, st.just("m" * 40), st.sampled_from(["job", "agent-v1"]), PARTS, PARTS)
LABELS = st.dictionaries(st.sampled_from(HOSTILE) | st.text(max_size=64), st.text(max_size=256), max_size=20)


def told(change: Change | None, key: JobKey = KEY, seen: datetime | None = None, /, **labels: str) -> Notice:
    """The change as a notifier gets it: version 3 of the job, with those labels."""
    assert change
    event = job_event(
        key,
        change,
        vendor="mentionlab",
        incarnation="i",
        version=3,
        labels=labels,
        observed_at=NOW,
        last_seen_at=seen,
    )
    return notice(event)


def step(before: State | None, after: State, key: JobKey = KEY, **fields: Any) -> Notice:
    """A job called Report came from one state into another."""
    current = Snapshot(state=after, name="Report", **fields)
    return told(detect(Snapshot(state=before) if before else None, current), key)


def stood(previous: Snapshot | None, reason: Reason, seen: datetime | None = None) -> Notice:
    """What only a poller can tell, since the job stands where it stood."""
    return told(Change(previous, previous or Snapshot(state=State.UNKNOWN), (reason,)), KEY, seen)


def disabled(**fields: Any) -> Notice:
    """A webhook said 410, but for what the test says."""
    event = DestinationDisabled(
        **{
            "schema": "1",
            "id": "9d6a1c5f-6a3e-5f7e-8f0a-2d1c7b9e4f10",
            "version": 1,
            "destination": "docs_team",
            "type": "webhook",
            "reason": Cause.GONE,
            "error": "HTTP 410",
            "since": "2026-06-08T12:31:00Z",
            "observed_at": "2026-06-08T12:31:02Z",
        }
        | fields
    )
    return notice(event)


@st.composite
def changes(draw: st.DrawFn) -> Notice:
    """Any change of a job, told in the worst of words."""
    previous, current = draw(st.none() | SNAPSHOTS), draw(SNAPSHOTS)
    change = detect(previous, current) or Change(
        previous, current, (draw(st.sampled_from([Reason.LOST, Reason.FOUND, Reason.EXPIRED])),)
    )
    return told(change, draw(KEYS), draw(st.none() | st.just(SEEN)), **draw(LABELS))


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


def buttons(shown: Any) -> list[Any]:
    return [button for block in shown["blocks"] if block["type"] == "actions" for button in block["elements"]]
