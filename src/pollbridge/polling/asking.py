"""Asking a vendor: each request with its scope's key, within the limits, and no more once it is time to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from botocore.exceptions import BotoCoreError, ClientError

from pollbridge.config import Connection
from pollbridge.polling.client import NoCredentials, Throttled
from pollbridge.polling.limits import Pace
from pollbridge.secrets import UnusableSecret
from pollbridge.vendors.answer import Request

REST_LIMIT = 10.0
"""Seconds that a sweep sits out when the vendor's own count says so; for longer, it ends."""

Clock = Callable[[], datetime]


class Fetch(Protocol):
    """Sends one request. Raises PollError."""

    async def __call__(self, request: Request, headers: dict[str, str], now: datetime) -> bytes: ...


class Stopped(Exception):
    """No more requests may be sent in this sweep: its time is up, or the vendor asked to be left alone."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a 200 brought."""

    asked_at: datetime
    observed_at: datetime
    body: bytes


@dataclass(slots=True)
class Keys:
    """The request headers of each scope. A secret is read once, and once more when the vendor refuses it."""

    connection: Connection
    read: Callable[[str], dict[str, str]]
    """The headers that a secret of that name holds. Raises UnusableSecret."""
    reading: dict[str, asyncio.Task[dict[str, str]]] = field(default_factory=dict)
    renewed: set[str] = field(default_factory=set)

    async def of(self, scope: str) -> dict[str, str]:
        """Raises NoCredentials."""
        name = self._secret(scope)
        if name not in self.reading:
            # A task and not its result: all workers start at once, and each read is paid for.
            self.reading[name] = asyncio.create_task(asyncio.to_thread(self.read, name))
        try:
            return await self.reading[name]
        except UnusableSecret as error:
            raise NoCredentials(str(error)) from None
        except (BotoCoreError, ClientError) as error:
            raise NoCredentials(f"secret {name} could not be read: {type(error).__name__}") from None

    async def renew(self, scope: str, refused: dict[str, str]) -> bool:
        """Read the scope's secret again, once a sweep. Whether it holds something else than was refused."""
        name = self._secret(scope)
        if name not in self.renewed:
            self.renewed.add(name)
            del self.reading[name]
        try:
            return await self.of(scope) != refused
        except NoCredentials:
            return False

    def _secret(self, scope: str) -> str:
        return self.connection.scope_secrets.get(scope, self.connection.secret)


@dataclass(slots=True)
class Asker:
    """Sends the requests of one sweep."""

    fetch: Fetch
    pace: Pace
    clock: Clock
    time_left: Callable[[], float]
    quota: Callable[[], datetime | None]
    """Until when the vendor's own count says to send nothing more."""
    wait: timedelta | None = None
    """How long the vendor asked to be left alone."""
    asked: int = 0
    _rested: datetime | None = None
    """The rest that was sat out; a tick made by hand has a clock that stands still."""

    async def ask(self, request: Request, headers: dict[str, str]) -> Reply:
        """Raises PollError, or Stopped when the request was not sent."""
        await self._admitted()
        asked_at = self.clock()
        self.asked += 1
        try:
            body = await self.fetch(request, headers, asked_at)
        except Throttled as error:
            self.wait = max(error.wait, self.wait or error.wait)
            raise
        return Reply(asked_at, self.clock(), body)

    async def _admitted(self) -> None:
        left, rest = self.time_left(), self.quota()
        seconds = (rest - self.clock()).total_seconds() if rest and rest != self._rested else 0
        if 0 < seconds <= min(REST_LIMIT, left):
            await self.pace.pause(seconds)
            self._rested = rest
            left -= seconds
        elif seconds > 0:
            self.wait = max(timedelta(seconds=seconds), self.wait or timedelta())
        if self.wait is not None or left <= 0:
            raise Stopped
        if not await self.pace.admit(left) or self.wait is not None:
            raise Stopped
