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
from pollbridge.observability import count, logger
from pollbridge.publishing.auditor import Auditor
from pollbridge.publishing.bus import Bus


@cache
def auditor() -> Auditor:
    table = Table(client("dynamodb"), os.environ["TABLE"])
    bus = Bus(client("events"), os.environ["BUS"])
    return Auditor(table, bus, Publication(table), frozenset(bundled().vendors))


def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    found = auditor().audit(datetime.now(UTC), lambda: context.get_remaining_time_in_millis() / 1000)
    for entry in (*found.poison, *found.refused):
        logger().error("not published", extra={"job": entry.pk, "version": entry.version, "event_id": entry.event_id})
    for key in found.orphans:
        logger().error("nobody looks at this job", extra={"job": key})
    counts = {
        "Republished": len(found.republished),
        "RepublishFailed": len(found.refused),
        "PoisonEntries": len(found.poison),
        "OrphanedJobs": len(found.orphans),
    }
    logger().info("audited", extra=counts)
    count(dict(counts))
    return counts
