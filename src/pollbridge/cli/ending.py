"""How commands that go on end: by Ctrl-C, or when nobody reads them any more."""

from __future__ import annotations

import errno
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

INTERRUPTED = 130
"""128 and the number of SIGINT, as shells tell it."""


@contextmanager
def ending(gone: int = 0) -> Iterator[None]:
    """Ctrl-C is exit 130 and no word; `gone` is the exit code when the reader of stdout went away.

    A full disk under stdout is an error in one line.
    """
    try:
        yield
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            click.echo(err=True)  # the terminal has written ^C
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        # Python flushes stdout once more when it exits, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(gone) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(f"pollbridge: the output could not be written: {error.strerror}", err=True)
        raise SystemExit(1) from None


def nobody_reads() -> bool:
    """Whether stdout is a pipe without a reader, which a writer else learns from its next write only."""
    if not hasattr(select, "poll"):
        return False  # Windows
    try:
        stdout = sys.stdout.fileno()
    except OSError:
        return False  # captured, as a test does
    poll = select.poll()
    poll.register(stdout, 0)
    return any(told & (select.POLLERR | select.POLLHUP) for _, told in poll.poll(0))
