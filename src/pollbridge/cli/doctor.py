"""`doctor`: what about a deployment needs a person, each finding with what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import click
from botocore.exceptions import ClientError

from pollbridge.aws import client
from pollbridge.cli.deployment import Deployment, find
from pollbridge.cli.output import plain, print_json
from pollbridge.history.destinations import Destinations
from pollbridge.model.instant import iso
from pollbridge.notifying.standing import missed_since


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was looked at. `do` is what to do about it, None where nothing is to be done."""

    check: str
    about: str
    says: str
    do: str | None = None


PREFIX = 20
"""Characters of the stack's name that a queue's name surely begins with."""

Check = Callable[[Deployment], Iterator[Finding]]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Look for what needs a person. Exit 1 when something does."""
    deployment = find()
    found = [finding for check in CHECKS for finding in check(deployment)]
    if as_json:
        print_json([asdict(finding) | {"ok": finding.do is None} for finding in found])
    else:
        for finding in found:
            mark = click.style("ok", fg="green") if finding.do is None else click.style("!!", fg="red")
            click.echo(f"{mark}  {plain(finding.about)}: {plain(finding.says)}")
            if finding.do:
                click.echo(f"      {finding.do}")
    if any(finding.do for finding in found):
        raise SystemExit(1)


def private_addresses(deployment: Deployment) -> Iterator[Finding]:
    """Whoever may reach what is not public: it is meant for tests, and seldom for more."""
    configuration = deployment.configuration
    admitted = [f"connection {name}" for name, owner in configuration.vendors.items() if owner.allow_private]
    admitted += [f"destination {name}" for name, owner in configuration.destinations.items() if owner.allow_private]
    for about in admitted:
        says = "may reach private addresses, and speak plain http"
        yield Finding("allow_private", about, says, "unless that is meant: take allow_private out, and deploy")
    if not admitted:
        yield Finding("allow_private", "addresses", "only public ones are dialled")


def standing(deployment: Deployment) -> Iterator[Finding]:
    """Destinations that are disabled, only fail, or have dead letters."""
    sqs, heads = client("sqs"), Destinations(deployment.table)
    for name, destination in deployment.configuration.destinations.items():
        about, head = f"destination {name}", heads.head(name)
        letters = _messages(sqs, deployment.parts["destinations"][name]["dead_letter"])
        if head.disabled:
            says = f"disabled since {iso(head.disabled.since)}: {head.disabled.error}"
            missed = iso(missed_since(head.trouble_since or head.disabled.since))
            do = f"mend it, then: pollbridge enable {name}; pollbridge recover --to {name} --since {missed}"
            yield Finding("disabled", about, says, do)
        elif head.failing_since:
            says = f"nothing but failure since {iso(head.failing_since)}"
            yield Finding("failing", about, says, f"pollbridge deliveries --to {name} says why")
        elif not destination.enabled:
            yield Finding("enabled", about, "enabled = false: it hears of nothing new")
        else:
            yield Finding("standing", about, "is delivered to")
        if letters:
            do = f"pollbridge deliveries --failed --to {name}; then recover --to {name} --since …"
            yield Finding("dead_letters", about, f"{letters} dead letter{'' if letters == 1 else 's'}", do)


def forsaken_queues(deployment: Deployment) -> Iterator[Finding]:
    """Queues of destinations that are no longer configured: they outlive the deploy that took their destination out."""
    sqs = client("sqs")
    known = {url.rsplit("/", 1)[-1] for parts in deployment.parts["destinations"].values() for url in parts.values()}
    found = sqs.list_queues(QueueNamePrefix=deployment.stack[:PREFIX]).get("QueueUrls", ())
    for url in found:
        name = url.rsplit("/", 1)[-1]
        if name in known or not _of_stack(deployment.stack, name):
            continue
        try:
            count = _messages(sqs, url)
        except ClientError:
            continue  # It was deleted a moment ago: SQS lists a queue for up to a minute more.
        if count:
            says = f"{count} message{'' if count == 1 else 's'} of a destination that is no longer configured"
            do = "configure it again, deploy, and recover; or delete the queue, and forget them"
        else:
            says, do = "empty, of a destination that is no longer configured", f"aws sqs delete-queue --queue-url {url}"
        yield Finding("forsaken_queue", f"queue {name}", says, do)


def _of_stack(stack: str, queue: str) -> bool:
    """CloudFormation shortens long names of stacks to what fits into a queue's 80 characters."""
    owner, notifying, _ = queue.rpartition("-Notifying")
    shortened = len(owner) + 1 >= PREFIX and stack.startswith(owner)
    return bool(notifying) and (owner == stack or shortened)


CHECKS: tuple[Check, ...] = (private_addresses, standing, forsaken_queues)


def _messages(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
    return sum(int(asked["Attributes"][name]) for name in names)
