"""The HTTP API: a function behind a URL that only signed requests of allowed callers reach."""

from __future__ import annotations

from collections.abc import Iterable

from aws_cdk import Aws, CfnOutput, Duration, Fn
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.functions import Function, Workshop
from infra.constructs.history import History
from infra.constructs.queues import WorkQueue


class Api(Construct):
    """Registers jobs, reads them, and has events sent again. It costs nothing while nobody asks."""

    TIMEOUT = Duration.seconds(30)

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        workshop: Workshop,
        history: History,
        destinations: Iterable[WorkQueue],
        emulated: bool,
    ) -> None:
        super().__init__(scope, construct_id)
        function = Function(
            self,
            "Api",
            workshop=workshop,
            folder="api",
            timeout=self.TIMEOUT,
            # Memory is what CPU is bought by, and a cold start is all CPU.
            memory=512,
            environment={"TABLE": history.name, "STACK": Aws.STACK_ID},
        )
        history.grant_correcting(function)
        history.grant_looking_up(function)
        history.grant_listing(function)
        for queue in destinations:
            function.may("sqs:SendMessage", on=[queue.queue.queue_arn])
            function.may(
                "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", on=[queue.failures.arn]
            )
        # The queues' addresses are read from the stack: an environment of 4 KB has no room for many.
        function.may("cloudformation:DescribeStackResource", on=[Aws.STACK_ID])
        function.is_only_asked()
        workshop.alarms.when_breaking(function.function, name="API")
        url = function.function.add_function_url(auth_type=lambda_.FunctionUrlAuthType.AWS_IAM)
        callers = _callers(self, function.function.function_arn)
        # Where the emulator answers, below its own address: what it calls a function's URL would lead to AWS.
        told = (
            f"/_aws/lambda-url/{Fn.select(0, Fn.split('.', Fn.select(2, Fn.split('/', url.url))))}"
            if emulated
            else url.url
        )
        self.parts = {"function": function.name, "url": told, "callers": callers.managed_policy_arn}
        CfnOutput(scope, "ApiUrl", value=told, description="Where the API answers signed requests")
        CfnOutput(
            scope, "ApiCallers", value=callers.managed_policy_arn, description="The policy to attach to whoever may ask"
        )


def _callers(scope: Construct, function_arn: str) -> iam.ManagedPolicy:
    # A Function URL wants both: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
    return iam.ManagedPolicy(
        scope,
        "Callers",
        description="Whoever has it may ask the API of this deployment of pollbridge",
        statements=[
            iam.PolicyStatement(
                actions=["lambda:InvokeFunctionUrl"],
                resources=[function_arn],
                conditions={"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}},
            ),
            iam.PolicyStatement(
                actions=["lambda:InvokeFunction"],
                resources=[function_arn],
                conditions={"Bool": {"lambda:InvokedViaFunctionUrl": "true"}},
            ),
        ],
    )
