"""The deployment a command works on: found by its stack, and configured as it was deployed."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)
from botocore.parsers import ResponseParserError

from pollbridge.aws import client
from pollbridge.cli.output import fail
from pollbridge.config import Configuration
from pollbridge.history.connections import Connections
from pollbridge.history.entries import Entries
from pollbridge.history.heads import Heads
from pollbridge.history.table import Table
from pollbridge.watches import Watches

RESOURCE = "Configuration"
"""The stack's resource whose metadata carries the configuration."""

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}


def stack_name() -> str:
    return os.environ.get("POLLBRIDGE_STACK") or "Pollbridge"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployed stack."""

    stack: str
    table: Table
    bus: str
    configuration: Configuration
    parts: dict[str, Any]
    """Names of the deployed functions and queues, as the stack tells them."""

    @property
    def heads(self) -> Heads:
        return Heads(self.table)

    @property
    def connections(self) -> Connections:
        return Connections(self.table)

    @property
    def entries(self) -> Entries:
        kept = self.configuration.history
        return Entries(self.table, kept.retain, kept.raw)

    @property
    def watches(self) -> Watches:
        return Watches(self.configuration, self.heads, self.connections)


def find() -> Deployment:
    """The deployment that the environment names; exits in one line when there is none to be found."""
    name, region = stack_name(), ""
    try:
        cloudformation = client("cloudformation")
        region = cloudformation.meta.region_name
        answer = cloudformation.describe_stack_resource(StackName=name, LogicalResourceId=RESOURCE)
        told = json.loads(answer["StackResourceDetail"]["Metadata"])["pollbridge"]
        return Deployment(
            stack=name,
            table=Table(client("dynamodb"), told["table"]),
            bus=told["bus"],
            configuration=Configuration.model_validate(told["config"]),
            parts=told,
        )
    except ClientError as error:
        fail(_refused(error, name, region))
    except BotoCoreError as error:
        fail(unreachable(error))
    except ResponseParserError:
        fail('what answers at AWS_ENDPOINT_URL is not AWS: unset it, or run `eval "$(pollbridge local env)"`')
    except (KeyError, ValueError) as error:
        if not region:
            fail(f"AWS cannot be asked: {error}")
        fail(f"the stack {name} in {region} was deployed by another version of pollbridge: deploy it again")


def _refused(error: ClientError, name: str, region: str) -> str:
    code = error.response["Error"]["Code"]
    if code == "ValidationError":
        return (
            f"there is no deployment {name} in {region}: deploy it with `npx cdk deploy`, run `pollbridge local up`,"
            " or set POLLBRIDGE_STACK and AWS_REGION to where it is"
        )
    return refused(error)


def refused(error: ClientError) -> str:
    """What to do about an answer of AWS that no command expects."""
    code = error.response["Error"]["Code"]
    if code in _EXPIRED:
        return f"AWS does not accept these credentials ({code}): sign in again"
    if code in {"AccessDenied", "AccessDeniedException"}:
        return f"these AWS credentials may not do that: {error.response['Error'].get('Message', code)}"
    return f"AWS answered {code} to {error.operation_name}: {error.response['Error'].get('Message', '')}"


def unreachable(error: BotoCoreError) -> str:
    """What to do when AWS could not even be asked."""
    if isinstance(error, NoRegionError):
        return 'no AWS region: set AWS_REGION, or run `eval "$(pollbridge local env)"`'
    if isinstance(error, NoCredentialsError):
        return 'no AWS credentials: sign in, or run `eval "$(pollbridge local env)"`'
    if isinstance(error, ProfileNotFound):
        return f"{error}: set AWS_PROFILE to one of yours"
    if isinstance(error, EndpointConnectionError):
        endpoint = os.environ.get("AWS_ENDPOINT_URL")
        hint = "is `pollbridge local up` running? Otherwise unset AWS_ENDPOINT_URL" if endpoint else "are you online?"
        return f"AWS cannot be reached: {hint}"
    return f"AWS cannot be asked: {error}"
