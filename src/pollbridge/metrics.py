"""Every metric that the functions write: what an alarm or the dashboard reads, and nothing else.

CloudWatch charges for each name with each value of its dimension, in the hours in which it is written:
https://aws.amazon.com/cloudwatch/pricing/. So a metric is written only when there is something to tell. The one that
is always written is the sign of life of a connection's sweeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NOTIFIERS = ("slack_notifier", "webhook_notifier")

Dimension = Literal["connection", "destination"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that functions write into the namespace of their deployment."""

    name: str
    services: tuple[str, ...]
    """The functions that write it, by the name of their folder: the dimension `service`."""
    meaning: str
    by: Dimension | None = None
    always: bool = False
    """Written when it is 0, too."""
    unit: Literal["Count", "Seconds"] = "Count"


MINUTES_BEHIND = Metric(
    "MinutesBehind",
    ("poller",),
    "minutes by which the last completed tick lies behind this sweep's",
    by="connection",
    always=True,
)
TROUBLES = Metric(
    "Troubles",
    ("poller",),
    "scopes that bring no answers and were told so; the connection itself counts as one",
    by="connection",
)
UNFINISHED = Metric(
    "Unfinished",
    ("poller",),
    "sweeps that did not get through all that was due, though the vendor answered",
    by="connection",
)
POLLS = Metric("Polls", ("poller",), "requests for one job that were answered or failed", by="connection")
POLLS_FAILED = Metric("PollsFailed", ("poller",), "those of them that failed", by="connection")
CHANGES = Metric("Changes", ("poller",), "changes that were recorded to be told", by="connection")

PUBLISHED = Metric("Published", ("publisher",), "events that the bus took from the stream")

DELIVERED = Metric("Delivered", NOTIFIERS, "deliveries that the receiver took", by="destination")
RETRIED = Metric("Retried", NOTIFIERS, "attempts that failed, and are made again", by="destination")
NOT_DELIVERED = Metric(
    "NotDelivered", NOTIFIERS, "deliveries that ended otherwise: failed, disabled, maybe sent", by="destination"
)

OLDEST_UNPUBLISHED = Metric(
    "OldestUnpublished",
    ("auditor",),
    "age of the oldest event that an audit found recorded and not on the bus; one called poison does not count",
    unit="Seconds",
)
POISON_ENTRIES = Metric("PoisonEntries", ("auditor",), "events that the auditor has given up publishing")
ORPHANED_JOBS = Metric("OrphanedJobs", ("auditor",), "jobs that stand where no sweep looks")
DISABLED_DESTINATIONS = Metric("DisabledDestinations", ("auditor",), "destinations that nothing is delivered to")

METRICS = (
    *(MINUTES_BEHIND, TROUBLES, UNFINISHED, POLLS, POLLS_FAILED, CHANGES),
    PUBLISHED,
    *(DELIVERED, RETRIED, NOT_DELIVERED),
    *(OLDEST_UNPUBLISHED, POISON_ENTRIES, ORPHANED_JOBS, DISABLED_DESTINATIONS),
)


def namespace(stack: str) -> str:
    """Where a deployment's metrics are: two of them in one account don't mix."""
    return stack.lower()
