"""The functions, woken by the events that AWS sends them, over a table, queues, a bus and secrets in moto."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pollbridge import config
from pollbridge.aws import client
from pollbridge.history.heads import Heads
from pollbridge.history.table import Table

FUNCTIONS = Path(__file__).parents[2] / "functions"
SIGNING = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5"


class Context:
    """Of a Lambda invocation."""

    def get_remaining_time_in_millis(self) -> int:
        return 55_000


class Deployment:
    """The functions' environment: a table, queues, a bus, secrets, and the configuration in a file."""

    def __init__(self, table: Table, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.table, self.folder, self.env = table, folder, monkeypatch
        self.heads = Heads(table)
        sqs, self.sqs = client("sqs"), client("sqs")
        urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("queue", "dead-letters")}
        client("events").create_event_bus(Name="pollbridge")
        for name, value in {
            "TABLE": table.name,
            "BUS": "pollbridge",
            "QUEUE_URL": urls["queue"],
            "DEAD_LETTER_QUEUE_URL": urls["dead-letters"],
            "CONNECTION": "mentionlab",
            "POLLBRIDGE_CONFIG": str(folder / "pollbridge.json"),
        }.items():
            monkeypatch.setenv(name, value)
        self.configure()

    def configure(self, vendors: str = "http://127.0.0.1:1") -> None:
        private = {"allow_private": True}
        values = {
            "vendors": {
                "mentionlab": {"base_url": f"{vendors}/mentionlab", "secret": "vendor", **private},
                "oration": {"secret": "vendor"},
            },
            "destinations": {
                "team": {"type": "slack", "secret": "team", **private},
                "service": {"type": "webhook", "secret": "service", **private},
            },
        }
        (self.folder / "pollbridge.json").write_text(config.check(values, "test").model_dump_json())

    def keep_secret(self, name: str, **values: str) -> None:
        client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(values))

    def wake(self, function: str, with_: dict[str, Any]) -> Any:
        return loaded(function).handler(with_, Context())

    def received(self) -> str:
        """The receipt handle of a message in the destination's queue."""
        url = self.sqs.get_queue_url(QueueName="queue")["QueueUrl"]
        self.sqs.send_message(QueueUrl=url, MessageBody="x")
        handle: str = self.sqs.receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"]
        return handle

    @property
    def dead_letters(self) -> list[dict[str, Any]]:
        found = self.sqs.receive_message(QueueUrl=self.sqs.get_queue_url(QueueName="dead-letters")["QueueUrl"])
        return list(found.get("Messages", []))


def loaded(function: str) -> ModuleType:
    """The handler's module, as a cold start finds it."""
    spec = importlib.util.spec_from_file_location(f"{function}_handler", FUNCTIONS / function / "handler.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def failures(answer: dict[str, Any]) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
