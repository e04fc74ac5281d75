"""What wakes somebody up: alarms, and the topic they go to."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aws_cdk import ArnFormat, Aws, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.acknowledged import acknowledge
from pollbridge.config import Alarms as Settings
from pollbridge.metrics import MINUTES_BEHIND, Metric, namespace

FIVE_MINUTES = Duration.minutes(5)

RUNBOOKS = "docs/operating.md"


@dataclass(frozen=True, kw_only=True)
class Call:
    """What an alarm says to whoever it wakes up."""

    meaning: str
    runbook: str
    """The anchor of its section in docs/operating.md."""

    @property
    def description(self) -> str:
        return f"{self.meaning} What to do: {RUNBOOKS}#{self.runbook}"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A number that a function tells, and when somebody has to look at it."""

    metric: Metric
    call: Call
    """With `{connection}` in its meaning where that name goes."""
    threshold: float = 1
    spells: int = 1
    """For how many spells in a row, of five minutes, or of the hour of an audit."""
    statistic: str = "Maximum"

    def of(self, connection: str) -> Finding:
        """The same, of that connection."""
        return replace(self, call=replace(self.call, meaning=self.call.meaning.format(connection=connection)))


class Alarms(Construct):
    """The alarm topic, which owes nothing to our own notifiers, and what rings it."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, tls: bool) -> None:
        super().__init__(scope, construct_id)
        self.topic = self._given(settings.topic_arn) if settings.topic_arn else self._own(settings.email, tls=tls)
        self._action = actions.SnsAction(self.topic)
        self.all: list[cloudwatch.Alarm] = []

    def when_not_empty(self, queue: sqs.Queue, *, call: Call) -> None:
        """Ring as soon as a message waits in this queue of failures, until it is empty again."""
        self._ring(
            queue,
            "NotEmpty",
            metric=queue.metric_approximate_number_of_messages_visible(period=FIVE_MINUTES, statistic="Maximum"),
            call=call,
        )

    def when_not_worked_off(self, queue: sqs.Queue, *, work: str) -> None:
        """Ring when for half an hour there was always a message that could be taken up, and wasn't.

        A message that waits for its next attempt is invisible. The age of the oldest message would count it.
        """
        self._ring(
            queue,
            "NotWorkedOff",
            metric=queue.metric_approximate_number_of_messages_visible(
                period=Duration.minutes(15), statistic="Minimum"
            ),
            call=Call(
                meaning=f"For half an hour {work} have been waiting to be taken up.",
                runbook="a-queue-is-not-worked-off",
            ),
            spells=2,
        )

    def when_failing(self, function: lambda_.Function, *, name: str) -> None:
        """Ring when a function fails in two of three spells of five minutes; single failures have a queue."""
        self._ring(
            function,
            "Failing",
            metric=function.metric_errors(period=FIVE_MINUTES, statistic="Sum"),
            call=Call(meaning=f"The {name} keeps failing; its log says why.", runbook="a-function-keeps-failing"),
            spells=3,
            of_which=2,
        )

    def when_not_swept(self, scope: Construct, *, connection: str) -> None:
        """Ring when no sweep of a connection came to an end: not started, not finished, or its log not written."""
        self._ring(
            scope,
            "Silent",
            metric=self.told(MINUTES_BEHIND, statistic="SampleCount", period=FIVE_MINUTES, connection=connection),
            call=Call(
                meaning=f"No sweep of {connection} came to an end for five minutes: is its schedule on?",
                runbook="a-connection-is-not-swept",
            ),
            comparison=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            missing=cloudwatch.TreatMissingData.BREACHING,
        )

    def when_breaking(self, function: lambda_.Function, *, name: str) -> None:
        """Ring when what answers at a function's URL breaks, or cannot, in two of three spells of five minutes."""
        self._ring(
            function,
            "Breaking",
            metric=function.metric("Url5xxCount", period=FIVE_MINUTES, statistic="Sum"),
            call=Call(meaning=f"The {name} keeps answering 5xx; its log says why.", runbook="the-api-keeps-breaking"),
            spells=3,
            of_which=2,
        )

    def when_silent(self, function: lambda_.Function, *, during: Duration, call: Call) -> None:
        """Ring when a function wasn't invoked: it died, or its schedule is off."""
        self._ring(
            function,
            "Silent",
            metric=function.metric_invocations(period=during, statistic="Sum"),
            call=call,
            comparison=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            missing=cloudwatch.TreatMissingData.BREACHING,
        )

    def when_behind(self, function: lambda_.Function, *, name: str) -> None:
        """Ring when a stream's reader is ten minutes behind; the stream forgets after 24 hours."""
        self._ring(
            function,
            "Behind",
            metric=function.metric("IteratorAge", period=FIVE_MINUTES, statistic="Maximum"),
            call=Call(
                meaning=f"The {name} is more than ten minutes behind; after 24 hours the stream forgets.",
                runbook="the-publisher-is-behind",
            ),
            threshold=Duration.minutes(10).to_milliseconds(),
        )

    def when_audits_tell(self, scope: Construct, finding: Finding) -> None:
        """Ring when an audit finds that much. Audits are an hour apart, give or take, so one of two hours rings."""
        self._ring(
            scope,
            finding.metric.name,
            metric=self.told(finding.metric, statistic=finding.statistic, period=Duration.hours(1)),
            call=finding.call,
            threshold=finding.threshold,
            spells=2,
            of_which=1,
        )

    def when_sweeps_tell(self, scope: Construct, finding: Finding, *, connection: str) -> None:
        """Ring when a connection's sweeps tell that much of it in so many spells of five minutes."""
        self._ring(
            scope,
            finding.metric.name,
            metric=self.told(finding.metric, statistic=finding.statistic, period=FIVE_MINUTES, connection=connection),
            call=finding.of(connection).call,
            threshold=finding.threshold,
            spells=finding.spells,
        )

    def told(
        self, metric: Metric, *, statistic: str, period: Duration, service: str | None = None, **dimensions: str
    ) -> cloudwatch.Metric:
        """A metric as our functions write it."""
        return cloudwatch.Metric(
            namespace=namespace(Stack.of(self).stack_name),
            metric_name=metric.name,
            dimensions_map={**dimensions, "service": service or metric.services[0]},
            period=period,
            statistic=statistic,
        )

    def _ring(
        self,
        scope: Construct,
        construct_id: str,
        *,
        metric: cloudwatch.Metric,
        call: Call,
        threshold: float = 1,
        spells: int = 1,
        of_which: int | None = None,
        comparison: cloudwatch.ComparisonOperator = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
    ) -> None:
        alarm = cloudwatch.Alarm(
            scope,
            construct_id,
            metric=metric,
            alarm_description=call.description,
            threshold=threshold,
            evaluation_periods=spells,
            datapoints_to_alarm=of_which or spells,
            comparison_operator=comparison,
            treat_missing_data=missing,
        )
        alarm.add_alarm_action(self._action)
        alarm.add_ok_action(self._action)
        self.all.append(alarm)

    def _given(self, arn: str) -> sns.ITopic:
        return sns.Topic.from_topic_arn(self, "Topic", arn)

    def _own(self, email: str | None, *, tls: bool) -> sns.ITopic:
        topic = sns.Topic(self, "Topic", enforce_ssl=tls)
        # A topic policy replaces SNS's default one, which is what lets CloudWatch in:
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={
                    "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                    "ArnLike": {"aws:SourceArn": self._alarm_arns()},
                },
            )
        )
        if email:
            subscription = sns.Subscription(
                self, "Reader", topic=topic, protocol=sns.SubscriptionProtocol.EMAIL, endpoint=email
            )
            acknowledge(
                subscription,
                "Serverless-SNSRedrivePolicy",
                "E-mail deliveries have no redrive; the alarm's state stays readable in CloudWatch.",
            )
        return topic

    def _alarm_arns(self) -> str:
        return Stack.of(self).format_arn(
            service="cloudwatch", resource="alarm", resource_name="*", arn_format=ArnFormat.COLON_RESOURCE_NAME
        )
