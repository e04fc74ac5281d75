"""Whatever fails ends somewhere, and somebody is told."""

from __future__ import annotations

import pytest

from tests.infra.conftest import Synthesize, Template


def alarmed_queues(template: Template) -> set[str]:
    return {
        dimension["Value"].removesuffix(".QueueName")
        for alarm in template.all("CloudWatch::Alarm")
        if alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
        for dimension in alarm["Dimensions"]
    }


def failure_queues(template: Template) -> set[str]:
    """Every place where the template lets a failure end."""
    arns = [
        *(q["RedrivePolicy"]["deadLetterTargetArn"] for q in template.all("SQS::Queue") if q.get("RedrivePolicy")),
        *(target["DeadLetterConfig"]["Arn"] for rule in template.all("Events::Rule") for target in rule["Targets"]),
        *(schedule["Target"]["DeadLetterConfig"]["Arn"] for schedule in template.all("Scheduler::Schedule")),
        *(c["DestinationConfig"]["OnFailure"]["Destination"] for c in template.all("Lambda::EventInvokeConfig")),
        *(
            mapping["DestinationConfig"]["OnFailure"]["Destination"]
            for mapping in template.all("Lambda::EventSourceMapping")
            if mapping.get("StartingPosition")
        ),
    ]
    return {arn.removesuffix(".Arn") for arn in arns}


@pytest.mark.promise(49)
def test_every_failure_ends_in_a_queue_of_this_stack_with_an_alarm(template: Template) -> None:
    ends = failure_queues(template)

    assert ends
    assert ends <= alarmed_queues(template)


@pytest.mark.promise(49)
def test_every_queue_is_redriven_or_is_itself_where_failures_end(template: Template) -> None:
    ends = failure_queues(template)

    assert all((queue.id in ends) != bool(queue.get("RedrivePolicy")) for queue in template.all("SQS::Queue"))


@pytest.mark.promise(49)
def test_every_scheduled_function_has_a_failure_destination_and_no_retries(template: Template) -> None:
    scheduled = {schedule["Target"]["Arn"].removesuffix(".Arn") for schedule in template.all("Scheduler::Schedule")}
    configured = {config["FunctionName"]: config for config in template.all("Lambda::EventInvokeConfig")}

    assert set(configured) == scheduled
    assert {config["MaximumRetryAttempts"] for config in configured.values()} == {0}
    assert {config["MaximumEventAgeInSeconds"] for config in configured.values()} == {60}


@pytest.mark.promise(49)
def test_every_function_is_either_scheduled_or_fed(template: Template) -> None:
    scheduled = {config["FunctionName"] for config in template.all("Lambda::EventInvokeConfig")}
    fed = {mapping["FunctionName"] for mapping in template.all("Lambda::EventSourceMapping")}

    assert scheduled.isdisjoint(fed)
    assert scheduled | fed == {function.id for function in template.all("Lambda::Function")}


@pytest.mark.promise(49)
def test_the_topic_lets_this_accounts_alarms_in(template: Template) -> None:
    (policy,) = template.all("SNS::TopicPolicy")
    allowed = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]

    assert [s["Principal"] for s in allowed] == [{"Service": "cloudwatch.amazonaws.com"}]
    assert allowed[0]["Condition"]["StringEquals"] == {"aws:SourceAccount": "AWS::AccountId"}


def test_a_given_topic_is_used_and_none_is_made(synthesize: Synthesize) -> None:
    arn = "arn:aws:sns:eu-west-1:111122223333:oncall"
    template = synthesize({"vendors": {"scale": {"secret": "s"}}, "alarms": {"topic_arn": arn}})

    assert {tuple(alarm["AlarmActions"]) for alarm in template.all("CloudWatch::Alarm")} == {(arn,)}
    assert not any(resource.type == "AWS::SNS::Topic" for resource in template.resources.values())
