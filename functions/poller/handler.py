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
from pollbridge.observability import logger, measure
from pollbridge.polling.poller import Poller
from pollbridge.polling.report import LINES


@cache
def poller() -> Poller:
    table = Table(client("dynamodb"), os.environ["TABLE"])
    return Poller.of(os.environ["CONNECTION"], bundled(), table, client("secretsmanager"))


def handler(event: dict[str, Any], context: Any) -> dict[str, object]:
    report = asyncio.run(poller().sweep(event, lambda: context.get_remaining_time_in_millis() / 1000))
    for change in report.recorded[:LINES]:
        logger().info("recorded", extra=change)
    logger().info("swept", extra=report.json_object() | {"recorded": len(report.recorded)})
    measure(report.measures(), connection=report.connection)
    return report.json_object()
