"""What a deployment consists of, follows and records, as far as it says what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pollbridge.aws import client
from pollbridge.cli.deployment import Deployment
from pollbridge.config import Connection
from pollbridge.cost import Setup
from pollbridge.cost.sweeps import Followed
from pollbridge.history.table import Table
from pollbridge.model.cadence import RUNGS, Slot
from pollbridge.model.instant import read_iso, sortable

SPAN = timedelta(days=7)
"""Over which changes are counted."""

PAGES = 200
"""Of the timeline that are counted, 1 MB each; where there are more, their span says how often."""

THREADS = 8


@dataclass(frozen=True, slots=True)
class Found:
    """What was found out of a deployment."""

    stack: str
    region: str
    scheduled: bool
    setup: Setup
    days: float
    """Over which the changes were counted."""
    stored_gb: float


def look_at(deployment: Deployment) -> Found:
    """Ask the deployment what it consists of, follows, and recorded."""
    configuration, table = deployment.configuration, deployment.table
    vendors, history = configuration.vendors, configuration.history
    now = deployment.connections.clock(vendors, datetime.now(UTC))
    # Destinations are taken to hear of all that is recorded: who hears of what is up to their rules.
    destinations = {name: each.type for name, each in configuration.destinations.items() if each.enabled}
    changes, days = recorded(table, now)
    resources = list(_resources(client("cloudformation"), deployment.stack))
    setup = Setup(
        connections=followed(table, vendors),
        destinations=destinations,
        changes=changes,
        alarms=resources.count("AWS::CloudWatch::Alarm"),
        dashboards=resources.count("AWS::CloudWatch::Dashboard"),
        secrets=len(configuration.secrets),
        retain=history.retain / timedelta(days=1),
        raw=history.raw / timedelta(days=1),
    )
    region = table.client.meta.region_name
    return Found(
        deployment.stack, region, bool(deployment.parts.get("scheduled", True)), setup, days, _stored(table) / 1e9
    )


def followed(table: Table, vendors: Mapping[str, Connection]) -> list[Followed]:
    """The connections with what they follow, counted slot by slot."""
    slots = [Slot(name, rung, phase) for name in vendors for rung in RUNGS for phase in range(rung)]

    def jobs(slot: Slot) -> int:
        return sum(count for count, _ in _counts(table, "due", "due_slot = :slot", {":slot": str(slot)}))

    with ThreadPoolExecutor(THREADS) as pool:
        counted = dict(zip(slots, pool.map(jobs, slots), strict=True))
    return [
        Followed(
            name=name,
            slots={(slot.rung, slot.phase): n for slot, n in counted.items() if slot.connection == name and n},
            pace=connection.pace,
            secrets=len(connection.secrets),
            scopes=len(connection.scopes) if _lists(connection) else 0,
            by_update=any(_lists(connection)),
            discovery=connection.cadence.discovery / timedelta(minutes=1),
        )
        for name, connection in vendors.items()
    ]


def _lists(connection: Connection) -> list[bool]:
    """The vendor's lists: whether each stands ordered by update."""
    return [kind.listing.by_update for kind in connection.vendor.kinds.values() if kind.listing]


def recorded(table: Table, now: datetime) -> tuple[float, float]:
    """How many changes a day were recorded to be told, and over how many days that was counted."""
    events, since, pages = 0, now - SPAN, 0
    oldest = now
    for day in (now - timedelta(days=back) for back in range(SPAN.days + 1)):
        values = {":day": sortable(day)[:10], ":since": sortable(since), ":until": f"{sortable(now)}~"}
        condition = "#day = :day AND moment BETWEEN :since AND :until"
        for count, last in _counts(table, "timeline", condition, values, {"#day": "day"}, forward=False):
            events, pages = events + count, pages + 1
            if last and pages >= PAGES:
                days = max((now - read_iso(last["moment"]["S"].partition("#")[0])) / timedelta(days=1), 1e-3)
                return events / days, days
            if count:
                oldest = max(day.replace(hour=0, minute=0, second=0, microsecond=0), since)
    days = max((now - oldest) / timedelta(days=1), 1.0) if events else SPAN.days
    return events / days, days


def _counts(
    table: Table,
    index: str,
    condition: str,
    values: Mapping[str, str],
    names: Mapping[str, str] | None = None,
    *,
    forward: bool = True,
) -> Iterator[tuple[int, Mapping[str, Any] | None]]:
    """How many items each page of a query has, and where the next one begins."""
    options = {"ExpressionAttributeNames": names} if names else {}
    while True:
        page = table.client.query(
            TableName=table.name,
            IndexName=index,
            Select="COUNT",
            KeyConditionExpression=condition,
            ExpressionAttributeValues={name: {"S": value} for name, value in values.items()},
            ScanIndexForward=forward,
            **options,
        )
        last = page.get("LastEvaluatedKey")
        yield page["Count"], last
        if not last:
            return
        options["ExclusiveStartKey"] = last


def _resources(cloudformation: Any, stack: str) -> Iterator[str]:
    """The types of the stack's resources."""
    options: dict[str, str] = {}
    while True:
        page = cloudformation.list_stack_resources(StackName=stack, **options)
        yield from (resource["ResourceType"] for resource in page["StackResourceSummaries"])
        if not page.get("NextToken"):
            return
        options["NextToken"] = page["NextToken"]


def _stored(table: Table) -> int:
    """Bytes of the table and its indexes, as DynamoDB counted them within the last six hours."""
    told = table.client.describe_table(TableName=table.name)["Table"]
    indexes = (index.get("IndexSizeBytes") or 0 for index in told.get("GlobalSecondaryIndexes", ()))
    return sum(indexes, told.get("TableSizeBytes") or 0)
