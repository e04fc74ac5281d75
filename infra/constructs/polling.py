"""One poller per connection, awake every minute."""

from __future__ import annotations

from aws_cdk import Duration
from constructs import Construct

from infra.constructs.functions import Function, Workshop
from infra.constructs.history import History
from infra.constructs.queues import FailureQueue
from infra.constructs.schedules import Tick
from pollbridge.config import Connection


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
        )
        history.grant_recording(function)
        history.grant_querying(function, "due")
        function.may_read_secrets(*connection.secrets)
        Tick(self, "Tick", function=function, rate="1 minute", missed=missed, on=scheduled)
        if scheduled:
            workshop.alarms.when_silent(function.function, name=f"poller of {name}", during=Duration.minutes(5))
        self.function_name = function.name
