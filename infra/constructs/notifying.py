"""One rule, one queue and one notifier per destination: a slow receiver delays only itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import Aws, Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.alarms import Call
from infra.constructs.functions import Function, Workshop
from infra.constructs.history import History
from infra.constructs.publishing import Bus
from infra.constructs.queues import WorkQueue
from pollbridge.config import Destination
from pollbridge.routing import pattern


class Route(Construct):
    """A rule on the bus whose events go to a work queue, or else to that queue's failures."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        bus: Bus,
        pattern: Mapping[str, Any],
        to: WorkQueue,
        on: bool = True,
    ) -> None:
        super().__init__(scope, construct_id)
        rule = events.CfnRule(
            self,
            "Rule",
            event_bus_name=bus.ref,
            # The L2 pattern has no $or.
            event_pattern=dict(pattern),
            state="ENABLED" if on else "DISABLED",
            targets=[
                events.CfnRule.TargetProperty(
                    arn=to.queue.queue_arn,
                    id="Queue",
                    dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=to.failures.arn),
                )
            ],
        )
        self.rule_arn = rule.attr_arn
        for queue in (to.queue, to.failures.queue):
            queue.add_to_resource_policy(
                iam.PolicyStatement(
                    principals=[iam.ServicePrincipal("events.amazonaws.com")],
                    actions=["sqs:SendMessage"],
                    resources=[queue.queue_arn],
                    conditions={
                        "ArnEquals": {"aws:SourceArn": rule.attr_arn},
                        "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                    },
                )
            )


class Notifier(Construct):
    """Tells one destination what its `match` lets through, with that destination's secret only."""

    TIMEOUT = Duration.seconds(60)

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        workshop: Workshop,
        destination: Destination,
        history: History,
        bus: Bus,
        hurry: str,
    ) -> None:
        super().__init__(scope, name)
        self.service = f"{destination.type}_notifier"
        self.queue = WorkQueue(
            self,
            "Deliveries",
            timeout=self.TIMEOUT,
            # The notifier counts attempts itself; this is only the net below it.
            receives=1000,
            workshop=workshop,
            work=f"events for {name}",
            call=Call(meaning=f"Events couldn't be delivered to {name}.", runbook="events-could-not-be-delivered"),
        )
        route = Route(
            self,
            "Route",
            bus=bus,
            pattern=pattern(destination.match, name),
            to=self.queue,
            on=destination.enabled,
        )
        function = Function(
            self,
            "Notifier",
            workshop=workshop,
            folder=self.service,
            timeout=self.TIMEOUT,
            memory=256,
            environment={
                "DESTINATION": name,
                "TABLE": history.name,
                "QUEUE_URL": self.queue.url,
                "DEAD_LETTER_QUEUE_URL": self.queue.failures.queue.queue_url,
                "RETRIES_HURRY": hurry,
            },
        )
        history.grant_recording(function)
        if destination.type == "slack":
            history.grant_querying(function, "timeline")
        function.may_read_secrets(destination.secret)
        mapping = self.queue.feed(function, batch=5)
        self.queue.failures.take_failures_of(function)
        function.is_only_fed()
        self.parts = {
            "function": function.name,
            "queue": self.queue.url,
            "dead_letter": self.queue.failures.queue.queue_url,
            "rule": route.rule_arn,
            "mapping": mapping,
        }
