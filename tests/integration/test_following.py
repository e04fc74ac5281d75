"""`tail`, as somebody at a terminal or a script uses it: what is shown, what is new, and how it ends."""

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
from click.testing import CliRunner, Result

from pollbridge import config
from pollbridge.cli import following, main
from pollbridge.cli.clock import Clock
from pollbridge.cli.deployment import Deployment
from pollbridge.history.connections import Connections
from pollbridge.history.destinations import destination_pk
from pollbridge.history.entries import Entries
from pollbridge.history.heads import Heads
from pollbridge.history.table import Table
from pollbridge.model.change import Reason
from pollbridge.model.event import Cause, DestinationDisabled, Event, From, To
from pollbridge.model.instant import epoch_minute, iso
from pollbridge.model.job import Link, Progress, State
from tests.kit.events import recovered, unreachable
from tests.kit.faults import Call, Fault, Faulty, throttle
from tests.kit.sweeping import oration_key
from tests.kit.telling import Dated, changed

NOW = datetime(2026, 6, 8, 12, 0, tzinfo=UTC)
STEER = "\x1b[31m\x9b2J\u202e\x07"
KEYS = oration_key("j1"), oration_key("j2")
J1, J2 = map(str, KEYS)
MINUTE = timedelta(minutes=1)


@dataclass
class Desk:
    """A deployment in memory, and a clock that goes on as a command waits: with each pause the next thing happens.

    When nothing is left to happen, somebody presses Ctrl-C.
    """

    wall: datetime = NOW
    steps: list[Callable[[], object]] = field(default_factory=list)
    paused: list[float] = field(default_factory=list)
    seconds: float = 0

    def __post_init__(self) -> None:
        self.memory = Dated()
        self.aws = Faulty(self.memory)
        self.table = Table(self.aws, "history", pause=lambda _: None)
        vendors = {"oration": {"secret": "s"}, "ml": {"type": "mentionlab", "secret": "s"}}
        settings = config.check({"vendors": vendors}, "test")
        self.deployment = Deployment("Pollbridge", self.table, "pollbridge", settings, {})
        self.entries = Entries(self.table, timedelta(days=400), timedelta(days=30))
        for key in KEYS:
            Heads(self.table).follow(key, {}, self.wall)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.seconds, self.pause, lambda: self.wall)

    def pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        self.seconds += seconds
        self.wall += timedelta(seconds=seconds)
        if not self.steps:
            raise KeyboardInterrupt
        self.steps.pop(0)()

    def record(self, event: Event, pk: str, at: datetime | None = None, *, told: bool = True) -> Event:
        """An event that comes into the history, observed now unless told."""
        event = event.model_copy(update={"observed_at": iso(at or self.wall)})
        subject = pk.removeprefix("JOB#")
        self.table.put(self.entries.entry(pk, subject, event, self.wall, told=told))
        return event

    def job(self, version: int, number: int = 0, at: datetime | None = None, **more: Any) -> Event:
        told = more.pop("told", True)
        event = changed(version, KEYS[number], **more).model_copy(update={"connection": "oration", "vendor": "oration"})
        return self.record(event, f"JOB#{KEYS[number]}", at, told=told)

    def at_tick(self, connection: str, at: datetime) -> None:
        """The connection's last tick."""
        Connections(self.table).begin(connection, epoch_minute(at), "me", at, at)

    def fail(self, *errors: Exception) -> None:
        """The next calls of the timeline's index fail so."""
        left = list(errors)

        def plan(call: Call) -> Fault | None:
            return Fault(left.pop(0)) if left and call.operation == "query" else None

        self.aws.plan = plan


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk()
    monkeypatch.setattr(following, "find", lambda: desk.deployment)
    monkeypatch.setenv("TZ", "UTC")
    return desk


def tail(desk: Desk, *arguments: str, code: int = 0, **more: Any) -> Result:
    result = CliRunner().invoke(main, ["tail", *arguments], obj=desk.clock, **more)
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result


def told(desk: Desk, *arguments: str) -> list[str]:
    """The ids of what is listed."""
    return [event["detail"]["id"] for event in json.loads(tail(desk, "--json", *arguments).stdout)]


def followed(desk: Desk, *arguments: str) -> list[str]:
    """The ids of what comes up while somebody follows, until nothing happens any more."""
    result = tail(desk, "--follow", "--json", *arguments, code=130)
    return [json.loads(line)["detail"]["id"] for line in result.stdout.splitlines()]


# What is listed


def test_the_last_events_are_listed_the_oldest_first(desk: Desk) -> None:
    for version in range(1, 8):
        desk.job(version, version % 2, NOW - timedelta(minutes=9 - version))

    assert told(desk, "--limit", "3") == ["j2-5", "j1-6", "j2-7"]
    assert len(told(desk)) == 7


def test_twenty_are_listed_unless_told(desk: Desk) -> None:
    for version in range(1, 31):
        desk.job(version, at=NOW - timedelta(minutes=40 - version))

    assert told(desk) == [f"j1-{version}" for version in range(11, 31)]


def test_json_is_the_type_and_the_detail_as_the_bus_has_them(desk: Desk) -> None:
    event = desk.job(1)

    [one] = json.loads(tail(desk, "--json").stdout)

    assert one == {"detail_type": "Job State Changed", "detail": json.loads(event.json_text())}


def test_vendors_and_destinations_are_listed_too(desk: Desk) -> None:
    desk.record(unreachable(connection="ml"), "CONNECTION#ml", NOW - 3 * MINUTE)
    desk.record(recovered(connection="ml", scope="p"), "CONNECTION#ml", NOW - 2 * MINUTE)
    desk.record(disabled(), destination_pk("team"), NOW - MINUTE)

    lines = tail(desk).stdout.splitlines()

    assert [" ".join(line.split()) for line in lines] == [
        "2026-06-08 11:57:00 UTC ml unreachable since 2026-06-08 12:31:00 UTC HTTP 503",
        "2026-06-08 11:58:00 UTC ml p unreachable → recovered after 1 h 12 min 14 jobs changed HTTP 503",
        "2026-06-08 11:59:00 UTC destination team disabled gone HTTP 410",
    ]


def disabled() -> DestinationDisabled:
    return DestinationDisabled(
        schema="1",
        id="d",
        version=1,
        destination="team",
        type="slack",
        reason=Cause.GONE,
        error="HTTP 410",
        since=iso(NOW),
        observed_at=iso(NOW),
    )


def test_they_can_be_narrowed_to_a_job_a_vendor_a_state_and_a_time(desk: Desk) -> None:
    desk.job(1, at=NOW - timedelta(hours=3))
    desk.job(2, at=NOW - timedelta(hours=2), state="failed")
    desk.job(1, 1, at=NOW - timedelta(hours=1), state="failed")
    outage = desk.record(unreachable(connection="ml"), "CONNECTION#ml", NOW)

    assert told(desk, "--job", J1) == ["j1-1", "j1-2"]
    assert told(desk, "--vendor", "oration") == ["j1-1", "j1-2", "j2-1"]
    assert told(desk, "--vendor", "mentionlab") == told(desk, "--vendor", "ml") == [outage.id]
    assert told(desk, "--state", "failed") == ["j1-2", "j2-1"]
    assert told(desk, "--state", "failed", "--state", "succeeded") == ["j1-1", "j1-2", "j2-1"]
    assert told(desk, "--since", iso(NOW - timedelta(minutes=90))) == ["j2-1", outage.id]
    assert told(desk, "--job", J1, "--since", iso(NOW - timedelta(minutes=150))) == ["j1-2"]


def test_a_week_is_looked_through_unless_told_and_all_of_a_job(desk: Desk) -> None:
    desk.job(1, at=NOW - timedelta(days=30))
    desk.job(2, at=NOW - timedelta(days=6))

    assert told(desk) == ["j1-2"]
    assert told(desk, "--since", iso(NOW - timedelta(days=31))) == told(desk, "--job", J1) == ["j1-1", "j1-2"]


def test_what_nobody_was_told_of_is_not_listed(desk: Desk) -> None:
    desk.job(1, told=False)

    assert told(desk) == told(desk, "--job", J1) == []


def test_where_there_is_nothing_it_says_so(desk: Desk) -> None:
    result = tail(desk)

    assert (result.stdout, result.stderr) == ("", "no event within the last 7 days; --since looks further back\n")
    assert tail(desk, "--json").stdout == "[]\n"
    assert tail(desk, "--job", J1).stderr == "no such event\n"


def test_a_limit_that_leaves_out_what_was_asked_for_is_told(desk: Desk) -> None:
    desk.job(1)
    desk.job(2)

    assert tail(desk, "--since", iso(NOW - MINUTE), "--limit", "1").stderr == "… and earlier ones: --limit 2\n"
    assert tail(desk, "--limit", "1").stderr == ""


@pytest.mark.parametrize("ahead", [timedelta(hours=5), timedelta(hours=-5)])
def test_ticks_by_hand_ahead_of_the_clock_or_behind_it_are_listed(desk: Desk, ahead: timedelta) -> None:
    desk.at_tick("oration", NOW + ahead)
    desk.job(1, at=NOW + ahead)

    assert told(desk) == ["j1-1"]


# A line


def line(desk: Desk, event: Event) -> str:
    desk.record(event, f"JOB#{J1}")
    return " ".join(tail(desk).stdout.split())


def test_a_line_says_when_which_job_from_what_to_what_how_far_why_and_where(desk: Desk) -> None:
    event = changed(2, KEYS[0], "partially_failed").model_copy(
        update={
            "progress": Progress(total=100, succeeded=92, failed=8),
            "error": "8 documents " * 50,
            "links": (
                Link(rel="pull_request", href="https://github.test/pull/1"),
                Link(rel="x", href="https://x.test"),
            ),
        }
    )

    assert line(desk, event) == (
        f"2026-06-08 12:00:00 UTC {J1} pending → partially_failed 92/100, 8 failed"
        f" {('8 documents ' * 50)[:199]}… https://github.test/pull/1"
    )


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("first_seen", "· → running"),
        ("lost", "pending → lost"),
        ("expired", "pending → expired"),
        ("found", "lost → running"),
        ("reopened", "succeeded → running reopened"),
        ("progressed", "running"),
        ("error_changed", "running no error any more"),
        ("link_added", "running new link"),
    ],
)
def test_what_is_no_plain_change_of_state_is_told(desk: Desk, case: str, says: str) -> None:
    reasons = (Reason.STATE_CHANGED, Reason.REOPENED) if case == "reopened" else (Reason(case),)
    before = {"first_seen": None, "lost": "pending", "expired": "pending", "reopened": "succeeded"}.get(case, "running")
    event = changed(2, KEYS[0], "running").model_copy(
        update={
            "reasons": reasons,
            "from_": before and From(state=State(before), vendor_status=None),
            "to": To(state=State.RUNNING, vendor_status=None, terminal=False, lost=case == "lost"),
            "progress": None,
            "links": (),
        }
    )

    assert line(desk, event) == f"2026-06-08 12:00:00 UTC {J1} {says}"


def test_an_unknown_word_is_quoted(desk: Desk) -> None:
    to = To(state=State.UNKNOWN, vendor_status=f"hibernating{STEER}", terminal=False, lost=False)

    told = line(desk, changed(2, KEYS[0]).model_copy(update={"to": to, "error": STEER, "links": ()}))

    assert "unknown the vendor says hibernating" in told
    assert all(one.isprintable() for one in told)


def test_the_time_is_local_with_its_zone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        desk.job(1)
        assert tail(desk).stdout.startswith("2026-06-08 21:00:00 JST  ")
    finally:
        monkeypatch.setenv("TZ", "UTC")
        time.tzset()


def test_json_steers_no_terminal(desk: Desk) -> None:
    desk.record(changed(1, KEYS[0]).model_copy(update={"error": STEER}), f"JOB#{J1}")

    for arguments, code in (([], 0), (["--follow"], 130)):
        out = tail(desk, "--json", *arguments, code=code).stdout
        assert all(one.isprintable() or one == "\n" for one in out)
        assert json.loads(out)
    assert json.loads(out)["detail"]["error"] == STEER


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_states_are_coloured_unless_colours_are_not_wanted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, no_color: str, coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    desk.job(1)

    out = tail(desk, color=True).stdout

    assert ("\x1b[32msucceeded\x1b[0m" in out) is coloured
    assert ("\x1b" in out) is coloured
    assert "\x1b" not in tail(desk).stdout


# Following


def test_following_shows_the_last_ones_and_then_what_comes(desk: Desk) -> None:
    desk.job(1, at=NOW - MINUTE)
    desk.job(2)
    desk.steps = [lambda: desk.job(3), lambda: None, lambda: desk.job(4)]

    assert followed(desk, "--limit", "1") == ["j1-2", "j1-3", "j1-4"]
    assert desk.paused == [2.0] * 4


def test_what_was_there_before_and_not_asked_for_does_not_come_as_new(desk: Desk) -> None:
    for version in range(1, 11):
        desk.job(version, at=NOW - MINUTE)
    desk.steps = [lambda: desk.job(11)]

    assert followed(desk, "--limit", "0") == ["j1-11"]


@pytest.mark.parametrize("limit", ["0", "1"])
def test_what_comes_up_between_the_first_look_and_the_list_is_shown_once(desk: Desk, limit: str) -> None:
    listings = []

    def plan(call: Call) -> Fault | None:
        if call.arguments.get("ScanIndexForward") is False and not listings:
            listings.append(call)
            desk.job(1)
        return None

    desk.aws.plan = plan
    desk.steps = [lambda: desk.job(2)]

    assert followed(desk, "--limit", limit) == ["j1-1", "j1-2"]


def test_nothing_comes_twice_though_every_look_goes_back(desk: Desk) -> None:
    desk.steps = [*[lambda n=n: desk.job(n) for n in range(1, 11)], *[lambda: None] * 400]

    assert followed(desk) == [f"j1-{n}" for n in range(1, 11)]


def test_a_row_that_is_written_late_comes_when_it_is_there(desk: Desk) -> None:
    desk.steps = [
        lambda: desk.job(1, at=NOW),
        lambda: desk.job(1, 1, at=NOW - 4 * MINUTE),
    ]

    assert followed(desk) == ["j1-1", "j2-1"]


def test_an_index_that_lags_and_forgets_again_neither_hides_nor_repeats(desk: Desk) -> None:
    desk.memory.unseen.add("j1-1")
    desk.steps = [
        lambda: desk.job(1),
        lambda: desk.job(2),
        desk.memory.unseen.clear,
        lambda: desk.memory.unseen.update({"j1-1", "j1-2"}),
        desk.memory.unseen.clear,
    ]

    assert followed(desk) == ["j1-2", "j1-1"]


def test_what_one_look_finds_comes_in_the_order_of_its_moments(desk: Desk) -> None:
    def both() -> None:
        desk.job(1, 1, at=NOW)
        desk.job(1, at=NOW - MINUTE)

    desk.steps = [both]

    assert followed(desk) == ["j1-1", "j2-1"]


@pytest.mark.parametrize("hours", [-7, -1, 1, 7])
def test_ticks_by_hand_are_followed_wherever_they_stand(desk: Desk, hours: int) -> None:
    then = NOW + timedelta(hours=hours)
    desk.at_tick("oration", then)
    desk.job(1, at=then)

    def ticks(first: int, last: int) -> None:
        for n in range(first, last):
            desk.at_tick("oration", then + n * MINUTE)
            desk.job(n + 1, at=then + n * MINUTE)

    desk.steps = [lambda: ticks(1, 2), lambda: None, lambda: ticks(2, 62), lambda: None]

    assert followed(desk, "--limit", "1") == [f"j1-{n}" for n in range(1, 63)]


def test_many_ticks_by_hand_at_once_may_come_into_the_index_late(desk: Desk) -> None:
    desk.at_tick("oration", NOW + timedelta(hours=1))

    def ticks() -> None:
        for n in range(1, 61):
            desk.job(n, at=NOW + timedelta(hours=1) + n * MINUTE)
        desk.at_tick("oration", NOW + timedelta(hours=2))
        desk.memory.unseen.update({"j1-1", "j1-30"})

    desk.steps = [lambda: None, ticks, lambda: None, lambda: None, desk.memory.unseen.clear]

    assert followed(desk)[-2:] == ["j1-1", "j1-30"]


def test_a_connection_that_stands_still_does_not_bring_up_what_others_did_since(desk: Desk) -> None:
    desk.at_tick("ml", NOW - timedelta(hours=2))
    desk.at_tick("oration", NOW)
    for n in range(1, 100):
        desk.job(n, at=NOW - n * MINUTE)

    def tick() -> None:
        desk.at_tick("ml", NOW)
        desk.record(unreachable(connection="ml"), "CONNECTION#ml", NOW)

    desk.steps = [tick, lambda: None]

    assert followed(desk, "--limit", "0") == [unreachable().id]


def test_an_event_dated_by_a_clock_ahead_of_ours_comes_beside_a_tick_behind_it(desk: Desk) -> None:
    desk.at_tick("oration", NOW - 3 * MINUTE)
    desk.steps = [lambda: desk.record(disabled(), destination_pk("team"), NOW + 4 * MINUTE)]

    assert followed(desk) == [disabled().id]


def test_midnight_hides_nothing(desk: Desk) -> None:
    desk.wall = datetime(2026, 6, 8, 23, 59, 57, tzinfo=UTC)
    desk.steps = [lambda: desk.job(1), lambda: desk.job(2, at=desk.wall - timedelta(seconds=2)), lambda: desk.job(3)]

    assert followed(desk) == ["j1-1", "j1-2", "j1-3"]


def test_after_the_machine_slept_all_that_happened_meanwhile_comes(desk: Desk) -> None:
    def sleep() -> None:
        for n in range(1, 4):
            desk.wall += timedelta(hours=1)
            desk.job(n)

    desk.steps = [lambda: None, sleep, lambda: None]

    assert followed(desk) == ["j1-1", "j1-2", "j1-3"]


def test_a_clock_that_is_set_back_brings_nothing_up_again(desk: Desk) -> None:
    for n in range(1, 10):
        desk.job(n, at=NOW - n * MINUTE)

    def back() -> None:
        desk.wall -= 4 * MINUTE

    desk.steps = [lambda: desk.job(10), back, lambda: None]

    assert followed(desk, "--limit", "0") == ["j1-10"]


def test_following_remembers_no_more_than_some_minutes(desk: Desk) -> None:
    feed = following._feed(desk.deployment, desk.clock)
    known = []
    for n in range(1, 200):
        desk.wall += timedelta(seconds=20)
        desk.job(n)
        feed.look()
        known.append(len(feed._known))

    assert max(known) == known[-1] < 60
    assert len(feed._looks) < 20


def test_following_is_narrowed_as_a_list_is(desk: Desk) -> None:
    desk.steps = [lambda: desk.job(1, 1), lambda: desk.job(1, state="failed"), lambda: desk.job(2, state="succeeded")]

    assert followed(desk, "--job", J1, "--state", "succeeded") == ["j1-2"]


def test_passing_trouble_with_aws_is_one_line_and_nothing_is_missed(desk: Desk) -> None:
    gone = EndpointConnectionError(endpoint_url="https://aws.test")
    desk.steps = [
        lambda: (desk.job(1), desk.fail(throttle("Query"), gone, gone)),
        lambda: desk.job(2),
        lambda: None,
        lambda: None,
    ]

    result = tail(desk, "--follow", code=130)

    assert [line.split()[3] for line in result.stdout.splitlines()] == [J1, J1]
    trouble, over = result.stderr.splitlines()[1:]
    assert trouble.startswith("pollbridge: AWS answered ProvisionedThroughputExceededException to Query")
    assert over == "pollbridge: AWS answers again"


def test_what_does_not_pass_ends_it_in_one_line(desk: Desk) -> None:
    expired = ClientError({"Error": {"Code": "ExpiredTokenException", "Message": "expired"}}, "Query")
    desk.steps = [lambda: desk.fail(expired)]

    result = tail(desk, "--follow", code=1)

    assert result.stderr.splitlines()[-1] == (
        "pollbridge: AWS does not accept these credentials (ExpiredTokenException): sign in again"
    )


# Wrong use


def test_what_is_not_there_is_named(desk: Desk) -> None:
    assert "no vendor or connection 'x' here; configured: oration, ml" in tail(desk, "--vendor", "x", code=1).stderr
    assert "is no job key" in tail(desk, "--job", "x", code=1).stderr
    assert "pollbridge watch oration/job/acme/new" in tail(desk, "--job", "oration/job/acme/new", code=1).stderr


@pytest.mark.parametrize("arguments", [["--state", "ended"], ["--limit", "0"], ["--limit", "-1"], ["--since", "soon"]])
def test_wrong_use_is_exit_2(desk: Desk, arguments: list[str]) -> None:
    tail(desk, *arguments, code=2)


# As a process

SCRIPT = """
import sys
from tests.integration.test_following import Desk, tail_for_ever

tail_for_ever(Desk(), int(sys.argv[1]))
"""


def tail_for_ever(desk: Desk, events: int) -> None:
    """In a process of its own: with every look an event as long as there are any, and short pauses."""

    def pause(_: float) -> None:
        time.sleep(0.01)
        desk.wall += timedelta(seconds=2)
        if version := next(versions, None):
            desk.job(version)

    versions = iter(range(1, events + 1))
    following.find = lambda: desk.deployment
    main(["tail", "--follow", "--json"], obj=Clock(time.monotonic, pause, lambda: desk.wall))


def start(events: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, events],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_ctrl_c_is_130_and_no_word() -> None:
    with start("1000") as process:
        assert process.stdout and process.stderr
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=30)

    assert first["detail"]["version"] == 1
    assert all(json.loads(line) for line in rest.splitlines())
    assert (process.returncode, said.splitlines()[1:]) == (130, [])


@pytest.mark.parametrize("events", ["1", "1000"])
def test_a_reader_that_has_enough_ends_it_quietly_and_at_once(events: str) -> None:
    with start(events) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline()
        process.stdout.close()
        try:
            code = process.wait(timeout=30)
        finally:
            process.kill()
        said = process.stderr.read()

    assert (code, said.splitlines()[1:]) == (0, [])
