"""The queue of `Job Watch Requested` events → jobs that are followed; what cannot be is reported, and told."""

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
from pollbridge.model.job import KEY_LIMIT, clip
from pollbridge.observability import logger
from pollbridge.watches import Watches, WatchRefused


@cache
def watches() -> Watches:
    table = Table(client("dynamodb"), os.environ["TABLE"])
    return Watches(bundled(), Heads(table), Connections(table))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    refused = []
    for record in event["Records"]:
        job = None
        try:
            detail = json.loads(record["body"])["detail"]
            job = clip(str(detail["key"]), KEY_LIMIT)
            job = str(watches().request(detail, datetime.now(UTC)))
        except (WatchRefused, ValueError, KeyError, TypeError) as error:
            logger().error("not watched", extra={"job": job, "reason": str(error), "message_id": record["messageId"]})
            refused.append({"itemIdentifier": record["messageId"]})
        else:
            logger().info("watched", extra={"job": job})
    return {"batchItemFailures": refused}
