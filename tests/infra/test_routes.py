"""What reaches whom: rules, and the patterns in them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings

from pollbridge.cli import preview
from pollbridge.cli.deployment import Deployment
from pollbridge.config import InvalidConfig, Match, check
from pollbridge.matching import mistake
from pollbridge.model.event import Event
from pollbridge.routing import pattern
from tests.infra.conftest import CONFIGURATION, Synthesize, Template
from tests.kit.envelopes import EVENTS, envelope, moto_matches


def patterns_by_function(template: Template) -> dict[str, list[Any]]:
    """What feeds each destination's notifier, and `registrar`."""
    rules = {rule["Targets"][0]["Arn"]: rule for rule in template.all("Events::Rule")}
    found = {}
    for mapping in template.all("Lambda::EventSourceMapping"):
        if rule := rules.get(mapping["EventSourceArn"]):
            names = template.resources[mapping["FunctionName"]]["Environment"]["Variables"]
            found[names.get("DESTINATION", "registrar")] = [rule["EventPattern"], rule["State"]]
    return found


def test_every_destinations_rule_is_what_routing_says(template: Template) -> None:
    destinations = CONFIGURATION["destinations"]

    assert patterns_by_function(template) == {
        "team": [pattern(Match(**destinations["team"]["match"]), "team"), "ENABLED"],
        "service": [pattern(Match(), "service"), "DISABLED"],
        "raw": [{"detail": {"version": [{"numeric": [">", 1]}]}, "source": ["pollbridge"]}, "ENABLED"],
        "registrar": [{"detail-type": ["Job Watch Requested"]}, "ENABLED"],
    }


@pytest.mark.promise(28)
def test_no_rule_feeds_a_queue_with_what_its_function_publishes(template: Template) -> None:
    publishers = {role for role, statement in template.statements() if "events:PutEvents" in statement["Action"]}
    fed_by_rule = {
        template.resources[mapping["FunctionName"]]["Role"].removesuffix(".Arn")
        for mapping in template.all("Lambda::EventSourceMapping")
        if not mapping.get("StartingPosition")
    }

    assert publishers.isdisjoint(fed_by_rule)


def test_every_rules_pattern_is_one_that_eventbridge_takes(template: Template) -> None:
    assert [mistake(rule["EventPattern"]) for rule in template.all("Events::Rule")] == [None] * 4


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=EVENTS)
def test_route_answers_what_the_deployed_rules_would_do(
    template: Template, monkeypatch: pytest.MonkeyPatch, event: Event
) -> None:
    """The rules' patterns are judged by moto, so that no mistake of ours is on both sides."""
    deployed = Deployment("Pollbridge", None, "pollbridge", check(CONFIGURATION, "test"), {})  # type: ignore[arg-type]
    monkeypatch.setattr(preview, "find", lambda: deployed)
    rules = patterns_by_function(template)
    del rules["registrar"]

    answers = json.loads(CliRunner().invoke(preview.route, ["-", "--json"], input=json.dumps(envelope(event))).stdout)

    assert {answer["destination"]: answer["matches"] for answer in answers} == {
        name: state == "ENABLED" and moto_matches(rule, envelope(event)) for name, (rule, state) in rules.items()
    }


def test_a_pattern_too_long_for_a_rule_is_a_mistake_of_the_configuration(synthesize: Synthesize) -> None:
    scopes = [f"project-{number:08}" for number in range(200)]
    team = {"type": "slack", "secret": "s", "match": {"scope": scopes}}

    with pytest.raises(InvalidConfig, match=r"^test: destinations\.team\.match: .* EventBridge takes 2048$"):
        synthesize({**CONFIGURATION, "destinations": {"team": team}})
