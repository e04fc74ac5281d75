"""One id, found in the logs of every function that had an event in hand; and what rings, in the deployed stack."""

import json
import re
from typing import Any

import pytest

from tests.e2e.conftest import SIGNING_SECRET, Local
from tests.kit.stranger import Reply

pytestmark = pytest.mark.e2e

KEY = "acme/job/ws/traced"
LOOKS = 60
"""At the logs, by a command each: what is waited for comes within a few."""


def _lines(local: Local) -> list[dict[str, Any]]:
    """What our functions logged; the platform's own lines and the records of metrics are left out."""
    told = [line["message"] for line in local.json("local", "logs", "--limit", "100000")]
    lines = [json.loads(message) for message in told if message.startswith("{")]
    return [line for line in lines if "message" in line]


def _about(local: Local, event_id: str) -> list[dict[str, Any]]:
    return [line for line in _lines(local) if line.get("event_id") == event_id]


@pytest.mark.promise(21)
@pytest.mark.promise(45)
def test_one_id_leads_from_the_poll_through_the_bus_to_each_receiver(local: Local) -> None:
    person = {"id": "wren-person", "email": "wren@example.com"}
    local.stranger.scripts["/v2/jobs/traced"] = [
        Reply.json(id="traced", status="success", name="wren-name", createdBy=person, error=None)
    ]
    hooks, slacks = len(local.stranger.to("/hook")), len(local.stranger.to("/slack"))
    local.run("watch", KEY, "--label", "for=wren-label")
    local.run("local", "tick")
    [*_, hook] = local.stranger.wait_for("/hook", hooks + 1)
    local.stranger.wait_for("/slack", slacks + 1)
    [change] = local.json("history", KEY)

    found = _until_two_took_it(local, change["event_id"])

    assert hook.headers["webhook-id"] == change["event_id"]
    assert {line["job"] for line in found} == {KEY}
    assert {line["version"] for line in found} == {1}
    # A sweep writes its lines when it ends: the publisher may have written before.
    before = [(line["message"], line["service"]) for line in found if line["message"] != "delivery"]
    assert sorted(before) == [("published", "publisher"), ("recorded", "poller")]
    delivered = {(line["service"], line["destination"]) for line in found if line.get("outcome") == "delivered"}
    assert delivered == {("webhook_notifier", "hook"), ("slack_notifier", "chat")}
    everything = local.run("local", "logs", "--limit", "100000")
    for wren in ("wren", "key-acme", SIGNING_SECRET, SIGNING_SECRET.removeprefix("whsec_"), local.stranger.url):
        assert wren not in everything


def _until_two_took_it(local: Local, event_id: str) -> list[dict[str, Any]]:
    for _ in range(LOOKS):
        found = _about(local, event_id)
        if sum(line.get("outcome") == "delivered" for line in found) == 2:
            return found
    raise TimeoutError(found)


def _deployed(local: Local, kind: str) -> list[str]:
    pages = local.aws("cloudformation").get_paginator("list_stack_resources").paginate(StackName="Pollbridge")
    found = [resource for page in pages for resource in page["StackResourceSummaries"]]
    return [resource["PhysicalResourceId"] for resource in found if resource["ResourceType"] == f"AWS::{kind}"]


@pytest.mark.promise(49)
def test_alarms_are_there_and_their_reader_hears_them_ring(local: Local) -> None:
    watch, sqs, sns = (local.aws(service) for service in ("cloudwatch", "sqs", "sns"))
    alarms = watch.describe_alarms(AlarmNames=_deployed(local, "CloudWatch::Alarm"), MaxRecords=100)["MetricAlarms"]
    [topic] = _deployed(local, "SNS::Topic")
    acme = {"Name": "connection", "Value": "acme"}
    [trouble] = [alarm for alarm in alarms if alarm["MetricName"] == "Troubles" and acme in alarm["Dimensions"]]
    queue = sqs.create_queue(QueueName="reader")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(_open_to(topic, arn))})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    numbers = [{"MetricName": "Troubles", "Value": 1, "Dimensions": trouble["Dimensions"]}]
    watch.put_metric_data(Namespace=trouble["Namespace"], MetricData=numbers)
    told = _told(sqs, queue, trouble["AlarmName"])
    [ringing] = watch.describe_alarms(AlarmNames=[trouble["AlarmName"]])["MetricAlarms"]
    for alarm in alarms:
        watch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="OK", StateReason="the test is over")

    assert all(alarm["AlarmActions"] == alarm["OKActions"] == [topic] for alarm in alarms)
    assert ringing["StateValue"] == told["NewStateValue"] == "ALARM"
    assert "docs/operating.md#a-connection-brings-no-answers" in told["AlarmDescription"]


def _told(sqs: Any, queue: str, alarm: str) -> dict[str, Any]:
    """What the reader heard of that alarm; others may ring or end meanwhile."""
    for _ in range(LOOKS):
        answer = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1, MaxNumberOfMessages=10)
        for message in answer.get("Messages", []):
            told: dict[str, Any] = json.loads(json.loads(message["Body"])["Message"])
            if told["AlarmName"] == alarm:
                return told
    raise TimeoutError(alarm)


def _open_to(topic: str, queue: str) -> dict[str, Any]:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def test_the_dashboard_is_there_and_reads_what_the_functions_write(local: Local) -> None:
    [name] = _deployed(local, "CloudWatch::Dashboard")
    body = json.loads(local.aws("cloudwatch").get_dashboard(DashboardName=name)["DashboardBody"])
    functions = set(_deployed(local, "Lambda::Function"))

    shown = [line for widget in body["widgets"] for line in widget["properties"].get("metrics", [])]
    named = {line[3] for line in shown if line[2] == "FunctionName"}
    assert named == functions
    assert "docs/operating.md#alarms" in body["widgets"][0]["properties"]["markdown"]
    assert not re.search(r"\$\{|Fn::", json.dumps(body))
