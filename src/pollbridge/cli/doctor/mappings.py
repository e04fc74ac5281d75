"""Whether stream and queues are worked off: Lambda's mappings, which hand their messages to the functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from pollbridge.cli.doctor.finding import GONE, Finding, Look, Question, bad, gone, note, warn
from pollbridge.routing import WATCH_REQUESTED


@dataclass(frozen=True, slots=True)
class Feed:
    """A mapping as it was deployed, and what it has to read."""

    about: str
    uuid: str
    function: str
    reads: Callable[[str], bool] = lambda _: True
    """Whether this is the ARN of it."""


def questions(look: Look) -> Iterator[Question]:
    """One for each mapping of the deployment."""
    mappings = look.parts.get("mappings", {})
    if "publisher" in mappings:
        yield Question("mapping", "stream to the publisher", partial(_stream, look, mappings["publisher"]))
    if "registrar" in mappings:
        yield Question("mapping", "requests to the registrar", partial(_requests, look, mappings["registrar"]))
    for name, part in look.parts["destinations"].items():
        if "mapping" in part:
            feed = Feed(f"queue of {name} to its notifier", part["mapping"], part["function"])
            yield Question("mapping", feed.about, partial(_fed, look, feed))


def _stream(look: Look, uuid: str) -> Iterator[Finding]:
    table = look.client("dynamodb").describe_table(TableName=look.deployment.table.name)["Table"]
    stream = table.get("LatestStreamArn")
    feed = Feed("stream to the publisher", uuid, look.parts["publisher"], lambda arn: stream in {None, arn})
    yield from _fed(look, feed)


def _requests(look: Look, uuid: str) -> Iterator[Finding]:
    feed = Feed("requests to the registrar", uuid, look.parts["registrar"])
    yield from _fed(look, feed)
    if told := _mapping(look, feed) or _another(look, feed):
        yield from _routed(look, told["EventSourceArn"])


def _routed(look: Look, queue: str) -> Iterator[Finding]:
    """Whether a rule brings requests to the queue."""
    events, bus, about = look.client("events"), look.deployment.bus, f"rule of {WATCH_REQUESTED}"
    rules = events.list_rule_names_by_target(TargetArn=queue, EventBusName=bus)["RuleNames"]
    off = [name for name in rules if events.describe_rule(Name=name, EventBusName=bus)["State"] != "ENABLED"]
    if not rules:
        yield bad("rule", about, "is gone: no event registers a job any more", GONE)
    elif len(off) == len(rules):
        do = f"aws events enable-rule --name {off[0]} --event-bus-name {bus}"
        yield bad("rule", about, "is disabled: no event registers a job", do)
    else:
        yield Finding("rule", about, "is there")


def _fed(look: Look, feed: Feed) -> Iterator[Finding]:
    told = _mapping(look, feed)
    if told and feed.reads(told["EventSourceArn"]):
        yield _working(feed, told)
    elif _another(look, feed):
        yield note("mapping", feed.about, "is worked off, by a mapping that the stack does not know")
    elif told:
        yield bad("mapping", feed.about, "is cut: the mapping reads what was there before", GONE)
    else:
        yield bad("mapping", feed.about, "is cut: the mapping is gone", GONE)


def _mapping(look: Look, feed: Feed) -> dict[str, Any] | None:
    """None when it is gone."""
    try:
        told: dict[str, Any] = look.client("lambda").get_event_source_mapping(UUID=feed.uuid)
    except ClientError as error:
        if gone(error):
            return None
        raise
    return told


def _another(look: Look, feed: Feed) -> dict[str, Any] | None:
    """One that somebody made by hand, and that does the same."""
    told = look.client("lambda").list_event_source_mappings(FunctionName=feed.function)["EventSourceMappings"]
    others = (each for each in told if each["UUID"] != feed.uuid and each["State"] == "Enabled")
    return next((each for each in others if feed.reads(each["EventSourceArn"])), None)


def _working(feed: Feed, told: dict[str, Any]) -> Finding:
    result = told.get("LastProcessingResult", "")
    if told["State"] in {"Disabled", "Disabling"}:
        do = f"aws lambda update-event-source-mapping --uuid {feed.uuid} --enabled"
        return bad("mapping", feed.about, "is switched off: what comes waits, and is forgotten in the end", do)
    if result.startswith("PROBLEM"):
        return warn("mapping", feed.about, f"is in trouble: {result}", f"the log of {feed.function} says why")
    return Finding("mapping", feed.about, "is worked off")
