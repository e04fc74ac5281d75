"""Slack's Web API, as far as a card needs it: chat.postMessage and chat.update."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pollbridge.notifying.http import Poster
from pollbridge.notifying.notice import DeliveryError
from pollbridge.notifying.slack.errors import of_method
from pollbridge.secrets import SlackSecret

JSON = "application/json; charset=utf-8"

NO_PREVIEWS = {"unfurl_links": False, "unfurl_media": False}
"""A post's links are on its buttons; Slack would fetch them, and show below it what it finds."""


@dataclass(frozen=True, slots=True)
class Posted:
    """Where a message stands: `ts` names it within its channel."""

    channel: str
    ts: str


@dataclass(frozen=True, slots=True)
class Api:
    """A bot's calls. Each raises DeliveryError."""

    poster: Poster
    secret: SlackSecret

    def post(self, message: Mapping[str, Any], *, thread: Posted | None = None) -> Posted:
        """Post to the secret's channel, or into a thread."""
        place = {"channel": thread.channel, "thread_ts": thread.ts} if thread else {"channel": self.secret.channel}
        return self._call("chat.postMessage", {**place, **message, **NO_PREVIEWS})

    def update(self, posted: Posted, message: Mapping[str, Any]) -> None:
        """Replace a message. Twice is fine. Raises NoCard where there is nothing to replace."""
        try:
            # An update's text is searched for names, unless told otherwise; a post's is not.
            plainly = {"parse": "none", "link_names": False}
            self._call("chat.update", {"channel": posted.channel, "ts": posted.ts, **message, **plainly})
        except DeliveryError as error:
            error.maybe_sent = False
            raise

    def _call(self, method: str, arguments: Mapping[str, Any]) -> Posted:
        answer = self.poster.post(
            f"{self.secret.api_url}/{method}",
            json.dumps(arguments, ensure_ascii=False).encode(),
            {"Content-Type": JSON, "Authorization": f"Bearer {self.secret.bot_token}"},
        )
        told = _members(answer.text)
        if answer.status != 200 or told.get("ok") is not True:
            raise of_method(answer, str(told.get("error") or ""))
        if not (told.get("channel") and told.get("ts")):
            raise DeliveryError("Slack did not say where it posted", maybe_sent=True, code=answer.status)
        return Posted(told["channel"], told["ts"])


def _members(text: str) -> dict[str, Any]:
    """What an answer says outside of the message it repeats.

    The repetition comes last, and of a long one no more is read than the limit.
    """
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if isinstance(told, dict):
        return told
    found = {name: re.search(rf'"{name}"\s*:\s*"([^"\\]*)"', text) for name in ("channel", "ts", "error")}
    strings: dict[str, Any] = {name: match[1] for name, match in found.items() if match}
    return strings | {"ok": re.match(r'\s*\{\s*"ok"\s*:\s*true\b', text) is not None}
