"""Jobs of a connection that is no longer configured, or has no such kind any more: they are read and ended as ever."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pollbridge.cli import delivering, following, main, read, waiting, watch
from pollbridge.cli.clock import Clock
from tests.kit.explaining import JOB, KEY, Desk, opened
from tests.kit.sweeping import oration_key

FORMER = [{"scale": {"secret": "s"}}, {"oration": {"type": "mintlify", "secret": "s"}}]
"""What is configured by now: another connection, or another vendor by the same name."""

COMMANDS = {
    "show": ("show",),
    "history": ("history",),
    "unwatch": ("unwatch",),
    "deliveries": ("deliveries", "--job"),
    "wait": ("wait",),
    "tail": ("tail", "--since", "2026-06-08T00:00:00Z", "--job"),
}


@pytest.fixture(params=FORMER, ids=["no connection", "no kind"])
def desk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """One job went from running to failed, and `service` heard of it; then its connection was taken away."""
    with opened() as desk:
        for command in (delivering, following, read, waiting, watch):
            monkeypatch.setattr(command, "find", lambda: desk.deployment)
        monkeypatch.setattr(delivering, "client", lambda _: desk.sqs)
        desk.watch("active", "failed")
        desk.tell("service")
        desk.vendors = request.param
        yield desk


def run(desk: Desk, name: str, job: str = JOB, *arguments: str) -> Result:
    result = CliRunner().invoke(main, [*COMMANDS[name], job, *arguments], obj=Clock(wall=lambda: desk.now))
    assert "Traceback" not in result.output
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def told(desk: Desk, name: str, code: int = 0) -> Any:
    result = run(desk, name, JOB, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_how_it_stands_is_shown(desk: Desk) -> None:
    assert (told(desk, "show")["state"], told(desk, "show")["version"]) == ("failed", 2)
    assert JOB in run(desk, "show").stdout


def test_its_history_is_shown(desk: Desk) -> None:
    assert [change["to"]["state"] for change in told(desk, "history")] == ["running", "failed"]
    assert "failed" in run(desk, "history").stdout


def test_its_deliveries_are_listed(desk: Desk) -> None:
    assert [(one["destination"], one["status"]) for one in told(desk, "deliveries")] == [("service", "delivered")] * 2
    assert run(desk, "deliveries").exit_code == 0


def test_its_events_are_listed(desk: Desk) -> None:
    assert [event["detail"]["version"] for event in told(desk, "tail")] == [1, 2]
    assert run(desk, "tail").exit_code == 0


def test_how_it_ended_is_what_wait_says(desk: Desk) -> None:
    assert told(desk, "wait", code=waiting.NOT_WELL)["state"] == "failed"


def test_it_can_be_let_go(desk: Desk) -> None:
    assert told(desk, "unwatch") == {"key": JOB, "watched": False}
    assert desk.bench.head(KEY).watched is False


@pytest.mark.parametrize("name", COMMANDS)
def test_one_that_was_never_known_is_refused_by_what_is_configured(desk: Desk, name: str) -> None:
    result = run(desk, name, "oration/job/acme/nobody")

    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "there is no connection 'oration'" in result.stderr or "has no kind 'job'" in result.stderr


def test_one_that_has_not_ended_is_not_waited_for(desk: Desk) -> None:
    running = oration_key("j2")
    desk.watch("active", key=running)
    desk.vendors = {"scale": {"secret": "s"}}

    waited, shown = run(desk, "wait", str(running)), run(desk, "show", str(running))

    assert (waited.exit_code, waited.stdout) == (1, "")
    assert "a connection that is no longer configured" in waited.stderr.splitlines()[-1]
    assert "nobody looks: its connection is no longer configured" in shown.stdout
