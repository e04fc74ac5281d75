"""Several events told with one message: each is delivered once, and no message of theirs is forgotten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest

from pollbridge.history.ledger import Delivery, Ledger
from pollbridge.notifying.notice import DeliveryError, Notice, Receipt, Treatment
from pollbridge.notifying.slack.bursts import TOGETHER
from pollbridge.notifying.worker import LEASE
from tests.kit.faults import Crash, Fault, lost, throttle
from tests.kit.receiving import DELIVERED, KEY, NOW, Mail, Post, Receiver, failing, message, once

MANY = 12
ALL = [f"event-{number}" for number in range(1, MANY + 1)]


def burst() -> list[Notice]:
    return [Notice.read(message(number)["body"]) for number in range(1, MANY + 1)]


def together(receiver: Receiver | None = None) -> Post:
    """A destination that is told twelve events at once, unless one was resent or the twelve were refused thrice."""
    post = Post(receiver or Receiver())

    def gathers(notice: Notice, _: timedelta, tries: int) -> Sequence[Notice]:
        return [notice] if notice.resent or tries >= TOGETHER else burst()

    post.receiver.gathers = gathers
    return post


def messages() -> list[dict[str, Any]]:
    return [message(number) for number in range(1, MANY + 1)]


def by_id(post: Post) -> dict[str, Delivery]:
    return {delivery.event_id: delivery for delivery in post.ledger}


def test_one_message_tells_them_all_and_finishes_each_delivery() -> None:
    post = together()

    counts = post.deliver(*messages()).counts

    assert counts == {"delivered": 1, "already_done": MANY - 1}
    assert [sorted(told) for told in post.receiver.together] == [sorted(ALL)]
    assert post.statuses == dict.fromkeys(ALL, "delivered")
    assert {tuple(attempt.outcome for attempt in delivery.attempts) for delivery in post.ledger} == {("delivered",)}


@pytest.mark.parametrize("first", [1, 7, MANY])
def test_whichever_comes_first_leads(first: int) -> None:
    post = together()

    post.deliver(message(first))

    assert post.receiver.together[0] == [f"event-{first}", *(name for name in ALL if name != f"event-{first}")]


def test_what_is_delivered_already_is_not_told_again() -> None:
    post = together()
    post.receiver.gathers = lambda notice, _, __: [notice]
    post.deliver(message(3), message(5))
    post.receiver.gathers = lambda _, __, ___: burst()

    post.deliver(message(1))

    assert set(post.receiver.together[-1]) == set(ALL) - {"event-3", "event-5"}


@pytest.mark.promise(35)
def test_a_failure_counts_for_all_and_all_wait_for_the_same_moment() -> None:
    post = together(failing())

    result = post.deliver(*messages())

    assert result.counts == {"retried": 1, "put_off": MANY - 1}
    deliveries = by_id(post)
    assert {name: len(deliveries[name].attempts) for name in ALL} == dict.fromkeys(ALL, 1)
    assert len({delivery.next_attempt_at for delivery in post.ledger}) == 1
    assert len(set(post.sqs.waits.values())) == 1
    assert len(post.receiver.together) == 1


def test_after_the_wait_all_are_told() -> None:
    post = together(failing())
    queue = Mail(post).put(*messages()).go(seconds=1)
    post.receiver.does = lambda _: Receipt(200)

    queue.go()

    assert post.statuses == dict.fromkeys(ALL, "delivered")
    assert [len(told) for told in post.receiver.together] == [MANY, MANY]


def slow_down(_: Notice) -> Receipt:
    raise DeliveryError("HTTP 429", Treatment.LATER, code=429, wait=timedelta(seconds=30))


def test_what_is_only_put_off_counts_for_nobody() -> None:
    post = together(Receiver(slow_down))
    post.deliver(*messages())

    assert [delivery.attempts for delivery in post.ledger] == [()] * MANY
    assert {delivery.next_attempt_at for delivery in post.ledger} == {NOW + timedelta(seconds=30)}


def test_what_was_maybe_sent_was_maybe_sent_for_all() -> None:
    post = together(failing(maybe_sent=True))
    post.receiver.receiver_deduplicates = False

    post.deliver(*messages())

    assert post.statuses == dict.fromkeys(ALL, "maybe_sent")
    assert len(post.receiver.together) == 1


@pytest.mark.promise(29)
@pytest.mark.parametrize("leads", [(1, 1), (1, 2), (2, 1), (7, MANY)])
def test_invocations_at_once_tell_each_event_once(leads: tuple[int, int]) -> None:
    for _ in range(20):
        post, start = together(), Barrier(2)

        def deliver(first: int, post: Post = post, start: Barrier = start) -> Counter[str]:
            start.wait(timeout=30)
            return post.deliver(message(first)).counts

        with ThreadPoolExecutor(2) as pool:
            counts = sum(pool.map(deliver, leads), Counter[str]())

        assert sorted(post.receiver.got) == sorted(ALL)
        assert counts["delivered"] == 1
        assert post.statuses == dict.fromkeys(ALL, "delivered")


@pytest.mark.promise(29)
def test_one_that_another_holds_is_left_to_the_other() -> None:
    """The sixth is being told alone, say because it was resent; whoever holds the first tells the rest."""
    post = together()
    Ledger(post.table, "team", LEASE).claim(f"JOB#{KEY}", "event-6", 6, post.now)

    post.deliver(message(1))

    assert sorted(post.receiver.got) == sorted(set(ALL) - {"event-6"})


def test_who_finds_the_first_held_waits() -> None:
    post = together()
    Ledger(post.table, "team", LEASE).claim(f"JOB#{KEY}", "event-1", 1, post.now)

    assert post.deliver(message(6)).counts == {"put_off": 1}
    assert (post.receiver.got, post.statuses) == ([], {"event-1": "pending"})


@pytest.mark.promise(30)
@pytest.mark.parametrize("number", range(1, 2 + 2 * MANY + 1))
def test_a_crash_in_the_middle_loses_none_and_repeats_only_what_was_not_written_down(number: int) -> None:
    """The head, a delivery, twelve claims, the POST, twelve deliveries finished."""
    post = together()
    post.aws.plan = lambda call: Fault(Crash()) if call.number >= number else None
    with pytest.raises(Crash):
        post.deliver(message(1))
    post.aws.plan = lambda _: None
    written_down = {name for name, status in post.statuses.items() if status == "delivered"}

    Mail(post).put(*messages()).go()

    assert post.statuses == dict.fromkeys(ALL, "delivered")
    told = Counter(post.receiver.got)
    assert set(told) == set(ALL)
    assert max(told.values()) <= 2
    assert {told[name] for name in written_down} <= {1}


@pytest.mark.promise(30)
@pytest.mark.parametrize("error", [throttle(), lost()])
def test_only_the_one_that_could_not_be_written_down_is_told_again(error: Exception) -> None:
    post = together()
    post.aws.plan = once(Fault(error), *DELIVERED, "event-7")

    result = post.deliver(message(1))
    assert (result.counts, result.errors) == ({"broke": 1}, {type(error).__name__: 1})
    assert post.statuses == {**dict.fromkeys(ALL, "delivered"), "event-7": "pending"}
    Mail(post).put(*messages()).go()

    assert post.statuses == dict.fromkeys(ALL, "delivered")
    assert Counter(post.receiver.got) == {**dict.fromkeys(ALL, 1), "event-7": 2}


@pytest.mark.promise(35)
def test_one_that_waits_for_its_own_attempt_keeps_no_other_back() -> None:
    """It failed for hours before the others were known."""
    post = together(failing())
    post.receiver.gathers = lambda notice, _, __: [notice] if notice.event_id == "event-1" else burst()
    Mail(post).put(message(1)).go(hours=8)
    post.receiver.does = lambda _: Receipt(200)

    assert post.deliver(message(MANY)).counts == {"delivered": 1}
    assert sorted(post.receiver.together[-1]) == sorted(set(ALL) - {"event-1"})


def refuse_lists(post: Post, **how: Any) -> None:
    """The receiver takes one event, and no list."""

    def answer(_: Notice) -> Receipt:
        if len(post.receiver.together[-1]) > 1:
            raise DeliveryError("HTTP 500", **how)
        return Receipt(200)

    post.receiver.does = answer


@pytest.mark.promise(35)
def test_after_three_attempts_of_all_each_goes_alone() -> None:
    post = together()
    refuse_lists(post)

    Mail(post).put(*messages()).go()

    assert [len(told) for told in post.receiver.together] == [MANY] * TOGETHER + [1] * MANY
    assert post.statuses == dict.fromkeys(ALL, "delivered")


@pytest.mark.promise(38)
def test_a_list_that_will_never_be_taken_gives_none_of_its_events_up() -> None:
    post = together()
    refuse_lists(post, treatment=Treatment.GIVE_UP)

    counts = post.deliver(*messages()).counts

    assert counts == {"delivered": MANY}
    assert [told for told in post.receiver.together if len(told) == 1] == [[name] for name in ALL]
    assert (post.statuses, post.sqs.buried) == (dict.fromkeys(ALL, "delivered"), [])


@pytest.mark.promise(35)
def test_what_is_let_go_of_is_due_at_once_and_has_waited_as_long_as_before() -> None:
    post = together(Receiver(slow_down))
    post.deliver(message(1))
    post.later(minutes=1)
    post.receiver.does = failing(treatment=Treatment.GIVE_UP).does

    post.deliver(message(1))

    others = [delivery for name, delivery in by_id(post).items() if name != "event-1"]
    assert len(others) == MANY - 1
    assert {(each.next_attempt_at, each.waiting_since, each.claimed_until) for each in others} == {
        (post.now, NOW, None)
    }


@pytest.mark.promise(38)
def test_when_one_is_given_up_the_others_go_on_with_attempts_of_their_own() -> None:
    def refuse_the_first(notice: Notice) -> Receipt:
        if notice.event_id == "event-1":
            raise DeliveryError("HTTP 400", Treatment.GIVE_UP, code=400)
        return Receipt(200)

    post = together(Receiver(refuse_the_first))

    counts = post.deliver(*messages()).counts

    assert counts == {"failed": 1, "delivered": 1, "already_done": MANY - 2}
    assert post.statuses == {**dict.fromkeys(ALL, "delivered"), "event-1": "failed"}
    assert len(post.sqs.buried) == 1


@pytest.mark.promise(37)
def test_when_the_channel_is_gone_the_others_are_recorded_as_disabled() -> None:
    post = together(failing(treatment=Treatment.DISABLE))

    post.deliver(*messages())

    assert post.statuses == {**dict.fromkeys(ALL, "disabled"), "event-1": "failed"}
    assert (len(post.receiver.together), len(post.told)) == (1, 1)


@pytest.mark.promise(35)
@pytest.mark.promise(38)
def test_a_receiver_that_stays_down_gets_eight_attempts_of_each_and_all_are_dead_letters() -> None:
    post = together(failing())

    queue = Mail(post).put(*messages()).go()

    assert (queue.coming, queue.dropped) == ([], [])
    assert post.statuses == dict.fromkeys(ALL, "failed")
    assert {len(delivery.attempts) for delivery in post.ledger} == {8}
    assert sorted(letter["body"] for letter in post.sqs.buried) == sorted(message["body"] for message in messages())
    assert post.now - NOW < timedelta(hours=34)


@pytest.mark.promise(38)
def test_one_that_is_sent_again_is_told_by_itself() -> None:
    post = together()
    post.deliver(*messages())
    Ledger(post.table, "team", LEASE).again(f"JOB#{KEY}", "event-4", 4, post.now)

    resent = message(4)
    resent["body"] = resent["body"].replace('"version": "0"', '"resent": true')
    post.deliver(resent)

    assert post.receiver.together[-1] == ["event-4"]
