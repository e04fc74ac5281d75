"""`demo`: jobs of every vendor live through their states, from simulated vendors to Slack and a webhook."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pollbridge.cli.local import LocalCommand, step
from pollbridge.cli.output import plain, styled
from pollbridge.local.place import LocalError, Place

if TYPE_CHECKING:
    from pollbridge.cli.deployment import Deployment

FOUND = " (found)"
"""Tells the jobs that nobody registered."""


@click.command(cls=LocalCommand)
def demo() -> None:
    """Watch jobs of every vendor live through their states.

    Some are watched, some are found in the vendors' lists, one vendor is down for a while, and one receiver fails
    before it takes its event. Deploys the real stack into an AWS emulator on this machine, plays the vendors, Slack
    and webhook receivers, and stops everything it started at the end. Takes a minute or two; needs no AWS account
    and no key.
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
    from pollbridge.local.arrivals import SERVICE, TEAM
    from pollbridge.local.demo import HURRY, play
    from pollbridge.local.running import Wish, up
    from pollbridge.local.simulation import found_keys, seed

    click.echo("Setting up")
    state = up(place, Wish(hurry=HURRY), step)
    os.environ.update(state.environment())
    deployment = find()
    with step("tell the vendors their stories, store the secrets"):
        watched = seed(state)
    with step(f"watch {len(watched)} jobs, one of each kind"):
        for key in watched:
            deployment.watches.watch(deployment.watches.key(key), {"demo": "yes"}, datetime.now(UTC))
    found = [str(key) for key in found_keys()]
    click.echo("\nTicking: every tick stands for a minute; each arrow has reached Slack and the webhook")
    click.echo(f"The retry clock runs {HURRY} times as fast here: retries wait 1 s and 3 s, elsewhere 5 s and 5 min")
    summary = play(state, deployment, client("lambda", patience=90), Screen(found))
    if summary.unfinished:
        raise LocalError(f"not over within {summary.ticks} ticks: {', '.join(summary.unfinished)}")
    click.echo("\nSlack's board, where a bot keeps one message per job up to date")
    for card in summary.cards:
        click.echo(f"  {plain(card.text)}")
        click.echo(f"     posted once, updated {card.edited} times in place, {card.replies} replies in its thread")
    click.echo("\nHistory")
    for key in [*watched, *found]:
        _history(deployment, key, FOUND if key in found else "")
    click.echo(
        f"\n{len(watched) + len(found)} jobs, {len(found)} of them found: {summary.changes} changes"
        f" in {summary.ticks} ticks, {summary.troubles} events about a vendor that was away,"
        f" {summary.vendor_requests} requests to vendors.\n"
        f"Slack got {summary.messages[TEAM]} messages, the webhook {summary.messages[SERVICE]};"
        f" {summary.verified} signatures verified by an independent verifier.\n"
        f"The board shows {sum(card.replies for card in summary.cards)} changes in {len(summary.cards)} messages."
        f" flaky has its event since the third attempt; the ledger agrees."
    )


@dataclass(frozen=True)
class Screen:
    """Prints what the demo has to show."""

    found: Collection[str]
    """The keys of the jobs that nobody registered."""

    def told(self, minute: datetime, event: Mapping[str, Any]) -> None:
        subject, before, after, notes = _of_job(event, self.found) if "job" in event else _of_vendor(event)
        text = plain("  ".join(notes))[:90]
        pad = " " * (16 - len(after)) if text else ""
        click.echo(f"  {minute:%H:%M}  {subject:<22} {before:>11} → {styled(after)}{pad} {text}".rstrip())

    def trouble(self, minute: datetime, connection: str, error: str, times: int) -> None:
        often = f" ({times} times)" if times > 1 else ""
        text = f"{connection}: {plain(error)}{often}; nothing is recorded, asked again later"
        click.secho(f"  {minute:%H:%M}  {text}", dim=True)

    def aside(self, text: str) -> None:
        click.secho(f"         [{text}]", dim=True)


Line = tuple[str, str, str, list[str]]
"""Whom it is about, from what, to what, and what else there is to say."""


def _of_job(event: Mapping[str, Any], found: Collection[str]) -> Line:
    unwatched = event["job"]["key"] in found
    notes = ["found in the list"] if unwatched and not event["from"] else []
    progress = event["progress"]
    if progress and progress["total"]:
        failed = f", {progress['failed']} failed" if progress["failed"] else ""
        notes.append(f"{progress['succeeded'] or 0} of {progress['total']}{failed}")
    notes += [link["href"] for link in event["links"]]
    if event["error"]:
        notes.append(event["error"])
    before = event["from"]["state"] if event["from"] else "·"
    subject = f"{event['connection']} {event['job']['kind']}{FOUND if unwatched else ''}"
    return subject, before, event["to"]["state"], notes


def _of_vendor(event: Mapping[str, Any]) -> Line:
    if "changes" not in event:
        since = f"since {datetime.fromisoformat(event['since']):%H:%M}"
        return event["connection"], "·", event["reason"], [f"{event['error']} {since}"]
    states = [f"{count} {state}" for state, count in sorted(event["changes"]["states"].items())]
    lasted = f"after {event['duration_seconds'] // 60} minutes"
    return event["connection"], event["reason"], "recovered", [lasted, f"changed: {', '.join(states) or 'nothing'}"]


def _history(deployment: Deployment, key: str, note: str) -> None:
    events = [json.loads(entry.event) for entry in deployment.entries.of(deployment.watches.key(key))]
    states = [event["to"]["state"] for event in events]
    walked = [state for state, before in zip(states, [None, *states], strict=False) if state != before]
    job = " ".join(key.split("/")[:2]) + note
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
