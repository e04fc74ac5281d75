"""What all our functions have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct, IConstruct

from infra.constructs.acknowledged import acknowledge
from infra.constructs.alarms import Alarms
from pollbridge.metrics import namespace

CodeOf = Callable[[str], lambda_.Code]
"""From a function's name, which is its folder's, to its code."""


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What all functions and queues of a deployment are made with."""

    code: CodeOf
    runtime: lambda_.Runtime
    architecture: lambda_.Architecture
    alarms: Alarms
    tls: bool
    """Whether queues refuse plain HTTP."""
    functions: list[Function] = field(default_factory=list)
    """All that were made so far."""
    failures: dict[str, sqs.Queue] = field(default_factory=dict)
    """All queues of failures, by what fails there."""


class Function(Construct):
    """A Lambda function with a log of its own, traced, alarmed, and allowed only what it is granted.

    `rings` is whether repeated failures have an alarm of their own; those of a scheduled run all end in a queue.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        workshop: Workshop,
        folder: str,
        timeout: Duration,
        memory: int,
        environment: Mapping[str, str],
        rings: bool = True,
    ) -> None:
        super().__init__(scope, construct_id)
        log = logs.LogGroup(self, "Log", retention=logs.RetentionDays.ONE_MONTH, removal_policy=RemovalPolicy.DESTROY)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.function = lambda_.Function(
            self,
            "Function",
            code=workshop.code(folder),
            handler="handler.handler",
            runtime=workshop.runtime,
            architecture=workshop.architecture,
            timeout=timeout,
            memory_size=memory,
            role=self.role,
            log_group=log,
            tracing=lambda_.Tracing.ACTIVE,
            environment={
                "POLLBRIDGE_CONFIG": "pollbridge.json",
                "POWERTOOLS_SERVICE_NAME": folder,
                "POWERTOOLS_METRICS_NAMESPACE": namespace(Stack.of(self).stack_name),
                "POWERTOOLS_LOG_LEVEL": "INFO",
                **environment,
            },
        )
        self.may("logs:CreateLogStream", "logs:PutLogEvents", on=[log.log_group_arn])
        self.label = self.node.path.partition("/")[2]
        if rings:
            workshop.alarms.when_failing(self.function, name=self.label)
        workshop.functions.append(self)
        acknowledge(
            self.policy,
            "AwsSolutions-IAM5[Resource::*]",
            "X-Ray's PutTraceSegments and PutTelemetryRecords take no resource.",
        )

    @property
    def policy(self) -> IConstruct:
        return self.role.node.find_child("DefaultPolicy")

    @property
    def name(self) -> str:
        return self.function.function_name

    def may(self, *actions: str, on: Sequence[str]) -> None:
        """Allow these actions on these resources, named one by one."""
        self.function.add_to_role_policy(iam.PolicyStatement(actions=list(actions), resources=list(on)))

    def may_read_secrets(self, *names: str) -> None:
        """Allow reading exactly these secrets, given by name or ARN."""
        self.may("secretsmanager:GetSecretValue", on=[self._secret_arn(name) for name in names])

    def is_only_fed(self) -> None:
        """State that nothing invokes this function asynchronously: what feeds it keeps its failures."""
        acknowledge(
            self.function,
            "Serverless-LambdaDLQ",
            "Fed by a mapping, which keeps what failed; never invoked asynchronously.",
        )

    def is_only_asked(self) -> None:
        """State that nothing invokes this function asynchronously: who asks hears of its failures."""
        acknowledge(
            self.function,
            "Serverless-LambdaDLQ",
            "Answers requests, whose callers hear of what failed; never invoked asynchronously.",
        )

    def _secret_arn(self, name: str) -> str:
        if name.startswith("arn:"):
            return name
        # Secrets Manager appends a dash and six random characters to a secret's name in its ARN:
        # https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html
        return Stack.of(self).format_arn(
            service="secretsmanager",
            resource="secret",
            resource_name=f"{name}-??????",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
