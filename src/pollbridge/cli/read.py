"""`jobs`, `show` and `history`: what is known of jobs."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from pollbridge.cli.deployment import Deployment, find
from pollbridge.cli.names import CONNECTION, KEY
from pollbridge.cli.output import aligned, columns, fail, local_time, polls_text, print_json, snapshot_text
from pollbridge.model.instant import moment_or_age
from pollbridge.model.state import UNSEEN, State

if TYPE_CHECKING:
    from pollbridge.history.heads import Head

STATES = (*(state.value for state in State), UNSEEN)


class Since(click.ParamType[datetime]):
    """A moment, or how long ago it was."""

    name = "WHEN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return moment_or_age(str(value), datetime.now(UTC))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option("--vendor", type=CONNECTION, help="Only this vendor or connection.")
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only in this state.")
@click.option("--since", type=Since(), help="Only those that changed since, e.g. 2h or 2026-06-08T12:00:00Z.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def jobs(vendor: str | None, states: tuple[str, ...], since: datetime | None, limit: int, as_json: bool) -> None:
    """List the jobs that are known, last changed first."""
    deployment = find()
    connections = _connections(deployment, vendor)
    found = deployment.heads.newest(connections, states or STATES, since)
    heads = list(itertools.islice(found, limit + 1))
    shown = deployment.heads.whole(heads[:limit])
    if as_json:
        from pollbridge.views import job_json

        print_json([job_json(head) for head in shown])
        return
    if not shown:
        click.echo("no such job", err=True)
        return
    rows = [(_state(head), local_time(head.changed_at), _done(head), str(head.key)) for head in shown]
    columns(("STATE", "CHANGED", "PROGRESS", "JOB"), rows, shrink=("JOB",), states=("STATE",))
    if len(heads) > limit:
        click.echo(f"… and more: --limit {limit * 2}", err=True)


def _connections(deployment: Deployment, vendor: str | None) -> list[str]:
    configured = deployment.vendors
    if vendor is None:
        return list(configured)
    names = [name for name, its_type in configured.items() if vendor in {name, its_type}]
    if not names:
        fail(f"there is no vendor or connection {vendor!r} here; configured: {', '.join(configured)}")
    return names


def _state(head: Head) -> str:
    """With what keeps it from changing, if something does."""
    state = head.state or "not seen yet"
    return f"{state}, lost" if head.lost else f"{state}, failing" if head.failing else state


def _done(head: Head) -> str:
    progress = head.snapshot.progress if head.snapshot else None
    return f"{progress.done}/{progress.total}" if progress and progress.total else ""


@click.command()
@click.argument("key", type=KEY)
@click.option("--raw", is_flag=True, help="Print the vendor's last recorded answer as it came, without personal data.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(key: str, raw: bool, as_json: bool) -> None:
    """Show how a job stands."""
    deployment = find()
    head = known_head(deployment, key)
    if raw:
        body = deployment.entries.raw_body(head.key, head.version) if head.version else None
        if body is None:
            fail(f"no answer of the vendor is kept for {head.key}")
        click.echo(body, nl=False)
        return
    if as_json:
        from pollbridge.views import job_json

        print_json(job_json(head))
        return
    if head.snapshot:
        click.echo(snapshot_text(head.key, head.snapshot, head.labels))
    else:
        click.echo(aligned({"job": str(head.key), "state": "not seen yet: the first poll comes with the next tick"}))
    ailment = deployment.connections.get(head.key.connection).health.of(head.key.scope)
    click.echo(
        aligned(
            {
                "version": str(head.version),
                "changed": local_time(head.changed_at),
                "watched": _watched(deployment, head),
                **polls_text(head),
                "vendor": f"no answers since {local_time(ailment.since)}: {ailment.error}" if ailment else None,
            }
        )
    )


def _watched(deployment: Deployment, head: Head) -> str:
    if head.slot is None:
        return "no"
    if head.key.connection not in deployment.vendors:
        return "yes, and nobody looks: its connection is no longer configured"
    return f"yes, every {head.slot.rung} min"


@click.command()
@click.argument("key", type=KEY)
@click.option("--limit", type=click.IntRange(1), help="Only the last so many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def history(key: str, limit: int | None, as_json: bool) -> None:
    """Show every change a job was seen in, oldest first."""
    from pollbridge.views import change_json

    deployment = find()
    head = known_head(deployment, key)
    entries = list(deployment.entries.of(head.key))
    told = [change_json(entry) for entry in (entries[-limit:] if limit else entries)]
    if as_json:
        print_json(told)
        return
    if not told:
        click.echo("not seen yet: the first poll comes with the next tick", err=True)
        return
    columns(
        ("V", "SEEN", "FROM", "TO", "WHY", "PROGRESS"),
        [
            (
                str(change["version"]),
                local_time(change["observed_at"]),
                change["from"]["state"] if change["from"] else "",
                change["to"]["state"],
                ", ".join(change["reasons"]),
                _counts(change["progress"]),
            )
            for change in told
        ],
        shrink=("WHY",),
        states=("FROM", "TO"),
    )


def _counts(progress: dict[str, Any] | None) -> str:
    if not progress or not progress["total"]:
        return ""
    failed = f", {progress['failed']} failed" if progress["failed"] else ""
    return f"{progress['succeeded'] or 0}/{progress['total']}{failed}"


def known_head(deployment: Deployment, text: str) -> Head:
    """The job with that key, printed as a user wrote it; exits in one line when it is not known."""
    from pollbridge.watches import WatchRefused

    try:
        key = deployment.watches.known(text)
    except WatchRefused as error:
        fail(str(error))
    head = deployment.heads.get(key)
    if head is None:
        fail(f"{key} is not known here: follow it with `pollbridge watch {key}`")
    return head
