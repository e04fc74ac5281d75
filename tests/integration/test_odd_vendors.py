"""What a vendor may do that nobody expects: jobs of the year 1, absurd pages, very many refusals at once."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bench.indexed import Indexed, size
from pollbridge.history.table import Table
from pollbridge.model.event import Trouble
from pollbridge.model.health import Findings, Health
from pollbridge.model.instant import MINUTE
from pollbridge.polling.client import Refused
from pollbridge.polling.report import Outcome
from tests.kit.faults import Faulty
from tests.kit.sweeping import START
from tests.kit.world import WorldBench, in_world, numbered

pytestmark = pytest.mark.long


class Bounded:
    """A table that takes no larger items and no longer transactions than DynamoDB does.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
    """

    def __init__(self) -> None:
        self.inner = Indexed()

    def __getattr__(self, operation: str) -> Any:
        call = getattr(self.inner, operation)

        def bounded(**arguments: Any) -> Any:
            items = arguments.get("TransactItems", ())
            puts = [arguments.get("Item", {}), *(put["Put"]["Item"] for put in items if "Put" in put)]
            values = arguments.get("ExpressionAttributeValues", {})
            if len(items) > 100 or any(size(item) > 400 * 1024 for item in (*puts, values)):
                raise ClientError({"Error": {"Code": "ValidationException", "Message": "too large"}}, operation)
            # What boto3 sends is UTF-8.
            json.dumps(arguments, ensure_ascii=False, default=repr).encode()
            return call(**arguments)

        return bounded


def bounded(vendor: str = "mentionlab", **more: Any) -> WorldBench:
    bench = in_world(vendor, **more)
    table = Table(Faulty(Bounded()), "history", pause=lambda _: None)
    return WorldBench(table, name=vendor, connection=bench.connection, world=bench.world)


def page(vendor: str, *jobs: dict[str, Any], **more: Any) -> bytes:
    """A list's only page, unless `more` leads on."""
    if vendor == "mentionlab":
        return json.dumps({"page": {}, "results": [{"status": "processing"} | job for job in jobs], **more}).encode()
    return json.dumps({"items": [{"status": "running"} | job for job in jobs], "next_token": None} | more).encode()


DATES = ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"]
FIELDS = {"mentionlab": ("createdAt", "updatedAt"), "scale": ("created_at", "started_at", "completed_at")}


# Dates, tokens, entries


@pytest.mark.parametrize("state", ["running", "ended"])
@pytest.mark.parametrize("date", DATES)
@pytest.mark.parametrize("vendor", ["mentionlab", "scale"])
def test_a_date_that_no_job_can_have_keeps_no_sweep_from_its_polls(vendor: str, date: str, state: str) -> None:
    bench = bounded(vendor, scopes=["p"], discovery=MINUTE)
    bench.follow("good", "odd")
    bench.world.hide("good")
    words = {"mentionlab": "completed", "scale": "succeeded"}
    status = {"status": words[vendor]} if state == "ended" else {}
    entry = {"id": "odd", **status, **dict.fromkeys(FIELDS[vendor], date)}
    bench.world.fail(page(vendor, entry, entry | {"id": "found"}), kind="list")

    reports = [bench.tick() for _ in range(3)]
    bench.world.update("good", state="succeeded")
    bench.tick()

    assert {report.outcome for report in reports} == {Outcome.COMPLETED}
    assert bench.state("good") == "succeeded"
    assert bench.state("odd") == bench.state("found") == ("succeeded" if state == "ended" else "running")


@pytest.mark.parametrize("date", DATES)
def test_a_silently_known_job_with_such_a_date_can_be_registered(date: str) -> None:
    bench = bounded("scale", scopes=["p"])
    bench.world.add("odd", state="succeeded")
    bench.world.fail(page("scale", {"id": "odd", "status": "succeeded", "completed_at": date}), kind="list")
    bench.tick()

    bench.heads.follow(bench.world.key("odd"), {}, bench.now)
    bench.tick()

    assert bench.state("odd") == "succeeded"
    assert len(bench.told("odd")) == 1


@pytest.mark.parametrize("token", ["x" * 500_000, "\ud800", "é"], ids=["long", "surrogate", "accent"])
@pytest.mark.parametrize("requests", [None, 2])
def test_a_token_that_cannot_be_asked_for_or_kept_costs_only_the_rest_of_its_list(
    token: str, requests: int | None
) -> None:
    bench = bounded("scale", scopes=["p"], discovery=MINUTE)
    bench.follow("good")
    bench.budget(requests)
    bench.world.fail(page("scale", {"id": "found"}, next_token=token), kind="list")

    bench.tick()
    bench.world.update("good", state="succeeded")
    bench.tick(3)

    assert bench.state("good") == "succeeded"
    assert bench.state("found") == "running"
    assert {call.what for call in bench.world.taken() if call.listing} == {""}
    assert bench.troubles() == []


ENTRIES = [
    b'{"id": "\\ud800", "status": "running"}',
    b'{"id": "odd", "status": "\\ud800"}',
    b'{"id": "odd", "status": "running", "created_at": 1e400}',
    b'{"id": "odd", "status": "running", "created_at": "\\udfff"}',
    b'{"id": "\\u0000 \\n", "status": "running"}',
    b'{"id": "%s", "status": "running"}' % (b"x" * 5000),
    b'{"id": "..", "status": "%s"}' % (b"w" * 500_000),
    b"[[[]]]",
    b"%s1%s" % (b"[" * 3000, b"]" * 3000),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=range(len(ENTRIES)))
def test_an_entry_that_nobody_can_make_sense_of_harms_no_other(entry: bytes) -> None:
    bench = bounded("scale", scopes=["p"], discovery=MINUTE)
    bench.follow("good")
    bench.world.fail(b'{"items": [%s, {"id": "found", "status": "running"}], "next_token": null}' % entry, kind="list")

    bench.tick()
    bench.world.update("good", state="succeeded")
    reports = [bench.tick() for _ in range(3)]

    assert reports[-1].outcome == Outcome.COMPLETED
    assert bench.state("good") == "succeeded"


def test_of_a_job_that_stands_twice_on_a_page_the_upper_entry_counts() -> None:
    bench = in_world(scopes=["p"])
    bench.world.add("a")
    bench.tick(3)
    newer = {"id": "a", "status": "completed", "updatedAt": "2026-06-08T12:03:30Z"}
    older = {"id": "a", "status": "processing", "updatedAt": "2026-06-08T12:00:00Z"}
    bench.world.fail(page("mentionlab", newer, older), kind="list")

    bench.tick(3)

    assert bench.state("a") == "succeeded"
    assert bench.reasons("a") == [["state_changed"]]


# Very many troubles at once


def test_of_seventy_scopes_that_refuse_at_once_fifty_are_told_in_a_sweep_and_the_others_in_the_next() -> None:
    bench = bounded()
    scopes = numbered(70, "s")
    bench.follow("a")
    for scope in scopes:
        bench.follow("j", scope=scope)
    bench.tick(2)
    for scope in scopes:
        bench.world.fail(Refused(403), scope=scope)

    reports, told = [], []
    for _ in range(5):
        reports.append(bench.tick())
        told.append(len(bench.troubles()))

    assert {report.outcome for report in reports} == {Outcome.COMPLETED}
    assert told == [0, 0, 50, 70, 70]
    assert {event["scope"] for event in bench.troubles()} == set(scopes)


def test_as_many_scopes_in_trouble_as_an_item_holds_come_and_go_one_event_each() -> None:
    bench = bounded()
    scopes = [f"{n:03}{'s' * 100}" for n in range(400)]
    bench.follow("a")
    for scope in scopes:
        bench.follow("j", scope=scope)
    bench.tick(2)
    for scope in scopes:
        bench.world.fail(Refused(403), scope=scope)
    bench.tick(12)
    bench.world.heal()
    for scope in scopes:
        bench.world.update("j", scope=scope, state="succeeded")

    bench.tick(12)

    told = Counter((event["detail_type"], event["scope"]) for event in bench.troubles())
    assert told == dict.fromkeys(product(("Vendor Unreachable", "Vendor Recovered"), scopes), 1)


def test_what_is_kept_of_scopes_in_trouble_fits_into_an_item() -> None:
    health, found = Health(), Findings(minute=1, at=START, completed=None, answered={"a"})
    refused = {f"{n:04}{'s' * 800}": (Trouble.FORBIDDEN, "HTTP 403") for n in range(1000)}

    for _ in range(30):
        health, _told = health.after(replace(found, refused=refused))

    assert 150 < len(health.scopes) < 1000
    assert len(str(health)) < 350_000
