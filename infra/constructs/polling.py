"""One poller per connection, awake every minute."""

from __future__ import annotations

from aws_cdk import Duration
from constructs import Construct

from infra.constructs.alarms import Call, Finding
from infra.constructs.functions import Function, Workshop
from infra.constructs.history import History
from infra.constructs.queues import FailureQueue
from infra.constructs.schedules import Tick
from pollbridge import metrics
from pollbridge.config import Connection

FINDINGS = (
    Finding(
        metric=metrics.MINUTES_BEHIND,
        threshold=15,
        spells=3,
        call=Call(
            meaning="The polls of {connection} fall behind: more work than the limits let through, or a vendor in"
            " trouble.",
            runbook="a-connections-polls-fall-behind",
        ),
    ),
    Finding(
        metric=metrics.UNFINISHED,
        statistic="Sum",
        threshold=4,
        spells=6,
        call=Call(
            meaning="For half an hour four of five sweeps of {connection} did not get through what was due.",
            runbook="a-connections-sweeps-take-too-long",
        ),
    ),
    Finding(
        metric=metrics.TROUBLES,
        call=Call(
            meaning="{connection} brings no answers, or refuses the key.",
            runbook="a-connection-brings-no-answers",
        ),
    ),
)
"""What the sweeps of a connection tell of it, and what that means to whoever is woken up by it."""


class Poller(Construct):
    """Asks one connection's vendor, with that connection's secrets only."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        workshop: Workshop,
        connection: Connection,
        history: History,
        missed: FailureQueue,
        scheduled: bool,
    ) -> None:
        super().__init__(scope, name)
        function = Function(
            self,
            "Poller",
            workshop=workshop,
            folder="poller",
            timeout=Duration.seconds(55),
            memory=512,
            environment={"CONNECTION": name, "TABLE": history.name},
            rings=False,
        )
        history.grant_recording(function)
        history.grant_looking_up(function)
        history.grant_querying(function, "due")
        function.may_read_secrets(*connection.secrets)
        tick = Tick(self, "Tick", function=function, rate="1 minute", missed=missed, on=scheduled)
        if scheduled:
            workshop.alarms.when_not_swept(function.function, connection=name)
        for finding in FINDINGS:
            workshop.alarms.when_sweeps_tell(function.function, finding, connection=name)
        self.function, self.function_name, self.schedule = function, function.name, tick.name
