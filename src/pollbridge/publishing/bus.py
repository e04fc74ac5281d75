"""The event bus: entries go out in tens, and what the bus refuses is known by name."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pollbridge.history.entries import Entry
from pollbridge.model.instant import read_iso
from pollbridge.routing import SOURCE

BATCH_ENTRIES = 10
BATCH_BYTES = 900_000
"""PutEvents takes ten entries and less than 1 MB in all (EventBridge quotas)."""

TRIES = 3


@dataclass(frozen=True, slots=True)
class Bus:
    """One event bus."""

    client: Any
    name: str
    pause: Callable[[float], None] = time.sleep

    def publish(self, entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
        """Put the entries' events on the bus. Returns those it took and those it refused three times over."""
        published: list[Entry] = []
        refused: list[Entry] = []
        for batch in batches(entries):
            left = batch
            for attempt in range(TRIES):
                if attempt:
                    self.pause(random.uniform(0.1, 0.3) * 2**attempt)
                took, left = self._put(left)
                published += took
                if not left:
                    break
            refused += left
        return published, refused

    def _put(self, batch: list[Entry]) -> tuple[list[Entry], list[Entry]]:
        answer = self.client.put_events(
            Entries=[
                {
                    "EventBusName": self.name,
                    "Source": SOURCE,
                    "DetailType": entry.detail_type,
                    "Detail": entry.event,
                    "Time": read_iso(entry.observed_at),
                }
                for entry in batch
            ]
        )
        # A failure per entry comes in a 200.
        results = list(zip(batch, answer["Entries"], strict=True))
        took = [entry for entry, result in results if "ErrorCode" not in result]
        return took, [entry for entry, result in results if "ErrorCode" in result]


def batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Split by number and by bytes, in order."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        weight = len(entry.event.encode()) + 256
        if batch and (len(batch) == BATCH_ENTRIES or size + weight > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += weight
    if batch:
        yield batch
