"""Fake credentials for every test, and the table in moto for those that want one."""

from collections.abc import Iterator
from threading import RLock
from typing import Any

import pytest
from hypothesis import settings
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber

from pollbridge.aws import client
from pollbridge.history.table import Table
from tests.kit.table import create_table

# Whether a change passes must not depend on luck, nor on how fast the machine is.
# `pytest --hypothesis-profile=searching` looks for new examples.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("searching", deadline=None)
settings.load_profile("steady")


@pytest.fixture(scope="session", autouse=True)
def _one_request_at_a_time() -> Iterator[None]:
    """moto copies its tables for a transaction while other threads write them: RuntimeError, once in thirty."""
    lock, process_request = RLock(), BotocoreStubber.process_request

    def one_at_a_time(self: BotocoreStubber, request: Any) -> Any:
        with lock:
            return process_request(self, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BotocoreStubber, "process_request", one_at_a_time)
        yield


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "POWERTOOLS_METRICS_NAMESPACE": "pollbridge",
        "POWERTOOLS_SERVICE_NAME": "test",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "POLLBRIDGE_STACK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def table() -> Iterator[Table]:
    with mock_aws():
        dynamodb = client("dynamodb")
        create_table(dynamodb, "history")
        yield Table(dynamodb, "history", pause=lambda _: None)
