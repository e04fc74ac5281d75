"""Deploying again, deploying more, and taking down."""

from __future__ import annotations

import json

import pytest

from tests.infra.conftest import CONFIGURATION, Synthesize, Template

pytestmark = pytest.mark.promise(55)


def test_synthesizing_twice_makes_the_same_template(template: Template, synthesize: Synthesize) -> None:
    assert synthesize().text == template.text


def test_another_destination_leaves_every_other_resource_as_it_is(template: Template, synthesize: Synthesize) -> None:
    more = {"type": "slack", "secret": "more"}
    wider = synthesize({**CONFIGURATION, "destinations": {**CONFIGURATION["destinations"], "more": more}})
    before, after = (json.loads(each.text)["Resources"] for each in (template, wider))

    (dashboard,) = template.all("CloudWatch::Dashboard")
    changed = {name for name in before if before[name] != after.get(name)}
    assert changed == {"Configuration", dashboard.id}


def test_what_holds_the_history_outlives_the_stack(template: Template) -> None:
    (table,) = template.all("DynamoDB::Table")

    assert table.rest["DeletionPolicy"] == table.rest["UpdateReplacePolicy"] == "Retain"
    assert table["DeletionProtectionEnabled"] is True


def test_only_the_bus_has_a_name_of_our_choice(template: Template) -> None:
    named = [
        (resource.type, name)
        for resource in template.resources.values()
        for name in (
            "Name",
            "TableName",
            "QueueName",
            "FunctionName",
            "RoleName",
            "TopicName",
            "LogGroupName",
            "AlarmName",
            "DashboardName",
        )
        if isinstance(resource.get(name), str) and resource[name] not in template.resources
    ]

    assert named == [("AWS::Events::EventBus", "Name")]
    assert [bus["Name"] for bus in template.all("Events::EventBus")] == ["pollbridge"]


def test_commands_find_every_part_of_the_deployment_in_its_metadata(template: Template) -> None:
    found = template.resources["Configuration"].rest["Metadata"]["pollbridge"]

    assert found["format"] == 1
    assert set(found["pollers"]) == set(CONFIGURATION["vendors"]) == set(found["config"]["vendors"])
    assert set(found["destinations"]) == set(CONFIGURATION["destinations"])
    assert {"table", "bus", "publisher", "registrar", "auditor", "dashboard"} <= set(found)


def test_outputs_name_the_bus_the_table_the_alarm_topic_and_the_dashboard(template: Template) -> None:
    assert set(json.loads(template.text)["Outputs"]) == {"BusName", "TableName", "AlarmTopic", "DashboardName"}
