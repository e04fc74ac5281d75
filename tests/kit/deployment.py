"""A local deployment of its own with the simulated vendors, and how it becomes again as `local up` left it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pollbridge.aws import client
from pollbridge.local.place import Place, State
from pollbridge.local.running import control
from pollbridge.local.simulation import seed
from tests.kit.stranger import Reply, stranger

LOOKS = 200
"""At the queues, until nothing is under way any more."""


def environment(state: State, folder: str) -> dict[str, str]:
    """What leads a reader to the deployment, as `local env` does, and to its simulated servers."""
    servers = {name.upper(): f"http://127.0.0.1:{state.ports[name]}" for name in ("vendors", "inbox")}
    return {**state.environment(), **servers, "POLLBRIDGE_LOCAL": folder}


def instead(state: State) -> dict[str, str]:
    """What stands in documents for an address of the reader's own, and which one this deployment has for it."""
    return {"https://example.com/hooks": f"http://127.0.0.1:{state.ports['inbox']}/webhook/service"}


@contextmanager
def stand_ins() -> Iterator[dict[str, str]]:
    """For a vendor simulator and a receiver of the reader's own: a server that knows a job, by what stands for it."""
    with stranger() as server:
        server.scripts["/jobs/j1"] = [Reply.json(id="j1", status="success", name="a job", error=None)]
        yield {"http://127.0.0.1:9001": server.url, "http://127.0.0.1:9002": server.url}


def fresh(state: State) -> None:
    """Forget everything that happened: jobs, histories, messages, troubles of vendors and receivers."""
    with _leading_to(state):
        outputs = client("cloudformation").describe_stacks(StackName=state.stack)["Stacks"][0]["Outputs"]
        [table] = [output["OutputValue"] for output in outputs if output["OutputKey"] == "TableName"]
        for vendor in ("mentionlab", "oration", "scale", "mintlify"):
            control(state, "vendors", "POST", "outage", {"vendor": vendor, "fault": None})
        for receiver in ("slack/team", "webhook/service", "slack-api/board"):
            control(state, "inbox", "PUT", f"faults/{receiver}", {"steps": []})
        _empty_queues()
        _empty(table)
        seed(state)


def _empty_queues() -> None:
    """Once nothing is under way: what a function still holds would write to the emptied table."""
    sqs = client("sqs")
    queues = sqs.list_queues().get("QueueUrls", [])
    for _ in range(LOOKS):
        for queue in queues:
            sqs.purge_queue(QueueUrl=queue)
        if not any(_held(sqs, queue) for queue in queues):
            return
        time.sleep(0.05)


def _held(sqs: Any, queue: str) -> int:
    name = "ApproximateNumberOfMessagesNotVisible"
    return int(sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=[name])["Attributes"][name])


def _empty(table: str) -> None:
    dynamodb = client("dynamodb")
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ProjectionExpression="PK, SK"):
        for item in page["Items"]:
            dynamodb.delete_item(TableName=table, Key=item)


@contextmanager
def _leading_to(state: State) -> Iterator[None]:
    before: Mapping[str, str] = dict(os.environ)
    os.environ.update(state.environment())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


if __name__ == "__main__":
    # A document's setup: `python -m tests.kit.deployment` forgets what the document did so far.
    running = Place.of_checkout().read()
    assert running
    fresh(running)
