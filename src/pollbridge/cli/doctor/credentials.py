"""Whether every secret is there, and holds what its owner needs. No value is ever shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from pollbridge import secrets
from pollbridge.cli.doctor.finding import Finding, Look, Question, Subject, answer_of_aws, bad, refused_by_aws
from pollbridge.config import Connection, Destination

Owners = Mapping[str, Connection | Destination]


def _questions(look: Look) -> Iterator[Question]:
    owners: defaultdict[str, dict[str, Connection | Destination]] = defaultdict(dict)
    for name, connection in look.configuration.vendors.items():
        for secret in connection.secrets:
            owners[secret][f"connection {name}"] = connection
    for name, destination in look.configuration.destinations.items():
        owners[destination.secret][f"destination {name}"] = destination
    for secret, of in owners.items():
        yield Question("secret", f"secret {secret}", partial(_secret, look, secret, of))


def _secret(look: Look, name: str, owners: Owners) -> Iterator[Finding]:
    about, setting = f"secret {name}", f"pollbridge secret set {name}"
    try:
        values = secrets.Secrets(look.client("secretsmanager")).read(name)
    except secrets.UnusableSecret as error:
        if refusal := refused_by_aws(error):
            raise refusal from None
        yield _unreadable(about, name, str(error), answer_of_aws(error))
        return
    for owner, settings in owners.items():
        if says := _mistake(settings, values):
            yield bad("secret", about, f"cannot serve {owner}: it {says}", setting)
        else:
            yield Finding("secret", about, f"is there and well-formed, for {owner}")


def _unreadable(about: str, name: str, said: str, answer: ClientError | None) -> Finding:
    setting = f"pollbridge secret set {name}"
    code = answer.response["Error"]["Code"] if answer else None
    if code == "ResourceNotFoundException" and name.startswith("arn:"):
        return bad("secret", about, "is missing", "create it in AWS, and put its ARN into pollbridge.toml; deploy")
    if code == "ResourceNotFoundException":
        return bad("secret", about, "is missing", setting)
    if code == "InvalidRequestException":
        do = f"aws secretsmanager restore-secret --secret-id {name}; then {setting}"
        return bad("secret", about, "may not be read: it is marked for deletion, or has no value", do)
    if code:
        return bad(
            "secret", about, f"may not be read: {code}", f"aws secretsmanager describe-secret --secret-id {name}"
        )
    return bad("secret", about, said.removeprefix(f"secret {name} "), setting)


def _mistake(owner: Connection | Destination, values: Mapping[str, Any]) -> str | None:
    try:
        secrets.check(owner, values)
    except secrets.UnusableSecret as error:
        return str(error)
    return None


SECRETS = Subject("secrets", "all {n} are there and well-formed", _questions)
