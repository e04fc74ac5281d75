"""Slack as a reader of its channel sees it: a destination whose messages go to the inbox over loopback."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pollbridge import secrets
from pollbridge.history.cards import Cards
from pollbridge.history.connections import Connections
from pollbridge.history.entries import Entry
from pollbridge.history.timeline import Timeline
from pollbridge.local.slack import pings
from pollbridge.model.event import Event, Job
from pollbridge.model.job import JobKey
from pollbridge.notifying.deliveries import Result
from pollbridge.notifying.http import Poster, Response
from pollbridge.notifying.slack.bursts import Bursts
from pollbridge.notifying.slack.notifier import SlackNotifier
from pollbridge.notifying.worker import LEASE
from tests.kit.envelopes import about_job
from tests.kit.memory import Memory, row
from tests.kit.receiving import KEY, Post, message

TOKEN = "xoxb-1-2-canary"
CHANNEL = "C0123456789"
POSTER = Poster(allow_private=True)


class Dated(Memory):
    """A table in memory that can be asked for a span of the timeline, and whose indexes may lag behind."""

    def __init__(self) -> None:
        super().__init__()
        self.unseen: set[str] = set()
        """Ids of events that are written, and not in the indexes yet."""

    def query(self, *, KeyConditionExpression: str, **options: Any) -> dict[str, Any]:  # noqa: N803 - boto3's
        if options.get("IndexName") != "timeline":
            return super().query(KeyConditionExpression=KeyConditionExpression, **options)
        assert KeyConditionExpression == "#day = :day AND moment BETWEEN :since AND :until"
        day, since, until = (options["ExpressionAttributeValues"][name]["S"] for name in (":day", ":since", ":until"))
        with self.lock:
            items = [
                row(item, "timeline")
                for item in self.partitions["timeline"].get(day, {}).values()
                if since <= item["moment"]["S"] <= until and item["event_id"]["S"] not in self.unseen
            ]
        backward = not options.get("ScanIndexForward", True)
        return {"Items": sorted(items, key=lambda item: item["moment"]["S"], reverse=backward)}


def changed(version: int, job: JobKey = KEY, state: str | None = None, **told: Any) -> Event:
    """A version of a job; the last of them has succeeded."""
    event = about_job("state_changed", version=version, state=state or ("running", "succeeded")[version % 2], **told)
    about = Job.of(job, f"job {job.id}", told.get("labels", {}))
    return event.model_copy(update={"id": f"{job.id}-{version}", "job": about})


def telling(event: Event | Entry, number: int | None = None, **more: Any) -> dict[str, Any]:
    """The message that brings an event to a notifier."""
    text = event.event if isinstance(event, Entry) else event.json_text()
    body = {
        "source": "pollbridge",
        "detail-type": event.detail_type,
        "detail": json.loads(text),
        **more.pop("with_", {}),
    }
    name = event.event_id if isinstance(event, Entry) else event.id
    return message(number or 1, json.dumps(body), **more) | {"messageId": name, "receiptHandle": name}


@dataclass
class Line:
    """What POSTs: the real thing, with something happening before or after one."""

    poster: Poster = POSTER
    before: Callable[[str], None] = lambda _: None
    after: Callable[[str], None] = lambda _: None
    instead: Callable[[dict[str, Any]], Response | None] = lambda _: None
    """What is answered to a body without asking anybody."""
    calls: list[str] = field(default_factory=list)
    """The methods, or names of webhooks, that were called."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str], deadline: float = 10) -> Response:
        method = url.rsplit("/", 1)[-1]
        self.calls.append(method)
        self.before(method)
        answer = self.instead(json.loads(body)) or self.poster.post(url, body, headers, deadline)
        self.after(method)
        return answer


@dataclass
class Team(Post):
    """A Slack destination over a table in memory. `http` is a client of the inbox."""

    http: Any = None
    room: str = "team"
    """Of the receiver in the inbox."""
    values: dict[str, str] = field(default_factory=dict)
    """What the secret holds."""
    line: Line = field(default_factory=Line)
    pattern: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.aws.client = Dated()
        self.receiver = SlackNotifier(  # type: ignore[assignment]
            self.line,  # type: ignore[arg-type]
            lambda: secrets.slack(self.values),
            Cards(self.table, "team", LEASE),
            Bursts(Timeline(self.table), Connections(self.table), self.pattern),
            lambda: self.now,
        )

    def use_bot(self, token: str = TOKEN, channel: str = CHANNEL) -> None:
        """The app is installed with this token, and the secret says so."""
        self.install(token, channel)
        api = str(self.http.base_url.join(f"/slack-api/{self.room}"))
        self.values = {"bot_token": token, "channel": channel, "api_url": api}

    def install(self, token: str = TOKEN, channel: str = CHANNEL) -> None:
        wish = {"bot_token": token, "channel": channel}
        assert self.http.put(f"/_control/slack-api/{self.room}", json=wish).status_code == 204

    def use_webhook(self) -> None:
        self.values = {"webhook_url": str(self.http.base_url.join(f"/slack/{self.room}"))}

    def faults(self, *steps: object) -> None:
        kind = "slack-api" if "bot_token" in self.values else "slack"
        self.http.faults(f"{kind}/{self.room}", *steps)

    def tell(self, *events: Event | Entry, **more: Any) -> Result:
        return self.deliver(*(telling(event, sent_at=self.now, **more) for event in events))

    def way(self, event: Event | Entry, **more: Any) -> str:
        """What became of the only message."""
        [way] = self.tell(event, **more).counts
        return way

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)

    @property
    def channel(self) -> Any:
        return self.http.get(f"/_control/slack-api/{self.room}").json()

    @property
    def cards(self) -> list[tuple[int, list[int]]]:
        """Which version each message of the channel shows, and those told in its thread."""
        return [(shown(post), [shown(reply) for reply in post["replies"]]) for post in self.channel["messages"]]

    @property
    def arrived(self) -> list[dict[str, Any]]:
        """Bodies in the order in which they came in."""
        return [each["body"] for each in self.http.messages() if each["receiver"].endswith(f"/{self.room}")]

    @property
    def pinged(self) -> list[str]:
        return [ping for body in self.arrived for ping in pings(body)]


def shown(post: Mapping[str, Any]) -> int:
    """The version that a message says it tells; 0 where it says none."""
    found = re.search(r"version (\d+)", json.dumps(post["blocks"]))
    return int(found[1]) if found else 0


def words(values: Iterable[Any]) -> str:
    """All of it as text, to look for what should not be there."""
    return json.dumps(list(values), default=repr, ensure_ascii=False)
