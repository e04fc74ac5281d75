"""AWS clients that time out well inside a function's own deadline, and retry throttles and resets."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import botocore.session
from botocore.config import Config


def client(service: str, *, patience: float = 5) -> Any:
    """A low-level client, as boto3 makes it; endpoint, region and credentials come from AWS's usual variables.

    `patience` is how many seconds it waits for an answer.
    """
    config = Config(
        connect_timeout=2,
        read_timeout=patience,
        retries={"mode": "standard", "total_max_attempts": 4},
        max_pool_connections=32,
    )
    # The SDK reads AWS_DEFAULT_REGION only; AWS_REGION, which all other AWS tools put first, is ours to read.
    return _session().create_client(service, config=config, region_name=os.environ.get("AWS_REGION") or None)


@cache
def _session() -> Any:
    # boto3 is this and the transfer of files to S3, which is half of what importing it costs.
    return botocore.session.get_session()
