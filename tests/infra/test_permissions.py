"""Each function may do what it must and nothing else; nobody else may do anything."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest

from tests.infra.conftest import Resource, Synthesize, Template

XRAY = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}

RECORDING = {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"}
CONSUMING = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"}
STREAMING = {f"dynamodb:{verb}" for verb in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")}
NOTIFYING = {*RECORDING, *CONSUMING, "sqs:SendMessage", "secretsmanager:GetSecretValue"}
ALLOWED = {
    "poller": {
        *RECORDING,
        "dynamodb:BatchGetItem",
        "dynamodb:Query",
        "secretsmanager:GetSecretValue",
        "sqs:SendMessage",
    },
    "publisher": {*STREAMING, "dynamodb:UpdateItem", "events:PutEvents", "sqs:SendMessage"},
    "slack_notifier": {*NOTIFYING, "dynamodb:Query"},
    "webhook_notifier": NOTIFYING,
    "registrar": {*RECORDING, *CONSUMING},
    "auditor": {
        *{f"dynamodb:{verb}" for verb in ("GetItem", "UpdateItem", "Query", "Scan")},
        "events:PutEvents",
        "sqs:SendMessage",
    },
}
EVERYBODY = {*XRAY, "logs:CreateLogStream", "logs:PutLogEvents"}


def allowed(template: Template, function: Resource) -> dict[str, set[str]]:
    """Action → resources, of one function."""
    found: dict[str, set[str]] = defaultdict(set)
    for role, statement in template.statements():
        if f"{role}.Arn" == function["Role"]:
            for action in statement["Action"]:
                found[action].update(statement["Resource"])
    return found


def variables(function: Resource) -> dict[str, str]:
    found: dict[str, str] = function["Environment"]["Variables"]
    return found


@pytest.mark.promise(47)
def test_no_statement_names_a_wildcard_but_for_tracing(template: Template) -> None:
    for _, statement in template.statements():
        assert not any("*" in action for action in statement["Action"])
        if set(statement["Action"]) == XRAY:
            continue
        assert all(
            not resource.endswith("*") or resource.endswith(".Arn/stream/*") for resource in statement["Resource"]
        )


@pytest.mark.promise(47)
def test_every_function_may_do_exactly_what_it_does(template: Template) -> None:
    for function in template.all("Lambda::Function"):
        service = variables(function)["POWERTOOLS_SERVICE_NAME"]

        assert set(allowed(template, function)) == ALLOWED[service] | EVERYBODY, service


@pytest.mark.promise(47)
def test_every_function_has_a_role_of_its_own(template: Template) -> None:
    roles = [function["Role"] for function in template.all("Lambda::Function")]

    assert len(roles) == len(set(roles))
    assert not any(role.get("ManagedPolicyArns") for role in template.all("IAM::Role"))


@pytest.mark.promise(47)
def test_every_function_reads_only_its_own_secrets(template: Template) -> None:
    expected = {
        "scale": {"canary/scale"},
        "mentionlab": {"canary/mentionlab", "canary/mentionlab-b"},
        "docs": {"canary/docs-AbCdEf"},
        "team": {"canary/team"},
        "service": {"canary/service"},
        "raw": {"canary/raw"},
    }
    for function in template.all("Lambda::Function"):
        names = variables(function)
        whose = names.get("CONNECTION") or names.get("DESTINATION") or ""
        arns = allowed(template, function)["secretsmanager:GetSecretValue"]

        assert {arn.rpartition(":secret:")[2].removesuffix("-??????") for arn in arns} == expected.get(whose, set())


@pytest.mark.promise(47)
def test_two_connections_of_one_type_read_exactly_their_own_secrets(synthesize: Synthesize) -> None:
    a = {"type": "mentionlab", "secret": "canary/a", "scope_secrets": {"p": "canary/a-p", "q": "canary/a-q"}}
    b = {"type": "mentionlab", "secret": "canary/b", "scope_secrets": {"p": "canary/b-p", "q": "canary/b"}}
    template = synthesize({"vendors": {"mentionlab-a": a, "mentionlab-b": b}})

    found = {
        variables(function)["CONNECTION"]: sorted(allowed(template, function)["secretsmanager:GetSecretValue"])
        for function in template.all("Lambda::Function")
        if "CONNECTION" in variables(function)
    }
    assert {name: [arn.rpartition(":secret:")[2] for arn in arns] for name, arns in found.items()} == {
        "mentionlab-a": ["canary/a-??????", "canary/a-p-??????", "canary/a-q-??????"],
        "mentionlab-b": ["canary/b-??????", "canary/b-p-??????"],
    }


@pytest.mark.promise(47)
def test_queries_and_scans_are_of_the_indexes_they_need(template: Template) -> None:
    found = defaultdict(set)
    for function in template.all("Lambda::Function"):
        for action in ("dynamodb:Query", "dynamodb:Scan"):
            for arn in allowed(template, function)[action]:
                found[variables(function)["POWERTOOLS_SERVICE_NAME"], action].add(arn.rpartition("/index/")[2])

    assert found == {
        ("poller", "dynamodb:Query"): {"due"},
        ("slack_notifier", "dynamodb:Query"): {"timeline"},
        ("auditor", "dynamodb:Query"): {"unpublished"},
        ("auditor", "dynamodb:Scan"): {"due"},
    }


@pytest.mark.promise(48)
def test_every_queue_refuses_plain_http_and_other_accounts(template: Template) -> None:
    policies = {queue: p for p in template.all("SQS::QueuePolicy") for queue in p["Queues"]}

    assert set(policies) == {queue.id for queue in template.all("SQS::Queue")}
    for policy in policies.values():
        denied = [s["Condition"] for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
        assert {"Bool": {"aws:SecureTransport": "false"}} in denied
        assert any(c.get("StringNotEquals") == {"aws:PrincipalAccount": "AWS::AccountId"} for c in denied)


@pytest.mark.promise(48)
def test_queues_let_in_only_their_own_rule(template: Template) -> None:
    for policy in template.all("SQS::QueuePolicy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Allow":
                assert statement["Principal"] == {"Service": "events.amazonaws.com"}
                assert statement["Condition"]["ArnEquals"]["aws:SourceArn"].endswith(".Arn")


@pytest.mark.promise(48)
def test_every_queue_is_encrypted(template: Template) -> None:
    assert {queue["SqsManagedSseEnabled"] for queue in template.all("SQS::Queue")} == {True}


@pytest.mark.promise(48)
def test_the_bus_refuses_other_accounts(template: Template) -> None:
    (bus,) = template.all("Events::EventBus")
    (statement,) = bus["Policy"]["Statement"]

    assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
    assert statement["Condition"] == {"StringNotEquals": {"aws:PrincipalAccount": "AWS::AccountId"}}


@pytest.mark.promise(45)
def test_the_template_names_secrets_only_where_they_are_granted_and_configured(template: Template) -> None:
    rest = json.loads(template.text)
    del rest["Resources"]["Configuration"]
    rest["Resources"] = {k: r for k, r in rest["Resources"].items() if r["Type"] != "AWS::IAM::Policy"}

    assert "canary/" not in json.dumps(rest)
    assert "{{resolve:" not in template.text


def test_the_emulators_stack_takes_plain_http_and_can_be_deleted(synthesize: Synthesize) -> None:
    template = synthesize(emulated=True)

    assert "aws:SecureTransport" not in template.text
    assert [table["DeletionProtectionEnabled"] for table in template.all("DynamoDB::Table")] == [False]
