"""The functions in moto, with simulated vendors and receivers on loopback, and what they log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pollbridge.history.table import Table
from tests.integration.simulated import Receivers, Vendors, simulated_receivers, simulated_vendors
from tests.kit.waking import SIGNING, Deployment


@pytest.fixture
def deployment(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    return Deployment(table, tmp_path, monkeypatch)


@pytest.fixture
def log() -> Iterator[list[dict[str, Any]]]:
    """What the functions log, as the records' fields."""
    lines: list[dict[str, Any]] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append({"message": record.getMessage(), "level": record.levelname, **vars(record)})

    keeper = Keeper()
    logging.getLogger("test").addHandler(keeper)
    yield lines
    logging.getLogger("test").removeHandler(keeper)


@pytest.fixture
def vendors(deployment: Deployment) -> Iterator[Vendors]:
    with simulated_vendors() as vendors:
        deployment.configure(str(vendors.base_url).rstrip("/"))
        yield vendors


@pytest.fixture
def receivers(deployment: Deployment) -> Iterator[Receivers]:
    with simulated_receivers() as receivers:
        url = str(receivers.base_url).rstrip("/")
        receivers.put("/_control/webhooks/service", json={"signing_secret": SIGNING})
        deployment.keep_secret("team", webhook_url=f"{url}/slack/docs-team")
        deployment.keep_secret("service", url=f"{url}/webhook/service", signing_secret=SIGNING)
        yield receivers
