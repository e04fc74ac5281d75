"""`cost`, as somebody at a terminal or a script uses it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pollbridge import config
from pollbridge.cli import cost as command
from pollbridge.cli import counting, deployment
from pollbridge.cli.deployment import Deployment
from pollbridge.history.entries import Entries
from pollbridge.history.heads import Heads
from pollbridge.history.table import Table
from pollbridge.model.instant import sortable
from pollbridge.model.job import JobKey
from tests.kit.telling import changed

VALUES = {
    "vendors": {
        "oration": {"secret": "o", "limits": {"per_minute": 30}},
        "scale": {"secret": "s", "scopes": ["p"], "scope_secrets": {"p": "s-p"}},
    },
    "destinations": {
        "team": {"type": "slack", "secret": "t"},
        "silenced": {"type": "webhook", "secret": "w", "enabled": False},
    },
}
MINUTE = timedelta(minutes=1)
KEYS = {
    "region": str,
    "prices_as_of": str,
    "currency": str,
    "inputs": dict,
    "items": list,
    "total": float,
    "fixed": float,
    "at": dict,
    "notes": list,
}


@dataclass
class CloudFormation:
    """A stack whose resources come in two pages."""

    pages: dict[str, list[str]] = field(
        default_factory=lambda: {
            "": ["CloudWatch::Alarm"] * 3 + ["Lambda::Function"],
            "more": ["CloudWatch::Alarm", "CloudWatch::Dashboard"],
        }
    )

    def list_stack_resources(self, *, StackName: str, NextToken: str = "") -> dict[str, Any]:  # noqa: N803 - boto3's
        assert StackName == "Pollbridge"
        told = [{"ResourceType": f"AWS::{kind}"} for kind in self.pages[NextToken]]
        return {"StackResourceSummaries": told} | ({"NextToken": "more"} if not NextToken else {})


@dataclass
class Place:
    """A deployment over moto's table."""

    table: Table
    parts: dict[str, Any] = field(default_factory=dict)
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    @property
    def deployment(self) -> Deployment:
        return Deployment("Pollbridge", self.table, "pollbridge", config.check(VALUES, "test"), self.parts)

    def follow(self, count: int, connection: str = "oration") -> None:
        for number in range(count):
            Heads(self.table).follow(JobKey(connection, "job", "p", f"j{number}"), {}, self.now)

    def record(self, *ages: timedelta, told: bool = True) -> None:
        """Changes that are so old."""
        entries = Entries(self.table, timedelta(days=400), timedelta(days=30))
        for version, age in enumerate(ages, 1):
            at = self.now - age
            change = changed(version).model_copy(update={"observed_at": at.strftime("%Y-%m-%dT%H:%M:%SZ")})
            self.table.put(entries.entry(f"JOB#{age}", "oration/job/p/j1", change, at, told=told))


@pytest.fixture
def place(table: Table, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    place = Place(table)
    monkeypatch.setattr(deployment, "find", lambda: place.deployment)
    monkeypatch.setattr(counting, "client", lambda _: CloudFormation())
    return place


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(command.cost, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def reckoned(*arguments: str) -> Any:
    result = run("--json", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_json_has_the_promised_shape(place: Place) -> None:
    told = reckoned("--watches", "10000")

    assert {name: type(value) for name, value in told.items()} == KEYS
    assert told["at"].keys() == {"10000"}
    for item in told["items"]:
        assert item.keys() == {"service", "what", "quantity", "unit", "price", "usd", "why", "source", "at"}
        assert item["at"].keys() == {"10000"}
        assert item["usd"] == pytest.approx(item["quantity"] * item["price"], abs=2e-6)
    assert told["total"] == pytest.approx(sum(item["usd"] for item in told["items"]), abs=1e-4)
    assert told["at"]["10000"] == pytest.approx(sum(item["at"]["10000"]["usd"] for item in told["items"]), abs=1e-4)


def test_what_follows_nothing_yet_has_its_fixed_costs(place: Place) -> None:
    told = reckoned()

    assert told["inputs"]["watches"] == 0
    assert told["total"] == told["fixed"] > 1


def test_what_is_deployed_is_counted(place: Place) -> None:
    inputs = reckoned()["inputs"]

    assert (inputs["alarms"], inputs["dashboards"], inputs["secrets"]) == (4, 1, 5)
    assert inputs["destinations"] == {"team": "slack"}


def test_followed_jobs_are_counted_by_connection(place: Place) -> None:
    place.follow(3)
    place.follow(2, "scale")

    connections = reckoned()["inputs"]["connections"]

    assert {name: each["watches"] for name, each in connections.items()} == {"oration": 3, "scale": 2}
    assert connections["oration"]["polls"] == 3 * 43_800


def test_changes_of_the_last_seven_days_are_counted_as_far_as_they_were_told(place: Place) -> None:
    place.record(*(timedelta(days=days, hours=1) for days in (0, 1, 3, 6, 8)))
    place.record(2 * MINUTE, told=False)

    inputs = reckoned()["inputs"]

    assert 6 <= inputs["changes_counted_over_days"] <= 7
    assert inputs["changes_per_day"] * inputs["changes_counted_over_days"] == pytest.approx(4)


def test_a_young_deployment_counts_over_the_days_it_has(place: Place) -> None:
    place.record(MINUTE, 2 * MINUTE)

    inputs = reckoned()["inputs"]

    assert 1 <= inputs["changes_counted_over_days"] <= 2


def test_changes_can_be_told_instead(place: Place) -> None:
    place.follow(4)

    told = reckoned("--changes-per-day", "2.5", "--watches", "100")

    assert told["inputs"]["changes_per_day"] == 10
    assert told["inputs"]["changes_counted_over_days"] is None
    [events] = [item for item in told["items"] if item["what"] == "events"]
    assert events["at"]["100"]["quantity"] == pytest.approx(25 * events["quantity"])


def test_jobs_enough_to_tell_are_the_sample_for_more_of_them(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "FEW", 5)
    place.follow(5)
    place.record(MINUTE)

    told = reckoned("--watches", "50")

    assert told["inputs"]["assumed"]["usual_jobs"] is False
    [polls] = [item for item in told["items"] if (item["service"], item["what"]) == ("Data transfer", "out")]
    assert polls["at"]["50"]["quantity"] == pytest.approx(10 * polls["quantity"], rel=0.5)


def test_text_shows_a_column_for_each_number_of_jobs(place: Place) -> None:
    place.follow(3)

    lines = run().stdout.splitlines()

    [titles] = [line for line in lines if line.startswith("SERVICE")]
    assert [title.strip() for title in titles.split("  ") if title.strip()] == [
        *("SERVICE", "WHAT", "NOW", "AT 30", "AT 1,000", "AT 10,000"),
    ]
    [total] = [line for line in lines if line.startswith("total")]
    assert len(total.split()) == 5
    assert lines[0].startswith("What Pollbridge costs a month, in US dollars. An estimate, no bill")
    assert "without free tiers" in lines[1]


def test_text_fits_eighty_columns(place: Place) -> None:
    place.follow(1)

    table = run().stdout.split("\n\n")[1].splitlines()

    assert max(map(len, table)) <= 80


def test_why_tells_of_each_line_what_it_rests_on(place: Place) -> None:
    told = run("--why").stdout

    assert "Secrets Manager, secrets: 5 × 0.4 per secret-month = 2.0000" in told
    assert "price: AWS: aws.amazon.com/xray/pricing" in told


def test_limits_that_let_too_little_through_are_noted_once(place: Place) -> None:
    notes = [note for note in reckoned("--watches", "5000", "--watches", "50000")["notes"] if "oration" in note]

    assert len(notes) == 1
    assert "at 5,000 in all" in notes[0]
    assert "is allowed 30" in notes[0]


def test_schedules_that_are_off_are_noted(place: Place) -> None:
    place.parts = {"scheduled": False}

    assert "its schedules are off; reckoned as if they were on" in reckoned()["notes"]


def test_prices_of_ones_own_count(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text("secret = 100\n")

    assert reckoned("--prices", str(file))["total"] - reckoned()["total"] == pytest.approx(5 * 99.6)
    assert f"and those of {file}" in run("--prices", str(file)).stdout


def test_a_file_of_prices_that_says_nonsense_is_refused_in_one_line(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text("gold = 1\n")

    result = run("--prices", str(file))

    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "gold is no price" in result.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        ("--watches", "-1"),
        ("--watches", "many"),
        ("--changes-per-day", "-1"),
        ("--changes-per-day", "1441"),
        ("--changes-per-day", "nan"),
        ("extra",),
    ],
)
def test_wrong_use_exits_2(place: Place, wrong: tuple[str, ...]) -> None:
    assert run(*wrong).exit_code == 2


def test_more_changes_than_are_counted_are_told_by_their_span(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "PAGES", 2)
    pages = iter([(30, {"moment": {"S": "x"}}), (30, {"moment": {"S": _moment(place.now - timedelta(hours=6))}})])
    monkeypatch.setattr(counting, "_counts", lambda *_, **__: pages)

    changes, days = counting.recorded(place.table, place.now)

    assert (changes, days) == (pytest.approx(240), pytest.approx(0.25))


def _moment(at: datetime) -> str:
    return f"{sortable(at)}#oration/job/p/j1"
