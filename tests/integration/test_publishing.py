"""From the stream to the bus: what fails is sent again, alone, and a replay says nothing new."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from pollbridge.aws import client
from pollbridge.history.publication import Publication
from pollbridge.publishing.bus import Bus, batches
from pollbridge.publishing.publisher import Publisher
from tests.kit.streaming import EventBus, entries, records
from tests.kit.sweeping import Bench, in_memory, oration_body, oration_key

STATUSES = ["queued", "active", "retrying", "active", "success"]


@pytest.fixture
def bench() -> Bench:
    """Five changes of each of three jobs."""
    bench = in_memory()
    for name in "abc":
        bench.watch(oration_key(name), *(oration_body(name, status=status) for status in STATUSES))
    bench.tick(5)
    return bench


def publisher(bench: Bench, bus: EventBus) -> Publisher:
    return Publisher(Bus(bus, "pollbridge", pause=lambda _: None), Publication(bench.table))


def unpublished(bench: Bench) -> int:
    return sum("unpublished" in item for item in bench.aws.client.items.values())


@pytest.mark.promise(26)
def test_every_change_is_published_in_its_order_and_loses_its_mark(bench: Bench) -> None:
    bus = EventBus()
    assert unpublished(bench) == 15

    result = publisher(bench, bus).publish(records(bench.table))

    assert (result.count, result.failed, unpublished(bench)) == (15, (), 0)
    for name in "abc":
        told = [event for event in bus.events if event["job"]["id"] == name]
        assert [event["version"] for event in told] == [1, 2, 3, 4, 5]
        assert told == bench.events(oration_key(name))


@pytest.mark.promise(26)
def test_a_replay_of_the_stream_makes_the_same_ids(bench: Bench) -> None:
    bus = EventBus()

    for _ in range(3):
        publisher(bench, bus).publish(records(bench.table))

    assert len(bus.ids) == 15
    assert set(bus.ids.values()) == {3}


def test_an_entry_looks_like_an_event_of_ours(bench: Bench) -> None:
    bus = EventBus()
    publisher(bench, bus).publish(records(bench.table)[:1])

    [entry] = bus.taken
    assert entry["EventBusName"] == "pollbridge"
    assert (entry["Source"], entry["DetailType"]) == ("pollbridge", "Job First Seen")
    assert entry["Time"].isoformat() == "2026-06-08T12:01:00+00:00"
    assert "Resources" not in entry


@pytest.mark.promise(22)
def test_only_what_the_bus_refused_is_sent_again(bench: Bench) -> None:
    failures = Counter({3: 1, 4: 2})
    bus = EventBus(
        lambda event: (
            event["job"]["id"] == "a"
            and failures.subtract([event["version"]]) is None
            and failures[event["version"]] >= 0
        )
    )

    result = publisher(bench, bus).publish(records(bench.table))

    assert (result.failed, unpublished(bench)) == ((), 0)
    assert set(bus.ids.values()) == {1}
    assert sorted(map(len, bus.calls)) == [1, 2, 5, 10]


@pytest.mark.promise(22)
@pytest.mark.promise(24)
def test_what_the_bus_keeps_refusing_fails_its_own_record(bench: Bench) -> None:
    bus = EventBus(lambda event: (event["job"]["id"], event["version"]) == ("b", 2))
    stream = records(bench.table)
    [poison] = [
        r for r in stream if "/b" in r["dynamodb"]["Keys"]["PK"]["S"] and r["dynamodb"]["Keys"]["SK"]["S"].endswith("2")
    ]

    result = publisher(bench, bus).publish(stream)

    assert result.failed == (poison["dynamodb"]["SequenceNumber"],)
    assert (result.count, unpublished(bench)) == (14, 1)


@pytest.mark.promise(24)
@pytest.mark.parametrize(
    "spoilt", [{"event_id": None}, {"version": {"N": "many"}}, {"event": {"B": "x"}}, {"PK": None}]
)
def test_a_record_that_cannot_be_read_is_reported_alone(bench: Bench, spoilt: dict[str, Any]) -> None:
    stream, bus = records(bench.table), EventBus()
    image = stream[7]["dynamodb"]["NewImage"] | spoilt
    stream[7]["dynamodb"]["NewImage"] = {name: value for name, value in image.items() if value}

    result = publisher(bench, bus).publish(stream)

    assert (result.count, result.failed) == (14, ("8",))


def test_what_is_no_told_entry_is_passed_over(bench: Bench) -> None:
    stream, bus = records(bench.table)[:3], EventBus()
    del stream[0]["dynamodb"]["NewImage"]["unpublished"]
    del stream[1]["dynamodb"]["NewImage"]

    result = publisher(bench, bus).publish(stream)

    assert (result.count, result.failed) == (1, ())


def test_an_entry_that_expired_meanwhile_is_published_all_the_same(bench: Bench) -> None:
    stream, bus = records(bench.table), EventBus()
    for place in [place for place in bench.aws.client.items if place[1].startswith("V#")]:
        del bench.aws.client.items[place]

    assert publisher(bench, bus).publish(stream).count == 15
    assert not any(sk.startswith("V#") for _, sk in bench.aws.client.items)


@pytest.mark.promise(23)
@given(weights=st.lists(st.integers(0, 70_000), max_size=60))
def test_batches_keep_order_and_limits(weights: list[int]) -> None:
    all_ = [entry for weight in weights for entry in entries(1, weight)]

    split = list(batches(all_))

    assert [entry for batch in split for entry in batch] == all_
    assert all(1 <= len(batch) <= 10 for batch in split)
    assert all(len(batch) == 1 or sum(len(entry.event) for entry in batch) < 900_000 for batch in split)


@pytest.mark.promise(23)
def test_more_than_a_call_takes_is_split() -> None:
    bus = EventBus()

    published, refused = Bus(bus, "b").publish([*entries(25), *entries(20, weight=200_000)])

    assert (len(published), refused) == (45, [])
    assert [len(call) for call in bus.calls] == [10, 10, 9, *[4] * 4]


@pytest.fixture
def moto_bus() -> Iterator[Any]:
    with mock_aws():
        events = client("events")
        events.create_event_bus(Name="pollbridge")
        yield events


def test_eventbridge_takes_what_we_send(bench: Bench, moto_bus: Any) -> None:
    result = Publisher(Bus(moto_bus, "pollbridge"), Publication(bench.table)).publish(records(bench.table))

    assert (result.count, result.failed) == (15, ())


def test_a_bus_that_refuses_is_asked_three_times_with_growing_pauses() -> None:
    pauses: list[float] = []
    bus = EventBus(lambda _: True)

    published, refused = Bus(bus, "b", pause=pauses.append).publish(list(entries(2)))

    assert (published, len(refused), len(bus.calls)) == ([], 2, 3)
    assert 0.2 <= pauses[0] <= 0.6 < pauses[1] + 0.3 <= 1.5


def test_details_are_the_recorded_texts(bench: Bench) -> None:
    bus = EventBus()
    publisher(bench, bus).publish(records(bench.table))

    told = {entry["Detail"] for entry in bus.taken}

    assert told == {entry.event for name in "abc" for entry in bench.history(oration_key(name))}
    assert all(json.loads(text)["schema"] == "1" for text in told)
