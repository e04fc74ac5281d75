"""A schedule that invokes a function, and says so when it can't."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from infra.constructs.acknowledged import acknowledge
from infra.constructs.functions import Function
from infra.constructs.queues import FailureQueue

OLDEST = 60
"""Seconds, the least that Scheduler and Lambda accept: an older tick is pointless, the next one is its retry."""


class Tick(Construct):
    """Invokes a function at a rate, once per tick and never late, with the time the tick stands for.

    A tick that doesn't arrive, or whose run fails, isn't repeated; it goes to `missed`.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, function: Function, rate: str, missed: FailureQueue, on: bool
    ) -> None:
        super().__init__(scope, construct_id)
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
        )
        role.add_to_policy(
            iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[function.function.function_arn])
        )
        role.add_to_policy(iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[missed.arn]))
        schedule = scheduler.CfnSchedule(
            self,
            "Schedule",
            schedule_expression=f"rate({rate})",
            state="ENABLED" if on else "DISABLED",
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            target=scheduler.CfnSchedule.TargetProperty(
                arn=function.function.function_arn,
                role_arn=role.role_arn,
                input='{"scheduled_time": "<aws.scheduler.scheduled-time>"}',
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                    maximum_retry_attempts=0, maximum_event_age_in_seconds=OLDEST
                ),
                dead_letter_config=scheduler.CfnSchedule.DeadLetterConfigProperty(arn=missed.arn),
            ),
        )
        schedule.node.add_dependency(role)
        self.name = schedule.ref
        acknowledge(
            function.function,
            "Serverless-LambdaDLQ",
            "The failure destination gets what a dead letter target would, and the reason with it.",
        )
        missed.take_failures_of(function)
        invocation = lambda_.CfnEventInvokeConfig(
            self,
            "Invocation",
            function_name=function.name,
            qualifier="$LATEST",
            maximum_retry_attempts=0,
            maximum_event_age_in_seconds=OLDEST,
            destination_config=lambda_.CfnEventInvokeConfig.DestinationConfigProperty(
                on_failure=lambda_.CfnEventInvokeConfig.OnFailureProperty(destination=missed.arn)
            ),
        )
        invocation.node.add_dependency(function.role)
