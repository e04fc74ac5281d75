"""EventBridge Scheduler, every hour → publishes what was recorded and not published, reports jobs nobody looks at."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import cache
from typing import Any

from pollbridge.aws import client
from pollbridge.config import bundled
from pollbridge.history.publication import Publication
from pollbridge.history.table import Table
from pollbridge.observability import line, logger, measure
from pollbridge.publishing.auditor import Auditor
from pollbridge.publishing.bus import Bus


@cache
def auditor() -> Auditor:
    table, here = Table(client("dynamodb"), os.environ["TABLE"]), bundled()
    bus = Bus(client("events"), os.environ["BUS"])
    return Auditor(table, bus, Publication(table), frozenset(here.vendors), tuple(here.destinations))


def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    found = auditor().audit(datetime.now(UTC), lambda: context.get_remaining_time_in_millis() / 1000)
    for entry in found.republished:
        logger().info("published", extra=line(entry) | {"republished": entry.republished + 1})
    for entry in (*found.refused, *found.poison):
        logger().error("not published", extra=line(entry) | {"republished": entry.republished})
    for key in found.orphans:
        logger().error("nobody looks at this job", extra={"job": key})
    for name, disabled in found.disabled.items():
        logger().error("nothing is delivered", extra={"destination": name, "reason": disabled.reason.value})
    logger().info("audited", extra=found.counts)
    measure(found.measures())
    return found.counts
