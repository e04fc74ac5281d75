"""The demo: jobs of every kind live through their states, and whoever should hear of it does."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from pollbridge.history.connections import Connections
from pollbridge.history.entries import Entries
from pollbridge.history.heads import Heads
from pollbridge.local.arrivals import BOARD, SERVICE, TEAM, Card, Flaky, Inbox, cards, for_flaky, on_board
from pollbridge.local.place import LocalError, State
from pollbridge.local.running import control
from pollbridge.local.simulation import come_back, come_up, finished_keys, found_keys, go_down, story_keys
from pollbridge.local.stories import SCOPES
from pollbridge.local.ticking import Tick, ticks
from pollbridge.model.health import WELL
from pollbridge.model.job import JobKey

TICKS = 20
"""Minutes of the jobs' lives at most; the stories end sooner."""

HURRY = 100
"""How many times as fast the retry clock runs: its first waits, 5 s and 5 min, are 1 s and 3 s."""

OUT = "scale"
"""The vendor that goes down for a while."""

Act = tuple[str, Callable[[], None]]


def plot(state: State) -> Mapping[int, Act]:
    """What befalls the vendors, and after which tick."""
    return {
        3: ("jobs that nobody registered come up at the vendors'", lambda: come_up(state)),
        4: (f"{OUT} goes down: it answers 503 to everything", lambda: go_down(state, OUT)),
        8: (f"{OUT} is up again", lambda: come_back(state, OUT)),
    }


class Audience(Protocol):
    """Whoever watches the demo."""

    def told(self, minute: datetime, event: Mapping[str, Any]) -> None:
        """All its receivers have this event."""
        ...

    def trouble(self, minute: datetime, connection: str, error: str, times: int) -> None:
        """Requests that brought no answer."""
        ...

    def aside(self, text: str) -> None:
        """What the demo itself did, or has made sure of."""
        ...


@dataclass(slots=True)
class Summary:
    """What happened in all."""

    ticks: int = 0
    changes: int = 0
    """Of jobs."""
    troubles: int = 0
    """Events about vendors."""
    messages: dict[str, int] = field(default_factory=dict)
    """That were taken, by the receiver's path."""
    cards: list[Card] = field(default_factory=list)
    """On the board, as they stand."""
    verified: int = 0
    vendor_requests: int = 0
    unfinished: list[str] = field(default_factory=list)


def play(state: State, deployment: Any, lambda_: Any, audience: Audience) -> Summary:
    """Tick until every job has ended and every vendor is well; show each event once its receivers have it.

    Raises LocalError when an event does not arrive, when one arrives that nobody should have heard of, when a
    signature does not verify, or when the board or the ledger shows other than what was recorded.
    """
    connections: Connections = deployment.connections
    inbox, summary, ahead = Inbox(state), Summary(), dict(plot(state))
    flaky = Flaky(inbox, deployment.table)
    for tick in ticks(lambda_, connections, deployment.parts["pollers"], TICKS):
        summary.ticks += 1
        for connection, error, times in _errors(tick):
            audience.trouble(tick.minute, connection, error, times)
        jobs, vendors = _recorded(deployment.entries)
        for event in inbox.wait_for([event for events in (*jobs.values(), vendors) for event in events]):
            audience.told(tick.minute, event)
        if summary.ticks == 1:
            audience.aside(_baseline(deployment.heads))
        summary.changes, summary.troubles = sum(map(len, jobs.values())), len(vendors)
        running = [key for key, events in jobs.items() if not (events and events[-1]["to"]["terminal"])]
        ailing = [name for name in SCOPES if connections.get(name).health != WELL]
        summary.unfinished = [*map(str, running), *ailing]
        flaky.tell(audience.aside)
        if act := ahead.pop(summary.ticks, None):
            text, happen = act
            happen()
            audience.aside(text)
        elif not ahead and not summary.unfinished:
            flaky.wait_for(next(event for events in jobs.values() for event in events if for_flaky(event)))
            flaky.tell(audience.aside)
            board = {key: events for key, events in jobs.items() if any(map(on_board, events))}
            summary.cards = cards(control(state, "inbox", "GET", BOARD), board)
            break
    summary.messages = {TEAM: inbox.posts, SERVICE: len(inbox.arrived)}
    summary.verified = inbox.verified
    summary.vendor_requests = sum(control(state, "vendors", "GET", "requests")["counts"].values())
    return summary


def _baseline(heads: Heads) -> str:
    """Raises LocalError when the first look at the lists did not find what stood there, or has told of it."""
    keys = finished_keys()
    for key in keys:
        head = heads.get(key)
        if head is None or not head.silent:
            raise LocalError(f"{key} was {'not found' if head is None else 'announced'} by the first discovery")
    return f"{len(keys)} finished jobs were there before: recorded, nobody is bothered"


def _errors(tick: Tick) -> list[tuple[str, str, int]]:
    """Connection, error and how often, the lists' errors counted with those of the polls."""
    errors: Counter[tuple[str, str]] = Counter()
    for report in tick.reports:
        name = report["connection"]
        for error, times in report.get("errors", {}).items():
            errors[name, error.removeprefix(f"list of {SCOPES[name]}: ")] += times
    return [(name, error, times) for (name, error), times in errors.items()]


def _recorded(entries: Entries) -> tuple[dict[JobKey, list[Any]], list[Any]]:
    """The events so far: of each job that is to be heard of, and about vendors."""
    keys = [*story_keys(), *found_keys()]
    jobs = {key: [json.loads(entry.event) for entry in entries.of(key)] for key in keys}
    return jobs, [json.loads(entry.event) for name in SCOPES for entry in entries.of_connection(name)]
