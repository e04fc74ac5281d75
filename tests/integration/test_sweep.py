"""A sweep looks at what is due, writes what changed, and leaves nothing out, whatever goes wrong on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count, pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from hypothesis import given, settings
from hypothesis import strategies as st

from pollbridge.config import Cadence, Connection
from pollbridge.history.connections import NotBegun, Refusal
from pollbridge.history.table import Table
from pollbridge.model.instant import MINUTE, read_iso
from pollbridge.model.job import JobKey
from pollbridge.polling.client import BadAnswer, Refused, Throttled, Unreachable, retry_after
from pollbridge.polling.report import Outcome
from pollbridge.secrets import UnusableSecret
from pollbridge.vendors.answer import Request
from tests.kit.faults import Call, Crash, Fault, lost, throttle
from tests.kit.sweeping import START, UNLIMITED, Bench, in_memory, oration_body, oration_key

KEY = oration_key()


@pytest.fixture
def bench() -> Bench:
    return in_memory()


def oration(**cadence: timedelta) -> Connection:
    return Connection(type="oration", base_url="https://oration.test", secret="s", cadence=Cadence(**cadence))


def watch(bench: Bench, names: str, **more: Any) -> None:
    """Follow a job of each name; all of them run."""
    for name in names.split():
        bench.watch(oration_key(name), oration_body(name, **more))


def one_by_one(bench: Bench) -> None:
    bench.connection = bench.connection.model_copy(update={"limits": UNLIMITED.model_copy(update={"concurrency": 1})})


@pytest.mark.promise(4)
def test_a_thousand_looks_at_an_unchanged_job_write_four_times(bench: Bench) -> None:
    bench.watch(KEY, oration_body())
    before = len(bench.aws.writes("JOB#"))

    bench.tick(1000)

    written = [call.operation for call in bench.aws.writes("JOB#")[before:]]
    assert written == ["put_item", "transact_write_items", "update_item", "update_item", "update_item"]
    assert len(bench.history(KEY)) == 1


@pytest.mark.long
@pytest.mark.promise(4)
def test_a_thousand_equal_answers_with_moving_timestamps_write_nothing() -> None:
    """No hash of the body spares the comparison here, and the job stays on the fastest rung."""
    bench, clock = in_memory(connection=oration(fresh=timedelta(days=1))), count()
    bench.watch(KEY, oration_body())
    bench.answers["/jobs/j1"] = lambda: oration_body(updatedAt=f"2026-06-08T12:00:00.{next(clock):06}Z")
    bench.tick()
    before = len(bench.aws.writes("JOB#"))

    bench.tick(999)

    assert (len(bench.asked), len(bench.history(KEY))) == (1000, 1)
    assert len(bench.aws.writes("JOB#")) == before


@pytest.mark.long
def test_the_same_holds_in_moto(table: Table) -> None:
    bench = Bench(table)
    bench.watch(KEY, oration_body())

    bench.tick(40)

    assert [event["reasons"] for event in bench.events(KEY)] == [["first_seen"]]
    assert bench.head(KEY).slot.rung == 2


@pytest.mark.long
def test_the_gaps_between_looks_grow_with_the_silence(bench: Bench) -> None:
    bench.watch(KEY, oration_body())
    looks = []

    for minute in range(1, 500):
        bench.tick()
        looks += [minute] if bench.polled() else []

    gaps = [later - earlier for earlier, later in pairwise(looks)]
    assert {gap for gap, after in zip(gaps, looks, strict=False) if after < 15} == {1}
    assert set(gaps) <= {1, 2, 3, 4, 5, 6, 7, *range(8, 16)}
    assert gaps[-3:] == [15, 15, 15]
    assert max(gaps) == 15


def test_an_unchanged_look_reads_nothing_but_the_calendar(bench: Bench) -> None:
    bench.watch(KEY, oration_body())
    bench.tick()
    before = bench.aws.counts

    bench.tick()

    assert bench.aws.counts - before == {"query": 4, "update_item": 2}


def test_a_finished_job_settles_and_is_followed_no_more() -> None:
    bench = in_memory(connection=oration(settle=timedelta(hours=3)))
    bench.watch(KEY, oration_body(status="success"))

    bench.tick(3 * 60 + 20)
    looked = len(bench.polled())
    bench.tick(60)

    assert 12 <= looked <= 14
    assert bench.polled() == []
    assert not bench.head(KEY).watched
    assert len(bench.history(KEY)) == 1


@pytest.mark.promise(5)
def test_a_job_registered_when_it_had_ended_is_announced_once(bench: Bench) -> None:
    bench.watch(KEY, oration_body(status="success"))

    bench.tick(40)

    [event] = bench.events(KEY)
    assert event["reasons"] == ["first_seen", "state_changed"]
    assert (event["from"], event["to"]["state"], event["last_seen_at"]) == (None, "succeeded", None)


@pytest.mark.promise(7)
def test_a_job_that_ended_and_runs_again_is_reopened_and_looked_at_often(bench: Bench) -> None:
    bench.watch(KEY, oration_body(status="success"))
    bench.tick(60)
    bench.answer(KEY, oration_body(status="active"), oration_body(status="failed"))

    bench.tick(20)

    assert [event["reasons"] for event in bench.events(KEY)[1:]] == [["state_changed", "reopened"], ["state_changed"]]
    first, last = (read_iso(event["observed_at"]) for event in bench.events(KEY)[1:])
    assert last - first == MINUTE


@pytest.mark.promise(6)
@pytest.mark.parametrize("status", ["hibernating", None, 7, {"a": 1}, ""])
def test_an_unknown_word_is_recorded_and_looked_at_again(bench: Bench, status: object) -> None:
    bench.watch(KEY, oration_body() | {"status": status}, oration_body(status="success"))

    bench.tick(3)

    assert [event["to"]["state"] for event in bench.events(KEY)] == ["unknown", "succeeded"]
    assert not bench.events(KEY)[0]["to"]["terminal"]


@pytest.mark.promise(8)
@pytest.mark.parametrize("days", [-1, 1])
def test_a_vendor_whose_clock_is_wrong_hides_no_change(bench: Bench, days: int) -> None:
    odd = (START + timedelta(days=days)).isoformat()
    bench.watch(KEY, oration_body(updatedAt=START.isoformat()), oration_body(status="success", updatedAt=odd))

    bench.tick(2)

    assert [event["to"]["state"] for event in bench.events(KEY)] == ["running", "succeeded"]


@pytest.mark.promise(16)
@pytest.mark.parametrize(
    "answer",
    [
        Refused(404),
        Refused(500),
        Refused(302),
        Unreachable("no connection"),
        BadAnswer("a compressed answer cut off in the middle"),
        b"",
        b"<!doctype html><html></html>",
        b'{"id": "j1", "status": "succ',
        b"\xff\xfe{]",
        b'{"status": "success"}',
        b'{"id": "another", "status": "success"}',
        b"[" * 100_000,
        RuntimeError("nobody expected this"),
    ],
    ids=str,
)
def test_what_is_no_answer_leaves_the_state_untouched(bench: Bench, answer: Any) -> None:
    watch(bench, "well")
    bench.watch(KEY, oration_body(), answer)
    bench.tick()
    before = bench.head(KEY)

    assert bench.tick().outcome == Outcome.COMPLETED
    after = bench.head(KEY)
    assert after.row.failures == 1
    assert after.poll_error
    assert replace(after, row=None, slot=None, poll_error=None) == replace(before, row=None, slot=None)


@pytest.mark.promise(16)
def test_no_poll_error_shows_anything_of_the_answer(bench: Bench) -> None:
    watch(bench, "well")
    for name, body in {"a": b'{"canary', "b": b'{"id": "canary", "canary": 1}', "c": b'"canary"'}.items():
        bench.watch(oration_key(name), body)

    report = bench.tick()

    assert report.counts["failed"] == 3
    assert "canary" not in str(report.json_object())
    assert not any("canary" in (bench.head(oration_key(name)).poll_error or "") for name in "abc")


def test_failures_are_tried_again_ever_more_seldom(bench: Bench) -> None:
    watch(bench, "well")
    bench.watch(KEY, Refused(500))

    looks = []
    for minute in range(1, 62):
        bench.tick()
        looks += [minute] if KEY.id in bench.polled() else []

    assert [later - earlier for earlier, later in pairwise(looks)] == [1, 2, 4, 8, 15, 15, 15]
    assert bench.head(KEY).row.failures == 5


def test_failing_for_ever_stops_writing(bench: Bench) -> None:
    watch(bench, "well")
    bench.watch(KEY, Refused(500))
    bench.tick(40)
    before = len(bench.aws.writes(f"JOB#{KEY}"))

    bench.tick(300)

    assert bench.polled().count(KEY.id) >= 20
    assert len(bench.aws.writes(f"JOB#{KEY}")) == before


def test_an_answer_clears_the_failures(bench: Bench) -> None:
    watch(bench, "well")
    bench.watch(KEY, oration_body(), *[Refused(500)] * 3, oration_body())

    bench.tick(9)

    assert bench.head(KEY).row.failures == 0
    assert bench.head(KEY).poll_error is None
    assert bench.head(KEY).slot.rung == 1
    assert len(bench.history(KEY)) == 1


@pytest.mark.promise(2)
def test_the_gap_that_is_told_does_not_begin_before_the_answer_that_brought_the_last_version(bench: Bench) -> None:
    bench.watch(KEY, oration_body(), oration_body(status="success"))

    async def slow(request: Request, headers: dict[str, str], now: datetime) -> bytes:
        bench.now += timedelta(seconds=9)
        return await bench.fetch(request, headers, now)

    for _ in range(2):
        bench.now += MINUTE
        asyncio.run(bench.sweep().run(bench.now, slow, lambda: bench.now, bench.time_left))

    [first, second] = bench.events(KEY)
    assert first["observed_at"] == second["last_seen_at"] == "2026-06-08T12:01:09Z"
    assert second["observed_at"] == "2026-06-08T12:02:18Z"


def test_a_change_in_the_very_moment_of_the_last_one_is_recorded(bench: Bench) -> None:
    bench.watch(KEY, oration_body(), oration_body(status="success"))
    bench.now += MINUTE

    for minute in (0, 1):
        bench.run(bench.now + minute * MINUTE)

    assert [event["to"]["state"] for event in bench.events(KEY)] == ["running", "succeeded"]


@pytest.mark.promise(2)
def test_an_answer_that_is_being_recorded_when_its_job_is_unwatched_is_dropped(bench: Bench) -> None:
    bench.watch(KEY, oration_body(), oration_body(status="success"))
    bench.tick()

    def unwatch(call: Call) -> None:
        if call.operation == "transact_write_items" and bench.head(KEY).watched:
            bench.heads.unfollow(KEY, bench.now)

    bench.aws.plan = unwatch
    bench.tick(3)

    assert [event["to"]["state"] for event in bench.events(KEY)] == ["running"]
    assert not bench.head(KEY).watched


@pytest.mark.promise(2)
def test_a_change_behind_failures_is_seen_with_the_gap_it_had(bench: Bench) -> None:
    watch(bench, "well")
    bench.watch(KEY, oration_body(), oration_body(), *[Refused(500)] * 3, oration_body(status="success"))

    bench.tick(10)

    [_, event] = bench.events(KEY)
    assert event["last_seen_at"] == "2026-06-08T12:02:00Z"
    assert event["observed_at"] == "2026-06-08T12:10:00Z"


def test_a_missing_secret_is_tried_every_tick_and_written_once(bench: Bench) -> None:
    def missing(name: str) -> dict[str, str]:
        raise UnusableSecret(f"secret {name} is missing")

    bench.headers = missing
    bench.watch(KEY, oration_body())
    before = len(bench.aws.writes("JOB#"))
    bench.tick(20)

    assert len(bench.aws.writes("JOB#")) == before + 1
    assert bench.head(KEY).poll_error == "secret s is missing"
    bench.headers = lambda _: {"x-api-key": "k"}
    assert bench.tick().counts["changed"] == 1


def test_a_secret_is_read_once_a_sweep_however_many_jobs_wait_for_it(bench: Bench) -> None:
    read: list[str] = []
    bench.headers = lambda name: read.append(name) or {"x-api-key": "k"}
    watch(bench, "a b c d e f g h i j k l m n o p q r s t u v w x y z")

    bench.tick()

    assert read == ["s"]
    assert len(bench.asked) == 26


def test_a_secret_that_cannot_be_read_now_costs_its_own_scopes_only(bench: Bench) -> None:
    def headers(name: str) -> dict[str, str]:
        if name == "broken":
            raise throttle("GetSecretValue")
        return {"x-api-key": "k"}

    bench.headers = headers
    bench.connection = bench.connection.model_copy(update={"scope_secrets": {"other": "broken"}})
    watch(bench, "a b")
    bench.heads.follow(JobKey("oration", "job", "other", "c"), {}, bench.now)

    assert bench.tick().counts == {"due": 3, "changed": 2, "failed": 1, "put_off": 1}


@pytest.mark.promise(17)
@pytest.mark.parametrize(
    ("told", "minutes"),
    [
        (None, 1),
        ("0", 1),
        ("30", 1),
        ("150", 3),
        ("Mon, 08 Jun 2026 12:05:00 GMT", 4),
        ("Mon, 08 Jun 2020 12:05:00 GMT", 1),
        ("soon", 1),
        ("315360000", 60),
        ("9" * 500, 60),
        ("Mon, 08 Jun 2036 12:05:00 GMT", 60),
    ],
)
def test_a_throttled_connection_waits_as_told_and_then_looks_at_all(bench: Bench, told: str, minutes: int) -> None:
    one_by_one(bench)
    watch(bench, "a b c")
    bench.answer(oration_key("a"), Throttled(retry_after(told, START + MINUTE)), oration_body("a"))

    first = bench.tick()
    waiting = [bench.tick().outcome for _ in range(minutes - 1)]

    assert (first.outcome, bench.polled()) == (Outcome.THROTTLED, ["a"])
    assert set(waiting) <= {Outcome.WAITING}
    assert bench.connections.get("oration").completed is None
    assert bench.tick().outcome == Outcome.COMPLETED
    assert sorted(bench.polled()) == ["a", "b", "c"]


@pytest.mark.promise(17)
@pytest.mark.parametrize("error", [throttle(), lost(), Crash()], ids=repr)
@pytest.mark.parametrize("after", [False, True])
def test_a_vendor_that_wants_an_hour_gets_it_though_the_last_write_of_the_sweep_fails(
    bench: Bench, error: BaseException, after: bool
) -> None:
    watch(bench, "a b")
    bench.answer(oration_key("a"), Throttled(timedelta(hours=1)), oration_body("a"))
    last = lambda call: call.operation == "update_item" and "#lease_owner" in call.arguments["UpdateExpression"]  # noqa: E731
    bench.aws.plan = lambda call: Fault(error, after) if last(call) and not call.touches(":lease_owner") else None
    with suppress(ClientError, ReadTimeoutError, Crash):
        bench.tick()
    bench.aws.plan = lambda _: None
    bench.polled()

    reports = [bench.tick() for _ in range(60)]

    assert bench.polled() == ["a", "b"] or bench.polled() == []
    assert Outcome.COMPLETED not in {report.outcome for report in reports[:59]}
    assert reports[59].outcome == Outcome.COMPLETED


@pytest.mark.promise(17)
def test_a_throttled_job_is_no_failed_one(bench: Bench) -> None:
    bench.watch(KEY, oration_body(), Throttled(timedelta(seconds=30)))
    bench.tick()
    before = bench.head(KEY)

    bench.tick(5)

    assert bench.head(KEY) == before


def test_a_job_that_is_throttled_for_ever_starves_no_other(bench: Bench) -> None:
    one_by_one(bench)
    watch(bench, "a b c d e f")
    bench.answer(oration_key("c"), Throttled(timedelta(seconds=30)))

    bench.tick(4)

    assert set(bench.polled()) == set("abcdef")


@pytest.mark.parametrize("error", [throttle(), lost()])
def test_a_job_that_cannot_be_written_starves_no_other(bench: Bench, error: Exception) -> None:
    one_by_one(bench)
    watch(bench, "a b c d e f")
    bench.aws.plan = lambda call: Fault(error) if call.operation == "put_item" and call.touches("acme/b") else None
    bench.time_left = _enough_for(bench, 3)
    bench.tick(4)

    assert set(bench.polled()) == set("abcdef")
    assert [len(bench.history(oration_key(name))) for name in "abcdef"] == [1, 0, 1, 1, 1, 1]


def _enough_for(bench: Bench, jobs: int) -> Any:
    """Time for so many polls a sweep."""
    began: dict[datetime, int] = {}
    return lambda: jobs - (len(bench.asked) - began.setdefault(bench.now, len(bench.asked)))


def test_what_a_failed_write_would_have_said_is_said_later(bench: Bench) -> None:
    bench.watch(KEY, oration_body())
    bench.aws.plan = lambda call: Fault(throttle()) if call.operation == "transact_write_items" else None
    assert bench.tick().outcome == Outcome.COMPLETED
    assert bench.head(KEY).poll_error.startswith("the answer could not be recorded")

    bench.aws.plan = lambda _: None
    bench.tick()

    assert len(bench.history(KEY)) == 1


def test_a_table_that_takes_nothing_keeps_the_tick_open(bench: Bench) -> None:
    bench.watch(KEY, oration_body())
    writes = ("transact_write_items", "put_item")
    moves = lambda call: call.operation == "update_item" and "due_row" in str(call.arguments)  # noqa: E731
    bench.aws.plan = lambda call: Fault(throttle()) if call.operation in writes or moves(call) else None

    assert bench.tick().outcome == Outcome.UNFINISHED


def test_a_job_whose_name_fits_in_no_request_fails_alone(bench: Bench) -> None:
    watch(bench, "a b")
    bench.answers["/jobs/a"] = lambda: ValueError("Newline or carriage return detected in headers")

    report = bench.tick()

    assert report.outcome == Outcome.COMPLETED
    assert report.counts == {"due": 2, "changed": 1, "failed": 1, "put_off": 1}


def test_a_head_that_cannot_be_read_costs_its_own_job_only(bench: Bench) -> None:
    watch(bench, "a b")
    bench.tick()
    bench.aws.client.items["JOB#oration/job/acme/a", "HEAD"]["snapshot"] = {"S": "{"}
    for name in "ab":
        bench.answer(oration_key(name), oration_body(name, status="success"))

    bench.tick()

    assert bench.events(oration_key("b"))[-1]["to"]["state"] == "succeeded"


@pytest.mark.promise(13)
def test_a_sweep_stops_in_time_and_the_next_goes_on(bench: Bench) -> None:
    one_by_one(bench)
    watch(bench, "a b c d e f g")
    bench.time_left = _enough_for(bench, 3)

    reports = [(bench.tick().outcome, "".join(bench.polled())) for _ in range(3)]

    assert [polled for _, polled in reports] == ["abc", "def", "gab"]
    assert {outcome for outcome, _ in reports} == {Outcome.UNFINISHED}
    bench.time_left = lambda: 100.0
    assert bench.tick().outcome == Outcome.COMPLETED


@pytest.mark.promise(12)
def test_a_tick_that_comes_twice_is_swept_once(bench: Bench) -> None:
    bench.watch(KEY, oration_body())
    bench.tick()

    assert bench.run().outcome == Outcome.DONE
    assert bench.run(bench.now - 3 * MINUTE).outcome == Outcome.DONE
    assert len(bench.polled()) == 1


@pytest.mark.promise(12)
def test_missed_ticks_leave_no_job_out(bench: Bench) -> None:
    watch(bench, "a b c d e f g h i j k l m n o p")
    bench.tick(120)
    bench.polled()

    bench.miss(14)
    bench.tick()

    assert sorted(bench.polled()) == sorted("abcdefghijklmnop")


@pytest.mark.promise(12)
def test_two_sweeps_at_once_are_one_sweep(bench: Bench) -> None:
    bench.watch(KEY, oration_body())
    bench.now += MINUTE

    async def both() -> list[Outcome]:
        runs = (bench.sweep().run(bench.now, bench.fetch, lambda: bench.now, bench.time_left) for _ in range(2))
        return [report.outcome for report in await asyncio.gather(*runs)]

    assert sorted(asyncio.run(both())) in ([Outcome.COMPLETED, Outcome.LEASED], [Outcome.COMPLETED, Outcome.DONE])
    assert len(bench.polled()) == 1


@pytest.mark.promise(12)
def test_a_stale_holder_of_the_lease_that_wakes_up_spoils_nothing(bench: Bench) -> None:
    bench.watch(KEY, oration_body())
    bench.tick()
    late = bench.now + MINUTE

    async def sleeps(request: Request, headers: dict[str, str], now: datetime) -> bytes:
        bench.answer(KEY, oration_body(status="success"))
        bench.now = late + 2 * MINUTE
        await asyncio.to_thread(bench.run)
        return json.dumps(oration_body(status="retrying")).encode()

    bench.now = late
    report = asyncio.run(bench.sweep().run(late, sleeps, lambda: bench.now, bench.time_left))

    assert (report.outcome, report.counts["raced"]) == (Outcome.OVERTAKEN, 1)
    assert [event["to"]["state"] for event in bench.events(KEY)] == ["running", "succeeded"]
    assert bench.connections.get("oration").completed == int(bench.now.timestamp()) // 60


@pytest.mark.promise(12)
@pytest.mark.parametrize("killer", "cd")
def test_a_job_that_kills_its_sweep_starves_no_other(bench: Bench, killer: str) -> None:
    """The dead hold their lease for 70 seconds, so only every other minute is swept."""
    one_by_one(bench)
    watch(bench, "a b c d e f")
    bench.answer(oration_key(killer), Crash())

    for _ in range(60):
        with suppress(BaseExceptionGroup):
            bench.tick()

    assert [name for name in "abcdef" if not bench.history(oration_key(name))] == [killer]


@pytest.mark.promise(12)
@pytest.mark.parametrize(("early", "begins"), [(timedelta(milliseconds=1), False), (timedelta(), True)])
def test_a_lease_is_over_at_the_moment_it_names(bench: Bench, early: timedelta, begins: bool) -> None:
    until = START + timedelta(seconds=70)
    bench.connections.begin("oration", 1, "the dead", START, until)

    with nullcontext() if begins else pytest.raises(NotBegun):
        bench.connections.begin("oration", 2, "another", until - early, until + MINUTE)


@pytest.mark.promise(69)
@pytest.mark.parametrize("trouble", [Refused(500), Refused(401), Throttled(timedelta(seconds=30))], ids=str)
def test_a_vendor_that_was_never_swept_whole_is_ever_further_behind(bench: Bench, trouble: BaseException) -> None:
    watch(bench, "a b c")
    for name in "abc":
        bench.answer(oration_key(name), trouble)
    scopes = [oration_key("a"), JobKey("oration", "job", "other", "a")]
    bench.heads.follow(scopes[1], {}, bench.now)

    behind = [bench.tick().behind for _ in range(60)]

    assert behind == list(range(1, 61))


def test_a_connection_whose_first_sweep_completes_was_never_behind(bench: Bench) -> None:
    bench.miss(30)
    watch(bench, "a b c")

    assert [bench.tick().behind for _ in range(3)] == [0, 0, 0]


@pytest.mark.promise(12)
def test_the_lease_of_the_dead_runs_out(bench: Bench) -> None:
    watch(bench, "a b c")
    bench.connections.begin(
        "oration", int((bench.now + MINUTE).timestamp()) // 60, "the dead", bench.now, bench.now + timedelta(seconds=70)
    )

    assert [bench.tick().outcome for _ in range(2)] == [Outcome(Refusal.LEASED), Outcome.COMPLETED]
    assert len(bench.polled()) == 3


def test_an_unfollowed_job_is_asked_for_no_more_and_an_answer_on_its_way_is_dropped(bench: Bench) -> None:
    bench.watch(KEY, oration_body(), oration_body(status="success"))
    bench.tick()

    async def meanwhile(request: Request, headers: dict[str, str], now: datetime) -> bytes:
        bench.heads.unfollow(KEY, bench.now)
        return await bench.fetch(request, headers, now)

    bench.now += MINUTE
    asyncio.run(bench.sweep().run(bench.now, meanwhile, lambda: bench.now, bench.time_left))
    bench.tick(20)

    assert len(bench.polled()) == 2
    assert len(bench.history(KEY)) == 1


def test_a_vendor_kind_that_is_gone_fails_its_jobs_only(bench: Bench) -> None:
    watch(bench, "a")
    bench.heads.follow(JobKey("oration", "task", "acme", "b"), {}, bench.now)

    assert bench.tick().counts == {"due": 2, "changed": 1, "failed": 1, "put_off": 1}
    assert bench.head(JobKey("oration", "task", "acme", "b")).poll_error == "oration has no kind 'task'"


def test_a_connections_cadence_is_its_own() -> None:
    bench = in_memory(connection=oration(fresh=timedelta(minutes=2), settle=timedelta(minutes=30)))
    bench.watch(KEY, oration_body(), *[oration_body()] * 5, oration_body(status="success"))

    bench.tick(100)

    assert not bench.head(KEY).watched
    assert len(bench.history(KEY)) == 2


STEPS = [
    "tick",
    "tick",
    "tick",
    "miss",
    "fail",
    "throttle",
    "change",
    "change",
    "unwatch",
    "watch",
    "watch",
    "write fails",
]
steps = st.lists(st.sampled_from(STEPS), min_size=5, max_size=60)


@pytest.mark.long
@pytest.mark.promise(2)
@settings(max_examples=80, deadline=None)
@given(steps=steps)
def test_the_gap_that_is_told_is_never_smaller_than_the_true_one(steps: list[str]) -> None:
    life = Life()

    for step in steps:
        life.live(step)

    life.check()


class Life:
    """A job that changes at a whim between ticks, and the moments when its answers were truly read."""

    def __init__(self) -> None:
        self.bench = in_memory()
        self.words: Iterator[str] = iter(f"word-{n}" for n in count())
        self.answer: Any = oration_body(status=next(self.words))
        self.read_at: list[datetime] = []
        self.changes: list[datetime] = []
        self.bench.watch(KEY, self.answer)
        self.bench.answers["/jobs/j1"] = self._answer
        self.failing = ""

    def _answer(self) -> Any:
        if self.failing == "fail":
            return Refused(500)
        if self.failing == "throttle":
            return Throttled(timedelta(seconds=30))
        self.read_at.append(self.bench.now)
        return self.answer

    def live(self, step: str) -> None:
        if step == "miss":
            self.bench.miss()
            return
        if step == "change":
            self.answer = oration_body(status=next(self.words))
            self.changes.append(self.bench.now + timedelta(seconds=30))
        if step == "unwatch":
            self.bench.heads.unfollow(KEY, self.bench.now)
        if step == "watch":
            self.bench.heads.follow(KEY, {}, self.bench.now + timedelta(seconds=20))
        if step == "write fails":
            self.bench.aws.plan = lambda call: Fault(throttle()) if call.touches("JOB#") else None
        self.failing = step
        self.bench.tick(1 if step != "tick" else 3)
        self.bench.aws.plan = lambda _: None

    def check(self) -> None:
        """The first change since the event before happened after `last_seen_at`; until then the job was truly read."""
        events = self.bench.events(KEY)
        for told, event in pairwise(events):
            seen, observed = read_iso(event["last_seen_at"]), read_iso(event["observed_at"])
            first = min(change for change in self.changes if change > read_iso(told["observed_at"]))
            assert seen < first < observed
            assert seen <= max(read for read in self.read_at if read < first)
