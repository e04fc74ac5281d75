"""What Slack shows of one job: a message of its own for a change, a card that is kept up to date, a reply below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pollbridge.model.change import Reason
from pollbridge.notifying.slack.blocks import (
    HEADER_LIMIT,
    Block,
    context,
    header,
    links,
    mrkdwn,
    plain,
    posted,
    section,
)
from pollbridge.notifying.slack.text import fit, length, line, moment, prose, short
from pollbridge.notifying.slack.words import (
    COUNTED,
    TEST,
    connection,
    counts,
    expired,
    is_test,
    meter,
    name,
    news,
    standing,
    stands,
    steps,
    stressed,
    update,
)

LABELS_LIMIT = 300
KEY_LIMIT = 1000
WORD_LIMIT = 80
"""Characters: ours."""

DISCLAIMER = "*This is a test*, sent by `pollbridge test-notify`: there is no such job, and nothing is to be done."


def message(event: Mapping[str, Any]) -> dict[str, Any]:
    """What job, from → to, counts, error, and a button for each link."""
    told = headline(event)
    return posted(
        f"{told} ({steps(event)})",
        header(told),
        *_disclaimer(event),
        _gist(steps(event), event),
        *_texts(_error(event), event["message"], _way_back(event)),
        *links(event["links"]),
        context(_labels(event), f"seen {moment(event['observed_at'])}, version {event['version']}", key(event)),
    )


def card(event: Mapping[str, Any]) -> dict[str, Any]:
    """How the job stands now: all there is to know for one who has seen nothing of it before."""
    told, counted = _headline(event, *standing(event)), ", ".join(counts(event["progress"] or {}, *COUNTED))
    return posted(
        told if not counted or counted in told else f"{told} ({counted})",
        header(told),
        *_disclaimer(event),
        _gist(stands(event), event),
        *_texts(_error(event), event["message"], _way_back(event)),
        *links(event["links"]),
        context(
            _labels(event),
            _vendor_status(event),
            f"as of {moment(event['observed_at'])}, version {event['version']}",
            key(event),
        ),
    )


def reply(event: Mapping[str, Any]) -> dict[str, Any]:
    """What a change adds, in a line: the card above says what job it is, and its version what came after it."""
    reasons = set(event["reasons"])
    new_error = bool({Reason.FIRST_SEEN, Reason.ERROR_CHANGED} & reasons)
    ended = Reason.STATE_CHANGED in reasons and event["to"]["terminal"]
    return posted(
        f"{headline(event)} ({steps(event)})",
        section(mrkdwn(_change(event))),
        *_texts(
            _unknown_word(event) if {Reason.FIRST_SEEN, Reason.STATE_CHANGED} & reasons else None,
            _error(event) if new_error else None,
            event["message"] if ended else None,
            _way_back(event),
        ),
        *(links(event["links"]) if {Reason.FIRST_SEEN, Reason.LINK_ADDED} & reasons else []),
        context(f"version {event['version']} · seen {moment(event['observed_at'])}"),
    )


def headline(event: Mapping[str, Any]) -> str:
    return _headline(event, *news(event))


def key(event: Mapping[str, Any]) -> str:
    return short(event["job"]["key"], KEY_LIMIT)


def _headline(event: Mapping[str, Any], face: str, verdict: str) -> str:
    """Cut where it hurts least, in the job's name."""
    test = f"{TEST} Test: " if is_test(event) else ""
    before, after = f"{test}{face} {connection(event)} · ", f" {verdict}"
    return before + fit(name(event), HEADER_LIMIT - length(before) - length(after)) + after


def _disclaimer(event: Mapping[str, Any]) -> list[Block]:
    return [section(mrkdwn(DISCLAIMER))] if is_test(event) else []


def _gist(where: str, event: Mapping[str, Any]) -> Block:
    return section(mrkdwn(f"*{where}*\n{meter(event['progress'] or {})}".rstrip()))


def _change(event: Mapping[str, Any]) -> str:
    """`🟠 running → partially failed · 92 of 100 succeeded, *8 failed*`, or what else is new."""
    reasons = event["reasons"]
    face, _ = standing(event)
    told = [steps(event)]
    if event["to"]["lost"]:
        told.append(f"the vendor {'no longer knows' if event['from'] else 'does not know'} it")
    elif expired(event):
        told.append("nothing new for too long, no longer followed")
    if Reason.REOPENED in reasons:
        told[0] = f"reopened: {told[0]}"
    if Reason.UNARCHIVED in reasons:
        told[0] = f"unarchived: {told[0]}"
    if Reason.FOUND in reasons:
        told[0] = f"found again: {told[0]}"
    if Reason.LINK_ADDED in reasons or (Reason.ERROR_CHANGED in reasons and Reason.STATE_CHANGED not in reasons):
        told.append(update(event) or "")
    if not (event["to"]["lost"] or expired(event)):
        told.append(stressed(counts(event["progress"] or {}, *COUNTED)).replace(" · ", ", "))
    test = f"{TEST} Test: " if is_test(event) else ""
    return f"{test}{face} " + " · ".join(filter(None, told))


def _texts(*given: str | None) -> list[Block]:
    return [section(plain(shown)) for text in given if text and (shown := prose(text))]


def _error(event: Mapping[str, Any]) -> str | None:
    return f"Error: {event['error']}" if event["error"] else None


def _way_back(event: Mapping[str, Any]) -> str | None:
    """For a job that is no longer followed: how old its state is, and how to follow it again."""
    if not expired(event):
        return None
    seen = f"Last seen {moment(event['last_seen_at'])}. " if event["last_seen_at"] else ""
    return f"{seen}To follow it again: pollbridge watch {event['job']['key']}"


def _vendor_status(event: Mapping[str, Any]) -> str:
    status = line(event["to"]["vendor_status"] or "")
    return f"{connection(event)} says “{fit(status, WORD_LIMIT)}”" if status else ""


def _unknown_word(event: Mapping[str, Any]) -> str | None:
    status = line(event["to"]["vendor_status"] or "")
    return f"The vendor says “{status}”, which is new to us." if event["to"]["state"] == "unknown" and status else None


def _labels(event: Mapping[str, Any]) -> str:
    return short(" ".join(f"{label}={value}" for label, value in event["job"]["labels"].items()), LABELS_LIMIT)
