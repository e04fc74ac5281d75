"""What the model of costs says of the deployment is what is deployed."""

from __future__ import annotations

from pollbridge.cost.assumed import GIGABYTES, TIMEOUT
from tests.infra.conftest import Resource, Template


def kind(function: Resource) -> str:
    """The kind of function, by which the model tells them apart."""
    name = function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
    return str(name).rpartition("_")[2]


def test_functions_have_the_memory_that_is_reckoned_with(template: Template) -> None:
    deployed = {kind(function): function["MemorySize"] / 1024 for function in template.all("Lambda::Function")}

    assert {name: deployed[name] for name in GIGABYTES} == GIGABYTES


def test_functions_run_on_the_processor_whose_price_is_reckoned_with(template: Template) -> None:
    assert all(function["Architectures"] == ["arm64"] for function in template.all("Lambda::Function"))


def test_a_sweep_is_over_when_the_model_says_so(template: Template) -> None:
    pollers = [function for function in template.all("Lambda::Function") if kind(function) == "poller"]

    assert {function["Timeout"] for function in pollers} == {TIMEOUT}


def test_every_invocation_is_traced_as_reckoned(template: Template) -> None:
    assert all(function["TracingConfig"] == {"Mode": "Active"} for function in template.all("Lambda::Function"))


def test_every_queue_that_feeds_a_function_is_asked_by_all_of_lambdas_pollers(template: Template) -> None:
    """Without a maximum concurrency Lambda makes do with fewer while a queue is empty."""
    mappings = [each for each in template.all("Lambda::EventSourceMapping") if not each.get("StartingPosition")]

    assert mappings
    assert all("MaximumConcurrency" in mapping["ScalingConfig"] for mapping in mappings)


def test_connections_tick_every_minute_and_the_auditor_every_hour(template: Template) -> None:
    rates = sorted(schedule["ScheduleExpression"] for schedule in template.all("Scheduler::Schedule"))

    assert rates == ["rate(1 hour)", *["rate(1 minute)"] * (len(rates) - 1)]
