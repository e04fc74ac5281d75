"""How hard a vendor may be asked: so many requests a second, and so many in any minute, over all sweeps."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Self

from pollbridge.history.connections import Sent
from pollbridge.model.instant import MINUTE
from pollbridge.vendors.answer import Limits

Pause = Callable[[float], Awaitable[None]]


@dataclass(slots=True)
class Pace:
    """Admits requests one by one. A minute is counted by the sweep's clock, a second by the machine's."""

    limits: Limits
    clock: Callable[[], datetime]
    sent: deque[datetime]
    """When the last requests were sent, at most as many as a minute holds."""
    pause: Pause = asyncio.sleep
    monotonic: Callable[[], float] = time.monotonic
    _next: float = field(default=0.0)

    @classmethod
    def after(cls, before: Sent | None, limits: Limits, clock: Callable[[], datetime], pause: Pause) -> Self:
        """Goes on where the last sweep ended. Its requests count as close to its end as they can have been sent."""
        size = max(1, int(limits.per_minute))
        sent: deque[datetime] = deque(maxlen=size)
        if before:
            gap = max(timedelta(seconds=1 / limits.per_second), timedelta.resolution)
            recent = min(before.count, size, max(0, ceil((before.last_at + MINUTE - clock()) / gap)))
            sent.extend(before.last_at - gap * n for n in reversed(range(recent)))
        return cls(limits, clock, sent, pause)

    async def admit(self, time_left: float) -> bool:
        """Wait until one more request may be sent; False if that is later than there is time left, in seconds."""
        while (wait := self._wait()) > 0:
            if wait > time_left:
                return False
            time_left -= wait
            await self.pause(wait)
        now = self.monotonic()
        self._next = max(now, self._next) + 1 / self.limits.per_second
        self.sent.append(self.clock())
        return True

    def _wait(self) -> float:
        """Seconds until the next request may be sent."""
        second = self._next - self.monotonic()
        if len(self.sent) < (self.sent.maxlen or 0):
            return second
        return max(second, (self.sent[0] + MINUTE - self.clock()).total_seconds())

    def told(self) -> Sent | None:
        """What the next sweep has to know."""
        return Sent(len(self.sent), self.sent[-1]) if self.sent else None
