"""Whatever fails ends somewhere, and somebody is told."""

from __future__ import annotations

import json

import pytest

from pollbridge.observability import count
from tests.infra.conftest import CONFIGURATION, Resource, Synthesize, Template


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
def test_every_alarm_goes_to_the_topic_and_so_does_its_end(template: Template) -> None:
    (topic,) = template.all("SNS::Topic")

    for alarm in template.all("CloudWatch::Alarm"):
        assert alarm["AlarmActions"] == alarm["OKActions"] == [topic.id]


@pytest.mark.promise(49)
def test_the_topic_lets_this_accounts_alarms_in(template: Template) -> None:
    (policy,) = template.all("SNS::TopicPolicy")
    allowed = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]

    assert [s["Principal"] for s in allowed] == [{"Service": "cloudwatch.amazonaws.com"}]
    assert allowed[0]["Condition"]["StringEquals"] == {"aws:SourceAccount": "AWS::AccountId"}


def test_every_function_that_keeps_failing_alarms(template: Template) -> None:
    failing = {
        dimension["Value"]
        for alarm in template.all("CloudWatch::Alarm")
        if alarm["MetricName"] == "Errors"
        for dimension in alarm["Dimensions"]
    }

    assert failing == {function.id for function in template.all("Lambda::Function")}


@pytest.mark.promise(52)
def test_every_scheduled_function_alarms_when_it_is_silent(template: Template) -> None:
    silent = {
        dimension["Value"]: alarm
        for alarm in template.all("CloudWatch::Alarm")
        if alarm["MetricName"] == "Invocations"
        for dimension in alarm["Dimensions"]
    }

    assert set(silent) == {config["FunctionName"] for config in template.all("Lambda::EventInvokeConfig")}
    assert {alarm["TreatMissingData"] for alarm in silent.values()} == {"breaching"}
    assert {alarm["ComparisonOperator"] for alarm in silent.values()} == {"LessThanThreshold"}


@pytest.mark.promise(52)
def test_the_pollers_silence_rings_within_five_minutes(template: Template) -> None:
    periods = [a["Period"] for a in template.all("CloudWatch::Alarm") if a["MetricName"] == "Invocations"]

    assert sorted(periods)[: len(periods) - 1] == [300] * (len(periods) - 1)


def swept(template: Template) -> list[Resource]:
    """The alarms that go by what sweeps tell of their connection."""
    return [a for a in template.all("CloudWatch::Alarm") if a["MetricName"] in {"MinutesBehind", "Troubles"}]


def dimensions(alarm: Resource) -> dict[str, str]:
    return {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]}


def test_every_connection_alarms_when_it_falls_behind_and_when_it_is_in_trouble(template: Template) -> None:
    found = {(alarm["MetricName"], dimensions(alarm)["connection"]) for alarm in swept(template)}

    assert found == {(name, vendor) for name in ("MinutesBehind", "Troubles") for vendor in CONFIGURATION["vendors"]}
    assert len(swept(template)) == len(found)


def test_an_alarm_on_sweeps_reads_the_metric_that_the_poller_writes(
    template: Template, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for alarm in swept(template):
        connection = dimensions(alarm)["connection"]
        [environment] = [
            function["Environment"]["Variables"]
            for function in template.all("Lambda::Function")
            if function["Environment"]["Variables"].get("CONNECTION") == connection
        ]
        for name in ("POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE"):
            monkeypatch.setenv(name, environment[name])
        count({alarm["MetricName"]: 1}, connection=connection)

        written = json.loads(capsys.readouterr().out)
        [directive] = written["_aws"]["CloudWatchMetrics"]
        assert alarm["Namespace"] == directive["Namespace"]
        assert dimensions(alarm) == {name: written[name] for name in directive["Dimensions"][0]}


@pytest.mark.parametrize(
    ("metric", "threshold", "spells"),
    [
        ("MinutesBehind", 15, 3),
        ("Troubles", 1, 1),
    ],
)
def test_a_connection_rings_by_the_worst_sweep_of_five_minutes_in_a_row(
    template: Template, metric: str, threshold: int, spells: int
) -> None:
    for alarm in [alarm for alarm in swept(template) if alarm["MetricName"] == metric]:
        assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (threshold, "GreaterThanOrEqualToThreshold")
        assert (alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == (spells, spells)
        assert (alarm["Statistic"], alarm["Period"]) == ("Maximum", 300)
        assert alarm["TreatMissingData"] == "notBreaching"  # silence has an alarm of its own


def test_an_alarm_on_sweeps_names_its_connection_and_where_to_read_on(template: Template) -> None:
    for alarm in swept(template):
        text = alarm["AlarmDescription"]

        assert dimensions(alarm)["connection"] in text
        assert text.endswith("see docs/operating.md.")


def test_a_stack_without_schedules_has_them_disabled_and_expects_no_invocations(synthesize: Synthesize) -> None:
    quiet = synthesize(scheduled=False)

    assert {schedule["State"] for schedule in quiet.all("Scheduler::Schedule")} == {"DISABLED"}
    assert not [a for a in quiet.all("CloudWatch::Alarm") if a["MetricName"] == "Invocations"]
    assert not swept(quiet)


def test_a_given_topic_is_used_and_none_is_made(synthesize: Synthesize) -> None:
    arn = "arn:aws:sns:eu-west-1:111122223333:oncall"
    template = synthesize({"vendors": {"scale": {"secret": "s"}}, "alarms": {"topic_arn": arn}})

    assert {tuple(alarm["AlarmActions"]) for alarm in template.all("CloudWatch::Alarm")} == {(arn,)}
    assert not any(resource.type == "AWS::SNS::Topic" for resource in template.resources.values())
