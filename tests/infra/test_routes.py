"""What reaches whom: rules, and the patterns in them."""

from __future__ import annotations

import pytest

from pollbridge.config import InvalidConfig, Match
from pollbridge.routing import pattern
from tests.infra.conftest import CONFIGURATION, Synthesize, Template


def patterns_by_function(template: Template) -> dict[str, list[object]]:
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
        "team": [pattern(Match(**destinations["team"]["match"])), "ENABLED"],
        "service": [pattern(Match()), "DISABLED"],
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


def test_a_pattern_too_long_for_a_rule_is_a_mistake_of_the_configuration(synthesize: Synthesize) -> None:
    scopes = [f"project-{number:08}" for number in range(200)]
    team = {"type": "slack", "secret": "s", "match": {"scope": scopes}}

    with pytest.raises(InvalidConfig, match=r"^destinations\.team\.match: .* EventBridge takes 2048$"):
        synthesize({**CONFIGURATION, "destinations": {"team": team}})
