"""What a notifier gets and what it gives back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from pollbridge.history.connections import connection_pk
from pollbridge.model.event import RECOVERED, UNREACHABLE


@dataclass(frozen=True, slots=True)
class Notice:
    """One event as the bus delivered it."""

    detail_type: str
    detail: dict[str, Any]

    @classmethod
    def read(cls, body: str) -> Notice:
        """From a queue message: EventBridge's envelope. Raises ValueError for anything else."""
        envelope = json.loads(body)
        try:
            notice = cls(envelope["detail-type"], envelope["detail"])
            if not (isinstance(notice.event_id, str) and isinstance(notice.version, int) and notice.pk):
                raise TypeError
        except (KeyError, TypeError):
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
    def about_vendor(self) -> bool:
        """Whether it is about a connection; else it is about a job."""
        return self.detail_type in (UNREACHABLE, RECOVERED)

    @property
    def pk(self) -> str:
        """The partition in which the delivery is kept, beside the entry it tells. Raises ValueError."""
        match self.detail:
            case {"connection": str(name)} if name and self.about_vendor:
                return connection_pk(name)
            case {"job": {"key": str(key)}} if key and not self.about_vendor:
                return f"JOB#{key}"
        raise ValueError("the message is about neither a job nor a vendor")


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receiver took it."""

    code: int


class DeliveryError(Exception):
    """The receiver did not take it. The text is short and holds no address, no key and nothing of the answer."""

    def __init__(
        self,
        outcome: str,
        *,
        permanent: bool = False,
        maybe_sent: bool = False,
        code: int | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.permanent = permanent
        """Trying again cannot help."""
        self.maybe_sent = maybe_sent
        """The request went out and no answer came: the receiver may have taken it."""
        self.code = code
        self.retry_after = retry_after


class Notifier(Protocol):
    """Speaks to one type of receiver. The caller owns retries, the ledger and disabling."""

    @property
    def receiver_deduplicates(self) -> bool:
        """Whether the receiver can tell a repeated message from a new one.

        If it can't, what may have been sent is not sent again.
        """

    def deliver(self, notice: Notice) -> Receipt:
        """Raises DeliveryError."""
        ...
