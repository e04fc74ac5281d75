"""The verdict on a sweep's failures: which speak against the vendor as a whole, and which against a job alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pollbridge.history.heads import DueJob
from pollbridge.model.health import Findings
from pollbridge.model.job import JobKey
from pollbridge.polling.client import BadAnswer, PollError, Refused, Throttled, Unreachable
from pollbridge.polling.scopes import Scopes, refuses_key

MASS = 3
"""404s in one scope from which on they may be the vendor's trouble."""

AGREEMENT = 2
"""Jobs that have to get the same inconclusive status before it says something of the vendor."""

Failure = tuple[DueJob, PollError]


@dataclass(frozen=True, slots=True)
class Sample:
    """Jobs of one scope that were asked about though they were not due, to judge its 404s by."""

    followed: int
    """How many jobs of the scope are followed and were not lost before."""
    others: int
    """How many of those nobody had asked about before the sample was drawn."""
    answered: int
    """How many of the sample were answered for: with 200, or with a 404."""
    missing: int
    """How many of the sample got a 404."""


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
    samples: dict[str, Sample] = field(default_factory=dict)
    """By scope."""

    @property
    def alive(self) -> bool:
        """Whether the vendor said something of use to anybody."""
        return bool(self.answered())

    @property
    def doubtful(self) -> bool:
        """Whether what failed may be broken jobs, or a list, of a vendor that is well."""
        inconclusive = any(is_inconclusive(error) for _, error in self.failures)
        return (inconclusive or bool(self.troubles())) and not self.alive

    def answered(self) -> set[str]:
        """The scopes that were answered: with a job or a list, or with an honest no."""
        mass = self.mass()
        no = {job.key.scope for job, error in self.failures if is_missing(error)} - mass
        scopes = self.scopes.by_name.items()
        return {name for name, scope in scopes if (scope.good or name in no) and not scope.closed}

    def missing(self) -> dict[str, set[JobKey]]:
        """The jobs that the vendor says it does not know, where there are enough of them to doubt it, by scope.

        A job that was reported lost is no news.
        """
        found: dict[str, set[JobKey]] = defaultdict(set)
        for job, error in self.failures:
            if is_missing(error) and not job.row.lost:
                found[job.key.scope].add(job.key)
        return {scope: keys for scope, keys in found.items() if len(keys) >= MASS}

    def mass(self) -> set[str]:
        """The scopes more than half of whose followed jobs are unknown to the vendor at once: that is its trouble."""
        return {scope for scope, keys in self.missing().items() if self._missing_share(scope, len(keys)) > 1 / 2}

    def _missing_share(self, scope: str, missing: int) -> float:
        """How many of the scope's followed jobs are missing, as a share of 1: those that are due may be no fair sample.

        A job that failed is due sooner than its neighbours.
        """
        sample = self.samples.get(scope)
        if sample is None or not sample.answered:
            return missing / (missing + self.scopes[scope].good)
        estimate = missing - sample.missing + sample.others * sample.missing / sample.answered
        return estimate / sample.followed

    def troubles(self) -> list[str]:
        """The errors that speak against the vendor as a whole."""
        mass = self.mass()
        polls = [
            str(error)
            for job, error in self.failures
            if is_trouble(error) or (is_missing(error) and job.key.scope in mass)
        ]
        inconclusive = Counter(str(error) for _, error in self.failures if is_inconclusive(error))
        agreed = [error for error, jobs in inconclusive.items() if jobs >= AGREEMENT for _ in range(jobs)]
        return polls + agreed + [str(error) for error in self.lists if is_trouble(error)]

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
            failing={job.key.scope for job, _ in (*self.failures, *self.shut_out)},
        )


def is_trouble(error: PollError) -> bool:
    """Whether an error says more of the vendor than of the job."""
    return isinstance(error, Unreachable | BadAnswer) or (isinstance(error, Refused) and error.status >= 500)


def is_missing(error: PollError) -> bool:
    """Whether the vendor says that it does not know the job (any more)."""
    return isinstance(error, Refused) and error.status in {404, 410}


def is_inconclusive(error: PollError) -> bool:
    """Whether an answer came that says nothing of the job: a redirect, 204, 400, 402 and the like."""
    told = isinstance(error, Throttled) or is_missing(error) or refuses_key(error) or is_trouble(error)
    return isinstance(error, Refused) and not told
