"""What Slack shows of a vendor: that it brings no answers any more, and that it does again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pollbridge.model.event import Trouble
from pollbridge.model.job import State
from pollbridge.notifying.slack.blocks import HEADER_LIMIT, context, header, mrkdwn, plain, posted, section
from pollbridge.notifying.slack.text import PROSE_LIMIT, fit, length, line, moment, prose, short, since, span
from pollbridge.notifying.slack.words import connection, stressed, word

SCOPE_LIMIT = 40
ERROR_LIMIT = 300
KEY_LIMIT = 200
KEYS = 10
"""Characters, and lines: ours."""

TROUBLES = {
    Trouble.UNREACHABLE: ("🔌", "doesn't answer", None),
    Trouble.UNAUTHORIZED: ("🔑", "refuses the key", "check the secret"),
    Trouble.FORBIDDEN: ("🔑", "denies access", "check what the key may read"),
    Trouble.NO_CREDENTIALS: ("🔑", "can't be asked", "store the secret"),
}
"""What to look at first, what to say, and what there is to do."""


def unreachable(event: Mapping[str, Any]) -> dict[str, Any]:
    """Whom we can't ask, why and since when, and what there is to do."""
    face, verb, remedy = TROUBLES[Trouble(event["reason"])]
    before, after = f"{face} {connection(event)} {verb}{_where(event)}: ", f", since {since(event)}"
    error = line(event["error"])
    shown = fit(error, HEADER_LIMIT - length(before) - length(after))
    jobs = "the scope's jobs" if event["scope"] else "its jobs"
    effect = f"{jobs} are not looked at until it answers again"
    advice = f"*{remedy}*\n" if remedy else ""
    told = before + shown + after
    return posted(
        f"{told} ({remedy or effect})",
        header(told),
        section(mrkdwn(f"{advice}{effect[0].upper()}{effect[1:]}. What changes meanwhile is told then.")),
        *([section(plain(prose(error)))] if shown != fit(error, PROSE_LIMIT) else []),
        context(*_notes(event)),
    )


def recovered(event: Mapping[str, Any]) -> dict[str, Any]:
    """After how long, and what changed meanwhile."""
    changes = event["changes"]
    total, states, jobs = changes["total"], changes["states"], changes["jobs"]
    counts = [f"{states[state]:,} {word(state)}" for state in State if states.get(state)]
    changed = f"{f'{total:,}' if total else 'no'} job{'' if total < 2 else 's'} changed meanwhile"
    keys = [shown for key in jobs[:KEYS] if (shown := short(key, KEY_LIMIT))]
    more = [f"… and {total - len(keys):,} more"] if keys and total > len(keys) else []
    told = f"✅ {connection(event)} answers again{_where(event)} after {span(event['duration_seconds'])}"
    return posted(
        f"{told} ({': '.join(filter(None, [changed, ', '.join(counts)]))})",
        header(told),
        section(mrkdwn(f"*{changed}*\n{stressed(counts)}".rstrip())),
        *([section(plain("\n".join(keys + more)))] if keys else []),
        context(fit(f"{line(event['error'])}, since {since(event)}", ERROR_LIMIT), *_notes(event)),
    )


def _notes(event: Mapping[str, Any]) -> list[str]:
    scope = short(f"scope {event['scope']}", ERROR_LIMIT) if event["scope"] else ""
    return [scope, f"seen {moment(event['observed_at'])}, version {event['version']}"]


def _where(event: Mapping[str, Any]) -> str:
    return f" for scope {short(event['scope'], SCOPE_LIMIT)}" if event["scope"] else ""
