"""Which destination hears of which event: a destination's `match` as an EventBridge pattern.

The rule that routes at deploy and every answer to "who would hear of this?" come from this one function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pollbridge.config import Match

SOURCE = "pollbridge"
WATCH_REQUESTED = "Job Watch Requested"

JOB_TYPES = ("Job State Changed", "Job First Seen", "Job Lost", "Job Updated", "Job Progressed")
CONNECTION_TYPES = ("Vendor Unreachable", "Vendor Recovered")
DESTINATION_TYPES = ("Destination Disabled",)

QUIET = frozenset({"Job First Seen", "Job Progressed"})
"""Not told unless asked for."""


def pattern(match: Match) -> dict[str, Any]:
    """The EventBridge pattern of a destination's rule.

    Each kind of event gets a branch of its own holding just the fields such events have, so that a key
    like `state` narrows job events without swallowing those of connections and destinations.
    """
    if match.pattern is not None:
        return {**match.pattern, "source": [SOURCE]}
    branches = [
        *_branches(_wanted(match, JOB_TYPES), _job_fields(match), match),
        *_branch(_wanted(match, CONNECTION_TYPES), _connection_fields(match)),
        *_branch(_wanted(match, DESTINATION_TYPES), {}),
    ]
    if len(branches) == 1:
        return {"source": [SOURCE], **branches[0]}
    return {"source": [SOURCE], "$or": branches}


def _wanted(match: Match, types: Sequence[str]) -> list[str]:
    if match.detail_type is not None:
        return [name for name in types if name in match.detail_type]
    return [name for name in types if name not in QUIET]


def _branches(types: list[str], fields: Mapping[str, Any], match: Match) -> list[dict[str, Any]]:
    if match.detail_type is not None or match.reasons is not None:
        return _branch(types, fields)
    # Unless asked otherwise, an update is worth a message only when it brings a link.
    updated = {**fields, "reasons": ["link_added"]}
    return [
        *_branch([name for name in types if name != "Job Updated"], fields),
        *_branch([name for name in types if name == "Job Updated"], updated),
    ]


def _branch(types: list[str], fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not types:
        return []
    return [{"detail-type": types, **({"detail": dict(fields)} if fields else {})}]


def _connection_fields(match: Match) -> dict[str, Any]:
    return _present({"vendor": match.vendor, "connection": match.connection})


def _job_fields(match: Match) -> dict[str, Any]:
    labels = _present(match.labels or {})
    job = _present({"kind": match.kind, "scope": match.scope}) | ({"labels": labels} if labels else {})
    fields = _connection_fields(match) | _present({"reasons": match.reasons})
    if job:
        fields["job"] = job
    if match.state is not None:
        fields["to"] = _present({"state": match.state})
    return fields


def _present(fields: Mapping[str, Sequence[str] | None]) -> dict[str, Any]:
    return {name: [str(value) for value in values] for name, values in fields.items() if values is not None}
