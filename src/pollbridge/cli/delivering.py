"""`deliveries`, `resend`, `recover`, `enable` and `test-notify`: what became of events on their way."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import click

from pollbridge.aws import client
from pollbridge.cli.clock import Clock
from pollbridge.cli.deployment import Deployment, find
from pollbridge.cli.names import DESTINATION, KEY
from pollbridge.cli.output import columns, fail, local_time, plain, print_json
from pollbridge.cli.progress import progress
from pollbridge.cli.queues import waiting
from pollbridge.cli.read import Since, known_head
from pollbridge.config import Destination
from pollbridge.history.destinations import Destinations
from pollbridge.history.ledger import KEEP, Claimed, Delivery, Ledger, Status
from pollbridge.history.timeline import Told
from pollbridge.model.instant import iso, sortable
from pollbridge.notifying.outcomes import AHEAD, NOT_ARRIVED, RECENT, Outcome, Outcomes
from pollbridge.notifying.resending import Resending
from pollbridge.notifying.retries import LEASE
from pollbridge.notifying.standing import missed_since
from pollbridge.views import delivery_json

LOOK_EVERY = 0.5
"""Seconds between two looks at the ledger."""


@click.command()
@click.option("--failed", is_flag=True, help="Only what did not arrive: failed, disabled, maybe sent.")
@click.option("--job", type=KEY, help="Only events of this job.")
@click.option("--to", "destination", type=DESTINATION, help="Only to this destination.")
@click.option("--since", type=Since(), help="Only events seen since: 7d, with --job all, unless told.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option("--responses", is_flag=True, help="With --json: also what receivers answered that did not take one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def deliveries(  # noqa: PLR0917 - click passes them by name
    failed: bool,
    job: str | None,
    destination: str | None,
    since: datetime | None,
    limit: int,
    responses: bool,
    as_json: bool,
) -> None:
    """List deliveries with their attempts, the newest events first.

    A delivery is listed from the moment it is first taken up; what still waits in a queue is only counted.
    """
    deployment = find()
    names = [_destination(deployment, destination)] if destination else list(deployment.configuration.destinations)
    outcomes = _outcomes(deployment, names, job, since)
    with progress("looking through events", quiet=as_json) as step:
        every = (one for outcome in _stepping(outcomes, step) for one in outcome.deliveries)
        wanted = (one for one in every if not failed or one.status in NOT_ARRIVED)
        found = list(itertools.islice(wanted, limit + 1))
    shown = found[:limit]
    if as_json:
        print_json([delivery_json(delivery, responses=responses) for delivery in shown])
    elif shown:
        titles = ("LAST ATTEMPT", "TO", "STATUS", "ATTEMPTS", "NEXT", "EVENT", "ABOUT")
        rows = [_row(delivery) for delivery in shown]
        columns(titles, rows, shrink=("ABOUT", "ATTEMPTS", "EVENT"), states=("STATUS",))
    else:
        click.echo("no such delivery", err=True)
    if len(found) > limit:
        click.echo(f"… and more: --limit {limit * 2}", err=True)
    _count_queued(deployment, names)


def _stepping(outcomes: Iterable[Outcome], step: Callable[[int], None]) -> Iterator[Outcome]:
    for outcome in outcomes:
        step(1)
        yield outcome


def _outcomes(
    deployment: Deployment, names: Sequence[str], job: str | None, since: datetime | None
) -> Iterator[Outcome]:
    if job is None:
        outcomes = Outcomes(deployment.table, deployment.entries, names)
        return outcomes.recent(since or _now(deployment) - RECENT, _now(deployment))
    key = known_head(deployment, job).key
    return Outcomes(deployment.table, deployment.entries, sorted(names)).of_job(key, since)


def _row(delivery: Delivery) -> tuple[str, ...]:
    last = delivery.attempts[-1] if delivery.attempts else None
    outcome = f"{len(delivery.attempts)}, the last: {last.outcome}" if last else "none"
    return (
        local_time(last.at) if last else "",
        delivery.destination,
        delivery.status.replace("_", " "),
        outcome,
        local_time(sortable(delivery.next_attempt_at)) if delivery.next_attempt_at else "",
        delivery.event_id,
        f"{delivery.pk.removeprefix('JOB#')} v{delivery.version}",
    )


def _count_queued(deployment: Deployment, names: Sequence[str]) -> None:
    sqs = client("sqs")
    for name in names:
        url = deployment.parts["destinations"][name]["queue"]
        if untouched := waiting(sqs, url).visible:
            click.echo(f"{name}: about {untouched} more in its queue, not taken up yet and so not listed", err=True)


@click.command()
@click.argument("event_id")
@click.option("--to", "destination", type=DESTINATION, help="Only to this one, even if its match says no.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def resend(event_id: str, destination: str | None, as_json: bool) -> None:
    """Have an event delivered once more, also past a finished delivery, under the same id.

    It goes to every destination whose match lets it through. The event id is in `history --json`, in `deliveries`,
    and is the `webhook-id` of a webhook.
    """
    deployment = find()
    if destination:
        _destination(deployment, destination)
    resending = _resending(deployment)
    told = resending.find(event_id, _now(deployment))
    if told is None:
        fail(f"there is no event {event_id} in the history, nor among the dead letters")
    configured = deployment.configuration.destinations
    names = [destination] if destination else [name for name in configured if resending.hears_of(name)(told)]
    if not names:
        fail("no destination's match lets this event through: name one with --to")
    results = [{"event_id": event_id, "destination": name, **_sent(resending, told, name)} for name in names]
    if as_json:
        print_json(results)
    for result in results:
        if not result["resent"]:
            click.echo(f"pollbridge: {result['destination']}: {result['why']}", err=True)
        elif not as_json:
            click.echo(f"resent to {result['destination']}; `pollbridge deliveries` says what becomes of it")
    if not all(result["resent"] for result in results):
        raise SystemExit(1)


def _sent(resending: Resending, told: Told, name: str) -> dict[str, Any]:
    if since := resending.disabled(name):
        return {"resent": False, "why": f"disabled since {iso(since)}: run `pollbridge enable {name}` first"}
    letters = resending.dead_letters(name)
    # A letter that comes after the sending is of another failure.
    before = {letter.message_id for letter in letters.all() if letter.is_about(told.event_id)}
    try:
        resending.send(told, name, datetime.now(UTC))
    except Claimed:
        return {"resent": False, "why": "it is being delivered at this moment"}
    letters.delete(before)
    return {"resent": True, "why": None}


@click.command()
@click.option("--to", "destination", required=True, type=DESTINATION)
@click.option("--since", type=Since(), required=True, help="Events seen since, e.g. 2h or 2026-06-08T12:00:00Z.")
@click.option("--dry-run", is_flag=True, help="Only count what would be sent.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def recover(destination: str, since: datetime, dry_run: bool, as_json: bool) -> None:
    """Send a destination everything it should have heard of and didn't: failed, disabled, or missed altogether.

    What its match lets through now counts. What was delivered, is under way or was maybe sent is left alone, and
    what is sent is taken out of its dead letters. Twice is fine.
    """
    deployment = find()
    _destination(deployment, destination)
    resending = _resending(deployment)
    if disabled := resending.disabled(destination):
        fail(f"{destination} is disabled since {iso(disabled)}: run `pollbridge enable {destination}` first")
    now = datetime.now(UTC)
    if since < now - KEEP:
        fail(f"what was delivered is on record for {KEEP.days} days: name a later --since, or `resend` single events")
    with progress("looking through events", quiet=as_json) as step:
        recovery = resending.recover(destination, since, _now(deployment), now, done=step, only_count=dry_run)
    if as_json:
        left, sent = dict(recovery.left), dict(recovery.sent)
        print_json({"destination": destination, "sent": sent, "left": left, "dead_letters": recovery.letters})
        return
    total, kinds = recovery.sent.total(), ", ".join(f"{n} {kind}" for kind, n in sorted(recovery.sent.items()))
    would = "would be sent" if dry_run else "sent"
    click.echo(f"{total} event{'' if total == 1 else 's'} {would} to {destination}" + (f": {kinds}" if kinds else ""))
    for status, why in (("pending", "under way"), ("maybe_sent", "maybe sent, `resend` repeats one")):
        if recovery.left[status]:
            click.echo(f"{recovery.left[status]} left alone: {why}")
    if recovery.letters:
        click.echo(f"{recovery.letters} taken out of its dead letters")


@click.command()
@click.argument("destination", type=DESTINATION)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def enable(destination: str, as_json: bool) -> None:
    """Deliver again to a destination that was disabled.

    What it missed meanwhile is kept: `recover` sends it.
    """
    deployment = find()
    configured = deployment.configuration.destinations[_destination(deployment, destination)]
    trouble = Destinations(deployment.table).head(destination).trouble_since
    disabled = Destinations(deployment.table).enable(destination)
    if as_json:
        print_json({"destination": destination, "was_disabled_since": iso(disabled.since) if disabled else None})
        return
    if disabled is None:
        click.echo(f"{destination} was not disabled")
    else:
        click.echo(f"{destination} is enabled; it was disabled since {iso(disabled.since)}: {plain(disabled.error)}")
        if trouble:
            since = iso(missed_since(trouble))
            click.echo(f"what it missed: pollbridge recover --to {destination} --since {since}")
    if not configured.enabled:
        click.echo("its rule is off: it hears of nothing new until enabled = true is deployed", err=True)


@click.command("test-notify")
@click.argument("destination", type=DESTINATION)
@click.option(
    "--timeout", type=click.IntRange(1), default=90, show_default=True, help="Seconds to wait for the outcome."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def test_notify(clock: Clock | None, destination: str, timeout: int, as_json: bool) -> None:
    """Send a made-up event the whole way: queue, function, secret, receiver. Exit 0 when the receiver took it."""
    deployment = find()
    _destination(deployment, destination)
    resending, told = _resending(deployment), _test_event(destination)
    if since := resending.disabled(destination):
        fail(f"{destination} is disabled since {iso(since)}: run `pollbridge enable {destination}` first")
    resending.send(told, destination, datetime.now(UTC))
    delivery = _outcome(Ledger(deployment.table, destination, LEASE), told, timeout, clock or Clock())
    if as_json:
        print_json(delivery_json(delivery) if delivery else None)
    if delivery is None:
        if until := resending.waits(destination, datetime.now(UTC)):
            fail(f"{destination} asks to be left alone until {iso(until)}: it was not tried")
        fail(f"nobody took it up within {timeout} s: is the notifier of {destination} running? Its log says why")
    last = delivery.attempts[-1]
    if delivery.status is not Status.DELIVERED:
        fail(f"{destination} did not take it: {last.outcome}")
    if not as_json:
        click.echo(f"{destination} took it: HTTP {last.code} after {last.latency_ms} ms")


def _test_event(destination: str) -> Told:
    """A job event that nobody can take for a real one: no connection has that name while it is sent."""
    event_id, now = str(uuid.uuid4()), iso(datetime.now(UTC))
    key = f"pollbridge/test/{destination}/{event_id[:8]}"
    detail = {
        "schema": "1",
        "id": event_id,
        "version": 1,
        "vendor": "pollbridge",
        "connection": "pollbridge",
        "reasons": ["state_changed"],
        "job": {
            "key": key,
            "kind": "test",
            "scope": destination,
            "id": event_id[:8],
            "name": "A test by pollbridge test-notify",
            "labels": {"test": "true"},
        },
        "from": {"state": "running", "vendor_status": None},
        "to": {"state": "succeeded", "vendor_status": None, "terminal": True, "lost": False},
        "progress": None,
        "links": [],
        "error": None,
        "message": "No job has changed. Somebody tried whether this destination can be reached.",
        "observed_at": now,
        "last_seen_at": now,
        "occurred_at": None,
    }
    return Told(f"JOB#{key}", event_id, "Job State Changed", json.dumps(detail))


def _outcome(ledger: Ledger, told: Told, timeout: int, clock: Clock) -> Delivery | None:
    """What came of the delivery; None when it was not attempted in that time."""
    over = clock.now() + timeout
    while (delivery := ledger.of(told.pk, told.event_id)) and not (delivery.status.finished or delivery.attempts):
        if clock.now() >= over:
            break
        clock.pause(LOOK_EVERY)
    with suppress(Claimed):
        # What was waited for in vain is not to arrive hours later, nor to end among the dead letters.
        ledger.close(told.pk, told.event_id, 1, Status.FAILED, datetime.now(UTC))
    delivery = ledger.of(told.pk, told.event_id)
    return delivery if delivery and delivery.attempts else None


def _destination(deployment: Deployment, name: str) -> str:
    configured: dict[str, Destination] = dict(deployment.configuration.destinations)
    if name not in configured:
        known = ", ".join(configured) or "none"
        fail(f"there is no destination {name!r} here; configured: {known}")
    return name


def _resending(deployment: Deployment) -> Resending:
    return Resending(client("sqs"), deployment.table, deployment.configuration, deployment.parts["destinations"])


def _now(deployment: Deployment) -> datetime:
    """Later than every event: ticks made by hand may run ahead of the clock."""
    return deployment.connections.clock(deployment.configuration.vendors, datetime.now(UTC)) + AHEAD
