"""The auditor finds what fell through: entries that nobody published, jobs that nobody looks at."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pollbridge.history.publication import Publication
from pollbridge.history.table import Table
from pollbridge.model.instant import MINUTE
from pollbridge.model.job import JobKey
from pollbridge.publishing.auditor import SEGMENTS, Audit, Auditor
from pollbridge.publishing.bus import Bus
from tests.kit.faults import Crash
from tests.kit.streaming import EventBus
from tests.kit.sweeping import START, Bench, in_memory, oration_body, oration_key

KEY = oration_key()
HOUR = timedelta(hours=1)


def auditor(bench: Bench, bus: EventBus, *connections: str) -> Auditor:
    publication = Publication(bench.table)
    return Auditor(bench.table, Bus(bus, "b", pause=lambda _: None), publication, connections or ("oration",))


@pytest.fixture
def bench() -> Bench:
    """A job that was recorded at 12:01 and that nobody published."""
    bench = in_memory()
    bench.watch(KEY, oration_body())
    bench.tick()
    return bench


@pytest.mark.promise(25)
def test_what_the_publisher_missed_is_published_once_after_a_while(bench: Bench) -> None:
    bus = EventBus()
    audits = [auditor(bench, bus).audit(bench.now + minutes * MINUTE) for minutes in (14, 16, 76)]

    assert [len(audit.republished) for audit in audits] == [0, 1, 0]
    assert bus.events == bench.events(KEY)


@pytest.mark.promise(25)
def test_thirty_hours_without_a_publisher_are_made_up_for_in_order() -> None:
    bench, bus = in_memory(), EventBus()
    for name in "abcdefgh":
        bench.watch(oration_key(name), *(oration_body(name, status=f"word-{n}") for n in range(15)))
    bench.tick(15)

    audit = auditor(bench, bus).audit(bench.now + 30 * HOUR)

    assert (len(audit.republished), audit.refused, audit.poison) == (120, (), ())
    versions = [event["version"] for event in bus.events]
    assert versions == sorted(versions)


@pytest.mark.promise(25)
def test_an_audit_that_dies_has_counted_no_tries_it_did_not_make() -> None:
    bench = in_memory()
    for n in range(30):
        bench.watch(oration_key(f"{n:02}"), oration_body(f"{n:02}"))
    bench.tick()

    for hours in range(1, 7):
        bus = EventBus()
        bus.put_events = _die  # type: ignore[method-assign]
        with pytest.raises(Crash):
            auditor(bench, bus).audit(bench.now + hours * HOUR)

    audit = auditor(bench, EventBus()).audit(bench.now + 7 * HOUR)
    assert (len(audit.republished), len(audit.poison)) == (20, 10)


def _die(**_: object) -> None:
    raise Crash


def test_what_the_bus_never_takes_is_poison_after_five_tries(bench: Bench) -> None:
    bus = EventBus(lambda _: True)
    audits = [auditor(bench, bus).audit(bench.now + hours * HOUR) for hours in range(1, 8)]

    assert [(len(audit.refused), len(audit.poison)) for audit in audits] == [(1, 0)] * 5 + [(0, 1)] * 2
    assert len(bus.calls) == 15
    assert audits[-1].poison[0].event_id == bench.events(KEY)[0]["id"]


def test_one_poison_entry_holds_up_no_other(bench: Bench) -> None:
    bench.watch(oration_key("j2"), oration_body("j2"))
    bench.tick()
    bus = EventBus(lambda event: event["job"]["id"] == "j1")

    audits = [auditor(bench, bus).audit(bench.now + hours * HOUR) for hours in range(1, 8)]

    assert [entry.pk for audit in audits for entry in audit.republished] == [f"JOB#{oration_key('j2')}"]


def test_an_index_that_lags_behind_publishes_nothing_twice(bench: Bench) -> None:
    """The index still shows a mark that the publisher has just taken off: the entry itself decides."""
    publication, bus = Publication(bench.table), EventBus()
    [lagging] = bench.table.query("unpublished = :mark", {":mark": {"S": "1"}}, index="unpublished")
    publication.published(bench.history(KEY)[0])
    bench.aws.client.query = lambda **_: {"Items": [lagging]}

    assert auditor(bench, bus).audit(bench.now + HOUR).republished == ()
    assert bus.taken == []


def a_day(auditor: Auditor) -> list[Audit]:
    return [auditor.audit(START + hour * HOUR) for hour in range(SEGMENTS)]


@pytest.mark.promise(54)
def test_jobs_that_no_sweep_looks_at_are_named_once_a_day(bench: Bench) -> None:
    for n in range(40):
        bench.heads.follow(JobKey("scale", "job", "p", f"{n}"), {}, START)
    bench.heads.follow(oration_key("odd slot"), {}, START)
    bench.aws.client.items["JOB#oration/job/acme/odd%20slot", "HEAD"]["due_slot"] = {"S": "oration#0#7m#3"}

    found = [key for audit in a_day(auditor(bench, EventBus())) for key in audit.orphans]

    assert sorted(found) == sorted(["oration/job/acme/odd%20slot", *(f"scale/job/p/{n}" for n in range(40))])


@pytest.mark.promise(54)
def test_jobs_that_are_looked_at_or_followed_no_more_are_no_orphans(bench: Bench) -> None:
    gone = JobKey("scale", "job", "p", "1")
    bench.heads.follow(gone, {}, START)
    bench.heads.unfollow(gone, START)

    assert not any(audit.orphans for audit in a_day(auditor(bench, EventBus())))


@pytest.mark.promise(54)
def test_the_same_holds_in_moto(table: Table) -> None:
    bench = Bench(table)
    bench.heads.follow(JobKey("scale", "job", "p", "1"), {}, START)
    bench.watch(KEY, oration_body())
    bench.tick()

    audits = a_day(auditor(bench, EventBus()))

    assert {key for audit in audits for key in audit.orphans} == {"scale/job/p/1"}
    assert sum(len(audit.republished) for audit in audits) == 1
