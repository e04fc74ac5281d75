"""Slack's Web API as far as a bot needs it that keeps cards: one channel, as its readers see it.

https://docs.slack.dev/reference/methods/chat.postMessage and …/chat.update; every call is answered 200, with `ok`.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pollbridge.local.slack import TEXT_LIMIT, UPDATE_LIMIT, objection

ID = re.compile(r"[CGD][A-Z0-9]+")
"""A channel's id. Names are never in capitals."""

TS = re.compile(r"\d{10}\.\d{6}")

STEP = 100
"""Between two messages of one second, in the ts."""


class Refused(Exception):
    """Slack's word for why a call did nothing."""


@dataclass
class Post:
    """A message as it stands now. `edited` counts its updates, `bot` is who may update it."""

    ts: str
    bot: str
    text: str
    blocks: list[dict[str, Any]]
    edited: int = 0
    replies: list[Post] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        return {"type": "message", "bot_id": self.bot, "ts": self.ts, "text": self.text, "blocks": self.blocks}


@dataclass
class Channel:
    """The channel and the token that opens it. `orphans` are replies to no message: kept, and seen by nobody.

    Slack says ok to those: https://github.com/slackapi/python-slack-sdk/issues/840.
    """

    token: str
    name: str
    posts: list[Post] = field(default_factory=list)
    orphans: list[Post] = field(default_factory=list)
    clock: Callable[[], float] = time.time
    last: tuple[int, int] = (0, 0)

    @property
    def id(self) -> str:
        return self.name if ID.fullmatch(self.name) else _id("C", self.name.removeprefix("#"))

    def state(self) -> dict[str, Any]:
        return {
            "channel": self.id,
            "messages": [asdict(post) for post in self.posts],
            "orphans": [asdict(post) for post in self.orphans],
        }

    def post(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        named = str(wish.get("channel"))
        if named != self.id and named.removeprefix("#") != self.name.removeprefix("#"):
            raise Refused("channel_not_found")
        _check(wish, TEXT_LIMIT)
        place = self._thread(wish.get("thread_ts"))
        post = Post(self._next_ts(), _bot(self.token), wish.get("text") or "", wish.get("blocks") or [])
        place.append(post)
        thread = {"thread_ts": wish["thread_ts"]} if place is not self.posts else {}
        return {"channel": self.id, "ts": post.ts, "message": post.shown() | thread}

    def update(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """A message without blocks loses those it had: https://docs.slack.dev/reference/methods/chat.update."""
        if wish.get("channel") != self.id:
            raise Refused("channel_not_found")
        _check(wish, UPDATE_LIMIT)
        post = self._find(wish.get("ts"))
        if post.bot != _bot(self.token):
            raise Refused("cant_update_message")
        post.text, post.blocks = wish.get("text") or "", wish.get("blocks") or []
        post.edited += 1
        return {"channel": self.id, "ts": post.ts, "text": post.text, "message": post.shown()}

    def _thread(self, ts: Any) -> list[Post]:
        if ts is None:
            return self.posts
        if not (isinstance(ts, str) and TS.fullmatch(ts)):
            raise Refused("invalid_thread_ts")
        return next((post.replies for post in self.posts if post.ts == ts), self.orphans)

    def _find(self, ts: Any) -> Post:
        threads = [self.posts, *(post.replies for post in self.posts), self.orphans]
        found = next((post for thread in threads for post in thread if post.ts == ts), None)
        if found is None:
            raise Refused("message_not_found")
        return found

    def _next_ts(self) -> str:
        now, (second, part) = int(self.clock()), self.last
        self.last = (now, STEP) if now > second else (second, part + STEP)
        return f"{self.last[0]}.{self.last[1]:06}"


METHODS: dict[str, Callable[[Channel, Mapping[str, Any]], dict[str, Any]]] = {
    "chat.postMessage": Channel.post,
    "chat.update": Channel.update,
}


def call(channel: Channel | None, method: str, headers: Mapping[str, str], wish: Any) -> dict[str, Any]:
    """What Slack answers to this method. Without a channel no token is valid. `wish` is null for what was no JSON."""
    try:
        return {"ok": True, **_call(channel, method, headers, wish)}
    except Refused as refused:
        return {"ok": False, "error": str(refused)}


def _call(channel: Channel | None, method: str, headers: Mapping[str, str], wish: Any) -> dict[str, Any]:
    if method not in METHODS:
        raise Refused("unknown_method")
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refused("not_authed")
    if channel is None or token.strip() != channel.token:
        raise Refused("invalid_auth")
    content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise Refused("invalid_post_type" if content_type else "missing_post_type")
    if not isinstance(wish, dict):
        raise Refused("invalid_json" if wish is None else "json_not_object")
    return METHODS[method](channel, wish)


def _check(wish: Mapping[str, Any], limit: int) -> None:
    if wrong := objection(wish, limit):
        raise Refused(wrong)


def _bot(token: str) -> str:
    """The app's bot. A token is xoxb-…-<its secret>: a new secret is still the same bot."""
    return _id("B", token.rpartition("-")[0])


def _id(kind: str, of: str) -> str:
    return kind + hashlib.sha256(of.encode()).hexdigest()[:10].upper()
