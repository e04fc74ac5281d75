"""What one sweep finds for a destination is told one by one while it is little, and from eleven on in one message."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest

from pollbridge.config import Match
from pollbridge.history.connections import connection_pk
from pollbridge.history.entries import Entry, Observation
from pollbridge.history.ledger import Delivery, Status, deliveries
from pollbridge.history.table import HEAD, Table
from pollbridge.model.instant import epoch_minute
from pollbridge.model.job import JobKey
from pollbridge.notifying.http import Response
from pollbridge.notifying.slack.bursts import MANY, TOGETHER
from pollbridge.notifying.worker import LEASE
from pollbridge.routing import pattern
from pollbridge.vendors import VENDORS
from tests.integration.simulated import Receivers, simulated_receivers
from tests.kit.events import recovered, unreachable
from tests.kit.faults import Call, Crash, Fault, throttle
from tests.kit.sweeping import Bench, oration_body, oration_key
from tests.kit.telling import Team, telling

ROOMS = (f"team{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def inbox() -> Iterator[Receivers]:
    with simulated_receivers() as http:
        yield http


@pytest.fixture
def team(inbox: Receivers) -> Team:
    team = Team(http=inbox, room=next(ROOMS), pattern=pattern(Match(), "team"))
    team.use_webhook()
    return team


def keys(count: int, prefix: str = "j") -> list[JobKey]:
    return [oration_key(f"{prefix}{number:04}") for number in range(count)]


def swept(team: Team, count: int, *, connection: str = "oration", status: str = "success") -> list[Entry]:
    """That many jobs have begun, and have ended by the next sweep. The test goes on a little after it."""
    bench = Bench(team.table, name=connection, now=team.now)
    jobs = [JobKey(connection, "job", "acme", key.id) for key in keys(count)]
    for job in jobs:
        bench.watch(job, oration_body(job.id), oration_body(job.id, status))
    bench.tick(2)
    team.now = bench.now + timedelta(seconds=1)
    return [bench.history(job)[-1] for job in jobs]


def unfinished(team: Team, connection: str = "oration") -> None:
    """As if the last sweep were still going on."""
    item = team.table.get(connection_pk(connection), HEAD)
    assert item
    team.table.put(item | {"completed_tick": {"N": str(int(item["completed_tick"]["N"]) - 1)}})


def finished(team: Team, connection: str = "oration") -> None:
    item = team.table.get(connection_pk(connection), HEAD)
    assert item
    team.table.put(item | {"completed_tick": {"N": str(epoch_minute(team.now))}})


def ledger(team: Team, entries: list[Entry]) -> list[Delivery]:
    return [each for entry in entries for each in deliveries(team.table, JobKey.parse(entry.pk.removeprefix("JOB#")))]


def told(body: dict[str, Any]) -> str:
    return json.dumps(body["blocks"], ensure_ascii=False)


# How many make a burst


@pytest.mark.parametrize("count", [1, 2, 10])
def test_up_to_ten_changes_of_a_sweep_are_a_post_each(team: Team, count: int) -> None:
    entries = swept(team, count)

    assert team.tell(*entries).counts == {"delivered": count}
    assert len(team.arrived) == count


@pytest.mark.promise(29)
def test_eleven_are_one_message_that_lists_them_and_each_is_delivered(team: Team) -> None:
    entries = swept(team, 11)

    assert team.tell(*entries).counts == {"delivered": 1, "already_done": 10}
    [body] = team.arrived
    assert "11 jobs changed: 11 succeeded" in body["text"]
    told_of = ledger(team, entries)
    assert {delivery.event_id for delivery in told_of} == {entry.event_id for entry in entries}
    assert {(delivery.status, len(delivery.attempts)) for delivery in told_of} == {(Status.DELIVERED, 1)}
    assert team.pinged == []


@pytest.mark.long
def test_hundreds_are_as_few_messages_as_can_be(team: Team) -> None:
    entries = swept(team, MANY + 20)
    for batch in (entries[5:6], entries[-2:], entries[:1]):
        team.tell(*batch)

    assert [_jobs(body) for body in team.arrived] == [MANY, 20]
    assert {delivery.status for delivery in ledger(team, entries)} == {Status.DELIVERED}
    assert len(ledger(team, entries)) == MANY + 20


def test_the_message_of_what_another_has_told_costs_a_look_at_the_destination_and_one_at_the_ledger(team: Team) -> None:
    entries = swept(team, 12)
    team.tell(entries[0])
    calls = len(team.aws.calls)

    assert team.tell(*entries[1:]).counts == {"already_done": 11}
    assert Counter(call.operation for call in team.aws.calls[calls:]) == {"get_item": 22}


def _jobs(body: dict[str, Any]) -> int:
    return int(body["text"].split(" · ")[1].split(" ")[0].replace(",", ""))


def test_a_bot_tells_each_on_its_card_however_many_there_are(team: Team) -> None:
    team.use_bot()
    entries = swept(team, 12)

    assert team.tell(*entries).counts == {"delivered": 12}
    assert team.cards == [(2, [2])] * 12


# Whose they are


def test_two_connections_are_told_apart(team: Team) -> None:
    now = team.now
    one = swept(team, 11)
    team.now = now
    other = swept(team, 10, connection="o2")

    assert team.tell(*one, *other).counts == {"delivered": 11, "already_done": 10}
    assert sorted(body["text"].count("11 jobs changed") for body in team.arrived) == [0] * 10 + [1]


def test_two_sweeps_are_told_apart(team: Team) -> None:
    bench = Bench(team.table, now=team.now)
    for key in keys(8):
        bench.watch(key, oration_body(key.id), oration_body(key.id, "retrying"), oration_body(key.id, "success"))
    bench.tick(3)
    team.now = bench.now
    entries = [entry for key in keys(8) for entry in bench.history(key)[1:]]

    assert team.tell(*entries).counts == {"delivered": 16}


def test_what_the_match_keeps_out_is_neither_counted_nor_listed(team: Team) -> None:
    team.pattern.update(pattern(Match(state=("failed",)), "team"))
    bench = Bench(team.table, now=team.now)
    for number, key in enumerate(keys(22)):
        bench.watch(key, oration_body(key.id), oration_body(key.id, "failed" if number % 2 else "success"))
    bench.tick(2)
    team.now = bench.now
    entries = [bench.history(key)[-1] for key in keys(22)][1::2]

    assert team.tell(*entries).counts == {"delivered": 1, "already_done": 10}
    [body] = team.arrived
    assert "11 jobs changed: 11 failed" in body["text"]
    assert "j0000" not in told(body)


def test_what_a_first_look_recorded_silently_is_listed_nowhere(team: Team) -> None:
    bench = Bench(team.table, now=team.now)
    for key in keys(9):
        bench.watch(key, oration_body(key.id), oration_body(key.id, "success"))
    bench.tick(2)
    silent = _discovered(bench, 20)
    team.now = bench.now
    entries = [bench.history(key)[-1] for key in keys(9)]

    assert len(silent) == 20
    assert team.tell(*entries).counts == {"delivered": 9}


def _discovered(bench: Bench, count: int) -> list[Entry]:
    for key in keys(count, "silent"):
        body = json.dumps(oration_body(key.id, "success")).encode()
        bench.entries.discover(
            key,
            VENDORS["oration"].kinds["job"].answer(key, body),
            Observation(bench.now, bench.now, body, "h"),
            vendor="oration",
            slot=None,
            told=False,
            since=bench.now,
            recorded_at=bench.now,
        )
    return [entry for key in keys(count, "silent") for entry in bench.history(key)]


def test_what_is_about_a_vendor_is_told_alone(team: Team) -> None:
    entries = swept(team, 11)
    outage = unreachable(connection="oration", vendor="oration", observed_at=entries[0].observed_at)

    assert team.tell(outage, *entries, recovered()).counts == {"delivered": 3, "already_done": 10}
    assert len(team.arrived) == 3


def test_what_is_resent_is_told_alone(team: Team) -> None:
    entries = swept(team, 30)

    assert team.way(entries[3], with_={"resent": True}) == "delivered"
    assert team.tell(*entries[:3]).counts == {"delivered": 1, "already_done": 2}
    assert [_jobs(body) for body in team.arrived if "jobs changed" in body["text"]] == [29]


# How long it is waited for


@pytest.mark.parametrize("count", [1, 10])
def test_little_of_a_sweep_that_goes_on_is_told_after_ten_seconds(team: Team, count: int) -> None:
    entries = swept(team, count)
    unfinished(team)
    sent = team.now

    ways = [_way_after(team, entries[0], sent, seconds) for seconds in (0, 5, 9, 10)]

    assert ways == ["put_off", "put_off", "put_off", "delivered"]
    assert team.sqs.waits[entries[0].event_id] == 2


def test_much_of_a_sweep_that_goes_on_is_told_after_seventy_five_seconds(team: Team) -> None:
    entries = swept(team, 11)
    unfinished(team)
    sent = team.now

    ways = [_way_after(team, entries[0], sent, seconds) for seconds in (0, 10, 60, 74, 75)]

    assert ways == ["put_off"] * 4 + ["delivered"]
    assert len(team.arrived) == 1


def _way_after(team: Team, entry: Entry, sent: Any, seconds: int) -> str:
    team.now = sent + timedelta(seconds=seconds)
    [way] = team.deliver(telling(entry, sent_at=sent)).counts
    return way


def test_as_soon_as_the_sweep_is_over_nothing_is_waited_for(team: Team) -> None:
    entries = swept(team, 11)
    unfinished(team)
    assert team.way(entries[0]) == "put_off"
    assert [(each.status, each.attempts) for each in ledger(team, entries)] == [(Status.PENDING, ())]

    finished(team)
    assert team.way(entries[0]) == "delivered"
    assert {each.status for each in ledger(team, entries)} == {Status.DELIVERED}


@pytest.mark.promise(35)
def test_waiting_for_a_sweep_counts_as_no_attempt(team: Team) -> None:
    entries = swept(team, 11)
    unfinished(team)
    sent = team.now
    for seconds in range(0, 76, 2):
        _way_after(team, entries[0], sent, seconds)
    team.now = sent + timedelta(seconds=75)
    team.deliver(telling(entries[0], sent_at=sent))

    assert {len(delivery.attempts) for delivery in ledger(team, entries)} == {1}


# What the index doesn't show yet


@pytest.mark.parametrize("count", [11, 30])
def test_what_the_timeline_does_not_show_yet_is_told_all_the_same(team: Team, count: int) -> None:
    entries = swept(team, count)
    team.aws.client.unseen = {entry.event_id for entry in entries[::4]}
    team.tell(*entries[: count // 2])
    team.aws.client.unseen = set()
    team.tell(*entries)

    assert {delivery.status for delivery in ledger(team, entries)} == {Status.DELIVERED}
    assert len(ledger(team, entries)) == count
    assert sum(_jobs(body) if "jobs changed" in body["text"] else 1 for body in team.arrived) == count


def test_an_event_that_is_not_in_the_timeline_at_all_joins_the_others(team: Team) -> None:
    entries = swept(team, 20)
    team.aws.client.unseen = {entries[7].event_id}

    assert team.way(entries[7]) == "delivered"
    assert [_jobs(body) for body in team.arrived] == [20]


def test_an_event_that_reached_the_bus_thinner_than_its_entry_is_told_once(team: Team) -> None:
    entries = swept(team, 12)
    thin = telling(entries[5], sent_at=team.now)
    body = json.loads(thin["body"])
    thin["body"] = json.dumps(body | {"detail": body["detail"] | {"message": None, "links": []}})

    assert team.deliver(thin).counts == {"delivered": 1}
    assert [_jobs(body) for body in team.arrived] == [12]
    assert team.tell(*entries).counts == {"already_done": 12}


# Races, failures and crashes


@pytest.mark.promise(29)
@pytest.mark.parametrize("count", [11, 25])
def test_invocations_at_once_tell_each_event_once(team: Team, count: int) -> None:
    entries, together = swept(team, count), Barrier(4)

    def deliver(number: int) -> Counter[str]:
        together.wait(timeout=30)
        return team.tell(*entries[number::4]).counts

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(deliver, range(4)))
    team.later(seconds=40)
    team.tell(*entries)

    assert sum(_jobs(body) if "jobs changed" in body["text"] else 1 for body in team.arrived) == count
    assert {(delivery.status, len(delivery.attempts)) for delivery in ledger(team, entries)} == {(Status.DELIVERED, 1)}


def test_a_burst_that_slack_does_not_take_comes_again_whole(team: Team) -> None:
    entries = swept(team, 15)
    team.faults({"status": 500})

    assert team.tell(*entries).counts == {"retried": 1, "put_off": 14}
    team.later(seconds=10)
    assert team.tell(*reversed(entries)).counts == {"delivered": 1, "already_done": 14}
    assert [_jobs(body) for body in team.arrived] == [15, 15]
    assert {len(delivery.attempts) for delivery in ledger(team, entries)} == {2}


@pytest.mark.promise(35)
def test_a_failed_burst_is_an_attempt_of_all_that_it_tells_and_all_wait_alike(team: Team) -> None:
    entries = swept(team, 11)
    team.faults({"status": 500})

    assert team.way(entries[4]) == "retried"

    told_of = ledger(team, entries)
    assert [len(delivery.attempts) for delivery in told_of] == [1] * 11
    [again] = {delivery.next_attempt_at for delivery in told_of}
    assert again == team.now + timedelta(seconds=team.sqs.waits[entries[4].event_id])


@pytest.mark.promise(35)
def test_after_three_attempts_as_one_the_events_of_a_burst_go_one_by_one(team: Team) -> None:
    entries = swept(team, 11)
    team.faults(*[{"status": 500}] * TOGETHER)
    for _ in range(TOGETHER):
        team.tell(*entries)
        team.later(hours=1)

    assert team.tell(*entries).counts == {"delivered": 11}
    assert [_jobs(body) if "jobs changed" in body["text"] else 1 for body in team.arrived] == [11] * TOGETHER + [1] * 11
    assert {len(delivery.attempts) for delivery in ledger(team, entries)} == {TOGETHER + 1}


@pytest.mark.promise(35)
def test_what_joins_a_burst_late_does_not_wait_for_the_clock_of_those_that_failed(team: Team) -> None:
    entries = swept(team, 14)
    team.aws.client.unseen = {entry.event_id for entry in entries[1:]}
    team.faults({"status": 500}, {"status": 500})
    team.tell(entries[0])
    team.later(seconds=6)
    assert team.way(entries[0]) == "retried"

    team.aws.client.unseen = set()
    assert team.way(entries[13]) == "delivered"
    assert team.way(entries[0]) == "put_off"
    assert _jobs(team.arrived[-1]) == 13


@pytest.mark.promise(29)
@pytest.mark.promise(30)
def test_one_write_that_fails_after_the_post_repeats_that_event_alone(team: Team) -> None:
    entries = swept(team, 12)
    unlucky = entries[5]
    team.aws.plan = lambda call: Fault(throttle()) if _writes_delivered(call, unlucky) else None

    assert team.way(entries[0]) == "broke"
    team.aws.plan = lambda _: None
    assert team.tell(*entries).counts == {"already_done": 11, "put_off": 1}

    team.later(seconds=LEASE.total_seconds())
    assert team.tell(*entries).counts == {"already_done": 11, "delivered": 1}
    assert [unlucky.pk.rpartition("/")[2] in told(body) for body in team.arrived] == [True, True]
    assert "jobs changed" not in team.arrived[1]["text"]


def _writes_delivered(call: Call, entry: Entry) -> bool:
    return call.operation == "update_item" and call.touches(entry.event_id) and call.touches("'delivered'")


@pytest.mark.promise(41)
def test_a_burst_that_must_wait_is_counted_as_no_attempt_of_any(team: Team) -> None:
    entries = swept(team, 11)
    team.faults({"status": 429, "retry_after": 20})

    assert team.tell(*entries).counts == {"put_off": 11}
    team.later(seconds=20)
    assert team.tell(*entries).counts == {"delivered": 1, "already_done": 10}
    assert {len(delivery.attempts) for delivery in ledger(team, entries)} == {1}


def test_a_burst_whose_answer_is_lost_is_maybe_sent_all_of_it(team: Team) -> None:
    entries = swept(team, 11)
    team.faults({"drop": True})

    assert team.tell(*entries).counts == {"maybe_sent": 1, "already_done": 10}
    assert {delivery.status for delivery in ledger(team, entries)} == {Status.MAYBE_SENT}


@pytest.mark.parametrize("status", [404, 410, 403])
def test_a_burst_that_disables_the_destination_is_kept_whole(team: Team, status: int) -> None:
    entries = swept(team, 12)
    team.faults({"status": status})

    assert team.tell(*entries).counts == {"failed": 1, "disabled": 11}
    assert Counter(delivery.status for delivery in ledger(team, entries)) == {Status.FAILED: 1, Status.DISABLED: 11}


def test_a_listing_that_is_refused_is_not_the_end_of_what_it_lists(team: Team) -> None:
    entries = swept(team, 11)
    team.faults({"error": "invalid_payload"})

    assert team.tell(*entries).counts == {"delivered": 2, "already_done": 9}
    assert [_jobs(body) if "jobs changed" in body["text"] else 1 for body in team.arrived] == [11, 1, 10]
    assert team.sqs.buried == []


def test_where_no_listing_is_taken_at_all_each_event_is_told_alone(team: Team) -> None:
    entries = swept(team, 13)
    refused = Response(400, "invalid_blocks", None)
    team.line.instead = lambda body: refused if "jobs changed" in body["text"] else None

    assert team.tell(*entries).counts == {"delivered": 13}
    assert len(team.arrived) == 13
    assert {(each.status, len(each.attempts)) for each in ledger(team, entries)} == {(Status.DELIVERED, 1)}


def test_an_event_that_is_refused_alone_too_is_given_up_and_the_others_are_not(team: Team) -> None:
    entries = swept(team, 12)
    refused = Response(400, "invalid_blocks", None)
    bad = entries[3].pk.rpartition("/")[2]
    team.line.instead = lambda body: refused if bad in told(body) else None

    team.tell(*entries)

    [letter] = team.sqs.buried
    assert (letter["reason"], json.loads(letter["body"])["detail"]["id"]) == (
        "HTTP 400 invalid_blocks",
        entries[3].event_id,
    )
    assert Counter(each.status for each in ledger(team, entries)) == {Status.DELIVERED: 11, Status.FAILED: 1}


@pytest.mark.promise(30)
def test_a_crash_after_the_post_tells_the_burst_again_and_loses_none(team: Team) -> None:
    entries = swept(team, 11)

    def die(_: str) -> None:
        team.aws.plan = lambda _: Fault(Crash())
        raise Crash

    team.line.after = die
    with pytest.raises(Crash):
        team.tell(entries[3])
    team.line.after, team.aws.plan = lambda _: None, lambda _: None
    assert team.tell(*entries).counts == {"put_off": 11}

    team.later(seconds=LEASE.total_seconds())
    assert team.tell(*entries).counts == {"delivered": 1, "already_done": 10}
    assert [_jobs(body) for body in team.arrived] == [11, 11]


@pytest.mark.long
def test_moto_finds_the_same_burst(team: Team, table: Table) -> None:
    team.aws.client = table.client
    entries = swept(team, 11)

    assert team.tell(*entries).counts == {"delivered": 1, "already_done": 10}
    assert [_jobs(body) for body in team.arrived] == [11]
