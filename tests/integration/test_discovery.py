"""The vendor's lists register new jobs: those of a scope's first whole pass silently, all later ones with an event."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from pollbridge.model.instant import MINUTE, epoch_minute
from pollbridge.polling.client import Refused, Unreachable
from pollbridge.polling.report import Outcome
from tests.kit.faults import Crash, Fault, throttle
from tests.kit.sweeping import START
from tests.kit.world import Job, WorldBench, in_world, numbered

pytestmark = pytest.mark.long

VENDORS = ["mentionlab", "scale", "mintlify"]
vendors = pytest.mark.parametrize("vendor", VENDORS)
ROUND = 6
"""Ticks in which a discovery surely comes round."""


def known(vendor: str = "mentionlab", jobs: int = 3, **more: Any) -> WorldBench:
    """A connection whose one scope has been discovered."""
    bench = in_world(vendor, scopes=["p"], **more)
    bench.world.add(*numbered(jobs), at=START - timedelta(days=1))
    bench.tick()
    bench.world.taken()
    return bench


def lists(bench: WorldBench) -> int:
    """The pages that were asked for since the last time."""
    return len([call for call in bench.world.taken() if call.listing])


# The first pass


@pytest.mark.promise(5)
@vendors
def test_the_first_discovery_records_what_it_finds_and_tells_nobody(vendor: str) -> None:
    bench = known(vendor)

    for name in numbered(3):
        [event] = bench.recorded(name)
        assert (event["reasons"], event["to"]["state"], event["told"]) == (["first_seen"], "running", False)
        assert bench.followed(name)


@pytest.mark.promise(5)
@vendors
def test_a_thousand_finished_jobs_notify_nobody(vendor: str) -> None:
    bench = in_world(vendor, scopes=["p"])
    bench.world.add(*numbered(1000), state="succeeded", at=START - timedelta(days=1))

    bench.tick(ROUND)

    assert len([name for name in numbered(1000) if bench.state(name) == "succeeded"]) == 1000
    assert not any(bench.told(name) for name in numbered(1000))
    assert not any("unpublished" in item for item in bench.aws.client.items.values())


@vendors
def test_an_entry_of_the_list_is_its_jobs_poll(vendor: str) -> None:
    bench = in_world(vendor, scopes=["p"])
    bench.follow(*numbered(3))
    bench.world.add("found")

    bench.tick()

    assert {call.kind for call in bench.world.taken()} == {"list"}
    assert {bench.state(name) for name in [*numbered(3), "found"]} == {"running"}


@pytest.mark.promise(5)
@vendors
@pytest.mark.parametrize(("state", "reasons"), [("running", []), ("succeeded", ["state_changed"])])
def test_a_job_that_was_registered_is_announced_in_the_first_discovery_too(
    vendor: str, state: str, reasons: list[str]
) -> None:
    bench = in_world(vendor, scopes=["p"])
    bench.world.add("found", state=state)
    bench.follow("mine", state=state)

    bench.tick(ROUND)

    assert bench.reasons("mine") == [["first_seen", *reasons]]
    assert bench.told("found") == []


@vendors
def test_a_silently_known_job_is_told_of_when_it_changes(vendor: str) -> None:
    bench = known(vendor)
    bench.world.update("j00000", state="succeeded")

    bench.tick(ROUND)

    [event] = bench.told("j00000")
    assert event["reasons"] == ["state_changed"]
    assert (event["from"]["state"], event["to"]["state"]) == ("running", "succeeded")


@vendors
def test_only_configured_scopes_are_listed(vendor: str) -> None:
    bench = known(vendor)
    bench.world.add("elsewhere", scope="q")
    bench.follow("mine", scope="r")

    bench.tick(2 * ROUND)

    assert {call.scope for call in bench.world.calls if call.listing} == {"p"}
    assert bench.recorded("elsewhere", "q") == []
    assert bench.reasons("mine", "r") == [["first_seen"]]


@pytest.mark.promise(5)
@vendors
def test_a_scope_that_is_configured_later_has_a_first_discovery_of_its_own(vendor: str) -> None:
    bench = known(vendor)
    bench.world.add("there", scope="q", state="succeeded")
    bench.set(scopes=("p", "q"))

    bench.tick(ROUND)
    bench.world.add("new", scope="q")
    bench.tick(ROUND)

    assert (bench.told("there", "q"), bench.state("there", "q")) == ([], "succeeded")
    assert bench.reasons("new", "q") == [["first_seen"]]


def test_an_empty_scope_is_a_first_discovery_too() -> None:
    bench = known(jobs=0)
    bench.world.add("first")

    bench.tick(ROUND)

    assert bench.reasons("first") == [["first_seen"]]


def test_scales_list_may_be_a_bare_array() -> None:
    bench = in_world("scale", scopes=["p"])
    bench.world.bare = True
    bench.world.add(*numbered(150))
    bench.tick()
    bench.world.add("new")

    bench.tick(ROUND)

    assert bench.told("j00149") == []
    assert bench.reasons("new") == [["first_seen"]]


# After it


@pytest.mark.promise(8)
@vendors
@pytest.mark.parametrize("created", [timedelta(), timedelta(days=-400), timedelta(days=1)], ids=str)
@pytest.mark.parametrize(("state", "reasons"), [("running", []), ("succeeded", ["state_changed"])])
def test_what_is_new_later_is_announced_whatever_its_age(
    vendor: str, created: timedelta, state: str, reasons: list[str]
) -> None:
    bench = known(vendor)
    bench.world.add("new", state=state, at=bench.now + created)

    bench.tick(ROUND)

    assert bench.reasons("new") == [["first_seen", *reasons]]
    assert bench.told("new")[0]["from"] is None
    assert bench.followed("new")


def shrinking(vendor: str, requests: int | None = None, state: str = "succeeded") -> WorldBench:
    """A connection whose first job is deleted when the second page of its baseline was asked for."""
    bench = in_world(vendor, scopes=["p"])
    bench.world.page_size = 10
    bench.world.add("gone", *numbered(35), state=state, at=START - timedelta(days=90))
    bench.world.before = lambda call: (
        bench.world.delete("gone") if call.what == _second(bench) and ("p", "gone") in bench.world.jobs else None
    )
    bench.budget(requests)
    bench.tick(ROUND if requests else 1)
    return bench


@pytest.mark.promise(5)
@pytest.mark.promise(59)
@vendors
@pytest.mark.parametrize("requests", [None, 2], ids=["in one sweep", "in several"])
def test_a_job_that_a_shrinking_baseline_skipped_is_recorded_silently(vendor: str, requests: int | None) -> None:
    bench = shrinking(vendor, requests)
    assert {name for name in numbered(35) if not bench.recorded(name)} <= {"j00009"}
    bench.budget()

    bench.miss(60)
    bench.tick(ROUND)

    assert bench.state("j00009") == "succeeded"
    assert bench.told("j00009") == []


@vendors
def test_a_running_job_that_a_baseline_skipped_is_told_of_when_it_changes(vendor: str) -> None:
    bench = shrinking(vendor, state="running")
    bench.miss(60)
    bench.tick(ROUND)
    bench.world.update("j00009", state="failed")

    bench.tick(ROUND)

    assert bench.reasons("j00009") == [["state_changed"]]


@pytest.mark.promise(8)
@vendors
def test_a_job_that_is_dated_tomorrow_in_the_baseline_silences_no_later_one(vendor: str) -> None:
    bench = in_world(vendor, scopes=["p"])
    bench.world.add("tomorrow", at=START + timedelta(days=1))
    bench.tick(ROUND)
    bench.world.add("new")

    bench.tick(ROUND)

    assert bench.reasons("new") == [["first_seen"]]


@vendors
def test_a_job_that_comes_while_a_baseline_is_read_again_is_announced(vendor: str) -> None:
    bench = in_world(vendor, scopes=["p"])
    bench.world.page_size = 10
    bench.world.add(*numbered(25), at=START - timedelta(days=90))
    bench.budget(2)
    while bench.discoveries.get(vendor, "p") is None or bench.discoveries.get(vendor, "p").full_at is None:
        bench.tick()
    bench.world.add("new")

    bench.tick(2 * ROUND)

    assert bench.reasons("new") == [["first_seen"]]
    assert not any(bench.told(name) for name in numbered(25))


def test_a_baseline_of_an_earlier_release_announces_whatever_is_new() -> None:
    bench = known()
    for item in bench.aws.client.items.values():
        item.pop("baseline_until", None)
    bench.world.add("new", at=START - timedelta(days=400))

    bench.tick(ROUND)

    assert bench.reasons("new") == [["first_seen"]]


@pytest.mark.promise(59)
@vendors
def test_all_of_a_list_whose_pages_are_shorter_than_asked_for_is_known(vendor: str) -> None:
    bench = in_world(vendor, scopes=["p"])
    bench.world.page_size = 50
    bench.world.add(*numbered(120))

    bench.tick()

    assert [name for name in numbered(120) if not bench.recorded(name)] == []


@pytest.mark.promise(59)
@pytest.mark.parametrize("empty", [1, 7])
def test_empty_pages_of_scale_that_lead_on_do_not_end_its_list(empty: int) -> None:
    bench = in_world("scale", scopes=["p"])
    bench.world.add("j")
    last = str(empty)
    bench.world.page_of = lambda token: [bench.world.jobs["p", "j"]] if token == last else []
    bench.world.following = lambda token: None if token == last else str(int(token or 0) + 1)

    bench.tick()

    assert bench.state("j") == "running"


@pytest.mark.promise(59)
@pytest.mark.parametrize("vendor", ["scale", "mintlify"])
def test_new_jobs_above_a_page_that_was_read_before_are_found(vendor: str) -> None:
    bench = known(vendor, jobs=30)
    bench.world.page_size = 10
    for n, name in enumerate(numbered(25, "new")):
        bench.world.add(name, at=bench.now + timedelta(seconds=n))
    shifts = iter(range(2))
    bench.world.before = lambda call: (
        bench.world.add(*numbered(10, f"late{next(shifts, 0)}x"), at=bench.now + timedelta(minutes=9))
        if call.what in {"10", "20"}
        else None
    )

    bench.tick(ROUND)

    assert [name for name in numbered(25, "new") if bench.reasons(name) != [["first_seen"]]] == []


@pytest.mark.parametrize("vendor", ["scale", "mintlify"])
@pytest.mark.parametrize("minutes", [5, 10])
def test_lists_are_read_as_often_as_configured(vendor: str, minutes: int) -> None:
    bench = known(vendor, discovery=minutes * MINUTE)

    bench.tick(60)

    read = {call.minute for call in bench.world.taken() if call.listing}
    assert abs(len(read) - 60 // minutes) <= 1


@pytest.mark.parametrize("vendor", ["scale", "mintlify"])
def test_between_two_discoveries_jobs_are_polled_singly(vendor: str) -> None:
    bench = known(vendor)

    bench.tick(5)

    calls = bench.world.taken()
    [discovery] = {call.minute for call in calls if call.listing}
    assert not any(call.minute == discovery for call in calls if not call.listing)
    assert len({call.minute for call in calls}) == 5


@pytest.mark.parametrize("vendor", ["scale", "mintlify"])
def test_a_missed_discovery_is_made_up_for(vendor: str) -> None:
    bench = known(vendor)
    bench.world.add("new")
    bench.miss(60)

    bench.tick()

    assert bench.reasons("new") == [["first_seen"]]


@vendors
def test_a_job_that_is_unwatched_is_not_taken_up_again(vendor: str) -> None:
    bench = known(vendor)
    bench.heads.unfollow(bench.world.key("j00000"), bench.now)
    bench.world.update("j00000", state="succeeded")

    bench.tick(3 * ROUND)

    assert not bench.followed("j00000")
    assert len(bench.recorded("j00000")) == 1
    assert "j00000" not in bench.jobs_asked()


def test_a_job_that_settled_is_not_taken_up_again_for_standing_in_the_list() -> None:
    bench = in_world(scopes=["p"], settle=timedelta(minutes=30))
    bench.world.add("done", state="succeeded")

    bench.tick(180)

    assert not bench.followed("done")
    assert len(bench.recorded("done")) == 1


@pytest.mark.promise(5)
@vendors
@pytest.mark.parametrize(("state", "reasons"), [("running", []), ("succeeded", ["state_changed"])])
@pytest.mark.parametrize("later", [1, 60])
def test_a_silently_known_job_that_is_registered_is_announced_once(
    vendor: str, state: str, reasons: list[str], later: int
) -> None:
    bench = in_world(vendor, scopes=["p"])
    bench.world.add("found", state=state)
    bench.tick(later)
    bench.heads.follow(bench.world.key("found"), {"team": "docs"}, bench.now)

    bench.tick()
    assert bench.reasons("found") == [["first_seen", *reasons]]
    bench.tick(60)

    [event] = bench.told("found")
    assert (event["from"], event["to"]["state"], event["job"]["labels"]) == (None, state, {"team": "docs"})


def test_a_silently_known_job_that_settled_is_announced_when_it_is_registered() -> None:
    bench = in_world(scopes=["p"], settle=timedelta(minutes=30))
    bench.world.add("found", state="succeeded")
    bench.tick(120)
    assert not bench.followed("found")
    bench.heads.follow(bench.world.key("found"), {}, bench.now)

    bench.tick(2)

    assert bench.reasons("found") == [["first_seen", "state_changed"]]


def test_a_job_that_was_told_of_is_not_announced_again_when_it_is_registered() -> None:
    bench = known()
    bench.world.add("new")
    bench.tick(ROUND)
    bench.heads.follow(bench.world.key("new"), {}, bench.now)

    bench.tick(ROUND)

    assert bench.reasons("new") == [["first_seen"]]


# Reads that fail


def _circle(bench: WorldBench) -> None:
    bench.world.following = lambda token: "3" if token == "2" else "2"


def _repeated(bench: WorldBench) -> None:
    bench.world.following = lambda _: "2"


def _endless_old(bench: WorldBench) -> None:
    jobs = list(bench.world.jobs.values())[:3]
    bench.world.following = lambda token: str(int(token or 0) + 1)
    bench.world.page_of = lambda _: jobs


def _endless_new(bench: WorldBench) -> None:
    bench.world.following = lambda token: str(int(token or 0) + 1)
    bench.world.page_of = lambda token: [Job(f"endless{token or 1}", "running", START, START)]


ENDLESS = "endless, ever new"
MISBEHAVIOURS = {
    "page 2 fails": lambda bench: bench.world.fail(Refused(500), kind="list", what=_second(bench)),
    "page 2 is garbage": lambda bench: bench.world.fail(b"<html>", kind="list", what=_second(bench)),
    "page 2 is out of reach": lambda bench: bench.world.fail(Unreachable("no"), kind="list", what=_second(bench)),
    "repeated token": _repeated,
    "circle": _circle,
    "endless, always the same": _endless_old,
    ENDLESS: _endless_new,
}
CASES = [
    (vendor, name)
    for vendor in VENDORS
    for name in MISBEHAVIOURS
    # The pages of MentionLab and Mintlify are counted by us: no token of theirs leads astray.
    if vendor == "scale" or name not in {"repeated token", "circle"}
]
misbehaviours = pytest.mark.parametrize(("vendor", "name"), CASES)


def _second(bench: WorldBench) -> str:
    return "2" if bench.world.vendor == "mentionlab" else str(bench.world.page_size)


def misled(vendor: str, name: str) -> WorldBench:
    """A connection whose scope `p` has three pages of jobs and a list that is no good."""
    bench = in_world(vendor, scopes=["p"])
    bench.world.page_size = SIZE
    bench.world.add(*JOBS, at=START - timedelta(days=1))
    bench.follow("other", scope="q")
    MISBEHAVIOURS[name](bench)
    return bench


SIZE, JOBS = 10, numbered(25)
"""Entries of a page, and the jobs of two pages and a half."""


@pytest.mark.promise(10)
@misbehaviours
def test_a_list_that_is_no_good_ends_says_so_keeps_what_was_read_and_holds_up_nothing(vendor: str, name: str) -> None:
    bench = misled(vendor, name)

    report = bench.tick()

    # All are equally old, so they stand in the list as they were added.
    [event] = bench.recorded("endless1" if name == ENDLESS else "j00000")
    assert (event["to"]["state"], event["told"]) == ("running", False)
    assert report.errors
    assert 1 <= lists(bench) <= 1000
    assert bench.state("other", "q") == "running"
    assert (report.outcome, bench.completed()) == (Outcome.COMPLETED, epoch_minute(bench.now))


@pytest.mark.promise(5)
@pytest.mark.promise(9)
@misbehaviours
def test_a_list_that_is_no_good_is_no_first_discovery_and_no_absence(vendor: str, name: str) -> None:
    bench = misled(vendor, name)
    bench.tick()
    bench.world.heal()
    bench.world.add("between")
    bench.tick(ROUND)
    bench.world.add("new")

    bench.tick(ROUND)

    assert bench.state("between") == "running"
    assert bench.reasons("new") == [["first_seen"]]
    assert not any(bench.told(name) for name in JOBS)
    assert all(bench.followed(name) for name in JOBS)


@pytest.mark.promise(9)
@pytest.mark.parametrize(("vendor", "name"), [case for case in CASES if case[1] != ENDLESS])
def test_a_list_that_turns_bad_later_loses_nothing(vendor: str, name: str) -> None:
    bench = misled(vendor, name)
    bench.world.heal()
    bench.tick()
    MISBEHAVIOURS[name](bench)

    # MentionLab's whole list is read hourly, the others' are at every discovery.
    bench.miss(60)
    bench.tick(12)

    assert all(bench.reasons(name) == [] and bench.followed(name) for name in JOBS)


@pytest.mark.promise(10)
def test_a_vendor_whose_list_fails_for_ever_is_not_unreachable() -> None:
    bench = known(jobs=20)
    bench.world.fail(Refused(500), kind="list")

    bench.tick(10)

    assert bench.troubles() == []
    assert bench.completed() == epoch_minute(bench.now)


@pytest.mark.promise(11)
def test_a_scope_whose_list_fails_delays_no_other_scopes_list() -> None:
    bench = in_world(scopes=["p", "q"])
    bench.world.add("a", scope="p")
    bench.world.add("b", scope="q")
    bench.world.fail(Refused(500), kind="list", scope="p")

    bench.tick()

    assert bench.recorded("a", "p") == []
    assert bench.state("b", "q") == "running"


@pytest.mark.promise(11)
@vendors
def test_a_scope_whose_place_in_its_list_cannot_be_looked_up_costs_its_own_list_only(vendor: str) -> None:
    bench = in_world(vendor, scopes=["p", "q"])
    bench.follow("a", scope="p")
    bench.world.add("b", scope="q")
    bench.aws.plan = lambda call: (
        Fault(throttle("GetItem")) if call.operation == "get_item" and call.touches(f"{vendor}#p") else None
    )

    report = bench.tick()

    assert (bench.state("a", "p"), bench.state("b", "q")) == ("running", "running")
    assert "a" in bench.jobs_asked()
    assert (report.outcome, len(report.errors)) == (Outcome.COMPLETED, 1)


@pytest.mark.promise(11)
@pytest.mark.parametrize("vendor", ["scale", "mintlify"])
@pytest.mark.parametrize("workers", [1, 20])
@pytest.mark.parametrize("discovery", [5 * MINUTE, 60 * MINUTE], ids=str)
def test_each_of_many_scopes_has_its_list_read_whole_in_time(vendor: str, workers: int, discovery: timedelta) -> None:
    scopes = numbered(60, "s")
    bench = in_world(vendor, scopes=scopes, discovery=discovery)
    bench.world.page_size = 10
    for scope in scopes:
        bench.world.add(*numbered(25), scope=scope, state="succeeded", at=START - timedelta(days=9))
    bench.budget(12)
    bench.set(limits=bench.connection.limits.model_copy(update={"concurrency": workers}))

    # 60 lists of four requests, six of which fit into a minute.
    bench.tick(100)

    known = [(scope, name) for scope in scopes for name in numbered(25) if bench.recorded(name, scope)]
    assert len(known) == 60 * 25


@pytest.mark.promise(2)
@vendors
def test_a_crash_in_a_discovery_loses_nothing_doubles_nothing_and_tells_of_no_baseline(vendor: str) -> None:
    calls = len(discovered(vendor).aws.calls)
    whole = history(discovered(vendor))

    for number in range(1, calls + 1, 11):
        for after in (False, True):
            assert history(discovered(vendor, Fault(Crash(), after), number)) == whole, (number, after)


def discovered(vendor: str, fault: Fault | None = None, number: int = 0) -> WorldBench:
    """A first discovery of three jobs, then a new one and a change, where that call of the table goes wrong."""
    bench = in_world(vendor, scopes=["p"])
    bench.aws.plan = lambda call: fault if call.number == number else None
    bench.world.add(*numbered(3), at=START - timedelta(days=1))
    _ticks(bench, 3)
    bench.world.add("new", state="succeeded")
    bench.world.update("j00000", state="succeeded")
    _ticks(bench, 15)
    return bench


def _ticks(bench: WorldBench, ticks: int) -> None:
    for _ in range(ticks):
        with suppress(Crash, BaseExceptionGroup):
            bench.tick()


def history(bench: WorldBench) -> dict[str, list[tuple[list[str], str, bool]]]:
    return {
        name: [(event["reasons"], event["to"]["state"], event["told"]) for event in bench.recorded(name)]
        for name in [*numbered(3), "new"]
    }


@vendors
def test_entries_that_cannot_be_read_cost_only_themselves(vendor: str) -> None:
    bench = in_world(vendor, scopes=["p"])
    bench.world.add(*numbered(3), "..", "j\r\n", "x" * 2_000)

    report = bench.tick()

    assert {bench.state(name) for name in numbered(3)} == {"running"}
    assert report.counts["unreadable"] == 3


def test_a_first_discovery_that_takes_several_sweeps_is_silent_throughout() -> None:
    bench = in_world(scopes=["p"])
    bench.world.add(*numbered(550), at=START - timedelta(days=1))
    bench.budget(4)

    bench.tick(10)
    bench.budget()
    bench.tick(ROUND)
    bench.world.add("new")
    bench.tick(ROUND)

    assert {bench.state(name) for name in numbered(550)} == {"running"}
    assert not any(bench.told(name) for name in numbered(550))
    assert bench.reasons("new") == [["first_seen"]]
