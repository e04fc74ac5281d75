"""What a deployment costs a month, line by line: counts of what it does, times a table of prices.

Pure. An estimate from a model that docs/cost.md states, never a bill.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pollbridge.cost.assumed import (
    AWAKE,
    AWS_LATENCY,
    CALL_CPU,
    CHANGE_LOG_BYTES,
    CHANGE_READS,
    CHANGE_WRITES,
    COLD_START,
    CPUS_PER_GB,
    DAYS,
    DELIVERIES_KEPT,
    DELIVERY_KB,
    DELIVERY_READS,
    DELIVERY_SECRETS,
    DELIVERY_WRITES,
    ENTRY_INDEXED_KB,
    ENTRY_KB,
    GIGABYTES,
    HANDSHAKE_BYTES,
    HEAD_INDEXED_KB,
    HEAD_KB,
    HOURS,
    JOBS_PER_CHANGE,
    LOG_BYTES,
    LONG_POLL,
    POLL_BYTES,
    POLLERS,
    POST_BYTES,
    RAW_KB,
    ROW_BYTES,
    RUNG,
    TICK_CPU,
    TICKS,
    TRACED_BEYOND,
    TRACED_PER_SECOND,
    UNIT_READ,
    VENDOR_LATENCY,
)
from pollbridge.cost.sweeps import Followed
from pollbridge.metrics import CHANGES, DELIVERED, METRICS, POLLS, PUBLISHED, Metric
from pollbridge.prices import PRICES, Price, Prices

DestinationType = Literal["slack", "webhook"]


@dataclass(frozen=True, slots=True)
class Setup:
    """What a deployment consists of, and what happens in it."""

    connections: Sequence[Followed]
    destinations: Mapping[str, DestinationType] = field(default_factory=dict)
    """The enabled ones; each is taken to hear of every change."""
    changes: float = 0
    """A day."""
    alarms: int = 0
    dashboards: int = 0
    secrets: int = 0
    retain: float = 400
    """Days for which history is kept."""
    raw: float = 30
    """Days for which the vendors' answers are kept."""

    @property
    def watches(self) -> float:
        return sum(connection.watches for connection in self.connections)

    def at(self, watches: float, changes_each: float) -> Setup:
        """The same following so many jobs, each of which changes so often a day."""
        shares = [c.watches / self.watches if self.watches else 1 / len(self.connections) for c in self.connections]
        grown = [c.at(watches * share) for c, share in zip(self.connections, shares, strict=True)]
        return replace(self, connections=grown, changes=watches * changes_each)

    @property
    def quiet(self) -> Setup:
        """The same following nothing: what is to be paid in any case."""
        return self.at(0, 0)

    @property
    def polls(self) -> float:
        return sum(connection.polls for connection in self.connections)


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the estimate."""

    service: str
    what: str
    quantity: float
    """A month."""
    price: Price
    why: str
    """What the quantity rests on."""

    @property
    def usd(self) -> float:
        return self.quantity * self.price.usd


def total(items: Sequence[Item]) -> float:
    """US dollars a month."""
    return math.fsum(item.usd for item in items)


def items(setup: Setup, prices: Prices = PRICES) -> list[Item]:
    """Every line, always the same ones in the same order; what is not used costs 0."""
    lines = _Month(setup)
    return [Item(service, what, quantity, prices[price], why) for service, what, quantity, price, why in lines.lines()]


Line = tuple[str, str, float, str, str]
"""Service, what, quantity, the price's name, and why."""


@dataclass(frozen=True, slots=True)
class _Month:
    """A month of a deployment."""

    setup: Setup

    @property
    def changes(self) -> float:
        return self.setup.changes * DAYS

    @property
    def deliveries(self) -> float:
        return self.changes * len(self.setup.destinations)

    def _delivered(self, each: Mapping[str, float]) -> float:
        return self.changes * sum(each[kind] for kind in self.setup.destinations.values())

    @property
    def invocations(self) -> dict[str, float]:
        return {
            "poller": float(TICKS * len(self.setup.connections)),
            "publisher": self.changes,
            "notifier": self.deliveries,
            "registrar": self.changes * JOBS_PER_CHANGE,
            "auditor": float(HOURS),
        }

    @property
    def sweeping(self) -> float:
        """Seconds that the pollers are billed for."""
        connections = self.setup.connections
        watches = self.setup.watches
        changes = [self.changes * c.watches / watches if watches else 0.0 for c in connections]
        return sum(c.seconds(n) for c, n in zip(connections, changes, strict=True))

    def lines(self) -> Iterator[Line]:
        yield from self._functions()
        yield from self._table()
        yield from self._messages()
        yield from self._secrets()
        yield from self._watching()

    def _functions(self) -> Iterator[Line]:
        every = sum(self.invocations.values())
        yield "Lambda", "invocations", every, "lambda_request", "a sweep a minute and connection; one for each event"
        lasts = f"vendors answer in {VENDOR_LATENCY * 1000:.0f} ms; the limits' pauses are billed"
        yield "Lambda", "pollers", self.sweeping * GIGABYTES["poller"], "lambda_gb_second", lasts
        doing = {
            "publisher": (2, 0.0, "one invocation for each change"),
            "notifier": (7, 2 * VENDOR_LATENCY, "one invocation for each delivery"),
            "registrar": (2, 0.0, f"{JOBS_PER_CHANGE} new jobs for each change"),
            "auditor": (3, 0.0, "once an hour, from a cold start"),
        }
        fed = {"notifier": len(self.setup.destinations)}
        for name, (calls, waits, why) in doing.items():
            runs = self.invocations[name]
            once = (TICK_CPU + calls * CALL_CPU) / (GIGABYTES[name] * CPUS_PER_GB) + calls * AWS_LATENCY + waits
            cold = min(runs, fed.get(name, 1) * TICKS / AWAKE) * COLD_START
            yield (
                "Lambda",
                f"{name}s" if name in fed else name,
                (runs * once + cold) * GIGABYTES[name],
                "lambda_gb_second",
                why,
            )
        ticks = self.invocations["poller"] + self.invocations["auditor"]
        yield "Scheduler", "ticks", ticks, "scheduler_invocation", "one a minute and connection, and the hourly audit"

    def _table(self) -> Iterator[Line]:
        setup = self.setup
        rows = setup.watches * ROW_BYTES / UNIT_READ / 2
        reads = sum(connection.reads for connection in setup.connections) + HOURS + rows * DAYS
        writes = sum(connection.writes for connection in setup.connections)
        yield "DynamoDB", "reads of sweeps", reads, "read_unit", f"the calendar, {ROW_BYTES} bytes a job; lists"
        yield "DynamoDB", "writes of sweeps", writes, "write_unit", "the lease, taken and given back; none for a poll"
        reads = self.changes * CHANGE_READS + self._delivered(DELIVERY_READS)
        yield "DynamoDB", "reads of changes", reads, "read_unit", "the head; the ledger for each delivery"
        why = f"{CHANGE_WRITES} units each, as simulated: raw answer, head, entry, indexes, moves, the mark"
        yield "DynamoDB", "writes of changes", self.changes * CHANGE_WRITES, "write_unit", why
        why = "claim and outcome; a card's three more"
        yield "DynamoDB", "writes of deliveries", self._delivered(DELIVERY_WRITES), "write_unit", why
        kept, indexed = self._kept()
        why = f"as it will be after {setup.retain:.0f} days of this"
        yield "DynamoDB", "storage", kept + indexed, "table_gb", why
        yield "DynamoDB", "point-in-time recovery", kept, "recovery_gb", "of the table without its indexes"

    def _kept(self) -> tuple[float, float]:
        """GB of the table, and of its indexes."""
        setup, heads = self.setup, self.setup.watches + self.setup.changes * JOBS_PER_CHANGE * self.setup.retain
        entries = setup.changes * setup.retain
        deliveries = setup.changes * len(setup.destinations) * DELIVERIES_KEPT
        table = heads * HEAD_KB + entries * ENTRY_KB + setup.changes * setup.raw * RAW_KB + deliveries * DELIVERY_KB
        return table / 1e6, (heads * HEAD_INDEXED_KB + entries * ENTRY_INDEXED_KB) / 1e6

    def _messages(self) -> Iterator[Line]:
        registered = self.changes * JOBS_PER_CHANGE
        yield "EventBridge", "events", self.changes + registered, "event", "each change, and each job's registration"
        queues = len(self.setup.destinations) + 1
        idle = queues * POLLERS * HOURS * 3600 / LONG_POLL
        why = f"Lambda's {POLLERS} long polls of {LONG_POLL} s at each of {queues} queues, also when nothing comes"
        yield "SQS", "empty receives", idle, "queue_request", why
        sent = 3 * (self.deliveries + registered)
        yield "SQS", "messages", sent, "queue_request", "each sent, received and deleted"
        yield "SNS", "alarm e-mails", 2.0 * RUNG, "email", f"{RUNG} alarms that ring, and end"

    def _secrets(self) -> Iterator[Line]:
        setup = self.setup
        yield "Secrets Manager", "secrets", float(setup.secrets), "secret", "as configured"
        reads = sum(c.asking * c.secrets for c in setup.connections)
        why = "at each sweep that asks its vendor anything: a new value counts from the next tick"
        yield "Secrets Manager", "reads by sweeps", reads, "secret_read", why
        why = "once a delivery, twice for Slack"
        yield "Secrets Manager", "reads by notifiers", self._delivered(DELIVERY_SECRETS), "secret_read", why

    def _watching(self) -> Iterator[Line]:
        setup = self.setup
        yield "CloudWatch", "alarms", float(setup.alarms), "alarm", "as deployed"
        yield "CloudWatch", "metrics", self._metrics(), "metric", "by the hours in which they are written"
        yield "CloudWatch", "dashboards", float(setup.dashboards), "dashboard", "as deployed"
        logged = sum(runs * LOG_BYTES[name] for name, runs in self.invocations.items())
        logged = (logged + self.changes * CHANGE_LOG_BYTES) / 1e9
        yield "CloudWatch", "logs", logged, "log_gb", f"{LOG_BYTES['poller']} bytes a sweep, Lambda's lines included"
        yield "CloudWatch", "logs kept", logged, "log_kept_gb", "for a month, as if not compressed"
        yield "X-Ray", "traces", self._traces(), "trace", "of every invocation, up to one a second and function"
        requests = sum(c.requests * POLL_BYTES + c.connected * HANDSHAKE_BYTES for c in setup.connections)
        out = (requests + self.deliveries * (POST_BYTES + HANDSHAKE_BYTES)) / 1e9
        yield "Data transfer", "out", out, "transfer_gb", f"{POLL_BYTES} bytes a request, {POST_BYTES} a delivery"

    def _metrics(self) -> float:
        """Metric-months: CloudWatch charges by the hour, and only for those in which something was written."""
        return sum(self._times(metric) for metric in METRICS)

    def _times(self, metric: Metric) -> float:
        setup = self.setup
        if metric.by == "connection":
            shares = [c.watches / setup.watches if setup.watches else 0.0 for c in setup.connections]
            of = {POLLS: [min(1.0, c.polls / HOURS) for c in setup.connections]}
            of[CHANGES] = [_often(setup.changes * share) for share in shares]
            return float(len(setup.connections)) if metric.always else sum(of.get(metric, ()))
        if metric.by == "destination":
            return len(setup.destinations) * _often(setup.changes) if metric is DELIVERED else 0.0
        return float(metric.always) or (_often(setup.changes) if metric is PUBLISHED else 0.0)

    def _traces(self) -> float:
        setup, most = self.setup, TRACED_PER_SECOND * HOURS * 3600
        functions = {"poller": len(setup.connections), "notifier": len(setup.destinations)}
        kept = 0.0
        for name, runs in self.invocations.items():
            first = min(runs, functions.get(name, 1) * most)
            kept += first + (runs - first) * TRACED_BEYOND
        return kept


def _often(changes: float) -> float:
    """The share of hours in which something of that happens, so often a day."""
    return 1 - math.exp(-changes / 24)
