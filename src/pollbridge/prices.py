"""What AWS charges, in one dated table: list prices on demand, without free tiers, volume discounts or plans."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REGION = "us-east-1"

AS_OF = "2026-11-22"
"""The day on which the sources were read; most of them are other people's pages, and none is a bill."""

CURRENCY = "USD"


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for one unit."""

    usd: float
    unit: str
    source: str
    """Where it was read. AWS's own pages are named as such; what isn't is secondary."""


Prices = Mapping[str, Price]

PRICES: Prices = {
    "lambda_request": Price(0.20e-6, "request", "cloudchipr.com/blog/aws-lambda-pricing"),
    "lambda_gb_second": Price(0.0000133334, "GB-second", "cloudchipr.com/blog/aws-lambda-pricing (arm64)"),
    "scheduler_invocation": Price(1.00e-6, "invocation", "cloudburn.io/blog/amazon-eventbridge-pricing (2026-03)"),
    "read_unit": Price(0.125e-6, "read unit", "airbyte.com on DynamoDB (2025-07), after the cut of November 2024"),
    "write_unit": Price(0.625e-6, "write unit", "airbyte.com on DynamoDB (2025-07), after the cut of November 2024"),
    "table_gb": Price(0.25, "GB-month", "factualminds.com on DynamoDB (2026-06)"),
    "recovery_gb": Price(0.20, "GB-month", "factualminds.com on DynamoDB (2026-06)"),
    "event": Price(1.00e-6, "event of 64 KB", "cloudburn.io/blog/amazon-eventbridge-pricing (2026-03)"),
    "queue_request": Price(0.40e-6, "request of 64 KB", "cloudburn.io/blog/amazon-sqs-pricing (2026-03)"),
    "email": Price(20.00e-6, "e-mail", "factualminds.com on SNS (2026-06)"),
    "secret": Price(0.40, "secret-month", "awsready.net on Secrets Manager"),
    "secret_read": Price(5.00e-6, "call", "awsready.net on Secrets Manager"),
    "alarm": Price(0.10, "alarm-month", "c3x.dev/blog/aws-cloudwatch-metrics-cost (2026-06)"),
    "metric": Price(0.30, "metric-month", "c3x.dev/blog/aws-cloudwatch-metrics-cost (2026-06)"),
    "dashboard": Price(3.00, "dashboard-month", "c3x.dev/blog/aws-cloudwatch-metrics-cost (2026-06)"),
    "log_gb": Price(0.50, "GB", "c3x.dev on CloudWatch Logs (2026-06)"),
    "log_kept_gb": Price(0.03, "GB-month", "cloudonaut.io on CloudWatch"),
    "trace": Price(5.00e-6, "trace", "AWS: aws.amazon.com/xray/pricing"),
    "transfer_gb": Price(0.09, "GB", "unanswered.io/guide/aws-sqs-pricing (first 10 TB)"),
    "state_transition": Price(25.00e-6, "state transition", "AWS: aws.amazon.com/step-functions/pricing"),
}


class InvalidPrices(ValueError):
    """A file of prices that cannot be used. The message is one line."""


def read(path: Path) -> Prices:
    """The table, with the prices that a TOML file names (`secret = 0.36`) in place of ours. Raises InvalidPrices."""
    try:
        named = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidPrices(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidPrices(f"{path}: is not valid TOML: {error}") from None
    for name, usd in named.items():
        if name not in PRICES:
            raise InvalidPrices(f"{path}: {name} is no price; they are {', '.join(PRICES)}")
        if isinstance(usd, bool) or not isinstance(usd, int | float) or not (math.isfinite(usd) and usd >= 0):
            raise InvalidPrices(f"{path}: {name} wants a number of US dollars for one {PRICES[name].unit}")
    return {
        name: Price(float(named[name]), price.unit, str(path)) if name in named else price
        for name, price in PRICES.items()
    }
