"""The architecture, read aloud."""

from __future__ import annotations

import hashlib
from typing import Any

from aws_cdk import Annotations, CfnOutput, Duration, IStackSynthesizer, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.constructs.alarms import Alarms, Call
from infra.constructs.api import Api
from infra.constructs.auditing import Auditor
from infra.constructs.dashboard import Dashboard
from infra.constructs.functions import CodeOf, Workshop
from infra.constructs.history import History
from infra.constructs.notifying import Notifier
from infra.constructs.polling import Poller
from infra.constructs.publishing import Bus, Publisher
from infra.constructs.queues import FailureQueue
from infra.constructs.registering import Registrar
from pollbridge import __version__
from pollbridge.config import Configuration, Connection, Destination


class Pollbridge(Stack):
    """Every minute each connection's poller asks; a change is recorded, published, and told to each destination."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        configuration: Configuration,
        code: CodeOf,
        runtime: lambda_.Runtime,
        architecture: lambda_.Architecture,
        scheduled: bool = True,
        emulated: bool = False,
        hurry: str = "1",
        synthesizer: IStackSynthesizer | None = None,
    ) -> None:
        super().__init__(
            scope,
            name,
            description="pollbridge: the webhook that AI-job vendors don't offer",
            synthesizer=synthesizer,
        )
        tls = not emulated  # the emulator speaks plain HTTP, on loopback only
        alarms = Alarms(self, "Alarms", settings=configuration.alarms, tls=tls)
        workshop = Workshop(code=code, runtime=runtime, architecture=architecture, alarms=alarms, tls=tls)
        history = History(self, "History", protected=not emulated)
        bus = Bus(self, "Bus", name=name.lower())
        missed = FailureQueue(
            self,
            "Missed",
            workshop=workshop,
            call=Call(
                meaning="Sweeps or audits failed or didn't start; the next ones took over. Forgotten after a day.",
                runbook="sweeps-or-audits-were-missed",
            ),
            # A missed tick needs no one to do anything, so it must not ring for two weeks.
            kept=Duration.days(1),
        )

        polling = Construct(self, "Polling")
        pollers = {
            name: Poller(
                polling,
                name,
                workshop=workshop,
                connection=connection,
                history=history,
                missed=missed,
                scheduled=scheduled,
            )
            for name, connection in configuration.vendors.items()
        }
        publisher = Publisher(self, "Publishing", workshop=workshop, history=history, bus=bus)
        notifying = Construct(self, "Notifying")
        notifiers = {
            name: Notifier(
                notifying,
                name,
                workshop=workshop,
                destination=destination,
                history=history,
                bus=bus,
                hurry=hurry,
            )
            for name, destination in configuration.destinations.items()
        }
        for of, poller in pollers.items():
            _announce(poller, f"connection {of}", configuration.vendors[of])
        for of, notifier in notifiers.items():
            _announce(notifier, f"destination {of}", configuration.destinations[of])
        registrar = Registrar(self, "Registering", workshop=workshop, history=history, bus=bus)
        auditor = Auditor(
            self, "Auditing", workshop=workshop, history=history, bus=bus, missed=missed, scheduled=scheduled
        )
        api = (
            Api(
                self,
                "Api",
                workshop=workshop,
                history=history,
                destinations=[notifier.queue for notifier in notifiers.values()],
                emulated=emulated,
            )
            if configuration.api.enabled
            else None
        )
        # The last: it shows all that was made.
        dashboard = Dashboard(
            self,
            "Dashboard",
            workshop=workshop,
            pollers=pollers,
            notifiers=notifiers,
            publisher=publisher.function,
        )

        CfnOutput(self, "BusName", value=bus.ref, description="The event bus to hang rules on")
        CfnOutput(self, "TableName", value=history.name, description="The table of jobs and their history")
        CfnOutput(self, "AlarmTopic", value=alarms.topic.topic_arn, description="Where the alarms go")
        CfnOutput(self, "DashboardName", value=dashboard.name, description="CloudWatch's dashboard of all this")
        self._tell_commands(
            configuration,
            {
                "format": 1,
                "version": __version__,
                "table": history.name,
                "bus": bus.name,
                "config": configuration.model_dump(mode="json"),
                "pollers": {name: poller.function_name for name, poller in pollers.items()},
                "publisher": publisher.function_name,
                "registrar": registrar.function_name,
                "auditor": auditor.function_name,
                "api": api.parts if api else None,
                "destinations": {name: notifier.parts for name, notifier in notifiers.items()},
                "scheduled": scheduled,
                "schedules": {name: poller.schedule for name, poller in pollers.items()},
                "auditor_schedule": auditor.schedule,
                "mappings": {"publisher": publisher.mapping, "registrar": registrar.mapping},
                "failures": {
                    "missed": missed.queue.queue_url,
                    "publisher": publisher.failures.queue.queue_url,
                    "registrar": registrar.failures.queue.queue_url,
                },
                "alarm_topic": alarms.topic.topic_arn,
                "dashboard": dashboard.name,
            },
        )

    def _tell_commands(self, configuration: Configuration, deployed: dict[str, Any]) -> None:
        """Let commands read the deployment from the metadata of the resource `Configuration`."""
        # DescribeStackResource returns a resource's metadata with its references resolved, up to the template's
        # own size; a parameter's value ends at 4 KB. The value is only there to change with the configuration.
        parameter = ssm.CfnParameter(
            self,
            "Configuration",
            type="String",
            description="Changes with the configuration, which is in this resource's metadata in the stack",
            value=hashlib.sha256(configuration.model_dump_json().encode()).hexdigest(),
        )
        parameter.override_logical_id("Configuration")
        parameter.add_metadata("pollbridge", deployed)


def _announce(construct: Construct, who: str, settings: Connection | Destination) -> None:
    """Warn at every synth and deploy of whom the guard lets into private networks."""
    if settings.allow_private:
        Annotations.of(construct).add_warning_v2(
            "pollbridge:allow-private",
            f"{who} may reach private addresses, and plain http: allow_private = true in pollbridge.toml",
        )
