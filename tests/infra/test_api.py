"""The API: a URL that only signed requests reach, and nothing of it where it is off."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest

from tests.infra.conftest import CONFIGURATION, Resource, Synthesize, Template
from tests.infra.test_permissions import EVERYBODY, XRAY, allowed, variables


@pytest.fixture(scope="module")
def asked(synthesize: Synthesize) -> Template:
    return synthesize({**CONFIGURATION, "api": {"enabled": True}}, checked=True)


def function(template: Template) -> Resource:
    [found] = [f for f in template.all("Lambda::Function") if variables(f)["POWERTOOLS_SERVICE_NAME"] == "api"]
    return found


def test_it_is_off_unless_asked_for(template: Template) -> None:
    assert not [r for r in template.resources.values() if r.type in {"AWS::Lambda::Url", "AWS::IAM::ManagedPolicy"}]
    assert "api" not in template.resources["Configuration"].rest["Metadata"]["pollbridge"]


def test_switching_it_on_leaves_every_other_resource_as_it_is(template: Template, asked: Template) -> None:
    before, after = (json.loads(each.text)["Resources"] for each in (template, asked))

    changed = {name for name in before if before[name] != after.get(name)}
    assert changed <= {"Configuration", *(name for name in before if name.startswith("Dashboard"))}
    assert "Configuration" in changed


@pytest.mark.promise(48)
def test_its_url_takes_only_requests_that_aws_knows_the_signer_of(asked: Template) -> None:
    [url] = asked.all("Lambda::Url")

    assert (url["AuthType"], url["TargetFunctionArn"]) == ("AWS_IAM", f"{function(asked).id}.Arn")
    assert url.get("Cors") is None


@pytest.mark.promise(48)
def test_nobody_may_ask_but_by_a_policy_of_his_own(asked: Template) -> None:
    """A permission on the function would let in whom it names, or everybody."""
    assert not [r for r in asked.resources.values() if r.type == "AWS::Lambda::Permission"]


def test_the_callers_policy_lets_them_ask_and_nothing_else(asked: Template) -> None:
    [policy] = asked.all("IAM::ManagedPolicy")
    through, into = policy["PolicyDocument"]["Statement"]

    assert {through["Resource"], into["Resource"]} == {f"{function(asked).id}.Arn"}
    assert (through["Action"], through["Condition"]) == (
        "lambda:InvokeFunctionUrl",
        {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}},
    )
    assert (into["Action"], into["Condition"]) == (
        "lambda:InvokeFunction",
        {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}},
    )


@pytest.mark.promise(47)
def test_it_may_do_exactly_what_it_does(asked: Template) -> None:
    found = allowed(asked, function(asked))

    assert set(found) == EVERYBODY | {
        *(f"dynamodb:{verb}" for verb in ("GetItem", "UpdateItem", "BatchGetItem", "Query")),
        *(f"sqs:{verb}" for verb in ("SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility")),
        "cloudformation:DescribeStackResource",
    }
    assert found["cloudformation:DescribeStackResource"] == {"AWS::StackId"}
    assert all("*" not in arn for action, arns in found.items() if action not in XRAY for arn in arns)


@pytest.mark.promise(47)
def test_it_puts_into_queues_and_takes_out_of_dead_letter_queues_only(asked: Template) -> None:
    found = allowed(asked, function(asked))
    dead = {q["RedrivePolicy"]["deadLetterTargetArn"]: q for q in asked.all("SQS::Queue") if q.get("RedrivePolicy")}
    of_destinations = {arn: f"{q.id}.Arn" for arn, q in dead.items() if q.id.startswith("Notifying")}

    assert len(of_destinations) == len(CONFIGURATION["destinations"])
    assert found["sqs:SendMessage"] == set(of_destinations.values())
    for verb in ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility"):
        assert found[f"sqs:{verb}"] == set(of_destinations)


@pytest.mark.promise(47)
def test_it_queries_the_table_and_the_indexes_it_lists_by(asked: Template) -> None:
    indexes = {arn.partition("/index/")[2] for arn in allowed(asked, function(asked))["dynamodb:Query"]}

    assert indexes == {"", "by_state", "due", "timeline"}


def test_it_alarms_when_it_fails_and_when_it_answers_that_it_is_broken(asked: Template) -> None:
    metrics = defaultdict(set)
    for alarm in asked.all("CloudWatch::Alarm"):
        for dimension in alarm.get("Dimensions") or ():
            metrics[dimension["Value"]].add(alarm["MetricName"])

    assert metrics[function(asked).id] == {"Errors", "Url5xxCount"}


def test_it_is_neither_scheduled_nor_fed_but_asked(asked: Template) -> None:
    scheduled = {config["FunctionName"] for config in asked.all("Lambda::EventInvokeConfig")}
    fed = {mapping["FunctionName"] for mapping in asked.all("Lambda::EventSourceMapping")}
    at_a_url = {url["TargetFunctionArn"].removesuffix(".Arn") for url in asked.all("Lambda::Url")}

    assert scheduled | fed | at_a_url == {each.id for each in asked.all("Lambda::Function")}
    assert at_a_url.isdisjoint(scheduled | fed)


@pytest.mark.promise(51)
def test_no_finding_of_cdk_nag_is_unacknowledged(asked: Template) -> None:
    report = asked.folder / "validation-report.json"
    findings = json.loads(report.read_text())["pluginReports"] if report.exists() else []

    assert [v["ruleName"] for plugin in findings for v in plugin["violations"]] == []


def test_outputs_tell_where_it_is_and_which_policy_its_callers_need(asked: Template) -> None:
    told = asked.resources["Configuration"].rest["Metadata"]["pollbridge"]["api"]
    outputs = json.loads(asked.text)["Outputs"]
    [url] = asked.all("Lambda::Url")

    assert told["url"] == {"Fn::GetAtt": [url.id, "FunctionUrl"]} == outputs["ApiUrl"]["Value"]
    assert told["function"] == {"Ref": function(asked).id}
    assert outputs["ApiCallers"]["Value"] == {"Ref": asked.all("IAM::ManagedPolicy")[0].id}


def test_in_the_emulator_it_is_below_the_emulators_own_address(synthesize: Synthesize) -> None:
    told = synthesize({**CONFIGURATION, "api": {"enabled": True}}, emulated=True)

    where = json.loads(told.text)["Outputs"]["ApiUrl"]["Value"]
    assert where["Fn::Join"][1][0] == "/_aws/lambda-url/"
