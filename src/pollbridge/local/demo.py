"""The demo: jobs of every kind live through their states, and whoever should hear of it does."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from pollbridge.history.connections import Connections
from pollbridge.history.entries import Entries
from pollbridge.history.heads import Heads
from pollbridge.local.place import LocalError, State
from pollbridge.local.running import control
from pollbridge.local.simulation import come_back, come_up, finished_keys, found_keys, go_down, story_keys
from pollbridge.local.stories import SCOPES
from pollbridge.local.ticking import Tick, ticks
from pollbridge.model.health import WELL
from pollbridge.model.job import JobKey

TICKS = 20
"""Minutes of the jobs' lives at most; the stories end sooner."""

PATIENCE = 60.0
"""Seconds for a change to reach both receivers; the first one waits for cold starts."""

SLACK, WEBHOOK = "slack/team", "webhook/service"

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
        """Both receivers have this event."""
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
    verified: int = 0
    vendor_requests: int = 0
    unfinished: list[str] = field(default_factory=list)


def play(state: State, deployment: Any, lambda_: Any, audience: Audience) -> Summary:
    """Tick until every job has ended and every vendor is well; show each event once both receivers have it.

    Raises LocalError when an event does not arrive, when one arrives that nobody should have heard of, or when a
    signature does not verify.
    """
    connections: Connections = deployment.connections
    inbox, summary, ahead = Inbox(state), Summary(), dict(plot(state))
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
        if act := ahead.pop(summary.ticks, None):
            text, happen = act
            happen()
            audience.aside(text)
        elif not ahead and not summary.unfinished:
            break
    summary.messages = {SLACK: inbox.posts, WEBHOOK: len(inbox.arrived)}
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


class Inbox:
    """What the receivers got so far."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.seen = 0
        self.arrived: dict[str, Mapping[str, Any]] = {}
        """What the webhook got, by the event's id."""
        self.told: set[str] = set()
        self.posts = 0
        """Messages that Slack took."""
        self.verified = 0

    def wait_for(self, recorded: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Those of the recorded events that are new, as the webhook got them, when Slack has a message for each."""
        ids = [event["id"] for event in recorded]
        until = time.monotonic() + PATIENCE
        self._look()
        while self.posts < len(ids) or not self.arrived.keys() >= set(ids):
            if time.monotonic() > until:
                missing = len(set(ids) - self.arrived.keys())
                raise LocalError(
                    f"after {PATIENCE:g} s {missing} events have not reached the webhook,"
                    f" and Slack has {self.posts} messages for {len(ids)}"
                )
            time.sleep(0.1)
            self._look()
        if unheard := self.arrived.keys() - set(ids):
            raise LocalError(f"the webhook was told what nobody should hear of: {self.arrived[unheard.pop()]}"[:300])
        new = [id for id in ids if id not in self.told]
        self.told.update(new)
        return [self.arrived[id] for id in new]

    def _look(self) -> None:
        for message in control(self.state, "inbox", "GET", f"messages?after={self.seen}"):
            self.seen = message["n"]
            if message["receiver"] == SLACK and message["status"] == 200:
                self.posts += 1
            if message["receiver"] == WEBHOOK:
                if not message["verified"]:
                    raise LocalError(f"the signature of {message['headers'].get('webhook-id')} does not verify")
                self.verified += 1
                event = message["body"]["data"]
                self.arrived[event["id"]] = event
