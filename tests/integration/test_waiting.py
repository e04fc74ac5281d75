"""`wait`, as a CI job uses it: every exit code, how long it waits, and what doesn't shake it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.parsers import ResponseParserError
from click.testing import CliRunner, Result

from pollbridge import config
from pollbridge.cli import main, waiting
from pollbridge.cli.clock import Clock
from pollbridge.cli.deployment import Deployment
from pollbridge.history.entries import Entries, Observation
from pollbridge.history.heads import Heads
from pollbridge.history.table import Table
from pollbridge.model.change import Change, Reason, absent, detect
from pollbridge.model.job import Progress, Snapshot, State
from tests.kit.faults import Fault, Faulty, throttle
from tests.kit.memory import Memory
from tests.kit.sweeping import oration_key

NOW = datetime(2026, 6, 8, 12, 0, tzinfo=UTC)
KEY = oration_key("j1")
JOB = str(KEY)
GONE = EndpointConnectionError(endpoint_url="https://aws.test")
EXPIRED = ClientError({"Error": {"Code": "ExpiredTokenException", "Message": "expired"}}, "GetItem")
BROKEN = ClientError({"Error": {"Code": "500"}, "ResponseMetadata": {"HTTPStatusCode": 500}}, "GetItem")


@dataclass
class Desk:
    """One job that is followed, in memory, and a clock: with each pause of the command the next thing happens.

    When nothing is left to happen, the test has waited for too long.
    """

    steps: list[Callable[[], object]] = field(default_factory=list)
    seconds: float = 0
    paused: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.aws = Faulty(Memory())
        table = Table(self.aws, "history", pause=lambda _: None)
        self.heads = Heads(table)
        self.entries = Entries(table, timedelta(days=400), timedelta(days=30))
        settings = config.check({"vendors": {"oration": {"secret": "s"}}}, "test")
        self.deployment = Deployment("Pollbridge", table, "pollbridge", settings, {})
        self.heads.follow(KEY, {"team": "docs"}, NOW)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.seconds, self.pause)

    def pause(self, seconds: float) -> None:
        assert len(self.paused) < 1000
        self.paused.append(seconds)
        self.seconds += seconds
        if self.steps:
            self.steps.pop(0)()

    def becomes(self, state: str, **more: Any) -> None:
        """What the vendor's next answer says."""
        head = self.heads.get(KEY)
        assert head
        change = detect(head.snapshot, Snapshot(state=State(state), vendor_status=state, **more))
        assert change
        self._record(change)

    def goes(self, reason: Reason) -> None:
        """What the absence of an answer says."""
        head = self.heads.get(KEY)
        assert head
        self._record(absent(head.snapshot, reason), followed=reason is Reason.LOST)

    def _record(self, change: Change, *, followed: bool = True) -> None:
        head = self.heads.get(KEY)
        assert head
        now = NOW + timedelta(seconds=self.seconds)
        seen = Observation(now, now, None, "")
        slot = head.slot if followed else None
        self.entries.record(head, change, seen, vendor="oration", slot=slot, last_seen_at=None, recorded_at=now)

    def fail(self, *errors: Exception) -> None:
        """The next looks at the table fail so."""
        left = list(errors)
        self.aws.plan = lambda _: Fault(left.pop(0)) if left else None


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk()
    monkeypatch.setattr(waiting, "find", lambda: desk.deployment)
    return desk


def wait(desk: Desk, *arguments: str, code: int, key: str = JOB) -> Result:
    result = CliRunner().invoke(main, ["wait", key, *arguments], obj=desk.clock)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def last(result: Result) -> str:
    return result.stderr.splitlines()[-1]


def shown(result: Result) -> dict[str, str]:
    """What is printed in the end, by its labels."""
    return dict(line.split(maxsplit=1) for line in result.stdout.splitlines())


# How it ended

ENDS = [
    ("succeeded", 0),
    ("failed", 10),
    ("cancelled", 10),
    ("partially_failed", 11),
    ("halted", 12),
    ("archived", 12),
]


@pytest.mark.parametrize(("state", "code"), ENDS)
def test_the_exit_code_says_how_the_job_ended(desk: Desk, state: str, code: int) -> None:
    desk.steps = [lambda: desk.becomes("running"), lambda: None, lambda: desk.becomes(state)]

    result = wait(desk, code=code)

    assert shown(result)["state"].split()[0] == state
    assert desk.paused == [2.0] * 3


@pytest.mark.parametrize(("state", "code"), ENDS)
def test_a_job_that_has_ended_already_is_told_at_once(desk: Desk, state: str, code: int) -> None:
    desk.becomes(state)
    desk.heads.unfollow(KEY, NOW)

    wait(desk, code=code)

    assert desk.paused == []


def test_every_ended_state_has_a_code_and_no_other() -> None:
    assert set(waiting.CODES) == {state for state in State if state.terminal}


def test_a_job_that_its_vendor_lost_will_not_end(desk: Desk) -> None:
    desk.steps = [lambda: desk.becomes("running"), lambda: desk.goes(Reason.LOST)]

    result = wait(desk, code=10)

    assert shown(result)["lost"] == "the vendor no longer knows the job"
    assert "  lost" in last(result)


def test_a_job_that_ended_before_it_was_lost_has_ended_so(desk: Desk) -> None:
    desk.becomes("succeeded")
    desk.goes(Reason.LOST)

    wait(desk, code=0)


@pytest.mark.parametrize("state", ["pending", "retrying", "unknown"])
def test_what_is_no_end_is_waited_through(desk: Desk, state: str) -> None:
    desk.steps = [lambda: desk.becomes(state), lambda: None, lambda: desk.becomes("succeeded")]

    wait(desk, code=0)

    assert len(desk.paused) == 3


# What would never end


def test_an_unknown_job_is_one_line_that_says_how_to_follow_it(desk: Desk) -> None:
    result = wait(desk, code=1, key="oration/job/acme/new")

    assert result.output == (
        "pollbridge: oration/job/acme/new is not known here: follow it with `pollbridge watch oration/job/acme/new`\n"
    )


def test_what_is_no_key_is_one_line(desk: Desk) -> None:
    assert "is no job key" in wait(desk, code=1, key="j1").output


def test_a_job_that_nobody_follows_is_not_waited_for(desk: Desk) -> None:
    desk.becomes("running")
    desk.heads.unfollow(KEY, NOW)

    result = wait(desk, code=1)

    assert "has not ended (running), and is not followed" in last(result)
    assert f"pollbridge watch {JOB}" in last(result)
    assert (result.stdout, desk.paused) == ("", [])


def test_a_job_that_is_unwatched_while_somebody_waits_is_not_waited_for_any_longer(desk: Desk) -> None:
    desk.steps = [lambda: desk.becomes("running"), lambda: desk.heads.unfollow(KEY, NOW)]

    assert "is not followed" in last(wait(desk, code=1))


def test_an_expired_job_has_no_outcome(desk: Desk) -> None:
    desk.steps = [lambda: desk.becomes("running"), lambda: desk.goes(Reason.EXPIRED)]

    assert "without news for too long" in last(wait(desk, code=1))


# How long


@pytest.mark.parametrize(("told", "seconds"), [("90", 90), ("90s", 90), ("2m", 120), ("1h", 3600)])
def test_it_waits_no_longer_than_told(desk: Desk, told: str, seconds: int) -> None:
    desk.becomes("running")
    desk.pause = lambda _: Desk.pause(desk, seconds / 10)  # type: ignore[method-assign]

    result = wait(desk, "--timeout", told, code=124)

    assert shown(result)["state"].split()[0] == "running"
    assert last(result) == f"pollbridge: {JOB} has not ended within {seconds} s"
    assert len(desk.paused) == 10


def test_its_last_pause_is_as_short_as_what_is_left(desk: Desk) -> None:
    wait(desk, "--timeout", "5", code=124)

    assert desk.paused == [2.0, 2.0, 1.0]


def test_a_job_that_ends_with_the_last_look_has_ended(desk: Desk) -> None:
    desk.steps = [lambda: desk.becomes("running"), lambda: desk.becomes("succeeded")]

    wait(desk, "--timeout", "4", code=0)


def test_no_time_at_all_is_one_look(desk: Desk) -> None:
    wait(desk, "--timeout", "0", code=124)

    assert desk.paused == []


def test_without_a_timeout_it_waits_on(desk: Desk) -> None:
    desk.steps = [*[lambda: None] * 900, lambda: desk.becomes("succeeded")]

    wait(desk, code=0)


@pytest.mark.parametrize("told", ["soon", "-1", "1.5h", "1w", "", "9" * 12, "1h30m"])
def test_what_is_no_duration_is_wrong_use(desk: Desk, told: str) -> None:
    assert "no duration such as 90" in wait(desk, "--timeout", told, code=2).stderr


# What is told meanwhile


def test_each_change_is_a_line_and_what_stays_is_none(desk: Desk) -> None:
    half = Progress(total=10, succeeded=4, failed=1)
    desk.steps = [
        lambda: desk.becomes("running"),
        lambda: None,
        lambda: desk.becomes("running", progress=half, error="\x1b[31mno\u202e"),
        lambda: None,
        lambda: desk.becomes("failed", progress=half),
    ]

    result = wait(desk, code=10)

    said = [line.split("  ", 1)[1] for line in result.stderr.splitlines()]
    assert said == ["not seen yet", "running", "running  4/10, 1 failed", "failed  4/10, 1 failed"]
    assert result.stdout.startswith(f"job       {JOB}\n")


def test_json_is_what_show_prints_and_nothing_else_is_said(desk: Desk) -> None:
    desk.steps = [lambda: desk.becomes("running"), lambda: desk.becomes("succeeded")]

    result = wait(desk, "--json", code=0)

    told = json.loads(result.stdout)
    assert result.stderr == ""
    assert (told["job"]["key"], told["job"]["labels"], told["state"], told["version"], told["watched"]) == (
        JOB,
        {"team": "docs"},
        "succeeded",
        2,
        True,
    )


def test_json_says_how_it_stands_when_the_time_is_over(desk: Desk) -> None:
    result = wait(desk, "--json", "--timeout", "1", code=124)

    assert json.loads(result.stdout)["state"] is None


# AWS in trouble


@pytest.mark.parametrize("error", [GONE, BROKEN, throttle("GetItem"), ResponseParserError("<html>")], ids=repr)
def test_passing_trouble_with_aws_fails_no_ci_job(desk: Desk, error: Exception) -> None:
    desk.steps = [lambda: desk.fail(*[error] * 100), *[lambda: None] * 120, lambda: desk.becomes("succeeded")]

    result = wait(desk, code=0)

    trouble = [line for line in result.stderr.splitlines() if line.startswith("pollbridge: ")]
    assert len(trouble) == 2
    assert trouble[0].endswith("; trying again")
    assert trouble[1] == "pollbridge: AWS answers again"


def test_trouble_that_lasts_for_five_minutes_in_a_row_ends_it(desk: Desk) -> None:
    desk.steps = [lambda: desk.fail(*[GONE] * 149), *[lambda: None] * 152, lambda: desk.fail(*[GONE] * 1000)]

    result = wait(desk, code=1)

    assert "AWS cannot be reached" in last(result) and "given up after 5 min" in last(result)
    assert desk.seconds == pytest.approx(2 * (153 + 150), abs=4)
    assert result.stdout == ""


def test_a_timeout_counts_in_trouble_too(desk: Desk) -> None:
    desk.steps = [lambda: desk.fail(*[GONE] * 1000)]

    wait(desk, "--timeout", "1m", code=124)

    assert desk.seconds == 60


def test_credentials_that_expire_end_it_at_once(desk: Desk) -> None:
    desk.steps = [lambda: desk.fail(EXPIRED)]

    result = wait(desk, code=1)

    assert last(result) == "pollbridge: AWS does not accept these credentials (ExpiredTokenException): sign in again"
    assert len(desk.paused) == 1


def test_a_table_that_is_gone_at_the_beginning_is_told_at_once(desk: Desk) -> None:
    desk.fail(GONE)

    assert "AWS cannot be reached" in wait(desk, code=1).stderr


# As a process

SCRIPT = """
from tests.integration.test_waiting import Desk, wait_for_ever

wait_for_ever(Desk())
"""


def wait_for_ever(desk: Desk) -> None:
    waiting.find = lambda: desk.deployment
    main(["wait", JOB], obj=Clock(time.monotonic, lambda _: time.sleep(0.01)))


def test_ctrl_c_is_130_and_no_word() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", SCRIPT], env=environment, **pipes) as process:
        first = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=30)

    assert first.endswith("not seen yet\n")
    assert (process.returncode, printed, said) == (130, "", "")
