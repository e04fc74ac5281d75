"""A crash, an error or a lost answer at any call between the vendor's answer and the bus loses and doubles nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest

from pollbridge.history.publication import Publication
from pollbridge.history.table import Table
from pollbridge.model.instant import MINUTE
from pollbridge.publishing.auditor import Auditor
from pollbridge.publishing.bus import Bus
from pollbridge.publishing.publisher import Publisher
from tests.kit.faults import Call, Crash, Fault, Faulty, lost, throttle
from tests.kit.streaming import EventBus, records
from tests.kit.sweeping import START, Bench, in_memory, oration_body, oration_key

pytestmark = pytest.mark.long

LIVES = {
    "a": ["active", "active", "success"],
    "b": ["queued", "queued", "active"],
    "c": ["active"],
}
"""What each job's vendor says from each minute on, the last for ever: two of them change in the third."""

HOUR = timedelta(hours=1)


class Way:
    """The whole way of the changes, poller to bus, on which the n-th call of the third minute goes wrong."""

    def __init__(self, number: int = 0, fault: Fault | None = None, *, replayed: bool = True) -> None:
        self.number, self.fault, self.replayed = number, fault, replayed
        self.bench = in_memory()
        self.bus = EventBus()
        self.made = 0
        self.position = 0
        for name in LIVES:
            self.bench.heads.follow(oration_key(name), {}, START)
            self.bench.answers[f"/jobs/{name}"] = self._says(name)

    def _says(self, name: str) -> Callable[[], dict[str, Any]]:
        words = LIVES[name]
        return lambda: oration_body(name, status=words[min(self._minute(self.bench.now), len(words)) - 1])

    def _minute(self, now: datetime) -> int:
        return (now - START) // MINUTE

    def _plan(self, call: Call) -> Fault | None:
        if self._minute(self.bench.now) != 3:
            return None
        self.made += 1
        return self.fault if self.made == self.number else None

    def go(self) -> Way:
        self.bench.aws.plan = self._plan
        for _ in range(25):
            self._survive(self.bench.tick)
            self._survive(self._publish)
        for hours in (1, 2):
            self._survive(lambda hours=hours: self._auditor().audit(self.bench.now + hours * HOUR))
        return self

    def _survive(self, step: Callable[[], object]) -> None:
        with suppress(Crash, BaseExceptionGroup, Exception):
            step()

    def _publish(self) -> None:
        """The stream comes again from what was not published, unless it is given up: then it is the auditor's."""
        stream = records(Table(self.bench.aws.client, "history"))
        position, new = self.position, stream[self.position :]
        if not self.replayed:
            self.position = len(stream)
        if new:
            failed = Publisher(self._bus(), Publication(self.bench.table)).publish(new).failed
            self.position = (
                min([int(number) - 1 for number in failed], default=len(stream)) if self.replayed else len(stream)
            )
        assert self.position >= position

    def _bus(self) -> Bus:
        return Bus(Faulty(self.bus, self._plan), "pollbridge", pause=lambda _: None)

    def _auditor(self) -> Auditor:
        return Auditor(self.bench.table, self._bus(), Publication(self.bench.table), {"oration"})

    @property
    def told(self) -> dict[str, set[tuple[Any, ...]]]:
        """What was said under each id."""
        told: dict[str, set[tuple[Any, ...]]] = {}
        for event in self.bus.events:
            job, before = event["job"]["id"], event["from"] and event["from"]["state"]
            content = (job, event["version"], before, event["to"]["state"], event["reasons"][0], event["observed_at"])
            told.setdefault(event["id"], set()).add(content)
        return told

    @property
    def story(self) -> list[tuple[Any, ...]]:
        """Each thing that was said, without its time, which a crash may put off."""
        return sorted((content[:-1] for contents in self.told.values() for content in contents), key=str)


NORMAL = Way().go()
STORY = [
    ("a", 1, None, "running", "first_seen"),
    ("a", 2, "running", "succeeded", "state_changed"),
    ("b", 1, None, "pending", "first_seen"),
    ("b", 2, "pending", "running", "state_changed"),
    ("c", 1, None, "running", "first_seen"),
]
POINTS = range(1, NORMAL.made + 1)
TROUBLES = {
    "crash before": Fault(Crash()),
    "crash after": Fault(Crash(), after=True),
    "error": Fault(throttle()),
    "lost answer": Fault(lost(), after=True),
}


def assert_nothing_lost_or_doubled(way: Way) -> None:
    assert way.made >= way.number, "the fault never happened"
    assert way.story == STORY
    assert {len(contents) for contents in way.told.values()} == {1}
    assert not any("unpublished" in item for item in way.bench.aws.client.items.values())


def test_without_a_fault_each_change_is_told_once() -> None:
    assert NORMAL.story == STORY
    assert set(NORMAL.bus.ids.values()) == {1}
    assert len(POINTS) >= 15


@pytest.mark.promise(2)
@pytest.mark.promise(3)
@pytest.mark.parametrize("number", POINTS)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_at_any_call_loses_and_doubles_nothing(number: int, trouble: str) -> None:
    assert_nothing_lost_or_doubled(Way(number, TROUBLES[trouble]).go())


@pytest.mark.promise(2)
@pytest.mark.parametrize("number", POINTS)
@pytest.mark.parametrize("trouble", ["crash before", "crash after"])
def test_what_the_stream_gives_up_the_auditor_publishes(number: int, trouble: str) -> None:
    assert_nothing_lost_or_doubled(Way(number, TROUBLES[trouble], replayed=False).go())


@pytest.mark.promise(2)
@pytest.mark.parametrize("trouble", ["crash before", "crash after"])
def test_the_same_holds_in_moto(table: Table, trouble: str) -> None:
    """At the one call that matters most."""
    bench = Bench(Table(Faulty(table.client), table.name))
    bench.watch(oration_key(), oration_body(), oration_body(status="success"))
    bench.tick()
    fault = TROUBLES[trouble]
    bench.aws.plan = lambda call: fault if call.operation == "transact_write_items" else None
    with pytest.raises(BaseExceptionGroup):
        bench.tick()

    bench.aws.plan = lambda _: None
    bench.tick(3)

    assert [event["to"]["state"] for event in bench.events(oration_key())] == ["running", "succeeded"]
