"""What Slack shows, made of Block Kit: https://docs.slack.dev/block-kit.

Vendors' words stand only where Slack formats nothing, and without the characters that would hide or reorder
what stands around them. What Slack does format is ours to the last character.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from pollbridge.model.change import Reason
from pollbridge.model.event import RECOVERED, Trouble
from pollbridge.model.job import Progress, State
from pollbridge.notifying.notice import Notice

HEADER_LIMIT = 150
BUTTON_LIMIT = 75
"""Characters: https://docs.slack.dev/reference/block-kit/blocks/header-block and …/block-elements/button-element."""

PROSE_LIMIT = 1200
PROSE_LINES = 12
LABELS_LIMIT = 300
NAME_LIMIT = 40
WORD_LIMIT = 32
OUTCOME_LIMIT = 48
KEY_LIMIT = 200
KEYS = 10
"""Characters and lines: ours, for what a person should take in at a glance. Whole texts are in the history."""

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

TROUBLES = {
    Trouble.UNREACHABLE: ("🔌", "doesn't answer", None),
    Trouble.UNAUTHORIZED: ("🔑", "refuses the key", "check the secret"),
    Trouble.FORBIDDEN: ("🔑", "denies access", "check what the key may read"),
    Trouble.NO_CREDENTIALS: ("🔑", "can't be asked", "store the secret"),
}
"""What to look at first, what to say, and what there is to do."""

UNITS = (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1), ("s", 1, "s", 1))

LINK_NAMES = {"pull_request": "Open pull request"}

LOOKALIKES = str.maketrans("*_~`", "∗ˍ∼ˋ")
"""For the characters that format a `text`: Slack knows no way to escape them."""


def message(notice: Notice) -> dict[str, Any]:
    """The message about a job, a vendor or a destination. Its `text` is for notifications."""
    match notice.about:
        case "job":
            return _about_job(notice.detail)
        case "vendor":
            return _recovered(notice.detail) if notice.detail_type == RECOVERED else _unreachable(notice.detail)
    return _disabled(notice.detail)


def card(notice: Notice) -> dict[str, Any]:
    """A job's card, which is updated in place: how the job stands with this event. `text` and `blocks`."""
    return message(notice)


def reply(notice: Notice) -> dict[str, Any]:
    """What a change adds to the thread below the job's card. `text`, and `blocks` where one line is not enough."""
    return message(notice)


def listing(notices: Sequence[Notice]) -> dict[str, Any]:
    """One message about many changes of one connection, found in one sweep. `text` and `blocks`."""
    return message(notices[0])


def _disabled(event: Mapping[str, Any]) -> dict[str, Any]:
    """Who is told nothing any more, why, and what there is to do."""
    name = _fit(_line(event["destination"]), NAME_LIMIT)
    return _message(f"🔇 {name} is not delivered to any more", event["reason"], notes=[f"since {_since(event)}"])


def _message(headline: str, gist: str, *blocks: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """The gist is what a notification has room for beside the headline."""
    return {
        "text": f"{headline} ({gist})".translate(LOOKALIKES),
        "blocks": [
            {"type": "header", "text": _plain(headline)},
            *blocks,
            {"type": "context", "elements": [_plain(note) for note in notes if note]},
        ],
    }


def _section(text: dict[str, Any]) -> dict[str, Any]:
    return {"type": "section", "text": text}


def _about_job(event: Mapping[str, Any]) -> dict[str, Any]:
    """What job, from → to, counts, error, and a button for each link."""
    steps = _steps(event)
    texts = [f"Error: {event['error']}" if event["error"] else "", event["message"] or "", _farewell(event)]
    return _message(
        _headline(event),
        steps,
        _section(_mrkdwn(_summary(steps, event["progress"] or {}))),
        *(_section(_plain(prose)) for prose in map(_prose, texts) if prose),
        *_actions(event["links"]),
        notes=_footnotes(event),
    )


def _headline(event: Mapping[str, Any]) -> str:
    """Cut where it hurts least, in the job's name."""
    job, (face, verdict) = event["job"], _verdict(event)
    name = _line(job["name"] or "") or _line(f"{job['kind']} {job['id']}")
    before, after = f"{face} {_name(event)} · ", f" {verdict}"
    return before + _fit(name, HEADER_LIMIT - _length(before) - _length(after)) + after


def _verdict(event: Mapping[str, Any]) -> tuple[str, str]:
    to, reasons, progress = event["to"], event["reasons"], event["progress"] or {}
    face, verb = FACES[State(to["state"])]
    if to["lost"]:
        return "👻", f"is lost: the vendor {'no longer knows' if event['from'] else 'does not know'} it"
    if Reason.EXPIRED in reasons:
        return "💤", "is no longer followed: nothing new for too long"
    if to["state"] == State.UNKNOWN and (word := _line(to["vendor_status"] or "")):
        verb = f"says “{_fit(word, WORD_LIMIT)}”, which is new to us"
    if to["state"] == State.PARTIALLY_FAILED:
        outcome = ", ".join(_counts(progress, "failed", "cancelled"))
        verb = f"{verb}: {outcome}" if 0 < len(outcome) <= OUTCOME_LIMIT else verb
    if Reason.FOUND in reasons:
        return face, f"was found again and {verb}"
    if Reason.REOPENED in reasons:
        return face, f"was reopened and {verb}"
    if {Reason.FIRST_SEEN, Reason.STATE_CHANGED, Reason.ARCHIVED}.intersection(reasons):
        return face, verb
    return face, _update(event) or verb


def _update(event: Mapping[str, Any]) -> str | None:
    """What is new of a job that stands where it stood."""
    if Reason.LINK_ADDED in event["reasons"]:
        asked = any(link["rel"] == "pull_request" for link in event["links"])
        return "has a pull request" if asked else "has a new link"
    if Reason.ERROR_CHANGED in event["reasons"]:
        return "reports an error" if event["error"] else "no longer reports an error"
    progress = Progress.model_validate(event["progress"] or {})
    return f"has done {progress.done:,} of {progress.total:,}" if progress.total else None


def _farewell(event: Mapping[str, Any]) -> str:
    """For a job that is no longer followed: how old its state is, and the way back."""
    if Reason.EXPIRED not in event["reasons"]:
        return ""
    seen = f"Last seen {_moment(event['last_seen_at'])}. " if event["last_seen_at"] else ""
    return f"{seen}To follow it again: pollbridge watch {event['job']['key']}"


def _steps(event: Mapping[str, Any]) -> str:
    reasons = event["reasons"]
    after = "lost" if event["to"]["lost"] else _word(event["to"])
    if event["from"] is None and {Reason.LOST, Reason.EXPIRED}.intersection(reasons):
        return "never seen"
    before = "lost" if Reason.FOUND in reasons else _word(event["from"])
    return after if before == after else f"{before} → {after}"


def _word(standing: Mapping[str, Any] | None) -> str:
    return str(standing["state"]).replace("_", " ") if standing else "first seen"


def _summary(steps: str, progress: Mapping[str, Any]) -> str:
    return _stressed(steps, _counts(progress, "failed", "cancelled", "retrying", "pending"))


def _stressed(gist: str, counts: list[str]) -> str:
    """The gist above the counts; what failed stands out."""
    stressed = (f"*{count}*" if count.endswith(" failed") else count for count in counts)
    return f"*{gist}*\n{' · '.join(stressed)}".rstrip()


def _counts(progress: Mapping[str, Any], *names: str) -> list[str]:
    """How many succeeded, of how many, and those of the names that count anything; nothing the vendor didn't tell."""
    succeeded, total = progress.get("succeeded"), progress.get("total")
    counts = []
    if total:
        counts.append(f"{total:,} in total" if succeeded is None else f"{succeeded:,} of {total:,} succeeded")
    elif succeeded:
        counts.append(f"{succeeded:,} succeeded")
    return counts + [f"{progress[name]:,} {name}" for name in names if progress.get(name)]


def _actions(links: list[dict[str, str]]) -> list[dict[str, Any]]:
    return [{"type": "actions", "elements": [_button(link["rel"], link["href"]) for link in links]}] if links else []


def _button(rel: str, href: str) -> dict[str, Any]:
    name = LINK_NAMES.get(rel) or f"Open {_line(rel.replace('_', ' '))}"
    return {"type": "button", "text": _plain(_fit(name, BUTTON_LIMIT)), "url": href}


def _footnotes(event: Mapping[str, Any]) -> list[str]:
    labels = " ".join(f"{name}={value}" for name, value in event["job"]["labels"].items())
    return [_fit(_line(labels), LABELS_LIMIT), _seen(event), event["job"]["key"]]


def _unreachable(event: Mapping[str, Any]) -> dict[str, Any]:
    """Whom we can't ask, why and since when, and what there is to do."""
    face, verb, remedy = TROUBLES[Trouble(event["reason"])]
    before, after = f"{face} {_name(event)} {verb}{_where(event)}: ", f", since {_since(event)}"
    error = _line(event["error"])
    shown = _fit(error, HEADER_LIMIT - _length(before) - _length(after))
    jobs = "the scope's jobs" if event["scope"] else "its jobs"
    effect = f"{jobs} are not looked at until it answers again"
    advice = f"*{remedy}*\n" if remedy else ""
    return _message(
        before + shown + after,
        remedy or effect,
        _section(_mrkdwn(f"{advice}{effect[0].upper()}{effect[1:]}. What changes meanwhile is told then.")),
        *([_section(_plain(_prose(error)))] if shown != _fit(error, PROSE_LIMIT) else []),
        notes=_vendor_notes(event),
    )


def _recovered(event: Mapping[str, Any]) -> dict[str, Any]:
    """After how long, and what changed meanwhile."""
    changes = event["changes"]
    total, states, jobs = changes["total"], changes["states"], changes["jobs"]
    counts = [f"{states[state]:,} {state.replace('_', ' ')}" for state in State if states.get(state)]
    changed = f"{f'{total:,}' if total else 'no'} job{'' if total < 2 else 's'} changed meanwhile"
    keys = [_fit(shown, KEY_LIMIT) for key in jobs[:KEYS] if (shown := _line(key))]
    more = [f"… and {total - len(keys):,} more"] if keys and total > len(keys) else []
    return _message(
        f"✅ {_name(event)} answers again{_where(event)} after {_span(event['duration_seconds'])}",
        ": ".join(filter(None, [changed, ", ".join(counts)])),
        _section(_mrkdwn(_stressed(changed, counts))),
        *([_section(_plain("\n".join(keys + more)))] if keys else []),
        notes=[_fit(f"{_line(event['error'])}, since {_since(event)}", LABELS_LIMIT), *_vendor_notes(event)],
    )


def _vendor_notes(event: Mapping[str, Any]) -> list[str]:
    scope = _fit(_line(f"scope {event['scope']}"), LABELS_LIMIT) if event["scope"] else ""
    return [scope, _seen(event)]


def _name(event: Mapping[str, Any]) -> str:
    return _fit(_line(event["connection"]), NAME_LIMIT)


def _where(event: Mapping[str, Any]) -> str:
    return f" for scope {_fit(_line(event['scope']), NAME_LIMIT)}" if event["scope"] else ""


def _since(event: Mapping[str, Any]) -> str:
    """Without the date when it is today's."""
    since = _moment(event["since"])
    return since[11:] if event["since"][:10] == event["observed_at"][:10] else since


def _seen(event: Mapping[str, Any]) -> str:
    return f"seen {_moment(event['observed_at'])}, version {event['version']}"


def _moment(instant: str) -> str:
    return f"{instant[:16].replace('T', ' ')} UTC"


def _span(seconds: int) -> str:
    """In its largest unit and the next: `1 h 12 min`."""
    unit, size, below, least = next(row for row in UNITS if seconds >= row[1] or row[0] == "s")
    rest = seconds % size // least
    return f"{seconds // size} {unit}" + (f" {rest} {below}" if rest else "")


def _lines(text: str) -> list[str]:
    """The lines as they will be seen: controls of the direction or the terminal are gone."""
    return ["".join(filter(_shows, line.expandtabs(1))).rstrip() for line in text.splitlines()]


def _shows(character: str) -> bool:
    # Zero-width joiner and non-joiner shape emoji and Persian words, and move nothing.
    return character in "\u200c\u200d" or unicodedata.category(character) not in {"Cc", "Cf", "Cs"}


def _line(text: str) -> str:
    return " ".join(" ".join(_lines(text)).split())


def _prose(text: str) -> str:
    """A text of several lines, without blank ones, short enough to read."""
    lines = list(filter(None, _lines(text)))
    more = ["…"] if len(lines) > PROSE_LINES else []
    return _fit("\n".join(lines[:PROSE_LINES] + more), PROSE_LIMIT)


def _fit(text: str, limit: int) -> str:
    """The text, escaped, in at most `limit` characters; no escape is ever cut in two.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    escapes = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    pieces = [escapes.get(character, character) for character in text[: limit + 1]]
    if _length("".join(pieces)) <= limit:
        return "".join(pieces)
    kept = sum(length < limit for length in accumulate(map(_length, pieces)))
    return "".join(pieces[:kept]).rstrip() + "…"


def _length(text: str) -> int:
    """In UTF-16 units: whatever Slack counts, there are no more of it."""
    return len(text) + sum(character > "\uffff" for character in text)


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}
