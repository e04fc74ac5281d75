"""A vendor that brings no answers is told once, costs hardly anything, harms no job, and is told once to be back."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from hypothesis import given, settings
from hypothesis import strategies as st

from pollbridge.model.instant import MINUTE, epoch_minute, iso, read_iso
from pollbridge.polling.client import BadAnswer, Refused, Throttled, Unreachable
from pollbridge.polling.report import Outcome
from tests.kit.faults import Call, Fault, lost
from tests.kit.sweeping import START
from tests.kit.world import World, WorldBench, in_world, numbered

TROUBLES = [
    Unreachable("no connection"),
    Refused(500),
    Refused(503),
    BadAnswer("cut off"),
    b"<html>",
    b"",
    Refused(404),
]
JOBS = numbered(12)


def well(jobs: int = 12, **more: Any) -> WorldBench:
    """A connection whose jobs have been answered for, a minute after START."""
    bench = in_world(**more)
    bench.follow(*numbered(jobs))
    bench.tick()
    bench.world.taken()
    return bench


def broken(jobs: int = 12, **more: Any) -> WorldBench:
    """A connection that has just been told to be unreachable."""
    bench = well(jobs, **more)
    bench.world.fail(Refused(500))
    bench.tick(3)
    bench.world.taken()
    return bench


def quiet() -> WorldBench:
    """Three jobs that are looked at every fifteen minutes, none of them in the next one."""
    bench = in_world(fresh=MINUTE)
    bench.follow("a", "b", "c")
    bench.tick(60)
    while any(due_next(bench, name) for name in "abc"):
        bench.tick()
    bench.world.taken()
    return bench


def due_next(bench: WorldBench, name: str) -> bool:
    slot, tick = bench.head(bench.world.key(name)).slot, epoch_minute(bench.now) + 1
    return slot is not None and slot.last_due(tick) == tick


def kinds(bench: WorldBench) -> list[tuple[str, str | None, str]]:
    """What was told of the connection, in short."""
    return [(event["detail_type"], event["scope"], event["reason"]) for event in bench.troubles()]


UNREACHABLE = ("Vendor Unreachable", None, "unreachable")
RECOVERED = ("Vendor Recovered", None, "unreachable")


# Unreachable


@pytest.mark.promise(19)
@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
def test_the_third_tick_in_which_every_poll_failed_is_an_outage(trouble: Any) -> None:
    bench = well()
    bench.world.fail(trouble)

    bench.tick(2)
    assert bench.troubles() == []
    bench.tick()

    assert kinds(bench) == [UNREACHABLE]
    [event] = bench.troubles()
    assert event["since"] == iso(START + 2 * MINUTE)
    assert event["observed_at"] == iso(START + 4 * MINUTE)
    assert event["error"]
    assert event["told"]
    assert (event["vendor"], event["connection"], event["version"]) == ("mentionlab", "mentionlab", 1)


@pytest.mark.promise(19)
@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
def test_an_outage_leaves_every_job_as_it_was_and_completes_nothing(trouble: Any) -> None:
    bench = well()
    before, completed = bench.written(), bench.completed()
    bench.world.fail(trouble)

    reports = [bench.tick() for _ in range(30)]

    assert (bench.written(), bench.completed()) == (before, completed)
    assert Outcome.COMPLETED not in {report.outcome for report in reports}
    assert kinds(bench) == [UNREACHABLE]


@pytest.mark.promise(19)
def test_an_outage_names_the_vendors_error_and_shows_nothing_of_its_answers() -> None:
    bench = broken()
    garbled = well()
    garbled.world.fail(b'{"canary": "canary')
    garbled.tick(3)

    assert "HTTP 500" in bench.troubles()[0]["error"]
    assert "canary" not in str(garbled.troubles())


def test_a_vendor_that_never_answered_is_unreachable_too() -> None:
    bench = in_world()
    bench.follow(*JOBS)
    bench.world.fail(Unreachable("no connection"))

    bench.tick(5)

    assert kinds(bench) == [UNREACHABLE]
    assert bench.troubles()[0]["since"] == iso(START + MINUTE)


@pytest.mark.promise(19)
def test_two_bad_ticks_and_a_good_one_are_no_outage() -> None:
    bench = well()

    for _ in range(5):
        bench.world.fail(Refused(500))
        bench.tick(2)
        bench.world.heal()
        bench.tick()

    assert bench.troubles() == []
    assert bench.completed() == epoch_minute(bench.now)


@pytest.mark.promise(19)
@pytest.mark.parametrize("wait", [30, 200])
def test_throttling_and_waiting_neither_count_nor_begin_anew(wait: int) -> None:
    bench = well()
    bench.world.fail(Refused(500))
    bench.tick(2)
    bench.world.heal()
    bench.world.fail(Throttled(timedelta(seconds=wait)))
    bench.tick(1 + wait // 60)
    bench.world.heal()
    bench.world.fail(Refused(500))

    assert bench.troubles() == []
    bench.tick()

    assert kinds(bench) == [UNREACHABLE]
    assert bench.troubles()[0]["since"] == iso(START + 2 * MINUTE)


def test_throttling_alone_is_no_outage() -> None:
    bench = well()
    bench.world.fail(Throttled(timedelta(seconds=30)))

    bench.tick(10)

    assert bench.troubles() == []


def test_ticks_without_a_poll_neither_count_nor_begin_anew() -> None:
    bench = well(1)
    bench.world.fail(Refused(500))
    bench.tick(2)
    bench.heads.unfollow(bench.world.key("j00000"), bench.now)
    bench.tick(5)
    assert bench.troubles() == []
    bench.heads.follow(bench.world.key("j00000"), {}, bench.now)

    bench.tick()

    assert kinds(bench) == [UNREACHABLE]


# One bad job


@pytest.mark.promise(11)
@pytest.mark.parametrize("trouble", [Refused(500), Unreachable("no connection"), b"<html>"], ids=str)
def test_a_bad_job_among_healthy_ones_that_are_not_due_is_its_own_trouble(trouble: Any) -> None:
    bench = quiet()
    bench.follow("bad")
    bench.world.fail(trouble, what="bad")

    report = bench.tick()

    asked = bench.jobs_asked()
    assert asked.count("bad") == 1
    assert 1 <= len(asked) - 1 <= 3
    assert report.outcome == Outcome.COMPLETED
    assert bench.head(bench.world.key("bad")).row.failures == 1


def test_a_job_that_is_always_bad_backs_off_and_never_makes_an_outage() -> None:
    bench = quiet()
    bench.follow("bad")
    bench.world.fail(Refused(500), what="bad")

    looks = bench.looked("bad", 62)

    assert [later - earlier for earlier, later in pairwise(looks)] == [1, 2, 4, 8, 15, 15, 15]
    assert bench.troubles() == []


def test_few_bad_jobs_without_a_healthy_one_are_an_outage() -> None:
    bench = quiet()
    bench.follow("bad")
    bench.world.fail(Unreachable("no connection"))

    bench.tick(3)

    assert kinds(bench) == [UNREACHABLE]
    assert bench.head(bench.world.key("bad")).row.failures == 0


def test_failures_beside_answers_are_stored_job_by_job() -> None:
    bench = well()
    for name in JOBS[1:]:
        bench.world.fail(Refused(500), what=name)

    bench.tick(10)

    assert bench.troubles() == []
    assert {bench.head(bench.world.key(name)).row.failures for name in JOBS[1:]} == {4}


# Answers that say nothing of a job

INCONCLUSIVE = [Refused(status) for status in (204, 206, 301, 302, 400, 402, 405, 407, 418)]
inconclusive = pytest.mark.parametrize("trouble", INCONCLUSIVE, ids=str)


@pytest.mark.promise(19)
@inconclusive
@pytest.mark.parametrize("jobs", [2, 12])
def test_answers_that_say_nothing_of_any_job_are_an_outage_at_the_third_sweep(trouble: Refused, jobs: int) -> None:
    bench = well(jobs)
    before = bench.written()
    bench.world.fail(trouble)

    bench.tick(2)
    assert bench.troubles() == []
    bench.tick(120)

    assert kinds(bench) == [UNREACHABLE]
    assert bench.troubles()[0]["error"] == f"HTTP {trouble.status}"
    assert bench.written() == before


@pytest.mark.promise(19)
@inconclusive
@pytest.mark.parametrize("jobs", [1, 2, 12])
def test_answers_that_say_nothing_of_any_job_are_no_recovery(trouble: Refused, jobs: int) -> None:
    bench = broken(jobs)
    bench.world.heal()
    bench.world.fail(trouble)
    bench.tick(120)
    assert kinds(bench) == [UNREACHABLE]

    bench.world.heal()
    bench.tick(16)

    assert kinds(bench) == [UNREACHABLE, RECOVERED]


@inconclusive
def test_one_job_that_is_answered_for_with_nothing_is_its_own_trouble_also_when_it_is_alone(trouble: Refused) -> None:
    bench = well(1)
    bench.world.fail(trouble)

    bench.tick(40)

    head = bench.head(bench.world.key("j00000"))
    assert (head.row.failures, head.poll_error) == (5, f"HTTP {trouble.status}")
    assert bench.troubles() == []
    assert bench.completed() == epoch_minute(bench.now)


@pytest.mark.promise(11)
@inconclusive
def test_some_jobs_that_are_answered_for_with_nothing_beside_healthy_ones_are_no_outage(trouble: Refused) -> None:
    bench = quiet()
    bench.follow("bad", "worse")
    bench.world.fail(trouble, what="bad")
    bench.world.fail(trouble, what="worse")

    bench.tick(40)

    assert bench.troubles() == []
    assert {bench.head(bench.world.key(name)).row.failures for name in ("bad", "worse")} == {5}


def test_two_jobs_that_fail_in_different_ways_are_each_their_own_trouble() -> None:
    bench = well(2)
    bench.world.fail(Refused(400), what="j00000")
    bench.world.fail(Refused(402), what="j00001")

    bench.tick(40)

    assert bench.troubles() == []


@pytest.mark.promise(19)
@pytest.mark.parametrize("trouble", [Refused(500), Unreachable("no connection")], ids=str)
def test_a_vendor_that_fails_is_unreachable_though_only_one_job_is_followed(trouble: Any) -> None:
    bench = well(1)
    bench.world.fail(trouble)

    bench.tick(3)

    assert kinds(bench) == [UNREACHABLE]


# While it lasts


@pytest.mark.promise(19)
def test_an_unreachable_vendor_is_asked_for_three_jobs_a_tick_and_for_no_list() -> None:
    bench = broken(20, scopes=["p"])
    asked: list[set[str]] = []

    for _ in range(20):
        bench.tick()
        calls = bench.world.taken()
        assert 1 <= len(calls) <= 3
        assert not any(call.listing for call in calls)
        asked.append({call.what for call in calls})

    assert all(not now & then for now, then in pairwise(asked))
    assert set.union(*asked) == set(numbered(20))


@pytest.mark.promise(11)
def test_one_vendors_outage_is_nothing_to_another() -> None:
    down = broken()
    other = WorldBench(down.table, name="scale", connection=in_world("scale").connection, world=World("scale"))
    other.now = down.now
    other.follow("a")

    for bench in (down, other) * 3:
        bench.tick()

    assert other.state("a") == "running"
    assert other.completed() == epoch_minute(other.now)
    assert other.troubles() == []


# Recovery


@pytest.mark.promise(19)
def test_the_sweep_whose_probe_is_answered_goes_on_with_all_that_is_due() -> None:
    bench = broken()
    bench.tick(5)
    bench.world.taken()
    bench.world.heal()

    report = bench.tick()

    assert sorted(bench.jobs_asked()) == JOBS
    assert report.outcome == Outcome.COMPLETED
    assert bench.completed() == epoch_minute(bench.now)


@pytest.mark.promise(19)
def test_recovery_is_told_once_with_how_long_and_what_changed() -> None:
    bench = broken()
    bench.world.update("j00001", "j00002", state="succeeded")
    bench.world.update("j00003", state="failed")
    bench.tick(5)
    bench.world.heal()

    bench.tick(5)

    assert kinds(bench) == [UNREACHABLE, RECOVERED]
    outage, recovery = bench.troubles()
    assert recovery["since"] == outage["since"]
    assert recovery["duration_seconds"] == 8 * 60
    assert recovery["observed_at"] == iso(read_iso(outage["since"]) + 8 * MINUTE)
    changes = recovery["changes"]
    assert (changes["total"], changes["states"]) == (3, {"succeeded": 2, "failed": 1})
    assert sorted(changes["jobs"]) == [str(bench.world.key(name)) for name in JOBS[1:4]]
    assert (recovery["version"], recovery["told"]) == (2, True)


def test_recovery_names_twenty_of_many_changes() -> None:
    bench = broken(30)
    bench.world.update(*numbered(25), state="succeeded")
    bench.world.heal()

    bench.tick()

    changes = bench.troubles()[-1]["changes"]
    assert (changes["total"], len(set(changes["jobs"]))) == (25, 20)


@pytest.mark.promise(19)
def test_an_outage_in_which_nothing_changed_recovers_with_no_change() -> None:
    bench = broken()
    bench.world.heal()

    bench.tick()

    assert bench.troubles()[-1]["changes"] == {"total": 0, "states": {}, "jobs": []}


@pytest.mark.promise(19)
def test_recovery_is_told_when_all_that_fell_due_has_been_looked_at() -> None:
    bench = broken()
    bench.world.update(*JOBS, state="succeeded")
    bench.world.heal()
    bench.budget(5)
    seen: set[str] = set()

    while len(seen) < len(JOBS):
        assert len(kinds(bench)) == 1
        bench.tick()
        seen |= set(bench.jobs_asked())
        assert bench.now < START + timedelta(hours=1)
    bench.tick()

    assert kinds(bench) == [UNREACHABLE, RECOVERED]
    assert bench.troubles()[1]["changes"]["total"] == 12


@pytest.mark.promise(19)
def test_failing_again_before_all_is_looked_at_is_the_same_outage() -> None:
    bench = broken()
    bench.world.heal()
    bench.budget(5)
    bench.tick()
    bench.world.fail(Refused(500))
    bench.tick(6)
    bench.world.heal()

    bench.tick(6)

    assert kinds(bench) == [UNREACHABLE, RECOVERED]


@pytest.mark.promise(19)
def test_a_second_outage_is_told_as_the_first_was() -> None:
    bench = broken()
    bench.world.heal()
    bench.tick(3)
    bench.world.fail(Refused(500))
    bench.tick(4)
    bench.world.heal()

    bench.tick()

    assert kinds(bench) == [UNREACHABLE, RECOVERED] * 2
    assert [event["version"] for event in bench.troubles()] == [1, 2, 3, 4]
    assert len({event["id"] for event in bench.troubles()}) == 4


@pytest.mark.promise(3)
@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("event", [1, 2])
def test_a_write_that_breaks_tells_an_outage_and_its_end_once_all_the_same(event: int, after: bool) -> None:
    bench = well()
    broken: list[Call] = []

    def plan(call: Call) -> Fault | None:
        tells = call.operation == "transact_write_items" and call.touches(f"V#{event:010}")
        if not tells or not call.touches("CONNECTION#") or broken:
            return None
        broken.append(call)
        return Fault(lost(), after)

    bench.aws.plan = plan
    for trouble in ([Refused(500)], []):
        bench.world.troubles.clear()
        for error in trouble:
            bench.world.fail(error)
        for _ in range(6):
            with suppress(ReadTimeoutError):
                bench.tick()

    assert broken
    assert kinds(bench) == [UNREACHABLE, RECOVERED]


@pytest.mark.promise(2)
def test_no_change_of_an_outage_is_lost_and_the_gap_is_told() -> None:
    bench = broken()
    bench.tick(10)
    bench.world.update("j00000", state="succeeded")
    bench.world.heal()

    bench.tick()

    event = bench.told("j00000")[-1]
    assert event["to"]["state"] == "succeeded"
    assert event["last_seen_at"] == iso(START + MINUTE)


# Refused


@pytest.mark.promise(18)
@pytest.mark.parametrize(("status", "reason"), [(401, "unauthorized"), (403, "forbidden")])
@pytest.mark.parametrize("concurrency", [1, 20, 200])
@pytest.mark.parametrize("scopes", [(), ("p", "q")])
def test_a_scope_that_refuses_costs_two_calls_a_tick_and_no_other_scope_anything(
    status: int, reason: str, concurrency: int, scopes: tuple[str, ...]
) -> None:
    bench = in_world(scopes=scopes)
    bench.set(limits=bench.connection.limits.model_copy(update={"concurrency": concurrency}))
    bench.follow(*numbered(30), scope="p")
    bench.follow(*numbered(30, "k"), scope="q")
    bench.world.fail(Refused(status), scope="p")

    for _ in range(6):
        report = bench.tick()
        calls = bench.world.taken()
        assert 1 <= len([call for call in calls if call.scope == "p"]) <= 2
        assert report.outcome == Outcome.COMPLETED

    assert kinds(bench) == [("Vendor Unreachable", "p", reason)]
    assert {bench.state(name, "q") for name in numbered(30, "k")} == {"running"}


@pytest.mark.promise(18)
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("jobs", [1, 12])
@pytest.mark.parametrize("others", [0, 1])
def test_the_third_sweep_in_which_a_scope_was_refused_tells_it(status: int, jobs: int, others: int) -> None:
    bench = well(jobs)
    bench.follow(*numbered(others, "k"), scope="q")
    bench.tick()
    bench.world.fail(Refused(status), scope="p")

    reports = [bench.tick() for _ in range(3)]

    [event] = bench.troubles()
    assert (event["since"], event["observed_at"]) == (iso(bench.now - 2 * MINUTE), iso(bench.now))
    assert str(status) in event["error"]
    assert [report.troubles for report in reports] == [0, 0, 1]


@pytest.mark.promise(18)
@pytest.mark.promise(19)
@pytest.mark.parametrize("status", [401, 403, 503])
@pytest.mark.parametrize("where", [{}, {"scope": "p"}, {"what": "j00000"}], ids=str)
@pytest.mark.parametrize("sweeps", [1, 2])
def test_a_failure_that_passes_before_the_third_sweep_is_silent(status: int, where: Any, sweeps: int) -> None:
    bench = well()
    bench.follow("k", scope="q")
    bench.tick()

    for _ in range(3):
        bench.world.fail(Refused(status), **where)
        bench.tick(sweeps)
        bench.world.heal()
        bench.tick(5)

    assert bench.troubles() == []


@pytest.mark.promise(18)
@pytest.mark.parametrize("scopes", ["p", "pqr"])
def test_a_refusal_of_jobs_that_are_seldom_due_is_told_after_three_minutes_all_the_same(scopes: str) -> None:
    bench = in_world(fresh=MINUTE)
    for scope in scopes:
        bench.follow("j", scope=scope)
    bench.tick(60)
    bench.world.fail(Refused(401))
    while bench.connections.get("mentionlab").health.troubles == 0:
        bench.tick()

    [event] = bench.troubles()
    assert read_iso(event["observed_at"]) - read_iso(event["since"]) == 2 * MINUTE


@pytest.mark.promise(18)
def test_a_key_that_is_refused_in_a_large_and_a_small_scope_is_told_once_and_after_three_minutes() -> None:
    bench = in_world(fresh=MINUTE)
    bench.follow(*numbered(10), scope="p")
    bench.follow("k", scope="q")
    bench.tick(60)
    bench.miss(14)
    bench.world.fail(Refused(401))

    bench.tick(60)

    assert kinds(bench) == [("Vendor Unreachable", None, "unauthorized")]
    [event] = bench.troubles()
    assert read_iso(event["observed_at"]) - read_iso(event["since"]) == 2 * MINUTE


@pytest.mark.promise(18)
@pytest.mark.parametrize("vendor", ["mentionlab", "scale", "mintlify"])
def test_a_list_and_one_job_that_are_forbidden_refuse_no_other_job(vendor: str) -> None:
    bench = in_world(vendor, scopes=["p"], discovery=MINUTE)
    bench.follow(*JOBS)
    bench.world.fail(Refused(403), kind="list")
    bench.tick(2)
    bench.world.fail(Refused(403), what="j00000")

    bench.tick(60)
    bench.world.update(*JOBS[1:], state="succeeded")
    bench.tick(20)

    assert bench.troubles() == []
    assert {bench.state(name) for name in JOBS[1:]} == {"succeeded"}
    assert bench.head(bench.world.key("j00000")).row.failures == 5


@pytest.mark.promise(18)
def test_a_scope_that_refuses_lists_and_jobs_is_asked_twice_a_tick() -> None:
    bench = in_world(scopes=["p"])
    bench.follow(*JOBS)
    bench.world.fail(Refused(403))

    for _ in range(10):
        bench.tick()
        assert len(bench.world.taken()) <= 2

    assert kinds(bench) == [("Vendor Unreachable", "p", "forbidden")]


@pytest.mark.promise(18)
@pytest.mark.parametrize("vendor", ["mentionlab", "scale", "mintlify"])
def test_a_key_that_is_refused_where_no_job_is_followed_is_told_by_the_lists(vendor: str) -> None:
    bench = in_world(vendor, scopes=["p"], discovery=MINUTE)
    bench.world.fail(Refused(401))

    bench.tick(5)

    assert kinds(bench) == [("Vendor Unreachable", "p", "unauthorized")]


@pytest.mark.promise(18)
def test_after_a_refusal_the_secret_is_read_again_once_and_another_job_is_asked_for() -> None:
    bench = well()
    bench.follow("k", scope="q")
    bench.reads.clear()
    bench.world.fail(Refused(401), scope="p")

    bench.tick()

    first, second = (call.what for call in bench.world.taken() if call.scope == "p")
    assert first != second
    assert bench.reads == ["s", "s"]


def test_the_jobs_of_a_scope_that_refuses_keep_their_places_and_are_written_once() -> None:
    bench = well()
    bench.follow("k", scope="q")
    bench.tick()
    bench.world.fail(Refused(401), scope="p")
    before, written = [bench.head(bench.world.key(name)).slot for name in JOBS], bench.written()

    bench.tick(10)

    assert [bench.head(bench.world.key(name)).slot for name in JOBS] == before
    assert {bench.head(bench.world.key(name)).poll_error for name in JOBS} == {"HTTP 401"}
    assert bench.written() <= written + len(JOBS)


@pytest.mark.promise(18)
@pytest.mark.promise(19)
def test_a_scope_that_answers_again_is_told_once() -> None:
    bench = well()
    bench.follow("k", scope="q")
    bench.world.fail(Refused(401), scope="p")
    bench.tick(4)
    bench.world.update("j00005", state="succeeded")
    bench.world.heal()

    bench.tick(3)

    assert kinds(bench) == [("Vendor Unreachable", "p", "unauthorized"), ("Vendor Recovered", "p", "unauthorized")]
    assert bench.troubles()[1]["duration_seconds"] == 4 * 60
    event = bench.told("j00005")[-1]
    assert (event["to"]["state"], event["last_seen_at"]) == ("succeeded", iso(START + MINUTE))


@pytest.mark.promise(18)
def test_every_job_of_a_scope_that_answers_again_is_looked_at_when_it_is_due() -> None:
    bench = well()
    bench.follow("k", scope="q")
    bench.world.fail(Refused(401), scope="p")
    bench.tick(4)
    bench.world.heal()
    bench.world.taken()

    bench.tick()

    assert sorted(bench.jobs_asked()) == [*JOBS, "k"]


@pytest.mark.promise(18)
def test_when_all_scopes_refuse_it_is_one_trouble_of_the_connection() -> None:
    bench = in_world()
    for scope in "pqr":
        bench.follow(*numbered(5), scope=scope)
    bench.world.fail(Refused(401))

    bench.tick(5)

    assert kinds(bench) == [("Vendor Unreachable", None, "unauthorized")]
    assert all(len([call for call in bench.world.calls if call.scope == scope]) <= 10 for scope in "pqr")


@pytest.mark.promise(18)
def test_when_all_scopes_answer_again_it_is_one_recovery_of_the_connection() -> None:
    bench = in_world()
    for scope in "pqr":
        bench.follow(*numbered(5), scope=scope)
    bench.world.fail(Refused(401))
    bench.tick(5)
    bench.world.heal()

    bench.tick(3)

    assert kinds(bench) == [("Vendor Unreachable", None, "unauthorized"), ("Vendor Recovered", None, "unauthorized")]
    assert {bench.state(name, scope) for name in numbered(5) for scope in "pqr"} == {"running"}


@pytest.mark.promise(18)
@pytest.mark.parametrize("status", [401, 403])
def test_one_job_that_is_refused_among_answers_is_its_own_failure(status: int) -> None:
    bench = well()
    bench.world.fail(Refused(status), what="j00000")

    for _ in range(20):
        report = bench.tick()
        assert report.outcome == Outcome.COMPLETED

    assert bench.troubles() == []
    assert bench.head(bench.world.key("j00000")).row.failures == 5
    assert {bench.head(bench.world.key(name)).row.failures for name in JOBS[1:]} == {0}


@pytest.mark.promise(18)
@pytest.mark.parametrize("status", [401, 403])
def test_one_job_that_is_refused_is_its_own_failure_though_no_other_is_due(status: int) -> None:
    bench = quiet()
    bench.follow("bad")
    bench.world.fail(Refused(status), what="bad")

    bench.tick(40)

    assert bench.troubles() == []


@pytest.mark.promise(18)
@pytest.mark.parametrize("concurrency", [1, 20])
@pytest.mark.parametrize("scopes", [(), ("p",)])
def test_a_secret_that_was_rotated_costs_nobody_a_poll(concurrency: int, scopes: tuple[str, ...]) -> None:
    bench = well(30, scopes=scopes)
    bench.set(limits=bench.connection.limits.model_copy(update={"concurrency": concurrency}))
    bench.reads.clear()
    bench.world.update(*numbered(30), state="succeeded")
    bench.world.fail(Refused(401), secret="k")
    # What the first read brings is no longer true when it is used.
    bench.world.before = lambda _: bench.secrets.update(s="new")

    report = bench.tick()

    assert {bench.state(name) for name in numbered(30)} == {"succeeded"}
    assert report.outcome == Outcome.COMPLETED
    assert bench.troubles() == []
    assert bench.reads == ["s", "s"]


@pytest.mark.promise(18)
def test_a_scope_with_a_secret_of_its_own_is_refused_alone() -> None:
    bench = in_world()
    bench.set(scope_secrets={"q": "s2"})
    bench.secrets["s2"] = "stale"
    bench.follow("a", "b", scope="p")
    bench.follow("c", "d", scope="q")
    bench.world.fail(Refused(401), secret="stale")

    bench.tick()
    assert sorted(bench.reads) == ["s", "s2", "s2"]
    bench.tick(2)

    assert kinds(bench) == [("Vendor Unreachable", "q", "unauthorized")]
    assert bench.state("a", "p") == "running"


# No credentials


@pytest.mark.promise(19)
def test_a_missing_secret_asks_nothing_and_is_told_at_the_third_tick() -> None:
    bench = in_world(scopes=["p"])
    bench.follow(*JOBS)
    del bench.secrets["s"]

    bench.tick(2)
    assert bench.troubles() == []
    bench.tick(5)

    assert bench.world.calls == []
    assert [(event["detail_type"], event["reason"]) for event in bench.troubles()] == [
        ("Vendor Unreachable", "no_credentials")
    ]
    assert bench.troubles()[0]["since"] == iso(START + MINUTE)


@pytest.mark.parametrize("ticks", [1, 2, 7])
def test_a_secret_that_was_set_counts_from_the_next_tick(ticks: int) -> None:
    bench = in_world()
    bench.follow(*JOBS)
    del bench.secrets["s"]
    bench.tick(ticks)
    bench.secrets["s"] = "k"

    bench.tick()

    assert {bench.state(name) for name in JOBS} == {"running"}
    told = [event["detail_type"] for event in bench.troubles()]
    assert told == (["Vendor Unreachable", "Vendor Recovered"] if ticks > 2 else [])


def test_a_missing_secret_is_looked_for_once_a_tick() -> None:
    bench = in_world()
    bench.follow(*JOBS)
    del bench.secrets["s"]

    bench.tick(10)

    assert bench.reads == ["s"] * 10


@pytest.mark.promise(11)
def test_a_scope_whose_secret_is_missing_delays_no_other() -> None:
    bench = in_world()
    bench.set(scope_secrets={"q": "s2"})
    bench.follow(*JOBS, scope="p")
    bench.follow("c", scope="q")

    bench.tick(6)

    assert {bench.state(name, "p") for name in JOBS} == {"running"}
    assert not any(call.scope == "q" for call in bench.world.calls)
    assert len(bench.troubles()) == 1


# Whatever comes

CONDITIONS = {
    "well": [],
    "down": [(Refused(500), {})],
    "p refuses": [(Refused(401), {"scope": "p"})],
    "q refuses": [(Refused(403), {"scope": "q"})],
    "both refuse": [(Refused(401), {})],
    "p is down": [(Unreachable("no connection"), {"scope": "p"})],
    "p refuses, q is down": [(Refused(401), {"scope": "p"}), (Refused(502), {"scope": "q"})],
    "throttled": [(Throttled(timedelta(seconds=90)), {})],
    "lists refuse": [(Refused(403), {"kind": "list"})],
}
conditions = st.lists(st.tuples(st.sampled_from(sorted(CONDITIONS)), st.integers(1, 5)), min_size=1, max_size=12)


@pytest.mark.long
@pytest.mark.promise(18)
@pytest.mark.promise(19)
@settings(deadline=None, max_examples=30)
@given(conditions=conditions, budget=st.sampled_from([None, 5]), scopes=st.sampled_from([(), ("p",), ("p", "q")]))
def test_what_is_told_to_be_in_trouble_is_told_to_be_back_and_each_is_told_once(
    conditions: list[tuple[str, int]], budget: int | None, scopes: tuple[str, ...]
) -> None:
    bench = in_world(scopes=scopes)
    bench.follow(*numbered(4), scope="p")
    bench.follow(*numbered(4), scope="q")
    bench.budget(budget)
    for condition, ticks in [*conditions, ("well", 12)]:
        bench.world.heal()
        for error, where in CONDITIONS[condition]:
            bench.world.fail(error, **where)
        bench.tick(ticks)

    for scope in (None, "p", "q"):
        told = [event["detail_type"] for event in bench.troubles() if event["scope"] == scope]
        assert told == ["Vendor Unreachable", "Vendor Recovered"] * (len(told) // 2)
    assert {bench.state(name, scope) for name in numbered(4) for scope in "pq"} == {"running"}
    assert bench.tick().troubles == 0


@pytest.mark.promise(19)
@settings(deadline=None, max_examples=20)
@given(weather=st.lists(st.sampled_from(["well", "down", "throttled"]), max_size=25))
def test_an_outage_has_three_bad_ticks_behind_it_and_no_good_one_between(weather: list[str]) -> None:
    bench = well(3)
    bad, expected = 0, []
    for day in weather:
        bench.world.heal()
        for error, where in CONDITIONS[day]:
            bench.world.fail(error, **where)
        if bench.tick().outcome == Outcome.WAITING or day == "throttled" or not bench.world.taken():
            continue
        bad = bad + 1 if day == "down" else 0
        if bad == 3:
            expected.append(iso(bench.now))

    told = [event["observed_at"] for event in bench.troubles() if event["detail_type"] == "Vendor Unreachable"]
    assert told == expected
