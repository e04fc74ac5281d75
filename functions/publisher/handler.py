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
from pollbridge.observability import count, logger
from pollbridge.publishing.bus import Bus
from pollbridge.publishing.publisher import Publisher


@cache
def publisher() -> Publisher:
    table = Table(client("dynamodb"), os.environ["TABLE"])
    return Publisher(Bus(client("events"), os.environ["BUS"]), Publication(table))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    result = publisher().publish(event["Records"])
    logger().info("published", extra={"published": result.count, "failed": len(result.failed)})
    count({"Published": result.count, "PublishFailed": len(result.failed)})
    return {"batchItemFailures": [{"itemIdentifier": number} for number in result.failed]}
