"""Signed webhooks: Standard Webhooks 1.0.0, https://github.com/standard-webhooks/standard-webhooks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from standardwebhooks import Webhook

from pollbridge.model.event import webhook_type
from pollbridge.model.job import clip
from pollbridge.notifying.http import Poster, overruled
from pollbridge.notifying.notice import DeliveryError, Notice, Receipt, Treatment
from pollbridge.secrets import UnusableSecret, WebhookSecret

BODY_LIMIT = 20 * 1024
"""Bytes. "Webhook payloads should be small: less than 20kb" (Standard Webhooks, Payload size)."""

FEWER_JOBS = 5
"""Of the twenty keys that a recovery may bring, as many as surely fit."""

TREATMENTS = {410: Treatment.DISABLE, 429: Treatment.LATER}
"""2xx is delivered, 410 means that the receiver wants no more (Standard Webhooks, Operational considerations); every
other status, a redirect too, is tried again."""


def body(notice: Notice) -> str:
    """`{type, timestamp, data}`; what is too long loses its long texts first, never its meaning."""
    kind, observed_at = webhook_type(notice.detail_type), notice.detail.get("observed_at")
    for data in _ever_thinner(notice.detail):
        text = _compact({"type": kind, "timestamp": observed_at, "data": data})
        if len(text.encode()) <= BODY_LIMIT:
            return text
    raise DeliveryError("the event is too large for a webhook", Treatment.GIVE_UP)


def _ever_thinner(detail: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield detail
    for limit in (1024, 128):
        detail = {**detail, **{name: clip(detail[name], limit) for name in ("error", "message") if detail.get(name)}}
        yield detail
    if changes := detail.get("changes"):
        yield {**detail, "changes": {**changes, "jobs": changes["jobs"][:FEWER_JOBS]}}
    if "job" in detail:
        yield {**detail, "links": detail["links"][:1], "job": {**detail["job"], "labels": {}}}


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def signature(secret: WebhookSecret, event_id: str, timestamp: datetime, text: str) -> str:
    """The signatures of the current and, while rotating, the previous secret, separated by a space."""
    keys = [secret.signing_secret, secret.previous_signing_secret]
    return " ".join(Webhook(key).sign(event_id, timestamp, text) for key in keys if key)


@dataclass(frozen=True, slots=True)
class WebhookNotifier:
    """Delivers to one receiver. `secret` is read afresh at every attempt."""

    poster: Poster
    secret: Callable[[], WebhookSecret]
    headers: Mapping[str, str]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    receiver_deduplicates: bool = True

    def gather(self, notice: Notice, age: timedelta, tries: int) -> Sequence[Notice]:  # noqa: ARG002 - each event is its own
        return [notice]

    def deliver(self, notices: Sequence[Notice]) -> Receipt:
        [notice] = notices
        try:
            secret = self.secret()
        except UnusableSecret as error:
            raise DeliveryError(str(error)) from None
        text, timestamp = body(notice), self.now()
        ours = {
            "content-type": "application/json",
            "webhook-id": notice.event_id,
            "webhook-timestamp": str(int(timestamp.timestamp())),
            "webhook-signature": signature(secret, notice.event_id, timestamp, text),
        }
        answer = self.poster.post(secret.url, text.encode(), overruled(self.headers, ours))
        if 200 <= answer.status < 300:
            return Receipt(answer.status)
        raise DeliveryError(
            f"HTTP {answer.status}",
            TREATMENTS.get(answer.status, Treatment.RETRY),
            code=answer.status,
            retry_after=answer.retry_after,
            response=answer.kept,
        )
