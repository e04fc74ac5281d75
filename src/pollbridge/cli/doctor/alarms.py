"""Whether alarms ring, and whether somebody hears them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from pollbridge.cli.doctor.finding import GONE, Finding, Look, Question, Subject, bad, denied, gone, last, note, warn
from pollbridge.cli.output import local_time
from pollbridge.model.instant import iso

AT_ONCE = 100
"""Alarms that DescribeAlarms takes by name."""

KEPT = (
    "AlarmName",
    "AlarmDescription",
    "ActionsEnabled",
    "InsufficientDataActions",
    "MetricName",
    "Namespace",
    "Statistic",
    "ExtendedStatistic",
    "Dimensions",
    "Period",
    "Unit",
    "EvaluationPeriods",
    "DatapointsToAlarm",
    "Threshold",
    "ComparisonOperator",
    "TreatMissingData",
    "EvaluateLowSampleCountPercentile",
)
"""What an alarm is made of, beside its actions."""


def _questions(look: Look) -> Iterator[Question]:
    if topic := look.parts.get("alarm_topic"):
        yield Question("reader", "alarms", partial(_reader, look, topic))
    yield Question("alarm", "alarms", partial(_alarms, look))


def _reader(look: Look, topic: str) -> Iterator[Finding]:
    about = "alarm topic"
    try:
        told = _subscriptions(look.client("sns"), topic)
    except ClientError as error:
        if denied(error) and look.configuration.alarms.topic_arn:
            says = f"{topic} is yours to look after: these credentials may not see who reads it"
            yield note("reader", about, says)
            return
        if not gone(error):
            raise
        yield bad("reader", about, f"is gone: there is no topic {topic}", GONE)
        return
    confirmed = [each for each in told if each["SubscriptionArn"].startswith("arn:")]
    pending = [each["Endpoint"] for each in told if each["SubscriptionArn"] == "PendingConfirmation"]
    subscribing = f"aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint YOU@EXAMPLE.COM"
    if confirmed:
        yield Finding("reader", about, f"is read by {', '.join(sorted({each['Endpoint'] for each in confirmed}))}")
    elif pending:
        says = f"is read by nobody: {', '.join(sorted(set(pending)))} did not confirm yet"
        do = f"open the link in the mail from AWS Notifications; to have it sent again: {subscribing}"
        yield bad("reader", about, says, do)
    elif look.parts.get("scheduled", True) or look.configuration.alarms.email:
        yield bad("reader", about, "is read by nobody", f"set [alarms] email and deploy, or {subscribing}")
    else:
        says = "is read by nobody; nothing is scheduled either, so little can ring"
        yield warn("reader", about, says, f"before you schedule it: set [alarms] email and deploy, or {subscribing}")


def _subscriptions(sns: Any, topic: str) -> list[dict[str, str]]:
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    return [each for page in pages for each in page["Subscriptions"]]


def _alarms(look: Look) -> Iterator[Finding]:
    names, found = _names(look), dict[str, dict[str, Any]]()
    cloudwatch = look.client("cloudwatch")
    for start in range(0, len(names), AT_ONCE):
        told = cloudwatch.describe_alarms(AlarmNames=names[start : start + AT_ONCE], MaxRecords=AT_ONCE)
        found |= {alarm["AlarmName"]: alarm for alarm in told["MetricAlarms"]}
    for name in names:
        yield from _alarm(name, found.get(name), look.parts.get("alarm_topic"))
    if not names:
        yield warn("alarm", "alarms", "there are none", "deploy again: npx cdk deploy")


def _names(look: Look) -> list[str]:
    """The stack knows them: those of another deployment may begin alike."""
    pages = (
        look.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=look.deployment.stack)
    )
    return [
        each["PhysicalResourceId"]
        for page in pages
        for each in page["StackResourceSummaries"]
        if each["ResourceType"] == "AWS::CloudWatch::Alarm"
    ]


def _alarm(name: str, told: dict[str, Any] | None, topic: str | None) -> Iterator[Finding]:
    about = f"alarm {last(name)}"
    if told is None:
        yield bad("alarm", about, "is gone", GONE)
        return
    if not told["ActionsEnabled"]:
        do = f"aws cloudwatch enable-alarm-actions --alarm-names {name}"
        yield bad("alarm", about, "tells nobody: its actions are disabled", do)
    deaf = bool(topic) and topic not in told.get("AlarmActions", ())
    if topic and deaf:
        yield bad("alarm", about, "tells nobody: the alarm topic is none of its actions", _telling(told, topic))
    if told["StateValue"] == "ALARM":
        since = local_time(iso(told["StateUpdatedTimestamp"]))
        says = f"rings since {since}: {told.get('AlarmDescription', '')}"
        yield bad("alarm", about, says, "docs/operating.md#alarms has what to look at")
    elif told["ActionsEnabled"] and not deaf:
        yield Finding("alarm", about, "is quiet")


def _telling(told: dict[str, Any], topic: str) -> str:
    """PutMetricAlarm wants the whole of it: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html."""
    wanted = {name: told[name] for name in KEPT if told.get(name) not in (None, [], "")}
    for name in ("AlarmActions", "OKActions"):
        wanted[name] = [*dict.fromkeys((*told.get(name, ()), topic))]
    text = json.dumps(wanted, ensure_ascii=False, separators=(",", ":"))
    return f"aws cloudwatch put-metric-alarm --cli-input-json {shlex.quote(text)}"


ALARMS = Subject("alarms", "none of {n} rings, and somebody would hear it", _questions)
