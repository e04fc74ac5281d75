"""What commands print: a snapshot as the contract's JSON or as text, and errors as one line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

import click

from pollbridge.model.job import JobKey, Snapshot


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
    width = max(map(len, told), default=0)
    return "\n".join(f"{label:<{width}}  {text}" for label, text in told.items())


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


def local_time(moment: str) -> str:
    """A recorded moment in this machine's time zone, to the second, with the zone's name."""
    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M:%S %Z}"


def columns(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table for people: each column as wide as it needs to be, the last one unlimited."""
    told = [titles, *([plain(str(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in told) for column in range(len(titles))]
    for row in told:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
