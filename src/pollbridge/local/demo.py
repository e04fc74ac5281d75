"""The demo: jobs of every kind live through their states, and whoever should hear of it does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pollbridge.history.connections import Connections
from pollbridge.history.heads import Head, Heads
from pollbridge.local.place import LocalError, State
from pollbridge.local.running import control
from pollbridge.local.simulation import story_keys
from pollbridge.local.ticking import ticks

TICKS = 20
"""Minutes of the jobs' lives at most; the stories end sooner."""

PATIENCE = 60.0
"""Seconds for a change to reach both receivers; the first one waits for cold starts."""

RECEIVERS = ("slack/team", "webhook/service")


@dataclass(slots=True)
class Told:
    """One change, as the receivers got it."""

    event: dict[str, Any]
    minute: str


@dataclass(slots=True)
class Summary:
    """What happened in all."""

    ticks: int = 0
    changes: int = 0
    messages: dict[str, int] = field(default_factory=dict)
    verified: int = 0
    vendor_requests: int = 0
    unfinished: list[str] = field(default_factory=list)


def play(
    state: State,
    deployment: Any,
    lambda_: Any,
    show: Callable[[Told], None],
    trouble: Callable[[str, str, str], None],
) -> Summary:
    """Tick until every job has ended; show each change once both receivers have it.

    `trouble` gets the minute, the connection and the error of polls that brought no answer.

    Raises LocalError when a change does not arrive, or a signature does not verify.
    """
    heads: Heads = deployment.heads
    connections: Connections = deployment.connections
    inbox, summary, told = _Inbox(state), Summary(), 0
    for tick in ticks(lambda_, connections, deployment.parts["pollers"], TICKS):
        summary.ticks += 1
        for report in tick.reports:
            for error in report.get("errors", {}):
                trouble(tick.minute.isoformat(), report["connection"], error)
        current = [_head(heads, key) for key in story_keys()]
        summary.changes = sum(head.version for head in current)
        for event in inbox.wait_for(summary.changes - told):
            show(Told(event, tick.minute.isoformat()))
        told = summary.changes
        summary.unfinished = [str(head.key) for head in current if not (head.state and head.state.terminal)]
        if not summary.unfinished:
            break
    summary.messages = {receiver: len(ids) for receiver, ids in inbox.arrived.items()}
    summary.verified = inbox.verified
    summary.vendor_requests = sum(control(state, "vendors", "GET", "requests")["counts"].values())
    return summary


def _head(heads: Heads, key: Any) -> Head:
    head = heads.get(key)
    if head is None:
        raise LocalError(f"{key} has vanished from the table")
    return head


class _Inbox:
    """What the receivers got so far."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.seen = 0
        self.arrived: dict[str, set[str]] = {receiver: set() for receiver in RECEIVERS}
        self.verified = 0
        self.posts = 0

    def wait_for(self, changes: int) -> Iterator[dict[str, Any]]:
        """The next so many events, each once the webhook has it; returns when Slack has as many posts."""
        until = time.monotonic() + PATIENCE
        posts = self.posts + changes
        while changes > 0 or self.posts < posts:
            for event in self._new():
                changes -= 1
                yield event
            if time.monotonic() > until:
                raise LocalError(f"{changes} changes did not reach the webhook receiver within {PATIENCE:g} s")
            if changes > 0 or self.posts < posts:
                time.sleep(0.1)

    def _new(self) -> Iterator[dict[str, Any]]:
        for message in control(self.state, "inbox", "GET", f"messages?after={self.seen}"):
            self.seen = message["n"]
            receiver = message["receiver"]
            if receiver == "slack/team" and message["status"] == 200:
                self.posts += 1
                self.arrived[receiver].add(str(message["n"]))
            if receiver == "webhook/service":
                if not message["verified"]:
                    raise LocalError(f"the signature of {message['headers'].get('webhook-id')} does not verify")
                self.verified += 1
                event = message["body"]["data"]
                if event["id"] not in self.arrived[receiver]:
                    self.arrived[receiver].add(event["id"])
                    yield event
