"""Our words for where a job stands."""

from __future__ import annotations

from enum import StrEnum

UNSEEN = "unseen"
"""Stands for a state where a job was registered and not answered for yet."""


class State(StrEnum):
    """Our word for where a job stands. `unknown` is a vendor status not seen before, never an outcome."""

    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    PARTIALLY_FAILED = "partially_failed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    HALTED = "halted"
    ARCHIVED = "archived"
    UNKNOWN = "unknown"

    @property
    def terminal(self) -> bool:
        return self in _TERMINAL


_TERMINAL = frozenset(
    {State.SUCCEEDED, State.PARTIALLY_FAILED, State.FAILED, State.CANCELLED, State.HALTED, State.ARCHIVED}
)
