"""Webhooks: signed as Standard Webhooks 1.0.0 asks, small, and what each answer means."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from pollbridge.config import Destination
from pollbridge.model.change import detect
from pollbridge.model.event import Changes, ConnectionEvent, job_event
from pollbridge.model.job import HREF_LIMIT, KEY_LIMIT, JobKey, Link, Snapshot, State
from pollbridge.notifying.http import RESPONSE_LIMIT, client
from pollbridge.notifying.notice import DeliveryError, Notice
from pollbridge.notifying.webhook import BODY_LIMIT, WebhookNotifier, body
from pollbridge.secrets import UnusableSecret, WebhookSecret
from tests.kit import events

NOW = datetime.now(UTC)
KEY, OLD_KEY = b"k" * 24, bytes(range(64))
SECRET, OLD_SECRET = (f"whsec_{base64.b64encode(key).decode()}" for key in (KEY, OLD_KEY))
URL = "https://receiver.test/hook?x=%2F"

TEXTS = st.none() | st.text() | st.sampled_from(["x", "\x00", '"', "é", "\u2028", "😀"]).map(lambda text: text * 50_000)
LONG_LINK = Link(rel="pull_request", href="https://x.test/".ljust(HREF_LIMIT, "é"))
SNAPSHOTS = st.builds(
    Snapshot,
    state=st.sampled_from(State),
    vendor_status=TEXTS,
    name=TEXTS,
    error=TEXTS,
    message=TEXTS,
    links=st.just((LONG_LINK,) * 4),
)


class Receiver(httpx.BaseTransport):
    """Answers each request as told, and keeps what arrived."""

    def __init__(self, answer: httpx.Response | Exception) -> None:
        self.answer = answer
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def notice(current: Snapshot | None = None) -> Notice:
    change = detect(None, current or Snapshot(state=State.FAILED, error="é <✓>\n\u2028"))
    assert change
    event = job_event(
        JobKey("mentionlab", "job", "p" * 200, "1"),
        change,
        vendor="mentionlab",
        incarnation="i",
        version=1,
        labels={"team": "docs"},
        observed_at=NOW,
        last_seen_at=None,
    )
    return events.notice(event)


def deliver(receiver: Receiver, headers: Mapping[str, str] | None = None, previous: str | None = None) -> httpx.Request:
    """Deliver one event and return the request as the receiver saw it."""
    secret = WebhookSecret(url=URL, signing_secret=SECRET, previous_signing_secret=previous)
    with httpx.Client(transport=receiver, trust_env=False) as http:
        WebhookNotifier(http, lambda: secret, headers or {}, now=lambda: NOW).deliver(notice())
    (request,) = receiver.requests
    return request


def answering(status: int, text: bytes = b"", **headers: str) -> httpx.Response:
    return httpx.Response(status, headers=headers, content=iter([text]))


def refusal(answer: httpx.Response | Exception) -> DeliveryError:
    with pytest.raises(DeliveryError) as refused:
        deliver(Receiver(answer))
    return refused.value


def accepting() -> Receiver:
    return Receiver(answering(200))


def by_the_book(key: bytes, request: httpx.Request) -> str:
    """The signature, written out from the specification."""
    heads = [request.headers[name].encode() for name in ("webhook-id", "webhook-timestamp")]
    signed = b".".join([*heads, request.content])
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


@pytest.mark.promise(33)
def test_the_signature_is_the_specifications() -> None:
    request = deliver(accepting())

    assert request.headers["webhook-signature"] == by_the_book(KEY, request)
    assert request.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert request.headers["webhook-id"] == notice().event_id


@pytest.mark.promise(33)
def test_both_secrets_sign_while_rotating() -> None:
    request = deliver(accepting(), previous=OLD_SECRET)

    assert request.headers["webhook-signature"].split(" ") == [by_the_book(key, request) for key in (KEY, OLD_KEY)]
    for secret in (SECRET, OLD_SECRET):
        Webhook(secret).verify(request.content, dict(request.headers))


@pytest.mark.promise(33)
@given(st.data())
def test_no_changed_byte_verifies(data: st.DataObject) -> None:
    request = deliver(accepting())
    place = data.draw(st.integers(0, len(request.content) - 1))
    changed = bytearray(request.content)
    changed[place] ^= data.draw(st.integers(1, 0x7F))

    # The library decodes the bytes before it verifies them.
    with pytest.raises((WebhookVerificationError, UnicodeDecodeError)):
        Webhook(SECRET).verify(bytes(changed), dict(request.headers))


@pytest.mark.promise(34)
def test_the_bytes_signed_are_the_bytes_sent() -> None:
    request = deliver(accepting())

    assert request.content == body(notice()).encode()
    assert json.loads(request.content)["data"] == notice().detail
    Webhook(SECRET).verify(request.content, dict(request.headers))


def test_the_body_says_type_time_and_the_event() -> None:
    told = json.loads(body(notice()))

    assert list(told) == ["type", "timestamp", "data"]
    assert (told["type"], told["timestamp"]) == ("job.state_changed", told["data"]["observed_at"])


@given(SNAPSHOTS)
def test_a_body_is_small_whatever_the_texts(current: Snapshot) -> None:
    event = notice(current).detail
    written = body(notice(current)).encode()

    assert len(written) <= BODY_LIMIT == 20 * 1024
    data = json.loads(written)["data"]
    assert {**data, "error": None, "message": None} == {**event, "error": None, "message": None}


@pytest.mark.parametrize(
    ("event", "kind"), [(events.unreachable(), "vendor.unreachable"), (events.recovered(), "vendor.recovered")]
)
def test_the_body_about_a_vendor_is_its_event(event: ConnectionEvent, kind: str) -> None:
    told = json.loads(body(events.notice(event)))

    assert (told["type"], told["timestamp"]) == (kind, event.observed_at)
    assert told["data"] == json.loads(event.json_text())


@pytest.mark.parametrize("scope", [None, "\x01" * 300])
def test_a_body_is_small_however_long_the_keys_of_what_changed(scope: str | None) -> None:
    changes = Changes(total=900, states=dict.fromkeys(State, 90), jobs=("k" * KEY_LIMIT,) * 20)
    written = body(events.notice(events.recovered(scope=scope, error="é" * 9_000, changes=changes))).encode()

    assert len(written) <= BODY_LIMIT
    data = json.loads(written)["data"]
    assert data["changes"]["total"] == 900
    assert 5 <= len(data["changes"]["jobs"]) <= 20


def test_the_sample_of_a_recovery_fits_its_envelope() -> None:
    [record] = events.event("webhook_notifier", "recovered")["Records"]

    assert Notice.read(record["body"]) == events.notice(events.recovered())


@pytest.mark.promise(46)
@pytest.mark.parametrize("name", ["Content-Type", "webhook-id", "webhook-timestamp", "webhook-signature", "User-Agent"])
def test_a_custom_header_does_not_override_ours(name: str) -> None:
    request = deliver(accepting(), headers={name: "mine"})

    assert request.headers.get_list(name) == deliver(accepting()).headers.get_list(name)


@pytest.mark.promise(46)
@pytest.mark.parametrize("name", ["Webhook-Id", "WEBHOOK-SIGNATURE", "content-type", "Host", "Content-Length"])
def test_a_header_of_ours_is_refused_in_any_spelling(name: str) -> None:
    with pytest.raises(ValueError, match=f"headers may not set {name}"):
        Destination(type="webhook", secret="s", headers={name: "mine"})


def test_other_custom_headers_go_along() -> None:
    assert deliver(accepting(), headers={"Authorization": "Bearer x"}).headers["Authorization"] == "Bearer x"


@pytest.mark.promise(36)
def test_every_2xx_is_delivered() -> None:
    for status in range(200, 300):
        deliver(Receiver(answering(status)))


@pytest.mark.promise(36)
def test_every_other_answer_is_tried_again() -> None:
    for status in {*range(300, 600)} - {410}:
        error = refusal(answering(status))

        assert (error.code, error.permanent, error.maybe_sent) == (status, False, False)


@pytest.mark.promise(36)
def test_no_redirect_is_followed() -> None:
    receiver = Receiver(answering(307, Location="https://elsewhere.test/"))
    with pytest.raises(DeliveryError, match="HTTP 307"):
        deliver(receiver)

    assert len(receiver.requests) == 1
    assert not client().follow_redirects


@pytest.mark.promise(36)
def test_gone_is_for_good() -> None:
    error = refusal(answering(410))

    assert (error.code, error.permanent) == (410, True)


@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_says_how_long_to_wait(status: int) -> None:
    error = refusal(answering(status, b"", **{"Retry-After": "120"}))

    assert error.retry_after == timedelta(minutes=2)


@pytest.mark.promise(36)
@pytest.mark.parametrize(
    ("trouble", "maybe_sent"),
    [
        (httpx.ConnectError("x"), False),
        (httpx.ConnectTimeout("x"), False),
        (httpx.ReadTimeout("x"), True),
        (httpx.WriteTimeout("x"), True),
        (httpx.ReadError("x"), True),
        (httpx.RemoteProtocolError("x"), True),
    ],
)
def test_what_broke_on_the_way_is_tried_again(trouble: Exception, maybe_sent: bool) -> None:
    error = refusal(trouble)

    assert (error.code, error.permanent, error.maybe_sent) == (None, False, maybe_sent)


@pytest.mark.promise(45)
@pytest.mark.parametrize("answer", [answering(500, SECRET.encode()), httpx.ReadError(URL), httpx.ConnectError(URL)])
def test_an_error_shows_neither_address_nor_key_nor_answer(answer: httpx.Response | Exception) -> None:
    error = refusal(answer)

    assert "receiver.test" not in repr(error) + error.outcome
    assert SECRET not in repr(error) + error.outcome
    assert error.__suppress_context__ or error.__context__ is None


def test_a_secret_that_cannot_be_used_is_tried_again() -> None:
    def missing() -> WebhookSecret:
        raise UnusableSecret("secret s is missing")

    with pytest.raises(DeliveryError, match="secret s is missing") as refused:
        WebhookNotifier(client(), missing, {}).deliver(notice())
    assert not refused.value.permanent


@pytest.mark.promise(40)
def test_no_more_of_an_answer_is_read_than_the_limit() -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1024
            yield bytes(1024)

    deliver(Receiver(httpx.Response(200, content=endless())))

    assert read <= RESPONSE_LIMIT + 4096
