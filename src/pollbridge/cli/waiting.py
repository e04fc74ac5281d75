"""`wait`: until a job has ended, with an exit code that says how."""

from __future__ import annotations

import re
from typing import Any, NoReturn

import click

from pollbridge.cli.clock import Clock
from pollbridge.cli.deployment import Deployment, find
from pollbridge.cli.ending import ending
from pollbridge.cli.names import KEY
from pollbridge.cli.outage import Outage
from pollbridge.cli.output import aligned, fail, local_time, plain, polls_text, print_json, snapshot_text, styled
from pollbridge.cli.telling import counts
from pollbridge.history.heads import Head
from pollbridge.model.state import State
from pollbridge.views import job_json
from pollbridge.watches import WatchRefused

LOOK_EVERY = 2.0
"""Seconds between two looks at the job."""

PATIENCE = 300.0
"""Seconds for which AWS may fail in a row."""

NOT_WELL, PARTLY, STOPPED, TIMED_OUT = 10, 11, 12, 124
"""Exit codes. 124 is what timeout(1) says."""

CODES = {
    State.SUCCEEDED: 0,
    State.FAILED: NOT_WELL,
    State.CANCELLED: NOT_WELL,
    State.PARTIALLY_FAILED: PARTLY,
    State.HALTED: STOPPED,
    State.ARCHIVED: STOPPED,
}

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class Duration(click.ParamType[int]):
    """A span in seconds, or with its unit."""

    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        told = re.fullmatch(r"(\d{1,9})([smhd]?)", str(value), re.ASCII)
        if told is None:
            self.fail(f"{value!r} is no duration such as 90, 90s, 30m or 2h", param, ctx)
        return int(told[1]) * _UNITS[told[2]]


@click.command()
@click.argument("key", type=KEY)
@click.option("--timeout", type=Duration(), help="Wait no longer than that: seconds, or e.g. 30m. Else without end.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing while waiting.")
@click.pass_obj
def wait(clock: Clock | None, key: str, timeout: int | None, as_json: bool) -> None:
    """Wait until a job has ended, and say how: for scripts and CI jobs that need its result.

    \b
    Exit 0    succeeded
         10   failed, cancelled, or lost by the vendor
         11   partially failed
         12   halted, or archived
         124  not ended within --timeout
         1    not known, not followed (any more), or AWS refuses
    """  # noqa: D301 - click wants the character itself
    clock = clock or Clock()
    head, code = _wait(find(), key, timeout, clock, quiet=as_json)
    # How the job ended counts, whether or not somebody reads it.
    with ending(gone=code):
        if as_json:
            print_json(job_json(head))
        else:
            _show(head)
    raise SystemExit(code)


def _wait(deployment: Deployment, text: str, timeout: int | None, clock: Clock, *, quiet: bool) -> tuple[Head, int]:
    """The job as it stands at the end, and the exit code."""
    began, outage, seen = clock.now(), Outage(clock), None
    try:
        key = deployment.watches.known(text)
    except WatchRefused as error:
        fail(str(error))

    def look(last: Head | None) -> Head | None:
        return outage.ask(lambda: deployment.heads.get(key), last)

    head = deployment.heads.get(key)
    while True:
        if head is None:
            fail(f"{key} is not known here: follow it with `pollbridge watch {key}`")
        if (line := _line(head)) != seen and not quiet:
            seen = line
            click.echo(line, err=True)
        if (code := _code(head)) is not None:
            return head, code
        if not head.watched or key.connection not in deployment.vendors:
            _endless(head)
        left = None if timeout is None else began + timeout - clock.now()
        if left is not None and left <= 0:
            click.echo(f"pollbridge: {key} has not ended within {timeout} s", err=True)
            return head, TIMED_OUT
        if outage.lasts >= PATIENCE:
            fail(f"{outage.why}; given up after {PATIENCE / 60:.0f} min. The job goes on, and is followed")
        clock.pause(LOOK_EVERY if left is None else min(LOOK_EVERY, left))
        head = look(head)


def _code(head: Head) -> int | None:
    """None while it goes on. What ended before the vendor lost it has ended so."""
    if head.state is not None and head.state.terminal:
        return CODES[head.state]
    return NOT_WELL if head.lost else None


def _endless(head: Head) -> NoReturn:
    fail(
        f"{head.key} has not ended ({_state(head)}), and is not followed: unwatched, without news for too long, or of a"
        " connection that is no longer configured."
        f" Follow it again with `pollbridge watch {head.key}`"
    )


def _line(head: Head) -> str:
    """What is news while waiting."""
    state, since = _state(head), local_time(head.changed_at)
    progress = counts(head.snapshot.progress.model_dump()) if head.snapshot and head.snapshot.progress else ""
    failed = f"the last poll failed: {plain(head.poll_error)}" if head.poll_error else ""
    return "  ".join(filter(None, [since, styled(state), progress, failed]))


def _state(head: Head) -> str:
    if head.lost and _code(head) == NOT_WELL:
        return "lost"
    return head.state.value if head.state else "not seen yet"


def _show(head: Head) -> None:
    if head.snapshot:
        click.echo(snapshot_text(head.key, head.snapshot, head.labels))
    else:
        click.echo(aligned({"job": str(head.key), "state": "not seen yet"}))
    click.echo(aligned({"version": str(head.version), "changed": local_time(head.changed_at), **polls_text(head)}))
