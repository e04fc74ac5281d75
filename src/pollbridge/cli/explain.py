"""`explain`: why somebody heard of a job, or didn't, from the poll to the last attempt."""

from __future__ import annotations

from datetime import datetime
from functools import cache, partial

import click

from pollbridge.aws import client
from pollbridge.cli.clock import Clock
from pollbridge.cli.deployment import Deployment, find
from pollbridge.cli.names import KEY
from pollbridge.cli.output import fail, print_json
from pollbridge.cli.page import Page, local_when
from pollbridge.cli.queues import waiting
from pollbridge.model.instant import iso
from pollbridge.story.job import FEW, NoSuchVersion, Stories
from pollbridge.story.polls import When
from pollbridge.story.shapes import story_json, unknown_json
from pollbridge.story.unknown import Unknown, Unknowns
from pollbridge.watches import WatchRefused


@click.command()
@click.argument("key", type=KEY)
@click.option("--last", type=click.IntRange(1), metavar="N", help=f"The last N changes instead of {FEW}.")
@click.option("--version", type=click.IntRange(1), metavar="N", help="Only the change of that version.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def explain(clock: Clock | None, key: str, last: int | None, version: int | None, as_json: bool) -> None:
    """Say why somebody heard of a job, or didn't.

    How the job is looked at, what changed, whose rule lets it through, and every attempt to deliver it: with times,
    and with what to do wherever something did not arrive. Exit 1 if the job is not known.
    """
    if last and version:
        raise click.UsageError("--last and --version exclude each other")
    deployment, wall = find(), (clock or Clock()).wall()
    when: When = iso if as_json else partial(local_when, today=wall)
    try:
        job = deployment.watches.known(key)
        story = _stories(deployment, when).of(job, wall, last=last or FEW, version=version)
    except (WatchRefused, NoSuchVersion) as error:
        fail(str(error))
    if story is None:
        _unknown(_unknowns(deployment, when).of(job), wall, as_json)
    elif as_json:
        print_json(story_json(story))
    else:
        Page.of_output().story(story, alone=version is not None)


def _unknown(unknown: Unknown, wall: datetime, as_json: bool) -> None:
    if as_json:
        print_json(unknown_json(unknown, wall))
    else:
        Page.of_output().remarks(unknown.remarks)
    fail(unknown.verdict)


# What is asked beside the table


def _stories(deployment: Deployment, when: When) -> Stories:
    parts = deployment.parts

    @cache
    def queued(name: str) -> int | None:
        return _messages(parts["destinations"].get(name, {}).get("queue"))

    scheduled = bool(parts.get("scheduled", True))
    return Stories(deployment.table, deployment.configuration, queued, scheduled, when, deployment.deployed_at)


def _unknowns(deployment: Deployment, when: When) -> Unknowns:
    refused = deployment.parts.get("failures", {}).get("registrar")
    return Unknowns(deployment.table, deployment.configuration, lambda: _messages(refused), when)


def _messages(url: str | None) -> int | None:
    """How many are in a queue; None where it cannot be asked: the story goes on without it."""
    from botocore.exceptions import ClientError

    if url is None:
        return None
    try:
        return waiting(client("sqs"), url).all
    except ClientError:
        return None
