"""The dashboard shows what there is, reads what is written, and stays free."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pollbridge import metrics
from pollbridge.config import load
from tests.infra.conftest import CONFIGURATION, Synthesize, Template

FREE = 50
"""Metrics of a dashboard that costs nothing: https://aws.amazon.com/cloudwatch/pricing/."""

OF = {"FunctionName": "AWS::Lambda::Function", "QueueName": "AWS::SQS::Queue"}
"""What a metric of AWS is about, by the name of its dimension."""


@dataclass(frozen=True)
class Read:
    """A metric that an alarm or a widget reads."""

    namespace: str
    name: str
    dimensions: dict[str, str]

    @property
    def ours(self) -> bool:
        return not self.namespace.startswith("AWS/")


@pytest.fixture(scope="module")
def template(synthesize: Synthesize) -> Template:
    """With all that can be deployed."""
    return synthesize({**CONFIGURATION, "api": {"enabled": True}}, checked=True)


def body(template: Template) -> dict[str, Any]:
    (dashboard,) = template.all("CloudWatch::Dashboard")
    told: dict[str, Any] = json.loads(dashboard["DashboardBody"])
    return told


def shown(template: Template) -> Iterator[Read]:
    for widget in body(template)["widgets"]:
        for namespace, name, *rest in widget["properties"].get("metrics", []):
            pairs = [part for part in rest if isinstance(part, str)]
            yield Read(namespace, name, dict(zip(pairs[::2], pairs[1::2], strict=True)))


def watched(template: Template) -> Iterator[Read]:
    for alarm in template.all("CloudWatch::Alarm"):
        yield Read(alarm["Namespace"], alarm["MetricName"], {d["Name"]: d["Value"] for d in alarm["Dimensions"]})


def read(template: Template) -> list[Read]:
    return [*shown(template), *watched(template)]


def test_it_shows_what_exists(template: Template) -> None:
    for found in read(template):
        for name, value in found.dimensions.items():
            if name in OF:
                assert template.resources[value.split(".")[0]].type == OF[name]


def test_it_shows_every_alarm_connection_destination_function_and_queue_of_failures(template: Template) -> None:
    (status,) = [widget["properties"] for widget in body(template)["widgets"] if widget["type"] == "alarm"]
    found = list(shown(template))
    ends = {queue.id for queue in template.all("SQS::Queue") if not queue.get("RedrivePolicy")}

    def values(name: str) -> set[str]:
        return {each.dimensions[name].split(".")[0] for each in found if name in each.dimensions}

    assert set(status["alarms"]) == {f"{alarm.id}.Arn" for alarm in template.all("CloudWatch::Alarm")}
    assert values("connection") == set(CONFIGURATION["vendors"])
    assert values("destination") == set(CONFIGURATION["destinations"])
    assert values("FunctionName") == {function.id for function in template.all("Lambda::Function")}
    assert values("QueueName") >= ends


def test_what_is_read_is_what_functions_write(template: Template) -> None:
    written = {metric.name: metric for metric in metrics.METRICS}
    environments = [function["Environment"]["Variables"] for function in template.all("Lambda::Function")]
    for found in (each for each in read(template) if each.ours):
        metric, by = written[found.name], found.dimensions.copy()

        assert by.pop("service") in metric.services
        assert set(by) == ({metric.by} if metric.by else set())
        # That name is the function's, in its environment.
        wanted = {"POWERTOOLS_SERVICE_NAME": found.dimensions["service"], "POWERTOOLS_METRICS_NAMESPACE": "pollbridge"}
        wanted |= {name.upper(): value for name, value in by.items()}
        assert any(wanted.items() <= environment.items() for environment in environments), found


def test_what_functions_write_is_read(template: Template) -> None:
    assert {found.name for found in read(template) if found.ours} == {metric.name for metric in metrics.METRICS}


@pytest.mark.parametrize("destinations", [{}, CONFIGURATION["destinations"]])
def test_widgets_stand_beside_each_other_and_each_shows_something(
    synthesize: Synthesize, destinations: dict[str, Any]
) -> None:
    widgets = body(synthesize({**CONFIGURATION, "destinations": destinations}))["widgets"]
    taken = [
        (column, row)
        for w in widgets
        for column in range(w["x"], w["x"] + w["width"])
        for row in range(w["y"], w["y"] + w["height"])
    ]

    assert len(set(taken)) == len(taken)
    assert {column for column, _ in taken} == set(range(24))
    for graph in [widget["properties"] for widget in widgets if widget["type"] == "metric"]:
        labels = [line[-1]["label"] for line in graph["metrics"]]
        assert graph["title"]
        assert len(set(labels)) == len(labels) > 0


def test_the_configuration_of_the_repository_is_shown_for_nothing(synthesize: Synthesize) -> None:
    here = load(Path(__file__).parents[2] / "pollbridge.toml").model_dump(mode="json")

    assert len(list(shown(synthesize(here | {"api": {"enabled": True}})))) <= FREE
