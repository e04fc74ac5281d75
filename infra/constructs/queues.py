"""Queues that lose nothing: encrypted, closed to other accounts, with an alarm on whatever failed."""

from __future__ import annotations

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.acknowledged import acknowledge
from infra.constructs.alarms import Call
from infra.constructs.functions import Function, Workshop

LONGEST = Duration.days(14)
"""SQS keeps no message longer: SetQueueAttributes, MessageRetentionPeriod."""


class FailureQueue(Construct):
    """Where what failed waits for a person. Not empty = alarm; it outlives the stack."""

    def __init__(
        self, scope: Construct, construct_id: str, *, workshop: Workshop, call: Call, kept: Duration = LONGEST
    ) -> None:
        super().__init__(scope, construct_id)
        self.queue = sqs.Queue(
            self,
            "Queue",
            retention_period=kept,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=workshop.tls,
            removal_policy=RemovalPolicy.RETAIN,
        )
        _close(self.queue)
        workshop.alarms.when_not_empty(self.queue, call=call)
        workshop.failures[self.node.path.partition("/")[2]] = self.queue
        for rule in ("AwsSolutions-SQS3", "Serverless-SQSRedrivePolicy"):
            acknowledge(self.queue, rule, "This queue is itself where failures end.")

    @property
    def arn(self) -> str:
        return self.queue.queue_arn

    def take_failures_of(self, function: Function) -> None:
        """Let this function's failures, and those of whatever feeds it, be put here."""
        function.may("sqs:SendMessage", on=[self.arn])


class WorkQueue(Construct):
    """A queue that one function works off, and the queue of what it couldn't do.

    `work` is what its messages are, in the plural; `call` is what a message among the failures says.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        timeout: Duration,
        receives: int,
        workshop: Workshop,
        work: str,
        call: Call,
    ) -> None:
        super().__init__(scope, construct_id)
        self.failures = FailureQueue(self, "Failures", workshop=workshop, call=call)
        self.queue = sqs.Queue(
            self,
            "Queue",
            retention_period=LONGEST,
            # Lambda asks for six times the function's timeout:
            # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
            visibility_timeout=Duration.seconds(6 * timeout.to_seconds()),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=workshop.tls,
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.failures.queue, max_receive_count=receives),
            # Taking a destination out of the configuration must not take its undelivered messages along.
            removal_policy=RemovalPolicy.RETAIN,
        )
        _close(self.queue)
        workshop.alarms.when_not_worked_off(self.queue, work=work)

    @property
    def url(self) -> str:
        return self.queue.queue_url

    def feed(self, function: Function, *, batch: int) -> str:
        """Hand the messages to this function, at most two batches at a time; it reports what failed.

        Returns the mapping's id.
        """
        function.may(
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:ChangeMessageVisibility",
            "sqs:GetQueueAttributes",
            on=[self.queue.queue_arn],
        )
        mapping = lambda_.CfnEventSourceMapping(
            self,
            "Mapping",
            function_name=function.name,
            event_source_arn=self.queue.queue_arn,
            batch_size=batch,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config=lambda_.CfnEventSourceMapping.ScalingConfigProperty(maximum_concurrency=2),
        )
        mapping.node.add_dependency(function.role)
        acknowledge(
            mapping,
            "Serverless-LambdaEventSourceMappingDestination",
            "A queue's mapping takes no failure destination; the queue's own redrive is it.",
        )
        return mapping.ref


def _close(queue: sqs.Queue) -> None:
    """Refuse every caller of another account; AWS's services still need a statement that lets them in."""
    queue.add_to_resource_policy(
        iam.PolicyStatement(
            sid="OtherAccounts",
            effect=iam.Effect.DENY,
            principals=[iam.AnyPrincipal()],
            actions=["sqs:*"],
            resources=[queue.queue_arn],
            conditions={
                "StringNotEquals": {"aws:PrincipalAccount": Aws.ACCOUNT_ID},
                "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
            },
        )
    )
