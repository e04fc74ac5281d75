"""A server that plays the receivers: Slack's incoming webhook and Web API, and an endpoint that checks signatures.

Everything that arrives is kept in order and shown over `/_control`, secrets excepted.
"""

from __future__ import annotations

import base64
import json
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field, SecretStr, field_validator

from pollbridge.local.faults import misbehave
from pollbridge.local.refusals import ReceiverFault, plain, refusal
from pollbridge.local.serving import Control, number, serve, wanted
from pollbridge.local.slack import objection
from pollbridge.local.slack_api import Channel, call
from pollbridge.local.verifier import Verdict, Verifier

BODY_LIMIT = 2**20
"""Bytes of a message; more is answered 413 and not kept."""


@dataclass
class Message:
    """One request as it came in; `status` is null while it is unanswered, and for good when it was dropped.

    `verified` is null where nothing is signed, or nobody could tell; `reason` says why it isn't true, or in what
    word the message was refused. `method` is that of Slack's Web API, else null.
    """

    n: int
    at: str
    receiver: str
    verified: bool | None
    reason: str | None
    headers: dict[str, str]
    body: Any
    method: str | None = None
    status: int | None = None


@dataclass
class Inbox:
    """What came in, whose signatures count, Slack's channels, and how each receiver's next requests fare."""

    clock: Callable[[], float] = time.time
    messages: list[Message] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    faults: defaultdict[str, deque[ReceiverFault]] = field(default_factory=lambda: defaultdict(deque))

    def keep(self, request: web.Request, body: Any, verdict: Verdict) -> Message:
        headers = {name.lower(): value for name, value in request.headers.items()}
        shown = {name: headers[name] for name in headers if name == "content-type" or name.startswith("webhook-")}
        at, n = datetime.now(UTC).isoformat(), len(self.messages) + 1
        method = request.match_info.get("method")
        self.messages.append(Message(n, at, receiver(request), verdict.ok, verdict.reason, shown, body, method))
        return self.messages[-1]

    def due(self, name: str) -> ReceiverFault | None:
        """What befalls the receiver's request of now."""
        ahead = self.faults[name]
        return ahead.popleft() if ahead else None


INBOX = web.AppKey("inbox", Inbox)
VERIFIER = web.AppKey("verifier", Verifier)

SIGNED = {True: 200, False: 401, None: 500}
"""How the endpoint answers, by verdict."""


def receiver(request: web.Request) -> str:
    return "{kind}/{name}".format(**request.match_info)


def parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


async def judged(request: web.Request, body: bytes) -> Verdict:
    """The verdict by the receiver's secret; without a secret nothing is verified."""
    secret = request.app[INBOX].secrets.get(request.match_info["name"])
    if secret is None:
        return Verdict(ok=False, reason="no secret was set for this receiver")
    return await request.app[VERIFIER].verify(secret, request.headers, body)


async def receive(request: web.Request) -> web.StreamResponse:
    """Keep the message, and answer as the receiver would, unless a fault is due."""
    inbox, body = request.app[INBOX], await request.read()
    payload = parsed(body)
    if request.match_info["kind"] == "slack":
        wrong = objection(payload)
        message = inbox.keep(request, payload, Verdict(None, wrong))
        answer = plain(400, wrong) if wrong else plain(200, "ok")
    else:
        verdict = await judged(request, body)
        message = inbox.keep(request, payload, verdict)
        answer = plain(SIGNED[verdict.ok])
    return await answered(request, message, inbox.due(message.receiver), answer)


async def receive_call(request: web.Request) -> web.StreamResponse:
    """A method of Slack's Web API. What a fault refuses has no effect; what is only lost on its way back has."""
    inbox, wish = request.app[INBOX], parsed(await request.read())
    shown = {name: wish[name] for name in wish if name != "token"} if isinstance(wish, dict) else wish
    message = inbox.keep(request, shown, Verdict(None))
    fault = inbox.due(message.receiver)
    told: dict[str, Any] = {}
    if not (fault and fault.refuses):
        channel = inbox.channels.get(request.match_info["name"])
        told = call(channel, request.match_info["method"], request.headers, wish)
        message.reason = told.get("error")
    return await answered(request, message, fault, web.json_response(told))


async def answered(
    request: web.Request, message: Message, fault: ReceiverFault | None, answer: web.Response
) -> web.StreamResponse:
    """Answer, unless a fault is due, and note down how."""
    if fault is None:
        message.status = answer.status
        return answer
    if fault.refuses:
        answer = refusal(request.match_info["kind"], fault)
        message.reason = fault.error or message.reason
    response = await misbehave(request, fault, answer, lambda _: answer)
    message.status = None if fault.drop else response.status
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


class Bot(Control):
    bot_token: SecretStr
    channel: Annotated[str, Field(min_length=1, max_length=80)]


class Faults(Control):
    """One fault a request, and then back to normal; an empty list is back to normal at once."""

    steps: Annotated[list[ReceiverFault], Field(max_length=1000)]


async def put_webhook(request: web.Request) -> web.Response:
    secret = (await wanted(request, Signing)).signing_secret.get_secret_value()
    request.app[INBOX].secrets[request.match_info["name"]] = secret
    return web.Response(status=204)


async def put_slack_api(request: web.Request) -> web.Response:
    """A new token opens the channel with what is in it; another channel is empty."""
    inbox, bot, name = request.app[INBOX], await wanted(request, Bot), request.match_info["name"]
    token, held = bot.bot_token.get_secret_value(), inbox.channels.get(name)
    fresh = Channel(token, bot.channel, clock=inbox.clock)
    if held and held.id == fresh.id:
        held.token = token
    else:
        inbox.channels[name] = fresh
    return web.Response(status=204)


async def get_slack_api(request: web.Request) -> web.Response:
    """The channel's messages with their replies, as they stand."""
    channel = request.app[INBOX].channels.get(request.match_info["name"])
    if channel is None:
        raise web.HTTPNotFound(text="no bot token was set for this receiver")
    return web.json_response(channel.state())


async def put_faults(request: web.Request) -> web.Response:
    request.app[INBOX].faults[receiver(request)] = deque((await wanted(request, Faults)).steps)
    return web.Response(status=204)


async def get_messages(request: web.Request) -> web.Response:
    after = number(request, "after", 0, 0)
    return web.json_response([asdict(message) for message in request.app[INBOX].messages[after:]])


async def verifying(app: web.Application) -> AsyncIterator[None]:
    async with Verifier.running() as app[VERIFIER]:
        yield


def application(clock: Callable[[], float] = time.time) -> web.Application:
    """An empty inbox. Slack's messages are numbered by the clock, in seconds since 1970."""
    app = web.Application(client_max_size=BODY_LIMIT)
    app[INBOX] = Inbox(clock)
    app.cleanup_ctx.append(verifying)
    app.add_routes(
        [
            web.post("/{kind:slack|webhook}/{name}", receive),
            web.post("/{kind:slack-api}/{name}/{method}", receive_call),
            web.put("/_control/webhooks/{name}", put_webhook),
            web.put("/_control/slack-api/{name}", put_slack_api),
            web.get("/_control/slack-api/{name}", get_slack_api),
            web.put("/_control/faults/{kind:slack-api|slack|webhook}/{name}", put_faults),
            web.get("/_control/messages", get_messages),
        ]
    )
    return app


if __name__ == "__main__":
    serve("pollbridge.local.inbox", application)
