"""How the destinations stand, and where what failed waits for a person."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from botocore.exceptions import ClientError

from pollbridge.cli.doctor.finding import GONE, Finding, Look, Question, Subject, bad, gone, note, plural, warn
from pollbridge.cli.doctor.letting import redrive, unlocked
from pollbridge.cli.queues import COUNTS, counted
from pollbridge.config import Destination
from pollbridge.history.destinations import Destinations
from pollbridge.model.instant import iso
from pollbridge.notifying.standing import missed_since

PREFIX = 20
"""Characters of the stack's name that a queue's name surely begins with."""

FAILURES = {
    "registrar": "watch requests that could not be registered; the messages are the requests",
    "publisher": "batches of the stream that could not be published; the audit publishes their changes within the hour",
    "missed": "sweeps or audits that failed or did not start; the next ones took over, and they are forgotten in a day",
}


def _destinations(look: Look) -> Iterator[Question]:
    for name, destination in look.configuration.destinations.items():
        yield Question("standing", f"destination {name}", partial(_standing, look, name, destination))


def _standing(look: Look, name: str, destination: Destination) -> Iterator[Finding]:
    about, head = f"destination {name}", Destinations(look.deployment.table).head(name)
    if head.disabled:
        says = f"disabled since {iso(head.disabled.since)}: {head.disabled.error}"
        missed = iso(missed_since(head.trouble_since or head.disabled.since))
        do = f"mend it, then: pollbridge enable {name}; pollbridge recover --to {name} --since {missed}"
        yield bad("disabled", about, says, do)
    elif head.failing_since:
        says = f"nothing but failure since {iso(head.failing_since)}"
        yield bad("failing", about, says, f"pollbridge deliveries --to {name} says why")
    elif not destination.enabled:
        yield note("enabled", about, "enabled = false: it hears of nothing new")
    elif head.waits_until and head.waits_until > look.now:
        yield note("standing", about, f"is left alone until {iso(head.waits_until)}, as its receiver asked")
    else:
        yield Finding("standing", about, "is delivered to")


def _queues(look: Look) -> Iterator[Question]:
    for name, part in look.parts["destinations"].items():
        yield Question("dead_letters", f"destination {name}", partial(_dead_letters, look, name, part))
        yield Question("queue", f"queue of {name}", partial(_work, look, name, part))
    for name, url in look.parts.get("failures", {}).items():
        yield Question("failures", f"failures of {name}", partial(_failures, look, name, url))
    yield Question("forsaken_queue", "queues", partial(forsaken, look))


def _dead_letters(look: Look, name: str, part: dict[str, str]) -> Iterator[Finding]:
    about = f"destination {name}"
    told = _attributes(look, part["dead_letter"], "Policy")
    if told is None:
        yield bad("dead_letters", about, "its queue of dead letters is gone: what fails is lost", GONE)
        return
    if "rule" in part:
        lost = "what cannot be put into its queue is lost"
        yield from unlocked(f"dead letters of {name}", part["dead_letter"], part["rule"], told.get("Policy"), lost)
    if count := counted(told).all:
        do = f"pollbridge deliveries --failed --to {name}; then recover --to {name} --since …"
        yield bad("dead_letters", about, plural(count, "dead letter"), do)
    else:
        yield Finding("dead_letters", about, "no dead letters")


def _work(look: Look, name: str, part: dict[str, str]) -> Iterator[Finding]:
    """How old the oldest is would be CloudWatch's to say: a queue holds what is put off for hours as well."""
    about, url = f"queue of {name}", part["queue"]
    told = _attributes(look, url, "Policy", "RedrivePolicy")
    if told is None:
        yield bad("queue", about, "is gone: nothing is delivered", GONE)
        return
    yield Finding("queue", about, f"{plural(counted(told).all, 'message')} under way or put off")
    if "rule" in part:
        yield from unlocked(about, url, part["rule"], told.get("Policy"), f"{name} hears of nothing new")
        yield from redrive(about, part, told.get("RedrivePolicy"))


def _failures(look: Look, name: str, url: str) -> Iterator[Finding]:
    about, count = f"failures of {name}" if name != "missed" else "missed sweeps and audits", _count(look, url)
    if count is None:
        yield bad("failures", about, "the queue is gone: what fails is lost", GONE)
    elif count:
        do = f"aws sqs receive-message --queue-url {url} says which; aws sqs purge-queue --queue-url {url} forgets them"
        make = warn if name == "missed" else bad
        yield make("failures", about, f"{plural(count, 'message')}: {FAILURES.get(name, 'failures')}", do)
    else:
        yield Finding("failures", about, "none")


def _count(look: Look, url: str) -> int | None:
    """None for a queue that is gone."""
    told = _attributes(look, url)
    return None if told is None else counted(told).all


def _attributes(look: Look, url: str, *names: str) -> dict[str, str] | None:
    """The counts of a queue and these; None for a queue that is gone."""
    try:
        wanted = [*COUNTS, *names]
        told = look.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=wanted)
        attributes: dict[str, str] = told["Attributes"]
    except ClientError as error:
        if gone(error):
            return None
        raise
    return attributes


def forsaken(look: Look) -> Iterator[Finding]:
    """Queues of destinations that are no longer configured: they outlive the deploy that took their destination out."""
    stack = look.deployment.stack
    parts = look.parts["destinations"].values()
    known = {part[queue].rsplit("/", 1)[-1] for part in parts for queue in ("queue", "dead_letter")}
    found = look.client("sqs").list_queues(QueueNamePrefix=stack[:PREFIX]).get("QueueUrls", ())
    told = 0
    for url in found:
        name = url.rsplit("/", 1)[-1]
        # SQS lists a queue for up to a minute after it was deleted.
        if name in known or not _of_stack(stack, name) or (count := _count(look, url)) is None:
            continue
        told += 1
        if count:
            says = f"{plural(count, 'message')} of a destination that is no longer configured"
            do = "configure it again, deploy, and recover; or delete the queue, and forget them"
        else:
            says, do = "empty, of a destination that is no longer configured", f"aws sqs delete-queue --queue-url {url}"
        yield bad("forsaken_queue", f"queue {name}", says, do)
    if not told:
        yield Finding("forsaken_queue", "queues", "none is left of a destination that is no longer configured")


def _of_stack(stack: str, queue: str) -> bool:
    """CloudFormation shortens long names of stacks to what fits into a queue's 80 characters."""
    owner, notifying, _ = queue.rpartition("-Notifying")
    shortened = len(owner) + 1 >= PREFIX and stack.startswith(owner)
    return bool(notifying) and (owner == stack or shortened)


DESTINATIONS = Subject("destinations", "all {n} are delivered to", _destinations)
QUEUES = Subject("queues", "let their rules in, and no failure waits for a person", _queues)
