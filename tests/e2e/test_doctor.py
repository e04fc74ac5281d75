"""`doctor` over a really deployed stack, before and after somebody broke it in many places at once."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pollbridge.model.instant import epoch_minute
from tests.e2e.conftest import SIGNING_SECRET, Local, _exports
from tests.kit.stranger import Reply, stranger

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]

CONFIG = """
[vendors.acme]
type = "oration"
base_url = "{url}/v2"
secret = "doctor/acme"
allow_private = true
[vendors.sc]
type = "scale"
base_url = "{url}/sc"
secret = "doctor/sc"
scopes = ["p"]
allow_private = true
[destinations.hook]
type = "webhook"
secret = "doctor/hook"
allow_private = true
[destinations.chat]
type = "slack"
secret = "doctor/chat"
allow_private = true
[destinations.closed]
type = "webhook"
secret = "doctor/closed"
allow_private = true
[alarms]
email = "oncall@example.com"
[api]
enabled = true
"""

LIST = "/sc/v1/projects/p/jobs?page_size=100"
JOB = "acme/job/ws/j"
LOOKS = 30


@dataclass
class Patient:
    """The deployment, what doctor said of it at each of its visits, and what was done."""

    local: Local
    healthy: list[dict[str, Any]] = field(default_factory=list)
    sick: list[dict[str, Any]] = field(default_factory=list)
    mended: list[dict[str, Any]] = field(default_factory=list)

    @property
    def parts(self) -> dict[str, Any]:
        asked = self.aws("cloudformation").describe_stack_resource(
            StackName="Pollbridge", LogicalResourceId="Configuration"
        )
        parts: dict[str, Any] = json.loads(asked["StackResourceDetail"]["Metadata"])["pollbridge"]
        return parts

    def aws(self, service: str) -> Any:
        return self.local.aws(service)

    def visit(self, *arguments: str, environment: dict[str, str] | None = None) -> tuple[int, list[dict[str, Any]]]:
        done = subprocess.run(
            [shutil.which("pollbridge", path=_path()) or "pollbridge", "doctor", "--json", *arguments],
            env=self.local.environment | (environment or {}),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)

    def store(self, name: str, held: Any) -> None:
        self.local.run("secret", "set", f"doctor/{name}", stdin=json.dumps(held))

    def paste(self, command: str) -> None:
        """Do what doctor says, as a person would."""
        environment = self.local.environment | {"PATH": _path(), "AWS_PAGER": ""}
        done = subprocess.run(
            ["/bin/bash", "-c", command], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, command + done.stderr

    def send(self, url: str) -> None:
        self.aws("sqs").send_message(QueueUrl=url, MessageBody="{}")

    def head(self, connection: str, **values: Any) -> None:
        self.item(f"CONNECTION#{connection}", "HEAD", **values)

    def item(self, pk: str, sk: str, **values: Any) -> None:
        self.aws("dynamodb").update_item(
            TableName=self.parts["table"],
            Key={"PK": {"S": pk}, "SK": {"S": sk}},
            UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in values),
            ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
        )


def _path() -> str:
    return os.pathsep.join([str(ROOT / ".venv" / "bin"), str(ROOT / ".venv-emulator" / "bin"), os.environ["PATH"]])


HELD: dict[str, Any] = {
    "acme": {"x-api-key": "key-canary"},
    "sc": {"x-api-key": "key-canary", "x-selected-account-id": "a"},
    "hook": {"url": "{url}/hook", "signing_secret": SIGNING_SECRET},
    "chat": {"webhook_url": "{url}/slack"},
    "closed": {"url": "{url}/closed", "signing_secret": SIGNING_SECRET},
}


def _held(patient: Patient, name: str) -> dict[str, str]:
    url = patient.local.stranger.url
    return {member: text.replace("{url}", url) for member, text in HELD[name].items()}


@dataclass(frozen=True)
class Fault:
    """Something that somebody broke, and what doctor has to say of it."""

    check: str
    about: str
    says: str
    plant: Callable[[Patient], Any]
    mend: Callable[[Patient, str], Any] | None = None
    """Given what doctor says is to be done. None: what it says is a command, and is all there is to do."""


def _old() -> dict[str, str]:
    return {"N": str(epoch_minute(datetime.now(UTC) - timedelta(hours=2)))}


def _pattern(p: Patient) -> None:
    rule = p.parts["destinations"]["hook"]["rule"].rsplit("/", 1)[-1]
    p.aws("events").put_rule(Name=rule, EventBusName="pollbridge", EventPattern='{"source": ["elsewhere"]}')


def _disable_rule(p: Patient) -> None:
    rule = p.parts["destinations"]["chat"]["rule"].rsplit("/", 1)[-1]
    p.aws("events").disable_rule(Name=rule, EventBusName="pollbridge")


def _disable_schedule(p: Patient) -> None:
    scheduler = p.aws("scheduler")
    held = scheduler.get_schedule(Name=p.parts["schedules"]["acme"])
    kept = {name: held[name] for name in ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")}
    scheduler.update_schedule(**kept, State="DISABLED")


def _disable_mapping(p: Patient, uuid: str) -> None:
    p.aws("lambda").update_event_source_mapping(UUID=uuid, Enabled=False)


def _unsubscribe(p: Patient) -> None:
    sns = p.aws("sns")
    for reader in sns.list_subscriptions_by_topic(TopicArn=p.parts["alarm_topic"])["Subscriptions"]:
        sns.unsubscribe(SubscriptionArn=reader["SubscriptionArn"])


def _alarm(p: Patient, state: str) -> None:
    cloudwatch = p.aws("cloudwatch")
    [alarm] = [a for a in cloudwatch.describe_alarms()["MetricAlarms"] if "AuditorFunctionPoison" in a["AlarmName"]]
    cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue=state, StateReason="a test")


def _deafen(p: Patient) -> None:
    cloudwatch = p.aws("cloudwatch")
    [alarm] = [a for a in cloudwatch.describe_alarms()["MetricAlarms"] if "PublisherFunctionFailing" in a["AlarmName"]]
    wanted = cloudwatch.meta.service_model.operation_model("PutMetricAlarm").input_shape.members
    kept = {name: held for name, held in alarm.items() if name in wanted and held not in (None, [])}
    cloudwatch.put_metric_alarm(**kept | {"AlarmActions": []})


def _unset(p: Patient, attribute: str) -> None:
    url = p.parts["destinations"]["chat"]["queue"]
    p.aws("sqs").set_queue_attributes(QueueUrl=url, Attributes={attribute: ""})


def _paste_sqs(p: Patient, do: str) -> None:
    # The AWS command line, release 1, takes SQS's endpoint from no variable: overridesslcommonname.py in it.
    p.paste(do.replace("aws sqs ", 'aws --endpoint-url "$AWS_ENDPOINT_URL" sqs ', 1))


def _open(p: Patient) -> None:
    p.aws("lambda").update_function_url_config(FunctionName=p.parts["api"]["function"], AuthType="NONE")


def _forget_backups(p: Patient) -> None:
    p.aws("dynamodb").update_continuous_backups(
        TableName=p.parts["table"], PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
    )


def _forsake(p: Patient) -> None:
    p.send(p.aws("sqs").create_queue(QueueName="Pollbridge-NotifyingoldDeliveries")["QueueUrl"])


def _queue(p: Patient, name: str) -> str:
    url: str = p.aws("sqs").get_queue_url(QueueName=name)["QueueUrl"]
    return url


def _purge(p: Patient, url: str) -> None:
    p.aws("sqs").purge_queue(QueueUrl=url)


def _answer(p: Patient, reply: Reply) -> None:
    p.local.stranger.scripts[LIST] = [reply]


def _enable(p: Patient, do: str) -> None:
    assert "pollbridge recover --to closed --since" in do
    p.paste(do.removeprefix("mend it, then: ").partition(";")[0])
    _purge(p, p.parts["destinations"]["closed"]["dead_letter"])


EMPTY = Reply(body=b'{"items": []}')
GONE_JOB = "gone/job/ws/j"

FAULTS = {
    "a secret is missing": Fault(
        "secret",
        "secret doctor/hook",
        "is missing",
        lambda p: p.aws("secretsmanager").delete_secret(SecretId="doctor/hook", ForceDeleteWithoutRecovery=True),
        lambda p, _: p.store("hook", _held(p, "hook")),
    ),
    "a secret holds something else": Fault(
        "secret",
        "secret doctor/chat",
        "cannot serve destination chat",
        lambda p: p.aws("secretsmanager").put_secret_value(SecretId="doctor/chat", SecretString='{"url": "canary"}'),
        lambda p, _: p.store("chat", _held(p, "chat")),
    ),
    "a vendor refuses the key": Fault(
        "vendor",
        "connection sc, scope p",
        "does not accept the key of doctor/sc (HTTP 401)",
        lambda p: _answer(p, Reply(401)),
        lambda p, _: _answer(p, EMPTY),
    ),
    "a schedule is disabled": Fault("schedule", "schedule of acme", "is disabled", _disable_schedule),
    "a poller is dead": Fault(
        "ticks",
        "connection acme",
        "its poller dies, or is not invoked",
        lambda p: p.head("acme", tick=_old(), completed_tick=_old()),
        lambda p, _: p.local.run("local", "tick"),
    ),
    "a queue is not worked off": Fault(
        "mapping",
        "queue of hook to its notifier",
        "is switched off",
        lambda p: _disable_mapping(p, p.parts["destinations"]["hook"]["mapping"]),
    ),
    "the stream is not worked off": Fault(
        "mapping",
        "stream to the publisher",
        "is switched off",
        lambda p: _disable_mapping(p, p.parts["mappings"]["publisher"]),
    ),
    "a rule is disabled": Fault("rule", "rule of chat", "is disabled", _disable_rule),
    "a rule's pattern is another": Fault("pattern", "rule of hook", "it was changed by hand", _pattern),
    "a dead letter": Fault(
        "dead_letters",
        "destination hook",
        "1 dead letter",
        lambda p: p.send(p.parts["destinations"]["hook"]["dead_letter"]),
        lambda p, _: _purge(p, p.parts["destinations"]["hook"]["dead_letter"]),
    ),
    "a request that could not be registered": Fault(
        "failures",
        "failures of registrar",
        "1 message: watch requests that could not be registered",
        lambda p: p.send(p.parts["failures"]["registrar"]),
        lambda p, _: _purge(p, p.parts["failures"]["registrar"]),
    ),
    "a receiver that is gone": Fault("disabled", "destination closed", "HTTP 410", lambda _: None, _enable),
    "alarms without a reader": Fault(
        "reader", "alarm topic", "is read by nobody", _unsubscribe, lambda p, do: p.paste(do.partition(", or ")[2])
    ),
    "an alarm that rings": Fault(
        "alarm", "PoisonEntries", "rings since", lambda p: _alarm(p, "ALARM"), lambda p, _: _alarm(p, "OK")
    ),
    "a change that nobody published": Fault(
        "unpublished",
        "recorded changes",
        f"first of {JOB}",
        lambda p: p.item(
            f"JOB#{JOB}", "V#0000000001", unpublished={"S": "1"}, recorded_at={"S": "2026-01-01T00:00:00.000Z"}
        ),
    ),
    "a job that nobody looks at": Fault(
        "orphans",
        f"job {GONE_JOB}",
        "is followed by nobody",
        lambda p: p.item(f"JOB#{GONE_JOB}", "HEAD", due_slot={"S": "gone#0#1m#0"}, due_row={"S": "x"}),
        lambda p, _: p.aws("dynamodb").delete_item(
            TableName=p.parts["table"], Key={"PK": {"S": f"JOB#{GONE_JOB}"}, "SK": {"S": "HEAD"}}
        ),
    ),
    "a queue of a destination that is gone": Fault(
        "forsaken_queue",
        "queue Pollbridge-NotifyingoldDeliveries",
        "1 message of a destination that is no longer configured",
        _forsake,
        lambda p, _: p.aws("sqs").delete_queue(QueueUrl=_queue(p, "Pollbridge-NotifyingoldDeliveries")),
    ),
    "a function is throttled to nothing": Fault(
        "function",
        "notifier of chat",
        "is throttled to nothing",
        lambda p: p.aws("lambda").put_function_concurrency(
            FunctionName=p.parts["destinations"]["chat"]["function"], ReservedConcurrentExecutions=0
        ),
    ),
    "a queue shuts its rule out": Fault(
        "queue_policy", "queue of chat", "does not let its rule in", lambda p: _unset(p, "Policy"), _paste_sqs
    ),
    "a queue leads to no dead letters": Fault(
        "redrive",
        "queue of chat",
        "does not lead to its dead letters",
        lambda p: _unset(p, "RedrivePolicy"),
        _paste_sqs,
    ),
    "an alarm tells nobody": Fault(
        "alarm", "PublisherFunctionFailing", "the alarm topic is none of its actions", _deafen
    ),
    "the API asks nobody who they are": Fault("url", "API", "its AuthType is NONE", _open),
    "backups are off": Fault("backups", "table ", "has point-in-time recovery off", _forget_backups),
}


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    folder = tmp_path_factory.mktemp("doctor")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "POLLBRIDGE_"))}
    environment |= {"POLLBRIDGE_LOCAL": str(folder / "state"), "AWS_EC2_METADATA_DISABLED": "true"}
    with stranger() as server:
        patient = Patient(Local(environment, server))
        config = folder / "doctor.toml"
        config.write_text(CONFIG.format(url=server.url), "utf-8")
        try:
            patient.local.run("local", "up", "--schedule", "--config", str(config))
            environment |= _exports(patient.local.run("local", "env"))
            _live(patient)
            _treat(patient)
            yield patient
        finally:
            patient.local.run("local", "down")


def _live(patient: Patient) -> None:
    """A job comes and ends, and one receiver wants no more."""
    server = patient.local.stranger
    for name in HELD:
        patient.store(name, _held(patient, name))
    server.scripts |= {LIST: [EMPTY], "/v2/jobs/j": [Reply.json(id="j", status="success", name="a job")]}
    # What the emulator's CloudFormation leaves out.
    for found in patient.visit("--offline")[1]:
        if found["check"] in {"backups", "expiry"}:
            patient.paste(found["do"])
    patient.local.run("watch", JOB)
    server.refusals["/closed"] = []
    patient.local.run("local", "tick")
    server.wait_for("/closed", 1)
    code, patient.healthy = _until(patient, lambda found: not _bad(found))
    assert code == 0
    server.refusals["/closed"] = [410]
    patient.local.run("test-notify", "closed", code=1)


def _treat(patient: Patient) -> None:
    for fault in FAULTS.values():
        fault.plant(patient)
    code, patient.sick = patient.visit()
    assert code == 1
    for fault in FAULTS.values():
        do = _found(patient.sick, fault)["do"]
        if fault.mend:
            fault.mend(patient, do)
        else:
            patient.paste(do)
    code, patient.mended = _until(patient, lambda found: not _bad(found))
    assert code == 0


def _until(patient: Patient, wanted: Callable[[list[dict[str, Any]]], bool]) -> tuple[int, list[dict[str, Any]]]:
    for _ in range(LOOKS):
        code, found = patient.visit()
        if wanted(found):
            return code, found
    raise TimeoutError(_bad(found))


def _bad(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in found if each["level"] == "bad"]


def _found(findings: list[dict[str, Any]], fault: Fault) -> dict[str, Any]:
    [found] = [
        each
        for each in findings
        if (each["check"], each["ok"]) == (fault.check, False)
        and fault.about in each["about"]
        and fault.says in each["says"]
    ]
    return found


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found_by_a_line_of_its_own_and_gone_when_it_was_mended(patient: Patient, name: str) -> None:
    fault = FAULTS[name]

    assert _found(patient.sick, fault)["do"]
    for found in (patient.healthy, patient.mended):
        assert not [each for each in found if fault.about in each["about"] and fault.says in each["says"]]


def test_nothing_is_told_of_a_healthy_deployment_but_what_is_meant(patient: Patient) -> None:
    assert {each["check"] for each in patient.healthy if not each["ok"]} == {"allow_private"}
    assert {each["check"] for each in patient.mended if not each["ok"]} == {"allow_private"}


def test_no_secret_is_shown(patient: Patient) -> None:
    told = json.dumps([patient.healthy, patient.sick, patient.mended])

    assert "canary" not in told
    assert SIGNING_SECRET[6:] not in told


def _somebody(patient: Patient, *actions: str) -> dict[str, str]:
    """The keys of a user of the account who may do just that."""
    iam, name = patient.aws("iam"), f"user-{len(actions)}"
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="policy", PolicyDocument=json.dumps(policy))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}


def test_the_permissions_of_the_document_are_enough(patient: Patient) -> None:
    text = (ROOT / "docs" / "doctor.md").read_text("utf-8")
    [policy] = re.findall(r"^```json\n(.+?)^```$", text, re.MULTILINE | re.DOTALL)
    actions = [action for statement in json.loads(policy)["Statement"] for action in statement["Action"]]

    # The emulator takes GetFunctionConcurrency for this.
    code, found = patient.visit(environment=_somebody(patient, *actions, "lambda:PutFunctionConcurrency"))

    assert code == 0
    assert [each for each in found if each["level"] == "unknown"] == []


def test_whoever_may_see_but_the_stack_is_told_what_could_not_be_looked_at(patient: Patient) -> None:
    code, found = patient.visit(environment=_somebody(patient, "cloudformation:DescribeStackResource"))

    assert code == 3
    assert {each["level"] for each in found} == {"ok", "warn", "unknown"}
    assert all("these AWS credentials may not" in each["says"] for each in found if each["level"] == "unknown")


def test_a_table_and_a_bus_that_are_gone_are_told_and_nothing_breaks(patient: Patient) -> None:
    patient.aws("dynamodb").delete_table(TableName=patient.parts["table"])
    events = patient.aws("events")
    for rule in events.list_rules(EventBusName="pollbridge")["Rules"]:
        targets = events.list_targets_by_rule(Rule=rule["Name"], EventBusName="pollbridge")["Targets"]
        events.remove_targets(Rule=rule["Name"], EventBusName="pollbridge", Ids=[each["Id"] for each in targets])
        events.delete_rule(Name=rule["Name"], EventBusName="pollbridge")
    events.delete_event_bus(Name="pollbridge")

    code, found = patient.visit()

    told = {each["check"]: each["says"] for each in found if each["level"] == "bad"}
    assert code == 1
    assert told["table"].startswith("is gone")
    assert told["bus"].startswith("is gone")
    assert {each["level"] for each in found if each["check"] == "ticks"} == {"unknown"}
