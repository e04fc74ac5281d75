"""`deliveries`, `resend`, `recover`, `enable` and `test-notify`, as somebody at a terminal or a script uses them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from pollbridge.cli import delivering
from pollbridge.cli.clock import Clock
from pollbridge.history.connections import connection_pk
from pollbridge.history.destinations import Destinations, Disabled
from pollbridge.history.entries import Entry
from pollbridge.history.heads import Heads
from pollbridge.history.ledger import KEEP, Ledger, Status
from pollbridge.history.table import HEAD, key
from pollbridge.model.event import Cause
from pollbridge.model.instant import epoch_minute, iso
from pollbridge.notifying.notice import DeliveryError, Notice, Receipt, Treatment
from pollbridge.notifying.worker import LEASE
from tests.kit.events import unreachable
from tests.kit.offices import Office, breaking, closing, refusing, taking
from tests.kit.sweeping import oration_key

KEY = oration_key("j1")
STEER = "\x1b[31m\x9b2J\u202e\x07"
YESTERDAY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
JOB = "oration/job/acme/j1"


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    with mock_aws():
        office = Office()
        monkeypatch.setattr(delivering, "find", lambda: office.deployment)
        monkeypatch.setattr(delivering, "client", lambda _: office.sqs)
        Heads(office.table).follow(KEY, {}, YESTERDAY)
        yield office


def run(command: Any, *arguments: str, **more: Any) -> Result:
    result = CliRunner().invoke(command, arguments, **more)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def deliveries(*arguments: str) -> Any:
    result = run(delivering.deliveries, "--json", *arguments)
    assert result.exit_code == 0
    return json.loads(result.stdout)


def mistake(result: Result, code: int = 1) -> str:
    """The one line that a refusal is told in."""
    assert (result.exit_code, result.stdout) == (code, "")
    if code == 1:
        assert result.stderr.startswith("pollbridge: ")
        assert result.stderr.count("\n") == 1
    return result.stderr


def steers(text: str) -> bool:
    return any(not (one.isprintable() or one == "\n") for one in text)


def sent(office: Office, version: int = 1, *names: str, at: datetime = YESTERDAY, job: Any = KEY) -> Entry:
    """A change that its destinations' notifiers took up."""
    entry = office.record(version, job, at)
    for name in names or ("service",):
        office.route(entry, name)
        office.work(name)
    return entry


# deliveries


def test_deliveries_are_told_in_the_promised_shape(office: Office) -> None:
    entry = sent(office)

    assert deliveries() == [
        {
            "event_id": entry.event_id,
            "job_key": JOB,
            "version": 1,
            "destination": "service",
            "status": "delivered",
            "attempts": [{"at": iso(office.now), "outcome": "delivered", "code": 200, "latency_ms": _latency(office)}],
            "next_attempt_at": None,
        }
    ]


def _latency(office: Office) -> int:
    return office.ledger(KEY)[0].attempts[0].latency_ms


def test_a_delivery_that_waits_says_until_when(office: Office) -> None:
    office.does["service"] = breaking
    sent(office)

    [delivery] = deliveries()

    assert (delivery["status"], delivery["attempts"][0]["outcome"], delivery["attempts"][0]["code"]) == (
        "pending",
        "HTTP 500",
        500,
    )
    assert office.now < datetime.fromisoformat(delivery["next_attempt_at"]) < office.now + timedelta(seconds=7)


def test_what_a_receiver_answered_is_told_when_it_is_asked_for(office: Office) -> None:
    office.does["service"] = refusing
    sent(office)

    assert deliveries("--responses")[0]["attempts"][0]["response"] == "no such thing"
    assert "response" not in deliveries()[0]["attempts"][0]


def test_for_people_there_is_a_line_for_each(office: Office) -> None:
    office.does["service"] = breaking
    entry = sent(office, 1, "service", "team")

    result = run(delivering.deliveries)

    titles, first, second = result.stdout.splitlines()
    assert titles.split() == ["LAST", "ATTEMPT", "TO", "STATUS", "ATTEMPTS", "NEXT", "EVENT", "ABOUT"]
    assert "team" in first and "delivered" in first
    assert "service" in second and "pending" in second and "1, the last: HTTP 500" in second
    assert second.split()[-3:] == [entry.event_id, JOB, "v1"]
    assert (result.exit_code, steers(result.stdout)) == (0, False)


def test_the_newest_events_come_first_and_no_more_than_asked_for(office: Office) -> None:
    for version in range(1, 8):
        sent(office, version, at=YESTERDAY + timedelta(minutes=version))

    result = run(delivering.deliveries, "--json", "--limit", "3")

    assert [each["version"] for each in json.loads(result.stdout)] == [7, 6, 5]
    assert result.stderr == "… and more: --limit 6\n"
    assert [each["version"] for each in deliveries("--job", JOB, "--limit", "2")] == [7, 6]
    assert run(delivering.deliveries, "--limit", "7").stderr == ""


def every_fate(office: Office) -> None:
    for version, status in enumerate(Status, 1):
        entry = office.record(version, KEY, YESTERDAY)
        ledger = Ledger(office.table, "service", LEASE)
        again = None if status.finished else office.now + timedelta(minutes=5)
        ledger.finish(ledger.claim(entry.pk, entry.event_id, version, office.now), status, None, again)


def test_failed_is_whatever_did_not_arrive(office: Office) -> None:
    every_fate(office)

    for arguments in ((), ("--job", JOB)):
        assert {each["status"] for each in deliveries("--failed", *arguments)} == {"failed", "disabled", "maybe_sent"}
        assert len(deliveries(*arguments)) == 5


def test_deliveries_to_one_destination_and_of_one_job(office: Office) -> None:
    sent(office, 1, "service", "team")
    sent(office, 1, "team", job=oration_key("j2"))

    assert [each["destination"] for each in deliveries("--to", "service")] == ["service"]
    assert [(each["job_key"], each["destination"]) for each in deliveries("--job", JOB)] == [
        (JOB, "service"),
        (JOB, "team"),
    ]
    assert len(deliveries("--to", "team")) == 2
    assert len(deliveries("--to", "team", "--job", JOB)) == 1


def test_without_a_time_a_week_is_looked_through_and_all_of_a_job(office: Office) -> None:
    for version, days in enumerate((100, 8, 6), 1):
        sent(office, version, at=YESTERDAY - timedelta(days=days - 1))

    assert [each["version"] for each in deliveries()] == [3]
    assert [each["version"] for each in deliveries("--since", "9d")] == [3, 2]
    assert [each["version"] for each in deliveries("--job", JOB)] == [3, 2, 1]
    assert [each["version"] for each in deliveries("--job", JOB, "--since", "9d")] == [3, 2]


def test_what_is_about_no_job_has_no_key(office: Office) -> None:
    outage = unreachable(observed_at=iso(YESTERDAY))
    office.route(office.keep(outage, "CONNECTION#mentionlab", "CONNECTION#mentionlab"), "service")
    office.work("service")

    [delivery] = deliveries()

    assert (delivery["event_id"], delivery["job_key"]) == (outage.id, None)
    assert "CONNECTION#mentionlab v1" in run(delivering.deliveries).stdout


def test_what_a_queue_still_holds_is_counted_and_not_listed(office: Office) -> None:
    for version in (1, 2):
        office.route(office.record(version, KEY, YESTERDAY), "service")

    result = run(delivering.deliveries, "--json")

    assert json.loads(result.stdout) == []
    assert result.stderr == "service: about 2 more in its queue, not taken up yet and so not listed\n"
    assert run(delivering.deliveries, "--to", "team").stderr == "no such delivery\n"


def test_ticks_ahead_of_the_clock_hide_no_delivery(office: Office) -> None:
    tomorrow = YESTERDAY + timedelta(days=3)
    sent(office, at=tomorrow)
    assert deliveries() == []

    tick = {"tick": {"N": str(epoch_minute(tomorrow))}}
    office.table.put(key(connection_pk("oration"), HEAD) | tick)

    assert len(deliveries()) == 1
    assert json.loads(run(delivering.recover, "--to", "team", "--since", "1d", "--json").stdout)["sent"] == {
        "missed": 1
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--to", "nobody"], "there is no destination 'nobody' here; configured: team, service"),
        (["--job", "nothing"], "'nothing' is no job key"),
        (["--job", "acme/job/p/1"], "there is no connection 'acme' here"),
        (["--job", "oration/job/acme/unheard"], "oration/job/acme/unheard is not known here"),
        (["--job", STEER], "is no job key"),
        (["--to", STEER], "there is no destination"),
    ],
)
def test_who_asks_for_what_is_not_there_is_told_so_in_a_line(office: Office, arguments: list[str], says: str) -> None:
    result = run(delivering.deliveries, *arguments)

    assert says in mistake(result)
    assert not steers(result.stderr)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("deliveries", ["--limit", "0"]),
        ("deliveries", ["--since", "yesterday"]),
        ("deliveries", ["--what"]),
        ("resend", []),
        ("recover", ["--to", "service"]),
        ("recover", ["--since", "1d"]),
        ("enable", []),
        ("test_notify", ["service", "--timeout", "0"]),
    ],
)
def test_wrong_use_is_exit_2(office: Office, command: str, arguments: list[str]) -> None:
    assert "Usage:" in mistake(run(getattr(delivering, command), *arguments), 2)


def test_nothing_that_a_receiver_says_steers_the_terminal(office: Office) -> None:
    def hostile(_: Notice) -> Receipt:
        raise DeliveryError(f"HTTP 418 {STEER}", Treatment.DISABLE, response=STEER)

    office.does["service"] = hostile
    sent(office)

    assert not steers(run(delivering.deliveries).output)
    enabled = run(delivering.enable, "service")
    assert "HTTP 418" in enabled.output
    assert not steers(enabled.output)


# resend


def test_resend_sends_to_every_destination_that_hears_of_the_event(office: Office) -> None:
    entry = sent(office, 1, "service", "team")

    result = run(delivering.resend, entry.event_id)

    assert result.stdout.splitlines() == [
        f"resent to {name}; `pollbridge deliveries` says what becomes of it" for name in ("team", "service")
    ]
    assert [office.work(name).counts for name in ("team", "service")] == [{"delivered": 1}] * 2
    assert len(office.got) == 4


def test_resend_prints_json(office: Office) -> None:
    entry = sent(office)

    result = run(delivering.resend, entry.event_id, "--to", "service", "--json")

    assert json.loads(result.stdout) == [
        {"event_id": entry.event_id, "destination": "service", "resent": True, "why": None}
    ]


def test_to_whom_it_is_named_an_event_goes_past_the_match(office: Office) -> None:
    entry = office.record(1, KEY, YESTERDAY, state="cancelled")

    assert run(delivering.resend, entry.event_id, "--json").stdout.count("destination") == 1
    assert run(delivering.resend, entry.event_id, "--to", "team").exit_code == 0
    assert office.work("team").counts == {"delivered": 1}


def test_an_event_that_nobody_hears_of_wants_a_destination(office: Office) -> None:
    office.destinations = {"team": office.destinations["team"]}
    entry = office.record(1, KEY, YESTERDAY, state="cancelled")

    assert "name one with --to" in mistake(run(delivering.resend, entry.event_id))


@pytest.mark.promise(38)
def test_resend_takes_the_event_out_of_the_dead_letters_and_twice_is_harmless(office: Office) -> None:
    office.does["service"] = refusing
    entry = sent(office)
    office.does["service"] = taking

    assert [run(delivering.resend, entry.event_id, "--to", "service").exit_code for _ in range(2)] == [0, 0]

    assert office.count("service", "dead_letter") == 0
    assert office.work("service").counts == {"delivered": 1, "already_done": 1}


@pytest.mark.promise(38)
def test_resend_finds_an_event_among_the_dead_letters_whose_history_has_expired(office: Office) -> None:
    office.does["service"] = refusing
    entry = sent(office)
    office.does["service"] = taking
    office.aws.client = type(office.aws.client)()

    assert run(delivering.resend, entry.event_id).exit_code == 0
    assert office.work("service").counts == {"delivered": 1}


AGAIN = {
    "resend": lambda entry: (delivering.resend, entry.event_id, "--to", "service"),
    "recover": lambda _: (delivering.recover, "--to", "service", "--since", "2d"),
}
"""The commands that have an event delivered once more."""


@pytest.mark.promise(38)
@pytest.mark.parametrize("command", AGAIN)
def test_the_letter_of_a_failure_right_after_the_sending_stays_and_the_old_one_goes(
    office: Office, command: str
) -> None:
    office.does["service"] = refusing
    entry = sent(office)
    old = office.letters("service")

    office.work_at_once("service")
    assert run(*AGAIN[command](entry)).exit_code == 0

    [delivery] = office.ledger(KEY)
    assert (delivery.status, len(delivery.attempts)) == (Status.FAILED, 2)
    new = office.letters("service")
    assert (set(new.values()), new.keys() & old.keys()) == ({entry.event_id}, set())


FATES: dict[str, Any] = {"delivered": taking, "waits for its retry": breaking, "failed": refusing}


@pytest.mark.promise(38)
@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("command", AGAIN)
def test_where_nothing_can_be_queued_everything_is_as_it_was(office: Office, command: str, fate: str) -> None:
    office.does["service"] = FATES[fate]
    entry = sent(office)
    before, letters = office.ledger(KEY), office.letters("service")

    office.sqs.broken = True
    if command == "resend" or fate == "failed":
        with pytest.raises(TimeoutError):
            run(*AGAIN[command](entry))
    else:
        run(*AGAIN[command](entry))

    assert (office.ledger(KEY), office.letters("service")) == (before, letters)


@pytest.mark.promise(38)
@pytest.mark.parametrize("command", AGAIN)
def test_who_is_interrupted_while_he_sends_leaves_everything_as_it_was(office: Office, command: str) -> None:
    office.does["service"] = refusing
    entry = sent(office)
    before, letters = office.ledger(KEY), office.letters("service")

    def interrupt() -> None:
        raise KeyboardInterrupt

    office.sqs.queued = interrupt
    run(*AGAIN[command](entry))

    assert (office.ledger(KEY), office.letters("service")) == (before, letters)


def disable(office: Office, name: str = "service") -> None:
    head = Destinations(office.table).head(name)
    why = Disabled(YESTERDAY, Cause.GONE, "HTTP 410")
    Destinations(office.table).disable(name, head, why, 1, office.entries.put(key("X", name)))


def test_nothing_is_resent_to_a_destination_that_is_disabled(office: Office) -> None:
    entry = sent(office, 1, "service", "team")
    disable(office)

    result = run(delivering.resend, entry.event_id, "--json")

    why = f"disabled since {iso(YESTERDAY)}: run `pollbridge enable service` first"
    assert (result.exit_code, result.stderr) == (1, f"pollbridge: service: {why}\n")
    assert [(each["destination"], each["resent"], each["why"]) for each in json.loads(result.stdout)] == [
        ("team", True, None),
        ("service", False, why),
    ]
    assert (office.count("team"), office.count("service")) == (1, 0)


def test_nothing_is_resent_that_is_being_delivered(office: Office) -> None:
    entry = office.record(1, KEY, YESTERDAY)
    Ledger(office.table, "service", LEASE).claim(entry.pk, entry.event_id, 1, datetime.now(UTC))

    told = mistake(run(delivering.resend, entry.event_id, "--to", "service"))

    assert told == "pollbridge: service: it is being delivered at this moment\n"


@pytest.mark.parametrize("event_id", ["no-such-event", "", STEER])
def test_an_event_that_is_nowhere_is_told_so(office: Office, event_id: str) -> None:
    told = mistake(run(delivering.resend, event_id))

    assert "in the history, nor among the dead letters" in told
    assert not steers(told)


# recover and enable


def test_recover_says_what_it_sent_and_what_it_left(office: Office) -> None:
    every_fate(office)
    office.record(9, KEY, YESTERDAY)

    result = run(delivering.recover, "--to", "service", "--since", iso(YESTERDAY))

    assert result.stdout.splitlines() == [
        "3 events sent to service: 1 disabled, 1 failed, 1 missed",
        "1 left alone: under way",
        "1 left alone: maybe sent, `resend` repeats one",
    ]
    assert office.count("service") == 3


def test_recover_prints_json_and_a_dry_run_changes_nothing(office: Office) -> None:
    office.does["service"] = refusing
    sent(office)

    dry = run(delivering.recover, "--to", "service", "--since", "2d", "--json", "--dry-run")
    words = run(delivering.recover, "--to", "service", "--since", "2d", "--dry-run")
    wet = run(delivering.recover, "--to", "service", "--since", "2d", "--json")

    told = {"destination": "service", "sent": {"failed": 1}, "left": {}}
    assert json.loads(dry.stdout) == told | {"dead_letters": 0}
    assert words.stdout == "1 event would be sent to service: 1 failed\n"
    assert json.loads(wet.stdout) == told | {"dead_letters": 1}


@pytest.mark.promise(38)
@pytest.mark.parametrize("since", ["61d", "100d", iso(YESTERDAY - KEEP)], ids=["61d", "100d", "a moment"])
def test_recover_reaches_no_further_back_than_deliveries_are_on_record(office: Office, since: str) -> None:
    """What was delivered before would look as if it had been missed, and be sent a second time."""
    office.record(1, KEY, YESTERDAY - KEEP)

    for more in ([], ["--dry-run"], ["--json"]):
        told = mistake(run(delivering.recover, "--to", "service", "--since", since, *more))
        assert "on record for 60 days" in told and "--since" in told and "`resend`" in told
    assert office.count("service") == 0


@pytest.mark.promise(38)
def test_recover_reaches_back_as_far_as_deliveries_are_on_record(office: Office) -> None:
    office.record(1, KEY, YESTERDAY - KEEP + timedelta(days=1, hours=1))

    result = run(delivering.recover, "--to", "service", "--since", iso(YESTERDAY - KEEP + timedelta(days=1, hours=1)))

    assert result.stdout == "1 event sent to service: 1 missed\n"


@pytest.mark.promise(38)
def test_recover_sends_what_was_forsaken_in_its_queue_and_deliveries_lists_it_before(office: Office) -> None:
    entry = office.record(1, KEY, YESTERDAY)
    Ledger(office.table, "service", LEASE).put_off(entry.pk, entry.event_id, 1, YESTERDAY)
    assert [each["status"] for each in deliveries()] == ["pending"]

    result = run(delivering.recover, "--to", "service", "--since", "2d")

    assert result.stdout == "1 event sent to service: 1 pending\n"
    assert office.work("service").counts == {"delivered": 1}


def test_recover_with_nothing_to_do_says_so(office: Office) -> None:
    result = run(delivering.recover, "--to", "service", "--since", "2d")

    assert (result.exit_code, result.stdout) == (0, "0 events sent to service\n")


def test_disabled_enabled_recovered_everything_has_arrived(office: Office) -> None:
    office.does["service"] = closing
    # They were seen before the destination was disabled, and so was what was under way then.
    entries = [sent(office, version) for version in (1, 2, 3)]
    office.does["service"] = taking
    office.got.clear()
    refused = mistake(run(delivering.recover, "--to", "service", "--since", "2d"))
    assert "is disabled since" in refused and "pollbridge enable service" in refused

    enabled = run(delivering.enable, "service")
    first, second = enabled.stdout.splitlines()
    assert first == f"service is enabled; it was disabled since {iso(office.now)}: HTTP 410"
    assert second.startswith("what it missed: pollbridge recover ")
    assert run(delivering.recover, *second.split("recover ")[1].split()).exit_code == 0

    office.work("service")
    assert office.got == [("service", entry.event_id) for entry in entries]
    assert office.count("service", "dead_letter") == 0


def test_enable_twice_is_fine_and_json_says_since_when(office: Office) -> None:
    disable(office)

    told = [json.loads(run(delivering.enable, "service", "--json").stdout) for _ in range(2)]

    assert told == [
        {"destination": "service", "was_disabled_since": iso(YESTERDAY)},
        {"destination": "service", "was_disabled_since": None},
    ]
    assert run(delivering.enable, "service").stdout == "service was not disabled\n"


def test_enable_says_when_the_rule_is_off(office: Office) -> None:
    office.destinations = {"service": {**office.destinations["service"], "enabled": False}}

    assert "its rule is off" in run(delivering.enable, "service").stderr


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("resend", ["event", "--to", "nobody"]),
        ("recover", ["--to", "nobody", "--since", "1d"]),
        ("enable", ["nobody"]),
        ("test_notify", ["nobody"]),
    ],
)
def test_an_unknown_destination_is_told_in_a_line(office: Office, command: str, arguments: list[str]) -> None:
    told = mistake(run(getattr(delivering, command), *arguments))

    assert told == "pollbridge: there is no destination 'nobody' here; configured: team, service\n"


# test-notify


class Waiting:
    """Time that passes while it is waited, and what happens meanwhile."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.seconds = 0.0
        self.meanwhile = meanwhile

    def pause(self, seconds: float) -> None:
        self.seconds += seconds
        self.meanwhile()

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.seconds, self.pause)


def try_out(office: Office, does: Callable[[Notice], Receipt], *arguments: str) -> tuple[Result, Waiting]:
    office.does["service"] = does
    waiting = Waiting(lambda: office.work("service"))
    return run(delivering.test_notify, "service", *arguments, obj=waiting.clock), waiting


def test_test_notify_says_that_the_receiver_took_it(office: Office) -> None:
    result, waiting = try_out(office, taking)

    assert result.exit_code == 0
    assert result.stdout.startswith("service took it: HTTP 200 after ")
    assert waiting.seconds < 1


def test_test_notify_prints_the_delivery(office: Office) -> None:
    result, _ = try_out(office, taking, "--json")

    delivery = json.loads(result.stdout)
    assert (delivery["status"], delivery["destination"], len(delivery["attempts"])) == ("delivered", "service", 1)
    assert delivery["job_key"].startswith("pollbridge/test/service/")


@pytest.mark.parametrize(
    ("does", "why"),
    [
        (breaking, "HTTP 500"),
        (refusing, "HTTP 400"),
        (closing, "HTTP 410"),
        (lambda n: n.detail["x"], "the notifier broke: KeyError"),
    ],
)
def test_test_notify_says_why_the_receiver_did_not_take_it(office: Office, does: Any, why: str) -> None:
    result, _ = try_out(office, does)

    assert mistake(result) == f"pollbridge: service did not take it: {why}\n"


def test_what_was_tried_in_vain_does_not_arrive_later(office: Office) -> None:
    result, _ = try_out(office, breaking, "--json")
    delivery = json.loads(result.stdout)
    assert (result.exit_code, delivery["status"], delivery["next_attempt_at"]) == (1, "failed", None)

    ledger = Ledger(office.table, "service", LEASE)
    standing = ledger.claim(f"JOB#{delivery['job_key']}", delivery["event_id"], 1, office.now + timedelta(days=1))
    assert standing.status is Status.FAILED


def test_test_notify_gives_up_when_nobody_takes_it(office: Office) -> None:
    waiting = Waiting()

    result = run(delivering.test_notify, "service", "--timeout", "20", obj=waiting.clock)

    assert mistake(result).startswith("pollbridge: nobody took it up within 20 s: is the notifier of service running?")
    assert waiting.seconds == 20
    assert office.work("service").counts == {"already_done": 1}


def test_test_notify_says_that_the_receiver_asks_to_be_left_alone(office: Office) -> None:
    def later(_: Notice) -> Receipt:
        raise DeliveryError("HTTP 429", Treatment.LATER, code=429, wait=timedelta(hours=1))

    result, _ = try_out(office, later, "--timeout", "5")

    until = iso(office.now + timedelta(hours=1))
    assert mistake(result) == f"pollbridge: service asks to be left alone until {until}: it was not tried\n"


def test_test_notify_sends_nothing_to_a_destination_that_is_disabled(office: Office) -> None:
    disable(office)

    assert "is disabled since" in mistake(run(delivering.test_notify, "service"))
    assert office.count("service") == 0
