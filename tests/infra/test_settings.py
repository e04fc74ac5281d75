"""The numbers that keep promises: visibility, ages, retention, concurrency."""

from __future__ import annotations

import json

import pytest

from pollbridge.notifying.deliveries import NO_TIME
from pollbridge.notifying.retries import KEPT, LEASE
from tests.infra.conftest import Resource, Template

DAY = 24 * 3600

pytestmark = pytest.mark.promise(50)


def mappings(template: Template, *, of_stream: bool) -> list[Resource]:
    found = template.all("Lambda::EventSourceMapping")
    return [mapping for mapping in found if bool(mapping.get("StartingPosition")) is of_stream]


def test_every_queue_stays_invisible_for_six_timeouts_of_its_function(template: Template) -> None:
    for mapping in mappings(template, of_stream=False):
        queue = template.resources[mapping["EventSourceArn"].removesuffix(".Arn")]
        function = template.resources[mapping["FunctionName"]]

        assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]


@pytest.mark.promise(30)
def test_notifiers_have_the_time_for_an_attempt_and_a_claim_outlives_them(template: Template) -> None:
    functions = template.all("Lambda::Function")
    timeouts = {one["Timeout"] for one in functions if "DESTINATION" in one["Environment"]["Variables"]}

    assert timeouts
    assert all(NO_TIME < timeout < LEASE.total_seconds() for timeout in timeouts)


def test_every_queue_mapping_is_bounded_and_reports_single_failures(template: Template) -> None:
    for mapping in mappings(template, of_stream=False):
        assert mapping["ScalingConfig"] == {"MaximumConcurrency": 2}
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_destinations_queues_are_received_far_more_often_than_attempted(template: Template) -> None:
    counts = {q["RedrivePolicy"]["maxReceiveCount"] for q in template.all("SQS::Queue") if q.get("RedrivePolicy")}

    assert counts == {1000, 5}


def test_dead_letters_are_kept_as_long_as_their_source_and_outlive_the_stack(template: Template) -> None:
    queues = {queue.id: queue for queue in template.all("SQS::Queue")}
    for queue in queues.values():
        if queue.get("RedrivePolicy"):
            dead = queues[queue["RedrivePolicy"]["deadLetterTargetArn"].removesuffix(".Arn")]

            assert dead["MessageRetentionPeriod"] >= queue["MessageRetentionPeriod"] == KEPT.total_seconds() == 14 * DAY
            assert dead.rest["DeletionPolicy"] == dead.rest["UpdateReplacePolicy"] == "Retain"


@pytest.mark.promise(38)
def test_undelivered_messages_outlive_their_destination(template: Template) -> None:
    for queue in template.all("SQS::Queue"):
        assert queue.rest["DeletionPolicy"] == queue.rest["UpdateReplacePolicy"] == "Retain"


def test_the_table_can_be_restored_and_forgets_what_expired(template: Template) -> None:
    (table,) = template.all("DynamoDB::Table")

    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}


def test_the_stream_is_read_from_its_start_bisected_and_given_up_before_it_forgets(template: Template) -> None:
    (mapping,) = mappings(template, of_stream=True)

    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert 0 < mapping["MaximumRecordAgeInSeconds"] < DAY
    assert mapping["MaximumRetryAttempts"] > 0


def test_only_inserted_entries_that_are_to_be_told_reach_the_publisher(template: Template) -> None:
    (mapping,) = mappings(template, of_stream=True)
    (filter_,) = mapping["FilterCriteria"]["Filters"]

    assert json.loads(filter_["Pattern"]) == {
        "eventName": ["INSERT"],
        "dynamodb": {
            "Keys": {"SK": {"S": [{"prefix": "V#"}]}},
            "NewImage": {"unpublished": {"S": [{"exists": True}]}},
        },
    }


def test_every_function_is_traced_and_logs_for_a_month_into_a_log_of_its_own(template: Template) -> None:
    logs = {log.id: log for log in template.all("Logs::LogGroup")}
    functions = template.all("Lambda::Function")

    assert {log["RetentionInDays"] for log in logs.values()} == {30}
    assert {log.rest["DeletionPolicy"] for log in logs.values()} == {"Delete"}
    assert sorted(function["LoggingConfig"]["LogGroup"] for function in functions) == sorted(logs)
    assert {function["TracingConfig"]["Mode"] for function in functions} == {"Active"}


def test_every_schedule_retries_nothing_and_ages_out_within_a_minute(template: Template) -> None:
    for schedule in template.all("Scheduler::Schedule"):
        target = schedule["Target"]

        assert target["RetryPolicy"] == {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
        assert json.loads(target["Input"]) == {"scheduled_time": "<aws.scheduler.scheduled-time>"}
        assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}


def test_every_function_runs_the_bundles_python_on_arm(template: Template) -> None:
    functions = template.all("Lambda::Function")

    assert {function["Runtime"] for function in functions} == {"python3.14"}
    assert {tuple(function["Architectures"]) for function in functions} == {("arm64",)}
    patient = [function for function in functions if function["Timeout"] > 60]
    assert [f["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] for f in patient] == ["auditor"]


def test_no_function_is_made_by_anyone_but_us(template: Template) -> None:
    assert {function["Handler"] for function in template.all("Lambda::Function")} == {"handler.handler"}
