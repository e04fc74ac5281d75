"""The way in for programs: a watch requested on the bus."""

from __future__ import annotations

from aws_cdk import Duration
from constructs import Construct

from infra.constructs.alarms import Call
from infra.constructs.functions import Function, Workshop
from infra.constructs.history import History
from infra.constructs.notifying import Route
from infra.constructs.publishing import Bus
from infra.constructs.queues import WorkQueue
from pollbridge.routing import WATCH_REQUESTED


class Registrar(Construct):
    """Registers the jobs that anything in the account asks for on the bus, whatever source it names."""

    TIMEOUT = Duration.seconds(30)

    def __init__(self, scope: Construct, construct_id: str, *, workshop: Workshop, history: History, bus: Bus) -> None:
        super().__init__(scope, construct_id)
        queue = WorkQueue(
            self,
            "Requests",
            timeout=self.TIMEOUT,
            receives=5,
            workshop=workshop,
            work="watch requests",
            call=Call(
                meaning="Watch requests couldn't be registered; the messages are the requests.",
                runbook="watch-requests-were-refused",
            ),
        )
        Route(self, "Route", bus=bus, pattern={"detail-type": [WATCH_REQUESTED]}, to=queue)
        function = Function(
            self,
            "Registrar",
            workshop=workshop,
            folder="registrar",
            timeout=self.TIMEOUT,
            memory=256,
            environment={"TABLE": history.name},
        )
        history.grant_recording(function)
        self.mapping = queue.feed(function, batch=10)
        function.is_only_fed()
        self.function_name, self.failures = function.name, queue.failures
