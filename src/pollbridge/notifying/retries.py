"""The retry clock: how long an event waits in its queue before the next attempt."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

STEPS = tuple(
    timedelta(**span)
    for span in (
        {"seconds": 5},
        {"minutes": 5},
        {"minutes": 30},
        {"hours": 2},
        {"hours": 5},
        {"hours": 10},
        {"hours": 10},
    )
)
"""Waits after the first, second, … failed attempt; after the last of them an event is exhausted."""

JITTER = 0.2

LONGEST = timedelta(hours=11)
"""SQS caps an invisible message at 12 hours counted from its receipt, not from the last change."""

ELSEWHERE = timedelta(seconds=30)
"""How long a message waits whose delivery another invocation holds."""

LEASE = timedelta(seconds=75)
"""Longer than a notifier's timeout (60 s): a claim outlives whoever holds it by little."""

OLDEST = timedelta(hours=36)
"""What is only ever put off without an attempt is given up at this age."""

KEPT = timedelta(days=14)
"""SQS deletes a message so long after it was first sent, whatever its visibility: the retention of the queues."""

LAST_HOUR = timedelta(hours=1)


def may_wait(age: timedelta, wait: timedelta) -> bool:
    """Whether a message of that age may wait so long and is still in its queue then.

    As much time again, and an hour at least, is left for it to be taken up late.
    """
    return KEPT - age > max(2 * wait, LAST_HOUR)


@dataclass(frozen=True, slots=True)
class RetryClock:
    """`hurry` makes it run so many times as fast: for a demonstration, where nobody waits for hours."""

    jitter: Callable[[float, float], float] = random.uniform
    hurry: float = 1

    def wait(self, attempts: int, retry_after: timedelta | None, waited: timedelta = timedelta()) -> timedelta | None:
        """The wait after that many attempts, in whole seconds; None when they are exhausted.

        A receiver's `Retry-After` counts within one and two times the step. The step is no shorter than what was
        `waited` already without an attempt.
        """
        if attempts > len(STEPS):
            return None
        step = min(max(STEPS[attempts - 1] / self.hurry, waited), LONGEST)
        if retry_after is not None:
            chosen = min(max(retry_after, step), 2 * step, LONGEST)
        else:
            chosen = min(step * self.jitter(1 - JITTER, 1 + JITTER), LONGEST)
        return timedelta(seconds=max(1, round(chosen.total_seconds())))
