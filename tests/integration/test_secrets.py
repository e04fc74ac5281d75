"""Secrets are read afresh, checked for what they should hold, and shown by no error."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from pollbridge import secrets
from pollbridge.aws import client
from pollbridge.config import Connection, Destination
from pollbridge.secrets import Secrets, UnusableSecret
from tests.kit.faults import Fault, Faulty, throttle

SIGNING = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5"
BOT = {"bot_token": "xoxb-1-canary", "channel": "C1"}
WEBHOOK = {"url": "https://canary.example.com/hook", "signing_secret": SIGNING}


@pytest.fixture
def store() -> Iterator[Secrets]:
    with mock_aws():
        yield Secrets(client("secretsmanager"))


def keep(store: Secrets, text: str | bytes) -> None:
    kind = "SecretString" if isinstance(text, str) else "SecretBinary"
    store.client.create_secret(Name="a/b", **{kind: text})


def refused(error: str) -> ClientError:
    return ClientError({"Error": {"Code": error, "Message": "canary"}}, "GetSecretValue")


def test_a_new_value_counts_at_the_next_read(store: Secrets) -> None:
    keep(store, '{"x-api-key": "old"}')
    assert store.read("a/b") == {"x-api-key": "old"}

    store.client.put_secret_value(SecretId="a/b", SecretString='{"x-api-key": "new"}')

    assert store.read("a/b") == {"x-api-key": "new"}


def test_a_missing_secret_says_how_to_set_it_and_is_found_once_it_is_there(store: Secrets) -> None:
    with pytest.raises(UnusableSecret, match="secret a/b is missing: set it with `pollbridge secret set a/b`"):
        store.read("a/b")

    keep(store, "{}")
    assert store.read("a/b") == {}


@pytest.mark.parametrize("text", ["", "canary", '"canary"', '["canary"]', "7", "null", '{"canary', b'{"canary": "x"}'])
def test_what_is_no_json_object_is_refused_unseen(store: Secrets, text: str | bytes) -> None:
    keep(store, text or " ")

    with pytest.raises(UnusableSecret, match="holds no JSON object") as error:
        store.read("a/b")

    assert "canary" not in str(error.value)


@pytest.mark.parametrize("code", ["AccessDeniedException", "DecryptionFailure", "InvalidRequestException"])
def test_a_secret_that_may_not_be_read_is_unusable(code: str) -> None:
    store = Secrets(Faulty(None, lambda _: Fault(refused(code))))

    with pytest.raises(UnusableSecret, match=f"^secret a/b may not be read: {code}$"):
        store.read("a/b")


def test_aws_trouble_is_no_unusable_secret() -> None:
    with pytest.raises(ClientError):
        Secrets(Faulty(None, lambda _: Fault(throttle("GetSecretValue")))).read("a/b")


@pytest.mark.parametrize(
    "values",
    [
        {"x-api-key": 7},
        {"x-api-key": None},
        {"x-api-key": ["canary"]},
        {"x-api-key": "canary\r\nHost: evil"},
        {"x-api-key": "canary\n"},
        {"x-api-key": "canary\x00"},
        {"x-api-key": "canaryé"},
        {"bad name": "canary"},
        {"bad\nname": "canary"},
        {"": "canary"},
    ],
)
@pytest.mark.promise(46)
def test_what_fits_in_no_header_is_refused_unseen(values: dict[str, Any]) -> None:
    with pytest.raises(UnusableSecret) as error:
        secrets.headers(values)

    assert "canary" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"webhook_url": "canary"},
        {"webhook_url": "ftp://canary"},
        {"webhook_url": "https://canary a"},
        {"bot_token": "canary"},
        {"channel": "canary"},
        {"webhook_url": "https://canary", "bot_token": "canary", "channel": "c"},
        {"webhook_url": "https://canary", "url": "canary"},
        {"webhook_url": "https://canary", "api_url": "https://canary"},
        {"api_url": "https://canary"},
        *({"bot_token": token, "channel": "c"} for token in ("canary é", "canary\n", "canary\r\nHost: evil", "")),
        *(
            BOT | {"api_url": url}
            for url in ("", "canary", "ftp://canary", "https://", "https:///canary", "https://c?canary")
        ),
        BOT | {"api_url": "https://canary\n"},
        BOT | {"api_url": None},
    ],
)
@pytest.mark.promise(45)
def test_a_slack_secret_goes_one_way_or_is_refused_unseen(values: dict[str, Any]) -> None:
    with pytest.raises(UnusableSecret) as error:
        secrets.slack(values)

    assert "canary" not in str(error.value)


@pytest.mark.parametrize(
    "values", [{"webhook_url": "https://a/b"}, BOT, BOT | {"api_url": "https://slack-gov.com/api"}]
)
def test_a_slack_secret_is_an_address_or_a_bot(values: dict[str, str]) -> None:
    assert secrets.slack(values).model_dump(exclude_unset=True) == values


@pytest.mark.parametrize(
    ("more", "url"),
    [
        ({}, "https://slack.com/api"),
        ({"api_url": "https://slack-gov.com/api"}, "https://slack-gov.com/api"),
        ({"api_url": "https://slack-gov.com/api//"}, "https://slack-gov.com/api"),
    ],
)
def test_a_bot_speaks_to_slack_unless_told_otherwise(more: dict[str, str], url: str) -> None:
    assert secrets.slack(BOT | more).api_url == url


@pytest.mark.parametrize(
    "change",
    [
        {"signing_secret": "canary"},
        {"signing_secret": "whsec_canary!"},
        {"signing_secret": "whsec_" + "QUFB" * 7},
        {"signing_secret": "whsec_" + "QUFB" * 22},
        {"signing_secret": SIGNING.removeprefix("whsec_")},
        {"signing_secret": None},
        {"previous_signing_secret": "canary"},
        {"url": "canary"},
        {"url": "https://canary\n"},
        {"extra": "canary"},
    ],
)
@pytest.mark.promise(45)
def test_a_webhook_secret_is_whole_or_refused_unseen(change: dict[str, Any]) -> None:
    with pytest.raises(UnusableSecret) as error:
        secrets.webhook(WEBHOOK | change)

    assert "canary" not in str(error.value)


@pytest.mark.parametrize("length", [24, 64])
def test_a_signing_secret_has_24_to_64_bytes(length: int) -> None:
    signing = "whsec_" + base64.b64encode(bytes(length)).decode()

    assert secrets.webhook(WEBHOOK | {"signing_secret": signing}).signing_secret == signing


@pytest.mark.parametrize(("kind", "field"), [("slack", "webhook_url"), ("webhook", "url")])
def test_a_plain_address_is_for_those_who_allow_it(kind: Any, field: str) -> None:
    values = (WEBHOOK if kind == "webhook" else {}) | {field: "http://127.0.0.1:1/x"}

    secrets.check(Destination(type=kind, secret="s", allow_private=True), values)
    with pytest.raises(UnusableSecret, match="plain http"):
        secrets.check(Destination(type=kind, secret="s"), values)


def test_a_plain_api_of_slack_is_for_those_who_allow_it() -> None:
    values = BOT | {"api_url": "http://127.0.0.1:1/slack-api/team"}

    secrets.check(Destination(type="slack", secret="s", allow_private=True), values)
    with pytest.raises(UnusableSecret, match="plain http"):
        secrets.check(Destination(type="slack", secret="s"), values)


@pytest.mark.parametrize("values", [BOT, {"webhook_url": "https://a/b"}])
def test_what_is_encrypted_needs_no_leave(values: dict[str, str]) -> None:
    secrets.check(Destination(type="slack", secret="s"), values)


def test_a_vendors_secret_holds_a_header_at_least() -> None:
    connection = Connection(type="mentionlab", secret="s", base_url="https://m.test")

    secrets.check(connection, {"x-api-key": "k"})
    with pytest.raises(UnusableSecret, match="mentionlab asks for x-api-key, x-organisation-id"):
        secrets.check(connection, {})


def test_a_secret_is_read_by_its_name_alone(store: Secrets) -> None:
    keep(store, json.dumps(WEBHOOK))
    spy = Faulty(store.client)

    Secrets(spy).read("a/b")

    assert spy.of("get_secret_value") == [{"SecretId": "a/b"}]
