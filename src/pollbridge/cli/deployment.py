"""The deployment a command works on: found by its stack, and configured as it was deployed."""

from __future__ import annotations

import importlib
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from pollbridge.cli.output import fail

if TYPE_CHECKING:
    from datetime import datetime

    from botocore.exceptions import BotoCoreError, ClientError

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


class Deployment:
    """A deployed stack. `parts` are names of the deployed functions and queues, as the stack tells them.

    Rooms are entered, and the configuration is read, when a command asks for them: `jobs` needs few of them, and each
    takes a moment to load.
    """

    def __init__(  # noqa: PLR0917 - in the order in which they are found
        self,
        stack: str,
        table: Table,
        bus: str,
        configuration: Configuration | None,
        parts: dict[str, Any],
        deployed_at: datetime | None = None,
    ) -> None:
        self.stack = stack
        self.table = table
        self.bus = bus
        self.parts = parts
        self.deployed_at = deployed_at
        """When its configuration was last deployed."""
        self._configuration = configuration
        self.vendors = _vendors(configuration, parts)
        """The type of each connection."""

    @property
    def destinations(self) -> list[str]:
        """Their names."""
        return list(self._configuration.destinations if self._configuration else self.parts["config"]["destinations"])

    @cached_property
    def configuration(self) -> Configuration:
        if self._configuration:
            return self._configuration
        from pollbridge.config import InvalidConfig, check

        try:
            return check(self.parts["config"], self.stack)
        except InvalidConfig:
            _deployed_by_another(self.stack)

    @property
    def heads(self) -> Heads:
        from pollbridge.history.heads import Heads

        return Heads(self.table)

    @property
    def connections(self) -> Connections:
        from pollbridge.history.connections import Connections

        return Connections(self.table)

    @property
    def entries(self) -> Entries:
        from pollbridge.history.entries import Entries

        kept = self.configuration.history
        return Entries(self.table, kept.retain, kept.raw)

    @property
    def watches(self) -> Watches:
        from pollbridge.watches import Watches

        return Watches(self.configuration, self.heads, self.connections)


def _vendors(configuration: Configuration | None, parts: dict[str, Any]) -> dict[str, str]:
    if configuration:
        return {name: connection.type for name, connection in configuration.vendors.items()}
    return {name: connection["type"] for name, connection in parts["config"]["vendors"].items()}


def find() -> Deployment:
    """The deployment that the environment names; exits in one line when there is none to be found."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    from pollbridge.aws import client
    from pollbridge.history.table import Table

    name, region = stack_name(), ""
    try:
        cloudformation = client("cloudformation")
        region = cloudformation.meta.region_name
        answer = _begun(lambda: cloudformation.describe_stack_resource(StackName=name, LogicalResourceId=RESOURCE))
        # What nearly every command wants next, while AWS thinks.
        table = client("dynamodb")
        importlib.import_module("pollbridge.history.heads")
        told = answer.result()
    except ClientError as error:
        fail(_refused(error, name, region))
    except BotoCoreError as error:
        fail(unreachable(error))
    except ResponseParserError:
        fail('what answers at AWS_ENDPOINT_URL is not AWS: unset it, or run `eval "$(pollbridge local env)"`')
    except ValueError as error:
        fail(f"AWS cannot be asked: {error}")
    try:
        detail = told["StackResourceDetail"]
        told = json.loads(detail["Metadata"])["pollbridge"]
        return Deployment(
            name, Table(table, told["table"]), told["bus"], None, told, detail.get("LastUpdatedTimestamp")
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        _deployed_by_another(f"{name} in {region}")


def _begun(call: Callable[[], Any]) -> Future[Any]:
    """The outcome of a call that a thread makes meanwhile; Ctrl-C does not wait for it."""
    outcome = Future[Any]()

    def make() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised by whoever asks for the outcome
            outcome.set_exception(error)

    threading.Thread(target=make, daemon=True).start()
    return outcome


def _deployed_by_another(which: str) -> NoReturn:
    fail(f"the stack {which} was deployed by another version of pollbridge: deploy it again")


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
    from botocore.exceptions import EndpointConnectionError, NoCredentialsError, NoRegionError, ProfileNotFound

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
