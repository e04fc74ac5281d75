"""What a receiver's socket gets is signed: so say five verifiers, none of which is pollbridge's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pollbridge.model.change import detect
from pollbridge.model.event import Cause, DestinationDisabled, Event, job_event
from pollbridge.model.job import JobKey, Link, Snapshot, State
from pollbridge.notifying.notice import Notice
from pollbridge.notifying.webhook import BODY_LIMIT, body
from tests.kit import events
from tests.kit.stranger import Stranger, stranger
from tests.kit.verifying import Verifiers, Webhook, deliver, signing_secret, verifiers

OLD, NEW, FOREIGN = (signing_secret(bytes(range(n, n + 32))) for n in (0, 100, 200))
NOW = datetime(2026, 6, 8, 12, 31, tzinfo=UTC)

ODD = [
    "\x00",
    "\x1f\x7f\x85",
    "\ufeff",
    "\ufffd",
    "\u2028",
    "\u202e",
    "é",
    "e\u0301",
    "👩\u200d🚀",
    "\U0010ffff",
    "\\u0041",
    '"',
]
TEXTS = st.text() | st.lists(st.sampled_from(ODD)).map("".join) | st.sampled_from(ODD).map(lambda text: text * 1_500)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS.map(lambda text: text[:200]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=8,
)
SNAPSHOTS = st.builds(
    Snapshot,
    state=st.sampled_from(State),
    vendor_status=st.none() | TEXTS,
    name=st.none() | TEXTS,
    error=st.none() | TEXTS,
    message=st.none() | TEXTS,
    links=st.lists(st.builds(Link, rel=st.just("pull_request"), href=TEXTS), max_size=2).map(tuple),
)


def job(snapshot: Snapshot, labels: dict[str, str] | None = None) -> Event:
    change = detect(None, snapshot)
    assert change
    key = JobKey("mentionlab", "job", "p", "1")
    told: dict[str, Any] = {"vendor": "mentionlab", "incarnation": "i", "version": 1, "labels": labels or {}}
    return job_event(key, change, **told, observed_at=NOW, last_seen_at=None)


def disabled(error: str) -> Event:
    told: dict[str, Any] = {
        "id": "e1",
        "version": 1,
        "since": "2026-06-03T12:31:00Z",
        "observed_at": "2026-06-08T12:31:00Z",
    }
    return DestinationDisabled(schema="1", destination="d", type="webhook", reason=Cause.FAILING, error=error, **told)


EVENTS = (
    st.builds(job, SNAPSHOTS, st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=3))
    | st.builds(lambda error: events.unreachable(error=error), TEXTS.map(lambda text: text[:500]))
    | st.builds(disabled, TEXTS.map(lambda text: text[:500]))
)
NOTICES = EVENTS.map(events.notice) | JSON.map(
    lambda more: Notice("Job State Changed", {**events.notice(job(Snapshot(state=State.RUNNING))).detail, "more": more})
)
KEYS = st.binary(min_size=24, max_size=64)


@pytest.fixture(scope="module")
def verifying() -> Iterator[Verifiers]:
    with verifiers() as all_of_them:
        yield all_of_them


@pytest.fixture(scope="module")
def receiver() -> Iterator[Stranger]:
    with stranger() as server:
        yield server


@pytest.fixture(scope="module")
def sent(receiver: Stranger) -> Webhook:
    """An ordinary webhook, signed with one secret."""
    snapshot = Snapshot(state=State.FAILED, error="8 of 100 failed: <é> \u2028 😀")
    return deliver(receiver, events.notice(job(snapshot)), {"signing_secret": NEW})


@pytest.mark.promise(33)
@pytest.mark.promise(34)
@settings(deadline=None)
@given(NOTICES, KEYS)
def test_what_arrives_verifies_with_all_of_them(
    verifying: Verifiers, receiver: Stranger, notice: Notice, key: bytes
) -> None:
    secret = signing_secret(key)
    webhook = deliver(receiver, notice, {"signing_secret": secret})

    assert verifying.all_verify(secret, webhook)
    assert webhook.headers["webhook-id"] == notice.event_id == json.loads(webhook.body)["data"]["id"]
    assert webhook.body == body(notice).encode()
    assert len(webhook.body) <= BODY_LIMIT


@pytest.mark.promise(33)
@pytest.mark.parametrize("size", [24, 25, 26, 32, 63, 64])
def test_a_secret_may_have_24_to_64_bytes(verifying: Verifiers, receiver: Stranger, size: int) -> None:
    secret = signing_secret((b"\xff\xfe\x00\xfb" * 16)[:size])
    webhook = deliver(receiver, events.notice(job(Snapshot(state=State.SUCCEEDED))), {"signing_secret": secret})

    assert verifying.all_verify(secret, webhook)


@pytest.mark.promise(33)
@pytest.mark.parametrize("filling", ["x", "é", "😀", "\ufffd"])
def test_the_longest_body_verifies(verifying: Verifiers, receiver: Stranger, filling: str) -> None:
    detail = events.notice(job(Snapshot(state=State.RUNNING))).detail
    room = BODY_LIMIT - len(body(Notice("Job Updated", {**detail, "more": ""})).encode())
    size = len(filling.encode())
    longest = Notice("Job Updated", {**detail, "more": filling * (room // size) + "x" * (room % size)})
    webhook = deliver(receiver, longest, {"signing_secret": NEW})

    assert len(webhook.body) == BODY_LIMIT
    assert verifying.all_verify(NEW, webhook)


@pytest.mark.promise(33)
@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80])
def test_no_changed_byte_of_the_body_verifies(verifying: Verifiers, sent: Webhook, flip: int) -> None:
    for place in range(len(sent.body)):
        changed = bytearray(sent.body)
        changed[place] ^= flip

        assert not verifying.all_verify(NEW, Webhook(sent.headers, bytes(changed))), place


@pytest.mark.promise(33)
@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp"])
@pytest.mark.parametrize("flip", [0x01, 0x10, 0x20, 0x80])
def test_no_changed_byte_of_id_or_timestamp_verifies(verifying: Verifiers, sent: Webhook, name: str, flip: int) -> None:
    value = sent.headers[name].encode()
    for place in range(len(value)):
        changed = bytearray(value)
        changed[place] ^= flip

        assert not verifying.all_verify(NEW, sent.saying(**{name: changed.decode("latin-1")})), place


@pytest.mark.promise(33)
@settings(deadline=None)
@given(st.data())
def test_no_change_at_all_verifies(verifying: Verifiers, sent: Webhook, data: st.DataObject) -> None:
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(sent.body))] * 2)))
    other = data.draw(st.binary(max_size=8).filter(lambda other: other != sent.body[start:end]))
    changed = sent.body[:start] + other + sent.body[end:]

    assert not verifying.all_verify(NEW, Webhook(sent.headers, changed))


@pytest.mark.promise(33)
@pytest.mark.parametrize("secret", [FOREIGN, signing_secret(bytes(range(100, 131))), signing_secret(bytes(24))])
def test_another_secret_does_not_verify(verifying: Verifiers, sent: Webhook, secret: str) -> None:
    assert verifying.all_verify(NEW, sent)
    assert not verifying.all_verify(secret, sent)


@pytest.mark.promise(33)
@settings(deadline=None)
@given(NOTICES)
def test_both_secrets_verify_while_rotating(verifying: Verifiers, receiver: Stranger, notice: Notice) -> None:
    both = {"signing_secret": NEW, "previous_signing_secret": OLD}
    webhook = deliver(receiver, notice, both)

    assert verifying.all_verify(OLD, webhook)
    assert verifying.all_verify(NEW, webhook)
    assert not verifying.all_verify(FOREIGN, webhook)


@pytest.mark.promise(33)
def test_after_the_rotation_the_old_secret_verifies_nothing(verifying: Verifiers, sent: Webhook) -> None:
    assert not verifying.all_verify(OLD, sent)


@pytest.mark.promise(33)
@pytest.mark.parametrize(("minutes", "good"), [(-6, False), (-4, True), (4, True), (6, False)])
def test_a_stale_timestamp_is_refused(verifying: Verifiers, receiver: Stranger, minutes: int, good: bool) -> None:
    notice = events.notice(job(Snapshot(state=State.RUNNING)))
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    webhook = deliver(receiver, notice, {"signing_secret": NEW}, now=lambda: at)

    assert verifying.all_verify(NEW, webhook) is good
