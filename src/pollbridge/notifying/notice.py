"""What a notifier gets and what it gives back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Literal, Protocol

from pollbridge.history.connections import connection_pk
from pollbridge.history.destinations import destination_pk
from pollbridge.model.event import DISABLED, RECOVERED, UNREACHABLE


@dataclass(frozen=True, slots=True)
class Notice:
    """One event as the bus delivered it."""

    detail_type: str
    detail: dict[str, Any]
    resent: bool = False
    """Somebody asked for it to be sent again."""

    @classmethod
    def read(cls, body: str) -> Notice:
        """From a queue message: EventBridge's envelope. Raises ValueError for anything else."""
        try:
            envelope = json.loads(body)
            notice = cls(envelope["detail-type"], envelope["detail"], envelope.get("resent") is True)
            if not (isinstance(notice.event_id, str) and isinstance(notice.version, int) and notice.pk):
                raise TypeError
        except (KeyError, TypeError, RecursionError):
            raise ValueError("the message is no event of pollbridge") from None
        return notice

    @property
    def event_id(self) -> str:
        event_id: str = self.detail["id"]
        return event_id

    @property
    def version(self) -> int:
        version: int = self.detail["version"]
        return version

    @property
    def about(self) -> Literal["job", "vendor", "destination"]:
        if self.detail_type in (UNREACHABLE, RECOVERED):
            return "vendor"
        return "destination" if self.detail_type == DISABLED else "job"

    @property
    def subject(self) -> dict[str, str]:
        """What it is about, as log lines name it."""
        names = {"job": "job", "vendor": "connection", "destination": "about_destination"}
        return {names[self.about]: self.pk.partition("#")[2]}

    @property
    def pk(self) -> str:
        """The partition in which the delivery is kept, beside the entry it tells. Raises ValueError."""
        match self.about, self.detail:
            case "vendor", {"connection": str(name)} if name:
                return connection_pk(name)
            case "destination", {"destination": str(name)} if name:
                return destination_pk(name)
            case "job", {"job": {"key": str(key)}} if key:
                return f"JOB#{key}"
        raise ValueError("the message is about no job, vendor or destination")


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receiver took it."""

    code: int


class Treatment(StrEnum):
    """What a failed attempt leads to: docs/delivering.md has the table."""

    RETRY = "retry"
    """Tried again by the retry clock."""
    LATER = "later"
    """The receiver asks to be left alone for a while: no attempt, and none by other deliveries before that."""
    GIVE_UP = "give up"
    """This event will never be taken; others may."""
    DISABLE = "disable"
    """Nothing will be taken any more, until a person mends it."""


class DeliveryError(Exception):
    """The receiver did not take it. The text is short and holds no address, no key and nothing of the answer."""

    def __init__(
        self,
        outcome: str,
        treatment: Treatment = Treatment.RETRY,
        *,
        maybe_sent: bool = False,
        code: int | None = None,
        retry_after: timedelta | None = None,
        wait: timedelta | None = None,
        response: str | None = None,
    ) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.treatment = treatment
        self.maybe_sent = maybe_sent
        """The request went out and no answer came: the receiver may have taken it, and can't tell a repetition."""
        self.code = code
        self.retry_after = retry_after
        """What the receiver asks for: it counts within one and two steps of the retry clock."""
        self.wait = wait
        """What the receiver demands: it counts as it is."""
        self.response = response
        """The beginning of what the receiver answered, for the ledger alone."""


class NotYet(Exception):
    """Nothing can be sent just now. It is no attempt; the message comes again after the pause."""

    def __init__(self, pause: timedelta) -> None:
        super().__init__(pause)
        self.pause = pause


class Notifier(Protocol):
    """Speaks to one type of receiver. The caller owns retries, the ledger and disabling."""

    @property
    def receiver_deduplicates(self) -> bool:
        """Whether the receiver can tell a repeated message from a new one.

        If it can't, what may have been sent is not sent again.
        """

    def gather(self, notice: Notice, age: timedelta, tries: int) -> Sequence[Notice]:
        """What is told together with the notice, itself included, in an order all callers see alike.

        `age` is how long the notice has been on its way, `tries` how often it was attempted. Raises NotYet while what
        belongs together isn't known.
        """
        ...

    def deliver(self, notices: Sequence[Notice]) -> Receipt:
        """One message about what was gathered. Raises DeliveryError or NotYet."""
        ...
