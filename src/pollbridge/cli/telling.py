"""An event as one line for people."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

import click

from pollbridge.cli.output import local_time, plain
from pollbridge.model.change import Reason
from pollbridge.model.event import DISABLED, RECOVERED, UNREACHABLE
from pollbridge.model.job import State
from pollbridge.notifying.slack.text import span

WIDE = 160
"""Columns of a terminal in which a job is named by its whole key."""

NAME_ROOM = 72
"""Columns up to which names are lined up."""

ERROR_ROOM = 30
"""Columns that an error gets at the least; without a terminal there is more."""
ERROR_LONG = 200

ID_SHORT = 12

_STYLES: Mapping[str, Mapping[str, Any]] = {
    State.PENDING: {"dim": True},
    State.RUNNING: {"fg": "cyan"},
    State.RETRYING: {"fg": "blue"},
    State.SUCCEEDED: {"fg": "green"},
    State.PARTIALLY_FAILED: {"fg": "yellow"},
    State.FAILED: {"fg": "red"},
    State.CANCELLED: {"fg": "magenta"},
    State.HALTED: {"fg": "yellow"},
    State.ARCHIVED: {"dim": True},
    State.UNKNOWN: {"fg": "magenta"},
    "lost": {"fg": "red"},
    "expired": {"fg": "yellow"},
    "recovered": {"fg": "green"},
    "disabled": {"fg": "red"},
}
_TROUBLE: Mapping[str, Any] = {"fg": "red"}


def state_style(word: str) -> Mapping[str, Any]:
    """How a state looks on a terminal, as `click.style` takes it; a vendor's trouble is red."""
    return _STYLES.get(word, {})


def colours(stream: TextIO) -> bool:
    """Whether the stream is a terminal that wants colour, by https://no-color.org too."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


@dataclass(slots=True)
class Lines:
    """Makes lines for one stream: names lined up as far as they are known, errors cut to what room there is."""

    whole: bool
    """Name jobs by their whole key."""
    width: int | None
    """Columns of the terminal; None where the lines go elsewhere."""
    named: int = field(default=0, init=False)

    @classmethod
    def to(cls, stream: TextIO) -> Lines:
        """Whole keys for a file, a pipe or a wide terminal."""
        width = shutil.get_terminal_size().columns if stream.isatty() else None
        return cls(whole=width is None or width >= WIDE, width=width)

    def of(self, detail_type: str, event: Mapping[str, Any]) -> str:
        """One line, coloured; who prints it takes the colour away where it isn't wanted."""
        name = self._name(detail_type, event)
        self.named = max(self.named, min(len(name), NAME_ROOM))
        steps, notes = _about(detail_type, event)
        error, links = plain(event.get("error") or ""), event.get("links") or ()
        bare = [local_time(event["observed_at"]), f"{name:<{self.named}}", " → ".join(steps), *notes]
        used = len("  ".join(bare)) + 2
        room = max(ERROR_ROOM, self.width - used) if self.width else ERROR_LONG
        styled = [*bare[:2], " → ".join(styled(step) for step in steps), *notes]
        return "  ".join(
            [*styled, *filter(None, [_clipped(error, room), *(plain(link["href"]) for link in links[:1])])]
        )

    def _name(self, detail_type: str, event: Mapping[str, Any]) -> str:
        if job := event.get("job"):
            return plain(job["key"]) if self.whole else short_name(event)
        if detail_type == DISABLED:
            return plain(f"destination {event['destination']}")
        return plain(f"{event['connection']} {event['scope'] or ''}".strip())


def line_up(lines: Lines, events: list[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Lines of events that are known together."""
    for detail_type, event in events:
        lines.of(detail_type, event)
    return [lines.of(detail_type, event) for detail_type, event in events]


def short_name(event: Mapping[str, Any]) -> str:
    """A job as `mentionlab/job a144de43…`."""
    job = event["job"]
    first = job["id"].partition("-")[0]
    # The first group of a UUID tells jobs apart as well as the whole.
    short = (first if len(first) >= 8 else job["id"])[:ID_SHORT]
    return plain(f"{event['connection']}/{job['kind']} {short}{'…' if short != job['id'] else ''}")


def _about(detail_type: str, event: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """From what to what, and what else there is to say."""
    if "job" in event:
        return _steps(event), list(filter(None, [_reasons(event), counts(event["progress"])]))
    if detail_type == UNREACHABLE:
        return [_word(event)], [f"since {local_time(event['since'])}"]
    if detail_type == RECOVERED:
        changed = event["changes"]["total"]
        jobs = f"{changed} job{'' if changed == 1 else 's'} changed"
        return [_word(event), "recovered"], [f"after {span(event['duration_seconds'])}", jobs]
    return ["disabled"], [_word(event)]


def _word(event: Mapping[str, Any]) -> str:
    return str(event["reason"]).replace("_", " ")


def _steps(event: Mapping[str, Any]) -> list[str]:
    reasons, before, after = event["reasons"], event["from"], event["to"]
    new = next((word for word in (Reason.LOST, Reason.EXPIRED) if word in reasons), after["state"])
    old = Reason.LOST if Reason.FOUND in reasons else before["state"] if before else "·"
    return [str(new)] if old == new else [str(old), str(new)]


def _reasons(event: Mapping[str, Any]) -> str:
    reasons, to = event["reasons"], event["to"]
    told = [
        f"the vendor says {_clipped(plain(to['vendor_status']), ERROR_ROOM)}"
        if to["state"] == State.UNKNOWN and to["vendor_status"]
        else "",
        "reopened" if Reason.REOPENED in reasons else "",
        "new link" if Reason.LINK_ADDED in reasons else "",
        "no error any more" if Reason.ERROR_CHANGED in reasons and not event["error"] else "",
    ]
    return ", ".join(filter(None, told))


def counts(progress: Mapping[str, Any] | None) -> str:
    """`92/100, 8 failed`; nothing where there is no total."""
    if not progress or not progress["total"]:
        return ""
    failed = f", {progress['failed']} failed" if progress["failed"] else ""
    return f"{progress['succeeded'] or 0}/{progress['total']}{failed}"


def _clipped(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


def styled(word: str) -> str:
    trouble = {"unreachable", "unauthorized", "forbidden", "no credentials"}
    return click.style(word, **(_TROUBLE if word in trouble else state_style(word)))


def say(line: str, *, err: bool = False) -> None:
    """Print at once, in colour where that is wanted."""
    click.echo(line, err=err, color=colours(sys.stderr if err else sys.stdout))
