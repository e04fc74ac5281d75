"""What the simulated receivers got, held against what was recorded."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pollbridge.history.ledger import Delivery, Status, deliveries
from pollbridge.history.table import Table
from pollbridge.local.place import LocalError, State
from pollbridge.local.receivers import FAILURES, RECEIVERS
from pollbridge.local.running import control
from pollbridge.model.job import JobKey

PATIENCE = 60.0
"""Seconds for a change to reach its receivers; the first one waits for cold starts."""

TEAM, SERVICE, BOARD, FLAKY = (RECEIVERS[name].path for name in ("team", "service", "board", "flaky"))

ANSWERS = [*FAILURES, 200]
"""What `flaky` answers, in order."""

Event = Mapping[str, Any]


def on_board(event: Event) -> bool:
    """Whether the event is to be seen on the board."""
    return "job" in event and (event["vendor"], event["job"]["kind"]) == ("mentionlab", "job")


def for_flaky(event: Event) -> bool:
    """Whether it is the event that `flaky` hears of."""
    return "job" in event and event["job"]["kind"] == "agent-v2" and event["to"]["state"] == "succeeded"


def until(ready: Callable[[], bool], late: Callable[[], str]) -> None:
    """Look until it is so. Raises LocalError, with what is late, when patience is at its end."""
    end = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > end:
            raise LocalError(f"after {PATIENCE:g} s {late()}")
        time.sleep(0.1)


class Inbox:
    """What the receivers got so far."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.seen = 0
        self.arrived: dict[str, Event] = {}
        """What the webhook took, by the event's id."""
        self.told: set[str] = set()
        self.posts = 0
        """Messages that Slack took from the incoming webhook."""
        self.replies = 0
        """Messages that the bot has added to threads: the last thing it does of an event."""
        self.tries: list[Mapping[str, Any]] = []
        """The requests that `flaky` has answered."""
        self.verified = 0

    def wait_for(self, recorded: Sequence[Event]) -> list[Event]:
        """Those of the recorded events that are new, as the webhook got them, when Slack shows each."""
        ids = [event["id"] for event in recorded]
        boarded = sum(map(on_board, recorded))
        until(
            lambda: self.look().posts >= len(ids) and self.replies >= boarded and self.arrived.keys() >= set(ids),
            lambda: (
                f"{len(set(ids) - self.arrived.keys())} events have not reached the webhook,"
                f" Slack has {self.posts} messages for {len(ids)}, and its board {self.replies} replies for {boarded}"
            ),
        )
        if unheard := self.arrived.keys() - set(ids):
            raise LocalError(f"the webhook was told what nobody should hear of: {self.arrived[unheard.pop()]}"[:300])
        new = [id for id in ids if id not in self.told]
        self.told.update(new)
        return [self.arrived[id] for id in new]

    def look(self) -> Inbox:
        """Read on. Raises LocalError when a signature does not verify."""
        for message in control(self.state, "inbox", "GET", f"messages?after={self.seen}"):
            if message["status"] is None:
                # It is being answered: next time.
                break
            self.seen = message["n"]
            self._sort(message)
        return self

    def _sort(self, message: Mapping[str, Any]) -> None:
        receiver, taken = message["receiver"], message["status"] == 200
        if receiver in {SERVICE, FLAKY}:
            if not message["verified"]:
                raise LocalError(f"the signature of {message['headers'].get('webhook-id')} does not verify")
            self.verified += 1
        if receiver == FLAKY:
            self.tries.append(message)
        elif receiver == SERVICE and taken:
            event = message["body"]["data"]
            self.arrived[event["id"]] = event
        elif receiver == TEAM and taken:
            self.posts += 1
        elif receiver == BOARD and taken and message["reason"] is None:
            self.replies += "thread_ts" in message["body"]


@dataclass(slots=True)
class Flaky:
    """Follows the one event that `flaky` hears of, until it is taken."""

    inbox: Inbox
    table: Table
    told: int = 0

    def tell(self, aside: Callable[[str], None]) -> None:
        """What has come of it since it was last told."""
        answers = [str(message["status"]) for message in self.inbox.tries]
        whose = "flaky, a webhook that hears of agent-v2's success,"
        news = [f"{whose} answers {answers[0]}: the event waits in flaky's own queue"] if answers else []
        if "200" in answers:
            refused = ", ".join(answers[:-1])
            news.append(f"flaky answered {refused}, then took it: {len(answers)} attempts, one webhook-id")
        for text in news[self.told :]:
            aside(text)
        self.told = len(news)

    def wait_for(self, event: Event) -> None:
        """Raises LocalError unless this event is taken in the end, and the ledger says so too."""
        until(
            lambda: bool(self.inbox.look().tries) and self.inbox.tries[-1]["status"] == 200,
            lambda: f"flaky has not taken its event, but answered {[try_['status'] for try_ in self.inbox.tries]}",
        )
        until(lambda: all(one.status.finished for one in self._ledger(event)), lambda: "flaky's delivery is pending")
        retried(self.inbox.tries, event, self._ledger(event))

    def _ledger(self, event: Event) -> list[Delivery]:
        kept = deliveries(self.table, JobKey.parse(event["job"]["key"]))
        return [delivery for delivery in kept if delivery.destination == "flaky"]


def retried(tries: Sequence[Mapping[str, Any]], event: Event, ledger: Sequence[Delivery]) -> None:
    """Raises LocalError unless `flaky` was sent this event and no other, refused it and then took it.

    Each attempt is signed afresh, and the ledger has them all.
    """
    answers = [message["status"] for message in tries]
    ids, stamps = ([message["headers"][f"webhook-{name}"] for message in tries] for name in ("id", "timestamp"))
    if answers != ANSWERS or set(ids) != {event["id"]}:
        raise LocalError(f"flaky should have answered {ANSWERS} to one event; it answered {answers} to {ids}")
    if len(set(stamps)) < len(stamps):
        raise LocalError(f"flaky's event was not signed afresh for each attempt: {stamps}")
    kept = [(one.event_id, str(one.status), [attempt.code for attempt in one.attempts]) for one in ledger]
    if kept != [(event["id"], Status.DELIVERED, ANSWERS)]:
        raise LocalError(f"the ledger should have one delivery to flaky, of {ANSWERS}; it has {kept}")


@dataclass(frozen=True, slots=True)
class Card:
    """A job's message on the board, as it stands."""

    text: str
    edited: int
    replies: int


def cards(board: Mapping[str, Any], jobs: Mapping[JobKey, Sequence[Event]]) -> list[Card]:
    """The card of each job.

    Raises LocalError unless the board holds one message per job, brought up to date in place with every version that
    was recorded, and in its thread a reply for each.
    """
    if board["orphans"] or len(board["messages"]) != len(jobs):
        raise LocalError(
            f"the board has {len(board['messages'])} messages for {len(jobs)} jobs,"
            f" and {len(board['orphans'])} replies to none"
        )
    return [_card(board["messages"], key, events) for key, events in jobs.items()]


def _card(posts: Sequence[Mapping[str, Any]], key: JobKey, events: Sequence[Event]) -> Card:
    recorded = [event["version"] for event in events]
    for post in posts:
        if str(key) in _words(post):
            shown, replies = _versions(post), [version for reply in post["replies"] for version in _versions(reply)]
            if shown != recorded[-1:] or sorted(replies) != recorded or post["edited"] != len(recorded) - 1:
                raise LocalError(
                    f"{key} has the versions {recorded}; its card shows {shown} after {post['edited']} updates,"
                    f" with replies of {replies}"
                )
            return Card(post["text"], post["edited"], len(replies))
    raise LocalError(f"{key} has no message on the board")


def _versions(post: Mapping[str, Any]) -> list[int]:
    return [int(version) for version in re.findall(r"\bversion (\d+)", _words(post))]


def _words(post: Mapping[str, Any]) -> str:
    return json.dumps(post["blocks"], ensure_ascii=False)
