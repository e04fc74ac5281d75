"""How a vendor is: what a tick's polls say about a connection and its scopes, and when that is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from pydantic import Field, ValidationError

from pollbridge.model.event import Changes, ConnectionEvent, Trouble, VendorRecovered, VendorUnreachable, event_id
from pollbridge.model.instant import iso, read_iso
from pollbridge.model.job import Fact, JobKey, State

PATIENCE = 3
"""Sweeps in a row in which nothing was answered, or a scope's key was refused, until that is told."""

FORGOTTEN = 60
"""Sweeps in a row in which nothing was asked for, until an ailment is dropped: no job is followed there any more."""

JOBS_TOLD = 20
JOBS_TOLD_OF_A_SCOPE = 5

TOLD_AT_ONCE = 50
"""Events of one sweep: they are written in one transaction, which takes a hundred items."""

SCOPES_BYTES = 200_000
"""Room for the scopes that are in trouble: they are kept in the connection's item, and DynamoDB's hold 400 KB."""

AILMENT_BYTES = 250
"""What a scope in trouble takes of that, beside its name and the jobs that changed."""

REFUSALS = frozenset({Trouble.UNAUTHORIZED, Trouble.FORBIDDEN})

Changed = tuple[JobKey, State]


class Ailment(Fact):
    """What keeps the answers of a connection, or of one scope, away."""

    reason: Trouble
    error: str
    since: str
    """When the first tick failed."""
    ticks: int = 1
    """How many failed in a row."""
    told: bool = False
    back: int | None = None
    """The tick that was answered again, once there is one; told when all that was due then has been looked at."""
    changes: Changes = Changes()
    unasked: int = 0
    """Sweeps in a row in which nobody had anything to ask for."""

    @property
    def due(self) -> bool:
        """Whether it is time to tell."""
        return not self.told and self.ticks >= PATIENCE

    @property
    def suspected(self) -> bool:
        """Whether a key was refused that may be refused again: not told yet."""
        return not self.told and self.reason in REFUSALS


@dataclass(frozen=True, slots=True)
class Findings:
    """What a sweep found out about the vendor."""

    minute: int
    at: datetime
    completed: int | None
    """The last tick that is completed after this sweep."""
    failed: str | None = None
    """Every poll failed: the most frequent error."""
    refused: Mapping[str, tuple[Trouble, str]] = field(default_factory=dict)
    """Scopes that were refused, with the error."""
    answered: Collection[str] = ()
    """Scopes that were answered."""
    failing: Collection[str] = ()
    """Scopes in which a job was asked for and not answered."""
    changed: Iterable[Changed] = ()
    """Jobs of which a change was recorded."""


@dataclass(frozen=True, slots=True)
class Told:
    """Something to tell: an ailment that began, or one that is over. Without a scope it is the connection's."""

    scope: str | None
    ailment: Ailment
    recovered: bool


class Health(Fact):
    """What ails a connection. Nothing, usually."""

    connection: Ailment | None = None
    scopes: dict[str, Ailment] = Field(default_factory=dict)

    @classmethod
    def read(cls, text: str | None) -> Self:
        """The inverse of `str`; nothing, and what another release wrote, is good health."""
        try:
            return cls.model_validate_json(text) if text else cls()
        except ValidationError:
            return cls()

    def __str__(self) -> str:
        return self.model_dump_json(exclude_defaults=True)

    def of(self, scope: str) -> Ailment | None:
        """What keeps the answers of that scope's jobs away, if anything does."""
        ailments = (self.connection, self.scopes.get(scope))
        return next((ailment for ailment in ailments if ailment and ailment.back is None), None)

    @property
    def down(self) -> bool:
        """Whether the connection was told to be unreachable, and no answer came since."""
        return bool(self.connection and self.connection.told and self.connection.back is None)

    @property
    def troubles(self) -> int:
        """How many ailments were told and are not over."""
        return sum(ailment.told for ailment in (self.connection, *self.scopes.values()) if ailment)

    def systemic(self, found: Findings) -> bool:
        """Whether what was found ails the whole connection, and says nothing of its jobs."""
        if found.failed is not None:
            return True
        # Several scopes were refused and none answered: the trouble is the key's and not a scope's.
        everywhere = len(found.refused) > 1 and not found.answered
        return everywhere and (self.connection is not None or not self.scopes)

    def after(self, found: Findings) -> tuple[Health, list[Told]]:
        """The health after a sweep, and what is to be told of it."""
        told: list[Told] = []
        changed = list(found.changed)
        connection, scopes = self.connection, dict(self.scopes)
        if self.systemic(found):
            refused = Counter(found.refused.values()).most_common(1)
            reason, error = (Trouble.UNREACHABLE, found.failed) if found.failed else refused[0][0]
            connection = _worse(connection, reason, error, found)
        elif found.answered or not self.down:
            # Refused or answered, the vendor is there: an outage that was not told yet is none.
            if found.answered or found.refused:
                connection = _better(connection, found, changed)
            room = SCOPES_BYTES - sum(_weight(scope, ailment) for scope, ailment in scopes.items())
            for scope, (reason, error) in found.refused.items():
                worse = _worse(scopes.get(scope), reason, error, found)
                if scope not in scopes:
                    room -= _weight(scope, worse)
                if scope in scopes or room >= 0:
                    scopes[scope] = worse
            for scope in found.answered:
                within = [(key, state) for key, state in changed if key.scope == scope]
                jobs = JOBS_TOLD_OF_A_SCOPE if len(scopes) <= TOLD_AT_ONCE else 0
                if better := _better(scopes.pop(scope, None), found, within, jobs):
                    scopes[scope] = better
        asked = {*found.refused, *found.answered, *found.failing}
        connection = _settled(None, _asked(connection, bool(asked or found.failed)), found, told)
        settled = {
            scope: _settled(scope, _asked(ailment, scope in asked or bool(found.failed)), found, told)
            for scope, ailment in scopes.items()
        }
        return Health(connection=connection, scopes={s: a for s, a in settled.items() if a}), told


def _weight(scope: str, ailment: Ailment) -> int:
    """Bytes that a scope takes in the connection's item, at most."""
    return AILMENT_BYTES + sum(len(text.encode("utf-8", "replace")) for text in (scope, *ailment.changes.jobs))


def _worse(ailment: Ailment | None, reason: Trouble, error: str, found: Findings) -> Ailment:
    if ailment is None:
        return Ailment(reason=reason, error=error, since=iso(found.at))
    return ailment.model_copy(update={"ticks": ailment.ticks + 1, "back": None})


def _better(ailment: Ailment | None, found: Findings, changed: list[Changed], jobs: int = JOBS_TOLD) -> Ailment | None:
    if ailment is None or not ailment.told:
        return None
    before = ailment.changes
    states = Counter(before.states) + Counter(state for _, state in changed)
    changes = Changes(
        total=before.total + len(changed),
        states=dict(states),
        jobs=tuple(dict.fromkeys((*before.jobs, *(str(key) for key, _ in changed))))[:jobs],
    )
    back = found.minute if ailment.back is None else ailment.back
    return ailment.model_copy(update={"back": back, "ticks": 0, "changes": changes})


def _asked(ailment: Ailment | None, asked: bool) -> Ailment | None:
    """The ailment, unless nobody has anything to ask for any more."""
    if ailment is None or asked:
        return ailment and ailment.model_copy(update={"unasked": 0})
    forgotten = ailment.unasked + 1 >= FORGOTTEN
    return None if forgotten else ailment.model_copy(update={"unasked": ailment.unasked + 1})


def _settled(scope: str | None, ailment: Ailment | None, found: Findings, told: list[Told]) -> Ailment | None:
    """The ailment as it is kept: told if that is due, dropped if it is over."""
    if ailment is None or len(told) >= TOLD_AT_ONCE:
        return ailment
    if ailment.due:
        ailment = ailment.model_copy(update={"told": True})
        told.append(Told(scope, ailment, recovered=False))
    elif ailment.back is not None and found.completed is not None and found.completed >= ailment.back:
        told.append(Told(scope, ailment, recovered=True))
        return None
    return ailment


def connection_event(
    told: Told, *, vendor: str, connection: str, incarnation: str, version: int, now: datetime
) -> ConnectionEvent:
    """The event that tells it, as that version of the connection."""
    ailment = told.ailment
    facts: dict[str, Any] = {
        "schema": "1",
        "id": event_id(f"CONNECTION#{connection}", incarnation, version),
        "version": version,
        "vendor": vendor,
        "connection": connection,
        "scope": told.scope,
        "reason": ailment.reason,
        "error": ailment.error,
        "since": ailment.since,
        "observed_at": iso(now),
    }
    if not told.recovered:
        return VendorUnreachable(**facts)
    lasted = max(0, int((now - read_iso(ailment.since)).total_seconds()))
    return VendorRecovered(**facts, duration_seconds=lasted, changes=ailment.changes)


WELL = Health()
