"""The hourly look at what fell through: unpublished entries, jobs that nobody follows, disabled destinations."""

from __future__ import annotations

from aws_cdk import Duration
from constructs import Construct

from infra.constructs.alarms import Call, Finding
from infra.constructs.functions import Function, Workshop
from infra.constructs.history import History
from infra.constructs.publishing import Bus
from infra.constructs.queues import FailureQueue
from infra.constructs.schedules import Tick
from pollbridge import metrics

FINDINGS = (
    Finding(
        metric=metrics.OLDEST_UNPUBLISHED,
        threshold=Duration.minutes(15).to_seconds(),
        call=Call(
            meaning="Events were not on the bus a quarter of an hour after they were recorded; the auditor took over.",
            runbook="events-stayed-unpublished",
        ),
    ),
    Finding(
        metric=metrics.POISON_ENTRIES,
        call=Call(
            meaning="Events were given up after five republications; the auditor's log names them.",
            runbook="events-are-called-poison",
        ),
    ),
    Finding(
        metric=metrics.ORPHANED_JOBS,
        call=Call(
            meaning="Jobs stand where no sweep looks; the auditor's log names them.",
            runbook="jobs-stand-where-nobody-looks",
        ),
    ),
    Finding(
        metric=metrics.DISABLED_DESTINATIONS,
        call=Call(
            meaning="Nothing is delivered to a destination any more; the auditor's log names it.",
            runbook="a-destination-is-disabled",
        ),
    ),
)
"""What audits tell, and what that means to whoever is woken up by it."""

SILENT = Call(
    meaning="The auditor wasn't invoked for three hours: is its schedule on?", runbook="the-auditor-does-not-run"
)


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
            rings=False,
        )
        history.grant_correcting(function)
        history.grant_querying(function, "unpublished")
        history.grant_scanning(function, "due")
        bus.grant_publishing(function)
        tick = Tick(self, "Tick", function=function, rate="1 hour", missed=missed, on=scheduled)
        for finding in FINDINGS:
            workshop.alarms.when_audits_tell(function.function, finding)
        if scheduled:
            workshop.alarms.when_silent(function.function, during=Duration.hours(3), call=SILENT)
        self.function_name, self.schedule = function.name, tick.name
