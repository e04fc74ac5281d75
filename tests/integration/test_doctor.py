"""`doctor` finds what needs a person, says what to do about it, and exits 1 as long as there is any."""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from click.testing import CliRunner, Result
from moto import mock_aws

from pollbridge.cli import doctor
from pollbridge.cli.doctor import alarms, history
from pollbridge.cli.doctor.credentials import SECRETS
from pollbridge.cli.doctor.destinations import DESTINATIONS as STANDINGS
from pollbridge.cli.doctor.destinations import PREFIX, QUEUES
from pollbridge.cli.doctor.finding import Finding, Level, Question, Subject
from pollbridge.cli.doctor.history import HISTORY
from pollbridge.cli.doctor.vendors import VENDORS
from pollbridge.history.destinations import Destinations, Disabled
from pollbridge.history.entries import UNPUBLISHED
from pollbridge.history.heads import by_state, job_pk
from pollbridge.history.table import key
from pollbridge.model.event import Cause, Trouble
from pollbridge.model.health import Ailment, Health
from pollbridge.model.instant import iso, read_iso, sortable
from pollbridge.model.job import JobKey
from pollbridge.notifying.retries import OLDEST
from pollbridge.polling.client import VendorClient
from tests.kit.offices import DESTINATIONS, breaking, refusing
from tests.kit.stranger import DROP, Reply, Stranger, stranger
from tests.kit.sweeping import oration_key
from tests.kit.wards import BUS, Ward, admitting, arn, last

STEER = "\x1b[31m\x9b2J\u202e\x07"
SINCE = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
LONG_AGO = timedelta(hours=2)

Findings = dict[str, dict[str, Any]]


@pytest.fixture
def admit(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Ward]]:
    """Makes the deployment that doctor looks at; where it looks at one subject only, there is little more to it."""

    def admit(only: Subject | None = None, **settings: Any) -> Ward:
        ward = Ward(whole=only is None, **settings)
        if only:
            monkeypatch.setattr(doctor, "SUBJECTS", (only,))
        monkeypatch.setattr(doctor, "find", lambda: ward.deployment)
        monkeypatch.setattr(doctor, "client", ward.client)
        return ward

    with mock_aws():
        yield admit


@pytest.fixture
def ward(admit: Callable[..., Ward]) -> Ward:
    return admit()


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(doctor.doctor, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def told(*arguments: str) -> list[dict[str, Any]]:
    result = run("--json", *arguments)
    found: list[dict[str, Any]] = json.loads(result.stdout)
    assert result.stderr == ""
    assert all(each.keys() == {"check", "about", "says", "do", "level", "ok"} for each in found)
    assert all(each["ok"] is (each["do"] is None) is (each["level"] == "ok") for each in found)
    levels = {each["level"] for each in found}
    assert result.exit_code == (1 if "bad" in levels else 3 if "unknown" in levels else 0)
    return found


def findings(level: str = "bad") -> Findings:
    """By check, those of that level. There is no other trouble."""
    found = [each for each in told() if not each["ok"]]
    assert {each["level"] for each in found} <= {level}
    return {each["check"]: each for each in found}


def disable(ward: Ward, name: str = "service", error: str = "HTTP 410") -> None:
    destinations = Destinations(ward.table)
    entry = ward.entries.put(key("X", name))
    destinations.disable(name, destinations.head(name), Disabled(SINCE, Cause.GONE, error), 1, entry)


def test_where_all_is_well_there_is_a_line_for_each_subject_and_it_exits_0(ward: Ward) -> None:
    result = run()

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "ok  configuration: is deployed and can be read; only public addresses are dialled",
        "ok  table and bus: are there, with stream, backups and expiry on",
        "ok  functions: all 6 can run",
        "ok  schedules: all fire",
        "ok  routes: stream and queues are worked off, rules are as configured",
        "ok  secrets: all 3 are there and well-formed",
        "ok  connection oration: not asked: there is no list to read and no job to ask for yet",
        "ok  destinations: all 2 are delivered to",
        "ok  queues: let their rules in, and no failure waits for a person",
        "ok  history: all is published, and every followed job is looked at",
        "ok  alarms: none of 3 rings, and somebody would hear it",
        "Nothing needs a person.",
    ]


def test_what_is_well_is_told_one_by_one_when_asked_for(ward: Ward) -> None:
    lines = run("--verbose").stdout.splitlines()

    assert "ok  notifier of team: can run" in lines
    assert "ok  secret w: is there and well-formed, for destination service" in lines
    assert "ok  alarm topic: is read by oncall@example.com" in lines
    assert len(lines) == len(told()) + 1


def test_a_deployment_of_an_older_release_is_to_be_deployed_again(admit: Callable[..., Ward]) -> None:
    older = dict.fromkeys(("scheduled", "schedules", "auditor_schedule", "mappings", "failures", "alarm_topic"))
    admit(extra=older)

    found = findings("warn")["configuration"]

    assert "an older release deployed it" in found["says"]
    assert found["do"] == "deploy again: npx cdk deploy"


def test_a_release_that_differs_from_the_deployed_one_is_told(admit: Callable[..., Ward]) -> None:
    admit(extra={"version": "0.0.1"})

    assert findings("warn")["configuration"]["says"].startswith("release 0.0.1 deployed it")


def test_private_addresses_are_named(ward: Ward) -> None:
    ward.destinations = DESTINATIONS | {"team": {**DESTINATIONS["team"], "allow_private": True}}

    found = findings("warn")["allow_private"]

    assert (found["about"], found["says"]) == ("destination team", "may reach private addresses, and speak plain http")
    assert "take allow_private out" in found["do"]


def test_a_table_that_is_gone_is_told_beside_what_could_not_be_looked_at_without_it(ward: Ward) -> None:
    ward.aws_("dynamodb").delete_table(TableName="history")

    levels = {each["check"]: each["level"] for each in told() if not each["ok"]}

    assert levels == {"table": "bad", "backups": "unknown", "expiry": "unknown", "mapping": "unknown"}


def test_a_stream_that_is_off_is_told_with_how_to_put_it_on(ward: Ward) -> None:
    ward.aws_("dynamodb").update_table(TableName="history", StreamSpecification={"StreamEnabled": False})

    assert "--stream-specification StreamEnabled=true,StreamViewType=NEW_IMAGE" in findings()["stream"]["do"]


def test_a_mapping_that_reads_a_stream_of_before_is_told(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    lambda_, before = ward.aws_("lambda"), {"EventSourceArn": f"{ward.stream}-of-before"}
    mapping = lambda_.get_event_source_mapping
    monkeypatch.setattr(lambda_, "get_event_source_mapping", lambda **wish: mapping(**wish) | before)

    assert "is cut: the mapping reads what was there before" in findings()["mapping"]["says"]


def test_backups_and_expiry_that_are_off_are_told_and_need_nobody_at_once(ward: Ward) -> None:
    dynamodb = ward.aws_("dynamodb")
    dynamodb.update_continuous_backups(
        TableName="history", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
    )
    off = {"Enabled": False, "AttributeName": "expires_at"}
    dynamodb.update_time_to_live(TableName="history", TimeToLiveSpecification=off)

    found = findings("warn")

    assert "PointInTimeRecoveryEnabled=true" in found["backups"]["do"]
    assert "AttributeName=expires_at" in found["expiry"]["do"]


def test_a_bus_that_is_gone_is_told(ward: Ward) -> None:
    events = ward.aws_("events")
    for rule in events.list_rules(EventBusName=BUS)["Rules"]:
        events.remove_targets(Rule=rule["Name"], EventBusName=BUS, Ids=["Queue"])
        events.delete_rule(Name=rule["Name"], EventBusName=BUS)
    events.delete_event_bus(Name=BUS)

    found = {each["check"]: each for each in told() if not each["ok"]}

    assert "heard by nobody" in found["bus"]["says"]
    assert found["bus"]["do"].startswith("aws events create-event-bus --name pollbridge")


def test_a_function_that_is_gone_is_told(ward: Ward) -> None:
    ward.aws_("lambda").delete_function(FunctionName="registrar")

    assert findings()["function"]["about"] == "registrar"


def test_a_function_that_is_throttled_to_nothing_is_told(ward: Ward) -> None:
    ward.aws_("lambda").put_function_concurrency(FunctionName="notifier-team", ReservedConcurrentExecutions=0)

    found = findings()["function"]

    assert found["about"] == "notifier of team"
    assert found["do"] == "aws lambda delete-function-concurrency --function-name notifier-team"


def test_the_function_of_the_api_is_looked_at_where_there_is_one(admit: Callable[..., Ward]) -> None:
    admit(extra={"api": {"function": "nowhere", "url": "https://api.example", "callers": "…"}})

    assert findings()["function"]["about"] == "API"


def test_an_api_whose_url_asks_for_signatures_is_no_trouble(ward: Ward) -> None:
    ward.api(AuthType="AWS_IAM")

    assert findings() == {}
    assert "ok  functions: all 7 can run" in run().stdout


def test_an_api_whose_url_asks_nobody_who_they_are_is_told(ward: Ward) -> None:
    ward.api(AuthType="NONE")

    found = findings()["url"]

    assert (found["about"], found["says"]) == ("API", "its URL asks nobody who they are: its AuthType is NONE")
    assert found["do"] == "aws lambda update-function-url-config --function-name api --auth-type AWS_IAM"


def test_an_api_without_its_url_is_told(ward: Ward) -> None:
    ward.api()

    assert findings()["url"]["says"] == "its URL is gone: nobody reaches it"


def change_schedule(ward: Ward, name: str, **change: Any) -> None:
    scheduler = ward.aws_("scheduler")
    held = scheduler.get_schedule(Name=name)
    kept = {part: held[part] for part in ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target", "State")}
    scheduler.update_schedule(**kept | change)


@pytest.mark.promise(52)
@pytest.mark.parametrize("name", ["oration", "auditor"])
def test_a_schedule_that_is_switched_off_is_told(ward: Ward, name: str) -> None:
    change_schedule(ward, name, State="DISABLED")

    found = findings()["schedule"]

    assert found["says"].startswith("is disabled")
    assert f"aws scheduler get-schedule --name {name}" in found["do"]


def test_a_schedule_that_is_gone_is_told(ward: Ward) -> None:
    ward.aws_("scheduler").delete_schedule(Name="oration")

    assert findings()["schedule"]["says"] == "is gone: there is no schedule oration"


def test_a_schedule_that_invokes_another_function_is_told(ward: Ward) -> None:
    held = ward.aws_("scheduler").get_schedule(Name="oration")["Target"]
    change_schedule(ward, "oration", Target=held | {"Arn": arn("lambda", "function:another")})

    assert findings()["schedule"]["says"] == "invokes another instead of poller-oration"


def test_schedules_that_were_deployed_off_are_no_trouble(admit: Callable[..., Ward]) -> None:
    admit(scheduled=False).swept(LONG_AGO)

    result = run()

    assert result.exit_code == 0
    assert "ok  schedules: off, as it was deployed; sweep by hand: pollbridge local tick" in result.stdout


def test_sweeps_made_by_hand_that_are_not_completed_are_told(admit: Callable[..., Ward]) -> None:
    admit(scheduled=False).swept(LONG_AGO, begun=timedelta(hours=1))

    assert "sweeps begin, and are not completed" in findings()["ticks"]["says"]


@pytest.mark.parametrize("scheduled", [True, False])
def test_a_vendor_that_was_down_since_the_deploy_is_told(admit: Callable[..., Ward], scheduled: bool) -> None:
    ward, since = admit(scheduled=scheduled), iso(datetime.now(UTC) - timedelta(hours=10))
    ailment = Ailment(reason=Trouble.UNREACHABLE, error="HTTP 503", since=since, ticks=600, told=True)
    ward.ails(Health(connection=ailment))
    head = ward.table.get("CONNECTION#oration", "HEAD")
    del head["completed_tick"]
    ward.table.put(head)

    found = {each["check"]: each for each in told("--offline") if not each["ok"]}

    assert found["ticks"]["says"].endswith("no sweep was completed: nothing is answered (HTTP 503)")
    assert (found["ticks"]["level"], found["health"]["level"]) == ("warn", "bad")


@pytest.mark.promise(52)
def test_a_poller_that_is_dead_is_told(ward: Ward) -> None:
    ward.swept(LONG_AGO)

    found = findings()["ticks"]

    assert found["about"] == "connection oration"
    assert "its poller dies, or is not invoked" in found["says"]
    assert found["do"] == "aws logs tail /aws/lambda/poller-oration --since 1h"


def test_sweeps_that_begin_and_never_end_are_told(ward: Ward) -> None:
    ward.swept(LONG_AGO, begun=timedelta(0))

    assert "sweeps begin, and are not completed" in findings()["ticks"]["says"]


@pytest.mark.parametrize(
    "excuse",
    [
        {"waits_until": {"S": sortable(datetime.now(UTC) + timedelta(hours=1))}},
        {
            "health": {
                "S": str(Health(connection=Ailment(reason=Trouble.UNREACHABLE, error="HTTP 503", since=iso(SINCE))))
            }
        },
        {"round_tick": {"N": "1"}, "round_start": {"S": f"1 {oration_key()}"}, "cursor": {"S": f"1 {oration_key()}"}},
    ],
    ids=["waiting", "failing", "unfinished"],
)
def test_what_the_vendor_is_to_blame_for_is_not_the_schedules(ward: Ward, excuse: dict[str, Any]) -> None:
    ward.swept(LONG_AGO, begun=timedelta(0), **excuse)

    [found] = [each for each in told("--offline") if each["check"] == "ticks"]

    assert found["level"] == "warn"


def test_a_deployment_of_a_moment_ago_may_have_no_sweep_yet(ward: Ward) -> None:
    ward.aws.client.items.clear()
    ward.aws.client.partitions[None].clear()

    assert "was not swept yet" in findings("warn")["ticks"]["says"]


@pytest.mark.parametrize(
    ("mapping", "about"),
    [
        (lambda ward: ward.mappings["publisher"], "stream to the publisher"),
        (lambda ward: ward.mappings["registrar"], "requests to the registrar"),
        (lambda ward: ward.parts["team"]["mapping"], "queue of team to its notifier"),
    ],
    ids=["stream", "requests", "destination"],
)
def test_a_mapping_that_is_off_is_told(ward: Ward, mapping: Callable[[Ward], str], about: str) -> None:
    ward.aws_("lambda").update_event_source_mapping(UUID=mapping(ward), Enabled=False)

    found = findings()["mapping"]

    assert found["about"] == about
    assert found["do"] == f"aws lambda update-event-source-mapping --uuid {mapping(ward)} --enabled"


def test_a_mapping_that_is_gone_is_told(ward: Ward) -> None:
    ward.aws_("lambda").delete_event_source_mapping(UUID=ward.parts["team"]["mapping"])

    assert findings()["mapping"]["says"] == "is cut: the mapping is gone"


@pytest.mark.parametrize("name", ["publisher", "registrar"])
def test_a_mapping_that_somebody_made_in_its_place_will_do(ward: Ward, name: str) -> None:
    lambda_ = ward.aws_("lambda")
    before = lambda_.delete_event_source_mapping(UUID=ward.mappings[name])
    ward._mapping(name, before["EventSourceArn"])

    assert findings() == {}
    assert "is worked off, by a mapping that the stack does not know" in run().stdout


def test_a_rule_that_is_disabled_by_hand_is_told(ward: Ward) -> None:
    ward.aws_("events").disable_rule(Name="team", EventBusName=BUS)

    found = findings()["rule"]

    assert "is disabled, though the configuration wants it enabled" in found["says"]
    assert found["do"] == "aws events enable-rule --name team --event-bus-name pollbridge"


def test_a_rule_that_is_enabled_by_hand_is_told(ward: Ward) -> None:
    ward.destinations = DESTINATIONS | {"team": {**DESTINATIONS["team"], "enabled": False}}

    assert findings()["rule"]["do"] == "aws events disable-rule --name team --event-bus-name pollbridge"


def test_a_rule_whose_pattern_is_another_is_told_with_the_right_one(ward: Ward) -> None:
    ward.aws_("events").put_rule(Name="team", EventBusName=BUS, EventPattern='{"source": ["elsewhere"]}')

    found = findings()["pattern"]

    assert "changed by hand" in found["says"]
    assert '"source":["pollbridge"]' in found["do"]


def test_a_rule_without_its_queue_is_told(ward: Ward) -> None:
    ward.aws_("events").remove_targets(Rule="team", EventBusName=BUS, Ids=["Queue"])

    found = findings()["rule"]

    assert "leads nowhere" in found["says"]
    assert arn("sqs", last(ward.parts["team"]["queue"])) in found["do"]


def test_a_rule_that_is_gone_is_told_with_how_to_make_it(ward: Ward) -> None:
    ward.aws_("events").remove_targets(Rule="team", EventBusName=BUS, Ids=["Queue"])
    ward.aws_("events").delete_rule(Name="team", EventBusName=BUS)

    found = findings()["rule"]

    assert found["says"] == "is gone: team hears of nothing new"
    assert found["do"].startswith("aws events put-rule --name team --event-bus-name pollbridge --state ENABLED")
    assert "aws events put-targets" in found["do"]


def test_a_number_that_cloudformation_made_a_text_is_no_change_of_a_pattern(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"detail": {"progress": {"failed": [{"numeric": [">", 5]}]}}}
    ward.destinations = DESTINATIONS | {"team": {"type": "slack", "secret": "t", "match": {"pattern": wanted}}}
    written = json.dumps({"detail": {"progress": {"failed": [{"numeric": [">", "5"]}]}}, "source": ["pollbridge"]})
    events = ward.aws_("events")
    rule = events.describe_rule
    of_team = {"team": {"EventPattern": written}}
    monkeypatch.setattr(events, "describe_rule", lambda **wish: rule(**wish) | of_team.get(wish["Name"], {}))

    assert findings() == {}


def test_requests_that_nobody_routes_are_told(ward: Ward) -> None:
    ward.aws_("events").disable_rule(Name="requests", EventBusName=BUS)

    assert findings()["rule"]["says"] == "is disabled: no event registers a job"


def test_a_secret_that_is_missing_is_told_with_how_to_set_it(ward: Ward) -> None:
    ward.aws_("secretsmanager").delete_secret(SecretId="w", ForceDeleteWithoutRecovery=True)

    found = findings()["secret"]

    assert (found["about"], found["says"]) == ("secret w", "is missing")
    assert found["do"] == "pollbridge secret set w"


def test_a_missing_secret_that_is_named_by_its_arn_is_told(ward: Ward) -> None:
    name = arn("secretsmanager", "secret:elsewhere-AbCdEf")
    ward.vendors = {"oration": {"secret": name}}

    found = findings()["secret"]

    assert found["about"] == f"secret {name}"
    assert found["do"].startswith("create it in AWS")


def test_a_secret_that_is_marked_for_deletion_is_told(ward: Ward) -> None:
    ward.aws_("secretsmanager").delete_secret(SecretId="t", RecoveryWindowInDays=7)

    assert "aws secretsmanager restore-secret --secret-id t" in findings()["secret"]["do"]


@pytest.mark.promise(45)
@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("s", "key-canary"),
        ("s", '["key-canary"]'),
        ("s", '{"key-canary": 1}'),
        ("s", "{}"),
        ("s", '{"host": "canary"}'),
        ("t", '{"webhook_url": "canary"}'),
        ("t", '{"webhook_url": "http://canary.example"}'),
        ("w", '{"url": "https://canary.example", "signing_secret": "whsec_canary"}'),
    ],
)
def test_a_secret_that_cannot_serve_is_told_and_not_shown(admit: Callable[..., Ward], name: str, held: str) -> None:
    ward = admit(SECRETS)
    ward.aws_("secretsmanager").put_secret_value(SecretId=name, SecretString=held)

    found = findings()["secret"]

    assert found["about"] == f"secret {name}"
    assert found["do"] == f"pollbridge secret set {name}"
    assert "canary" not in json.dumps(told("--verbose")) + run("--verbose").output


def test_the_secret_of_a_scope_is_looked_at_too(ward: Ward) -> None:
    ward.vendors = {"oration": {"secret": "s", "scope_secrets": {"acme": "of-acme"}}}

    assert findings()["secret"]["about"] == "secret of-acme"


def test_a_secret_of_two_owners_has_to_serve_both(ward: Ward) -> None:
    ward.aws_("secretsmanager").put_secret_value(SecretId="w", SecretString='{"url": "http://receiver.example"}')
    ward.destinations = {name: {**DESTINATIONS["service"], "secret": "w"} for name in DESTINATIONS}

    found = [each for each in told() if each["check"] == "secret" and not each["ok"]]

    assert [each["says"].split(":")[0] for each in found] == [
        f"cannot serve destination {name}" for name in DESTINATIONS
    ]


@pytest.fixture
def server() -> Iterator[Stranger]:
    with stranger() as server:
        yield server


SCALE = {"type": "scale", "secret": "s", "allow_private": True, "scopes": ["p"]}


@pytest.fixture
def asked(admit: Callable[..., Ward], server: Stranger) -> Ward:
    """A deployment whose one vendor is on loopback."""
    return admit(VENDORS, vendors={"scale": SCALE | {"base_url": server.url}})


def vendor() -> list[dict[str, Any]]:
    return [each for each in told() if each["check"] == "vendor"]


LIST = "/v1/projects/p/jobs?page_size=100"


def test_a_vendor_that_takes_the_key_is_asked_once(asked: Ward, server: Stranger) -> None:
    server.scripts[LIST] = [Reply(body=b'{"items": []}'), Reply(500)]

    [found] = vendor()

    assert (found["about"], found["says"]) == ("connection scale, scope p", "accepts the key of s")
    assert len(server.scripts[LIST]) == 1


@pytest.mark.parametrize(
    ("reply", "says", "do"),
    [
        (Reply(401), "does not accept the key of s (HTTP 401)", "pollbridge secret set s"),
        (Reply(403), "the key of s lacks a permission (HTTP 403)", "name another secret in scope_secrets"),
        (Reply(404), "is not known to the vendor (HTTP 404)", "look at base_url and scopes"),
        (Reply(302), "refuses the question (HTTP 302)", "look at base_url"),
        (Reply(503), "is out of order (HTTP 503)", "ask again; if it stays"),
        (Reply(body=b"<html>"), "it answers 200 and nothing of use", "look at base_url"),
        (DROP, "does not answer from here: the connection broke", "ask again; if it stays"),
    ],
)
def test_a_vendor_that_does_not_answer_is_told_in_words_of_its_own(
    asked: Ward, server: Stranger, reply: Any, says: str, do: str
) -> None:
    server.scripts[LIST] = [reply]

    [found] = vendor()

    assert says in found["says"]
    assert do in found["do"]
    assert found["level"] == "bad"


def test_a_vendor_that_hangs_is_given_up_after_the_polls_deadline(
    asked: Ward, server: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VendorClient.__init__, "__defaults__", (0.2, False, None))
    server.answer = lambda *_: threading.Event().wait(2)  # type: ignore[method-assign]

    [found] = vendor()

    assert "no whole answer within 0.2 s" in found["says"]


def test_a_vendor_that_throttles_is_no_trouble_yet(asked: Ward, server: Stranger) -> None:
    server.scripts[LIST] = [Reply(429, headers={"Retry-After": "60"})]

    [found] = vendor()

    assert (found["level"], found["says"]) == ("warn", "throttles (HTTP 429)")


def test_a_vendor_that_wants_to_be_left_alone_is(asked: Ward, server: Stranger) -> None:
    asked.swept(waits_until={"S": sortable(asked.now + timedelta(hours=1))})
    server.scripts[LIST] = [Reply(401)]

    [found] = vendor()

    assert "wants to be left alone until" in found["says"]


def test_what_the_last_sweep_sent_counts_for_the_limits(asked: Ward, server: Stranger) -> None:
    asked.vendors["scale"]["limits"] = {"per_minute": 1}
    asked.swept(sent={"N": "1"}, sent_at={"S": sortable(datetime.now(UTC))})
    server.scripts[LIST] = [Reply(401)]

    [found] = vendor()

    assert found["says"] == "not asked: the limits leave no room right now"


def test_each_scope_is_asked_with_its_own_key_and_five_at_most(asked: Ward, server: Stranger) -> None:
    asked.aws_("secretsmanager").create_secret(Name="other", SecretString='{"x-api-key": "other"}')
    scopes = [f"p{n}" for n in range(8)]
    asked.vendors["scale"] |= {"scopes": scopes, "scope_secrets": {"p7": "other"}}
    for scope in scopes:
        server.scripts[f"/v1/projects/{scope}/jobs?page_size=100"] = [Reply(body=b"[]")]

    found = vendor()

    assert [each["about"] for each in found[:-1]] == [
        f"connection scale, scope {p}" for p in ("p0", "p7", "p1", "p2", "p3")
    ]
    assert found[1]["says"] == "accepts the key of other"
    assert found[-1]["says"] == "3 scopes more not asked"


def follow(ward: Ward, job: JobKey) -> None:
    """A job that runs, and that no list shows."""
    head = {"connection_state": by_state(job.connection, "running"), "changed_at": {"S": iso(ward.now)}}
    ward.table.put({**key(job_pk(job), "HEAD"), **head, "due_slot": {"S": f"{job.connection}#0#1m#0"}})


@pytest.mark.parametrize(
    ("reply", "level", "says"),
    [
        (Reply.json(id="j1", status="active"), "ok", "accepts the key of s"),
        (Reply(404), "warn", "does not know oration/job/acme/j1 (HTTP 404)"),
        (Reply.json(id="j2", status="active"), "bad", "nothing of use"),
        (Reply(401), "bad", "does not accept the key of s"),
    ],
)
def test_a_vendor_without_lists_is_asked_for_a_job_it_told_of(
    admit: Callable[..., Ward], server: Stranger, reply: Reply, level: str, says: str
) -> None:
    ward = admit(VENDORS, vendors={"oration": {"secret": "s", "base_url": server.url, "allow_private": True}})
    follow(ward, oration_key())
    server.scripts["/jobs/j1"] = [reply]

    [found] = vendor()

    assert found["level"] == level
    assert says in found["says"]


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ('{"key-canary": 1}', "cannot be asked: its secret s should hold a JSON object of request headers"),
        ('{"host": "canary"}', "cannot be asked: its secret s may set none of the headers"),
        ("key-canary", "cannot be asked: secret s holds no JSON object"),
        (None, "cannot be asked: secret s is missing"),
    ],
)
def test_a_secret_that_a_vendor_cannot_be_asked_with_is_named(asked: Ward, held: str | None, says: str) -> None:
    if held:
        asked.aws_("secretsmanager").put_secret_value(SecretId="s", SecretString=held)
    else:
        asked.aws_("secretsmanager").delete_secret(SecretId="s", ForceDeleteWithoutRecovery=True)

    [found] = vendor()

    assert found["says"].startswith(says)
    assert found["do"] == "pollbridge secret set s"
    assert "canary" not in json.dumps(found)


def test_no_vendor_is_asked_offline(asked: Ward, server: Stranger) -> None:
    server.scripts[LIST] = [Reply(401)]

    [found] = [each for each in told("--offline") if each["check"] == "vendor"]

    assert found["says"] == "not asked: --offline"


@pytest.mark.parametrize(
    ("reason", "do"),
    [
        (Trouble.UNAUTHORIZED, "pollbridge secret set s"),
        (Trouble.NO_CREDENTIALS, "pollbridge secret set s"),
        (Trouble.FORBIDDEN, "have the key of s granted this scope, or name another secret in scope_secrets"),
        (Trouble.UNREACHABLE, "nothing while the vendor is down"),
    ],
)
def test_what_the_sweeps_recorded_of_a_vendor_is_told(admit: Callable[..., Ward], reason: Trouble, do: str) -> None:
    ward = admit(VENDORS)
    ward.ails(Health(scopes={"acme": Ailment(reason=reason, error="HTTP 418", since=iso(SINCE), told=True)}))

    found = findings()["health"]

    assert found["about"] == "connection oration, scope acme"
    assert found["says"].startswith(reason.replace("_", " "))
    assert found["do"].startswith(do)


def test_a_vendor_that_answers_again_is_no_trouble_any_more(admit: Callable[..., Ward]) -> None:
    ward = admit(VENDORS)
    back = Ailment(reason=Trouble.UNREACHABLE, error="HTTP 503", since=iso(SINCE), told=True, back=1)
    ward.ails(Health(connection=back))

    assert findings() == {}
    assert "answers again" in run().stdout


def test_a_disabled_destination_is_told_with_the_way_back(admit: Callable[..., Ward]) -> None:
    ward = admit(STANDINGS)
    disable(ward)

    found = findings()["disabled"]

    assert (found["about"], found["says"]) == ("destination service", f"disabled since {iso(SINCE)}: HTTP 410")
    since = iso(SINCE - OLDEST)
    assert found["do"] == f"mend it, then: pollbridge enable service; pollbridge recover --to service --since {since}"


def test_what_the_way_back_recovers_begins_before_the_first_failure(admit: Callable[..., Ward]) -> None:
    ward = admit(STANDINGS)
    destinations = Destinations(ward.table)
    failing = SINCE - timedelta(days=5)
    destinations.failed("service", destinations.head("service"), failing, failing)
    disable(ward)

    since = read_iso(findings()["disabled"]["do"].split("--since ")[1])

    assert since == failing - OLDEST


def test_a_destination_that_only_fails_is_told(ward: Ward) -> None:
    ward.does["service"] = breaking
    ward.route(ward.record(1, oration_key()), "service")
    ward.work("service")

    found = findings()["failing"]

    assert found["says"] == f"nothing but failure since {iso(ward.now)}"
    assert found["do"] == "pollbridge deliveries --to service says why"


@pytest.mark.parametrize(("count", "says"), [(1, "1 dead letter"), (12, "12 dead letters")])
def test_dead_letters_are_counted_also_while_somebody_looks_at_them(
    admit: Callable[..., Ward], count: int, says: str
) -> None:
    ward = admit(QUEUES)
    ward.does["service"] = refusing
    for version in range(1, count + 1):
        ward.route(ward.record(version, oration_key()), "service")
    ward.work("service")
    ward.waiting("service", "dead_letter", seconds=60)

    assert findings()["dead_letters"]["says"] == says


def test_a_destination_whose_rule_is_off_is_told_and_is_no_trouble(ward: Ward) -> None:
    ward.destinations = DESTINATIONS | {"team": {**DESTINATIONS["team"], "enabled": False}}
    ward.aws_("events").disable_rule(Name="team", EventBusName=BUS)

    result = run()

    assert result.exit_code == 0
    assert "ok  destination team: enabled = false: it hears of nothing new" in result.stdout


@pytest.mark.parametrize("messages", [0, 1, 3])
def test_the_queues_of_a_destination_that_is_no_longer_configured_are_found(
    admit: Callable[..., Ward], messages: int
) -> None:
    ward = admit(QUEUES)
    for version in range(1, messages + 1):
        ward.route(ward.record(version, oration_key()), "service")
    url = ward.parts.pop("service")["queue"]
    ward.destinations = {"team": DESTINATIONS["team"]}

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


def test_the_queues_of_another_deployment_are_its_own_business(admit: Callable[..., Ward]) -> None:
    ward = admit(QUEUES)
    for name in (
        "PollbridgeStaging-NotifyingTeamDeliveries",
        "Pollbridge-Notifying-NotifyingTeamDeliveries",
        "Other-NotifyingTeamDeliveries",
        "Pollbridge-Publishing",
    ):
        ward.sqs.create_queue(QueueName=name)

    assert findings() == {}


LONG = "pollbridge-of-the-team-that-writes-the-documentation-production"


@pytest.mark.parametrize("kept", [PREFIX, 33, len(LONG)])
def test_the_queues_of_a_long_stack_are_found_whose_names_cloudformation_shortened(
    admit: Callable[..., Ward], kept: int
) -> None:
    ward = admit(QUEUES)
    ward.stack = LONG
    name = f"{LONG[:kept].rstrip('-')}-NotifyingOld"
    ward.sqs.create_queue(QueueName=name)

    assert findings()["forsaken_queue"]["about"] == f"queue {name}"


@pytest.mark.parametrize("name", [f"{LONG[:PREFIX]}-staging-NotifyingOld", f"{LONG}-2-NotifyingOld"])
def test_a_queue_whose_stack_only_begins_alike_is_another_deployments(admit: Callable[..., Ward], name: str) -> None:
    ward = admit(QUEUES)
    ward.stack = LONG
    ward.sqs.create_queue(QueueName=name)

    assert findings() == {}


def admitted(ward: Ward, **statement: Any) -> str:
    """The policy of a queue of team, with these members of the statement that lets the rule in."""
    held = json.loads(admitting(ward.parts["team"]["queue"], ward.parts["team"]["rule"]))
    held["Statement"][-1] |= statement
    return json.dumps(held)


@pytest.mark.parametrize(
    "change",
    [
        {"Effect": "Deny"},
        {"Principal": {"Service": "sns.amazonaws.com"}},
        {"Principal": {"AWS": "*"}},
        {"Action": "sqs:ReceiveMessage"},
        {"Resource": "arn:aws:sqs:eu-central-1:123456789012:another"},
        {"Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:events:eu-central-1:123456789012:rule/b/another"}}},
        {"Condition": {"StringEquals": {"aws:SourceAccount": "210987654321"}}},
    ],
)
def test_a_queue_that_does_not_let_its_rule_in_is_told(ward: Ward, change: dict[str, Any]) -> None:
    ward.admit("team", Policy=admitted(ward, **change))

    found = findings()["queue_policy"]

    assert found["about"] == "queue of team"
    assert found["says"].endswith("team hears of nothing new")


def test_a_queue_without_a_policy_is_told_with_the_statement_it_wants(ward: Ward) -> None:
    ward.admit("team", Policy="")

    command = shlex.split(findings()["queue_policy"]["do"])
    ward.admit("team", **json.loads(command[-1]))

    assert command[:5] == ["aws", "sqs", "set-queue-attributes", "--queue-url", ward.parts["team"]["queue"]]
    assert findings() == {}


def test_what_a_changed_policy_held_is_kept_by_the_command(ward: Ward) -> None:
    ward.admit("team", Policy=admitted(ward, Action="sqs:ReceiveMessage"))

    command = shlex.split(findings()["queue_policy"]["do"])
    statements = json.loads(json.loads(command[-1])["Policy"])["Statement"]

    assert [each["Action"] for each in statements] == ["sqs:*", "sqs:ReceiveMessage", "sqs:SendMessage"]


@pytest.mark.parametrize(
    "change",
    [
        {"Principal": "*"},
        {"Principal": {"Service": ["events.amazonaws.com", "sns.amazonaws.com"]}},
        {"Action": "SQS:SendMessage"},
        {"Action": ["sqs:*"]},
        {"Condition": {}},
        {"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:events:eu-central-1:123456789012:rule/*"}}},
    ],
)
def test_a_policy_that_lets_the_rule_in_otherwise_will_do(ward: Ward, change: dict[str, Any]) -> None:
    ward.admit("team", Policy=admitted(ward, **change))

    assert findings() == {}


def test_dead_letters_that_do_not_let_the_rule_in_are_told(ward: Ward) -> None:
    ward.sqs.set_queue_attributes(QueueUrl=ward.parts["team"]["dead_letter"], Attributes={"Policy": ""})

    found = findings()["queue_policy"]

    assert found["about"] == "dead letters of team"
    assert found["says"].endswith("what cannot be put into its queue is lost")


def test_a_queue_without_its_dead_letters_is_told_with_how_to_have_them_again(ward: Ward) -> None:
    ward.admit("team", RedrivePolicy="")

    found = findings()["redrive"]
    ward.admit("team", **json.loads(shlex.split(found["do"])[-1]))

    assert found["about"] == "queue of team"
    assert findings() == {}


def test_a_queue_that_leads_to_other_dead_letters_is_told(ward: Ward) -> None:
    other = arn("sqs", last(ward.parts["service"]["dead_letter"]))
    ward.admit("team", RedrivePolicy=json.dumps({"deadLetterTargetArn": other, "maxReceiveCount": 3}))

    assert findings().keys() == {"redrive"}


def test_a_queue_that_was_deleted_a_moment_ago_is_passed_over(admit: Callable[..., Ward]) -> None:
    ward = admit(QUEUES)
    url = ward.sqs.create_queue(QueueName="Pollbridge-NotifyingGone")["QueueUrl"]
    ask = ward.sqs.sqs.get_queue_attributes

    def gone(*, QueueUrl: str, **wish: Any) -> Any:  # noqa: N803 - boto3's
        if url == QueueUrl:
            raise ClientError({"Error": {"Code": "AWS.SimpleQueueService.NonExistentQueue"}}, "GetQueueAttributes")
        return ask(QueueUrl=QueueUrl, **wish)

    ward.sqs.get_queue_attributes = gone

    assert findings() == {}


def test_all_that_is_wrong_is_told_at_once(ward: Ward) -> None:
    ward.does["team"] = refusing
    ward.route(ward.record(1, oration_key(), told=False), "team")
    ward.work("team")
    disable(ward)
    ward.sqs.create_queue(QueueName="Pollbridge-NotifyingOld")

    assert findings().keys() == {"dead_letters", "disabled", "forsaken_queue"}
    assert run().stdout.count("!!") == 3


def test_nothing_that_a_receiver_said_steers_the_terminal(ward: Ward) -> None:
    disable(ward, error=f"HTTP 410 {STEER}")

    result = run()

    assert "HTTP 410" in result.stdout
    assert all(one.isprintable() or one == "\n" for one in result.stdout)


def dead(ward: Ward, url: str, count: int = 1) -> None:
    for number in range(count):
        ward.sqs.send_message(QueueUrl=url, MessageBody=f"{number}")


@pytest.mark.parametrize(
    ("name", "level", "says"),
    [
        ("registrar", "bad", "2 messages: watch requests that could not be registered"),
        ("publisher", "bad", "2 messages: batches of the stream that could not be published"),
        ("missed", "warn", "2 messages: sweeps or audits that failed or did not start"),
    ],
)
def test_what_failed_is_counted_with_what_it_means(ward: Ward, name: str, level: str, says: str) -> None:
    dead(ward, ward.failures[name], 2)

    found = findings(level)["failures"]

    assert found["says"].startswith(says)
    assert f"--queue-url {ward.failures[name]}" in found["do"]


@pytest.mark.parametrize(
    ("url", "check"),
    [
        (lambda ward: ward.failures["registrar"], "failures"),
        (lambda ward: ward.parts["team"]["queue"], "queue"),
        (lambda ward: ward.parts["team"]["dead_letter"], "dead_letters"),
    ],
)
def test_a_queue_that_is_gone_is_told(ward: Ward, url: Callable[[Ward], str], check: str) -> None:
    ward.sqs.delete_queue(QueueUrl=url(ward))

    assert findings()[check]["do"].startswith("docs/doctor.md")


def unpublished(ward: Ward, ago: timedelta, tries: int = 0) -> None:
    entry = ward.record(1, oration_key())
    marks = {
        "unpublished": UNPUBLISHED,
        "recorded_at": {"S": sortable(ward.now - ago)},
        "republished": {"N": f"{tries}"},
    }
    ward.table.put(ward.table.get(entry.pk, entry.sk) | marks)


@pytest.mark.promise(25)
def test_a_change_that_nobody_published_is_told(admit: Callable[..., Ward]) -> None:
    ward = admit(HISTORY)
    unpublished(ward, timedelta(minutes=16))

    found = findings()["unpublished"]

    assert found["says"].startswith(f"1 change unpublished for over 15 minutes, first of {oration_key()};")
    assert found["do"].startswith("aws lambda invoke --function-name")


def test_a_change_of_a_moment_ago_is_on_its_way(admit: Callable[..., Ward]) -> None:
    ward = admit(HISTORY)
    unpublished(ward, timedelta(minutes=14))

    assert findings() == {}


def test_a_change_that_the_auditor_gave_up_is_told(admit: Callable[..., Ward]) -> None:
    ward = admit(HISTORY)
    unpublished(ward, timedelta(minutes=16), tries=5)

    assert findings().keys() == {"poison"}


@pytest.mark.promise(54)
@pytest.mark.parametrize(
    ("job", "slot", "do"),
    [
        ("gone/job/acme/j1", "gone#0#1m#0", "configure the connection again and deploy"),
        (f"{oration_key()}", "oration#0#7m#0", f"pollbridge watch {oration_key()}"),
        (f"{oration_key()}", "nonsense", f"pollbridge watch {oration_key()}"),
    ],
)
def test_a_job_that_nobody_looks_at_is_told(admit: Callable[..., Ward], job: str, slot: str, do: str) -> None:
    ward = admit(HISTORY)
    ward.table.put({**key(f"JOB#{job}", "HEAD"), "due_slot": {"S": slot}})

    found = findings()["orphans"]

    assert found["about"] == f"job {job}"
    assert found["do"].startswith(do)


def test_of_many_such_jobs_some_are_named_and_all_are_counted(admit: Callable[..., Ward]) -> None:
    ward = admit(HISTORY)
    for number in range(12):
        ward.table.put({**key(f"JOB#gone/job/a/{number}", "HEAD"), "due_slot": {"S": "gone#0#1m#0"}})

    found = [each for each in told() if each["check"] == "orphans"]

    assert [each["about"].split("/")[0] for each in found[:-1]] == ["job gone"] * 5
    assert found[-1]["says"] == "7 jobs more that nobody looks at"


def test_only_so_many_followed_jobs_are_looked_at(admit: Callable[..., Ward], monkeypatch: pytest.MonkeyPatch) -> None:
    ward = admit(HISTORY)
    monkeypatch.setattr(history, "ROWS", 3)
    for number in range(4):
        ward.table.put({**key(f"JOB#{oration_key(str(number))}", "HEAD"), "due_slot": {"S": "oration#0#1m#0"}})

    assert "only the first 3 were looked at" in run().stdout


def unsubscribe(ward: Ward) -> None:
    [reader] = ward.aws_("sns").list_subscriptions_by_topic(TopicArn=ward.topic)["Subscriptions"]
    ward.aws_("sns").unsubscribe(SubscriptionArn=reader["SubscriptionArn"])


def test_alarms_that_nobody_reads_are_told_with_how_to_subscribe(ward: Ward) -> None:
    unsubscribe(ward)

    found = findings()["reader"]

    assert found["says"] == "is read by nobody"
    assert f"aws sns subscribe --topic-arn {ward.topic}" in found["do"]


def test_where_nothing_is_scheduled_nobody_has_to_read_alarms(admit: Callable[..., Ward]) -> None:
    unsubscribe(admit(scheduled=False, alarm_settings={}))

    assert findings("warn").keys() == {"reader"}


def test_a_reader_who_did_not_confirm_is_told_to(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    # moto confirms for everybody.
    monkeypatch.setattr(
        alarms, "_subscriptions", lambda *_: [{"SubscriptionArn": "PendingConfirmation", "Endpoint": "me@x"}]
    )

    found = findings()["reader"]

    assert found["says"] == "is read by nobody: me@x did not confirm yet"
    assert found["do"].startswith("open the link in the mail")


def test_a_topic_that_is_gone_is_told(ward: Ward) -> None:
    ward.aws_("sns").delete_topic(TopicArn=ward.topic)

    assert findings()["reader"]["says"] == f"is gone: there is no topic {ward.topic}"


def test_somebody_elses_topic_need_not_be_looked_into(admit: Callable[..., Ward]) -> None:
    ward = admit(alarm_settings={"topic_arn": arn("sns", "theirs")}, denied={("sns", "get_paginator")})

    assert findings() == {}
    assert f"{ward.topic} is yours to look after" in run().stdout


def test_an_alarm_that_rings_is_told_with_what_it_means(ward: Ward) -> None:
    ward.aws_("cloudwatch").set_alarm_state(AlarmName=ward.alarms[0], StateValue="ALARM", StateReason="test")

    found = findings()["alarm"]

    assert found["about"] == f"alarm {ward.alarms[0]}"
    assert found["says"].endswith("Look at it.")


def test_an_alarm_that_may_not_ring_is_told(ward: Ward) -> None:
    ward.alarm(ward.alarms[1], ActionsEnabled=False)

    assert findings()["alarm"]["do"] == f"aws cloudwatch enable-alarm-actions --alarm-names {ward.alarms[1]}"


def test_alarms_that_tell_the_topic_nothing_are_told_with_how_they_do_again(ward: Ward) -> None:
    other = arn("sns", "other")
    ward.alarm(ward.alarms[0], AlarmActions=[other], Dimensions=[{"Name": "service", "Value": "poller"}])
    ward.alarm(ward.alarms[1], AlarmActions=[])

    found = [each for each in told() if each["level"] == "bad"]
    for each in found:
        command = shlex.split(each["do"])
        assert command[:4] == ["aws", "cloudwatch", "put-metric-alarm", "--cli-input-json"]
        ward.aws_("cloudwatch").put_metric_alarm(**json.loads(command[-1]))
    mended = ward.aws_("cloudwatch").describe_alarms(AlarmNames=[ward.alarms[0]])["MetricAlarms"][0]

    assert {each["says"] for each in found} == {"tells nobody: the alarm topic is none of its actions"}
    assert [each["about"] for each in found] == [f"alarm {name}" for name in ward.alarms]
    assert findings() == {}
    assert mended["AlarmActions"] == [other, ward.topic]
    assert (mended["Dimensions"][0]["Value"], mended["AlarmDescription"]) == ("poller", "Look at it.")


def test_an_alarm_that_is_gone_is_told(ward: Ward) -> None:
    ward.aws_("cloudwatch").delete_alarms(AlarmNames=[ward.alarms[0]])

    assert findings()["alarm"]["says"] == "is gone"


def test_the_alarms_of_another_deployment_are_its_own_business(ward: Ward) -> None:
    ward.alarm(f"{ward.stack}-Staging-Silent-3")
    ward.aws_("cloudwatch").set_alarm_state(
        AlarmName=f"{ward.stack}-Staging-Silent-3", StateValue="ALARM", StateReason=""
    )

    assert findings() == {}


ASKED = {
    "function": ("lambda", "get_function_configuration", "lambda:GetFunctionConfiguration"),
    "mapping": ("lambda", "get_event_source_mapping", "lambda:GetEventSourceMapping"),
    "schedule": ("scheduler", "get_schedule", "scheduler:GetSchedule"),
    "secret": ("secretsmanager", "get_secret_value", "secretsmanager:GetSecretValue"),
    "rule": ("events", "describe_rule", "events:DescribeRule"),
    "alarm": ("cloudwatch", "describe_alarms", "cloudwatch:DescribeAlarms"),
    "url": ("lambda", "get_function_url_config", "lambda:GetFunctionUrlConfig"),
}


@pytest.mark.parametrize("check", ASKED)
def test_what_may_not_be_asked_is_told_and_is_no_fault(ward: Ward, check: str) -> None:
    service, operation, action = ASKED[check]
    ward.api(AuthType="AWS_IAM")
    ward.denied.add((service, operation))

    found = findings("unknown")

    assert found[check]["says"] == f"could not look: these AWS credentials may not {action}"
    assert found[check]["do"] == "docs/doctor.md#permissions has what doctor asks for"
    assert {line[:2] for line in run().stdout.splitlines() if action in line} == {"??"}


def test_what_could_not_be_looked_at_is_an_exit_of_its_own_below_what_is_to_be_mended(ward: Ward) -> None:
    ward.denied.add(("events", "describe_event_bus"))

    assert (run().exit_code, run("--json").exit_code) == (3, 3)

    disable(ward)
    assert (run().exit_code, run("--json").exit_code) == (1, 1)


def test_what_is_only_to_be_known_of_exits_0(admit: Callable[..., Ward]) -> None:
    admit(extra={"version": "0.0.1"})

    assert run().exit_code == 0


def test_what_cannot_be_looked_at_hides_nothing_else(ward: Ward) -> None:
    ward.denied |= {("lambda", "get_function_configuration"), ("sns", "get_paginator")}
    disable(ward)
    ward.aws_("events").disable_rule(Name="team", EventBusName=BUS)

    result = run()

    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "2 things to mend, 2 things that could not be looked at"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "X"), "AWS answered Throttling"),
        (EndpointConnectionError(endpoint_url="http://x"), "AWS cannot be reached"),
        (KeyError("State"), "KeyError: 'State'"),
        (RecursionError("deep"), "RecursionError: deep"),
    ],
)
def test_whatever_goes_wrong_with_a_look_is_a_line_of_its_own(error: Exception, says: str) -> None:
    def ask() -> list[Finding]:
        raise error

    [found] = Question("check", "thing", ask).answer()

    assert (found.about, found.level) == ("thing", Level.UNKNOWN)
    assert found.says.startswith(f"could not look: {says}")


def test_clients_are_made_once_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(doctor, "client", lambda service: made.append(service) or object())
    clients = doctor.Clients()

    with ThreadPoolExecutor(8) as pool:
        got = set(pool.map(clients, ["sqs"] * 50))

    assert (made, len(got)) == (["sqs"], 1)


ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "doctor.md").read_text("utf-8")


def test_the_document_tells_of_every_check_that_may_want_something() -> None:
    sources = [path.read_text("utf-8") for path in (ROOT / "src" / "pollbridge" / "cli" / "doctor").glob("*.py")]
    checks = {check for text in sources for check in re.findall(r'\b(?:bad|warn|make)\(\s*"(\w+)"', text)}
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", DOCUMENT, re.MULTILINE)

    assert len(checks) > 20
    assert checks == {name for row in rows for name in re.findall(r"\w+", row)}


def test_the_permissions_of_the_document_are_what_is_asked_for(ward: Ward) -> None:
    ward.aws_("lambda").delete_event_source_mapping(UUID=ward.mappings["publisher"])
    follow(ward, oration_key())
    ward.api(AuthType="AWS_IAM")
    run("--verbose")
    pages = {("sns", "list_subscriptions_by_topic"), ("cloudformation", "list_stack_resources")}
    first = ("cloudformation", "describe_stack_resource")
    rows = {("dynamodb", call.operation) for call in ward.aws.calls} - {("dynamodb", "put_item")}

    [policy] = re.findall(r"^```json\n(.+?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    told = {action for statement in json.loads(policy)["Statement"] for action in statement["Action"]}
    asked = {(service, operation) for service, operation in ward.asked if operation != "get_paginator"}
    assert told == {
        f"{service}:{''.join(word.title() for word in operation.split('_'))}"
        for service, operation in {first, *pages, *rows, *asked}
    }
