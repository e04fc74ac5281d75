"""The story of a job on a page: columns, wrapped lines, and quiet things in a quiet colour."""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Self

import click

from pollbridge.cli.output import local_time, plain
from pollbridge.history.ledger import Attempt
from pollbridge.model.instant import iso, read_iso
from pollbridge.model.job import clip
from pollbridge.story.arrivals import KEPT_OUT, QUIET, Arrival, Outcome
from pollbridge.story.job import Story, ToldChange
from pollbridge.story.polls import Looks, Remark
from pollbridge.story.verdict import verdict

WIDTH = 80
"""Columns where there is no terminal to ask."""

NARROWEST, WIDEST = 40, 100
"""In a narrower terminal lines wrap as they like; longer ones are hard to read."""

LABELS = 11
"""Columns of labels, with the gap behind them."""

NAMES = 24
"""Columns of a destination's name at most: longer ones stand out."""

TEXT_LIMIT = 500
"""Bytes of one text: a vendor's error can have 4 KB, and `show` has all of it."""

ATTEMPTS = 8
"""As many as the retry clock makes; what was resent has more."""

GOOD, BAD, WAITING, QUIETLY = "green", "red", "yellow", "bright_black"

MARKS = {
    Outcome.DELIVERED: ("✓", GOOD),
    Outcome.PENDING: ("…", WAITING),
    Outcome.QUEUED: ("…", WAITING),
    Outcome.UNPUBLISHED: ("…", WAITING),
    Outcome.MAYBE_SENT: ("?", WAITING),
    Outcome.MAYBE_QUEUED: ("?", WAITING),
    Outcome.FAILED: ("✗", BAD),
    Outcome.DISABLED: ("✗", BAD),
    Outcome.MISSED: ("✗", BAD),
}

NOTHING_WRONG = ("–", QUIETLY)

REASONS = {
    "first_seen": "seen for the first time",
    "state_changed": "its state changed",
    "reopened": "it had ended, and goes on",
    "found": "the vendor knows it again",
    "lost": "the vendor does not know it any more",
    "expired": "nothing new came for so long that it is no longer followed",
    "archived": "it had ended, and was filed away",
    "unarchived": "it is archived no longer, and has the outcome it had before",
    "link_added": "it has a new link",
    "error_changed": "its error changed",
    "progressed": "it got on",
}

COMMAND = re.compile(r"pollbridge [^;]+")
"""In a text that says what to do a command goes up to a semicolon, or to the end."""

GLUE = "\0"
"""A blank that no line ends at."""


def local_when(moment: datetime, today: datetime) -> str:
    """In the local zone, with its name; of today the time is enough."""
    told, now = local_time(iso(moment)), local_time(iso(today))
    return told.removeprefix(now[:11])


class Page:
    """Prints; `width` is in columns."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.advised: set[str] = set()

    @classmethod
    def of_output(cls) -> Self:
        """As wide as the terminal, within reason."""
        asked = shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH
        return cls(max(NARROWEST, min(asked, WIDEST)))

    def story(self, story: Story, *, alone: bool = False) -> None:
        """`alone`: one change was asked for, so that there is nothing to say of those around it."""
        self._line(str(story.head.key), bold=True)
        self._text(verdict(story), "  ")
        click.echo()
        for label, text in _standing(story).items():
            if text:
                self._text(text, f"{label:<{LABELS}}", " " * LABELS)
        self.remarks(story.remarks)
        if story.earlier and not alone:
            click.echo()
            self._line(f"… {story.earlier} earlier: --last {story.earlier + len(story.changes)} tells all", fg=QUIETLY)
        for told in story.changes:
            self._change(told, story, newest=told is story.changes[-1])
        self._notes(_notes(story))

    def remarks(self, remarks: Iterable[Remark]) -> None:
        for remark in remarks:
            colour = WAITING if remark.do else QUIETLY
            self._text(clip(remark.says, TEXT_LIMIT), "! " if remark.do else "– ", "  ", colour=colour)
            self._do(remark.do, "  ")

    def _change(self, told: ToldChange, story: Story, *, newest: bool) -> None:
        event, when = json.loads(told.change.entry.event), story.when
        click.echo()
        self._line(f"v{told.version}  {when(read_iso(event['observed_at']))}  {_step(event)}", bold=True)
        self._text(_what_happened(told, event, story), "    ")
        if error := event["error"]:
            self._text(f"the vendor's error: {clip(error, TEXT_LIMIT)}", "    ")
        if told.remark:
            mark, colour = NOTHING_WRONG if told.change.silent else MARKS[Outcome.UNPUBLISHED]
            who = "nobody was told: " if told.change.silent else ""
            self._text(who + told.remark.says, f"    {mark} ", "      ", colour=colour)
            self._do(told.remark.do, "      ")
        names = min(NAMES, max((len(arrival.name) for arrival in told.arrivals), default=0))
        for arrival in told.arrivals:
            if arrival.outcome is not Outcome.SILENT:
                self._arrival(arrival, names, story, advise=newest)

    def _arrival(self, arrival: Arrival, names: int, story: Story, *, advise: bool) -> None:
        mark, colour = MARKS.get(arrival.outcome, NOTHING_WRONG)
        indent = " " * (names + 8)
        at = f"{story.when(arrival.heard_at)}  " if arrival.heard_at else ""
        gone = "" if arrival.receiver.settings else " (no longer configured)"
        quiet = mark == NOTHING_WRONG[0]
        label = f"    {click.style(mark, fg=colour)} {arrival.name:<{names}}  "
        self._text(f"{at}{clip(arrival.says, TEXT_LIMIT)}{gone}", label, indent, colour=QUIETLY if quiet else None)
        attempts = arrival.delivery.attempts if arrival.delivery else ()
        if len(attempts) > 1 or (attempts and arrival.outcome is not Outcome.DELIVERED):
            for line in _attempts(attempts, story):
                self._text(line, indent, indent + "  ", colour=QUIETLY)
        resent = arrival.outcome is Outcome.DELIVERED
        if arrival.outcome not in QUIET or resent or (arrival.outcome is Outcome.OFF and advise):
            self._do(arrival.do, indent)

    def _notes(self, notes: list[str]) -> None:
        if notes:
            click.echo()
        for note in notes:
            self._text(_whole(note), "", colour=QUIETLY)

    def _do(self, do: str | None, indent: str) -> None:
        """What was said once on the page is not said again."""
        if do and do not in self.advised:
            self.advised.add(do)
            self._text(_whole(do), f"{indent}→ ", f"{indent}  ")

    def _line(self, text: str, **style: Any) -> None:
        click.echo(click.style(plain(text), **style))

    def _text(self, text: str, first: str, indent: str | None = None, *, colour: str | None = None) -> None:
        """Wrapped behind `first`, which may be coloured."""
        indent = first if indent is None else indent
        glued = "".join(one if one == GLUE else plain(one) for one in text)
        width = max(self.width - len(indent), NARROWEST // 2)
        lines = textwrap.wrap(glued, width, break_long_words=GLUE not in text, break_on_hyphens=False) or [""]
        for number, line in enumerate(lines):
            told = line.replace(GLUE, " ")
            click.echo((first if number == 0 else indent) + (click.style(told, fg=colour) if colour else told))


# What there is to say


def _whole(text: str) -> str:
    """Commands stay on one line, so that they can be copied."""
    return COMMAND.sub(lambda match: match[0].replace(" ", GLUE), text)


def _standing(story: Story) -> Mapping[str, str]:
    head = story.head
    return {
        "state": _state(story),
        "name": (head.snapshot.name if head.snapshot else None) or "",
        "labels": clip(", ".join(f"{name}={value}" for name, value in head.labels.items()), TEXT_LIMIT),
        "watched": _watched(story),
        "looked at": _looked_at(story),
        "ticks": _ticks(story.looks, story),
    }


def _state(story: Story) -> str:
    head = story.head
    if head.snapshot is None:
        return "not seen yet"
    word = head.snapshot.vendor_status
    theirs = f" (the vendor says {word})" if word and word != head.snapshot.state else ""
    lost = ", lost" if head.lost else ""
    return f"{head.snapshot.state}{theirs}{lost}, as seen at {story.when(read_iso(head.changed_at))}"


def _watched(story: Story) -> str:
    every = f"yes, every {story.looks.every} min" if story.looks.every else "no"
    if story.head.watched and not story.looks.every:
        every = "yes, but nobody looks"
    if story.looks.covered:
        every += " by its vendor's list"
    if not story.head.registered_at:
        return every
    since = story.when(read_iso(story.head.registered_at))
    how = "found in its scope's list" if story.found else "registered"
    silent = ", and nobody was told of it" if story.head.silent else ""
    return f"{every}; {how} at {since}{silent}"


def _looked_at(story: Story) -> str:
    looks, when = story.looks, story.when
    last = f"last at {when(looks.last_at)}, {_ago(looks.last_at, story.now)}" if looks.last_at else "not yet"
    if looks.next_at is None:
        return last
    return f"{last}; {'next at' if looks.next_at > story.now else 'due since'} {when(looks.next_at)}"


def _ticks(looks: Looks, story: Story) -> str:
    last = f"last completed at {story.when(looks.tick_at)}" if looks.tick_at else "none is completed yet"
    return last if looks.scheduled else f"{last}; made by hand, without a schedule"


def _step(event: Mapping[str, Any]) -> str:
    before, after = event["from"], event["to"]["state"]
    if before and before["state"] == after:
        return f"{after}, as before"
    return f"{before['state'] if before else '·'} → {after}"


def _what_happened(told: ToldChange, event: Mapping[str, Any], story: Story) -> str:
    why = ", ".join(REASONS.get(reason, reason) for reason in event["reasons"])
    if "progressed" in event["reasons"] and (progress := event["progress"]) and progress["total"]:
        done = sum(progress[part] or 0 for part in ("succeeded", "failed", "cancelled"))
        why += f" ({done} of {progress['total']})"
    if "link_added" in event["reasons"]:
        why += f" ({', '.join(link['rel'] for link in event['links'])})"
    since = event["last_seen_at"]
    between = (
        f"; between {story.when(read_iso(since))} and {story.when(read_iso(event['observed_at']))}" if since else ""
    )
    theirs = f"; the vendor dates it {_vendors_moment(event['occurred_at'], story)}" if event["occurred_at"] else ""
    recorded = "recorded silently" if told.change.silent else "recorded"
    published = "" if told.change.silent or told.change.entry.unpublished else ", published"
    return f"{why}{between}{theirs}; {recorded}{published}"


def _vendors_moment(text: str, story: Story) -> str:
    try:
        return story.when(read_iso(text))
    except (ValueError, OverflowError):
        return text


def _attempts(attempts: tuple[Attempt, ...], story: Story) -> Iterator[str]:
    if len(attempts) > ATTEMPTS:
        yield f"… {len(attempts) - ATTEMPTS} earlier attempts"
    for attempt in attempts[-ATTEMPTS:]:
        yield f"{story.when(read_iso(attempt.at))}  {attempt.outcome}, after {attempt.latency_ms} ms"


def _notes(story: Story) -> list[str]:
    ruled = KEPT_OUT | {Outcome.OFF, Outcome.MISSED}
    notes = []
    if any(arrival.outcome in ruled for told in story.changes for arrival in told.arrivals):
        notes.append("Rules are those of today: which ones were deployed then is not kept.")
    if kept_out := _kept_out(story):
        name, version = kept_out.name, story.changes[-1].version
        notes.append(f"To have {name} hear of such, change its match and deploy; of just v{version}: {kept_out.resend}")
    if not story.looks.scheduled:
        notes.append("Looks and changes go by the ticks that were made, deliveries by the clock.")
    return notes


def _kept_out(story: Story) -> Arrival | None:
    last = story.changes[-1].arrivals if story.changes else ()
    return next((arrival for arrival in last if arrival.outcome in KEPT_OUT), None)


def _ago(moment: datetime, now: datetime) -> str:
    seconds = int((now - moment).total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (seconds >= size and size == 60):
            return f"{seconds // size} {unit} ago"
    return f"{max(0, seconds)} s ago"
