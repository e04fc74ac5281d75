"""A job is lost when its vendor had known it and denied it three times; one that is silent for long expires."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pollbridge.model.instant import MINUTE, read_iso
from pollbridge.polling.client import Refused, Unreachable
from tests.kit.world import WorldBench, in_world, numbered

HOUR = timedelta(hours=1)
GONE = Refused(404)
gone = pytest.mark.parametrize("status", [404, 410])
NEIGHBOURS = numbered(4, "n")


def among_neighbours(**more: Any) -> WorldBench:
    """A job `j` that has been answered for, beside others of its scope."""
    bench = in_world(**more)
    bench.follow("j", *NEIGHBOURS)
    bench.tick()
    bench.world.taken()
    return bench


def lost(**more: Any) -> WorldBench:
    """Where the job `j` has just been told to be lost."""
    bench = among_neighbours(**more)
    bench.world.fail(GONE, what="j")
    ticks_until_lost(bench)
    return bench


def ticks_until_lost(bench: WorldBench) -> int:
    for tick in range(1, 60):
        bench.tick()
        if bench.told("j")[-1]["detail_type"] == "Job Lost":
            bench.world.taken()
            return tick
    raise AssertionError("never lost")


def lost_events(bench: WorldBench, name: str = "j") -> list[dict[str, Any]]:
    return [event for event in bench.told(name) if event["detail_type"] == "Job Lost"]


# Lost


@pytest.mark.promise(9)
def test_three_denials_in_time_are_a_loss_that_is_told_once() -> None:
    bench = lost()

    bench.tick(60)

    [event] = lost_events(bench)
    assert event["reasons"] == ["lost"]
    assert event["from"] == {"state": "running", "vendor_status": "processing"}
    assert event["to"] == {"state": "running", "vendor_status": "processing", "terminal": False, "lost": True}
    assert bench.head(bench.world.key("j")).lost
    assert bench.state("j") == "running"


@pytest.mark.promise(9)
def test_a_loss_takes_three_denials_two_minutes_apart() -> None:
    bench = lost()

    told = read_iso(lost_events(bench)[0]["observed_at"])
    seen = read_iso(lost_events(bench)[0]["last_seen_at"])
    assert told - seen >= 5 * MINUTE
    assert told - seen <= 20 * MINUTE


@pytest.mark.promise(9)
def test_a_job_that_is_alone_can_be_lost_too() -> None:
    bench = in_world()
    bench.follow("j")
    bench.tick()
    bench.world.fail(GONE)

    ticks_until_lost(bench)

    assert len(lost_events(bench)) == 1
    assert bench.troubles() == []


@pytest.mark.promise(9)
def test_a_finished_job_can_be_lost_and_keeps_its_outcome() -> None:
    bench = among_neighbours()
    bench.world.update("j", state="succeeded")
    bench.tick(2)
    bench.world.fail(GONE, what="j")

    bench.tick(120)

    [event] = lost_events(bench)
    assert (event["to"]["state"], event["to"]["terminal"], event["to"]["lost"]) == ("succeeded", True, True)


@pytest.mark.promise(9)
def test_a_young_job_that_was_never_answered_for_is_not_lost() -> None:
    bench = among_neighbours()
    bench.world.fail(GONE, what="young")
    bench.follow("young", state="pending")
    bench.miss(22 * 60)

    bench.tick(90)

    assert bench.recorded("young") == []
    assert bench.followed("young")


@pytest.mark.promise(9)
def test_a_young_job_that_is_answered_for_at_last_is_announced_as_any_other() -> None:
    bench = among_neighbours()
    bench.world.fail(GONE, what="young")
    bench.follow("young", state="pending")
    bench.tick(60)
    bench.world.heal()

    bench.tick(16)

    assert bench.reasons("young") == [["first_seen"]]


@pytest.mark.promise(9)
def test_a_job_registered_a_day_ago_and_never_answered_for_is_lost() -> None:
    bench = among_neighbours()
    bench.world.fail(GONE, what="old")
    bench.follow("old")
    bench.miss(24 * 60 + 1)

    bench.tick(60)

    [event] = bench.told("old")
    assert (event["detail_type"], event["reasons"], event["from"]) == ("Job Lost", ["lost"], None)
    assert event["to"] == {"state": "unknown", "vendor_status": None, "terminal": False, "lost": True}


@pytest.mark.promise(9)
def test_an_answer_in_between_starts_the_count_anew() -> None:
    needed = ticks_until_lost(among_denied())
    bench = among_denied()
    bench.tick(needed - 1)
    bench.world.heal()
    bench.tick(16)
    bench.world.fail(GONE, what="j")

    bench.tick(needed - 1)

    assert lost_events(bench) == []
    bench.tick(16)
    assert len(lost_events(bench)) == 1


def among_denied() -> WorldBench:
    bench = among_neighbours()
    bench.world.fail(GONE, what="j")
    return bench


@pytest.mark.promise(9)
@pytest.mark.parametrize(
    "trouble", [Refused(500), Refused(400), Refused(302), b"<html>", b'{"id": "another"}'], ids=str
)
def test_other_failures_lose_no_job(trouble: Any) -> None:
    bench = among_neighbours()
    bench.world.fail(trouble, what="j")

    bench.tick(120)

    assert lost_events(bench) == []


@pytest.mark.promise(9)
@gone
def test_a_job_that_is_gone_is_lost(status: int) -> None:
    bench = among_neighbours()
    bench.world.fail(Refused(status), what="j")

    ticks_until_lost(bench)

    assert bench.reasons("j") == [["first_seen"], ["lost"]]


INTERRUPTIONS = [
    Refused(500),
    Refused(400),
    Refused(401),
    b"<html>",
    b'{"id": "another"}',
    Unreachable("no connection"),
]


@pytest.mark.promise(9)
@pytest.mark.parametrize("neighbours", [0, 4])
@pytest.mark.parametrize("trouble", INTERRUPTIONS, ids=str)
def test_denials_with_other_failures_in_between_are_not_in_a_row(trouble: Any, neighbours: int) -> None:
    bench = in_world()
    bench.follow("j", *numbered(neighbours, "n"))
    bench.tick()
    for _ in range(4):
        asked_until(bench, GONE)
        asked_until(bench, GONE)
        asked_until(bench, trouble)

    assert lost_events(bench) == []
    for _ in range(3):
        asked_until(bench, GONE)
    assert len(lost_events(bench)) == 1


def asked_until(bench: WorldBench, trouble: Any) -> None:
    """Tick until the job is asked for again, and fails in that way; two minutes at least after the last time."""
    bench.world.heal()
    bench.world.fail(trouble, what="j")
    bench.miss()
    bench.world.taken()
    while "j" not in bench.jobs_asked():
        bench.tick()


@pytest.mark.promise(9)
def test_denials_before_a_job_was_unwatched_are_not_counted_after_it_is_watched_again() -> None:
    needed = ticks_until_lost(among_denied())
    bench = among_denied()
    bench.tick(needed - 1)
    bench.heads.unfollow(bench.world.key("j"), bench.now)
    bench.heads.follow(bench.world.key("j"), {}, bench.now)

    bench.tick(needed - 1)

    assert lost_events(bench) == []
    bench.tick(16)
    assert len(lost_events(bench)) == 1


@pytest.mark.promise(9)
def test_denials_exactly_two_minutes_apart_count() -> None:
    bench = among_denied()

    for _ in range(2):
        bench.tick()
        bench.miss()
    assert lost_events(bench) == []
    bench.tick()

    assert len(lost_events(bench)) == 1


@pytest.mark.promise(9)
@pytest.mark.parametrize(("jobs", "gone"), [(4, 2), (6, 3), (20, 10), (92, 12)])
def test_when_half_of_a_scope_is_deleted_and_no_more_all_of_it_is_lost(jobs: int, gone: int) -> None:
    bench = in_world()
    bench.follow(*numbered(jobs))
    bench.tick()
    bench.world.delete(*numbered(gone))

    bench.tick(60)

    assert [name for name in numbered(jobs) if lost_events(bench, name)] == numbered(gone)
    assert bench.troubles() == []


@pytest.mark.long
@pytest.mark.promise(9)
@pytest.mark.parametrize(
    ("deleted", "name"), [(100, "first"), (150, "first"), (150, "last"), (150, "scattered"), (500, "scattered")]
)
def test_a_group_that_is_deleted_together_is_lost_to_the_last(name: str, deleted: int) -> None:
    jobs = numbered(1150)
    bench = in_world(fresh=MINUTE, settle=timedelta(days=60))
    bench.follow(*jobs)
    bench.tick(60)
    group = {"first": jobs[:deleted], "last": jobs[-deleted:], "scattered": jobs[:: 1150 // deleted][:deleted]}[name]
    bench.world.delete(*group)

    bench.tick(90)

    assert [job for job in jobs if lost_events(bench, job)] == group
    assert bench.troubles() == []


@pytest.mark.long
@pytest.mark.promise(9)
@pytest.mark.parametrize("name", ["first", "scattered"])
def test_when_more_than_half_of_a_large_scope_is_denied_nothing_is_lost(name: str) -> None:
    jobs = numbered(600)
    bench = in_world(fresh=MINUTE)
    bench.follow(*jobs)
    bench.tick(60)
    group = {
        "first": jobs[:400],
        "last": jobs[-400:],
        "scattered": [job for job in jobs if not job.endswith(("0", "5"))],
    }
    bench.world.delete(*group[name])

    bench.tick(90)

    assert [job for job in jobs if lost_events(bench, job)] == []


@pytest.mark.promise(9)
def test_jobs_that_were_lost_before_hide_no_loss_and_are_no_outage() -> None:
    bench = in_world()
    bench.follow(*numbered(7))
    bench.tick()
    for group in (["j00000", "j00001", "j00002"], ["j00003", "j00004"], ["j00005"], ["j00006"]):
        bench.world.delete(*group)
        for _ in range(6):
            # All are due at once, those that were lost before as well.
            bench.miss(14)
            bench.tick()

    assert [len(lost_events(bench, name)) for name in numbered(7)] == [1] * 7
    assert bench.troubles() == []


@pytest.mark.parametrize("trouble", [Refused(400), Refused(403), b"<html>"], ids=str)
def test_a_job_that_has_ended_is_looked_at_no_more_once_it_has_settled_though_its_polls_fail(trouble: Any) -> None:
    bench = in_world(settle=HOUR)
    bench.follow("j", "n")
    bench.world.update("j", state="succeeded")
    bench.tick(2)
    bench.world.fail(trouble, what="j")

    bench.tick(90)

    assert not bench.followed("j")
    assert bench.reasons("j") == [["first_seen", "state_changed"]]


@pytest.mark.promise(9)
@pytest.mark.parametrize("gone", [3, 4, 5])
def test_when_most_of_a_scope_is_denied_nothing_is_lost(gone: int) -> None:
    bench = in_world()
    jobs = numbered(5)
    bench.follow(*jobs)
    bench.tick()
    for name in jobs[:gone]:
        bench.world.fail(GONE, what=name)

    bench.tick(90)

    assert [name for name in jobs if lost_events(bench, name)] == []
    assert all(bench.followed(name) for name in jobs)


@pytest.mark.promise(9)
def test_after_a_mass_denial_all_goes_on_as_before() -> None:
    bench = in_world()
    bench.follow(*numbered(12))
    bench.tick()
    bench.world.fail(GONE, kind="job")
    bench.tick(30)
    bench.world.heal()

    bench.tick(16)

    assert all(bench.reasons(name) == [["first_seen"]] for name in numbered(12))


@pytest.mark.promise(9)
def test_a_denied_scope_hides_no_loss_in_another() -> None:
    bench = among_neighbours()
    bench.follow(*numbered(5), scope="q")
    bench.tick()
    bench.world.fail(GONE, scope="q")
    bench.world.fail(GONE, what="j")

    bench.tick(60)

    assert len(lost_events(bench)) == 1
    assert not any(event["to"]["lost"] for name in numbered(5) for event in bench.told(name, "q"))


# What becomes of a lost job


def test_a_lost_job_is_looked_at_every_fifteen_minutes_while_it_settles_and_then_no_more() -> None:
    bench = lost(settle=2 * HOUR)

    looks = bench.looked("j", 4 * 60)

    assert {later - earlier for earlier, later in pairwise(looks)} == {15}
    assert 7 <= len(looks) <= 9
    assert not bench.followed("j")
    assert len(lost_events(bench)) == 1


@pytest.mark.parametrize("state", ["running", "succeeded"])
def test_a_lost_job_that_answers_again_is_found(state: str) -> None:
    bench = lost()
    bench.world.heal()
    bench.world.update("j", state=state)

    bench.tick(16)

    event = bench.told("j")[-1]
    assert event["detail_type"] == "Job State Changed"
    assert "found" in event["reasons"]
    assert (event["to"]["state"], event["to"]["lost"]) == (state, False)
    assert not bench.head(bench.world.key("j")).lost


def test_a_job_that_is_found_in_its_old_state_is_just_found() -> None:
    bench = lost()
    bench.world.heal()

    bench.tick(40)

    assert bench.reasons("j") == [["first_seen"], ["lost"], ["found"]]


def test_a_job_that_was_found_is_followed_as_before_and_can_be_lost_again() -> None:
    bench = lost()
    bench.world.heal()
    while bench.head(bench.world.key("j")).lost:
        bench.tick()
    assert len(bench.looked("j", 5)) == 5
    bench.world.fail(GONE, what="j")

    bench.tick(60)

    assert bench.reasons("j") == [["first_seen"], ["lost"], ["found"], ["lost"]]


def test_a_job_that_is_registered_again_after_its_loss_is_looked_at_again() -> None:
    bench = lost(settle=HOUR)
    bench.tick(90)
    bench.world.heal()
    bench.heads.follow(bench.world.key("j"), {}, bench.now)

    bench.tick(2)

    assert bench.told("j")[-1]["to"]["lost"] is False
    assert bench.followed("j")


@pytest.mark.promise(9)
@settings(deadline=None, max_examples=20)
@given(answers=st.lists(st.booleans(), min_size=5, max_size=60))
def test_whatever_the_answers_a_loss_has_three_denials_in_a_row_behind_it(answers: list[bool]) -> None:
    bench = among_neighbours()
    denied = 0

    for there in answers:
        bench.world.heal()
        if not there:
            bench.world.fail(GONE, what="j")
        bench.tick()
        asked = bench.jobs_asked().count("j")
        denied = 0 if asked and there else denied + asked
        assert denied >= 3 or not bench.head(bench.world.key("j")).lost


# Expiry


def expiring(*, trouble: Any = None) -> WorldBench:
    """A job `j` that has stayed as it is for longer than three hours, beside one that hasn't."""
    bench = in_world(expire=3 * HOUR)
    bench.follow("j", "busy")
    for hour in range(5):
        bench.world.update("busy", state="pending" if hour % 2 else "running")
        bench.tick(60)
        if trouble:
            bench.world.fail(trouble, what="j")
    return bench


@pytest.mark.parametrize("trouble", [None, Refused(500), b"<html>"], ids=str)
def test_a_job_with_nothing_new_for_long_is_told_once_and_followed_no_more(trouble: Any) -> None:
    bench = expiring(trouble=trouble)

    [first, event] = bench.told("j")
    assert first["reasons"] == ["first_seen"]
    assert (event["detail_type"], event["reasons"]) == ("Job Lost", ["expired"])
    assert event["to"] == {"state": "running", "vendor_status": "processing", "terminal": False, "lost": False}
    assert read_iso(event["observed_at"]) - read_iso(first["observed_at"]) >= 3 * HOUR
    assert not bench.followed("j")
    assert bench.followed("busy")


@pytest.mark.long
def test_an_expired_job_is_asked_for_no_more() -> None:
    bench = expiring()
    bench.world.taken()

    bench.tick(30)

    assert "j" not in bench.jobs_asked()
    assert len(bench.told("j")) == 2


@pytest.mark.long
def test_a_job_that_was_never_answered_for_expires_too() -> None:
    bench = in_world(expire=3 * HOUR)
    bench.world.fail(Refused(500), what="j")
    bench.follow("j", "n")

    for hour in range(4):
        bench.world.update("n", state="pending" if hour % 2 else "running")
        bench.tick(60)

    [event] = bench.told("j")
    assert (event["reasons"], event["from"], event["to"]["state"]) == (["expired"], None, "unknown")
    assert not bench.followed("j")


@pytest.mark.long
def test_an_expired_job_that_is_registered_again_has_its_whole_time_again() -> None:
    bench = expiring()
    bench.heads.follow(bench.world.key("j"), {}, bench.now)

    bench.tick(60)

    assert bench.followed("j")
    assert bench.reasons("j") == [["first_seen"], ["expired"]]


def test_a_job_that_has_ended_settles_and_does_not_expire() -> None:
    bench = in_world(expire=HOUR, settle=3 * HOUR)
    bench.follow("j", state="succeeded")

    bench.tick(2 * 60)

    assert bench.reasons("j") == [["first_seen", "state_changed"]]
    assert bench.followed("j")


def test_unless_told_otherwise_a_job_expires_after_thirty_days() -> None:
    bench = in_world()
    bench.follow("j")
    bench.tick()
    bench.miss(30 * 24 * 60 - 30)
    bench.tick(15)
    assert bench.followed("j")

    bench.tick(60)

    assert bench.reasons("j") == [["first_seen"], ["expired"]]
