"""Which destination hears of which event: a destination's `match` as an EventBridge pattern.

The rule that routes at deploy and every answer to "who would hear of this?" come from this one function.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pollbridge.matching import mistake

SOURCE = "pollbridge"
WATCH_REQUESTED = "Job Watch Requested"

JOB_TYPES = ("Job State Changed", "Job First Seen", "Job Lost", "Job Updated", "Job Progressed")
CONNECTION_TYPES = ("Vendor Unreachable", "Vendor Recovered")
DESTINATION_TYPES = ("Destination Disabled",)

QUIET = frozenset({"Job First Seen", "Job Progressed"})
"""Not told unless asked for."""


LONGEST_PATTERN = 2048
"""Characters, by default: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""


class InvalidPattern(ValueError):
    """EventBridge would not take the pattern; the message is one line that says why."""


class Match(Protocol):
    """Which events a destination hears of, as `pollbridge.toml` says it; None where it says nothing."""

    @property
    def vendor(self) -> Sequence[str] | None: ...
    @property
    def connection(self) -> Sequence[str] | None: ...
    @property
    def kind(self) -> Sequence[str] | None: ...
    @property
    def scope(self) -> Sequence[str] | None: ...
    @property
    def state(self) -> Sequence[str] | None: ...
    @property
    def reasons(self) -> Sequence[str] | None: ...
    @property
    def detail_type(self) -> Sequence[str] | None: ...
    @property
    def labels(self) -> Mapping[str, Sequence[str]] | None: ...
    @property
    def pattern(self) -> Mapping[str, Any] | None: ...


def pattern(match: Match, destination: str) -> dict[str, Any]:
    """The EventBridge pattern of a destination's rule. Raises InvalidPattern.

    Each kind of event gets a branch of its own holding just the fields such events have, so that a key
    like `state` narrows job events without swallowing those of connections and destinations.
    No destination hears of its own disabling: that event is for the others.
    """
    made = _pattern(match, destination)
    if found := mistake(made):
        raise InvalidPattern(found)
    if (length := _length(made)) > LONGEST_PATTERN:
        raise InvalidPattern(f"makes a pattern of {length} characters; EventBridge takes {LONGEST_PATTERN}")
    return made


def _pattern(match: Match, destination: str) -> dict[str, Any]:
    if match.pattern is not None:
        return {**match.pattern, "source": [SOURCE]}
    branches = [
        *_branches(_wanted(match, JOB_TYPES), _job_fields(match), match),
        *_branch(_wanted(match, CONNECTION_TYPES), _connection_fields(match)),
        *_branch(_wanted(match, DESTINATION_TYPES), {"destination": [{"anything-but": [destination]}]}),
    ]
    if len(branches) == 1:
        return {"source": [SOURCE], **branches[0]}
    return {"source": [SOURCE], "$or": branches}


def _length(pattern: Mapping[str, Any]) -> int:
    """Characters as Java counts them, two for what lies beyond U+FFFF; CloudFormation sends no blanks."""
    return len(json.dumps(pattern, separators=(",", ":"), ensure_ascii=False).encode("utf-16-le")) // 2


def _wanted(match: Match, types: Sequence[str]) -> list[str]:
    if match.detail_type is not None:
        return [name for name in types if name in match.detail_type]
    return [name for name in types if name not in QUIET]


def _branches(types: list[str], fields: Mapping[str, Any], match: Match) -> list[dict[str, Any]]:
    if match.detail_type is not None or match.reasons is not None:
        return _branch(types, fields)
    # Unless asked otherwise, an update is worth a message only when it brings a link.
    branches = [
        *_branch([name for name in types if name != "Job Updated"], {}),
        *_branch(["Job Updated"], {"reasons": ["link_added"]}),
    ]
    # What both want is written once: scopes soon fill a pattern.
    return [{"$or": branches, "detail": dict(fields)}] if fields else branches


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
