"""Logs as JSON lines and metrics in CloudWatch's embedded format. No secret, no body, no personal data.

The same fact has the same name in every line, whichever function writes it: docs/observability.md lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics

from pollbridge.history.entries import Entry
from pollbridge.metrics import Metric

SUBJECTS = {"JOB#": "job", "CONNECTION#": "connection", "DESTINATION#": "about_destination"}
"""What an event is about, by its partition in the table. `destination` is always the one that is told."""


@cache
def logger() -> Logger:
    """The function's logger; its name and level come from Powertools' environment variables."""
    return Logger()


def line(entry: Entry) -> dict[str, Any]:
    """What every line about a history entry and its event says of it."""
    about = {name: entry.pk.removeprefix(prefix) for prefix, name in SUBJECTS.items() if entry.pk.startswith(prefix)}
    ids = {"event_id": entry.event_id, "version": entry.version, "detail_type": entry.detail_type}
    return about | ids


def measure(values: Mapping[Metric, float], **dimensions: str) -> None:
    """Write those metrics that are not 0, or always written, as one record."""
    told = {metric: value for metric, value in values.items() if value or metric.always}
    if not told:
        return
    metrics = Metrics()
    for name, whose in dimensions.items():
        metrics.add_dimension(name, whose)
    for metric, value in told.items():
        metrics.add_metric(metric.name, metric.unit, value)
    metrics.flush_metrics()
