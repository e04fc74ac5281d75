"""One dashboard, read from the top: does anything ring, is everything polled, published, delivered, and what broke."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.constructs.alarms import RUNBOOKS
from infra.constructs.functions import Function, Workshop
from infra.constructs.notifying import Notifier
from infra.constructs.polling import Poller
from pollbridge import metrics
from pollbridge.metrics import Metric

FIVE_MINUTES = Duration.minutes(5)

WIDTH = 24
"""Columns of a dashboard: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html"""

HEADER = """# {stack}
**Rings** what an alarm found: `{runbooks}#alarms` has a section for each. **Polling** a connection that is minutes
behind has more to do than its limits let through, or a vendor in trouble. **Publishing** should take seconds.
**Delivering** what waits here visibly is not taken up; what waits for its next attempt is hidden.
**Failures** every queue here should be empty.
To follow one event, filter the logs by its `event_id`; one job, by `job`: `docs/observability.md`.
"""


class Dashboard(Construct):
    """A person's view of a deployment. Up to fifty metrics it is free, if it is among an account's first three."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        workshop: Workshop,
        pollers: Mapping[str, Poller],
        notifiers: Mapping[str, Notifier],
        publisher: Function,
    ) -> None:
        super().__init__(scope, construct_id)
        self._alarms = workshop.alarms
        self._pollers = pollers
        dashboard = cloudwatch.Dashboard(self, "Dashboard", default_interval=Duration.hours(24))
        stack = Stack.of(self).stack_name
        rows: list[list[cloudwatch.IWidget]] = [
            [cloudwatch.TextWidget(markdown=HEADER.format(stack=stack, runbooks=RUNBOOKS), width=WIDTH, height=4)],
            [cloudwatch.AlarmStatusWidget(title="Alarms", alarms=self._alarms.all, width=WIDTH, height=5)],
            self._polling(),
            self._publishing(publisher),
            *([self._delivering(notifiers)] if notifiers else []),
            self._failures(workshop),
        ]
        for row in rows:
            dashboard.add_widgets(*row)
        self.name = dashboard.dashboard_name

    def _polling(self) -> list[cloudwatch.IWidget]:
        titles = {
            metrics.POLLS: ("Polls", "Sum"),
            metrics.CHANGES: ("Changes recorded", "Sum"),
            metrics.POLLS_FAILED: ("Polls that failed", "Sum"),
            metrics.MINUTES_BEHIND: ("Minutes behind", "Maximum"),
        }
        return [
            _graph(title, (self._of_connection(metric, statistic, name) for name in self._pollers), of=4)
            for metric, (title, statistic) in titles.items()
        ]

    def _of_connection(self, metric: Metric, statistic: str, name: str) -> cloudwatch.Metric:
        told = self._alarms.told(metric, statistic=statistic, period=FIVE_MINUTES, connection=name)
        return told.with_(label=name)

    def _publishing(self, publisher: Function) -> list[cloudwatch.IWidget]:
        published = self._alarms.told(metrics.PUBLISHED, statistic="Sum", period=FIVE_MINUTES)
        age = publisher.function.metric("IteratorAge", period=FIVE_MINUTES, statistic="Maximum")
        return [
            _graph("Events published", [published.with_(label="from the stream")], of=2),
            _graph("Age of what the publisher reads (ms)", [age.with_(label="publisher")], of=2),
        ]

    def _delivering(self, notifiers: Mapping[str, Notifier]) -> list[cloudwatch.IWidget]:
        def told(metric: Metric) -> Iterable[cloudwatch.Metric]:
            for name, notifier in notifiers.items():
                counted = self._alarms.told(
                    metric, statistic="Sum", period=FIVE_MINUTES, service=notifier.service, destination=name
                )
                yield counted.with_(label=name)

        waiting = [
            notifier.queue.queue.metric_approximate_number_of_messages_visible(
                period=FIVE_MINUTES, statistic="Maximum", label=name
            )
            for name, notifier in notifiers.items()
        ]
        return [
            _graph("Delivered", told(metrics.DELIVERED), of=4),
            _graph("Failed attempts, made again", told(metrics.RETRIED), of=4),
            _graph("Not delivered", told(metrics.NOT_DELIVERED), of=4),
            _graph("Waiting to be taken up", waiting, of=4),
        ]

    def _failures(self, workshop: Workshop) -> list[cloudwatch.IWidget]:
        letters = [
            queue.metric_approximate_number_of_messages_visible(period=FIVE_MINUTES, statistic="Maximum", label=label)
            for label, queue in workshop.failures.items()
        ]
        errors = [
            function.function.metric_errors(period=FIVE_MINUTES, statistic="Sum", label=function.label)
            for function in workshop.functions
        ]
        lasted = [
            poller.function.function.metric_duration(period=FIVE_MINUTES, statistic="Maximum", label=name)
            for name, poller in self._pollers.items()
        ]
        return [
            _graph("Queues of failures", letters, of=3),
            _graph("Errors of functions", errors, of=3),
            _graph("Longest sweep (ms), of 55,000", lasted, of=3),
        ]


def _graph(title: str, lines: Iterable[cloudwatch.IMetric], *, of: int) -> cloudwatch.GraphWidget:
    """A graph that shares its row with so many."""
    return cloudwatch.GraphWidget(
        title=title,
        left=list(lines),
        left_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
        width=WIDTH // of,
        height=6,
    )
