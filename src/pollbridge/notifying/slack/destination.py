"""What Slack shows of a destination that is not delivered to any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pollbridge.model.event import Cause
from pollbridge.model.instant import iso, vendor_moment
from pollbridge.notifying.slack.blocks import context, header, mrkdwn, plain, posted, section
from pollbridge.notifying.slack.text import moment, prose, short, since
from pollbridge.notifying.standing import missed_since

NAME_LIMIT = 40
MOMENT_LIMIT = 40
"""Characters: ours."""

CAUSES = {
    Cause.GONE: "it says that it is gone for good",
    Cause.REFUSED: "Slack refuses for good what is sent to it",
    Cause.FAILING: "for five days nothing has reached it",
}


def disabled(event: Mapping[str, Any]) -> dict[str, Any]:
    """Who is told nothing any more, why and since when, and how to get it back."""
    name, why = short(event["destination"], NAME_LIMIT), CAUSES[Cause(event["reason"])]
    told = f"🔇 {name} is told nothing any more, since {since(event)}"
    error = prose(f"Error: {event['error']}") if event["error"] else ""
    return posted(
        f"{told} ({why})",
        header(told),
        section(mrkdwn(f"*{why[0].upper()}{why[1:]}.* What would have been sent to it is kept.")),
        *([section(plain(error))] if error else []),
        section(mrkdwn(f"To get it back, mend the {event['type']} receiver, and then:\n```{_commands(event)}```")),
        context(
            f"destination {name}, {event['type']}",
            f"told {moment(event['observed_at'])}, version {event['version']}",
        ),
    )


def _commands(event: Mapping[str, Any]) -> str:
    name = short(event["destination"], NAME_LIMIT).replace("`", "ˋ")
    first_failure = vendor_moment(event["since"])
    missed = iso(missed_since(first_failure)) if first_failure else short(event["since"], MOMENT_LIMIT)
    return f"pollbridge enable {name}\npollbridge recover --to {name} --since {missed}"
