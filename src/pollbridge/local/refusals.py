"""How receivers refuse: with a status, or in a word of their own."""

from __future__ import annotations

from http.client import responses
from typing import Annotated

from aiohttp import web
from pydantic import Field

from pollbridge.local.faults import Fault

WEBHOOK_STATUSES = {
    "action_prohibited": 403,
    "posting_to_general_channel_denied": 403,
    "channel_not_found": 404,
    "no_service": 404,
    "channel_is_archived": 410,
    "rate_limited": 429,
    "rollup_error": 500,
}
"""The statuses of what Slack's incoming webhooks say; it is 400 for invalid_payload and whatever else is missing here.

https://docs.slack.dev/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks and
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors
"""

API_ERRORS = {429: "ratelimited", 503: "service_unavailable"}
"""What Slack's Web API says with a status of its own; it is `internal_error` with any other.

https://docs.slack.dev/reference/methods/chat.postMessage#errors
"""


class ReceiverFault(Fault):
    """A receiver can also refuse in a word, with the status that belongs to it or the one given."""

    error: Annotated[str, Field(pattern=r"^[a-z_]{1,100}$")] | None = None

    @property
    def spoils(self) -> bool:
        return self.refuses or super().spoils

    @property
    def refuses(self) -> bool:
        """Whether the request has no effect. One whose answer is only late, lost or spoilt has."""
        return self.status is not None or self.error is not None


def plain(status: int, text: str | None = None) -> web.Response:
    """Slack's webhooks answer in plain words, and so does our endpoint."""
    return web.Response(status=status, text=text or responses.get(status, "Error"))


def refusal(kind: str, fault: ReceiverFault) -> web.Response:
    """What a receiver of this kind says. Slack's Web API refuses with 200, but where it couldn't even listen."""
    if kind == "slack-api":
        status = fault.status or 200
        error = fault.error or API_ERRORS.get(status, "internal_error")
        return web.json_response({"ok": False, "error": error}, status=status)
    return plain(fault.status or WEBHOOK_STATUSES.get(fault.error or "", 400), fault.error)
