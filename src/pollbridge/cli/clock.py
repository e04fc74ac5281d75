"""The clock of commands that wait; a test brings its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def _utc() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """How a command waits, in seconds, and what time it takes it to be."""

    now: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    wall: Callable[[], datetime] = _utc
