"""Whether everything still flows: stream and queues are worked off, rules are as the configuration says."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from pollbridge.cli.doctor.finding import GONE, Finding, Look, Question, Subject, bad, gone, last, warn
from pollbridge.config import Destination
from pollbridge.routing import WATCH_REQUESTED, pattern


def _questions(look: Look) -> Iterator[Question]:
    mappings = look.parts.get("mappings", {})
    if "publisher" in mappings:
        yield Question("mapping", "stream to the publisher", partial(_stream, look, mappings["publisher"]))
    if "registrar" in mappings:
        yield Question("mapping", "requests to the registrar", partial(_requests, look, mappings["registrar"]))
    for name, destination in look.configuration.destinations.items():
        part = look.parts["destinations"][name]
        if "mapping" in part:
            about = f"queue of {name} to its notifier"
            yield Question("mapping", about, partial(_mapping, look, about, part["mapping"], []))
        if "rule" in part:
            yield Question("rule", f"rule of {name}", partial(_rule, look, name, destination, part))


def _mapping(look: Look, about: str, uuid: str, source: list[str]) -> Iterator[Finding]:
    """`source` is told the ARN of what the mapping reads."""
    try:
        told = look.client("lambda").get_event_source_mapping(UUID=uuid)
    except ClientError as error:
        if not gone(error):
            raise
        yield bad("mapping", about, "is cut: the mapping is gone", GONE)
        return
    source.append(told.get("EventSourceArn", ""))
    result = told.get("LastProcessingResult", "")
    if told["State"] in {"Disabled", "Disabling"}:
        do = f"aws lambda update-event-source-mapping --uuid {uuid} --enabled"
        yield bad("mapping", about, "is switched off: what comes waits, and is forgotten in the end", do)
    elif result.startswith("PROBLEM"):
        yield warn("mapping", about, f"is in trouble: {result}", "pollbridge local logs, or the function's log in AWS")
    else:
        yield Finding("mapping", about, "is worked off")


def _stream(look: Look, uuid: str) -> Iterator[Finding]:
    about, source = "stream to the publisher", list[str]()
    yield from _mapping(look, about, uuid, source)
    table = look.client("dynamodb").describe_table(TableName=look.deployment.table.name)["Table"]
    if source and source[0] != table.get("LatestStreamArn", source[0]):
        yield bad("mapping", about, "reads a stream of before: the table has another one now", GONE)


def _requests(look: Look, uuid: str) -> Iterator[Finding]:
    about, source = "requests to the registrar", list[str]()
    yield from _mapping(look, about, uuid, source)
    if not source:
        return
    events, bus = look.client("events"), look.deployment.bus
    rules = events.list_rule_names_by_target(TargetArn=source[0], EventBusName=bus)["RuleNames"]
    if not rules:
        yield bad("rule", f"rule of {WATCH_REQUESTED}", "is gone: no event registers a job any more", GONE)
    for name in rules:
        if events.describe_rule(Name=name, EventBusName=bus)["State"] != "ENABLED":
            says, do = "is disabled: no event registers a job", _enabling(name, bus)
            yield bad("rule", f"rule of {WATCH_REQUESTED}", says, do)


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
