"""AWS that doesn't answer for a while: a command that goes on says so in one line, and goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import click
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError  # noqa: A004 - botocore's
from botocore.parsers import ResponseParserError

from pollbridge.cli.clock import Clock
from pollbridge.cli.deployment import refused, unreachable
from pollbridge.cli.output import plain

T = TypeVar("T")

# Those that the SDK itself takes for throttling or passing, as far as DynamoDB and STS answer them:
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
_PASSING = {
    "InternalServerError",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}


def passing(error: Exception) -> bool:
    """Whether asking again may help: throttled, broken, not reached; but not refused, and no key."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or error.response["Error"]["Code"] in _PASSING
    return isinstance(error, ConnectionError | HTTPClientError | ResponseParserError)


def told(error: Exception) -> str:
    """What is the matter, in one line."""
    if isinstance(error, ClientError):
        return refused(error)
    return unreachable(error) if isinstance(error, BotoCoreError) else "what answers is not AWS"


@dataclass(slots=True)
class Outage:
    """Asks AWS, and remembers since when that failed."""

    clock: Clock
    since: float | None = None
    why: str = field(default="", init=False)

    def ask(self, call: Callable[[], T], otherwise: T) -> T:
        """What the call returns, or `otherwise` while AWS fails in passing. Raises what won't pass."""
        try:
            answer = call()
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            if not passing(error):
                raise
            self.why = told(error)
            if self.since is None:
                self.since = self.clock.now()
                click.echo(f"pollbridge: {plain(self.why)}; trying again", err=True)
            return otherwise
        if self.since is not None:
            self.since = None
            click.echo("pollbridge: AWS answers again", err=True)
        return answer

    @property
    def lasts(self) -> float:
        """Seconds since the first failure of those in a row; 0 when the last call was answered."""
        return 0 if self.since is None else self.clock.now() - self.since
