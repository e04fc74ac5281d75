"""The bus, and the publisher that brings every recorded change onto it."""

from __future__ import annotations

import json

from aws_cdk import ArnFormat, Aws, Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.alarms import Call
from infra.constructs.functions import Function, Workshop
from infra.constructs.history import History
from infra.constructs.queues import FailureQueue

NEWS = {
    "eventName": ["INSERT"],
    "dynamodb": {
        "Keys": {"SK": {"S": [{"prefix": "V#"}]}},
        "NewImage": {"unpublished": {"S": [{"exists": True}]}},
    },
}
"""Inserted history entries that are to be told; silent ones never carry the mark."""


class Bus(Construct):
    """The deployment's event bus, closed to other accounts. Its name is a contract: rules of others hang on it."""

    def __init__(self, scope: Construct, construct_id: str, *, name: str) -> None:
        super().__init__(scope, construct_id)
        self.name = name
        self.arn = Stack.of(self).format_arn(
            service="events", resource="event-bus", resource_name=name, arn_format=ArnFormat.SLASH_RESOURCE_NAME
        )
        self._bus = events.CfnEventBus(
            self,
            "Bus",
            name=name,
            policy={
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "OtherAccounts",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "events:PutEvents",
                        "Resource": self.arn,
                        "Condition": {
                            "StringNotEquals": {"aws:PrincipalAccount": Aws.ACCOUNT_ID},
                        },
                    }
                ],
            },
        )

    @property
    def ref(self) -> str:
        """The name, for whatever must be created after the bus."""
        return self._bus.ref

    def grant_publishing(self, function: Function) -> None:
        function.may("events:PutEvents", on=[self.arn])


class Publisher(Construct):
    """Reads the table's stream from its oldest record and publishes each inserted history entry."""

    def __init__(self, scope: Construct, construct_id: str, *, workshop: Workshop, history: History, bus: Bus) -> None:
        super().__init__(scope, construct_id)
        function = Function(
            self,
            "Publisher",
            workshop=workshop,
            folder="publisher",
            timeout=Duration.seconds(30),
            memory=256,
            environment={"TABLE": history.name, "BUS": bus.ref},
        )
        history.grant_marking(function)
        history.grant_reading_stream(function)
        bus.grant_publishing(function)
        failures = FailureQueue(
            self,
            "Failures",
            workshop=workshop,
            call=Call(
                meaning="Recorded changes couldn't be published; the messages name the stream records.",
                runbook="changes-could-not-be-published",
            ),
        )
        failures.take_failures_of(function)
        function.is_only_fed()
        mapping = lambda_.CfnEventSourceMapping(
            self,
            "Mapping",
            function_name=function.name,
            event_source_arn=history.stream_arn,
            starting_position="TRIM_HORIZON",
            batch_size=100,
            function_response_types=["ReportBatchItemFailures"],
            bisect_batch_on_function_error=True,
            # A record that is refused holds its shard and repeats its neighbours: the auditor is the one with patience.
            maximum_retry_attempts=5,
            # The stream forgets after 24 hours; what is given up before that is still marked unpublished.
            maximum_record_age_in_seconds=20 * 3600,
            destination_config=lambda_.CfnEventSourceMapping.DestinationConfigProperty(
                on_failure=lambda_.CfnEventSourceMapping.OnFailureProperty(destination=failures.arn)
            ),
            filter_criteria=lambda_.CfnEventSourceMapping.FilterCriteriaProperty(
                filters=[lambda_.CfnEventSourceMapping.FilterProperty(pattern=json.dumps(NEWS))]
            ),
        )
        mapping.node.add_dependency(function.role)
        workshop.alarms.when_behind(function.function, name="publisher")
        self.function, self.mapping, self.failures = function, mapping.ref, failures
        self.function_name = function.name
