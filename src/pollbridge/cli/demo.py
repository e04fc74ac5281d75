"""`demo`: jobs of every vendor live through their states, from simulated vendors to Slack and a webhook."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pollbridge.cli.local import LocalCommand, step
from pollbridge.cli.output import plain
from pollbridge.local.place import LocalError, Place

if TYPE_CHECKING:
    from pollbridge.cli.deployment import Deployment
    from pollbridge.local.demo import Told

COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "partially_failed": "yellow",
    "cancelled": "yellow",
    "halted": "magenta",
    "retrying": "yellow",
    "running": "blue",
}


@click.command(cls=LocalCommand)
def demo() -> None:
    """Watch jobs of every vendor live through their states.

    Deploys the real stack into an AWS emulator on this machine, plays the vendors, Slack and a webhook receiver,
    and stops everything it started at the end. Takes a minute or two; needs no AWS account and no key.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pollbridge-demo-") as folder:
        place = Place.of_checkout(Path(folder))
        try:
            _play(place)
        except LocalError:
            _keep_logs(place)
            raise
        finally:
            _down(place)
    click.echo(f"Everything is stopped again. {time.monotonic() - started:.0f} s in all.")


def _play(place: Place) -> None:
    from pollbridge.aws import client
    from pollbridge.cli.deployment import find
    from pollbridge.local.demo import play
    from pollbridge.local.running import up
    from pollbridge.local.simulation import seed

    click.echo("Setting up")
    state = up(place, config_file=None, schedules=False, step=step)
    os.environ.update(state.environment())
    deployment = find()
    with step("tell the vendors their stories, store the secrets"):
        keys = seed(state)
    with step(f"watch {len(keys)} jobs, one of each kind"):
        from datetime import UTC, datetime

        for key in keys:
            deployment.watches.watch(deployment.watches.key(key), {"demo": "yes"}, datetime.now(UTC))
    click.echo("\nTicking: every tick stands for a minute; each line has reached Slack and the webhook")
    summary = play(state, deployment, client("lambda", patience=90), _show, _trouble)
    if summary.unfinished:
        raise LocalError(f"{len(summary.unfinished)} jobs did not end within {summary.ticks} ticks")
    click.echo("\nHistory")
    for key in keys:
        _history(deployment, key)
    click.echo(
        f"\n{len(keys)} jobs, {summary.changes} changes in {summary.ticks} ticks,"
        f" {summary.vendor_requests} requests to vendors.\n"
        f"Slack got {summary.messages['slack/team']} messages, the webhook {summary.messages['webhook/service']};"
        f" {summary.verified} signatures verified by an independent verifier."
    )


def _show(told: Told) -> None:
    event = told.event
    before = event["from"]["state"] if event["from"] else "·"
    after = click.style(f"{event['to']['state']:<16}", fg=COLOURS.get(event["to"]["state"]))
    notes = []
    progress = event["progress"]
    if progress and progress["total"]:
        failed = f", {progress['failed']} failed" if progress["failed"] else ""
        notes.append(f"{progress['succeeded'] or 0} of {progress['total']}{failed}")
    notes += [link["href"] for link in event["links"]]
    if event["error"]:
        notes.append(event["error"])
    job = f"{event['connection']} {event['job']['kind']}"
    click.echo(f"  {told.minute[11:16]}  {job:<22} {before:>9} → {after} {plain('  '.join(notes))[:90]}".rstrip())


def _trouble(minute: str, connection: str, error: str) -> None:
    click.secho(f"  {minute[11:16]}  {connection}: {plain(error)}; nothing is recorded, asked again later", dim=True)


def _history(deployment: Deployment, key: str) -> None:
    events = [json.loads(entry.event) for entry in deployment.entries.of(deployment.watches.key(key))]
    states = [event["to"]["state"] for event in events]
    walked = [state for state, before in zip(states, [None, *states], strict=False) if state != before]
    job = " ".join(key.split("/")[:2])
    click.echo(f"  {job:<22} {' → '.join(walked)}  ({len(events)} versions)")


def _keep_logs(place: Place) -> None:
    kept = Path(tempfile.mkdtemp(prefix="pollbridge-demo-logs-"))
    for log in place.logs.glob("*.log"):
        (kept / log.name).write_bytes(log.read_bytes())
    click.echo(f"logs are kept in {kept}", err=True)


def _down(place: Place) -> None:
    from pollbridge.local.running import down

    # A second Ctrl-C must not leave half of it running.
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        down(place)
    finally:
        signal.signal(signal.SIGINT, ignored)
