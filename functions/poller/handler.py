"""EventBridge Scheduler, every minute → one sweep of one connection.

A vendor's errors are part of the result; the invocation fails only when the sweep itself does.
"""

from __future__ import annotations

import asyncio
import os
from functools import cache
from typing import Any

from pollbridge.aws import client
from pollbridge.config import bundled
from pollbridge.history.table import Table
from pollbridge.observability import count, logger
from pollbridge.polling.poller import Poller


@cache
def poller() -> Poller:
    table = Table(client("dynamodb"), os.environ["TABLE"])
    return Poller.of(os.environ["CONNECTION"], bundled(), table, client("secretsmanager"))


def handler(event: dict[str, Any], context: Any) -> dict[str, object]:
    report = asyncio.run(poller().sweep(event, lambda: context.get_remaining_time_in_millis() / 1000))
    logger().info("swept", extra=report.json_object())
    told = {"MinutesBehind": report.behind, "JobsLeft": report.left, "Troubles": report.troubles}
    counts = {name.title(): n for name, n in report.counts.items()}
    count({"Sweeps": 1, **told, **counts}, connection=report.connection)
    return report.json_object()
