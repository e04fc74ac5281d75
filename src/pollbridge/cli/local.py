"""`local`: the whole deployment on this machine."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pollbridge.cli.output import fail, local_time, plain, print_json
from pollbridge.config import InvalidConfig
from pollbridge.local.place import LocalError, Place, State, alive, tail
from pollbridge.model.instant import from_minute, iso

if TYPE_CHECKING:
    from pollbridge.history.connections import ConnectionHead


class LocalCommand(click.Command):
    """Says in one line what the local deployment cannot do."""

    def invoke(self, ctx: click.Context) -> Any:
        # Whatever ends the command ends what it has begun: a closed terminal as well as Ctrl-C.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        try:
            return super().invoke(ctx)
        except (LocalError, InvalidConfig) as error:
            fail(str(error))
        except KeyboardInterrupt:
            click.echo("\npollbridge: interrupted", err=True)
            raise SystemExit(130) from None


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


class LocalCommands(LocalCommand, click.Group):
    """The commands below `local`."""


@click.group(cls=LocalCommands)
def local() -> None:
    """Run the whole deployment on this machine: no AWS account, no Docker, no keys."""


@contextmanager
def step(text: str) -> Iterator[None]:
    """One step of the way on stderr: what it is while it lasts, its time when it is done."""
    started = time.monotonic()
    live = sys.stderr.isatty()
    if live:
        click.echo(f"  … {text}", err=True, nl=False)
    try:
        yield
    except BaseException:
        click.echo(f"{chr(13) if live else ''}  ✗ {text}", err=True)
        raise
    click.echo(f"{chr(13) if live else ''}  ✓ {text:<55} {time.monotonic() - started:5.1f} s", err=True)


@local.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Deploy this configuration; without it, the vendors and receivers are simulated.",
)
@click.option("--schedule", is_flag=True, help="Sweep every minute; without it, `local tick` does.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def up(config_file: Path | None, schedule: bool, as_json: bool) -> None:
    """Start the emulator, deploy the real stack into it, and leave both running."""
    from pollbridge.local.running import Wish, silent, up

    place = Place.of_checkout()
    wish = Wish(config_file=config_file.resolve() if config_file else None, schedules=schedule)
    with place.locked():
        state = up(place, wish, silent if as_json else step)
        hints = [] if config_file else _seed(state)
    if as_json:
        print_json(_status(place, state))
        return
    click.echo(f"{state.stack} is up at {state.endpoint}")
    click.echo('Next: eval "$(pollbridge local env)"')
    for hint in hints:
        click.echo(f"      {hint}")


def _seed(state: State) -> list[str]:
    from pollbridge.local.simulation import seed

    keys = seed(state)
    return [f"pollbridge watch {keys[0]}", "pollbridge local tick 3", f"pollbridge history {keys[0]}"]


@local.command()
def env() -> None:
    """Print what points other programs to the local deployment, to be read by a shell."""
    for name, value in _running().environment().items():
        click.echo(f"export {name}={shlex.quote(value)}")


@local.command()
@click.argument("times", type=click.IntRange(1), default=1, metavar="[N]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def tick(times: int, as_json: bool) -> None:
    """Make N sweeps of every connection, each standing for the minute after the last."""
    from pollbridge.aws import client
    from pollbridge.cli.deployment import find
    from pollbridge.local.ticking import ticks

    os.environ.update(_running().environment())
    deployment, lambda_ = find(), client("lambda", patience=90)
    told = []
    with Place.of_checkout().locked():
        for made in ticks(lambda_, deployment.connections, deployment.parts["pollers"], times):
            told.append({"minute": made.minute.isoformat(), "sweeps": made.reports})
            if not as_json:
                _show_tick(made.minute.isoformat(), made.reports)
    if as_json:
        print_json(told)


def _show_tick(minute: str, reports: list[dict[str, Any]]) -> None:
    click.echo(f"{local_time(minute)}  {'  '.join(_sweep_text(report) for report in reports)}")
    for report in reports:
        for error, times in report.get("errors", {}).items():
            click.echo(f"    {report['connection']}: {plain(error)}{f' ({times} times)' if times > 1 else ''}")


COUNTS = ("due", "discovered", "changed", "lost", "expired", "failed")
"""What a sweep counts, as far as it is worth a line."""

OUTCOMES = {"completed": "", "failing": "failing: nothing was answered", "leased": "left to another sweep"}


def _sweep_text(report: dict[str, Any]) -> str:
    told = [f"{report[name]} {name}" for name in COUNTS if report.get(name)]
    if calls := report.get("list_calls"):
        told.append(f"{calls} list call{'s' if calls > 1 else ''}")
    told.append(OUTCOMES.get(report["outcome"], report["outcome"]))
    return f"{report['connection']}: {', '.join(filter(None, told)) or 'nothing due'}"


@local.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Say what runs, and which connections bring no answers or are behind."""
    place = Place.of_checkout()
    state = place.read()
    told = _status(place, state)
    if state and state.deployed and alive(state.processes["emulator"]):
        told |= _connections(state)
    if as_json:
        print_json(told)
    elif state is None:
        click.echo("nothing runs; start with `pollbridge local up`")
    else:
        click.echo(f"{told['stack']} {'is deployed' if told['deployed'] else 'is not deployed'} at {told['endpoint']}")
        click.echo(f"configuration  {state.config or 'simulated vendors and receivers'}")
        for name, process in told["processes"].items():
            click.echo(f"{name:<13}  {'runs' if process['runs'] else 'has ended'}, process {process['pid']}")
        for late in told.get("behind", []):
            click.echo(f"{late['connection']:<13}  {_behind_text(late)}")
        for trouble in told.get("troubles", []):
            click.echo(f"{trouble['connection']:<13}  {_trouble_text(trouble)}")


def _connections(state: State) -> dict[str, list[dict[str, Any]]]:
    """Which connections are behind with their ticks; what ails them, and scopes of them."""
    from pollbridge.cli.deployment import find

    os.environ.update(state.environment())
    deployment = find()
    heads = {name: deployment.connections.get(name) for name in deployment.vendors}
    behind = [late for name, head in heads.items() if (late := _behind(name, head))]
    return {"behind": behind, "troubles": [one for name, head in heads.items() for one in _troubles(name, head)]}


def _behind(name: str, head: ConnectionHead) -> dict[str, Any] | None:
    from pollbridge.story.polls import BEHIND

    begun, done = (None if tick is None else from_minute(tick) for tick in (head.tick, head.completed))
    if begun is None or (done and begun - done <= BEHIND):
        return None
    return {"connection": name, "last_tick_at": iso(begun), "last_completed_at": iso(done) if done else None}


def _behind_text(late: dict[str, Any]) -> str:
    done = late["last_completed_at"]
    completed = f"no tick is completed since {local_time(done)}" if done else "no tick was ever completed"
    return f"{completed}; the last began at {local_time(late['last_tick_at'])}"


def _troubles(name: str, head: ConnectionHead) -> Iterator[dict[str, Any]]:
    for scope, ailment in [(None, head.health.connection), *head.health.scopes.items()]:
        if ailment:
            told = ailment.model_dump(mode="json", include={"reason", "error", "since", "told"})
            back = None if ailment.back is None else iso(from_minute(ailment.back))
            yield {"connection": name, "scope": scope, **told, "back": back}


def _trouble_text(trouble: dict[str, Any]) -> str:
    where = f"{trouble['scope']}: " if trouble["scope"] else ""
    what = f"{trouble['reason'].replace('_', ' ')} since {local_time(trouble['since'])}: {trouble['error']}"
    if trouble["back"]:
        rest = f"answers again since {local_time(trouble['back'])}, not all is looked at yet"
    else:
        rest = "told" if trouble["told"] else "not told yet"
    return plain(f"{where}{what} ({rest})")


def _status(place: Place, state: State | None) -> dict[str, Any]:
    if state is None:
        return {"running": False}
    processes = {
        name: {"pid": process[0], "runs": alive(process), "port": state.ports.get(name)}
        for name, process in state.processes.items()
    }
    return {
        "running": all(process["runs"] for process in processes.values()),
        "deployed": state.deployed is not None,
        "stack": state.stack,
        "endpoint": state.endpoint,
        "config": state.config,
        "processes": processes,
        "logs": str(place.logs),
    }


@local.command()
@click.argument("function", required=False)
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Only the last so many lines.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def logs(function: str | None, limit: int, as_json: bool) -> None:
    """Print what the deployed functions logged, oldest first. FUNCTION narrows to names that hold it."""
    from pollbridge.aws import client

    os.environ.update(_running().environment())
    watched = client("logs")
    lines = []
    for group in watched.get_paginator("describe_log_groups").paginate().search("logGroups[].logGroupName"):
        if function is None or function.lower() in group.lower():
            events = watched.get_paginator("filter_log_events").paginate(logGroupName=group).search("events[]")
            lines += [(event["timestamp"], group.rsplit("/", 1)[-1], event["message"].rstrip()) for event in events]
    lines.sort()
    told = lines[-limit:]
    if as_json:
        print_json([{"at": at, "function": name, "message": message} for at, name, message in told])
        return
    for at, name, message in told:
        click.echo(f"{local_time(iso(datetime.fromtimestamp(at / 1000, UTC)))}  {name}  {plain(message)}")


@local.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def down(as_json: bool) -> None:
    """End everything that `local up` left running, and forget its data."""
    from pollbridge.local.running import down

    place = Place.of_checkout()
    with place.locked():
        ended = down(place)
    if as_json:
        print_json({"ended": ended})
        return
    click.echo("down" if ended else "nothing runs")


def _running() -> State:
    place = Place.of_checkout()
    state = place.read()
    if state is None or state.deployed is None:
        raise LocalError("no local deployment runs: start one with `pollbridge local up`")
    if not alive(state.processes["emulator"]):
        said = tail(place.logs / "emulator.log")
        raise LocalError(f"the emulator has ended ({said[:200]}): run `pollbridge local up` again")
    return state
