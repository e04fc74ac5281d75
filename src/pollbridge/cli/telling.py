"""An event as one line for people."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from click import unstyle

from pollbridge.cli.output import GAP, local_time, plain, styled, width
from pollbridge.model.change import Reason
from pollbridge.model.event import DISABLED, RECOVERED, UNREACHABLE
from pollbridge.model.state import State
from pollbridge.notifying.slack.text import span

WIDE = 160
"""Columns of a terminal in which a job is named by its whole key."""

NAME_ROOM = 96
"""Columns up to which names are lined up."""

ERROR_ROOM = 30
"""Columns that an error gets at the least; without a terminal there is more."""
ERROR_LONG = 200

ID_SHORT = 12


@dataclass(slots=True)
class Lines:
    """Makes lines for one stream: names lined up as far as they are known, errors cut to what room there is."""

    whole: bool = True
    """Name jobs by their whole key."""
    room: int | None = None
    """Columns of the terminal; None where the lines go elsewhere."""
    longest: int = field(default=0, init=False)
    """The longest name so far."""

    @classmethod
    def to(cls, stream: TextIO) -> Lines:
        """Whole keys for a file, a pipe or a wide terminal."""
        room = shutil.get_terminal_size().columns if stream.isatty() else None
        return cls(whole=room is None or room >= WIDE, room=room)

    def expect(self, detail_type: str, event: Mapping[str, Any]) -> None:
        """Line up the next names with that of this event too."""
        self.longest = max(self.longest, min(width(self._name(detail_type, event)), NAME_ROOM))

    def of(self, detail_type: str, event: Mapping[str, Any]) -> str:
        """One line, coloured; `click.echo` takes the colour away where it isn't wanted."""
        self.expect(detail_type, event)
        name = self._name(detail_type, event)
        steps, notes = _about(detail_type, event)
        named = name + " " * (self.longest - width(name))
        begin = GAP.join([local_time(event["observed_at"]), named, " → ".join(map(styled, steps)), *notes])
        error = plain(event.get("error") or "")
        room = max(ERROR_ROOM, self.room - width(unstyle(begin)) - len(GAP)) if self.room else ERROR_LONG
        link = next((plain(link["href"]) for link in event.get("links") or ()), "")
        return GAP.join(filter(None, [begin, _clipped(error, room), link]))

    def _name(self, detail_type: str, event: Mapping[str, Any]) -> str:
        if "job" in event:
            return plain(event["job"]["key"]) if self.whole else short_name(event)
        if detail_type == DISABLED:
            return plain(f"destination {event['destination']}")
        return plain(f"{event['connection']} {event['scope'] or ''}".strip())


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
