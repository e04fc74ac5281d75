"""Whether the rules are as the configuration says, so that everything flows where it should."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from pollbridge.cli.doctor import mappings
from pollbridge.cli.doctor.finding import Finding, Look, Question, Subject, bad, gone, last
from pollbridge.config import Destination
from pollbridge.routing import pattern


def _questions(look: Look) -> Iterator[Question]:
    yield from mappings.questions(look)
    for name, destination in look.configuration.destinations.items():
        part = look.parts["destinations"][name]
        if "rule" in part:
            yield Question("rule", f"rule of {name}", partial(_rule, look, name, destination, part))


def _rule(look: Look, name: str, destination: Destination, part: dict[str, str]) -> Iterator[Finding]:
    about, rule, bus = f"rule of {name}", last(part["rule"]), look.deployment.bus
    events, wanted = look.client("events"), pattern(destination.match, name)
    try:
        told = events.describe_rule(Name=rule, EventBusName=bus)
        targets = events.list_targets_by_rule(Rule=rule, EventBusName=bus)["Targets"]
    except ClientError as error:
        if not gone(error):
            raise
        do = f"{_putting(rule, bus, wanted, destination)}; {_targeting(rule, bus, part)}"
        yield bad("rule", about, f"is gone: {name} hears of nothing new", do)
        return
    troubles = [
        *_state(about, rule, bus, told["State"] == "ENABLED", destination.enabled),
        *_pattern(about, told.get("EventPattern"), wanted, _putting(rule, bus, wanted, destination)),
        *_target(about, targets, part, _targeting(rule, bus, part)),
    ]
    yield from troubles or [Finding("rule", about, "is as the configuration says")]


def _state(about: str, rule: str, bus: str, enabled: bool, wanted: bool) -> Iterator[Finding]:
    if wanted and not enabled:
        says = "is disabled, though the configuration wants it enabled: nothing new comes"
        yield bad("rule", about, says, _enabling(rule, bus))
    elif enabled and not wanted:
        do = f"aws events disable-rule --name {rule} --event-bus-name {bus}"
        yield bad("rule", about, "is enabled, though the configuration says enabled = false", do)


def _pattern(about: str, told: str | None, wanted: dict[str, Any], do: str) -> Iterator[Finding]:
    if _plain(json.loads(told or "{}")) != _plain(wanted):
        says = "lets through something else than the configuration says: it was changed by hand"
        yield bad("pattern", about, says, do)


def _target(about: str, targets: list[dict[str, Any]], part: dict[str, str], do: str) -> Iterator[Finding]:
    if last(part["queue"]) not in {last(target["Arn"]) for target in targets}:
        yield bad("rule", about, "leads nowhere: the queue is no longer its target", do)


def _plain(value: Any) -> Any:
    """The pattern with its scalars as text: on its way through CloudFormation a number may become one."""
    if isinstance(value, dict):
        return {name: _plain(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    return value if isinstance(value, str) else json.dumps(value)


def _enabling(rule: str, bus: str) -> str:
    return f"aws events enable-rule --name {rule} --event-bus-name {bus}"


def _putting(rule: str, bus: str, wanted: dict[str, Any], destination: Destination) -> str:
    told = shlex.quote(json.dumps(wanted, ensure_ascii=False, separators=(",", ":")))
    state = "ENABLED" if destination.enabled else "DISABLED"
    return f"aws events put-rule --name {rule} --event-bus-name {bus} --state {state} --event-pattern {told}"


def _targeting(rule: str, bus: str, part: dict[str, str]) -> str:
    _, partition, _, region, account, _ = part["rule"].split(":", 5)
    queue, dead = (f"arn:{partition}:sqs:{region}:{account}:{last(part[name])}" for name in ("queue", "dead_letter"))
    target = f"Id=Queue,Arn={queue},DeadLetterConfig={{Arn={dead}}}"
    return f"aws events put-targets --rule {rule} --event-bus-name {bus} --targets '{target}'"


ROUTES = Subject("routes", "stream and queues are worked off, rules are as configured", _questions)
