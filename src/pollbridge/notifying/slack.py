"""Slack, through an incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from pollbridge.model.job import State
from pollbridge.notifying.http import post
from pollbridge.notifying.notice import DeliveryError, Notice, Receipt
from pollbridge.secrets import SlackSecret, UnusableSecret

HEADER_LIMIT = 150
SECTION_LIMIT = 3000
TEXT_LIMIT = 1200
"""Characters: Block Kit's limits for a header and a section, and ours for texts a person should take in at a glance."""

PERMANENT = frozenset({400, 403, 404, 410})
"""invalid_payload, action_prohibited, no_service or channel_not_found, channel_is_archived."""

FACES = {
    State.PENDING: ("⚪", "is waiting"),
    State.RUNNING: ("🔵", "is running"),
    State.RETRYING: ("🟡", "is being retried"),
    State.SUCCEEDED: ("🟢", "succeeded"),
    State.PARTIALLY_FAILED: ("🟠", "partly failed"),
    State.FAILED: ("🔴", "failed"),
    State.CANCELLED: ("⚫", "was cancelled"),
    State.HALTED: ("🟣", "halted"),
    State.ARCHIVED: ("🗄️", "was archived"),
    State.UNKNOWN: ("❔", "is in a state we don't know"),
}

LINK_NAMES = {"pull_request": "Open pull request"}


def message(notice: Notice) -> dict[str, Any]:
    """The message: what job, from → to, counts, error, and a button for each link."""
    event = notice.detail
    headline = _headline(notice)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(headline, HEADER_LIMIT)},
        {"type": "section", "text": _mrkdwn(_summary(event))},
    ]
    for text in (event.get("error"), event.get("message")):
        if text:
            blocks.append({"type": "section", "text": _plain(text, TEXT_LIMIT)})
    buttons = [
        {"type": "button", "text": _plain(LINK_NAMES.get(link["rel"], "Open"), 75), "url": link["href"]}
        for link in event.get("links") or []
    ]
    if buttons:
        blocks.append({"type": "actions", "elements": buttons[:5]})
    blocks.append({"type": "context", "elements": [_mrkdwn(_footnote(event))]})
    return {"text": escape(_shorten(f"{headline}: {_steps(event)}", SECTION_LIMIT)), "blocks": blocks}


def escape(text: str) -> str:
    """Slack's three control characters: without them no vendor word can ping, link or format."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _headline(notice: Notice) -> str:
    event = notice.detail
    face, verb = FACES[State(event["to"]["state"])]
    if event["to"]["lost"]:
        face, verb = "👻", "is lost: the vendor no longer knows it"
    elif "reopened" in event["reasons"]:
        verb = f"was reopened and {verb}"
    elif notice.detail_type == "Job Updated" and event["links"]:
        verb = "has a new link"
    job = event["job"]
    return f"{face} {event['connection']} {job['name'] or job['kind']} {verb}"


def _steps(event: Mapping[str, Any]) -> str:
    before, after = event["from"], event["to"]
    return f"{_word(before) if before else 'first seen'} → {_word(after)}"


def _word(standing: Mapping[str, Any]) -> str:
    state: str = standing["state"].replace("_", " ")
    if standing["state"] == State.UNKNOWN and standing["vendor_status"]:
        return f"{state} ({_shorten(standing['vendor_status'], 60)})"
    return state


def _summary(event: Mapping[str, Any]) -> str:
    lines = [f"*{escape(_steps(event))}*"]
    progress = event.get("progress")
    if progress and progress.get("total"):
        counts = [f"{progress['succeeded'] or 0:,} of {progress['total']:,} succeeded"]
        for name in ("failed", "cancelled", "retrying", "pending"):
            if progress.get(name):
                counts.append(f"*{progress[name]:,} {name}*" if name == "failed" else f"{progress[name]:,} {name}")
        lines.append(" · ".join(counts))
    return "\n".join(lines)


def _footnote(event: Mapping[str, Any]) -> str:
    labels = " ".join(f"{name}={value}" for name, value in event["job"]["labels"].items())
    parts = [event["job"]["key"], labels, f"seen {event['observed_at']}", f"v{event['version']}"]
    return _shorten(" · ".join(escape(part) for part in parts if part), 1900)


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": _shorten(text, limit) or " ", "emoji": False}


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


@dataclass(frozen=True, slots=True)
class SlackNotifier:
    """Posts one message per event. `secret` is read afresh at every attempt."""

    http: httpx.Client
    secret: Callable[[], SlackSecret]
    receiver_deduplicates: bool = False

    def deliver(self, notice: Notice) -> Receipt:
        try:
            url = self.secret().webhook_url
        except UnusableSecret as error:
            raise DeliveryError(str(error)) from None
        if url is None:
            raise DeliveryError("the secret holds a bot token; only webhook_url is spoken so far")
        body = json.dumps(message(notice), ensure_ascii=False).encode()
        answer = post(self.http, url, body, {"Content-Type": "application/json; charset=utf-8"})
        if answer.status == 200:
            return Receipt(answer.status)
        raise DeliveryError(
            f"HTTP {answer.status}",
            permanent=answer.status in PERMANENT,
            code=answer.status,
            retry_after=answer.retry_after,
        )
