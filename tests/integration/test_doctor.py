"""`doctor` finds what needs a person, says what to do about it, and exits 1 as long as there is any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result
from moto import mock_aws

from pollbridge.cli import delivering, doctor
from pollbridge.cli.doctor import PREFIX
from pollbridge.history.destinations import Destinations, Disabled
from pollbridge.history.table import key
from pollbridge.model.event import Cause
from pollbridge.model.instant import iso, read_iso
from pollbridge.notifying.retries import OLDEST
from tests.kit.offices import DESTINATIONS, Office, breaking, refusing
from tests.kit.sweeping import oration_key

STEER = "\x1b[31m\x9b2J\u202e\x07"
SINCE = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    with mock_aws():
        office = Office()
        for module in (doctor, delivering):
            monkeypatch.setattr(module, "find", lambda: office.deployment)
            monkeypatch.setattr(module, "client", lambda _: office.sqs)
        yield office


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(doctor.doctor, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def findings(exit_code: int = 1) -> dict[str, dict[str, Any]]:
    """By check, those that want something done."""
    result = run("--json")
    assert (result.exit_code, result.stderr) == (exit_code, "")
    told = json.loads(result.stdout)
    assert all(each.keys() == {"check", "about", "says", "do", "ok"} for each in told)
    assert all(each["ok"] is (each["do"] is None) for each in told)
    return {each["check"]: each for each in told if not each["ok"]}


def disable(office: Office, name: str = "service", error: str = "HTTP 410") -> None:
    destinations = Destinations(office.table)
    entry = office.entries.put(key("X", name))
    destinations.disable(name, destinations.head(name), Disabled(SINCE, Cause.GONE, error), 1, entry)


def test_where_all_is_well_it_says_so_and_exits_0(office: Office) -> None:
    result = run()

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "ok  addresses: only public ones are dialled",
        "ok  destination team: is delivered to",
        "ok  destination service: is delivered to",
    ]
    assert findings(0) == {}


def test_private_addresses_are_named(office: Office) -> None:
    office.destinations = DESTINATIONS | {"team": {**DESTINATIONS["team"], "allow_private": True}}

    found = findings()["allow_private"]

    assert (found["about"], found["says"]) == ("destination team", "may reach private addresses, and speak plain http")
    assert "take allow_private out" in found["do"]


def test_a_disabled_destination_is_told_with_the_way_back(office: Office) -> None:
    disable(office)

    found = findings()["disabled"]

    assert (found["about"], found["says"]) == ("destination service", f"disabled since {iso(SINCE)}: HTTP 410")
    since = iso(SINCE - OLDEST)
    assert found["do"] == f"mend it, then: pollbridge enable service; pollbridge recover --to service --since {since}"


def test_what_the_way_back_recovers_begins_before_the_first_failure(office: Office) -> None:
    destinations = Destinations(office.table)
    failing = SINCE - timedelta(days=5)
    destinations.failed("service", destinations.head("service"), failing, failing)
    disable(office)

    since = read_iso(findings()["disabled"]["do"].split("--since ")[1])

    assert since == failing - OLDEST


def test_a_destination_that_only_fails_is_told(office: Office) -> None:
    office.does["service"] = breaking
    office.route(office.record(1, oration_key()), "service")
    office.work("service")

    found = findings()["failing"]

    assert found["says"] == f"nothing but failure since {iso(office.now)}"
    assert found["do"] == "pollbridge deliveries --to service says why"


@pytest.mark.parametrize(("count", "says"), [(1, "1 dead letter"), (12, "12 dead letters")])
def test_dead_letters_are_counted_also_while_somebody_looks_at_them(office: Office, count: int, says: str) -> None:
    office.does["service"] = refusing
    for version in range(1, count + 1):
        office.route(office.record(version, oration_key()), "service")
    office.work("service")
    office.waiting("service", "dead_letter", seconds=60)

    assert findings()["dead_letters"]["says"] == says


def test_a_destination_whose_rule_is_off_is_told_and_is_no_trouble(office: Office) -> None:
    office.destinations = DESTINATIONS | {"team": {**DESTINATIONS["team"], "enabled": False}}

    result = run()

    assert result.exit_code == 0
    assert "ok  destination team: enabled = false: it hears of nothing new" in result.stdout


@pytest.mark.parametrize("messages", [0, 1, 3])
def test_the_queues_of_a_destination_that_is_no_longer_configured_are_found(office: Office, messages: int) -> None:
    for version in range(1, messages + 1):
        office.route(office.record(version, oration_key()), "service")
    url = office.parts.pop("service")["queue"]
    office.destinations = {"team": DESTINATIONS["team"]}

    told = [each for each in json.loads(run("--json").stdout) if each["check"] == "forsaken_queue"]

    assert len(told) == 2
    [queue] = [each for each in told if each["about"] == f"queue {url.rsplit('/', 1)[-1]}"]
    if messages:
        plural = "" if messages == 1 else "s"
        assert queue["says"] == f"{messages} message{plural} of a destination that is no longer configured"
        assert "configure it again" in queue["do"]
    else:
        assert queue["do"] == f"aws sqs delete-queue --queue-url {url}"
    assert run().exit_code == 1


def test_the_queues_of_another_deployment_are_its_own_business(office: Office) -> None:
    for name in (
        "PollbridgeStaging-NotifyingTeamDeliveries",
        "Pollbridge-Notifying-NotifyingTeamDeliveries",
        "Other-NotifyingTeamDeliveries",
        "Pollbridge-Publishing",
    ):
        office.sqs.create_queue(QueueName=name)

    assert findings(0) == {}


LONG = "pollbridge-of-the-team-that-writes-the-documentation-production"


@pytest.mark.parametrize("kept", [PREFIX, 33, len(LONG)])
def test_the_queues_of_a_long_stack_are_found_whose_names_cloudformation_shortened(office: Office, kept: int) -> None:
    office.stack = LONG
    name = f"{LONG[:kept].rstrip('-')}-NotifyingOld"
    office.sqs.create_queue(QueueName=name)

    assert findings()["forsaken_queue"]["about"] == f"queue {name}"


@pytest.mark.parametrize("name", [f"{LONG[:PREFIX]}-staging-NotifyingOld", f"{LONG}-2-NotifyingOld"])
def test_a_queue_whose_stack_only_begins_alike_is_another_deployments(office: Office, name: str) -> None:
    office.stack = LONG
    office.sqs.create_queue(QueueName=name)

    assert findings(0) == {}


def test_a_queue_that_was_deleted_a_moment_ago_is_passed_over(office: Office) -> None:
    url = office.sqs.create_queue(QueueName="Pollbridge-NotifyingGone")["QueueUrl"]
    ask = office.sqs.sqs.get_queue_attributes

    def gone(*, QueueUrl: str, **wish: Any) -> Any:  # noqa: N803 - boto3's
        if url == QueueUrl:
            raise ClientError({"Error": {"Code": "AWS.SimpleQueueService.NonExistentQueue"}}, "GetQueueAttributes")
        return ask(QueueUrl=QueueUrl, **wish)

    office.sqs.get_queue_attributes = gone

    assert findings(0) == {}


def test_all_that_is_wrong_is_told_at_once(office: Office) -> None:
    office.does["team"] = refusing
    office.route(office.record(1, oration_key()), "team")
    office.work("team")
    disable(office)
    office.sqs.create_queue(QueueName="Pollbridge-NotifyingOld")

    assert findings().keys() == {"dead_letters", "disabled", "forsaken_queue"}
    assert run().stdout.count("!!") == 3


def test_nothing_that_a_receiver_said_steers_the_terminal(office: Office) -> None:
    disable(office, error=f"HTTP 410 {STEER}")

    result = run()

    assert "HTTP 410" in result.stdout
    assert all(one.isprintable() or one == "\n" for one in result.stdout)
