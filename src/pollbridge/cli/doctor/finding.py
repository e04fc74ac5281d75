"""What doctor asks, what it asks with, and what it finds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from pollbridge.cli.deployment import Deployment, refused, unreachable
from pollbridge.config import Configuration


class Level(StrEnum):
    """How much a finding wants."""

    OK = "ok"
    WARN = "warn"
    """It works, and somebody should know."""
    BAD = "bad"
    """A person is needed."""
    UNKNOWN = "unknown"
    """It could not be looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was looked at. `do` is what to do about it, None where nothing is to be done."""

    check: str
    about: str
    says: str
    do: str | None = None
    level: Level = Level.OK
    notable: bool = False
    """Said even where all is well."""


bad = partial(Finding, level=Level.BAD)
warn = partial(Finding, level=Level.WARN)
note = partial(Finding, notable=True)


@dataclass(frozen=True, slots=True)
class Look:
    """What the checks look at, and with what."""

    deployment: Deployment
    client: Callable[[str], Any]
    """AWS's client for a service. Thread-safe."""
    now: datetime
    offline: bool = False
    """Whether vendors are left alone."""

    @property
    def parts(self) -> dict[str, Any]:
        return self.deployment.parts

    @property
    def configuration(self) -> Configuration:
        return self.deployment.configuration


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to look at. Whatever goes wrong with it is its own trouble and no other's."""

    check: str
    about: str
    ask: Callable[[], Iterable[Finding]]

    def answer(self) -> list[Finding]:
        """What was found; that it could not be looked at, if so."""
        try:
            return list(self.ask())
        except ClientError as error:
            says, do = _why_not(error)
        except BotoCoreError as error:
            says, do = unreachable(error), "ask again"
        except Exception as error:  # noqa: BLE001 - one look that breaks must not take the others along
            says, do = f"{type(error).__name__}: {error}", "ask again; if it stays, report it as a bug of doctor"
        return [Finding(self.check, self.about, f"could not look: {says}", do, Level.UNKNOWN)]


def denied(error: ClientError) -> bool:
    """Whether AWS would not let these credentials ask."""
    # SNS says AuthorizationError, all others say AccessDenied, with or without `Exception`.
    return _code(error).startswith(("AccessDenied", "AuthorizationError"))


def answer_of_aws(error: BaseException | None) -> ClientError | None:
    """What AWS said, where that is what an error of ours was raised for."""
    while error and not isinstance(error, ClientError):
        error = error.__context__
    return error


def refused_by_aws(error: BaseException) -> ClientError | None:
    """The same, if AWS would not let these credentials ask."""
    answer = answer_of_aws(error)
    return answer if answer and denied(answer) else None


def gone(error: ClientError) -> bool:
    """Whether what was asked for is not there."""
    return _code(error) in {
        "ResourceNotFoundException",
        "NotFound",
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
    }


GONE = "docs/doctor.md#what-is-gone says how it comes back"
"""CloudFormation doesn't notice that something was deleted behind its back, and so doesn't make it again."""


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


def _why_not(error: ClientError) -> tuple[str, str]:
    if denied(error):
        wanted = re.search(r"perform: ([\w-]+:\w+)", error.response["Error"].get("Message", ""))
        action = wanted[1] if wanted else error.operation_name
        return f"these AWS credentials may not {action}", "docs/doctor.md#permissions has what doctor asks for"
    return refused(error), "ask again"


@dataclass(frozen=True, slots=True)
class Subject:
    """What belongs together."""

    title: str
    green: str
    """What there is to say when nothing is wrong; `{n}` is of how many things."""
    questions: Callable[[Look], Iterable[Question]]


def plural(count: int, word: str) -> str:
    """`1 message`, `3 messages`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def last(arn: str) -> str:
    """The name at the end of an ARN or of a queue's URL."""
    return re.split(r"[:/]", arn)[-1]
