"""Slack, through an incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from pollbridge import secrets
from pollbridge.config import Destination
from pollbridge.notifying.http import post
from pollbridge.notifying.notice import DeliveryError, Notice, Receipt, Treatment
from pollbridge.notifying.slack.message import message
from pollbridge.secrets import SlackSecret, UnusableSecret

PERMANENT = frozenset({400, 403, 404, 410})
"""invalid_payload, action_prohibited, no_service or channel_not_found, channel_is_archived."""


@dataclass(frozen=True, slots=True)
class SlackNotifier:
    """Posts one message per event. `secret` is read afresh at every attempt."""

    http: httpx.Client
    secret: Callable[[], SlackSecret]
    receiver_deduplicates: bool = False

    @classmethod
    def of(cls, _: Destination, held: Callable[[], Mapping[str, Any]], http: httpx.Client) -> SlackNotifier:
        return cls(http, lambda: secrets.slack(held()))

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
            Treatment.GIVE_UP if answer.status in PERMANENT else Treatment.RETRY,
            code=answer.status,
            retry_after=answer.retry_after,
        )
