"""What wakes somebody up: alarms, and the topic they go to."""

from __future__ import annotations

from dataclasses import dataclass

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

FIVE_MINUTES = Duration.minutes(5)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A number that the sweeps of a connection tell of it, and when somebody has to look at it."""

    metric: str
    meaning: str
    """With `{connection}` where its name goes."""
    threshold: float = 1
    spells: int = 1
    """For how many spells of five minutes in a row."""


class Alarms(Construct):
    """The alarm topic, which owes nothing to our own notifiers, and what rings it."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, tls: bool) -> None:
        super().__init__(scope, construct_id)
        self.topic = self._given(settings.topic_arn) if settings.topic_arn else self._own(settings.email, tls=tls)
        self._action = actions.SnsAction(self.topic)

    def when_not_empty(self, queue: sqs.Queue, *, meaning: str) -> None:
        """Ring as soon as a message waits in this queue of failures, until it is empty again."""
        self._ring(
            queue,
            "NotEmpty",
            metric=queue.metric_approximate_number_of_messages_visible(period=FIVE_MINUTES, statistic="Maximum"),
            description=meaning,
        )

    def when_failing(self, function: lambda_.Function, *, name: str) -> None:
        """Ring when a function fails in two of three spells of five minutes; single failures have a queue."""
        self._ring(
            function,
            "Failing",
            metric=function.metric_errors(period=FIVE_MINUTES, statistic="Sum"),
            description=f"The {name} keeps failing; its log says why.",
            evaluation_periods=3,
            datapoints_to_alarm=2,
        )

    def when_silent(self, function: lambda_.Function, *, name: str, during: Duration) -> None:
        """Ring when a function wasn't invoked: it died, or its schedule is off."""
        self._ring(
            function,
            "Silent",
            metric=function.metric_invocations(period=during, statistic="Sum"),
            description=f"The {name} wasn't invoked for {during.to_human_string()}: is its schedule on?",
            comparison=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            missing=cloudwatch.TreatMissingData.BREACHING,
        )

    def when_behind(self, function: lambda_.Function, *, name: str) -> None:
        """Ring when a stream's reader is ten minutes behind; the stream forgets after 24 hours."""
        self._ring(
            function,
            "Behind",
            metric=function.metric("IteratorAge", period=FIVE_MINUTES, statistic="Maximum"),
            description=f"The {name} is more than ten minutes behind; after 24 hours the stream forgets.",
            threshold=Duration.minutes(10).to_milliseconds(),
        )

    def when_told(self, function: lambda_.Function, metric: str, *, meaning: str) -> None:
        """Ring when a function counts something that a person has to look at."""
        counted = _told(metric, period=Duration.hours(1), statistic="Sum", service="auditor")
        self._ring(function, metric, metric=counted, description=meaning)

    def when_sweeps_tell(self, function: lambda_.Function, finding: Finding, *, connection: str) -> None:
        """Ring when a connection's sweeps tell that much of it, at the worst, in so many spells of five minutes."""
        self._ring(
            function,
            finding.metric,
            metric=_told(
                finding.metric, period=FIVE_MINUTES, statistic="Maximum", service="poller", connection=connection
            ),
            description=finding.meaning.format(connection=connection),
            threshold=finding.threshold,
            evaluation_periods=finding.spells,
            datapoints_to_alarm=finding.spells,
        )

    def _ring(
        self,
        scope: Construct,
        construct_id: str,
        *,
        metric: cloudwatch.Metric,
        description: str,
        threshold: float = 1,
        evaluation_periods: int = 1,
        datapoints_to_alarm: int = 1,
        comparison: cloudwatch.ComparisonOperator = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
    ) -> None:
        alarm = cloudwatch.Alarm(
            scope,
            construct_id,
            metric=metric,
            alarm_description=description,
            threshold=threshold,
            evaluation_periods=evaluation_periods,
            datapoints_to_alarm=datapoints_to_alarm,
            comparison_operator=comparison,
            treat_missing_data=missing,
        )
        alarm.add_alarm_action(self._action)
        alarm.add_ok_action(self._action)

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


def _told(metric: str, *, period: Duration, statistic: str, **dimensions: str) -> cloudwatch.Metric:
    """A metric as `pollbridge.observability.count` writes it."""
    return cloudwatch.Metric(
        namespace="pollbridge",
        metric_name=metric,
        dimensions_map=dimensions,
        period=period,
        statistic=statistic,
    )
