"""What commands print: JSON, texts and tables for people, colours, and errors as one line."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pollbridge.model.instant import iso
from pollbridge.model.state import State

if TYPE_CHECKING:
    from pollbridge.history.heads import Head
    from pollbridge.model.job import JobKey, Snapshot

GAP = "  "
"""Between two columns of a table."""

NARROWEST = 12
"""Columns of a terminal that a shortened cell keeps."""


def fail(message: str) -> NoReturn:
    """Say on stderr what to mend, and exit 1."""
    click.echo(f"pollbridge: {plain(message)}", err=True)
    raise SystemExit(1)


def plain(text: str) -> str:
    """The text on one line, without what could steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def print_json(value: Any) -> None:
    click.echo(harmless(json.dumps(value, ensure_ascii=False, indent=2)))


def harmless(text: str) -> str:
    """The JSON text with everything escaped that could steer a terminal; it says the same."""
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)


def snapshot_text(key: JobKey, snapshot: Snapshot, labels: Mapping[str, str]) -> str:
    """How a job stands, for people: a line for each thing there is to say."""
    return aligned(
        {
            "job": str(key),
            "name": snapshot.name,
            "labels": ", ".join(f"{name}={value}" for name, value in labels.items()),
            "state": _state(snapshot),
            "progress": _progress(snapshot),
            **{link.rel.replace("_", " "): link.href for link in snapshot.links},
            "error": snapshot.error,
            "message": snapshot.message,
            "created": snapshot.created_at,
            "started": snapshot.started_at,
            "updated": snapshot.updated_at,
            "finished": snapshot.finished_at,
        }
    )


def aligned(lines: Mapping[str, str | None]) -> str:
    """Labels in one column, texts in the next; what says nothing is left out."""
    told = {label: plain(text) for label, text in lines.items() if text}
    if state := told.get("state"):
        word, space, more = state.partition(" ")
        told["state"] = f"{styled(word)}{space}{more}"
    widest = max(map(len, told), default=0)
    return "\n".join(f"{label:<{widest}}{GAP}{text}" for label, text in told.items())


def _state(snapshot: Snapshot) -> str:
    word = snapshot.vendor_status
    return f"{snapshot.state} (the vendor says {word})" if word and word != snapshot.state else str(snapshot.state)


def _progress(snapshot: Snapshot) -> str | None:
    if snapshot.progress is None:
        return None
    counts = snapshot.progress.model_dump(exclude={"total"}, exclude_none=True)
    parts = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    total = snapshot.progress.total
    return f"{snapshot.progress.done} of {total if total is not None else '?'}" + (f" ({parts})" if parts else "")


def polls_text(head: Head) -> dict[str, str | None]:
    """What there is to say, for people, of a job that is not answered for: lines as `aligned` takes them."""
    from pollbridge.views import failing_text

    failing = failing_text(head, lambda moment: local_time(iso(moment)))
    return {
        "lost": "the vendor no longer knows the job" if head.lost else None,
        "failing": failing,
        "last poll": f"failed: {head.poll_error}" if head.poll_error and not failing else None,
    }


def local_time(moment: str) -> str:
    """A recorded moment in this machine's time zone, to the second, with the zone's name."""
    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M:%S %Z}"


def columns(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, shrink: Sequence[str] = (), states: Collection[str] = ()
) -> None:
    """A table for people: each column as wide as its cells, and on a terminal no wider than that in all.

    There the columns titled `shrink` give way, the first of them first, and their texts lose their middle. Elsewhere
    nothing is cut. The words of columns titled `states` are coloured.
    """
    told = [list(titles), *([plain(str(cell)) for cell in row] for row in rows)]
    widths = {title: max(width(row[place]) for row in told) for place, title in enumerate(titles)}
    if sys.stdout is not None and sys.stdout.isatty():
        _fit(widths, shrink, shutil.get_terminal_size().columns)
    for row in told:
        cells = [_cell(text, widths[title], title in states) for title, text in zip(titles, row, strict=True)]
        click.echo(GAP.join(cells).rstrip())


def _fit(widths: dict[str, int], shrink: Sequence[str], room: int) -> None:
    for title in shrink:
        over = sum(widths.values()) + len(GAP) * (len(widths) - 1) - room
        if over > 0:
            widths[title] = max(min(widths[title], NARROWEST), widths[title] - over)


def _cell(text: str, room: int, coloured: bool) -> str:
    text = shortened(text, room)
    pad = " " * (room - width(text))
    return (", ".join(map(styled, text.split(", "))) if coloured else text) + pad


def shortened(text: str, room: int) -> str:
    """The text without as much of its middle as does not fit into so many columns of a terminal."""
    if width(text) <= room:
        return text
    tail = _fitting(text[::-1], room // 2)[::-1]
    return f"{_fitting(text, room - 1 - width(tail))}…{tail}"


def _fitting(text: str, room: int) -> str:
    """The beginning of the text that takes at most so many columns."""
    taken = 0
    for place, character in enumerate(text):
        taken += width(character)
        if taken > room:
            return text[:place]
    return text


def width(text: str) -> int:
    """The columns that the text takes on a terminal: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    from unicodedata import category, east_asian_width

    return sum(
        0 if category(one) in {"Mn", "Me", "Cf"} else 2 if east_asian_width(one) in {"W", "F"} else 1 for one in text
    )


STYLES: Mapping[str, Mapping[str, Any]] = {
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
    "failing": {"fg": "red"},
    "expired": {"fg": "yellow"},
    "recovered": {"fg": "green"},
    "delivered": {"fg": "green"},
    "maybe sent": {"fg": "yellow"},
    **{word: {"fg": "red"} for word in ("disabled", "unreachable", "unauthorized", "forbidden", "no credentials")},
}
"""Of what a job, a vendor or a delivery is, wherever a command says so."""


def state_style(word: str) -> Mapping[str, Any]:
    """How a state looks on a terminal, as `click.style` takes it."""
    return STYLES.get(word, {})


def styled(word: str) -> str:
    """The word in its state's colour, which `click.echo` takes away where it isn't wanted."""
    return click.style(word, **style) if (style := state_style(word)) else word
