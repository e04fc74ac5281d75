"""What counts as a change between two snapshots of a job, and why."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from pollbridge.model.job import Snapshot, State


class Reason(StrEnum):
    """Why a change is told, strongest first."""

    FIRST_SEEN = "first_seen"
    STATE_CHANGED = "state_changed"
    REOPENED = "reopened"
    FOUND = "found"
    LOST = "lost"
    EXPIRED = "expired"
    """Nothing new for so long that the job is no longer followed."""
    ARCHIVED = "archived"
    UNARCHIVED = "unarchived"
    """Back to the outcome that the job had before it was archived."""
    LINK_ADDED = "link_added"
    ERROR_CHANGED = "error_changed"
    PROGRESSED = "progressed"


_STRENGTH = tuple(Reason)


@dataclass(frozen=True, slots=True)
class Change:
    """The step from the last recorded snapshot (None at first sight) to the current one."""

    previous: Snapshot | None
    current: Snapshot
    reasons: tuple[Reason, ...]
    seen: bool = True
    """Whether the vendor said `current`; else it is what was known before."""
    outcome: State | None = None
    """The outcome that an archived job had before it was archived, if it is known."""

    @property
    def lost(self) -> bool:
        return Reason.LOST in self.reasons


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Exactly what `detect` reads of a snapshot, small enough to travel in every row of the due index.

    Three of its marks only ever rise between two recorded snapshots, because only their rise is news:
    the tenths done, whether anything failed, the links seen.
    """

    state: State
    word: str = ""
    tenth: int = 0
    failing: bool = False
    error: str = ""
    links: frozenset[str] = frozenset()

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        progress = snapshot.progress
        return cls(
            state=snapshot.state,
            word=_digest(snapshot.vendor_status) if snapshot.state is State.UNKNOWN else "",
            tenth=progress.tenth if progress else 0,
            failing=bool(progress and progress.failed),
            error=_digest(snapshot.error),
            links=frozenset(_digest(f"{link.rel} {link.href}") for link in snapshot.links),
        )

    @classmethod
    def read(cls, text: str) -> Self:
        """The inverse of `str`."""
        state, word, tenth, failing, error, links = text.split("|")
        return cls(State(state), word, int(tenth), failing == "1", error, frozenset(links.split(",")) - {""})

    def __str__(self) -> str:
        marks = ",".join(sorted(self.links))
        return f"{self.state}|{self.word}|{self.tenth}|{int(self.failing)}|{self.error}|{marks}"

    def since(self, recorded: Self) -> Self:
        """The fingerprint with the rising marks no lower than they were recorded: equal to `recorded` ⇔ no change."""
        return replace(
            self,
            tenth=max(self.tenth, recorded.tenth),
            failing=self.failing or recorded.failing,
            links=self.links | recorded.links,
        )


def _digest(text: str | None) -> str:
    return "" if text is None else hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()


def detect(
    previous: Snapshot | None, current: Snapshot, *, lost: bool = False, outcome: State | None = None
) -> Change | None:
    """Compare meaning, never clocks: timestamps alone, or another word for the same state, are no change.

    `lost`: the vendor had said that it doesn't know the job; any answer is news then. `outcome`: of an archived job,
    as the change that archived it had it.
    """
    if previous is None:
        terminal = (Reason.STATE_CHANGED,) if current.state.terminal else ()
        found = (Reason.FOUND,) if lost else ()
        return Change(None, current, (Reason.FIRST_SEEN, *terminal, *found))
    before = Fingerprint.of(previous)
    after = Fingerprint.of(current).since(before)
    reasons = [*_state_reasons(before, after, outcome)]
    if lost:
        reasons.append(Reason.FOUND)
    if after.links != before.links:
        reasons.append(Reason.LINK_ADDED)
    if after.error != before.error:
        reasons.append(Reason.ERROR_CHANGED)
    if (after.tenth, after.failing) != (before.tenth, before.failing):
        reasons.append(Reason.PROGRESSED)
    if not reasons:
        return None
    archived = current.state is State.ARCHIVED
    kept = outcome if previous.state is State.ARCHIVED else previous.state if previous.state.terminal else None
    return Change(previous, current, tuple(sorted(reasons, key=_STRENGTH.index)), outcome=kept if archived else None)


def withholds_outcome(previous: Snapshot, current: Snapshot) -> bool:
    """Whether a job that had ended is answered for without an outcome: a status that is missing or unrecognised."""
    if not previous.state.terminal or previous.state is current.state:
        return False
    return current.state is State.UNKNOWN or (current.state is State.HALTED and current.vendor_status is None)


def absent(previous: Snapshot | None, reason: Reason) -> Change:
    """Nothing new was said, and that is the news: the job is lost, or its watch has expired."""
    return Change(previous, previous or Snapshot(state=State.UNKNOWN), (reason,), seen=False)


def _state_reasons(before: Fingerprint, after: Fingerprint, outcome: State | None) -> tuple[Reason, ...]:
    if (after.state, after.word) == (before.state, before.word):
        return ()
    if before.state is State.ARCHIVED and after.state is outcome:
        return (Reason.UNARCHIVED,)
    if before.state.terminal and after.state is State.ARCHIVED:
        # The job had already ended: filing it away is no second completion.
        return (Reason.ARCHIVED,)
    if before.state.terminal and not after.state.terminal and after.state is not State.UNKNOWN:
        return (Reason.STATE_CHANGED, Reason.REOPENED)
    return (Reason.STATE_CHANGED,)
