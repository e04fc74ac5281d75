"""What following a connection's jobs takes: requests, units and seconds of its sweeps, in a month."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pollbridge.cost.assumed import (
    AWS_LATENCY,
    CALL_CPU,
    CHANGE_CPU,
    CPUS_PER_GB,
    CYCLE,
    GET_CPU,
    GIGABYTES,
    HANDSHAKE_CPU,
    HOURS,
    LOOK_CPU,
    PAGE,
    ROW_BYTES,
    ROW_CPU,
    STEADY,
    TICK_CPU,
    TICKS,
    TIMEOUT,
    UNIT_READ,
    VENDOR_LATENCY,
)
from pollbridge.model.cadence import RUNGS
from pollbridge.vendors.answer import Limits

Slots = Mapping[tuple[int, int], float]


@dataclass(frozen=True, slots=True)
class Followed:
    """A connection, as far as it says what it costs."""

    name: str
    slots: Slots
    """Followed jobs by rung and phase."""
    pace: Limits
    secrets: int = 1
    scopes: int = 0
    """Whose lists are read."""
    by_update: bool = False
    """The lists stand ordered by update: then they stand for the polls of their jobs."""
    discovery: float = 5
    """Minutes between two readings of a list."""

    @property
    def watches(self) -> float:
        return sum(self.slots.values())

    def at(self, watches: float) -> Followed:
        """The same with so many jobs, spread as they are, or as in a deployment long in use where there are none."""
        if not self.watches:
            steady = {(rung, phase): share / rung for rung, share in STEADY.items() for phase in range(rung)}
            return replace(self, slots={slot: watches * share for slot, share in steady.items()})
        return replace(self, slots={slot: jobs * watches / self.watches for slot, jobs in self.slots.items()})

    def due(self, minute: int) -> float:
        return sum(jobs for (rung, phase), jobs in self.slots.items() if minute % rung == phase)

    @property
    def busiest(self) -> float:
        """Requests that its busiest minute wants."""
        return max(self._requests(minute) for minute in range(CYCLE))

    @property
    def polls(self) -> float:
        """Requests for one job, in a month."""
        return self._month(self._polls)

    @property
    def requests(self) -> float:
        """All requests to the vendor, in a month."""
        return self._month(self._requests)

    @property
    def asking(self) -> float:
        """Sweeps that ask the vendor anything, in a month."""
        return self._month(self._asks)

    @property
    def reads(self) -> float:
        """DynamoDB's read units of the sweeps, in a month, but for changes."""
        return self._month(self._reads)

    @property
    def writes(self) -> float:
        """Write units of the sweeps: the lease, taken and given back, and how far the lists were read."""
        return 2.0 * TICKS + 3.0 * self.scopes * HOURS

    def seconds(self, changes: float) -> float:
        """For which the sweeps of a month are billed, with so many changes."""
        working = changes * (CHANGE_CPU + 4 * CALL_CPU) / (GIGABYTES["poller"] * CPUS_PER_GB)
        return self._month(self._lasts) + working

    @property
    def connected(self) -> float:
        """TLS connections that the sweeps open, in a month."""
        return self._month(self._connects)

    def _month(self, of: Callable[[int], float]) -> float:
        return float(sum(of(minute) for minute in range(CYCLE)) * TICKS / CYCLE)

    @property
    def _reading(self) -> float:
        """Lists that are read in a minute in which nothing is due."""
        return self.scopes / max(1.0, self.discovery)

    def _polls(self, minute: int) -> float:
        return 0.0 if self.by_update and self.scopes else self.due(minute)

    def _requests(self, minute: int) -> float:
        lists = self._reading
        if self.by_update:
            lists = max(lists, self.scopes * min(1.0, self.due(minute)))
        return self._polls(minute) + lists + self.scopes * max(1.0, self.watches / PAGE) / 60

    def _asks(self, minute: int) -> float:
        return min(1.0, max(self._reading, self.due(minute)))

    def _connects(self, minute: int) -> float:
        return min(float(self.pace.concurrency), self._requests(minute))

    def _reads(self, minute: int) -> float:
        slots = sum(_query(self.slots.get((rung, minute % rung), 0.0)) for rung in RUNGS)
        calendar = self.watches * ROW_BYTES / UNIT_READ / 2
        # A page holds jobs that are followed no more: their heads are looked up, at each reading or hourly.
        looked_up = PAGE / 2 + calendar
        found = self.scopes * looked_up / 60 if self.by_update else self._reading * looked_up
        return slots + self.scopes * (1 + calendar / 60) + found

    def _lasts(self, minute: int) -> float:
        requests, asks, due = self._requests(minute), self._asks(minute), self.due(minute)
        calls = 2 + len(RUNGS) + self.scopes + asks * self.secrets
        working = TICK_CPU + calls * CALL_CPU + due * (LOOK_CPU + ROW_CPU) + requests * GET_CPU
        working += self._connects(minute) * HANDSHAKE_CPU
        rounds = max(asks, requests / self.pace.concurrency)
        waiting = max(rounds * VENDOR_LATENCY, (requests - 1) / self.pace.per_second)
        return min(TIMEOUT, max(working / (GIGABYTES["poller"] * CPUS_PER_GB), waiting) + calls * AWS_LATENCY)


def _query(jobs: float) -> float:
    """Read units of a slot: half of one at least, also where nobody stands in it."""
    return 0.5 * max(1, math.ceil(jobs * ROW_BYTES / UNIT_READ))
