"""The hourly look at what fell through: unpublished entries, and jobs that nobody follows."""

from __future__ import annotations

from aws_cdk import Duration
from constructs import Construct

from infra.constructs.functions import Function, Workshop
from infra.constructs.history import History
from infra.constructs.publishing import Bus
from infra.constructs.queues import FailureQueue
from infra.constructs.schedules import Tick

FINDINGS = {
    "RepublishFailed": "The bus refuses recorded changes again and again; the auditor's log names them.",
    "PoisonEntries": "Recorded changes were given up after five republications; the auditor's log names them.",
    "OrphanedJobs": "Jobs stand where no sweep looks; the auditor's log names them.",
}
"""What the auditor counts, and what it means to whoever is woken up by it."""


class Auditor(Construct):
    """Publishes again what was recorded and not published, and reports what is followed by nobody."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        workshop: Workshop,
        history: History,
        bus: Bus,
        missed: FailureQueue,
        scheduled: bool,
    ) -> None:
        super().__init__(scope, construct_id)
        function = Function(
            self,
            "Auditor",
            workshop=workshop,
            folder="auditor",
            timeout=Duration.minutes(10),
            memory=256,
            environment={"TABLE": history.name, "BUS": bus.ref},
        )
        history.grant_correcting(function)
        history.grant_querying(function, "unpublished")
        history.grant_scanning(function, "due")
        bus.grant_publishing(function)
        tick = Tick(self, "Tick", function=function, rate="1 hour", missed=missed, on=scheduled)
        for metric, meaning in FINDINGS.items():
            workshop.alarms.when_told(function.function, metric, meaning=meaning)
        if scheduled:
            workshop.alarms.when_silent(function.function, name="auditor", during=Duration.hours(3))
        self.function_name, self.schedule = function.name, tick.name
