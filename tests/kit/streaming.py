"""The table's stream and the event bus, as far as a publisher can tell."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pollbridge.history.entries import UNPUBLISHED, Entry
from pollbridge.history.table import Table

MOST = 10
HEAVIEST = 1024 * 1024
"""Of one PutEvents: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""


@dataclass
class EventBus:
    """A client of EventBridge that keeps what it takes; `refuses` says which events fail, one by one, in a 200."""

    refuses: Callable[[dict[str, Any]], bool] = lambda _: False
    calls: list[list[dict[str, Any]]] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        assert 0 < len(Entries) <= MOST
        assert sum(len(entry["Detail"].encode()) + len(entry["DetailType"]) + 64 for entry in Entries) < HEAVIEST
        self.calls.append(Entries)
        results = []
        for entry in Entries:
            if self.refuses(json.loads(entry["Detail"])):
                results.append({"ErrorCode": "InternalFailure", "ErrorMessage": "An internal error occurred"})
            else:
                self.taken.append(entry)
                results.append({"EventId": f"{len(self.taken)}"})
        return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(entry["Detail"]) for entry in self.taken]

    @property
    def ids(self) -> Counter[str]:
        return Counter(event["id"] for event in self.events)


def records(table: Table) -> list[dict[str, Any]]:
    """The stream so far: each history entry as it was inserted, with the mark that it may have lost since."""
    pages = table.client.scan(TableName=table.name)["Items"]
    entries = sorted((item for item in pages if item["SK"]["S"].startswith("V#")), key=_order)
    return [record(item | {"unpublished": UNPUBLISHED}, number) for number, item in enumerate(entries, start=1)]


def _order(item: dict[str, Any]) -> tuple[str, str, str]:
    return item["recorded_at"]["S"], item["PK"]["S"], item["SK"]["S"]


def record(item: dict[str, Any], number: int) -> dict[str, Any]:
    keys = {name: item[name] for name in ("PK", "SK")}
    return {
        "eventID": f"{number:032x}",
        "eventName": "INSERT",
        "eventSource": "aws:dynamodb",
        "dynamodb": {"Keys": keys, "NewImage": item, "SequenceNumber": str(number), "StreamViewType": "NEW_IMAGE"},
    }


def entries(number: int, weight: int = 100) -> Iterable[Entry]:
    """So many entries of one job, each with an event of about that many bytes."""
    for version in range(1, number + 1):
        detail = json.dumps({"id": f"id-{version}", "version": version, "message": "x" * weight})
        yield Entry(
            "JOB#oration/job/acme/j1",
            f"V#{version:010d}",
            version,
            f"id-{version}",
            "Job Progressed",
            detail,
            "2026-06-08T12:00:00Z",
            unpublished=True,
            republished=0,
        )
