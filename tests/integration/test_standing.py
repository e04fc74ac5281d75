"""A destination's life: what disables it, who hears of that, what becomes of its events, and how it comes back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pollbridge import config
from pollbridge.config import Match
from pollbridge.history.destinations import Destinations
from pollbridge.history.entries import Entry
from pollbridge.history.ledger import Status, deliveries_in
from pollbridge.history.table import Table
from pollbridge.matching import mismatch
from pollbridge.model.event import DISABLED, Cause
from pollbridge.model.instant import iso
from pollbridge.notifying import webhook
from pollbridge.notifying.notice import DeliveryError, Notice, Receipt, Treatment
from pollbridge.notifying.resending import Recovery, Resending
from pollbridge.notifying.standing import ENOUGH, GAP
from pollbridge.notifying.worker import standing
from pollbridge.routing import SOURCE, pattern
from pollbridge.schemas import schema
from tests.kit.faults import Call, Fault, Faulty, throttle
from tests.kit.racing import Meeting
from tests.kit.receiving import NOW, Mail, Post, Receiver, Repeating, failing, message
from tests.kit.telling import Dated

GONE: dict[str, Any] = {"treatment": Treatment.DISABLE, "code": 410}
DAY = timedelta(days=1)


def detail(entry: Entry) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(entry.event)
    return told


def fail(post: Post, number: int = 1, at: datetime | None = None, **how: Any) -> Counter[str]:
    """One event that isn't taken, at that moment."""
    post.receiver.does = failing(**how).does
    return deliver(post, number, at)


def deliver(post: Post, number: int = 1, at: datetime | None = None) -> Counter[str]:
    post.now = at or post.now
    return post.deliver(message(number, sent_at=post.now)).counts


def taken(_: Notice) -> Receipt:
    return Receipt(200)


def slow_down(_: Notice) -> Receipt:
    raise DeliveryError("ratelimited", Treatment.LATER, code=429, wait=timedelta(seconds=30))


@pytest.mark.promise(36)
@pytest.mark.promise(41)
@pytest.mark.parametrize(("type_", "cause"), [("webhook", Cause.GONE), ("slack", Cause.REFUSED)])
def test_a_receiver_that_wants_no_more_is_disabled_at_once(type_: Any, cause: Cause) -> None:
    post = Post(failing(**GONE), type=type_)

    assert post.deliver(message()).counts == {"failed": 1}

    assert post.head.disabled
    assert (post.head.disabled.since, post.head.disabled.reason) == (NOW, cause)
    assert post.statuses == {"event-1": "failed"}
    assert [letter["body"] for letter in post.sqs.buried] == [message()["body"]]


@pytest.mark.promise(27)
@pytest.mark.promise(37)
def test_its_disabling_is_one_entry_of_its_history_that_waits_to_be_published() -> None:
    post = Post(type="webhook")
    fail(post, at=NOW)
    fail(post, 2, at=NOW + timedelta(hours=2), **GONE)

    [entry] = post.told
    assert (entry.pk, entry.version, entry.detail_type, entry.unpublished) == ("DESTINATION#team", 1, DISABLED, True)
    assert detail(entry) == {
        "schema": "1",
        "id": entry.event_id,
        "version": 1,
        "destination": "team",
        "type": "webhook",
        "reason": "gone",
        "error": "HTTP 500",
        "since": "2026-06-08T12:31:00Z",
        "observed_at": "2026-06-08T14:31:00Z",
    }


@pytest.mark.promise(27)
@pytest.mark.parametrize("cause", Cause)
def test_the_event_and_its_webhook_keep_to_their_schemas(cause: Cause) -> None:
    post = Post(failing(**GONE))
    post.deliver(message())
    event = detail(post.told[0]) | {"reason": cause.value}

    Draft202012Validator(schema("destination-disabled")).validate(event)
    Draft202012Validator(schema("webhook-destination")).validate(json.loads(webhook.body(Notice(DISABLED, event))))
    assert not Draft202012Validator(schema("destination-disabled")).is_valid(event | {"since": None})


@pytest.mark.promise(37)
def test_five_days_of_nothing_but_failure_disable_it() -> None:
    post = Post()
    for days in range(5):
        assert fail(post, days, at=NOW + days * DAY) == {"retried": 1}
    fail(post, 5, at=NOW + ENOUGH - timedelta(seconds=1))
    assert post.head.disabled is None

    fail(post, 6, at=NOW + ENOUGH)

    [entry] = post.told
    assert (detail(entry)["reason"], detail(entry)["since"]) == ("failing", iso(NOW))
    assert post.head.disabled
    assert deliver(post, 7) == {"disabled": 1}


@pytest.mark.promise(37)
def test_a_receiver_that_is_down_is_told_of_once_however_much_is_on_its_way() -> None:
    """The schedule alone disables it: nobody has to count days."""
    post = Post(failing())
    queue = Mail(post)
    for hours in range(0, 7 * 24, 3):
        queue.put(message(hours, sent_at=post.now)).go(hours=3)
    queue.go()

    [entry] = post.told
    assert ENOUGH <= datetime.fromisoformat(entry.observed_at) - NOW < ENOUGH + timedelta(hours=12)
    assert set(post.statuses.values()) == {"failed", "disabled"}
    assert len(post.statuses) == 56


@pytest.mark.promise(37)
def test_one_success_resets_the_clock() -> None:
    post = Post()
    for days in range(5):
        fail(post, days, at=NOW + days * DAY)
    post.receiver.does = taken
    deliver(post, 6)
    assert (post.head.failing_since, post.head.failed_at) == (None, None)

    for days in range(5, 9):
        fail(post, 10 + days, at=NOW + days * DAY)

    assert post.head.disabled is None
    assert post.head.failing_since == NOW + 5 * DAY


@pytest.mark.promise(37)
def test_a_success_that_is_written_down_twice_resets_the_clock() -> None:
    """The answer to the first writing was lost, and the SDK repeated it."""
    post = Post()
    fail(post, 1)
    post.aws.client = Repeating(post.aws.client)
    post.receiver.does = taken

    assert deliver(post, 2) == {"delivered": 1}
    assert post.head.failing_since is None


@pytest.mark.promise(37)
def test_a_failure_that_is_written_down_twice_does_not_outlive_a_success_in_between() -> None:
    post = Post(failing())
    beside = Post(aws=Faulty(post.aws.client))
    post.aws.client = Repeating(post.aws.client, beside.standing.succeeded)

    post.standing.failed(post.head, NOW, DeliveryError("HTTP 500"))

    assert post.head.failing_since is None


@pytest.mark.promise(37)
def test_enabling_that_is_repeated_leaves_what_disabled_it_in_between() -> None:
    post = Post(failing(**GONE))
    post.deliver(message())
    beside = Post(failing(**GONE), NOW + timedelta(seconds=3), aws=Faulty(post.aws.client))
    twice = Table(Repeating(post.aws.client, lambda: beside.deliver(message(2))), "history")

    was = Destinations(twice).enable("team")

    assert was and post.head.disabled
    assert (post.head.version, beside.statuses["event-2"]) == (2, "failed")


@pytest.mark.promise(37)
def test_enabling_leaves_what_disables_it_after_the_look() -> None:
    post = Post(failing(**GONE))
    beside = Post(failing(**GONE), aws=Faulty(post.aws.client))
    fail(post, 1)
    post.aws.plan = lambda call: beside.deliver(message(2)) and None if call.operation == "update_item" else None

    assert Destinations(post.table).enable("team") is None
    assert post.head.disabled


@pytest.mark.promise(35)
@pytest.mark.promise(37)
def test_attempts_are_counted_even_while_the_destinations_record_cannot_be_written() -> None:
    post = Post(failing())
    post.aws.plan = lambda call: (
        Fault(throttle()) if call.operation == "update_item" and call.touches("failing_since") else None
    )

    queue = Mail(post).put(message()).go()

    assert (queue.coming, post.statuses, len(post.sqs.buried)) == ([], {"event-1": "failed"}, 1)
    assert len(post.receiver.got) == len(post.ledger[0].attempts) == 8


@pytest.mark.promise(37)
@pytest.mark.parametrize("last", [4 * DAY, ENOUGH])
def test_a_success_beside_a_failure_resets_the_clock_too(last: timedelta) -> None:
    """The other invocation's: the failure began before it, and ends after it."""
    post = Post()
    for days in range(5):
        fail(post, days, at=NOW + days * DAY)

    def fails_late(_: Notice) -> Receipt:
        post.receiver.does = taken
        deliver(post, 8)
        raise DeliveryError("HTTP 500")

    post.receiver.does = fails_late
    deliver(post, 7, at=NOW + last)

    assert (post.head.disabled, post.head.failing_since, post.told) == (None, None, [])


@pytest.mark.promise(37)
def test_a_failure_more_than_a_day_after_the_last_begins_anew() -> None:
    """Nobody knows how the receiver was in between."""
    post = Post()
    fail(post, 1, at=NOW)
    fail(post, 2, at=NOW + GAP)
    assert post.head.failing_since == NOW

    for days in (2, 3, 4, 5):
        fail(post, 1 + days, at=NOW + days * DAY + timedelta(seconds=1))

    assert post.head.disabled is None
    assert post.head.failing_since == NOW + 2 * DAY + timedelta(seconds=1)


@pytest.mark.promise(37)
@pytest.mark.parametrize("how", [{"treatment": Treatment.LATER, "wait": DAY / 24}, {"treatment": Treatment.GIVE_UP}])
def test_what_says_nothing_of_the_receiver_does_not_count(how: dict[str, Any]) -> None:
    post = Post()
    for days in range(9):
        fail(post, days, at=NOW + days * DAY, **how)

    assert (post.head.disabled, post.head.failing_since) == (None, None)


@pytest.mark.promise(37)
@pytest.mark.promise(41)
@pytest.mark.parametrize("how", [GONE, {}])
def test_two_invocations_at_once_disable_it_once(how: dict[str, Any]) -> None:
    post = Post()
    for days in range(5):
        fail(post, days, at=NOW + days * DAY)
    post.now = NOW + ENOUGH
    post.receiver.does = failing(**how).does
    post.aws = Meeting(post.aws, "transact_write_items", Barrier(2))

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda number: post.deliver(message(number, sent_at=post.now)), (11, 12)))

    assert [result.errors for result in results] == [{}, {}]
    assert post.head.disabled
    assert len(post.told) == post.head.version == 1


@pytest.mark.promise(37)
def test_meanwhile_its_events_are_recorded_and_acknowledged_without_an_attempt() -> None:
    post = Post(failing(**GONE))
    post.deliver(message())

    result = post.deliver(message(2), message(3))

    assert (result.back, result.counts) == ([], {"disabled": 2})
    assert post.receiver.got == ["event-1"]
    assert post.statuses == {"event-1": "failed", "event-2": "disabled", "event-3": "disabled"}
    assert [letter["reason"] for letter in post.sqs.buried] == ["HTTP 500"]


def test_what_waits_for_its_retry_is_recorded_as_disabled_when_it_comes() -> None:
    post = Post(failing())
    queue = Mail(post).put(message()).go(hours=3)
    fail(post, 2, **GONE)

    queue.go()

    assert post.statuses == {"event-1": "disabled", "event-2": "failed"}
    assert queue.coming == []


def test_what_was_delivered_stays_delivered_when_its_copy_comes_to_a_disabled_destination() -> None:
    post = Post()
    deliver(post, 1)
    fail(post, 2, **GONE)

    assert deliver(post, 1) == {"already_done": 1}
    assert post.statuses["event-1"] == "delivered"


@pytest.mark.promise(37)
def test_once_enabled_it_is_delivered_to_with_a_clean_record() -> None:
    post = Post()
    fail(post, 1)
    fail(post, 2, at=NOW + timedelta(hours=1), **GONE)

    before = post.standing.destinations.enable("team")

    assert before
    assert (before.reason, before.since) == (Cause.REFUSED, NOW + timedelta(hours=1))
    assert (post.head.disabled, post.head.failing_since, post.head.failed_at, post.head.waits_until) == (None,) * 4
    post.receiver.does = taken
    assert deliver(post, 3) == {"delivered": 1}
    assert post.standing.destinations.enable("team") is None


def test_what_was_never_disabled_is_not_enabled() -> None:
    assert Post().standing.destinations.enable("team") is None


@pytest.mark.promise(37)
def test_disabled_again_it_is_told_again_as_its_next_version() -> None:
    post = Post(failing(**GONE))
    for number in (1, 2):
        post.deliver(message(number))
        post.standing.destinations.enable("team")

    assert [entry.version for entry in post.told] == [1, 2]
    assert len({entry.event_id for entry in post.told}) == 2


# Its events meanwhile


CONFIGURED = config.check(
    {
        "vendors": {"oration": {"secret": "v"}},
        "destinations": {"team": {"type": "slack", "secret": "t"}, "service": {"type": "webhook", "secret": "s"}},
    },
    "test",
)


@pytest.mark.promise(37)
@pytest.mark.promise(38)
def test_what_was_disabled_or_failed_is_recovered(table: Table) -> None:
    """In moto: the recovery reads an index. The story is told by another destination's disablings."""
    service = Post(failing(**GONE), aws=Faulty(table.client), name="service", type="webhook")
    for number in range(3):
        service.deliver(message(number))
        service.standing.destinations.enable("service")
    team = Post(aws=Faulty(table.client), receiver=failing(**GONE))
    team.deliver(*(as_message(entry, team.now) for entry in service.told))
    assert Counter(d.status for d in deliveries_in(table, "DESTINATION#service")) == {"failed": 1, "disabled": 2}
    team.standing.destinations.enable("team")
    team.receiver.does = taken
    queued = Queued()

    resending = Resending(queued, table, CONFIGURED, {"team": {"queue": "queue", "dead_letter": "dead letters"}})
    for sent in ({"failed": 1, "disabled": 2}, {}):
        assert resending.recover("team", NOW - DAY, NOW + DAY, team.now).sent == sent
        team.deliver(*queued.messages)

    assert {d.status for d in deliveries_in(table, "DESTINATION#service")} == {Status.DELIVERED}
    assert sorted(team.receiver.got) == sorted([team.receiver.got[0], *(entry.event_id for entry in service.told)])


def missing(aws: Faulty) -> tuple[Post, Entry]:
    """A destination, and an event that it should hear of."""
    service = Post(failing(**GONE), aws=aws, name="service", type="webhook")
    service.deliver(message())
    [entry] = service.told
    return Post(aws=aws), entry


def recovered(team: Post, now: datetime) -> tuple[Recovery, int]:
    """What is sent of the two days before, and how many messages that are."""
    queued = Queued()
    resending = Resending(queued, team.table, CONFIGURED, {"team": {"queue": "queue", "dead_letter": "dead letters"}})
    return resending.recover("team", NOW - DAY, NOW + DAY, now), len(queued.messages)


@pytest.mark.promise(38)
def test_what_arrives_while_it_is_recovered_is_not_sent_again() -> None:
    team, entry = missing(Faulty(Dated()))

    def arrives(call: Call) -> None:
        if call.operation == "get_item" and call.touches(entry.event_id):
            team.aws.plan = lambda _: None
            team.deliver(as_message(entry, NOW))

    team.aws.plan = arrives
    recovery, messages = recovered(team, NOW)

    assert (recovery.sent, recovery.left, messages) == ({}, {"pending": 1}, 0)
    assert len(team.receiver.got) == 1
    assert {delivery.status for delivery in deliveries_in(team.table, entry.pk)} == {Status.DELIVERED}


@pytest.mark.promise(38)
@pytest.mark.parametrize("does", [failing().does, slow_down])
def test_what_is_pending_is_recovered_once_no_message_can_bring_it_back(does: Callable[[Notice], Receipt]) -> None:
    """Its queue was deleted, say, or the destination was not in the configuration when its time came."""
    team, entry = missing(Faulty(Dated()))
    team.receiver.does = does
    team.deliver(as_message(entry, NOW))

    early, messages = recovered(team, NOW + timedelta(hours=12))
    assert (early.sent, early.left, messages) == ({}, {"pending": 1}, 0)
    late, messages = recovered(team, NOW + timedelta(hours=13))
    assert (late.sent, messages) == ({"pending": 1}, 1)
    assert recovered(team, NOW + timedelta(hours=13))[1] == 0


class Queued:
    """Keeps what is sent; there are no dead letters."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> None:  # noqa: N803
        self.messages.append(message(len(self.messages), MessageBody))

    def receive_message(self, **_: Any) -> dict[str, Any]:
        return {}


def as_message(entry: Entry, now: datetime) -> dict[str, Any]:
    body = {"detail-type": entry.detail_type, "source": SOURCE, "detail": detail(entry)}
    return message(entry.version, json.dumps(body), now, copy=entry.pk)


# Who hears of it


def hears(destination: str, entry: Entry, match: Match | None = None) -> bool:
    event = {"source": SOURCE, "detail-type": entry.detail_type, "detail": detail(entry)}
    return mismatch(pattern(match or Match(), destination), event) is None


@pytest.mark.promise(28)
@pytest.mark.promise(37)
@pytest.mark.parametrize("match", [Match(), Match(vendor=("oration",)), Match(detail_type=(DISABLED,))])
def test_the_others_hear_of_it_and_it_does_not(match: Match) -> None:
    post = Post(failing(**GONE))
    post.deliver(message())

    assert not hears("team", post.told[0], match)
    assert hears("service", post.told[0], match)


@pytest.mark.promise(28)
@pytest.mark.promise(41)
@pytest.mark.parametrize("answer", [failing(**GONE).does, failing().does, taken])
def test_there_is_no_circle_when_the_other_takes_nothing_either(answer: Callable[[Notice], Receipt]) -> None:
    aws = Post().aws
    team = Post(failing(**GONE), aws=aws)
    service = Post(Receiver(answer), aws=aws, name="service", type="webhook")
    posts = {"team": Mail(team).put(message()), "service": Mail(service).put(message())}
    published: set[str] = set()

    for _ in range(20):
        for mail in posts.values():
            mail.go(hours=12)
        for entry in [*team.told, *service.told]:
            if entry.event_id not in published:
                published.add(entry.event_id)
                for name, mail in posts.items():
                    if hears(name, entry):
                        mail.put(as_message(entry, mail.post.now))

    assert len(published) == len(team.told) + len(service.told) <= 2
    assert [mail.coming for mail in posts.values()] == [[], []]
    assert len(service.receiver.got) <= 2 * 8


# Being told to wait


@pytest.mark.promise(41)
def test_a_429_makes_the_whole_destination_wait() -> None:
    post = Post(Receiver(slow_down))

    result = post.deliver(*(message(number) for number in range(1, 6)))

    assert (result.counts, len(result.back)) == ({"put_off": 5}, 5)
    assert post.receiver.got == ["event-1"]
    assert set(post.sqs.waits.values()) == {30}
    assert post.head.waits_until == NOW + timedelta(seconds=30)


@pytest.mark.promise(41)
def test_after_the_wait_all_of_it_is_delivered() -> None:
    post = Post(Receiver(slow_down))
    queue = Mail(post).put(*(message(number) for number in range(1, 6))).go(seconds=29)
    post.receiver.does = taken

    queue.go()

    assert set(post.statuses.values()) == {"delivered"}
    assert post.receiver.got == ["event-1", *(f"event-{number}" for number in range(1, 6))]
    assert post.now == NOW + timedelta(seconds=30)


def test_a_shorter_wait_does_not_shorten_a_longer_one() -> None:
    post = Post()
    post.standing.told_to_wait(NOW + timedelta(seconds=30))
    post.standing.told_to_wait(NOW + timedelta(seconds=5))

    assert post.head.waits_until == NOW + timedelta(seconds=30)


def test_a_destinations_wait_is_its_own() -> None:
    team = Post(Receiver(slow_down))
    service = Post(aws=team.aws, name="service")
    team.deliver(message())

    assert service.deliver(message()).counts == {"delivered": 1}


def test_the_commands_see_the_standing_that_the_notifier_sees() -> None:
    post = Post(failing(**GONE), name="service", type="webhook")
    post.deliver(message())

    seen = standing("service", CONFIGURED, post.table)

    assert (seen.type, seen.head().disabled) == ("webhook", post.head.disabled)
