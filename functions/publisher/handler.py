"""The table's stream, inserted history entries only → their events on the bus.

Reports each record that could not be published; the stream brings it again.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from pollbridge.aws import client
from pollbridge.history.publication import Publication
from pollbridge.history.table import Table
from pollbridge.metrics import PUBLISHED
from pollbridge.observability import line, logger, measure
from pollbridge.publishing.bus import Bus
from pollbridge.publishing.publisher import Publisher


@cache
def publisher() -> Publisher:
    table = Table(client("dynamodb"), os.environ["TABLE"])
    return Publisher(Bus(client("events"), os.environ["BUS"]), Publication(table))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    result = publisher().publish(event["Records"])
    for entry in result.entries:
        logger().info("published", extra=line(entry))
    for entry in result.refused:
        logger().error("not published", extra=line(entry))
    for number in result.unreadable:
        logger().error("not published", extra={"sequence_number": number})
    measure({PUBLISHED: result.count})
    return {"batchItemFailures": [{"itemIdentifier": number} for number in result.failed]}
