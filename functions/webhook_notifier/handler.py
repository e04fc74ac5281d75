"""The queue of one webhook destination → its receiver.

Reports each message that has to come back; what is exhausted is in the dead-letter queue.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from pollbridge.aws import client
from pollbridge.config import bundled
from pollbridge.history.table import Table
from pollbridge.notifying.deliveries import Deliveries, Queue
from pollbridge.notifying.destination import deliveries
from pollbridge.observability import count, logger
from pollbridge.secrets import Secrets


@cache
def destination() -> Deliveries:
    queue = Queue(client("sqs"), os.environ["QUEUE_URL"], os.environ["DEAD_LETTER_QUEUE_URL"])
    table = Table(client("dynamodb"), os.environ["TABLE"])
    return deliveries(os.environ["DESTINATION"], bundled(), table, queue, Secrets(client("secretsmanager")))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    result = destination().deliver(event["Records"], lambda: context.get_remaining_time_in_millis() / 1000)
    extra = {"destination": os.environ["DESTINATION"], **result.counts, "errors": result.errors}
    logger().info("delivered", extra=extra)
    count({name.title(): n for name, n in result.counts.items()}, destination=os.environ["DESTINATION"])
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in result.back]}
