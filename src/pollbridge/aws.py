"""AWS clients that time out well inside a function's own deadline, and retry throttles and resets."""

from __future__ import annotations

import os
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
    """A low-level client; endpoint, region and credentials come from AWS's usual variables.

    boto3 reads AWS_DEFAULT_REGION only; AWS_REGION, which all other AWS tools put first, is ours to read.
    """
    return boto3.client(service, config=_CONFIG, region_name=os.environ.get("AWS_REGION") or None)
