"""What Slack's refusals mean: the channel or the key is gone, this one message is wrong, or it passes.

Incoming webhooks answer with a status and a word, methods with 200 and a word:
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors
https://docs.slack.dev/reference/methods/chat.postMessage#errors
"""

from __future__ import annotations

import re
from datetime import timedelta

from pollbridge.notifying.http import Response
from pollbridge.notifying.notice import DeliveryError, Treatment

PATIENCE = timedelta(seconds=30)
"""For a 429 that doesn't say how long."""

LONGEST = timedelta(hours=1)

OF_STATUS = {
    400: Treatment.GIVE_UP,
    403: Treatment.DISABLE,
    404: Treatment.DISABLE,
    410: Treatment.DISABLE,
    429: Treatment.LATER,
}
"""How an incoming webhook answers: invalid_payload; action_prohibited, invalid_token; no_service, channel_not_found;
channel_is_archived. Every other status but 200 is tried again."""

CLOSED = frozenset(
    {
        "access_denied",
        "account_inactive",
        "app_access_denied",
        "channel_is_archived",
        "channel_not_found",
        "ekm_access_denied",
        "enterprise_is_restricted",
        "invalid_auth",
        "is_archived",
        "is_inactive",
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "not_authed",
        "not_in_channel",
        "org_login_required",
        "restricted_action",
        "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel",
        "team_access_not_granted",
        "token_expired",
        "token_revoked",
        "two_factor_setup_required",
    }
)
"""Nothing will be taken until a person mends the app, the token or the channel."""

WRONG = frozenset(
    {
        "invalid_arguments",
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_json",
        "json_not_object",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "too_many_attachments",
    }
)
"""This message will never be taken."""

NO_CARD = frozenset({"cant_update_message", "edit_window_closed", "message_not_found"})
"""The message that was to be updated is gone, or can't be changed any more."""

NO_THREAD = frozenset(
    {
        "cannot_reply_to_message",
        "invalid_thread_ts",
        "restricted_action_non_threadable_channel",
        "restricted_action_thread_locked",
        "thread_not_found",
    }
)
"""The message that was to be replied to is gone, or takes no replies."""

HALF = frozenset({"fatal_error", "internal_error"})
"""Slack broke: "It's possible some aspect of the operation succeeded before the error was raised"."""

_WORD = re.compile(r"[a-z][a-z_]{1,60}")


class NoCard(DeliveryError):
    """The card that was to be updated or replied to isn't there, or can't be."""


def of_webhook(answer: Response) -> DeliveryError:
    """What a refusal of an incoming webhook means."""
    word = _word(answer.text.strip())
    outcome = f"HTTP {answer.status}" + (f" {word}" if word else "")
    return _error(answer, outcome, OF_STATUS.get(answer.status, Treatment.RETRY))


def of_method(answer: Response, word: str) -> DeliveryError:
    """What a refusal of a method means; `word` is the `error` of its answer, empty where there is none."""
    outcome = _word(word) or f"HTTP {answer.status}"
    if answer.status == 429 or word in {"ratelimited", "rate_limited"}:
        return _error(answer, outcome, Treatment.LATER)
    if word in NO_CARD | NO_THREAD:
        return NoCard(outcome, Treatment.GIVE_UP, code=answer.status, response=answer.kept)
    # Whoever answers 200 without a word of Slack's may well have posted.
    if word in HALF or (answer.status == 200 and not word):
        return DeliveryError(outcome, maybe_sent=True, code=answer.status, response=answer.kept)
    treatment = Treatment.DISABLE if word in CLOSED else Treatment.GIVE_UP if word in WRONG else Treatment.RETRY
    return _error(answer, outcome, treatment)


def _error(answer: Response, outcome: str, treatment: Treatment) -> DeliveryError:
    return DeliveryError(
        outcome,
        treatment,
        code=answer.status,
        retry_after=answer.retry_after,
        wait=min(answer.retry_after or PATIENCE, LONGEST) if treatment is Treatment.LATER else None,
        response=answer.kept,
    )


def _word(text: str) -> str:
    """Slack's own word for it; nothing else of an answer is repeated."""
    return text if _WORD.fullmatch(text) else ""
