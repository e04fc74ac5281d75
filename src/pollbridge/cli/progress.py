"""How far long work is: one line on stderr, where somebody looks at it and once there was time to."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from pollbridge.cli.output import shortened, width

LONG = 1.0
"""Seconds that work may take without a word."""

EVERY = 0.1
"""Seconds between two words."""


@contextmanager
def progress(
    text: str, total: int | None = None, *, quiet: bool = False, now: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[int], None]]:
    """Yields what is to be told of each step, and how many it was; what was shown is wiped away at the end.

    Nothing is shown when `quiet`, or when stderr is no terminal.
    """
    line = _Line(text, total, now() + LONG, now)
    live = not quiet and sys.stderr is not None and sys.stderr.isatty()
    try:
        yield line.step if live else lambda _: None
    finally:
        line.wipe()


class _Line:
    def __init__(self, text: str, total: int | None, due: float, now: Callable[[], float]) -> None:
        self.text = text
        self.total = total
        self.due = due
        self.now = now
        self.done = 0
        self.shown = 0

    def step(self, steps: int = 1) -> None:
        self.done += steps
        if (moment := self.now()) >= self.due:
            self.due = moment + EVERY
            self._show()

    def _show(self) -> None:
        of = f" of {self.total:,} ({100 * self.done // self.total} %)" if self.total else ""
        # The last column stays free: a full line makes some terminals begin another.
        line = shortened(f"  … {self.text}: {self.done:,}{of}", shutil.get_terminal_size().columns - 1)
        click.echo(f"\r{line}{' ' * (self.shown - width(line))}", err=True, nl=False)
        self.shown = width(line)

    def wipe(self) -> None:
        if self.shown:
            click.echo(f"\r{' ' * self.shown}\r", err=True, nl=False)
