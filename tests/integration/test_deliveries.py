"""Each event reaches its receiver once as far as anyone can tell, and none is lost on the way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from pollbridge.aws import client
from pollbridge.history.connections import connection_pk
from pollbridge.history.ledger import Delivery, Ledger, Status, delivery_of
from pollbridge.history.table import Table
from pollbridge.model.event import ConnectionEvent
from pollbridge.notifying.deliveries import Deliveries, Queue
from pollbridge.notifying.notice import DeliveryError, Notice, NotYet, Receipt, Treatment
from pollbridge.notifying.retries import LONGEST, OLDEST, STEPS, RetryClock
from pollbridge.notifying.webhook import WebhookNotifier
from pollbridge.notifying.worker import LEASE
from pollbridge.secrets import WebhookSecret
from tests.kit.events import event, recovered, unreachable
from tests.kit.faults import Call, Crash, Fault, Faulty, lost, throttle
from tests.kit.posting import Posts
from tests.kit.receiving import DELIVERED, NOW, Mail, Post, Receiver, envelope, failing, message, once

HEADERS = ("id", "timestamp", "signature")
SIGNING = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5"


def test_a_delivered_message_is_acknowledged_and_written_down() -> None:
    post = Post()

    result = post.deliver(message())

    assert (result.back, result.counts) == ([], {"delivered": 1})
    [delivery] = post.ledger
    assert (delivery.event_id, delivery.destination, delivery.version) == ("event-1", "team", 1)
    assert (delivery.status, delivery.next_attempt_at) == (Status.DELIVERED, None)
    assert [(attempt.outcome, attempt.code, attempt.at) for attempt in delivery.attempts] == [
        ("delivered", 200, "2026-06-08T12:31:00Z")
    ]


@pytest.mark.promise(29)
def test_the_same_message_ten_times_in_a_row_is_delivered_once() -> None:
    post = Post()

    counts = sum((post.deliver(message()).counts for _ in range(10)), Counter[str]())

    assert counts == {"delivered": 1, "already_done": 9}
    assert post.receiver.got == ["event-1"]


@pytest.mark.promise(29)
def test_the_same_message_ten_times_at_once_is_delivered_once() -> None:
    post, together = Post(), Barrier(10)

    def deliver(_: int) -> Counter[str]:
        together.wait(timeout=30)
        return post.deliver(message()).counts

    with ThreadPoolExecutor(10) as pool:
        counts = sum(pool.map(deliver, range(10)), Counter[str]())

    assert counts["delivered"] == 1
    assert counts["delivered"] + counts["already_done"] + counts["put_off"] == 10
    assert post.receiver.got == ["event-1"]


@pytest.mark.promise(29)
def test_a_message_that_another_delivers_at_this_moment_waits() -> None:
    post = Post()
    results = []

    def while_it_is_delivered(_: Notice) -> Receipt:
        results.append(post.deliver(message()))
        return Receipt(200)

    post.receiver.does = while_it_is_delivered
    post.deliver(message())

    assert [(result.counts, result.back) for result in results] == [({"put_off": 1}, ["message-1"])]
    assert post.sqs.waits == {"receipt-1": 30}


@pytest.mark.promise(30)
def test_a_crash_after_the_post_repeats_it_under_the_same_id() -> None:
    post = Post()
    post.aws.plan = once(Fault(Crash()), *DELIVERED)
    with pytest.raises(Crash):
        post.deliver(message())
    assert post.deliver(message()).counts == {"put_off": 1}

    post.later(seconds=LEASE.total_seconds())

    assert post.deliver(message()).counts == {"delivered": 1}
    assert post.receiver.got == ["event-1", "event-1"]


@pytest.mark.promise(30)
def test_a_repeated_webhook_has_the_same_id_and_a_fresh_timestamp_and_signature() -> None:
    post, posts, secret = Post(), Posts(), WebhookSecret(url="https://receiver.test/", signing_secret=SIGNING)
    poster: Any = posts
    post.receiver = WebhookNotifier(poster, lambda: secret, {}, now=lambda: post.now)
    post.aws.plan = once(Fault(Crash()), *DELIVERED)

    Mail(post).put(about_vendor(unreachable())).go()

    first, second = ({name: sent.headers[f"webhook-{name}"] for name in HEADERS} for sent in posts.sent)
    assert first["id"] == second["id"]
    assert int(second["timestamp"]) - int(first["timestamp"]) >= LEASE.total_seconds()
    assert first["signature"] != second["signature"]
    assert posts.sent[0].body == posts.sent[1].body


def test_the_claim_of_the_dead_is_taken_over_when_its_lease_is_out() -> None:
    post = Post(Receiver(lambda _: (_ for _ in ()).throw(Crash())))
    with pytest.raises(Crash):
        post.deliver(message())
    post.receiver = Receiver()

    post.later(seconds=LEASE.total_seconds() - 1)
    assert post.deliver(message()).counts == {"put_off": 1}
    post.later(seconds=1)
    assert post.deliver(message()).counts == {"delivered": 1}


def test_a_sleeper_that_wakes_up_takes_nothing_back_from_a_finished_delivery() -> None:
    post = Post()

    def sleeps(_: Notice) -> Receipt:
        post.receiver.does = lambda _: Receipt(200)
        post.later(minutes=2)
        assert post.deliver(message()).counts == {"delivered": 1}
        raise DeliveryError("timed out")

    post.receiver.does = sleeps

    assert post.deliver(message()).counts == {"already_done": 1}
    assert [delivery.status for delivery in post.ledger] == [Status.DELIVERED]


@pytest.mark.promise(32)
@pytest.mark.parametrize("bad", [DeliveryError("HTTP 500"), KeyError("to"), throttle("GetSecretValue"), UnicodeError()])
def test_one_bad_message_of_ten_is_retried_and_nine_are_delivered(bad: Exception) -> None:
    def deliver(notice: Notice) -> Receipt:
        if notice.event_id == "event-4":
            raise bad
        return Receipt(200)

    post = Post(Receiver(deliver))
    result = post.deliver(*(message(number) for number in range(1, 11)))

    assert (result.back, result.counts) == (["message-4"], {"delivered": 9, "retried": 1})
    assert len(post.receiver.got) == 10


@pytest.mark.promise(32)
def test_ten_bad_messages_are_ten_reported() -> None:
    result = Post(failing()).deliver(*(message(number) for number in range(1, 11)))

    assert result.back == [f"message-{number}" for number in range(1, 11)]


@pytest.mark.promise(32)
@pytest.mark.parametrize("error", [throttle(), lost()])
@pytest.mark.parametrize("call", [1, 2])
def test_a_message_that_the_table_fails_comes_back_alone(error: Exception, call: int) -> None:
    post = Post()
    post.aws.plan = lambda made: Fault(error) if made.touches("event-2") and _nth(post, made) == call else None

    result = post.deliver(*(message(number) for number in range(1, 4)))

    assert (result.back, result.counts) == (["message-2"], {"delivered": 2, "broke": 1})
    assert result.errors == {type(error).__name__: 1}


def _nth(post: Post, made: Call) -> int:
    return sum(call.touches("event-2") for call in post.aws.calls)


def test_what_breaks_its_notifier_ends_in_the_dead_letters_and_not_after_a_thousand_tries() -> None:
    post = Post(Receiver(lambda notice: notice.detail["nothing"]))

    ways = [_after(post, hours=11) for _ in range(9)]

    assert ways == ["retried"] * 7 + ["failed", "already_done"]
    assert post.sqs.buried[0]["reason"] == "the notifier broke: KeyError"


def _after(post: Post, **span: float) -> str:
    post.later(**span)
    [way] = post.deliver(message(sent_at=post.now)).counts
    return way


@pytest.mark.promise(35)
def test_the_waits_are_the_documented_ones_with_a_fifth_of_jitter() -> None:
    post, waits = Post(failing()), []

    for _ in range(7):
        _after(post, hours=11)
        waits.append(post.sqs.waits["receipt-1"])

    documented = [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 10 * 3600]
    assert [step.total_seconds() for step in STEPS] == documented
    assert all(
        0.8 * step - 1 <= wait <= min(1.2 * step, 11 * 3600) for wait, step in zip(waits, documented, strict=True)
    )


@pytest.mark.promise(35)
@given(attempts=st.integers(1, 7), jitter=st.floats(0.8, 1.2), told=st.none() | st.integers(0, 10**6))
def test_no_wait_is_longer_than_eleven_hours_or_earlier_than_told(
    attempts: int, jitter: float, told: int | None
) -> None:
    step = STEPS[attempts - 1]
    asked = None if told is None else timedelta(seconds=told)

    chosen = RetryClock(lambda *_: jitter).wait(attempts, asked)

    assert chosen is not None
    assert timedelta() < chosen <= LONGEST
    assert 0.8 * step <= chosen <= 2 * step
    assert asked is None or min(max(asked, step), 2 * step, LONGEST) == chosen


@pytest.mark.promise(35)
def test_attempts_are_counted_in_the_ledger_and_not_by_receives() -> None:
    post = Post()
    post.time_left = 5
    for _ in range(20):
        assert post.deliver(message()).counts == {"put_off": 1}
    assert post.ledger == []

    post.time_left, post.receiver = 60, failing()
    assert _after(post) == "retried"
    assert len(post.ledger[0].attempts) == 1


@pytest.mark.promise(38)
def test_what_is_exhausted_is_in_the_dead_letters_whole() -> None:
    post = Post(failing())

    ways = [_after(post, hours=11) for _ in range(8)]

    assert ways == ["retried"] * 7 + ["failed"]
    assert post.sqs.buried == [{"body": message()["body"], "reason": "HTTP 500"}]
    [delivery] = post.ledger
    assert (delivery.status, len(delivery.attempts), delivery.next_attempt_at) == (Status.FAILED, 8, None)


def refuse_for_good(post: Post) -> None:
    post.receiver.does = failing(treatment=Treatment.GIVE_UP).does


def wait_too_long(post: Post) -> None:
    def not_yet(*_: Any) -> Any:
        raise NotYet(timedelta(seconds=2))

    post.receiver.gathers = not_yet
    post.deliver(message())
    post.later(seconds=OLDEST.total_seconds() + 1)


@pytest.mark.promise(2)
@pytest.mark.promise(38)
@pytest.mark.parametrize("give_up", [refuse_for_good, wait_too_long])
def test_a_crash_before_the_dead_letter_is_written_leaves_the_delivery_pending(give_up: Any) -> None:
    post = Post()
    give_up(post)
    post.queues = Faulty(post.sqs, lambda call: Fault(Crash()) if call.operation == "send_message" else None)
    with pytest.raises(Crash):
        post.deliver(message())
    assert post.statuses == {"event-1": "pending"}

    post.queues = post.sqs
    post.later(seconds=LEASE.total_seconds())

    assert post.deliver(message()).counts == {"failed": 1}
    assert (post.statuses, len(post.sqs.buried)) == ({"event-1": "failed"}, 1)


@pytest.mark.promise(38)
def test_a_permanent_failure_goes_to_the_dead_letters_at_once() -> None:
    post = Post(failing(treatment=Treatment.DISABLE, code=410))

    result = post.deliver(message())

    assert (result.back, result.counts) == ([], {"failed": 1})
    assert len(post.sqs.buried) == 1
    assert post.ledger[0].attempts[0].code == 410


def test_what_was_maybe_sent_is_not_repeated_where_nobody_could_tell() -> None:
    post = Post(failing(maybe_sent=True))
    post.receiver.receiver_deduplicates = False

    assert post.deliver(message()).back == []
    assert post.ledger[0].status == Status.MAYBE_SENT
    assert post.deliver(message()).counts == {"already_done": 1}
    assert len(post.receiver.got) == 1


def test_what_was_maybe_sent_is_repeated_to_a_receiver_that_knows_repetitions() -> None:
    post = Post(failing(maybe_sent=True))

    assert post.deliver(message()).counts == {"retried": 1}


def test_what_surely_was_not_sent_is_repeated_everywhere() -> None:
    post = Post(failing())
    post.receiver.receiver_deduplicates = False

    assert post.deliver(message()).counts == {"retried": 1}


def test_a_failed_attempt_says_when_the_next_will_be() -> None:
    post = Post(failing(retry_after=timedelta(seconds=8)))

    post.deliver(message())

    assert post.ledger[0].status == Status.PENDING
    assert post.ledger[0].next_attempt_at == NOW + timedelta(seconds=8)
    assert post.sqs.waits == {"receipt-1": 8}


def about_vendor(told: ConnectionEvent) -> dict[str, Any]:
    """A message about MentionLab, as EventBridge hands it on."""
    detail = {"detail-type": told.detail_type, "detail": json.loads(told.json_text())}
    return message(body=json.dumps(envelope() | detail))


def beside_the_connection(post: Post) -> list[Delivery]:
    values = {":pk": {"S": connection_pk("mentionlab")}, ":d": {"S": "DELIVERY#"}}
    items = Table(post.aws, "history").query("PK = :pk AND begins_with(SK, :d)", values)
    return [delivery_of(item) for item in items]


@pytest.mark.promise(29)
@pytest.mark.parametrize("told", [unreachable(), unreachable(scope="p"), recovered()])
def test_an_event_about_a_vendor_is_delivered_once_and_kept_beside_its_connection(told: ConnectionEvent) -> None:
    post = Post()

    counts = sum((post.deliver(about_vendor(told)).counts for _ in range(10)), Counter[str]())

    assert counts == {"delivered": 1, "already_done": 9}
    assert post.receiver.got == [told.id]
    [delivery] = beside_the_connection(post)
    assert (delivery.event_id, delivery.version, delivery.status) == (told.id, told.version, Status.DELIVERED)
    assert post.ledger == []


def test_an_outage_and_its_recovery_are_two_deliveries() -> None:
    post = Post()

    assert post.deliver(about_vendor(unreachable()), about_vendor(recovered())).counts == {"delivered": 2}
    assert len(beside_the_connection(post)) == 2


@pytest.mark.parametrize(("function", "case"), [("slack_notifier", "unreachable"), ("webhook_notifier", "recovered")])
def test_the_samples_about_a_vendor_are_delivered(function: str, case: str) -> None:
    post = Post()

    assert post.deliver(*event(function, case)["Records"]).counts == {"delivered": 1}
    assert len(beside_the_connection(post)) == 1


@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        ("Job Lost", {"connection": "oration"}),
        ("Job Lost", {"job": None}),
        ("Job Lost", {"job": {"key": 7}}),
        ("Job Lost", {"job": {"key": ""}}),
        ("Vendor Unreachable", {"job": {"key": "oration/job/acme/j1"}}),
        ("Vendor Recovered", {"connection": ""}),
        ("Destination Disabled", {"destination": ""}),
        (["Vendor Unreachable"], {"connection": "oration"}),
    ],
)
def test_what_is_about_no_job_vendor_or_destination_is_buried_as_that(kind: Any, detail: dict[str, Any]) -> None:
    post = Post()
    odd = {"detail-type": kind, "detail": {"id": "event-1", "version": 1, **detail}}

    assert post.deliver(message(body=json.dumps(odd))).counts == {"unreadable": 1}
    assert post.sqs.buried[0]["reason"] == "the message is about no job, vendor or destination"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        "[]",
        "null",
        "{}",
        '{"detail-type": "x", "detail": null}',
        '{"detail-type": "x", "detail": {"id": 1}}',
    ],
)
def test_what_is_no_event_is_buried_at_once_and_harms_nobody(body: str) -> None:
    post = Post()

    result = post.deliver(message(1, body=body), message(2))

    assert (result.back, result.counts) == ([], {"unreadable": 1, "delivered": 1})
    assert post.sqs.buried[0]["body"] == body


def test_with_too_little_time_no_attempt_is_begun() -> None:
    post = Post()
    post.time_left = 14

    result = post.deliver(message(), message(2))

    assert result.back == ["message-1", "message-2"]
    assert (post.receiver.got, post.ledger, set(post.sqs.waits.values())) == ([], [], {1})


def test_a_message_short_of_time_is_never_given_up() -> None:
    post = Post()
    post.time_left = 14

    result = post.deliver(message(sent_at=post.now - 2 * OLDEST))

    assert (result.back, post.sqs.buried) == (["message-1"], [])


@pytest.mark.promise(30)
def test_however_old_a_message_is_it_outwaits_the_claim_of_the_dead() -> None:
    """Who held it may have told nobody: buried, it would be pending for ever."""
    post = Post(Receiver(lambda _: (_ for _ in ()).throw(Crash())))
    old = message(sent_at=post.now - 2 * OLDEST)
    with pytest.raises(Crash):
        post.deliver(old)
    post.receiver = Receiver()

    assert post.deliver(old).counts == {"put_off": 1}
    post.later(seconds=LEASE.total_seconds())
    assert post.deliver(old).counts == {"delivered": 1}
    assert post.sqs.buried == []


def test_two_destinations_keep_ledgers_of_their_own() -> None:
    post = Post()
    table = Table(post.aws, "history")
    post.deliver(message())

    other = Ledger(table, "service", LEASE).claim("JOB#oration/job/acme/j1", "event-1", 1, post.now)

    assert other.status == Status.PENDING
    assert [delivery.destination for delivery in post.ledger] == ["service", "team"]


@pytest.mark.parametrize("outcome", ["", "x" * 5000])
def test_no_reason_is_too_long_or_empty_for_the_queue(outcome: str) -> None:
    def refuse(_: Notice) -> Receipt:
        raise DeliveryError(outcome, Treatment.GIVE_UP)

    post = Post(Receiver(refuse))
    post.deliver(message())

    assert 1 <= len(post.sqs.buried[0]["reason"]) <= 256


@pytest.fixture
def queue() -> Iterator[Queue]:
    with mock_aws():
        sqs = client("sqs")
        urls = [sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("queue", "dead-letters")]
        yield Queue(sqs, *urls)


@pytest.mark.promise(38)
def test_the_same_holds_in_motos_queues(queue: Queue) -> None:
    queue.client.send_message(QueueUrl=queue.url, MessageBody=json.dumps(envelope()))
    [got] = queue.client.receive_message(QueueUrl=queue.url)["Messages"]
    told = message(body=got["Body"]) | {"receiptHandle": got["ReceiptHandle"]}
    post = Post()
    ledger = Ledger(Table(post.aws, "history"), "team", LEASE)

    for receiver in (failing(), failing(treatment=Treatment.GIVE_UP)):
        Deliveries(queue, ledger, post.standing, receiver, RetryClock(), lambda: post.now).deliver([told], lambda: 60.0)
        post.later(hours=1)

    [dead] = queue.client.receive_message(QueueUrl=queue.dead_letter_url)["Messages"]
    assert json.loads(dead["Body"]) == envelope()
    assert "Messages" not in queue.client.receive_message(QueueUrl=queue.url)


def _told_to_wait(_: Notice) -> Receipt:
    raise DeliveryError("HTTP 429", Treatment.LATER, code=429, retry_after=timedelta(seconds=8))


@pytest.mark.promise(35)
def test_being_told_to_come_later_exhausts_nothing() -> None:
    post = Post(Receiver(_told_to_wait))

    Mail(post).put(message()).go(hours=35)

    [delivery] = post.ledger
    assert len(post.receiver.got) > 8
    assert (delivery.status, delivery.attempts, delivery.waiting_since) == (Status.PENDING, (), NOW)


@pytest.mark.promise(35)
@pytest.mark.promise(38)
def test_what_is_told_to_come_later_for_36_hours_is_given_up_with_what_it_was_told() -> None:
    post = Post(Receiver(_told_to_wait))

    Mail(post).put(message()).go()

    [delivery] = post.ledger
    assert OLDEST < post.now - NOW <= OLDEST + LONGEST
    assert (delivery.status, [attempt.code for attempt in delivery.attempts]) == (Status.FAILED, [429])
    assert post.sqs.buried == [{"body": message()["body"], "reason": "HTTP 429"}]
