"""What to say of a job: how it stands, what is new, how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pollbridge.model.change import Reason
from pollbridge.model.job import Progress, State
from pollbridge.notifying.slack.text import fit, line

NAME_LIMIT = 40
WORD_LIMIT = 32
OUTCOME_LIMIT = 48
"""Characters: ours."""

TEST_KEYS = "pollbridge/test/"
"""What the keys of `pollbridge test-notify` begin with."""

FACES = {
    State.PENDING: ("⚪", "is waiting"),
    State.RUNNING: ("🔵", "is running"),
    State.RETRYING: ("🟡", "is being retried"),
    State.SUCCEEDED: ("🟢", "succeeded"),
    State.PARTIALLY_FAILED: ("🟠", "partly failed"),
    State.FAILED: ("🔴", "failed"),
    State.CANCELLED: ("⚫", "was cancelled"),
    State.HALTED: ("🟣", "halted without saying how it ended"),
    State.ARCHIVED: ("🗄️", "was archived"),
    State.UNKNOWN: ("❔", "tells no state"),
}
LOST = "👻"
EXPIRED = "💤"
TEST = "🧪"

SQUARES = 10
COLOURS = "🟩🟥⬛⬜"
"""Of a bar: succeeded, failed, cancelled, and what is still to come."""

COUNTED = ("failed", "cancelled", "retrying", "pending")


def connection(event: Mapping[str, Any]) -> str:
    return fit(line(event["connection"]), NAME_LIMIT)


def name(event: Mapping[str, Any]) -> str:
    """The job's name on one line, or its kind and id; neither cut nor escaped."""
    job = event["job"]
    return line(job["name"] or "") or line(f"{job['kind']} {job['id']}")


def is_test(event: Mapping[str, Any]) -> bool:
    return str(event["job"]["key"]).startswith(TEST_KEYS)


def expired(event: Mapping[str, Any]) -> bool:
    return Reason.EXPIRED in event["reasons"]


def standing(event: Mapping[str, Any]) -> tuple[str, str]:
    """A face and a predicate: how the job stands, however it came there."""
    to, progress = event["to"], event["progress"] or {}
    if to["lost"]:
        return LOST, f"is lost: the vendor {'no longer knows' if event['from'] else 'does not know'} it"
    if expired(event):
        return EXPIRED, "is no longer followed: nothing new for too long"
    face, verb = FACES[State(to["state"])]
    if to["state"] == State.UNKNOWN and (word := line(to["vendor_status"] or "")):
        verb = f"says “{fit(word, WORD_LIMIT)}”, which is new to us"
    if to["state"] == State.PARTIALLY_FAILED:
        outcome = ", ".join(counts(progress, "failed", "cancelled"))
        verb = f"{verb}: {outcome}" if 0 < len(outcome) <= OUTCOME_LIMIT else verb
    return face, verb


def news(event: Mapping[str, Any]) -> tuple[str, str]:
    """A face and a predicate: what has just happened to the job."""
    face, verb = standing(event)
    reasons = event["reasons"]
    if event["to"]["lost"] or expired(event):
        return face, verb
    if Reason.FOUND in reasons:
        return face, f"was found again and {verb}"
    if Reason.REOPENED in reasons:
        return face, f"was reopened and {verb}"
    if Reason.UNARCHIVED in reasons:
        return face, f"was unarchived: {word(event['to']['state'])}"
    if {Reason.FIRST_SEEN, Reason.STATE_CHANGED, Reason.ARCHIVED}.intersection(reasons):
        return face, verb
    return face, update(event) or verb


def update(event: Mapping[str, Any]) -> str | None:
    """What is new of a job that stands where it stood."""
    if Reason.LINK_ADDED in event["reasons"]:
        asked = any(link["rel"] == "pull_request" for link in event["links"])
        return "has a pull request" if asked else "has a new link"
    if Reason.ERROR_CHANGED in event["reasons"]:
        return "reports an error" if event["error"] else "no longer reports an error"
    progress = Progress.model_validate(event["progress"] or {})
    return f"has done {progress.done:,} of {progress.total:,}" if progress.total else None


def steps(event: Mapping[str, Any]) -> str:
    """From where to where, in our words: `running → partially failed`."""
    reasons = event["reasons"]
    after = "lost" if event["to"]["lost"] else word(event["to"]["state"])
    if event["from"] is None and {Reason.LOST, Reason.EXPIRED}.intersection(reasons):
        return "never seen"
    came_from = word(event["from"]["state"]) if event["from"] else "first seen"
    before = "lost" if Reason.FOUND in reasons else came_from
    return after if before == after else f"{before} → {after}"


def stands(event: Mapping[str, Any]) -> str:
    """Where the job stands, in our word, or stood when it was seen last."""
    if not (event["to"]["lost"] or expired(event)):
        return word(event["to"]["state"])
    if event["from"] is None:
        return "never seen"
    return f"{word(event['to']['state'])} when it was last seen"


def word(state: str) -> str:
    return str(state).replace("_", " ")


def counts(progress: Mapping[str, Any], *names: str) -> list[str]:
    """How many succeeded, of how many, and those of the names that count anything; nothing the vendor didn't tell."""
    succeeded, total = progress.get("succeeded"), progress.get("total")
    told = []
    if total:
        told.append(f"{total:,} in total" if succeeded is None else f"{succeeded:,} of {total:,} succeeded")
    elif succeeded:
        told.append(f"{succeeded:,} succeeded")
    return told + [f"{progress[name]:,} {name}" for name in names if progress.get(name)]


def stressed(told: list[str]) -> str:
    """The counts in a line; what failed stands out."""
    return " · ".join(f"*{count}*" if count.endswith(" failed") else count for count in told)


def bar(progress: Mapping[str, Any]) -> str:
    """Ten squares; where anything failed one is red, and while anything is to come one is white."""
    if not progress.get("total") or progress.get("succeeded") is None:
        return ""
    ended = [progress.get(part) or 0 for part in ("succeeded", "failed", "cancelled")]
    parts = [*ended, max(0, progress["total"] - sum(ended))]
    whole = sum(parts)
    squares = [max(1, part * SQUARES // whole) if part else 0 for part in parts]
    while sum(squares) > SQUARES:
        squares[squares.index(max(squares))] -= 1
    while sum(squares) < SQUARES:
        short_of = [part * SQUARES - square * whole for part, square in zip(parts, squares, strict=True)]
        squares[short_of.index(max(short_of))] += 1
    return "".join(colour * square for colour, square in zip(COLOURS, squares, strict=True))


def meter(progress: Mapping[str, Any]) -> str:
    """The bar and the counts, formatted: `🟩🟩🟩🟩🟩🟩🟩🟩🟩🟥 92 of 100 succeeded · *8 failed*`."""
    return " ".join(filter(None, [bar(progress), stressed(counts(progress, *COUNTED))]))
