"""The scopes of one sweep: each is asked one question first, and no more than two while its key is refused."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from pollbridge.model.event import Trouble
from pollbridge.polling.asking import Asker, Keys, Reply
from pollbridge.polling.client import NoCredentials, PollError, Refused
from pollbridge.vendors.answer import Request

REFUSALS = 2
"""Questions that a scope is asked in a sweep when all of them are refused: with the key we have, and read anew."""

TROUBLES = {401: Trouble.UNAUTHORIZED, 403: Trouble.FORBIDDEN}


@dataclass(slots=True)
class Scope:
    """What a sweep knows of a scope."""

    tried: bool = False
    """Somebody asks the first question, or has asked it."""
    known: asyncio.Event = field(default_factory=asyncio.Event)
    """The first question is answered."""
    answers: int = 0
    """With 200: the key is accepted."""
    good: int = 0
    """Answers that said something of use."""
    refusals: int = 0
    renewed: bool = False
    """Reading the secret again brought another key."""
    closed: PollError | None = None

    @property
    def trouble(self) -> tuple[Trouble, str] | None:
        """Why the scope is closed."""
        if self.closed is None:
            return None
        reason = TROUBLES[self.closed.status] if isinstance(self.closed, Refused) else Trouble.NO_CREDENTIALS
        return reason, str(self.closed)


@dataclass(slots=True)
class Scopes:
    """All scopes of a sweep, as they are come by."""

    keys: Keys
    asker: Asker
    questions: int = REFUSALS
    """How many are put to a scope that refuses its key."""
    by_name: dict[str, Scope] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Scope:
        return self.by_name.setdefault(name, Scope())

    async def ask(self, name: str, request: Request, *, listing: bool = False, closes: bool = True) -> Reply:
        """One request with the scope's key. Raises PollError, or Stopped when it was not sent.

        A key that is accepted for lists may still be refused for jobs. Unless it `closes`, a refusal is counted and
        leaves the scope open.
        """
        scope = self[name]
        try:
            headers = await self.keys.of(name)
        except NoCredentials as error:
            scope.closed = scope.closed or error
            raise
        try:
            reply = await self.asker.ask(request, headers)
        except Refused as error:
            if error.status not in TROUBLES:
                raise
            scope.refusals += 1
            if scope.refusals == 1 and self.questions > 1:
                scope.renewed = await self.keys.renew(name, headers)
            if closes and scope.refusals >= self.questions and not scope.answers:
                scope.closed = error
            raise
        scope.answers += not listing
        return reply


def refuses_key(error: PollError) -> bool:
    """Whether the vendor refuses the key, and not what it was asked."""
    return isinstance(error, Refused) and error.status in TROUBLES
