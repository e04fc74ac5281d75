"""A whole deployment for `doctor`, in moto, but for the items of its table, which are in memory."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

from botocore.exceptions import ClientError

from pollbridge import config
from pollbridge.aws import client
from pollbridge.cli.deployment import Deployment
from pollbridge.history.connections import connection_pk
from pollbridge.history.table import HEAD, key
from pollbridge.model.health import Health
from pollbridge.model.instant import epoch_minute
from pollbridge.routing import WATCH_REQUESTED, pattern
from tests.kit.offices import Office
from tests.kit.table import create_table
from tests.kit.verifying import signing_secret

ACCOUNT = "123456789012"
REGION = "eu-central-1"
BUS = "pollbridge"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/role"
SECRETS: dict[str, dict[str, str]] = {
    "s": {"x-api-key": "key-canary"},
    "t": {"webhook_url": "https://hooks.slack.example/canary"},
    "w": {"url": "https://receiver.example/hook", "signing_secret": signing_secret(bytes(32))},
}


def arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


@dataclass
class Ward(Office):
    """To be made within moto. All is well until a test does something to it."""

    vendors: dict[str, dict[str, Any]] = field(default_factory=lambda: {"oration": {"secret": "s"}})
    scheduled: bool = True
    whole: bool = True
    """Without it there are the secrets and the destinations' queues only, which is a tenth of the work."""
    denied: set[tuple[str, str]] = field(default_factory=set)
    """Service and operation, in boto3's spelling, that these credentials may not use."""
    asked: set[tuple[str, str]] = field(default_factory=set)
    """Service and operation of all that was asked."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What else the stack tells, or tells otherwise; None for what it does not tell."""
    alarm_settings: dict[str, str] = field(default_factory=lambda: {"email": "oncall@example.com"})

    schedules: dict[str, str] = field(default_factory=dict)
    pollers: dict[str, str] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    mappings: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    topic: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.clients: dict[str, Any] = {"sqs": self.sqs, "cloudformation": Stack(self)}
        self.alarms = [f"{self.stack}-Silent-1", f"{self.stack}-NotEmpty-2"]
        for name, held in SECRETS.items():
            self.aws_("secretsmanager").create_secret(Name=name, SecretString=json.dumps(held))
        self.swept()
        if self.whole:
            self._build()

    def _build(self) -> None:
        self.aws_("iam").create_role(RoleName="role", AssumeRolePolicyDocument="{}")
        self._store()
        self.topic = self.aws_("sns").create_topic(Name="alarms")["TopicArn"]
        self.aws_("sns").subscribe(TopicArn=self.topic, Protocol="email", Endpoint="oncall@example.com")
        for name in self.alarms:
            self.alarm(name)
        self.failures = {name: self._queue(name) for name in ("missed", "publisher", "registrar")}
        self.functions = {name: self._function(name) for name in ("publisher", "registrar", "auditor")}
        self.pollers = {name: self._function(f"poller-{name}") for name in self.vendors}
        self.schedules = {name: self._schedule(name, function) for name, function in self.pollers.items()}
        self.schedules["auditor"] = self._schedule("auditor", self.functions["auditor"])
        self.mappings = {
            "publisher": self._mapping("publisher", self.stream),
            "registrar": self._mapping("registrar", arn("sqs", last(self._queue("requests")))),
        }
        self._rule("requests", {"detail-type": [WATCH_REQUESTED]}, "requests")
        self._connect()

    def client(self, service: str) -> Any:
        return Limited(self, service)

    def aws_(self, service: str) -> Any:
        return self.clients.get(service) or made(service)

    def _store(self) -> None:
        dynamodb = self.aws_("dynamodb")
        create_table(dynamodb, "history")
        wanted = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
        told = dynamodb.update_table(TableName="history", StreamSpecification=wanted)
        self.stream = told["TableDescription"]["LatestStreamArn"]
        dynamodb.update_continuous_backups(
            TableName="history", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        dynamodb.update_time_to_live(
            TableName="history", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
        )
        self.aws_("events").create_event_bus(Name=BUS)

    def _connect(self) -> None:
        """Function, mapping and rule of each destination."""
        settings = self.deployment.configuration.destinations
        for name, part in self.parts.items():
            part["function"] = self._function(f"notifier-{name}")
            # Not from the real queue: moto would take what a test puts there, and want Docker.
            part["mapping"] = self._mapping(part["function"], arn("sqs", last(self._queue(f"feed-{name}"))))
            part["rule"] = self._rule(name, pattern(settings[name].match, name), last(part["queue"]))
            self.admit(name)

    def admit(self, name: str, **attributes: str) -> None:
        """Sets what the stack sets of a destination's queues; but these of the work queue, "" for none."""
        part = self.parts[name]
        self.sqs.set_queue_attributes(
            QueueUrl=part["dead_letter"], Attributes={"Policy": admitting(part["dead_letter"], part["rule"])}
        )
        redrive = {"deadLetterTargetArn": arn("sqs", last(part["dead_letter"])), "maxReceiveCount": 1000}
        wanted = {"Policy": admitting(part["queue"], part["rule"]), "RedrivePolicy": json.dumps(redrive), **attributes}
        # moto forgets a policy that is not set again.
        self.sqs.set_queue_attributes(QueueUrl=part["queue"], Attributes=wanted)

    def _queue(self, name: str) -> str:
        url: str = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        return url

    def _function(self, name: str) -> str:
        self.aws_("lambda").create_function(
            FunctionName=name, Runtime="python3.13", Role=ROLE, Handler="a.a", Code={"ZipFile": code()}
        )
        return name

    def api(self, **settings: str) -> str:
        """Adds the API: its function's name. The settings are those of its URL; without any, it has none."""
        function = self._function("api")
        if settings:
            self.aws_("lambda").create_function_url_config(FunctionName=function, **settings)
        self.extra["api"] = {"function": function, "url": "https://api.example", "callers": "…"}
        return function

    def _schedule(self, name: str, function: str) -> str:
        self.aws_("scheduler").create_schedule(
            Name=name,
            ScheduleExpression="rate(1 minute)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": arn("lambda", f"function:{function}"), "RoleArn": ROLE},
            State="ENABLED" if self.scheduled else "DISABLED",
        )
        return name

    def _mapping(self, function: str, source: str) -> str:
        position = {"StartingPosition": "TRIM_HORIZON"} if "stream" in source else {}
        made = self.aws_("lambda").create_event_source_mapping(FunctionName=function, EventSourceArn=source, **position)
        uuid: str = made["UUID"]
        return uuid

    def _rule(self, name: str, wanted: dict[str, Any], queue: str) -> str:
        events = self.aws_("events")
        told: str = events.put_rule(Name=name, EventBusName=BUS, EventPattern=json.dumps(wanted))["RuleArn"]
        events.put_targets(Rule=name, EventBusName=BUS, Targets=[{"Id": "Queue", "Arn": arn("sqs", queue)}])
        return told

    def alarm(self, name: str, **more: Any) -> None:
        wanted = {"MetricName": "m", "Namespace": "n", "Period": 60, "EvaluationPeriods": 1, "Statistic": "Sum"}
        compared = {"Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold", "AlarmDescription": "Look at it."}
        told = {**wanted, **compared, "AlarmActions": [self.topic], **more}
        self.aws_("cloudwatch").put_metric_alarm(AlarmName=name, **told)

    def swept(self, ago: timedelta = timedelta(0), begun: timedelta | None = None, **more: Any) -> None:
        """The last sweep that was completed, and the last one that was begun, of every connection."""
        for name in self.vendors:
            minute = epoch_minute(self.now)
            minutes = {"completed_tick": ago, "tick": ago if begun is None else begun}
            item = {what: {"N": str(minute - span // timedelta(minutes=1))} for what, span in minutes.items()}
            self.table.put({**key(connection_pk(name), HEAD), **item, **more})

    def ails(self, health: Health) -> None:
        self.swept(health={"S": str(health)})

    @property
    def deployment(self) -> Deployment:
        values = {"vendors": self.vendors, "destinations": self.destinations, "alarms": self.alarm_settings}
        connections = {name: schedule for name, schedule in self.schedules.items() if name != "auditor"}
        told = {
            "destinations": self.parts,
            "pollers": self.pollers,
            **self.functions,
            "scheduled": self.scheduled,
            "schedules": connections,
            "auditor_schedule": "auditor",
            "mappings": self.mappings,
            "failures": self.failures,
            "alarm_topic": self.topic,
            **self.extra,
        }
        parts = {name: part for name, part in told.items() if part is not None}
        return Deployment(self.stack, self.table, BUS, config.check(values, "test"), parts)


@dataclass
class Limited:
    """A client of AWS for somebody who may not do everything."""

    ward: Ward
    service: str

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        self.ward.asked.add((self.service, operation))
        if (self.service, operation) not in self.ward.denied:
            called: Callable[..., Any] = getattr(self.ward.aws_(self.service), operation)
            return called

        def refuse(*_: Any, **__: Any) -> Any:
            action = "".join(word.title() for word in operation.split("_"))
            message = f"User: arn:aws:iam::{ACCOUNT}:user/u is not authorized to perform: {self.service}:{action}"
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": message}}, action)

        return refuse


@dataclass
class Stack:
    """CloudFormation, as far as doctor asks it."""

    ward: Ward

    def get_paginator(self, operation: str) -> Stack:
        assert operation == "list_stack_resources"
        return self

    def paginate(self, *, StackName: str) -> list[dict[str, Any]]:  # noqa: N803 - boto3's
        assert StackName == self.ward.stack
        kinds = [("AWS::SQS::Queue", "q"), *(("AWS::CloudWatch::Alarm", name) for name in self.ward.alarms)]
        return [{"StackResourceSummaries": [{"ResourceType": k, "PhysicalResourceId": n}]} for k, n in kinds]


def admitting(url: str, rule: str) -> str:
    """A queue's policy as the stack has it."""
    queue = arn("sqs", last(url))
    everybody = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sqs:*", "Resource": queue}
    plain = {**everybody, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    source = {"ArnEquals": {"aws:SourceArn": rule}, "StringEquals": {"aws:SourceAccount": ACCOUNT}}
    events = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
    statements = [plain, {**events, "Resource": queue, "Condition": source}]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


made = cache(client)
"""Half of the work: moto answers a client wherever it was made."""


def last(text: str) -> str:
    return text.rsplit("/", 1)[-1]


@cache
def code() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as bundle:
        bundle.writestr("a.py", "")
    return held.getvalue()
