"""The retry clock over the queue, in virtual time: when attempts are made, what counts as one, when it is enough."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pollbridge.history.ledger import Ledger, Status
from pollbridge.notifying.notice import DeliveryError, Notice, NotYet, Receipt, Treatment
from pollbridge.notifying.retries import JITTER, LONGEST, OLDEST, STEPS, RetryClock, may_wait
from pollbridge.notifying.worker import LEASE
from tests.kit.faults import Crash, Fault, throttle
from tests.kit.receiving import KEPT, KEY, MOST_RECEIVES, NOW, Mail, Post, Sqs, failing, message

SECOND = timedelta(seconds=1)


def timed(post: Post, **how: Any) -> list[timedelta]:
    """When the receiver was asked, since the beginning; it takes nothing."""
    asked: list[timedelta] = []

    def fail(_: Notice) -> Receipt:
        asked.append(post.now - NOW)
        raise DeliveryError("HTTP 503", **{"code": 503, **how})

    post.receiver.does = fail
    return asked


@pytest.mark.promise(35)
def test_the_whole_schedule_is_eight_attempts_in_some_28_hours() -> None:
    post = Post()
    asked = timed(post)

    Mail(post).put(message()).go()

    waits = [later - earlier for earlier, later in pairwise(asked)]
    assert len(waits) == len(STEPS) == 7
    for wait, step in zip(waits, STEPS, strict=True):
        assert step * (1 - JITTER) - SECOND <= wait <= min(step * (1 + JITTER) + SECOND, LONGEST)
    assert timedelta(hours=22) < asked[-1] < timedelta(hours=31)
    assert post.sqs.buried == [{"body": message()["body"], "reason": "HTTP 503"}]


@pytest.mark.promise(35)
def test_no_two_messages_wait_alike() -> None:
    post = Post(failing())

    post.deliver(*(message(number) for number in range(1, 100)))
    post.later(seconds=10)
    post.deliver(*(message(number) for number in range(1, 100)))

    assert len(set(post.sqs.waits.values())) > 30
    assert set(post.sqs.waits.values()) <= set(range(240, 361))


@pytest.mark.promise(35)
@pytest.mark.parametrize(
    ("told", "factor"), [(0, 1), (1, 1), (10**9, 2)], ids=["less than the step", "a second", "for ever"]
)
def test_retry_after_counts_within_one_and_two_steps(told: int, factor: int) -> None:
    post = Post()
    asked = timed(post, retry_after=timedelta(seconds=told))

    Mail(post).put(message()).go()

    waits = [later - earlier for earlier, later in pairwise(asked)]
    assert waits == [min(step * factor, LONGEST) for step in STEPS]


@pytest.mark.promise(35)
def test_every_wait_is_shorter_than_the_queue_allows_however_slow_the_receiver() -> None:
    post = Post()

    def slow(_: Notice) -> Receipt:
        post.later(seconds=59)
        raise DeliveryError("timed out", retry_after=timedelta(days=1))

    post.receiver.does = slow
    queue = Mail(post).put(message()).go()

    # Had the queue refused a wait, the message would have come back after its visibility timeout.
    assert queue.receives == {0: 8}
    assert post.statuses == {"event-1": "failed"}


def test_the_double_refuses_what_sqs_would() -> None:
    post = Post()
    sqs = Sqs(lambda: post.now, received_at={"receipt-1": post.now})
    change = {"QueueUrl": "queue", "ReceiptHandle": "receipt-1"}

    sqs.change_message_visibility(**change, VisibilityTimeout=43_200)
    post.later(seconds=1)
    for refused in (43_200, 43_201, -1):
        with pytest.raises(ClientError, match="beyond the limit"):
            sqs.change_message_visibility(**change, VisibilityTimeout=refused)
    sqs.change_message_visibility(**change, VisibilityTimeout=43_199)


@pytest.mark.promise(35)
def test_a_crash_counts_no_attempt_and_costs_the_lease() -> None:
    post = Post()

    def crash(_: Notice) -> Receipt:
        raise Crash

    post.receiver.does = crash
    queue = Mail(post).put(message()).go(hours=3)
    assert queue.receives[0] == 31  # Every six minutes: the claim of the dead is out by then.

    asked = timed(post)
    queue.go()

    assert len(asked) == len(post.ledger[0].attempts) == 8


def told_to_wait(post: Post, until: timedelta, wait: timedelta | None) -> None:
    """The receiver asks to be left alone, and from then on takes what comes."""

    def answer(_: Notice) -> Receipt:
        if post.now < NOW + until:
            raise DeliveryError("HTTP 429", Treatment.LATER, code=429, wait=wait)
        return Receipt(200)

    post.receiver.does = answer


def throttled(post: Post, until: timedelta) -> None:
    """The table takes nothing."""
    post.aws.plan = lambda _: Fault(throttle()) if post.now < NOW + until else None


def held(post: Post, until: timedelta) -> None:
    """Somebody who never comes to an end claims it, time and again."""

    def plan(_: object) -> None:
        ledger = Ledger(post.table.__class__(post.aws.client, "history"), "team", LEASE)
        if post.now < NOW + until:
            ledger.again(f"JOB#{KEY}", "event-1", 1, post.now + 2 * LEASE)
            ledger.claim(f"JOB#{KEY}", "event-1", 1, post.now)

    post.aws.plan = plan


def not_yet(post: Post, until: timedelta) -> None:
    """The notifier can't tell yet what to send."""

    def gather(notice: Notice, _: timedelta, __: int) -> list[Notice]:
        if post.now < NOW + until:
            raise NotYet(timedelta(seconds=2))
        return [notice]

    post.receiver.gathers = gather


WAVES: dict[str, Callable[[Post, timedelta], None]] = {
    "429 that says how long": lambda post, until: told_to_wait(post, until, timedelta(seconds=30)),
    "429 that doesn't": lambda post, until: told_to_wait(post, until, None),
    "throttling": throttled,
    "claims": held,
    "nothing to send yet": not_yet,
}


@pytest.mark.promise(35)
@pytest.mark.parametrize("hours", [1, 35])
@pytest.mark.parametrize("wave", WAVES)
def test_what_is_no_attempt_exhausts_nothing(wave: str, hours: int) -> None:
    """Neither the attempts, nor the thousand times that SQS hands a message out."""
    post = Post()
    WAVES[wave](post, timedelta(hours=hours))

    queue = Mail(post).put(message()).go()

    assert queue.dropped == []
    assert queue.receives[0] < MOST_RECEIVES
    [delivery] = post.ledger
    assert (delivery.status, [attempt.outcome for attempt in delivery.attempts]) == (Status.DELIVERED, ["delivered"])


@pytest.mark.promise(35)
@pytest.mark.parametrize("wave", ["429 that says how long", "429 that doesn't", "nothing to send yet"])
def test_what_is_only_put_off_is_given_up_after_36_hours(wave: str) -> None:
    post = Post()
    WAVES[wave](post, timedelta(days=9))

    queue = Mail(post).put(message()).go()

    assert queue.dropped == []
    assert OLDEST < post.now - NOW < OLDEST + LONGEST
    assert [letter["body"] for letter in post.sqs.buried] == [message()["body"]]
    assert post.statuses == {"event-1": "failed"}


@pytest.mark.promise(35)
@pytest.mark.promise(38)
@pytest.mark.parametrize("wave", ["429 that says how long", "429 that doesn't", "nothing to send yet"])
def test_what_was_queued_for_longer_than_36_hours_may_be_put_off_all_the_same(wave: str) -> None:
    """No function took it up for a weekend, say; the 36 hours begin when it is first put off."""
    post = Post(now=NOW + timedelta(hours=37))
    WAVES[wave](post, timedelta(hours=38))

    Mail(post).put(*(message(number, sent_at=NOW) for number in range(1, 6))).go()

    assert (set(post.statuses.values()), len(post.statuses)) == ({"delivered"}, 5)
    assert post.sqs.buried == []


@pytest.mark.promise(38)
@pytest.mark.promise(41)
def test_what_is_put_off_before_its_first_attempt_is_on_record() -> None:
    post = Post()
    told_to_wait(post, timedelta(hours=1), timedelta(seconds=30))

    post.deliver(message(1), message(2))

    assert post.receiver.got == ["event-1"]
    assert [(each.status, each.waiting_since) for each in post.ledger] == [(Status.PENDING, NOW)] * 2


@pytest.mark.promise(35)
def test_an_attempt_ends_the_wait_and_the_36_hours_begin_anew() -> None:
    post = Post()
    told_to_wait(post, timedelta(hours=30), None)
    queue = Mail(post).put(message()).go(hours=29)
    timed(post)
    while not post.ledger[0].attempts:
        queue.go(minutes=10)
    assert post.ledger[0].waiting_since is None
    since = post.now
    told_to_wait(post, since - NOW + timedelta(hours=30), None)

    queue.go()

    assert since - NOW > timedelta(hours=20) and post.now - since > timedelta(hours=20)
    assert post.statuses == {"event-1": "delivered"}


@pytest.mark.promise(35)
@pytest.mark.promise(41)
def test_a_429_is_asked_again_after_as_long_as_it_has_waited_already() -> None:
    post = Post()
    asked = timed(post, treatment=Treatment.LATER)

    Mail(post).put(message()).go(hours=30)

    assert len(asked) < 30
    for since, later in pairwise(asked):
        step = min(max(STEPS[0], since), LONGEST)
        assert step * (1 - JITTER) - SECOND <= later - since <= min(step * (1 + JITTER) + SECOND, LONGEST)


@pytest.mark.promise(35)
@pytest.mark.promise(41)
def test_a_429_that_says_how_long_is_believed_up_to_twice_of_that() -> None:
    post = Post()
    asked = timed(post, treatment=Treatment.LATER, retry_after=timedelta(hours=1))

    Mail(post).put(message()).go(hours=1)

    assert [since.total_seconds() for since in asked] == [0, 10, 30, 90, 270, 810, 2430]


@pytest.mark.promise(35)
def test_429_takes_none_of_the_attempts_that_are_left() -> None:
    post = Post()
    asked = timed(post)
    queue = Mail(post).put(message()).go(hours=20)
    tries = len(asked)
    told_to_wait(post, timedelta(hours=30), None)
    queue.go(hours=10)

    asked = timed(post)
    queue.go()

    assert tries + len(asked) == 8
    assert len(post.ledger[0].attempts) == 8


@pytest.mark.promise(35)
def test_429_after_seven_failures_waits_the_last_step() -> None:
    post = Post()
    asked = timed(post)
    queue = Mail(post).put(message())
    while len(asked) < 7:
        queue.go(minutes=1)
    told_to_wait(post, timedelta(days=9), None)

    queue.go(hours=12)

    [delivery] = post.ledger
    assert (delivery.status, len(delivery.attempts)) == (Status.PENDING, 7)
    assert post.sqs.waits["receipt-1"] >= 8 * 3600


def alternating(post: Post) -> None:
    """429 as long as that is borne, then one 500, and so on; a 500 takes one of the eight attempts."""
    since: list[datetime] = []

    def answer(_: Notice) -> Receipt:
        since.append(post.now)
        if post.now - since[0] <= OLDEST:
            raise DeliveryError("HTTP 429", Treatment.LATER, code=429)
        since.clear()
        raise DeliveryError("HTTP 500", code=500, retry_after=timedelta(days=1))

    post.receiver.does = answer


@pytest.mark.promise(35)
@pytest.mark.promise(38)
@pytest.mark.parametrize("jitter", [1 - JITTER, 1, 1 + JITTER])
def test_what_takes_fourteen_days_is_a_dead_letter_before_sqs_forgets_it(jitter: float) -> None:
    post = Post(clock=RetryClock(lambda *_: jitter))
    alternating(post)

    queue = Mail(post).put(message()).go()

    assert (queue.forgotten, queue.dropped) == ([], [])
    assert KEPT - timedelta(days=1) < post.now - NOW < KEPT
    assert [letter["body"] for letter in post.sqs.buried] == [message()["body"]]
    [delivery] = post.ledger
    assert (delivery.status, delivery.next_attempt_at) == (Status.FAILED, None)


LATE = (timedelta(days=13), timedelta(days=13, hours=12), KEPT - timedelta(hours=2), KEPT - timedelta(minutes=1))


def broken_table(post: Post) -> None:
    post.aws.plan = lambda _: Fault(throttle())


def hours_to_go(post: Post) -> None:
    """Another message of the event was taken up, and is tried again in ten hours."""
    ledger = Ledger(post.table, "team", LEASE)
    ledger.finish(ledger.claim(f"JOB#{KEY}", "event-1", 1, post.now), Status.PENDING, None, post.now + STEPS[-1])


WAYS: dict[str, Callable[[Post], None]] = {
    "refused": lambda post: setattr(post.receiver, "does", failing(retry_after=timedelta(hours=9)).does),
    **{name: lambda post, wave=wave: wave(post, timedelta(days=30)) for name, wave in WAVES.items()},
    "no time": lambda post: setattr(post, "time_left", 5.0),
    "table broken": broken_table,
}
"""In which a message is not done when it was taken up."""


@pytest.mark.promise(35)
@pytest.mark.promise(38)
@pytest.mark.parametrize("age", LATE)
@pytest.mark.parametrize("way", WAYS)
def test_an_old_message_is_given_up_with_a_dead_letter_whatever_keeps_it(way: str, age: timedelta) -> None:
    post = Post(now=NOW + age)
    WAYS[way](post)

    queue = Mail(post).put(message(sent_at=NOW)).go()

    assert (queue.forgotten, queue.dropped) == ([], [])
    assert [letter["body"] for letter in post.sqs.buried] == [message()["body"]]
    assert post.now < NOW + KEPT


@pytest.mark.promise(35)
@pytest.mark.parametrize(
    ("wait", "left"),
    [(SECOND, timedelta(hours=1)), (timedelta(minutes=31), timedelta(minutes=62)), (LONGEST, 2 * LONGEST)],
)
def test_a_message_waits_only_where_as_much_time_is_left_again_and_an_hour_at_least(
    wait: timedelta, left: timedelta
) -> None:
    assert may_wait(KEPT - left - SECOND, wait)
    assert not may_wait(KEPT - left, wait)


@pytest.mark.promise(35)
@pytest.mark.parametrize("age", LATE)
def test_however_old_a_message_is_it_is_attempted(age: timedelta) -> None:
    post = Post(now=NOW + age)

    assert post.deliver(message(sent_at=NOW)).counts == {"delivered": 1}


@pytest.mark.promise(35)
def test_what_is_given_up_for_its_age_has_its_last_answer_on_record() -> None:
    for how in ({"treatment": Treatment.LATER, "code": 429}, {"code": 500}):
        post = Post(failing(**how), now=NOW + LATE[-1])
        post.deliver(message(sent_at=NOW))

        [delivery] = post.ledger
        assert (delivery.status, [one.code for one in delivery.attempts]) == (Status.FAILED, [how["code"]])


@pytest.mark.promise(29)
@pytest.mark.promise(35)
@pytest.mark.parametrize("age", LATE[1:])
def test_an_old_copy_that_is_given_up_leaves_the_retry_of_the_event_alone(age: timedelta) -> None:
    post = Post(now=NOW + age)
    hours_to_go(post)
    before = post.ledger

    assert post.deliver(message(sent_at=NOW)).counts == {"failed": 1}

    assert (post.ledger, len(post.sqs.buried)) == (before, 1)


@pytest.mark.long
@pytest.mark.promise(35)
@pytest.mark.promise(41)
def test_a_wave_of_500_gets_through_a_receiver_that_lets_one_through_per_second() -> None:
    post, taken = Post(), [NOW - SECOND]

    def one_per_second(_: Notice) -> Receipt:
        if post.now - taken[-1] < SECOND:
            raise DeliveryError("ratelimited", Treatment.LATER, code=429, wait=SECOND)
        taken.append(post.now)
        return Receipt(200)

    post.receiver.does = one_per_second
    queue = Mail(post, pace=timedelta(milliseconds=100)).put(*(message(number) for number in range(1, 501))).go()

    assert (queue.dropped, post.sqs.buried) == ([], [])
    assert set(post.statuses.values()) == {"delivered"}
    assert len(post.statuses) == len(taken) - 1 == 500
    assert post.now - NOW < timedelta(minutes=10)
