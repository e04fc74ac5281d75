"""What the ledger keeps of a delivery: who holds it, when it is due, what was tried, and that it may begin again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from pollbridge.history.heads import job_pk
from pollbridge.history.ledger import (
    FORSAKEN,
    Attempt,
    Claimed,
    Delivery,
    Ledger,
    NotDue,
    Status,
    delivery_of,
    delivery_sk,
)
from pollbridge.history.table import LostRace, Table
from pollbridge.notifying.deliveries import RESPONSE_KEPT
from pollbridge.notifying.notice import DeliveryError, Notice, Receipt, Treatment
from pollbridge.notifying.worker import LEASE
from tests.kit.faults import Call, Fault, Faulty, lost
from tests.kit.memory import Memory
from tests.kit.receiving import KEY, NOW, Mail, Post, Receiver, Repeating, failing, message

PK = job_pk(KEY)
MOMENTS = ("next_attempt_at", "claimed_until", "waiting_since")
ITEM_LIMIT = 400 * 1024
"""Bytes of a DynamoDB item."""


@pytest.fixture(params=["moto", "memory"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    if request.param == "memory":
        return Ledger(Table(Memory(), "history"), "team", LEASE)
    return Ledger(request.getfixturevalue("table"), "team", LEASE)


def claim(ledger: Ledger, now: datetime = NOW) -> Delivery:
    return ledger.claim(PK, "event-1", 1, now)


def again(ledger: Ledger, now: datetime = NOW) -> None:
    ledger.again(PK, "event-1", 1, now)


def close(ledger: Ledger, status: Status = Status.DISABLED, now: datetime = NOW) -> None:
    ledger.close(PK, "event-1", 1, status, now)


def standing(ledger: Ledger) -> Delivery:
    found = ledger.of(PK, "event-1")
    assert found
    return found


def test_what_nobody_has_taken_up_has_no_delivery(ledger: Ledger) -> None:
    assert ledger.of(PK, "event-1") is None


@pytest.mark.promise(29)
def test_a_claim_is_one_persons_until_its_lease_is_out(ledger: Ledger) -> None:
    claim(ledger)

    with pytest.raises(Claimed):
        claim(ledger, NOW + LEASE - timedelta(seconds=1))
    assert claim(ledger, NOW + LEASE).status is Status.PENDING


def test_what_is_finished_is_not_claimed(ledger: Ledger) -> None:
    ledger.finish(claim(ledger), Status.MAYBE_SENT, None, None)

    assert claim(ledger).status is Status.MAYBE_SENT
    with pytest.raises(LostRace):
        ledger.finish(standing(ledger), Status.FAILED, None, None)


def test_what_waits_is_not_claimed_before_its_time(ledger: Ledger) -> None:
    due = NOW + timedelta(minutes=5)
    ledger.finish(claim(ledger), Status.PENDING, None, due)

    with pytest.raises(NotDue) as early:
        claim(ledger, due - timedelta(seconds=3))
    assert early.value.until == due
    # SQS counts in whole seconds: by so much a message may come early.
    assert claim(ledger, due - timedelta(seconds=2)).next_attempt_at == due


def test_what_is_due_and_held_is_held(ledger: Ledger) -> None:
    due = NOW + timedelta(minutes=5)
    ledger.finish(claim(ledger), Status.PENDING, None, due)
    claim(ledger, due)

    with pytest.raises(Claimed):
        claim(ledger, due + timedelta(seconds=1))


def test_closing_finishes_what_nobody_attempted(ledger: Ledger) -> None:
    close(ledger)

    assert (standing(ledger).status, standing(ledger).attempts) == (Status.DISABLED, ())


def test_closing_leaves_what_is_finished_and_waits_for_who_holds_it(ledger: Ledger) -> None:
    held = claim(ledger)
    with pytest.raises(Claimed):
        close(ledger)
    ledger.finish(held, Status.DELIVERED, None, None)

    close(ledger)

    assert standing(ledger).status is Status.DELIVERED


def test_closing_takes_what_the_dead_held_and_what_waited(ledger: Ledger) -> None:
    claim(ledger)
    close(ledger, now=NOW + LEASE)
    assert standing(ledger).status is Status.DISABLED

    again(ledger)
    ledger.finish(claim(ledger), Status.PENDING, None, NOW + timedelta(hours=5))
    close(ledger, Status.FAILED)

    assert (standing(ledger).status, standing(ledger).next_attempt_at) == (Status.FAILED, None)


def through(ledger: Ledger, client: Any) -> Ledger:
    return Ledger(Table(client, ledger.table.name), ledger.destination, ledger.lease)


def repeated(ledger: Ledger, meanwhile: Callable[[], object] = lambda: None) -> Ledger:
    """The same, and the first answer to every update is lost."""
    return through(ledger, Repeating(ledger.table.client, meanwhile))


def attempt(second: int = 0) -> Attempt:
    return Attempt(at=f"2026-06-08T12:31:{second:02}Z", outcome="delivered", code=200, latency_ms=7)


@pytest.mark.promise(30)
def test_a_claim_whose_answer_is_lost_is_ours_when_it_is_asked_for_again(ledger: Ledger) -> None:
    assert claim(repeated(ledger)).status is Status.PENDING

    # By the same call: by no other, nor by its own next one.
    for other in (ledger, repeated(ledger)):
        with pytest.raises(Claimed):
            claim(other)


@pytest.mark.promise(30)
@pytest.mark.parametrize("status", Status)
def test_what_is_finished_and_its_answer_lost_is_finished(ledger: Ledger, status: Status) -> None:
    repeated(ledger).finish(claim(ledger), status, attempt(), None)

    assert (standing(ledger).status, standing(ledger).attempts) == (status, (attempt(),))


def test_what_another_finished_alike_was_finished_by_another(ledger: Ledger) -> None:
    held = claim(ledger)
    ledger.finish(held, Status.DELIVERED, attempt(1), None)

    with pytest.raises(LostRace):
        ledger.finish(held, Status.DELIVERED, attempt(2), None)
    assert standing(ledger).attempts == (attempt(1),)


def put_off(ledger: Ledger, now: datetime = NOW) -> datetime:
    return ledger.put_off(PK, "event-1", 1, now)


@pytest.mark.promise(35)
def test_it_waits_since_it_was_first_put_off_until_it_is_attempted(ledger: Ledger) -> None:
    assert [put_off(ledger, NOW + timedelta(hours=hours)) for hours in (0, 1, 2)] == [NOW] * 3
    assert (standing(ledger).status, standing(ledger).waiting_since) == (Status.PENDING, NOW)

    ledger.finish(claim(ledger), Status.PENDING, attempt(), None)

    assert standing(ledger).waiting_since is None
    assert put_off(ledger, NOW + timedelta(hours=3)) == NOW + timedelta(hours=3)


def test_putting_off_leaves_what_is_finished(ledger: Ledger) -> None:
    ledger.finish(claim(ledger), Status.DELIVERED, attempt(), None)

    assert put_off(ledger) == NOW
    assert (standing(ledger).status, standing(ledger).waiting_since) == (Status.DELIVERED, None)


@pytest.mark.promise(38)
@pytest.mark.parametrize("status", Status)
def test_only_what_is_still_as_it_was_seen_is_had_again(ledger: Ledger, status: Status) -> None:
    ledger.finish(claim(ledger), status, None, None)
    others = tuple(other for other in (None, *Status) if other is not status)

    with pytest.raises(Claimed):
        ledger.again(PK, "event-1", 1, NOW, others)
    assert standing(ledger).status is status
    ledger.again(PK, "event-1", 1, NOW, (status,))

    assert (standing(ledger).status, standing(ledger).next_attempt_at) == (Status.PENDING, NOW)


@pytest.mark.promise(38)
def test_what_was_seen_untouched_is_had_once(ledger: Ledger) -> None:
    ledger.again(PK, "event-1", 1, NOW, (None,))

    with pytest.raises(Claimed):
        ledger.again(PK, "event-1", 1, NOW, (None,))


@pytest.mark.promise(38)
@pytest.mark.parametrize("status", [None, *Status])
def test_a_requeue_whose_answer_is_lost_is_done(ledger: Ledger, status: Status | None) -> None:
    if status:
        ledger.finish(claim(ledger), status, attempt(), None)

    repeated(ledger).again(PK, "event-1", 1, NOW, (status,))

    assert (standing(ledger).status, standing(ledger).next_attempt_at) == (Status.PENDING, NOW)


def item_of(ledger: Ledger) -> dict[str, Any]:
    """But for its token: that is of the last write."""
    item = ledger.table.get(PK, delivery_sk("event-1", "team")) or {}
    return {name: value for name, value in item.items() if name != "token"}


BEFORE: dict[str, Callable[[Ledger], object]] = {
    "waits for its retry": lambda ledger: ledger.finish(
        claim(ledger), Status.PENDING, attempt(), NOW + timedelta(hours=5)
    ),
    "put off": lambda ledger: ledger.put_off(PK, "event-1", 1, NOW),
    "told to wait": lambda ledger: ledger.finish(claim(ledger), Status.PENDING, None, NOW + LEASE, NOW),
    "held by the dead": lambda ledger: claim(ledger, NOW - 2 * LEASE),
    "delivered": lambda ledger: ledger.finish(claim(ledger), Status.DELIVERED, attempt(), None),
    "disabled": close,
    "resent and failed": lambda ledger: (
        ledger.finish(claim(ledger), Status.FAILED, attempt().model_copy(update={"response": "no"}), None),
        again(ledger),
        ledger.finish(claim(ledger), Status.FAILED, attempt(1).model_copy(update={"response": "no"}), None),
    ),
}


@pytest.mark.promise(38)
@pytest.mark.parametrize("answers", ["answered", "answer lost"])
@pytest.mark.parametrize("before", BEFORE)
def test_a_requeue_that_is_undone_leaves_everything_as_it_was(ledger: Ledger, before: str, answers: str) -> None:
    BEFORE[before](ledger)
    was = item_of(ledger)
    writer = repeated(ledger) if answers == "answer lost" else ledger

    writer.restore(writer.again(PK, "event-1", 2, NOW))

    assert item_of(ledger) == was


@pytest.mark.promise(38)
def test_the_requeue_of_what_was_never_taken_up_leaves_it_to_its_message_when_undone(ledger: Ledger) -> None:
    ledger.restore(ledger.again(PK, "event-1", 1, NOW))

    assert standing(ledger).forsaken(NOW)  # So `recover` may send it.
    assert claim(ledger).tries == 0


TOUCHES: dict[str, Callable[[Ledger], object]] = {
    "claimed": claim,
    "put off": BEFORE["put off"],
    "closed": close,
    "delivered": BEFORE["delivered"],
    "requeued by another": again,
}


@pytest.mark.promise(38)
@pytest.mark.parametrize("touch", TOUCHES)
def test_undoing_a_requeue_leaves_what_others_have_made_of_it_since(ledger: Ledger, touch: str) -> None:
    close(ledger, Status.FAILED)
    requeued = ledger.again(PK, "event-1", 1, NOW)
    TOUCHES[touch](ledger)
    touched = item_of(ledger)

    ledger.restore(requeued)

    assert item_of(ledger) == touched


@pytest.mark.promise(38)
@pytest.mark.parametrize("touch", ["claimed", "put off", "delivered"])
def test_a_requeue_starts_from_what_is_there_when_it_is_written(ledger: Ledger, touch: str) -> None:
    """Another writes between its look and its writing: the first try is lost, and the second looks again."""
    turns = [touch]

    def meanwhile(call: Call) -> None:
        if call.operation == "update_item" and turns:
            TOUCHES[turns.pop()](ledger)

    now = NOW + LEASE  # By then a claim is over.
    requeued = through(ledger, Faulty(ledger.table.client, meanwhile)).again(PK, "event-1", 1, now)

    assert delivery_of(requeued.before or {}).status is (Status.DELIVERED if touch == "delivered" else Status.PENDING)


@pytest.mark.promise(38)
@pytest.mark.parametrize("before", BEFORE)
def test_a_requeue_of_which_nobody_knows_whether_it_was_written_is_undone(ledger: Ledger, before: str) -> None:
    BEFORE[before](ledger)
    was, faults = item_of(ledger), [Fault(lost(), after=True)]
    faulty = Faulty(
        ledger.table.client, lambda call: faults.pop() if call.operation == "update_item" and faults else None
    )

    with pytest.raises(ReadTimeoutError):
        through(ledger, faulty).again(PK, "event-1", 1, NOW)

    assert item_of(ledger) == was


@pytest.mark.promise(29)
def test_a_release_whose_answer_is_lost_takes_no_claim_away(ledger: Ledger) -> None:
    held = claim(ledger)

    repeated(ledger, lambda: claim(ledger)).finish(held, Status.PENDING, None, NOW)

    assert claim_is_held(ledger)


@pytest.mark.promise(30)
@pytest.mark.parametrize("status", [Status.PENDING, Status.FAILED])
def test_what_comes_back_is_written_down_once_however_often_the_answer_is_lost(ledger: Ledger, status: Status) -> None:
    again_at = None if status.finished else NOW + timedelta(minutes=5)

    repeated(ledger).finish(claim(ledger), status, attempt(), again_at)

    assert (standing(ledger).attempts, standing(ledger).next_attempt_at) == ((attempt(),), again_at)


def test_closing_and_putting_off_whose_answers_are_lost_are_done(ledger: Ledger) -> None:
    assert repeated(ledger).put_off(PK, "event-1", 1, NOW) == NOW
    repeated(ledger).close(PK, "event-1", 1, Status.FAILED, NOW)

    assert standing(ledger).status is Status.FAILED


@pytest.mark.promise(40)
def test_a_requeue_forgets_what_receivers_answered_before(ledger: Ledger) -> None:
    answered = attempt().model_copy(update={"response": "no such thing"})
    ledger.finish(claim(ledger), Status.FAILED, answered, None)

    again(ledger)

    assert standing(ledger).attempts == (attempt(),)


@pytest.mark.promise(38)
@pytest.mark.parametrize("names", [*permutations(MOMENTS, 2)])
def test_the_last_that_was_heard_of_a_delivery_says_when_it_is_forsaken(ledger: Ledger, names: tuple[str, str]) -> None:
    again(ledger)
    moments: dict[str, Any] = dict(zip(names, (NOW - timedelta(days=9), NOW), strict=True))

    delivery = replace(standing(ledger), **{"next_attempt_at": None, **moments})

    assert not delivery.forsaken(NOW + FORSAKEN)
    assert delivery.forsaken(NOW + FORSAKEN + timedelta(seconds=1))


@pytest.mark.promise(38)
def test_what_is_pending_is_forsaken_when_no_message_can_be_left(ledger: Ledger) -> None:
    moments = []
    put_off(ledger)
    moments.append(standing(ledger))
    claim(ledger, NOW - LEASE)
    moments.append(standing(ledger))
    ledger.finish(standing(ledger), Status.PENDING, attempt(), NOW)
    moments.append(standing(ledger))

    for delivery in moments:
        assert not delivery.forsaken(NOW + FORSAKEN)
        assert delivery.forsaken(NOW + FORSAKEN + timedelta(seconds=1))


@pytest.mark.promise(38)
@pytest.mark.parametrize("status", [status for status in Status if status.finished])
def test_what_is_finished_is_not_forsaken(ledger: Ledger, status: Status) -> None:
    ledger.finish(claim(ledger), status, None, None)

    assert not standing(ledger).forsaken(NOW + timedelta(days=50))


@pytest.mark.promise(38)
@pytest.mark.parametrize("status", Status)
def test_whatever_became_of_it_it_can_be_had_again(ledger: Ledger, status: Status) -> None:
    ledger.finish(claim(ledger), status, None, None)

    again(ledger)

    assert claim(ledger).status is Status.PENDING


@pytest.mark.promise(38)
def test_what_was_never_taken_up_can_be_had_too(ledger: Ledger) -> None:
    again(ledger)
    again(ledger)

    assert (claim(ledger).version, claim_is_held(ledger)) == (1, True)


def claim_is_held(ledger: Ledger) -> bool:
    try:
        claim(ledger)
    except Claimed:
        return True
    return False


@pytest.mark.promise(38)
def test_having_it_again_is_refused_while_it_is_attempted(ledger: Ledger) -> None:
    claim(ledger)
    with pytest.raises(Claimed):
        again(ledger)

    again(ledger, NOW + LEASE)

    assert standing(ledger).status is Status.PENDING


def test_what_an_older_version_wrote_can_be_had_again(ledger: Ledger) -> None:
    """Attempts had no `response`, and JSON is compared as text."""
    ledger.finish(claim(ledger), Status.FAILED, None, None)
    old = [{"at": "2026-06-08T12:31:00Z", "outcome": "HTTP 500", "code": 500, "latency_ms": 7}]
    item = ledger.table.get(PK, delivery_sk("event-1", "team"))
    assert item
    ledger.table.put(item | {"attempts": {"S": json.dumps(old)}})

    again(ledger)

    assert [attempt.code for attempt in claim(ledger).attempts] == [500]


@pytest.mark.promise(38)
def test_what_is_had_again_has_eight_attempts_and_the_old_ones_stay_on_record() -> None:
    post = Post(failing())
    Mail(post).put(message()).go()
    assert post.statuses == {"event-1": "failed"}

    for _ in range(2):  # Twice is harmless: the second message finds nothing to do.
        Ledger(post.table, "team", LEASE).again(PK, "event-1", 1, post.now)
    Mail(post).put(message(sent_at=post.now), message(sent_at=post.now, copy="b")).go()

    [delivery] = post.ledger
    assert (delivery.status, len(delivery.attempts), delivery.earlier) == (Status.FAILED, 16, 8)
    assert post.receiver.got == ["event-1"] * 16


@pytest.mark.promise(38)
def test_what_waits_for_hours_is_had_again_now_and_its_old_message_then_does_nothing() -> None:
    post = Post(failing())
    queue = Mail(post).put(message()).go(hours=4)
    post.receiver.does = lambda _: Receipt(200)

    Ledger(post.table, "team", LEASE).again(PK, "event-1", 1, post.now)
    post.deliver(message(copy="resent"))
    assert post.statuses == {"event-1": "delivered"}
    queue.go()

    assert queue.coming == []
    assert len(post.receiver.got) == 5 + 1


@pytest.mark.promise(40)
@pytest.mark.parametrize("answered", ["x", "é", "😀", "\x00", "\ufffd"])
def test_of_what_receivers_answer_two_kilobytes_are_kept(answered: str) -> None:
    post = Post(failing(response=answered * 16_384))

    post.deliver(message())

    kept = post.ledger[0].attempts[0].response
    assert kept
    assert RESPONSE_KEPT - 8 < len(kept.encode()) <= RESPONSE_KEPT == 2048
    assert kept.startswith(answered)


@pytest.mark.promise(40)
def test_what_is_taken_is_kept_without_the_answer() -> None:
    post = Post()

    post.deliver(message())

    assert post.ledger[0].attempts[0].response is None


@pytest.mark.long
@pytest.mark.promise(38)
@pytest.mark.promise(40)
def test_however_often_it_is_had_again_a_delivery_fits_its_item() -> None:
    """Or its last attempt could not be written down, and the receiver would get it a thousand times."""
    post = Post(failing(response="\x00" * 16_384))
    for _ in range(50):
        post.standing.destinations.enable("team")
        Ledger(post.table, "team", LEASE).again(PK, "event-1", 1, post.now)
        Mail(post).put(message(sent_at=post.now)).go()

    [delivery] = post.ledger
    assert len(delivery.attempts) == 400
    item = post.table.get(PK, delivery_sk("event-1", "team"))
    assert item
    assert len(item["attempts"]["S"].encode()) < ITEM_LIMIT / 2


@pytest.mark.promise(29)
@pytest.mark.parametrize("early", [1, 60, 299])
def test_a_copy_that_comes_before_the_retry_is_due_makes_no_attempt(early: int) -> None:
    post = Post(failing())
    post.deliver(message())
    post.later(seconds=6)
    post.deliver(message())
    [before] = post.ledger
    assert before.next_attempt_at

    post.now = before.next_attempt_at - timedelta(seconds=early + 2)
    result = post.deliver(message(copy="b"))

    assert (result.counts, result.back) == ({"put_off": 1}, ["message-1b"])
    assert post.sqs.waits["receipt-1b"] == early + 2
    assert post.ledger == [before]


@pytest.mark.promise(29)
def test_copies_in_one_batch_make_one_attempt() -> None:
    post = Post(failing())

    counts = post.deliver(*(message(copy=str(n)) for n in range(5))).counts

    assert counts == {"retried": 1, "put_off": 4}
    assert len(post.ledger[0].attempts) == 1


@pytest.mark.promise(29)
@pytest.mark.promise(35)
def test_five_copies_make_the_attempts_of_one_message() -> None:
    post = Post(failing())

    Mail(post).put(*(message(copy=str(n)) for n in range(5))).go()

    assert len(post.ledger[0].attempts) == 8
    assert post.sqs.buried == [{"body": message()["body"], "reason": "HTTP 500"}]


def odd(body: str) -> dict[str, Any]:
    return message(body=body)


@pytest.mark.parametrize("body", ["[" * 100_000, '{"a":' * 100_000, "1" * 5_000])
def test_what_python_cannot_read_is_buried_at_once(body: str) -> None:
    post = Post()

    assert post.deliver(odd(body)).counts == {"unreadable": 1}
    assert post.sqs.buried[0]["body"] == body


def test_a_failure_that_is_no_attempt_leaves_none_on_record() -> None:
    def later(_: Notice) -> Receipt:
        raise DeliveryError("HTTP 429", Treatment.LATER, code=429, wait=timedelta(seconds=30))

    post = Post(Receiver(later))
    post.deliver(message())

    [delivery] = post.ledger
    assert (delivery.attempts, delivery.next_attempt_at) == ((), NOW + timedelta(seconds=30))
