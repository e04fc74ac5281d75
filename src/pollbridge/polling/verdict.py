"""The verdict on a sweep's failures: which speak against the vendor as a whole, and which against a job alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pollbridge.history.heads import DueJob
from pollbridge.model.health import Findings
from pollbridge.polling.client import BadAnswer, PollError, Refused, Unreachable
from pollbridge.polling.scopes import Scopes, refuses_key

MASS = 3
"""404s in one scope from which on they may be the vendor's trouble."""

Failure = tuple[DueJob, PollError]


@dataclass(slots=True)
class Verdict:
    """What a sweep's polls and lists came to."""

    scopes: Scopes
    failures: list[Failure] = field(default_factory=list)
    """Of jobs whose scope is open."""
    shut_out: list[Failure] = field(default_factory=list)
    """Of jobs whose scope is closed."""
    lists: Sequence[PollError] = ()
    """What kept lists from being read."""

    @property
    def alive(self) -> bool:
        """Whether the vendor said something of use to anybody."""
        return bool(self.answered())

    @property
    def doubtful(self) -> bool:
        """Whether what failed may be broken jobs, or a list, of a vendor that is well."""
        return bool(self.troubles()) and not self.alive

    def answered(self) -> set[str]:
        """The scopes that were answered: with a job or a list, or with an honest no."""
        mass = self.mass()
        no = {
            job.key.scope
            for job, error in self.failures
            if isinstance(error, Refused)
            and not is_trouble(error)
            and not refuses_key(error)
            and job.key.scope not in mass
        }
        scopes = self.scopes.by_name.items()
        return {name for name, scope in scopes if (scope.good or name in no) and not scope.closed}

    def mass(self) -> dict[str, int]:
        """Where more than half of a scope's jobs are unknown to the vendor at once, which is its trouble: how many."""
        missing = Counter(job.key.scope for job, error in self.failures if is_missing(error))
        return {scope: n for scope, n in missing.items() if n >= MASS and n > self.scopes[scope].good}

    def troubles(self) -> list[str]:
        """The errors that speak against the vendor as a whole."""
        mass = self.mass()
        polls = [
            str(error)
            for job, error in self.failures
            if is_trouble(error) or (is_missing(error) and job.key.scope in mass)
        ]
        return polls + [str(error) for error in self.lists if is_trouble(error)]

    def findings(self, minute: int, now: datetime) -> Findings:
        """What is to be known of the vendor's health, as of this sweep."""
        answered, troubles = self.answered(), self.troubles()
        return Findings(
            minute=minute,
            at=now,
            completed=None,
            failed=Counter(troubles).most_common(1)[0][0] if troubles and not answered else None,
            refused={name: scope.trouble for name, scope in self.scopes.by_name.items() if scope.trouble},
            answered=answered,
        )


def is_trouble(error: PollError) -> bool:
    """Whether an error says more of the vendor than of the job."""
    return isinstance(error, Unreachable | BadAnswer) or (isinstance(error, Refused) and error.status >= 500)


def is_missing(error: PollError) -> bool:
    return isinstance(error, Refused) and error.status == 404
