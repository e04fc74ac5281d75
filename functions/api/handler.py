"""A signed request to the Function URL → its answer.

Whatever is wrong is answered as a problem; the invocation fails only when nothing can be answered.
"""

from __future__ import annotations

import json
import os
from functools import cache
from typing import Any

from pollbridge.api.app import Api
from pollbridge.api.means import Means, Queues
from pollbridge.aws import client
from pollbridge.config import bundled
from pollbridge.history.table import Table


@cache
def api() -> Api:
    table = Table(client("dynamodb"), os.environ["TABLE"])
    return Api(Means(bundled(), table, queues, cache(lambda: client("sqs"))))


@cache
def queues() -> Queues:
    """Of every destination, as the stack tells them: an environment has no room for many."""
    told = client("cloudformation").describe_stack_resource(
        StackName=os.environ["STACK"], LogicalResourceId="Configuration"
    )
    found: Queues = json.loads(told["StackResourceDetail"]["Metadata"])["pollbridge"]["destinations"]
    return found


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return api().answer(event, context)
