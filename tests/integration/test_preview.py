"""`pollbridge route` and `render`: who would hear of an event and why, and what they would be sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings

from pollbridge import config
from pollbridge.cli import preview
from pollbridge.cli.deployment import Deployment
from pollbridge.config import Match
from pollbridge.history.table import Table
from pollbridge.model.event import Event
from pollbridge.notifying import webhook
from pollbridge.notifying.slack.message import message
from pollbridge.routing import pattern
from tests.kit.envelopes import EVENTS, TYPES, about_job, disabled, envelope, moto_matches, of_type
from tests.kit.events import notice, recovered, unreachable
from tests.kit.memory import Memory

DESTINATIONS: dict[str, dict[str, Any]] = {
    "team": {"type": "slack", "secret": "t", "match": {"labels": {"team": ["docs"]}}},
    "service": {"type": "webhook", "secret": "w", "match": {"vendor": ["oration"], "state": ["succeeded", "failed"]}},
    "everything": {"type": "webhook", "secret": "w", "match": {"pattern": {}}},
    "raw": {"type": "webhook", "secret": "w", "match": {"pattern": {"detail": {"version": [{"numeric": [">", 1]}]}}}},
    "off": {"type": "slack", "secret": "t", "enabled": False},
}

STEER = "\x1b[31m\x9b2J\u202e\x07"
"""What colours a terminal, clears it, turns its text around and rings its bell."""

Told = dict[str, Any]


@pytest.fixture(autouse=True)
def deployment(monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """What `find` finds."""
    values = {"vendors": {"oration": {"secret": "s"}}, "destinations": DESTINATIONS}
    found = Deployment("Pollbridge", Table(Memory(), "history"), "pollbridge", config.check(values, "test"), {})
    monkeypatch.setattr(preview, "find", lambda: found)
    return found


def detail(event: Event) -> Told:
    told: Told = json.loads(event.json_text())
    return told


def posted(event: Event) -> Told:
    """As a webhook's receiver got it."""
    body: Told = json.loads(webhook.body(notice(event)))
    return body


def tailed(event: Event) -> list[Told]:
    """As `tail --limit 1 --json` prints it."""
    return [{"detail_type": event.detail_type, "detail": detail(event)}]


def run(command: Any, value: Any, *arguments: str) -> Result:
    text = value if isinstance(value, bytes) else json.dumps(value)
    return CliRunner().invoke(command, ["-", *arguments], input=text)


def answers(value: Any) -> dict[str, tuple[bool, str]]:
    result = run(preview.route, value, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    return {answer["destination"]: (answer["matches"], answer["why"]) for answer in json.loads(result.stdout)}


def mistake(result: Result) -> str:
    """The one line that a refused file is told in."""
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    return result.stderr


# route


def test_route_says_of_every_destination_whether_it_hears_and_why() -> None:
    result = run(preview.route, envelope(about_job("state_changed", labels={"team": "docs"})))

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "team        yes  Job State Changed, job.labels.team docs",
        'service     no   to.state is "running"; wanted succeeded, failed',
        "everything  yes  everything",
        "raw         yes  version 2",
        "off         no   enabled = false: its rule is off",
    ]


def test_route_prints_json() -> None:
    result = run(preview.route, detail(unreachable()), "--json")

    assert json.loads(result.stdout)[:2] == [
        {"destination": "team", "matches": True, "why": "Vendor Unreachable"},
        {"destination": "service", "matches": False, "why": 'vendor is "mentionlab"; wanted oration'},
    ]


def test_a_file_is_read_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text("\ufeff" + json.dumps(detail(disabled("team"))), "utf-8")

    result = CliRunner().invoke(preview.route, [str(tmp_path / "event.json")])

    assert result.stdout.splitlines()[0] == 'team        no   destination is "team"; wanted {"anything-but": ["team"]}'
    assert result.stdout.splitlines()[1] == "service     yes  Destination Disabled, destination team"


@pytest.mark.parametrize("name", TYPES)
def test_an_event_is_the_same_in_every_form(name: str) -> None:
    event = of_type(name)

    assert answers(envelope(event)) == answers(detail(event)) == answers(posted(event)) == answers(tailed(event))
    assert answers(envelope(event)) == answers({"detail-type": name, "detail": detail(event)})


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (
            about_job("progressed", labels={"team": "docs"}),
            'detail-type is "Job Progressed"; wanted Job State Changed, ',
        ),
        (about_job("error_changed", labels={"team": "docs"}), 'reasons is "error_changed"; wanted link_added'),
        (about_job("lost"), "job.labels.team is absent; wanted docs"),
        (about_job("lost", labels={"team": "web"}), 'job.labels.team is "web"; wanted docs'),
    ],
)
def test_the_reason_is_that_of_the_branch_for_the_events_own_type(event: Event, why: str) -> None:
    matches, told = answers(envelope(event))["team"]

    assert not matches
    assert told.startswith(why)


@pytest.mark.promise(28)
def test_what_another_source_says_reaches_nobody() -> None:
    theirs = {**envelope(about_job("lost")), "source": "them"}

    assert not any(matches for matches, _ in answers(theirs).values())
    assert answers(theirs)["everything"] == (False, 'source is "them"; wanted pollbridge')


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=EVENTS)
def test_route_answers_from_the_patterns_of_the_rules(event: Event) -> None:
    heard = {name for name, (matches, _) in answers(envelope(event)).items() if matches}

    assert heard == {
        name
        for name, destination in DESTINATIONS.items()
        if destination.get("enabled", True)
        and moto_matches(pattern(Match.model_validate(destination.get("match", {})), name), envelope(event))
    }


def test_without_destinations_route_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = Deployment("P", Table(Memory(), "h"), "b", config.check({"vendors": {"scale": {"secret": "s"}}}, "t"), {})
    monkeypatch.setattr(preview, "find", lambda: bare)

    assert run(preview.route, detail(disabled())).stdout == "no destination is configured\n"
    assert run(preview.route, detail(disabled()), "--json").stdout == "[]\n"


# render


@pytest.mark.parametrize("name", TYPES)
def test_render_prints_what_slack_would_be_sent(name: str) -> None:
    event = of_type(name)

    result = run(preview.render, envelope(event), "--to", "team")

    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == message(notice(event))
    assert {"text", "blocks"} <= json.loads(result.stdout).keys()


@pytest.mark.promise(34)
@pytest.mark.parametrize("name", TYPES)
def test_render_prints_the_very_bytes_that_a_webhook_would_be_sent(name: str) -> None:
    event = of_type(name)

    result = run(preview.render, envelope(event), "--to", "service", "--json")

    assert result.stdout_bytes == webhook.body(notice(event)).encode()
    assert json.loads(run(preview.render, envelope(event), "--to", "service").stdout) == posted(event)


@pytest.mark.parametrize("event", [about_job("lost"), recovered(), disabled()])
def test_render_takes_every_form(event: Event) -> None:
    forms = [envelope(event), detail(event), posted(event), tailed(event)]

    assert len({run(preview.render, form, "--to", "team").stdout for form in forms}) == 1


def test_render_thins_what_is_too_long_as_the_notifier_does() -> None:
    event = about_job("lost", error="e" * 4000, message="\x01" * 680, labels={str(n): "x" * 1000 for n in range(20)})

    result = run(preview.render, envelope(event), "--to", "service", "--json")

    assert result.stdout == webhook.body(notice(event))
    assert len(result.stdout_bytes) <= webhook.BODY_LIMIT


def test_later_fields_of_an_event_are_left_out() -> None:
    later = {**detail(about_job("lost")), "mood": "fine"}

    assert (
        run(preview.render, later, "--to", "service").stdout
        == run(preview.render, detail(about_job("lost")), "--to", "service").stdout
    )


def test_a_destination_that_is_not_there_is_named() -> None:
    refused = mistake(run(preview.render, detail(disabled()), "--to", "nobody"))

    assert refused == (
        "pollbridge: there is no destination 'nobody' here: there is team, service, everything, raw, off\n"
    )


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"to": None}, "to: "),
        ({"version": "two"}, "version: "),
        ({"reasons": ["because"]}, "there is no reason 'because', it is one of first_seen, "),
        ({"schema": "2"}, "schema: "),
        ({"job": {"key": "oration/job/p/1"}}, "job.kind: is missing (and 4 more)"),
        ({"links": [{"rel": "x"}]}, "links.0.href: is missing"),
    ],
)
def test_an_event_that_pollbridge_does_not_tell_is_a_line_that_names_the_field(changed: Told, why: str) -> None:
    refused = mistake(run(preview.render, {**detail(about_job("lost")), **changed}, "--to", "team"))

    assert refused.startswith(f"pollbridge: standard input holds no event of pollbridge: {why}")


def test_an_event_under_the_name_of_another_is_refused() -> None:
    wrong = {"detail-type": "Job Progressed", "detail": detail(about_job("lost"))}

    assert "it says Job Progressed, and its reasons make it Job Lost" in mistake(
        run(preview.render, wrong, "--to", "team")
    )
    unheard_of = {"detail-type": "Job Watch Requested", "detail": {"key": "oration/job/p/1"}}
    assert "there is no 'Job Watch Requested'" in mistake(run(preview.render, unheard_of, "--to", "team"))


# Files that hold no event

BAD: list[tuple[Any, str]] = [
    (b"", "it is not JSON: "),
    (b"{", "it is not JSON: "),
    (b"[" * 100_000, "it is nested too deeply"),
    (b"1" * 5000, "it is not JSON: "),
    (b'{"detail-type": "Job Lost", "detail": {"version": NaN}}', "it is not JSON: NaN is no number of JSON"),
    (b'{"detail-type": "Job Lost", "detail": {"error": "\\ud800"}}', "it is not JSON: "),
    ([], "it is to be an event as the bus has it"),
    ([{}, {}], "it is to be an event as the bus has it"),
    ({}, "it is to be an event as the bus has it"),
    ({"detail-type": "Job Lost"}, "it is to be an event as the bus has it"),
    ({"detail-type": "Job Lost", "detail": "{}"}, "it is to be an event as the bus has it"),
    ({"job": {}, "reasons": []}, "it is to be an event as the bus has it"),
    ({"job": {}, "reasons": [{}]}, "there is no reason {}"),
    ({"type": "job.gone", "data": {}}, "there is no type 'job.gone', it is one of job.state_changed, "),
]


@pytest.mark.parametrize(("value", "why"), BAD, ids=[why[:30] for _, why in BAD])
@pytest.mark.parametrize("command", [(preview.route,), (preview.render, "--to", "team")], ids=["route", "render"])
def test_a_file_that_holds_no_event_is_one_line(command: Any, value: Any, why: str) -> None:
    refused = mistake(run(command[0], value, *command[1:]))

    assert refused.startswith(f"pollbridge: standard input holds no event of pollbridge: {why}")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b'"\xe9"')

    for path in (tmp_path / "nowhere", tmp_path, tmp_path / "latin"):
        refused = mistake(CliRunner().invoke(preview.route, [str(path)]))
        assert refused.startswith(f"pollbridge: {path} cannot be read: ")


# What a file says is not to be trusted

HOSTILE = about_job("state_changed", error=STEER, message=STEER * 50, labels={"team": STEER}, scope=f"p{STEER}")


def steers(text: str) -> bool:
    return any(not (one.isprintable() or one == "\n") for one in text)


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_nothing_in_an_event_steers_the_terminal(arguments: tuple[str, ...]) -> None:
    told = {**envelope(HOSTILE), "source": STEER}

    assert not steers(run(preview.route, told, *arguments).stdout)
    assert not steers(run(preview.route, envelope(HOSTILE), *arguments).stdout)
    assert not steers(run(preview.route, {"type": STEER, "data": {STEER: STEER}}).stderr)
    assert not steers(run(preview.render, envelope(HOSTILE), "--to", "team").stdout)
    assert not steers(run(preview.render, envelope(HOSTILE), "--to", "service").stdout)


def test_on_a_terminal_the_body_is_escaped_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "_on_terminal", lambda: True)

    shown = run(preview.render, envelope(HOSTILE), "--to", "service", "--json").stdout

    assert not steers(shown)
    assert json.loads(shown) == posted(HOSTILE)


def test_a_reason_is_cut_where_it_is_too_long_to_read() -> None:
    long = about_job("state_changed", labels={"team": "x" * 100_000})

    assert len(answers(envelope(long))["team"][1].encode()) <= preview.WHY_LIMIT
