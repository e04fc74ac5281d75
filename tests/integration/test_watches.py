"""Which jobs may be watched here, and what a request that can't be met is told."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from pollbridge import config
from pollbridge.history.connections import Connections
from pollbridge.history.heads import Heads
from pollbridge.history.table import Table
from pollbridge.model.instant import MINUTE, epoch_minute
from pollbridge.model.job import JobKey
from pollbridge.watches import Registration, Watches, WatchRefused, check_labels
from tests.kit.memory import Memory
from tests.kit.sweeping import START, in_memory, oration_body, oration_key

UUID = "0B9F6C1E-6D0F-4D6E-9D1A-2F7F1B9C3E55"


@pytest.fixture
def watches() -> Watches:
    vendors = {name: {"secret": "s"} for name in ("mentionlab", "oration")} | {"eu": {"type": "scale", "secret": "s"}}
    table = Table(Memory(), "history")
    return Watches(config.check({"vendors": vendors}, "test"), Heads(table), Connections(table))


def request(watches: Watches, key: str = "oration/job/acme/1", **labels: Any) -> JobKey:
    return watches.request({"key": key, "labels": labels}, START)


def test_a_job_that_is_asked_for_is_followed(watches: Watches) -> None:
    key = request(watches, "eu/job/p/1", team="docs")

    head = watches.heads.get(key)
    assert head
    assert (head.watched, head.labels, head.version, head.state) == (True, {"team": "docs"}, 0, None)


def test_asking_twice_changes_nothing(watches: Watches) -> None:
    key = request(watches, team="docs")
    before = watches.heads.get(key)

    assert request(watches, team="docs") == key
    assert watches.heads.get(key) == before
    assert watches.watch(key, {}, START) is False


def test_a_request_needs_no_labels_and_may_say_more(watches: Watches) -> None:
    assert watches.request({"key": "oration/job/acme/1", "since": "yesterday"}, START)


def test_one_job_is_not_followed_under_two_spellings(watches: Watches) -> None:
    assert request(watches, f"oration/job/acme/{UUID}") == request(watches, f"oration/job/acme/{UUID.lower()}")
    assert request(watches, "oration/job/a%63me/1") == request(watches, "oration/job/acme/1")
    assert request(watches, "eu/job/p/Ab") != request(watches, "eu/job/p/ab")


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("", "no job key"),
        ("oration/job/acme", "3 parts"),
        ("oration/job/acme/1/2", "5 parts"),
        ("oration/job//1", "scope"),
        ("oration/job/acme/..", "id"),
        ("oration/job/acme/%zz", "percent"),
        ("oration/job/acme/%ff", "UTF-8"),
        ("oration/job/acme/" + "x" * 2000, "its id is longer than 960 bytes"),
        ("oration/job/" + "x" * 2049 + "/1", "its scope is longer than 960 bytes"),
        ("oration/job/acme%0D%0A/1", "its scope holds a control character"),
        ("oration/job/acme\n/1", "its scope holds a control character"),
        ("oration/job/acme/%7F1", "its id holds a control character"),
        ("scale/job/p/1", "no connection 'scale' here; configured: mentionlab, oration, eu"),
        ("mentionlab/agent-v1/p/1", "mentionlab has no kind 'agent-v1'; it has: job, execution"),
    ],
)
def test_a_key_that_cannot_be_watched_is_refused_with_the_reason(watches: Watches, key: str, told: str) -> None:
    with pytest.raises(WatchRefused, match=told) as refused:
        request(watches, key)

    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_a_job_that_no_request_can_carry_is_still_read_and_unwatched(watches: Watches) -> None:
    """It may have been registered before that was refused."""
    key = JobKey("oration", "job", UUID.lower(), "1\r\n")
    watches.heads.follow(key, {}, START)

    assert watches.known(f"oration/job/{UUID}/1%0D%0A") == key
    assert watches.heads.unfollow(key, START)
    with pytest.raises(WatchRefused, match="control character"):
        watches.known("oration/job/acme/1%0D%0A")


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        (None, "detail: "),
        ([], "detail: "),
        ({}, "detail.key: "),
        ({"key": 7}, "detail.key: "),
        ({"key": ["oration/job/acme/1"]}, "detail.key: "),
        ({"key": "oration/job/acme/1", "labels": None}, "detail.labels: "),
        ({"key": "oration/job/acme/1", "labels": ["a"]}, "detail.labels: "),
        ({"key": "oration/job/acme/1", "labels": {"a": 1}}, "detail.labels.a: "),
        ({"key": "oration/job/acme/1", "labels": {"a": None}}, "detail.labels.a: "),
    ],
)
def test_a_bad_detail_is_refused_by_the_name_of_its_field(watches: Watches, detail: object, told: str) -> None:
    with pytest.raises(WatchRefused) as refused:
        watches.request(detail, START)

    assert str(refused.value).startswith(told)
    assert watches.heads.get(oration_key("1")) is None


def test_labels_up_to_their_limits_are_taken(watches: Watches) -> None:
    labels = {f"{n:02}" + "x" * 62: "y" * 256 for n in range(20)}

    assert request(watches, **labels)
    head = watches.heads.get(oration_key("1"))
    assert head
    assert head.labels == labels


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({str(n): "" for n in range(21)}, "21 labels"),
        ({"": "x"}, "1 to 64 bytes"),
        ({"x" * 65: "x"}, "1 to 64 bytes"),
        ({"é" * 33: "x"}, "1 to 64 bytes"),
        ({"x": "y" * 257}, "at most 256 bytes"),
        ({"x": "é" * 129}, "at most 256 bytes"),
    ],
)
def test_labels_past_their_limits_are_refused(labels: dict[str, str], told: str) -> None:
    with pytest.raises(WatchRefused, match=told):
        check_labels(labels)


def test_a_job_registered_behind_ticks_made_by_hand_is_looked_at_with_the_next() -> None:
    bench = in_memory()
    bench.tick(30)
    values = {"vendors": {"oration": {"secret": "s"}}}
    watches = Watches(config.check(values, "test"), bench.heads, bench.connections)

    watches.watch(oration_key(), {}, START)
    bench.answer(oration_key(), oration_body())
    bench.tick()

    assert len(bench.history(oration_key())) == 1
    assert bench.head(oration_key()).changed_at == "2026-06-08T12:31:00.000Z"


def test_a_long_registration_vouches_for_no_minute_before_a_job_was_followed() -> None:
    """The connection's tick is read once, and the minutes go by until a job has its turn."""
    bench, key = in_memory(), oration_key()
    bench.watch(key, oration_body(), oration_body(status="success"))
    bench.tick()
    bench.heads.unfollow(key, bench.now)
    watches = Watches(config.check({"vendors": {"oration": {"secret": "s"}}}, "test"), bench.heads, bench.connections)

    def wall() -> datetime:
        bench.tick(4)
        return bench.now

    Registration(watches, [key], {}).follow(wall, lambda: None)
    bench.tick()

    assert [event["last_seen_at"] for event in bench.events(key)] == [None, "2026-06-08T12:01:00Z"]
    assert bench.events(key)[1]["observed_at"] == "2026-06-08T12:10:00Z"


def test_ticks_made_by_hand_of_one_connection_do_not_date_the_jobs_of_another(watches: Watches) -> None:
    ahead = epoch_minute(START) + 30
    watches.connections.begin("oration", ahead, "owner", START, START + MINUTE)
    ours, theirs = oration_key(), JobKey("mentionlab", "job", "p", "1")

    Registration(watches, [ours, theirs], {}).follow(lambda: START, lambda: None)

    registered = [head.registered_at for key in (ours, theirs) if (head := watches.heads.get(key))]
    assert registered == ["2026-06-08T12:30:00Z", "2026-06-08T12:00:00Z"]
