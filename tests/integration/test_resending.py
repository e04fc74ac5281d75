"""What did not arrive can be sent again, by the event or all of a time, and nothing is sent twice by that."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto import mock_aws

from pollbridge.history.destinations import Destinations
from pollbridge.history.entries import Entry
from pollbridge.history.ledger import FORSAKEN, Claimed, Delivery, Ledger, Status
from pollbridge.history.table import Table
from pollbridge.history.timeline import Told
from pollbridge.model.job import JobKey
from pollbridge.notifying.dead_letters import DeadLetters
from pollbridge.notifying.deliveries import Result
from pollbridge.notifying.resending import CHUNK, THREADS, Recovery
from pollbridge.notifying.worker import LEASE
from tests.kit.envelopes import disabled
from tests.kit.events import recovered, unreachable
from tests.kit.faults import Call
from tests.kit.offices import WALL, Office, breaking, closing, refusing, taking
from tests.kit.receiving import Repeating
from tests.kit.sweeping import oration_key

KEY = oration_key("j1")
LATER = WALL + timedelta(days=3)


@pytest.fixture
def office() -> Iterator[Office]:
    with mock_aws():
        yield Office()


def told(entry: Entry) -> Told:
    return Told(entry.pk, entry.event_id, entry.detail_type, entry.event)


def recover(office: Office, since: datetime = WALL, until: datetime = LATER, **more: Any) -> Recovery:
    return office.resending.recover("service", since, until, office.now, **more)


def only(office: Office, job: JobKey = KEY) -> Delivery:
    [delivery] = office.ledger(job)
    return delivery


def event_ids(office: Office) -> list[str]:
    return [event_id for _, event_id in office.got]


def exhausted(office: Office, *entries: Entry, name: str = "service") -> None:
    """These are among the dead letters."""
    office.does[name] = refusing
    for entry in entries:
        office.route(entry, name)
    office.work(name)
    office.does[name] = taking
    office.got.clear()


# resend


@pytest.mark.promise(38)
def test_what_is_exhausted_is_resent_from_the_history_and_its_letter_is_gone(office: Office) -> None:
    entry = office.record(1, KEY)
    exhausted(office, entry)
    assert (only(office).status, office.count("service", "dead_letter")) == (Status.FAILED, 1)

    [letter] = office.resending.dead_letters("service").all()
    office.resending.send(told(entry), "service", office.now)
    office.resending.dead_letters("service").delete({letter.message_id})

    assert only(office).status is Status.PENDING
    assert office.work("service").counts == {"delivered": 1}
    assert (only(office).status, office.count("service", "dead_letter")) == (Status.DELIVERED, 0)


@pytest.mark.promise(38)
def test_a_dead_letter_holds_all_that_resending_needs_once_the_history_has_expired(office: Office) -> None:
    entry = office.record(1, KEY)
    exhausted(office, entry)
    office.aws.client = type(office.aws.client)()

    found = office.resending.find(entry.event_id, LATER)
    assert found
    office.resending.send(found, "service", office.now)

    assert (found.pk, found.event_id, found.detail_type) == (entry.pk, entry.event_id, entry.detail_type)
    assert json.loads(found.event) == json.loads(entry.event)
    assert office.work("service").counts == {"delivered": 1}


def test_looking_for_an_event_leaves_the_dead_letters_to_be_found_at_once_again(office: Office) -> None:
    entries = [office.record(version, KEY) for version in range(1, 24)]
    exhausted(office, *entries)

    letters = office.resending.dead_letters("service")
    assert office.resending.find("no such event", LATER) is None
    assert office.visible("service", "dead_letter") == 23
    assert letters.delete([letter.message_id for letter in letters.all()[3:5]]) == 2
    assert office.visible("service", "dead_letter") == 21
    assert all(office.sqs.waited)


@pytest.mark.promise(38)
@pytest.mark.promise(30)
def test_past_a_finished_delivery_it_arrives_again_under_the_same_id(office: Office) -> None:
    entry = office.record(1, KEY)
    office.route(entry, "service")
    office.work("service")

    office.resending.send(told(entry), "service", office.now)
    office.work("service")

    assert event_ids(office) == [entry.event_id] * 2
    assert [attempt.outcome for attempt in only(office).attempts] == ["delivered", "delivered"]


@pytest.mark.promise(38)
@pytest.mark.promise(35)
def test_resent_it_has_all_the_attempts_of_a_new_one(office: Office) -> None:
    entry = office.record(1, KEY)
    office.does["service"] = breaking
    office.route(entry, "service")
    _exhaust(office)
    assert (only(office).status, len(only(office).attempts)) == (Status.FAILED, 8)

    # So long after the last failure a new run of them begins; else the destination would be disabled by now.
    office.now += timedelta(days=2)
    office.resending.send(told(entry), "service", office.now)
    assert only(office).tries == 0
    _exhaust(office)

    assert (only(office).status, len(only(office).attempts)) == (Status.FAILED, 16)
    assert office.count("service", "dead_letter") == 2


def _exhaust(office: Office) -> None:
    """The message comes back, with time, until it is given up."""
    [message] = office.waiting("service", seconds=43_000)
    for _ in range(8):
        office._deliver("service", [message], Result())
        office.now += timedelta(hours=11)
    assert office.count("service") == 0


@pytest.mark.promise(38)
@pytest.mark.promise(29)
def test_resent_twice_in_a_row_it_arrives_once_more(office: Office) -> None:
    entry = office.record(1, KEY)
    exhausted(office, entry)

    for _ in range(2):
        office.resending.send(told(entry), "service", office.now)

    assert office.work("service").counts == {"delivered": 1, "already_done": 1}
    assert event_ids(office) == [entry.event_id]


def test_while_it_is_being_delivered_nothing_is_resent(office: Office) -> None:
    entry = office.record(1, KEY)
    Ledger(office.table, "service", LEASE).claim(entry.pk, entry.event_id, 1, office.now)

    with pytest.raises(Claimed):
        office.resending.send(told(entry), "service", office.now)

    assert office.count("service") == 0


def test_a_claim_of_the_dead_keeps_nobody_from_resending(office: Office) -> None:
    entry = office.record(1, KEY)
    Ledger(office.table, "service", LEASE).claim(entry.pk, entry.event_id, 1, office.now)

    office.now += LEASE
    office.resending.send(told(entry), "service", office.now)

    assert office.work("service").counts == {"delivered": 1}


def test_what_waits_for_its_next_attempt_is_resent_at_once_and_arrives_once(office: Office) -> None:
    entry = office.record(1, KEY)
    office.does["service"] = breaking
    office.route(entry, "service")
    [message] = office.waiting("service", seconds=43_000)
    office._deliver("service", [message], Result())
    assert only(office).next_attempt_at

    office.does["service"] = taking
    office.resending.send(told(entry), "service", office.now)
    office.work("service")
    office._deliver("service", [message], result := Result())

    assert event_ids(office) == [entry.event_id] * 2
    assert result.counts == {"already_done": 1}


def test_what_could_not_be_put_into_the_queue_is_not_under_way(office: Office) -> None:
    entry = office.record(1, KEY)
    exhausted(office, entry)
    office.sqs.broken = True
    with pytest.raises(TimeoutError):
        office.resending.send(told(entry), "service", office.now)
    office.sqs.broken = False

    assert only(office).status is Status.FAILED
    assert recover(office).sent == {"failed": 1}


@pytest.mark.parametrize(
    ("event", "pk"),
    [
        (unreachable(), "CONNECTION#mentionlab"),
        (recovered(), "CONNECTION#mentionlab"),
        (disabled("team"), "DESTINATION#team"),
    ],
)
def test_what_is_about_no_job_is_found_and_resent_too(office: Office, event: Any, pk: str) -> None:
    office.keep(event, pk, pk)

    found = office.resending.find(event.id, LATER)

    assert found
    assert found.pk == pk
    office.resending.send(found, "service", office.now)
    assert office.work("service").counts == {"delivered": 1}
    assert event_ids(office) == [event.id]


# What recover sends


def five(office: Office) -> dict[str, Entry]:
    """One event of every fate."""
    entries = {name: office.record(1, oration_key(name)) for name in (*Status, "missed")}
    ledger = Ledger(office.table, "service", LEASE)
    for status in Status:
        entry = entries[status]
        delivery = ledger.claim(entry.pk, entry.event_id, 1, office.now)
        ledger.finish(delivery, status, None, None if status.finished else office.now + timedelta(minutes=5))
    return entries


@pytest.mark.promise(38)
def test_what_failed_was_disabled_or_never_taken_up_is_sent_and_nothing_else(office: Office) -> None:
    entries = five(office)

    recovery = recover(office)

    assert recovery.sent == {"failed": 1, "disabled": 1, "missed": 1}
    assert recovery.left == {"delivered": 1, "pending": 1, "maybe_sent": 1}
    assert office.work("service").counts == {"delivered": 3}
    assert set(event_ids(office)) == {entries[name].event_id for name in ("failed", "disabled", "missed")}


@pytest.mark.promise(38)
def test_recovered_twice_nothing_more_is_sent(office: Office) -> None:
    five(office)
    recover(office)
    before = office.count("service")

    again = recover(office)

    assert (again.sent, again.left) == ({}, {"delivered": 1, "pending": 4, "maybe_sent": 1})
    assert office.count("service") == before == 3


def test_only_counted_nothing_changes(office: Office) -> None:
    exhausted(office, *(office.record(version, KEY) for version in range(1, 4)))
    five(office)
    items, calls = dict(office.aws.client.items), len(office.aws.calls)

    recovery = recover(office, only_count=True)

    assert recovery.sent == {"failed": 4, "disabled": 1, "missed": 1}
    assert (office.aws.client.items, office.count("service"), recovery.letters) == (items, 0, 0)
    assert office.visible("service", "dead_letter") == 3
    assert not {call.operation for call in office.aws.calls[calls:]} & {"put_item", "update_item"}


def test_what_a_destination_missed_while_it_was_disabled_comes_after(office: Office) -> None:
    entries = [office.record(version, KEY) for version in (1, 2, 3)]
    office.does["service"] = closing
    office.route(entries[0], "service")
    office.work("service")
    for entry in entries[1:]:
        office.route(entry, "service")
    assert office.work("service").counts == {"disabled": 2}
    office.does["service"] = taking
    office.got.clear()

    Destinations(office.table).enable("service")
    assert recover(office, until=office.now + timedelta(minutes=1)).sent == {"failed": 1, "disabled": 2}
    assert office.work("service").counts == {"delivered": 3}
    assert event_ids(office) == [entry.event_id for entry in entries]
    assert office.count("service", "dead_letter") == 0


def test_what_its_match_lets_through_now_counts(office: Office) -> None:
    office.record(1, KEY, state="cancelled")
    wanted = office.record(2, KEY, state="failed")

    recovery = office.resending.recover("team", WALL, LATER, office.now)

    assert recovery.sent == {"missed": 1}
    office.work("team")
    assert office.got == [("team", wanted.event_id)]


def test_what_was_recorded_silently_is_not_recovered(office: Office) -> None:
    office.record(1, KEY, told=False)

    assert recover(office).sent == {}


def test_events_about_vendors_and_other_destinations_are_recovered_too(office: Office) -> None:
    office.keep(unreachable(), "CONNECTION#mentionlab", "CONNECTION#mentionlab")
    office.keep(disabled("team"), "DESTINATION#team", "DESTINATION#team")
    office.keep(disabled("service").model_copy(update={"id": "own"}), "DESTINATION#service", "DESTINATION#service")

    assert recover(office).sent == {"missed": 2}


def test_what_is_taken_up_while_it_is_recovered_is_left_to_whoever_has_it(office: Office) -> None:
    entry = office.record(1, KEY)
    another = Ledger(Table(office.aws.client, "history"), "service", LEASE)

    def takes_it_up(call: Call) -> None:
        if call.operation == "get_item":
            another.claim(entry.pk, entry.event_id, 1, office.now)

    office.aws.plan = takes_it_up

    assert recover(office).left == {"pending": 1}
    assert office.count("service") == 0


@pytest.mark.promise(29)
@pytest.mark.promise(38)
@pytest.mark.parametrize(
    ("seen", "fate", "sent"),
    [
        (None, Status.DELIVERED, 0),
        (None, Status.MAYBE_SENT, 0),
        (None, Status.FAILED, 0),
        (Status.FAILED, Status.DELIVERED, 0),
        (Status.FAILED, Status.PENDING, 0),
        (Status.FAILED, Status.FAILED, 1),
    ],
)
def test_what_is_delivered_between_the_look_and_the_sending_is_not_repeated(
    office: Office, seen: Status | None, fate: Status, sent: int
) -> None:
    entry = office.record(1, KEY)
    ledger = Ledger(Table(office.aws.client, "history"), "service", LEASE)
    if seen:
        ledger.close(entry.pk, entry.event_id, 1, seen, office.now)
    turns = [fate]

    def between(call: Call) -> None:
        # The first read of a single item comes after the look at the batch.
        if call.operation != "get_item" or not turns:
            return
        again = None if turns.pop().finished else office.now + timedelta(minutes=5)
        if seen:
            ledger.again(entry.pk, entry.event_id, 1, office.now)
        ledger.finish(ledger.claim(entry.pk, entry.event_id, 1, office.now), fate, None, again)

    office.aws.plan = between

    assert recover(office).sent.total() == office.count("service") == sent
    assert only(office).status is (Status.PENDING if sent else fate)


@pytest.mark.promise(38)
def test_what_is_pending_and_has_no_message_left_is_sent_after_twelve_hours(office: Office) -> None:
    entry = office.record(1, KEY)
    office.does["service"] = breaking
    office.route(entry, "service")
    office.work("service")
    office.sqs.purge_queue(QueueUrl=office.parts["service"]["queue"])
    assert only(office).next_attempt_at

    office.does["service"] = taking
    assert recover(office).left == {"pending": 1}
    office.now = only(office).next_attempt_at + FORSAKEN
    assert recover(office).left == {"pending": 1}
    office.now += timedelta(seconds=1)
    assert recover(office).sent == {"pending": 1}

    assert recover(office).left == {"pending": 1}
    assert office.work("service").counts == {"delivered": 1}


@pytest.mark.promise(38)
@pytest.mark.parametrize("how", ["claimed", "put off", "released"])
def test_pending_is_forsaken_twelve_hours_after_the_last_that_was_heard_of_it(office: Office, how: str) -> None:
    entry = office.record(1, KEY)
    ledger, heard_of = Ledger(office.table, "service", LEASE), office.now
    match how:
        case "put off":
            ledger.put_off(entry.pk, entry.event_id, 1, office.now)
        case "claimed":
            ledger.claim(entry.pk, entry.event_id, 1, office.now)
            heard_of += LEASE
        case "released":
            delivery = ledger.claim(entry.pk, entry.event_id, 1, office.now)
            ledger.finish(delivery, Status.PENDING, None, office.now)

    office.now = heard_of + FORSAKEN - timedelta(seconds=1)
    assert recover(office).left == {"pending": 1}
    office.now += timedelta(seconds=2)
    assert recover(office).sent == {"pending": 1}


# In which order, and of which time


@pytest.mark.long
def test_the_oldest_come_first(office: Office) -> None:
    moments = [WALL + timedelta(minutes=n) for n in range(2 * CHUNK)]
    shuffled = random.Random(7).sample(moments, len(moments))
    for moment in shuffled:
        office.record(1, oration_key(f"{moment:%d%H%M}"), moment)

    recover(office)
    office.work("service")

    told_at = [f"{moment:%d%H%M}-1" for moment in moments]
    places = [told_at.index(event_id) for event_id in event_ids(office)]
    assert [place // CHUNK for place in places] == sorted(place // CHUNK for place in places)
    assert max(abs(place - n) for n, place in enumerate(places)) < CHUNK
    assert THREADS < CHUNK


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [
        ("2026-06-08T00:00:00Z", "2026-06-08T23:59:59.999Z", {2, 3, 4}),
        ("2026-06-07T23:59:59Z", "2026-06-08T00:00:00Z", {1, 2}),
        ("2026-06-08T12:00:00Z", "2026-06-09T00:00:00Z", {3, 4, 5}),
        ("2026-06-08T12:00:00.001Z", "2026-06-08T23:59:58Z", set()),
        ("2026-06-08T02:00:00+02:00", "2026-06-08T14:00:00+02:00", {2, 3}),
        ("2026-05-01T00:00:00Z", "2026-07-01T00:00:00Z", {1, 2, 3, 4, 5}),
        ("2026-06-09T00:00:00Z", "2026-06-08T00:00:00Z", set()),
    ],
)
def test_days_begin_and_end_where_they_should(office: Office, since: str, until: str, found: set[int]) -> None:
    moments = ["07T23:59:59", "08T00:00:00", "08T12:00:00", "08T23:59:59", "09T00:00:00"]
    for version, moment in enumerate(moments, 1):
        office.record(version, KEY, datetime.fromisoformat(f"2026-06-{moment}").replace(tzinfo=UTC))

    recovery = recover(office, datetime.fromisoformat(since), datetime.fromisoformat(until))

    assert recovery.sent.total() == len(found)
    office.work("service")
    assert {int(event_id.split("-")[1]) for event_id in event_ids(office)} == found


# What becomes of the dead letters


@pytest.mark.promise(38)
def test_what_is_recovered_is_no_dead_letter_any_more_and_others_stay(office: Office) -> None:
    old = office.record(1, oration_key("old"), WALL - timedelta(days=1))
    entries = [office.record(version, KEY) for version in range(1, 13)]
    exhausted(office, old, *entries)
    for odd in ("no event", "{}"):
        office.sqs.send_message(QueueUrl=office.parts["service"]["dead_letter"], MessageBody=odd)
    exhausted(office, entries[0], name="team")

    recovery = recover(office)

    assert (recovery.sent, recovery.letters) == ({"failed": 12}, 12)
    assert (office.visible("service", "dead_letter"), office.visible("team", "dead_letter")) == (3, 1)
    assert office.work("service").counts == {"delivered": 12}
    assert Counter(event_ids(office)) == Counter(entry.event_id for entry in entries)


def test_the_letter_of_what_has_arrived_since_is_taken_out_and_that_of_what_is_under_way_is_not(office: Office) -> None:
    arrived, under_way = office.record(1, KEY), office.record(1, oration_key("j2"))
    exhausted(office, arrived, under_way)
    for entry in (arrived, under_way):
        office.resending.send(told(entry), "service", office.now)
        if entry is arrived:
            office.work("service")

    recovery = recover(office)

    assert (recovery.left, recovery.letters) == ({"delivered": 1, "pending": 1}, 1)
    assert office.visible("service", "dead_letter") == 1


@pytest.mark.promise(38)
def test_of_many_that_are_recovered_the_letters_of_those_that_fail_again_stay(office: Office) -> None:
    entries = [office.record(version, KEY) for version in range(1, 13)]
    exhausted(office, *entries)
    again = {entry.event_id for entry in entries[::3]}
    office.does["service"] = lambda notice: (refusing if notice.event_id in again else taking)(notice)
    office.work_at_once("service")

    recovery = recover(office)

    assert (recovery.sent, recovery.letters) == ({"failed": 12}, 12)
    assert sorted(office.letters("service").values()) == sorted(again)


class Interrupting:
    """SQS in front of another; Ctrl-C comes at the n-th of these calls."""

    def __init__(self, sqs: Any, operation: str, number: int) -> None:
        self.sqs, self.operation, self.left = sqs, operation, number

    def __getattr__(self, operation: str) -> Any:
        if operation == self.operation:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return getattr(self.sqs, operation)


@pytest.mark.promise(38)
@pytest.mark.parametrize(
    ("operation", "number", "left"),
    [("receive_message", 2, 23), ("delete_message_batch", 1, 23), ("delete_message_batch", 2, 13)],
)
def test_who_is_interrupted_while_he_looks_at_dead_letters_puts_them_back(
    office: Office, operation: str, number: int, left: int
) -> None:
    exhausted(office, *(office.record(version, KEY) for version in range(1, 24)))
    letters = DeadLetters(office.sqs, office.parts["service"]["dead_letter"])
    ids = {letter.message_id for letter in letters.all()}

    with pytest.raises(KeyboardInterrupt):
        DeadLetters(Interrupting(office.sqs, operation, number), letters.url).delete(ids)

    assert office.visible("service", "dead_letter") == left


@pytest.mark.promise(3)
@pytest.mark.promise(38)
def test_recovering_sends_everything_though_the_answers_of_the_table_are_lost(office: Office) -> None:
    five(office)
    office.aws.client = Repeating(office.aws.client)

    recovery = recover(office)

    assert recovery.sent == {"failed": 1, "disabled": 1, "missed": 1}
    assert office.count("service") == 3


@pytest.mark.promise(3)
def test_recovering_again_sends_what_could_not_be_queued_before(office: Office) -> None:
    five(office)
    office.sqs.broken = True
    with pytest.raises(TimeoutError):
        recover(office)
    office.sqs.broken = False

    assert recover(office).sent.total() == office.count("service") == 3


def test_progress_is_told_as_it_is_made(office: Office) -> None:
    for version in range(1, CHUNK + 2):
        office.record(version, KEY)
    looked_at: list[int] = []

    recover(office, done=looked_at.append)

    assert looked_at == [CHUNK, 1]


# What it costs


def test_recovering_costs_a_batch_for_fifty_events_and_three_calls_for_each_that_is_sent(office: Office) -> None:
    entries = [office.record(version, KEY) for version in range(1, 2 * CHUNK + 1)]
    ledger = Ledger(office.table, "service", LEASE)
    for entry in entries[10:]:
        ledger.close(entry.pk, entry.event_id, entry.version, Status.DELIVERED, office.now)
    office.aws.calls.clear()

    recover(office, until=WALL + timedelta(hours=1))

    assert office.aws.counts == {"query": 1, "batch_get_item": 2, "get_item": 10, "update_item": 10}
