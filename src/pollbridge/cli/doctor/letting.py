"""Whether a destination's rule may put events into its queues, and what nobody can deliver leaves the queue."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from pollbridge.cli.doctor.finding import Finding, bad, last

SENDER = "events.amazonaws.com"
ACTION = "sqs:SendMessage"
RECEIVES = 1000
"""As deployed. The notifier counts attempts itself; this is only the net below it."""


def unlocked(about: str, url: str, rule: str, policy: str | None, lost: str) -> Iterator[Finding]:
    """Whether the policy of the queue at that URL lets the rule send. `lost` is what comes of it if not."""
    held, queue = _policy(policy), _arn(rule, url)
    if any(_lets(statement, queue, rule) for statement in _list(held.get("Statement"))):
        yield Finding("queue_policy", about, "lets its rule in")
        return
    statements = [*_list(held.get("Statement")), _letting(queue, rule)]
    wanted = {"Version": "2012-10-17"} | held | {"Statement": statements}
    says = f"does not let its rule in, its policy was changed by hand: {lost}"
    yield bad("queue_policy", about, says, _setting(url, "Policy", wanted))


def redrive(about: str, part: dict[str, str], policy: str | None) -> Iterator[Finding]:
    """Whether what was received too often goes to the destination's dead letters."""
    dead = _arn(part["rule"], part["dead_letter"])
    if _policy(policy).get("deadLetterTargetArn") == dead:
        yield Finding("redrive", about, "has its dead letters below it")
        return
    says = "does not lead to its dead letters: what its notifier dies of goes round, and is forgotten after 14 days"
    wanted = {"deadLetterTargetArn": dead, "maxReceiveCount": RECEIVES}
    yield bad("redrive", about, says, _setting(part["queue"], "RedrivePolicy", wanted))


def _policy(text: str | None) -> dict[str, Any]:
    try:
        held = json.loads(text or "{}")
    except ValueError:
        return {}
    return held if isinstance(held, dict) else {}


def _lets(statement: dict[str, Any], queue: str, rule: str) -> bool:
    """Conditions but those on the source are not judged."""
    principal = statement.get("Principal")
    senders = _list(principal.get("Service")) if isinstance(principal, dict) else _list(principal)
    actions = [str(action).lower() for action in _list(statement.get("Action"))]
    return (
        statement.get("Effect") == "Allow"
        and (SENDER in senders or "*" in senders)
        and any(fnmatchcase(ACTION.lower(), action) for action in actions)
        and any(fnmatchcase(queue, str(resource)) for resource in _list(statement.get("Resource")))
        and all(
            any(fnmatchcase(value, str(each)) for each in given)
            for name, value in (("aws:sourcearn", rule), ("aws:sourceaccount", rule.split(":")[4]))
            for given in _given(statement, name)
        )
    )


def _given(statement: dict[str, Any], name: str) -> Iterator[list[Any]]:
    """What the statement's conditions want of the key of that name."""
    for operator, keys in (statement.get("Condition") or {}).items():
        if operator.startswith(("Arn", "String")) and "Not" not in operator:
            yield from (_list(values) for key, values in keys.items() if key.lower() == name)


def _letting(queue: str, rule: str) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"Service": SENDER},
        "Action": ACTION,
        "Resource": queue,
        "Condition": {
            "ArnEquals": {"aws:SourceArn": rule},
            "StringEquals": {"aws:SourceAccount": rule.split(":")[4]},
        },
    }


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _arn(rule: str, url: str) -> str:
    """Of the queue at that URL, which is where the rule is."""
    _, partition, _, region, account, _ = rule.split(":", 5)
    return f"arn:{partition}:sqs:{region}:{account}:{last(url)}"


def _setting(url: str, attribute: str, value: dict[str, Any]) -> str:
    told = json.dumps({attribute: json.dumps(value, separators=(",", ":"))})
    return f"aws sqs set-queue-attributes --queue-url {url} --attributes {shlex.quote(told)}"
