"""Ticks by hand: the deployed pollers are invoked as the schedule would, each standing for the next minute."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pollbridge.history.connections import Connections
from pollbridge.local.place import LocalError
from pollbridge.model.instant import epoch_minute, from_minute, iso


@dataclass(frozen=True, slots=True)
class Tick:
    """What a tick did, connection by connection."""

    minute: datetime
    reports: list[dict[str, Any]]


def ticks(lambda_: Any, connections: Connections, pollers: Mapping[str, str], times: int) -> Iterator[Tick]:
    """Sweep every connection, side by side, `times` times over.

    Each tick stands for the minute after the last one. Raises LocalError when a sweep itself fails.
    """
    for _ in range(times):
        last = [tick for name in pollers if (tick := connections.get(name).tick) is not None]
        minute = from_minute(max(last) + 1 if last else epoch_minute(datetime.now(UTC)))
        with ThreadPoolExecutor(len(pollers)) as pool:
            sweeps = [pool.submit(_sweep, lambda_, function, minute) for function in pollers.values()]
            yield Tick(minute, [sweep.result() for sweep in sweeps])


def _sweep(lambda_: Any, function: str, minute: datetime) -> dict[str, Any]:
    payload = json.dumps({"virtual_time": iso(minute)}).encode()
    answer = lambda_.invoke(FunctionName=function, InvocationType="RequestResponse", Payload=payload)
    told: dict[str, Any] = json.loads(answer["Payload"].read())
    if answer.get("FunctionError"):
        raise LocalError(f"the sweep {function} failed: {told.get('errorMessage', told)}"[:500])
    return told
