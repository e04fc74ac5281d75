"""The receivers that a simulated deployment tells: what each of them is, and what it hears of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pollbridge.model.event import FIRST_SEEN, LOST, PROGRESSED, RECOVERED, STATE_CHANGED, UNREACHABLE, UPDATED

OF_JOBS = [STATE_CHANGED, FIRST_SEEN, LOST, UPDATED, PROGRESSED]
"""All that can be heard of a job: by default the receivers would not hear of each first sight."""

HEARD = [*OF_JOBS, UNREACHABLE, RECOVERED]


@dataclass(frozen=True, slots=True)
class Receiver:
    """A destination, and where in the inbox its messages come in."""

    type: str
    path: str
    match: Mapping[str, Sequence[str]]


RECEIVERS = {
    "team": Receiver("slack", "slack/team", {"detail_type": HEARD}),
    "service": Receiver("webhook", "webhook/service", {"detail_type": HEARD}),
    "board": Receiver("slack", "slack-api/board", {"vendor": ["mentionlab"], "kind": ["job"], "detail_type": OF_JOBS}),
    "flaky": Receiver(
        "webhook",
        "webhook/flaky",
        {"vendor": ["mintlify"], "kind": ["agent-v2"], "state": ["succeeded"], "detail_type": [STATE_CHANGED]},
    ),
}
"""An incoming webhook of Slack and a webhook that hear of everything; a channel where a bot keeps a card per job; and
a webhook that hears of one event and fails at first."""

FAILURES = (503, 503)
"""What `flaky` answers before it takes anything."""
