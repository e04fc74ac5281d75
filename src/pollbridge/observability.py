"""Logs as JSON lines and metrics in CloudWatch's embedded format. No secret, no body, no personal data."""

from __future__ import annotations

from functools import cache

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit


@cache
def logger() -> Logger:
    """The function's logger; its name and level come from Powertools' environment variables."""
    return Logger()


def count(counts: dict[str, float], **dimensions: str) -> None:
    """Write counters as one metric record; the dimensions are few by design."""
    metrics = Metrics()
    for name, value in dimensions.items():
        metrics.add_dimension(name, value)
    for name, number in counts.items():
        metrics.add_metric(name, MetricUnit.Count, number)
    metrics.flush_metrics()
