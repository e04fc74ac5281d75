"""How `explain` reads: what it tells of a job's changes, on a page and as JSON, and what that costs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pollbridge.model.instant import MINUTE, iso, read_iso
from pollbridge.notifying.notice import DeliveryError, Notice, Receipt, Treatment
from pollbridge.polling.client import BadAnswer, Refused
from pollbridge.story import job as story
from tests.kit.explaining import JOB, KEY, Desk, last, opened, page, resend, run, told
from tests.kit.offices import refusing
from tests.kit.sweeping import START, oration_body, oration_key

STEER = "\x1b[31m\x9b2J\u202e\x07"
"""What colours a terminal, clears it, turns its text around and rings its bell."""

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "explaining.md"


@pytest.fixture
def desk() -> Iterator[Desk]:
    with opened() as desk:
        yield desk


# What is told of its changes


def test_the_last_five_changes_are_told_and_the_others_counted(desk: Desk) -> None:
    desk.watch(*["created", "active"] * 4)
    desk.publish()

    found = told(desk)

    assert [change["version"] for change in found["changes"]] == [4, 5, 6, 7, 8]
    assert found["earlier"] == 3
    assert "… 3 earlier: --last 8 tells all" in page(desk)
    assert [change["version"] for change in told(desk, JOB, "--last", "2")["changes"]] == [7, 8]


def test_one_change_can_be_asked_for(desk: Desk) -> None:
    desk.watch("active", "failed", "active")
    desk.tell("service")

    found = told(desk, JOB, "--version", "2")

    assert [change["version"] for change in found["changes"]] == [2]
    assert "heard of v2" in found["verdict"]
    assert "earlier" not in page(desk, "--version", "2")


def test_a_version_that_is_not_there_is_said_to_be_so(desk: Desk) -> None:
    desk.watch("active")

    result = run(desk, JOB, "--version", "7")

    assert (result.exit_code, result.stderr) == (1, f"pollbridge: v7 of {JOB} is not there: the last one is v1\n")


def test_a_version_that_has_expired_is_said_to_be_so(desk: Desk) -> None:
    desk.watch("active", "failed")
    desk.aws.client.partitions[None][f"JOB#{JOB}"].pop((f"JOB#{JOB}", "V#0000000001"))

    assert "is no longer kept" in run(desk, JOB, "--version", "1").stderr


def test_last_and_version_exclude_each_other(desk: Desk) -> None:
    assert run(desk, JOB, "--last", "2", "--version", "1").exit_code == 2


def test_between_which_moments_it_happened_is_told(desk: Desk) -> None:
    desk.watch("active", "failed")

    change = told(desk)["changes"][-1]

    assert (change["last_seen_at"], change["observed_at"]) == (iso(START + MINUTE), iso(START + 2 * MINUTE))
    assert "its state changed; between 12:01:00 UTC and 12:02:00 UTC" in page(desk)


def test_earlier_changes_that_went_wrong_are_in_the_verdict(desk: Desk) -> None:
    desk.watch("active")
    desk.does["service"] = refusing
    desk.tell("service", "team")
    del desk.does["service"]
    desk.watch("failed")
    desk.tell("service", "team")

    assert "v1 is not with service." in told(desk)["verdict"]


def test_earlier_changes_that_are_not_on_the_bus_are_in_the_verdict(desk: Desk) -> None:
    desk.watch("created", "active")
    second = desk.bench.history(KEY)[1]
    desk.route(second, "service")
    desk.work("service")

    assert "v1 is not published: not on the bus since" in told(desk)["verdict"]


def test_when_it_was_last_looked_at_and_when_next_is_told(desk: Desk) -> None:
    desk.watch("active", "active", "active")

    polls = told(desk)["polls"]

    assert polls["last_look_at"] == polls["last_tick_at"] == iso(START + 3 * MINUTE)
    assert (polls["every_minutes"], polls["next_due_at"]) == (1, iso(START + 4 * MINUTE))


def test_the_next_look_is_in_the_minute_in_which_it_is_really_polled(desk: Desk) -> None:
    desk.watch("active")
    desk.tick(80)
    due = read_iso(told(desk)["polls"]["next_due_at"])
    desk.bench.polled()
    while desk.bench.now < due - MINUTE:
        desk.tick()

    assert desk.bench.polled() == []
    desk.tick()
    assert desk.bench.polled() == ["j1"]


# How it reads


def test_a_page_reads_from_the_verdict_to_the_last_attempt(desk: Desk) -> None:
    desk.watch("created", "failed", error="Row 17: no number")
    desk.does["service"] = refusing
    desk.tell("service", "team")
    ids = [entry.event_id for entry in desk.bench.history(KEY)]

    lines = [re.sub(r"after \d+ ms", "after 9 ms", line) for line in run(desk).stdout.splitlines()]

    assert lines == PAGE.format(*ids).strip().splitlines()


PAGE = """
oration/job/acme/j1
  team heard of v2 at 12:02:10 UTC; service did not: given up after 1 attempt:
  HTTP 400. v1 is not with service.

state      failed, as seen at 12:02:00 UTC
name       customer.createBatch
watched    yes, every 15 min; registered at 12:00:00 UTC
looked at  last at 12:02:00 UTC, 10 s ago; next at 12:10:00 UTC
ticks      last completed at 12:02:00 UTC

v1  12:01:00 UTC  · → pending
    seen for the first time; recorded, published
    the vendor's error: Row 17: no number
    ✓ team     12:02:10 UTC  took it: HTTP 200 after 9 ms
    ✗ service  given up after 1 attempt: HTTP 400
               12:02:10 UTC  HTTP 400, after 9 ms
               → once it is mended:
                 pollbridge resend {} --to service

v2  12:02:00 UTC  pending → failed
    its state changed; between 12:01:00 UTC and 12:02:00 UTC; recorded,
    published
    the vendor's error: Row 17: no number
    ✓ team     12:02:10 UTC  took it: HTTP 200 after 9 ms
    ✗ service  given up after 1 attempt: HTTP 400
               12:02:10 UTC  HTTP 400, after 9 ms
               → once it is mended:
                 pollbridge resend {} --to service
"""


def test_it_fits_eighty_columns_but_for_commands(desk: Desk) -> None:
    desk.watch("active", Refused(503), Refused(503), Refused(503), error="word " * 30 + "x" * 300)
    desk.does["service"] = refusing
    desk.tell("service")

    lines = [line for line in run(desk).stdout.splitlines() if "pollbridge resend" not in line]

    assert max(map(len, lines)) <= 80


def test_commands_are_never_broken_over_lines(desk: Desk) -> None:
    desk.watch("active")
    desk.does["service"] = refusing
    [entry] = desk.tell("service")

    assert any(line.strip().endswith(resend(entry)) for line in run(desk).stdout.splitlines())


def test_what_to_do_is_said_once(desk: Desk) -> None:
    desk.watch("created", "active")
    desk.publish("service", "team")
    desk.later(minutes=3)

    assert page(desk).count("its notifier does not run") == 1


def test_there_are_colours_on_a_terminal_only(desk: Desk) -> None:
    desk.watch("active")
    desk.tell("service")

    assert "\x1b[32m✓\x1b[0m" in run(desk, color=True).stdout
    assert "\x1b" not in run(desk).stdout


def test_words_of_vendors_and_receivers_steer_no_terminal(desk: Desk) -> None:
    def steering(notice: Notice) -> Receipt:
        raise DeliveryError(f"HTTP 400 {STEER}", Treatment.GIVE_UP, code=400)

    desk.bench.heads.follow(KEY, {"team": STEER}, START)
    desk.watch(f"new{STEER}", error=STEER)
    desk.does["service"] = steering
    desk.tell("service")
    desk.bench.answer(KEY, BadAnswer(STEER))
    desk.bench.watch(oration_key("well"), oration_body("well"))
    desk.tick()

    for arguments in ([JOB], [JOB, "--json"]):
        text = run(desk, *arguments).stdout
        assert "new" in text
        assert not [one for one in text if not (one.isprintable() or one == "\n")]


def test_moments_of_other_days_have_their_date(desk: Desk) -> None:
    desk.watch("active")
    desk.tell("service")
    desk.later(days=1)

    assert "✓ service 2026-06-08 12:01:10 UTC took it" in page(desk)


def test_json_is_of_the_shape_that_is_promised(desk: Desk) -> None:
    desk.watch("created", "failed")
    desk.tell("team", "service")
    desk.later(minutes=6)
    promised = json.loads(re.findall(r"```json\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)[0])

    assert shape(told(desk, JOB, "--version", "2")) == shape(promised)
    assert shape(told(desk, str(oration_key("j2")), code=1)).keys() == shape(promised).keys()


def shape(value: Any) -> Any:
    """The names in it, and of lists those of the first that is in it."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items() if name != "links"}
    return [shape(value[0])] if isinstance(value, list) and value and isinstance(value[0], dict) else None


# What it costs


def test_five_changes_and_four_destinations_take_eight_calls_to_aws(desk: Desk) -> None:
    desk.destinations |= dict.fromkeys(("one", "two"), desk.destinations["service"])
    desk.parts |= {name: desk._queues(name) for name in ("one", "two")}
    desk.watch(*["created", "active"] * 3)
    desk.publish()
    desk.later(minutes=3)
    desk.aws.calls.clear()
    asked: list[Any] = []
    counted = desk.sqs.get_queue_attributes
    desk.sqs.get_queue_attributes = lambda **wish: asked.append(wish) or counted(**wish)  # type: ignore[method-assign]

    found = told(desk)

    assert [len(change["destinations"]) for change in found["changes"]] == [4] * 5
    assert (len(desk.aws.calls), len(asked)) == (4, 4)


def test_two_hundred_destinations_take_two_more_calls_to_the_table(desk: Desk) -> None:
    desk.watch("active")
    desk.tell("service")
    desk.destinations = {f"d{number}": desk.destinations["service"] for number in range(200)}
    desk.aws.calls.clear()

    assert len(told(desk)["changes"][0]["destinations"]) == 201
    assert len(desk.aws.calls) == 6


def test_queues_are_asked_once_each_and_only_where_today_s_rule_leaves_a_doubt(desk: Desk) -> None:
    desk.destinations = {"service": {"type": "webhook", "secret": "w", "match": {"state": ["failed"]}}}
    desk.watch("created", "active", "created")
    desk.publish()
    asked: list[Any] = []
    counted = desk.sqs.get_queue_attributes
    desk.sqs.get_queue_attributes = lambda **wish: asked.append(wish) or counted(**wish)  # type: ignore[method-assign]

    told(desk)
    assert len(asked) == 1
    desk.later(days=15)
    told(desk)
    assert len(asked) == 1


def test_of_a_job_with_a_long_history_only_todays_deliveries_are_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "LONG", 2)
    desk.watch("created", "active", "created")
    desk.tell("service")
    desk.aws.calls.clear()

    assert last(desk)["outcome"] == "delivered"
    assert desk.aws.counts["batch_get_item"] == 2
