"""AWS clients that time out well inside a function's own deadline, and retry throttles and resets."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

_CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 4},
    max_pool_connections=32,
)


def client(service: str) -> Any:
    """A low-level client; endpoint, region and credentials come from AWS's usual variables."""
    return boto3.client(service, config=_CONFIG)
