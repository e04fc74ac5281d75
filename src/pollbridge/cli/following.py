"""`tail`: the deployment's events, as they are recorded."""

from __future__ import annotations

import itertools
import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

import click

from pollbridge.cli.clock import Clock
from pollbridge.cli.deployment import Deployment, find
from pollbridge.cli.ending import ending, nobody_reads
from pollbridge.cli.names import CONNECTION, KEY
from pollbridge.cli.outage import Outage
from pollbridge.cli.output import fail, harmless, print_json
from pollbridge.cli.read import Since, known_head
from pollbridge.cli.telling import Lines
from pollbridge.history.connections import Connections
from pollbridge.history.heads import job_pk
from pollbridge.history.timeline import Timeline, Told, told_of
from pollbridge.model.instant import from_minute, read_iso
from pollbridge.model.job import JobKey
from pollbridge.model.state import State

LOOK_EVERY = 2.0
"""Seconds between two looks at the timeline."""

LATE = timedelta(minutes=5)
"""How long after its moment an event may come up: a sweep ends within a minute, the rest is for the index."""

AHEAD = timedelta(minutes=5)
"""How far the clock that dated an event may be ahead of ours."""

RECENT = timedelta(days=7)

STATES = [state.value for state in State]

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the timeline, read."""

    id: str
    detail_type: str
    detail: Mapping[str, Any]

    @classmethod
    def of(cls, told: Told) -> Self:
        return cls(told.event_id, told.detail_type, json.loads(told.event))

    @property
    def connection(self) -> str | None:
        """None where it is about a destination."""
        return self.detail.get("connection")

    @property
    def observed_at(self) -> datetime:
        return read_iso(self.detail["observed_at"])

    def json(self) -> dict[str, Any]:
        return {"detail_type": self.detail_type, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are shown; what is None or empty lets all through."""

    job: JobKey | None = None
    vendor: str | None = None
    """A vendor or a connection."""
    states: frozenset[str] = frozenset()

    def __call__(self, event: Event) -> bool:
        detail = event.detail
        if self.job and detail.get("job", {}).get("key") != str(self.job):
            return False
        if self.vendor and self.vendor not in {detail.get("vendor"), detail.get("connection")}:
            return False
        return not self.states or detail.get("to", {}).get("state") in self.states


@dataclass(slots=True)
class Feed:
    """The events of the timeline that were not there at the look before, each once.

    An event bears the moment at which it was observed, not that at which it came into the index: so each look goes
    some minutes back, and leaves out what is known. Events about destinations are dated by the clock. Those of a
    connection are dated by its ticks, which may run ahead of the clock or behind it when they are made by hand.
    """

    timeline: Timeline
    connections: Connections
    names: Sequence[str]
    wall: Callable[[], datetime]
    _looks: deque[Mapping[str | None, datetime]] = field(default_factory=deque, init=False)
    """Those of the last minutes: the clock (None), and the tick of each connection."""
    _known: dict[str, tuple[str | None, datetime]] = field(default_factory=dict, init=False)
    """Connection and moment of the events that a look may still find."""

    def know(self, events: Iterable[Event]) -> None:
        """Leave these out from now on."""
        self._known |= {event.id: (event.connection, event.observed_at) for event in events}

    def look(self) -> list[Event]:
        """What is new, oldest first. The first look finds what is there already."""
        now = self._moments()
        looks = [*self._looks, now]
        # The first look goes back further than all others will, even when a clock is set back.
        spans = _spans(looks, LATE if self._looks else 2 * LATE)
        found = [
            event
            for since, until in _merged(spans.values())
            for event in self._new(since, until)
            if _within(spans, event.connection, event.observed_at)
        ]
        while len(looks) > 1 and looks[0][None] < now[None] - LATE:
            looks.pop(0)
        self._looks = deque(looks)
        self.know(found)
        later = _spans(looks, 2 * LATE)
        self._known = {name: about for name, about in self._known.items() if _within(later, *about)}
        return found

    def _moments(self) -> dict[str | None, datetime]:
        ticks = {name: self.connections.get(name).tick for name in self.names}
        return {None: self.wall(), **{name: from_minute(tick) for name, tick in ticks.items() if tick is not None}}

    def _new(self, since: datetime, until: datetime) -> Iterator[Event]:
        for told in self.timeline.oldest_first(since, until):
            if told.event_id not in self._known:
                yield Event.of(told)


def _spans(looks: Sequence[Mapping[str | None, datetime]], back: timedelta) -> dict[str | None, Span]:
    """For the clock and for each connection: between which moments an event is new that nobody knows."""
    seen: dict[str | None, list[datetime]] = {}
    for look in looks:
        for name, moment in look.items():
            seen.setdefault(name, []).append(moment)
    return {name: (min(moments) - back, max(moments) + AHEAD) for name, moments in seen.items()}


def _merged(spans: Iterable[Span]) -> list[Span]:
    """The same moments in spans that don't overlap, in order."""
    merged: list[Span] = []
    for since, until in sorted(spans):
        if merged and since <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], until))
        else:
            merged.append((since, until))
    return merged


def _within(spans: Mapping[str | None, Span], connection: str | None, moment: datetime) -> bool:
    own = [spans[name] for name in (None, connection) if name in spans]
    return any(since <= moment <= until for since, until in own)


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with new events as they are recorded, until Ctrl-C.")
@click.option("--job", type=KEY, help="Only events of this job.")
@click.option("--vendor", type=CONNECTION, help="Only this vendor or connection.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in State]),
    help="Only events that tell this state.",
)
@click.option("--since", type=Since(), help="None before: 2h, 2026-06-08T12:00:00Z; 7d unless told.")
@click.option("--limit", type=click.IntRange(0), default=20, show_default=True, help="How many, the newest of them.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list, with --follow an object a line.")
@click.pass_obj
def tail(  # noqa: PLR0917 - click passes them by name
    clock: Clock | None,
    follow: bool,
    job: str | None,
    vendor: str | None,
    states: tuple[str, ...],
    since: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show the last events, oldest first: of jobs, of vendors, of destinations.

    With --follow it goes on until Ctrl-C. Each line is an event as destinations hear of it; jobs that were found
    silently in a vendor's list are not among them.
    """
    if not (limit or follow):
        raise click.UsageError("--limit 0 shows only what is new: it wants --follow")
    clock = clock or Clock()
    with ending():
        deployment = find()
        wanted = Wanted(_job(deployment, job), _vendor(deployment, vendor), frozenset(states))
        feed = _feed(deployment, clock) if follow else None
        if feed:
            feed.look()
        found = list(itertools.islice(filter(wanted, _newest(deployment, wanted, since, clock)), limit + 1))
        shown = found[:limit][::-1]
        lines = Lines.to(sys.stdout)
        _show(shown, lines, as_json=as_json, follow=follow)
        if not found:
            click.echo(_nothing(wanted, since), err=True)
        elif since and len(found) > limit:
            click.echo(f"… and earlier ones: --limit {limit * 2 or 20}", err=True)
        if feed:
            feed.know(shown)
            _follow(feed, wanted, clock, lines, as_json=as_json)


def _feed(deployment: Deployment, clock: Clock) -> Feed:
    return Feed(Timeline(deployment.table), deployment.connections, list(deployment.vendors), clock.wall)


def _newest(deployment: Deployment, wanted: Wanted, since: datetime | None, clock: Clock) -> Iterator[Event]:
    if wanted.job:
        events = map(Event.of, _of_job(deployment, wanted.job))
        return itertools.takewhile(lambda event: since is None or event.observed_at >= since, events)
    # Ticks made by hand may run ahead of the clock.
    now = deployment.connections.clock(deployment.vendors, clock.wall())
    return map(Event.of, Timeline(deployment.table).newest_first(since or now - RECENT, now + AHEAD))


def _of_job(deployment: Deployment, job: JobKey) -> Iterator[Told]:
    """The events of a job that were told, newest first."""
    values = {":pk": {"S": job_pk(job)}, ":v": {"S": "V#"}}
    for item in deployment.table.query("PK = :pk AND begins_with(SK, :v)", values, ScanIndexForward=False):
        if "moment" in item:
            yield told_of(item)


def _show(events: Sequence[Event], lines: Lines, *, as_json: bool, follow: bool) -> None:
    if as_json and not follow:
        print_json([event.json() for event in events])
    elif as_json:
        for event in events:
            _print_line(event)
    else:
        for event in events:
            lines.expect(event.detail_type, event.detail)
        for event in events:
            click.echo(lines.of(event.detail_type, event.detail))


def _nothing(wanted: Wanted, since: datetime | None) -> str:
    looked = "" if since or wanted.job else f" within the last {RECENT.days} days; --since looks further back"
    return f"no {'event' if wanted == Wanted() else 'such event'}{looked}"


def _print_line(event: Event) -> None:
    click.echo(harmless(json.dumps(event.json(), ensure_ascii=False)))


def _follow(feed: Feed, wanted: Wanted, clock: Clock, lines: Lines, *, as_json: bool) -> None:
    outage, none = Outage(clock), list[Event]()
    while not nobody_reads():
        clock.pause(LOOK_EVERY)
        for event in filter(wanted, outage.ask(feed.look, none)):
            if as_json:
                _print_line(event)
            else:
                click.echo(lines.of(event.detail_type, event.detail))


def _job(deployment: Deployment, text: str | None) -> JobKey | None:
    return known_head(deployment, text).key if text is not None else None


def _vendor(deployment: Deployment, name: str | None) -> str | None:
    configured = deployment.vendors
    if name is not None and name not in {*configured, *configured.values()}:
        fail(f"there is no vendor or connection {name!r} here; configured: {', '.join(configured)}")
    return name
