"""Pollers that race: each holds an answer of its own for the same job, and records it when told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

from pollbridge.history.entries import Observation
from pollbridge.history.heads import DueJob
from pollbridge.history.table import LostRace
from pollbridge.model.instant import epoch_minute
from pollbridge.model.job import JobKey
from pollbridge.polling.recording import Recorder
from pollbridge.polling.report import Report
from tests.kit.sweeping import Bench, oration_body


@dataclass(frozen=True, slots=True)
class Meeting:
    """A client whose callers wait for each other before they make that call."""

    client: Any
    operation: str
    barrier: Barrier

    def __getattr__(self, operation: str) -> Any:
        call = getattr(self.client, operation)
        if operation != self.operation:
            return call

        def after_all_have_come(**arguments: Any) -> Any:
            self.barrier.wait(timeout=30)
            return call(**arguments)

        return after_all_have_come


def recording(
    bench: Bench, key: JobKey, status: str, asked_at: datetime, latency: timedelta = timedelta(0)
) -> Callable[[], str]:
    """A sweep that has its answer and records it when called; returns what became of it."""
    body = json.dumps(oration_body(key.id, status=status)).encode()
    observation = Observation(asked_at, asked_at + latency, body, hashlib.sha256(body).hexdigest()[:16])
    head = bench.head(key)
    assert head.slot
    assert head.row
    job = DueJob(key, head.slot, head.row)
    recorder = Recorder(
        bench.connection,
        bench.heads,
        bench.entries,
        lambda: bench.now,
        epoch_minute(asked_at),
        None,
        Report("oration", asked_at),
    )
    kind = bench.connection.vendor.kinds[key.kind]

    def record() -> str:
        with suppress(LostRace):
            return recorder.record(job, kind.answer(key, body), observation)
        return "lost"

    return record
