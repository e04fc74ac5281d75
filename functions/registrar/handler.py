"""The queue of `Job Watch Requested` events → jobs that are followed.

Reports each message that cannot be followed; after a few tries it is in the dead-letter queue, which alarms.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from functools import cache
from typing import Any

from pollbridge.aws import client
from pollbridge.config import bundled
from pollbridge.history.connections import Connections
from pollbridge.history.heads import Heads
from pollbridge.history.table import Table
from pollbridge.observability import count, logger
from pollbridge.watches import Watches, WatchRefused


@cache
def watches() -> Watches:
    table = Table(client("dynamodb"), os.environ["TABLE"])
    return Watches(bundled(), Heads(table), Connections(table))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    refused = []
    for record in event["Records"]:
        try:
            key = watches().request(json.loads(record["body"])["detail"], datetime.now(UTC))
        except (WatchRefused, ValueError, KeyError, TypeError) as error:
            logger().error("not watched", extra={"reason": str(error), "message_id": record["messageId"]})
            refused.append(record["messageId"])
        else:
            logger().info("watched", extra={"job": str(key)})
    count({"Watched": len(event["Records"]) - len(refused), "WatchRefused": len(refused)})
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in refused]}
