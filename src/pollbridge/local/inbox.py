"""A server that plays the receivers: Slack's incoming webhook, and an endpoint that checks signatures.

Everything that arrives is kept in order and shown over `/_control`, secrets excepted.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict, deque
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from http.client import responses
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field, SecretStr, field_validator
from svix.webhooks import Webhook, WebhookVerificationError

from pollbridge.local.faults import Fault, misbehave
from pollbridge.local.serving import Control, number, serve, wanted
from pollbridge.local.slack import objection

BODY_LIMIT = 2**20
"""Bytes of a message; more is answered 413 and not kept."""


@dataclass
class Message:
    """One request as it came in; `status` is null while it is unanswered, and for good when it was dropped."""

    n: int
    at: str
    receiver: str
    verified: bool | None
    headers: dict[str, str]
    body: Any
    status: int | None = None


@dataclass
class Inbox:
    """What came in, whose signatures count, and how each receiver's next requests fare."""

    messages: list[Message] = field(default_factory=list)
    webhooks: dict[str, Webhook] = field(default_factory=dict)
    faults: defaultdict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))

    def keep(self, request: web.Request, body: Any, verified: bool | None) -> Message:
        headers = {name.lower(): value for name, value in request.headers.items()}
        shown = {name: headers[name] for name in headers if name == "content-type" or name.startswith("webhook-")}
        at = datetime.now(UTC).isoformat()
        self.messages.append(Message(len(self.messages) + 1, at, receiver(request), verified, shown, body))
        return self.messages[-1]

    def verifies(self, name: str, body: bytes, headers: dict[str, str]) -> bool:
        """Whether the signature is that of the receiver's secret; without a secret nothing is verified."""
        if name not in self.webhooks:
            return False
        try:
            self.webhooks[name].verify(body, headers)
        # ValueError: the library parses signatures and text without a guard of its own.
        except (WebhookVerificationError, ValueError):
            return False
        return True


INBOX = web.AppKey("inbox", Inbox)


def receiver(request: web.Request) -> str:
    return "{kind}/{name}".format(**request.match_info)


def parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def plain(status: int, text: str | None = None) -> web.Response:
    """Slack answers in plain words, and so does our endpoint."""
    return web.Response(status=status, text=text or responses.get(status, "Error"))


async def receive(request: web.Request) -> web.StreamResponse:
    """Keep the message, and answer as the receiver would, unless a fault is due."""
    inbox, body = request.app[INBOX], await request.read()
    payload = parsed(body)
    if request.match_info["kind"] == "slack":
        wrong = objection(payload)
        message = inbox.keep(request, payload, None)
        answer = plain(400, wrong) if wrong else plain(200, "ok")
    else:
        good = inbox.verifies(request.match_info["name"], body, dict(request.headers))
        message = inbox.keep(request, payload, good)
        answer = plain(200 if good else 401)
    ahead = inbox.faults[message.receiver]
    fault = ahead.popleft() if ahead else None
    response = await misbehave(request, fault, answer, plain) if fault else answer
    message.status = None if fault and fault.drop else response.status
    return response


class Signing(Control):
    signing_secret: SecretStr

    @field_validator("signing_secret")
    @classmethod
    def _is_one(cls, secret: SecretStr) -> SecretStr:
        prefix, _, key = secret.get_secret_value().partition("_")
        try:
            fits = 24 <= len(base64.b64decode(key, validate=True)) <= 64
        except ValueError:
            fits = False
        if prefix != "whsec" or not fits:
            raise ValueError("wants whsec_ and 24 to 64 bytes of base64")
        return secret


class Faults(Control):
    """One fault a request, and then back to normal; an empty list is back to normal at once."""

    steps: Annotated[list[Fault], Field(max_length=1000)]


async def put_webhook(request: web.Request) -> web.Response:
    secret = (await wanted(request, Signing)).signing_secret.get_secret_value()
    request.app[INBOX].webhooks[request.match_info["name"]] = Webhook(secret)
    return web.Response(status=204)


async def put_faults(request: web.Request) -> web.Response:
    request.app[INBOX].faults[receiver(request)] = deque((await wanted(request, Faults)).steps)
    return web.Response(status=204)


async def get_messages(request: web.Request) -> web.Response:
    after = number(request, "after", 0, 0)
    return web.json_response([asdict(message) for message in request.app[INBOX].messages[after:]])


def application() -> web.Application:
    """An empty inbox."""
    app = web.Application(client_max_size=BODY_LIMIT)
    app[INBOX] = Inbox()
    app.add_routes(
        [
            web.post("/{kind:slack|webhook}/{name}", receive),
            web.put("/_control/webhooks/{name}", put_webhook),
            web.put("/_control/faults/{kind:slack|webhook}/{name}", put_faults),
            web.get("/_control/messages", get_messages),
        ]
    )
    return app


if __name__ == "__main__":
    serve("pollbridge.local.inbox", application)
