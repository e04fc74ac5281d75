"""What rings, when, and what it says to whoever is woken up."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from pollbridge import metrics
from tests.infra.conftest import CONFIGURATION, Resource, Synthesize, Template

OPERATING = (Path(__file__).parents[2] / "docs" / "operating.md").read_text("utf-8")
CONNECTIONS = set(CONFIGURATION["vendors"])
DESTINATIONS = set(CONFIGURATION["destinations"])
SWEPT = {metric.name for metric in metrics.METRICS if metric.by == "connection"}


@pytest.fixture(scope="module")
def whole(synthesize: Synthesize) -> Template:
    """With all that can be deployed."""
    return synthesize({**CONFIGURATION, "api": {"enabled": True}}, checked=True)


def alarms(template: Template, *names: str) -> list[Resource]:
    """Those on metrics of these names, or all."""
    return [a for a in template.all("CloudWatch::Alarm") if not names or a["MetricName"] in names]


def dimensions(alarm: Resource) -> dict[str, str]:
    return {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]}


def functions(template: Template, *, scheduled: bool) -> set[str]:
    all_ = {function.id for function in template.all("Lambda::Function")}
    timed = {config["FunctionName"] for config in template.all("Lambda::EventInvokeConfig")}
    return timed if scheduled else all_ - timed


def anchors(text: str) -> set[str]:
    """Of the sections below "Alarms", as GitHub makes them of headings."""
    below = re.split(r"^## Alarms$", text, flags=re.MULTILINE)[1]
    section = re.split(r"^## ", below, flags=re.MULTILINE)[0]
    headings = re.findall(r"^### +(.+)$", section, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.promise(49)
def test_every_alarm_goes_to_the_topic_and_so_does_its_end(template: Template) -> None:
    (topic,) = template.all("SNS::Topic")

    for alarm in alarms(template):
        assert alarm["AlarmActions"] == alarm["OKActions"] == [topic.id]


def test_every_alarm_says_what_it_means_and_names_its_runbook(whole: Template) -> None:
    for alarm in alarms(whole):
        meaning, runbook = alarm["AlarmDescription"].split(" What to do: docs/operating.md#")

        assert meaning.endswith((".", "?"))
        assert runbook in anchors(OPERATING), alarm["AlarmDescription"]


def test_every_runbook_has_an_alarm_that_leads_to_it(whole: Template) -> None:
    assert {alarm["AlarmDescription"].rpartition("#")[2] for alarm in alarms(whole)} == anchors(OPERATING)


def test_every_function_that_is_fed_alarms_when_it_keeps_failing(template: Template) -> None:
    failing = {dimensions(alarm)["FunctionName"] for alarm in alarms(template, "Errors")}

    assert failing == functions(template, scheduled=False)


@pytest.mark.promise(49)
def test_each_failure_of_a_scheduled_function_is_in_a_queue_that_rings(template: Template) -> None:
    ringing = {dimensions(alarm)["QueueName"] for alarm in alarms(template, "ApproximateNumberOfMessagesVisible")}
    ends = {
        config["FunctionName"]: config["DestinationConfig"]["OnFailure"]["Destination"].replace(".Arn", ".QueueName")
        for config in template.all("Lambda::EventInvokeConfig")
    }

    assert set(ends) == functions(template, scheduled=True)
    assert set(ends.values()) <= ringing


@pytest.mark.promise(52)
def test_a_connection_alarms_when_no_sweep_came_to_an_end(template: Template) -> None:
    silent = {dimensions(a)["connection"]: a for a in alarms(template) if a["Statistic"] == "SampleCount"}

    assert set(silent) == CONNECTIONS
    for alarm in silent.values():
        assert metrics.MINUTES_BEHIND.always
        assert alarm["MetricName"] == metrics.MINUTES_BEHIND.name
        assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (1, "LessThanThreshold")
        assert alarm["TreatMissingData"] == "breaching"
        assert alarm["Period"] * alarm["EvaluationPeriods"] == 300


@pytest.mark.promise(52)
def test_the_auditor_alarms_when_it_is_not_invoked(template: Template) -> None:
    (alarm,) = alarms(template, "Invocations")

    assert dimensions(alarm)["FunctionName"] in functions(template, scheduled=True)
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (1, "LessThanThreshold")
    assert (alarm["TreatMissingData"], alarm["Period"]) == ("breaching", 3 * 3600)


@pytest.mark.parametrize(
    ("metric", "statistic", "threshold", "spells"),
    [("MinutesBehind", "Maximum", 15, 3), ("Troubles", "Maximum", 1, 1), ("Unfinished", "Sum", 4, 6)],
)
def test_a_connection_rings_by_what_its_sweeps_tell_in_spells_of_five_minutes(
    template: Template, metric: str, statistic: str, threshold: int, spells: int
) -> None:
    found = [alarm for alarm in alarms(template, metric) if alarm["Statistic"] == statistic]

    assert {dimensions(alarm)["connection"] for alarm in found} == CONNECTIONS
    for alarm in found:
        assert dimensions(alarm)["connection"] in alarm["AlarmDescription"]
        assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (threshold, "GreaterThanOrEqualToThreshold")
        assert (alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"], alarm["Period"]) == (spells, spells, 300)
        assert alarm["TreatMissingData"] == "notBreaching"  # silence has an alarm of its own


@pytest.mark.parametrize("metric", [metric for metric in metrics.METRICS if metric.services == ("auditor",)])
def test_what_an_audit_finds_rings_though_audits_are_not_quite_an_hour_apart(
    template: Template, metric: metrics.Metric
) -> None:
    (alarm,) = alarms(template, metric.name)

    assert (alarm["Period"], alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == (3600, 2, 1)
    assert alarm["Threshold"] == (900 if metric.unit == "Seconds" else 1)
    assert (alarm["Statistic"], alarm["TreatMissingData"]) == ("Maximum", "notBreaching")


def test_every_queue_that_a_function_works_off_rings_when_it_does_not(template: Template) -> None:
    worked_off = {queue.id for queue in template.all("SQS::Queue") if queue.get("RedrivePolicy")}
    waiting = [a for a in alarms(template, "ApproximateNumberOfMessagesVisible") if a["Statistic"] == "Minimum"]

    assert {dimensions(alarm)["QueueName"].removesuffix(".QueueName") for alarm in waiting} == worked_off
    assert {(a["Period"], a["EvaluationPeriods"], a["DatapointsToAlarm"]) for a in waiting} == {(900, 2, 2)}


def test_the_stream_rings_long_before_it_forgets(template: Template) -> None:
    (alarm,) = alarms(template, "IteratorAge")

    assert (alarm["Threshold"], alarm["Statistic"]) == (600_000, "Maximum")


def test_a_connection_has_four_alarms_and_a_destination_three(template: Template, synthesize: Synthesize) -> None:
    alone = synthesize({**CONFIGURATION, "destinations": {}})
    by_connection = Counter(dimensions(a)["connection"] for a in alarms(template) if "connection" in dimensions(a))

    assert set(by_connection.values()) == {4}
    assert len(alarms(template)) - len(alarms(alone)) == 3 * len(DESTINATIONS)


def test_a_stack_without_schedules_has_them_disabled_and_expects_no_sweeps(synthesize: Synthesize) -> None:
    quiet = synthesize(scheduled=False)

    assert {schedule["State"] for schedule in quiet.all("Scheduler::Schedule")} == {"DISABLED"}
    assert not [alarm for alarm in alarms(quiet) if alarm["TreatMissingData"] == "breaching"]


def test_two_deployments_of_an_account_read_their_own_metrics(synthesize: Synthesize, template: Template) -> None:
    other = synthesize(name="Staging")
    for found, own in ((template, "pollbridge"), (other, "staging")):
        ours = {a["Namespace"] for a in alarms(found) if not a["Namespace"].startswith("AWS/")}
        written = {
            function["Environment"]["Variables"]["POWERTOOLS_METRICS_NAMESPACE"]
            for function in found.all("Lambda::Function")
        }

        assert ours == written == {own}
