"""One poller per connection, awake every minute."""

from __future__ import annotations

from aws_cdk import Duration
from constructs import Construct

from infra.constructs.alarms import Finding
from infra.constructs.functions import Function, Workshop
from infra.constructs.history import History
from infra.constructs.queues import FailureQueue
from infra.constructs.schedules import Tick
from pollbridge.config import Connection

FINDINGS = (
    Finding(
        metric="MinutesBehind",
        threshold=15,
        spells=3,
        meaning="The polls of {connection} fall behind: more work than the limits let through, or a vendor in trouble;"
        " see docs/operating.md.",
    ),
    Finding(
        metric="Troubles",
        meaning="{connection} brings no answers, or refuses the key; see docs/operating.md.",
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
        )
        history.grant_recording(function)
        history.grant_looking_up(function)
        history.grant_querying(function, "due")
        function.may_read_secrets(*connection.secrets)
        tick = Tick(self, "Tick", function=function, rate="1 minute", missed=missed, on=scheduled)
        if scheduled:
            workshop.alarms.when_silent(function.function, name=f"poller of {name}", during=Duration.minutes(5))
            for finding in FINDINGS:
                workshop.alarms.when_sweeps_tell(function.function, finding, connection=name)
        self.function_name, self.schedule = function.name, tick.name
