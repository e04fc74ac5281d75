"""Webhooks: signed as Standard Webhooks 1.0.0 asks, small, and what each answer means."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from pollbridge.config import Destination
from pollbridge.model.change import detect
from pollbridge.model.event import Changes, ConnectionEvent, job_event
from pollbridge.model.job import HREF_LIMIT, KEY_LIMIT, JobKey, Link, Snapshot, State
from pollbridge.notifying.http import Response
from pollbridge.notifying.notice import DeliveryError, Notice, Treatment
from pollbridge.notifying.webhook import BODY_LIMIT, WebhookNotifier, body
from pollbridge.secrets import UnusableSecret, WebhookSecret
from tests.kit import events
from tests.kit.posting import Posted, Posts, response

NOW = datetime(2026, 6, 8, 12, 31, tzinfo=UTC)
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


def deliver(
    posts: Posts,
    headers: Mapping[str, str] | None = None,
    previous: str | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Posted:
    """Deliver one event and return what was POSTed. A library verifies it by the wall clock."""
    secret = WebhookSecret(url=URL, signing_secret=SECRET, previous_signing_secret=previous)
    WebhookNotifier(posts, lambda: secret, headers or {}, now=now).deliver([notice()])
    [posted] = posts.sent
    return posted


def refusal(answer: Response | DeliveryError) -> DeliveryError:
    with pytest.raises(DeliveryError) as refused:
        deliver(Posts(answer))
    return refused.value


def by_the_book(key: bytes, posted: Posted) -> str:
    """The signature, written out from the specification."""
    heads = [posted.headers[name].encode() for name in ("webhook-id", "webhook-timestamp")]
    signed = b".".join([*heads, posted.body])
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


@pytest.mark.promise(33)
def test_the_signature_is_the_specifications() -> None:
    posted = deliver(Posts(), now=lambda: NOW)

    assert posted.headers["webhook-signature"] == by_the_book(KEY, posted)
    assert posted.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert posted.headers["webhook-id"] == notice().event_id


@pytest.mark.promise(33)
def test_both_secrets_sign_while_rotating() -> None:
    posted = deliver(Posts(), previous=OLD_SECRET)

    assert posted.headers["webhook-signature"].split(" ") == [by_the_book(key, posted) for key in (KEY, OLD_KEY)]
    for secret in (SECRET, OLD_SECRET):
        Webhook(secret).verify(posted.body, posted.headers)


@pytest.mark.promise(33)
@given(st.data())
def test_no_changed_byte_verifies(data: st.DataObject) -> None:
    posted = deliver(Posts())
    place = data.draw(st.integers(0, len(posted.body) - 1))
    changed = bytearray(posted.body)
    changed[place] ^= data.draw(st.integers(1, 0x7F))

    # The library decodes the bytes before it verifies them.
    with pytest.raises((WebhookVerificationError, UnicodeDecodeError)):
        Webhook(SECRET).verify(bytes(changed), posted.headers)


@pytest.mark.promise(34)
def test_the_bytes_signed_are_the_bytes_sent() -> None:
    posted = deliver(Posts())

    assert posted.body == body(notice()).encode()
    assert json.loads(posted.body)["data"] == notice().detail
    Webhook(SECRET).verify(posted.body, posted.headers)


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
@pytest.mark.parametrize("name", ["Content-Type", "webhook-id", "Webhook-Timestamp", "WEBHOOK-SIGNATURE"])
def test_a_custom_header_does_not_override_ours(name: str) -> None:
    assert deliver(Posts(), headers={name: "mine"}) == deliver(Posts())


@pytest.mark.promise(46)
@pytest.mark.parametrize("name", ["Webhook-Id", "WEBHOOK-SIGNATURE", "content-type", "Host", "Content-Length"])
def test_a_header_of_ours_is_refused_in_any_spelling(name: str) -> None:
    with pytest.raises(ValueError, match=f"headers may not set {name}"):
        Destination(type="webhook", secret="s", headers={name: "mine"})


def test_other_custom_headers_go_along() -> None:
    assert deliver(Posts(), headers={"Authorization": "Bearer x"}).headers["Authorization"] == "Bearer x"


@pytest.mark.promise(36)
def test_every_2xx_is_delivered() -> None:
    for status in range(200, 300):
        deliver(Posts(response(status)))


@pytest.mark.promise(36)
def test_every_other_answer_is_tried_again() -> None:
    for status in {*range(100, 600)} - {*range(200, 300), 410, 429}:
        error = refusal(response(status))

        assert (error.code, error.treatment, error.maybe_sent) == (status, Treatment.RETRY, False)


@pytest.mark.promise(36)
@pytest.mark.parametrize(("status", "treatment"), [(410, Treatment.DISABLE), (429, Treatment.LATER)])
def test_two_answers_mean_something_else(status: int, treatment: Treatment) -> None:
    error = refusal(response(status))

    assert (error.code, error.treatment, error.maybe_sent) == (status, treatment, False)


@pytest.mark.promise(35)
@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_says_how_long_to_wait(status: int) -> None:
    error = refusal(Response(status, "", timedelta(minutes=2)))

    assert error.retry_after == timedelta(minutes=2)


@pytest.mark.promise(36)
@pytest.mark.parametrize("maybe_sent", [True, False])
def test_what_broke_on_the_way_is_told_as_it_is(maybe_sent: bool) -> None:
    error = refusal(DeliveryError("the connection broke", maybe_sent=maybe_sent))

    assert (error.code, error.treatment, error.maybe_sent) == (None, Treatment.RETRY, maybe_sent)


@pytest.mark.promise(45)
def test_an_error_shows_neither_address_nor_key_nor_answer() -> None:
    error = refusal(response(500, SECRET))

    assert error.response == SECRET
    assert "receiver.test" not in repr(error) + error.outcome
    assert SECRET not in repr(error) + error.outcome


def test_a_secret_that_cannot_be_used_is_tried_again() -> None:
    def missing() -> WebhookSecret:
        raise UnusableSecret("secret s is missing")

    posts = Posts()
    with pytest.raises(DeliveryError, match="secret s is missing") as refused:
        WebhookNotifier(posts, missing, {}).deliver([notice()])
    assert (refused.value.treatment, posts.sent) == (Treatment.RETRY, [])
