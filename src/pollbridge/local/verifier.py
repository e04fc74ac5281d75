"""Whether a webhook is signed, as a foreign implementation of Standard Webhooks judges it.

The notifier signs with the Python package `standardwebhooks`; the npm package of that name shares no code with it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("verifier.mjs")
PACKAGE = "node_modules/standardwebhooks"

PATIENCE = 5.0
"""Seconds that a verdict may take; receivers are given twice that."""


class NoVerifier(OSError):
    """The verifier cannot be started; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the signature is good; null when nobody could tell. `reason` says why it isn't good."""

    ok: bool | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Verifier:
    """The Node process that judges; it lives as long as the inbox. Once it has died, nothing is verified any more."""

    process: Process
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _numbers: count[int] = field(default_factory=count)

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[Verifier]:
        """A verifier for as long as the context lasts. Raises NoVerifier."""
        # Looked for as Node will look: the script could complain only once it runs.
        if not any((folder / PACKAGE).is_dir() for folder in SCRIPT.parents):
            raise NoVerifier("webhooks are verified with the npm package standardwebhooks: run `npm ci`")
        try:
            process = await asyncio.create_subprocess_exec("node", SCRIPT, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
        except OSError as error:
            raise NoVerifier(f"webhooks are verified with Node, but `node` does not run: {error.strerror}") from None
        try:
            yield cls(process)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def verify(self, secret: str, headers: Mapping[str, str], body: bytes) -> Verdict:
        """The verdict on a webhook, as its bytes came in."""
        question = {"secret": secret, "headers": dict(headers), "body": base64.b64encode(body).decode()}
        try:
            async with self._turn, asyncio.timeout(PATIENCE):
                answer = await self._ask(question)
        except TimeoutError:
            return Verdict(None, "the verifier does not answer")
        except (OSError, ValueError):
            return Verdict(None, "the verifier has ended")
        return Verdict(answer["ok"], answer["reason"])

    async def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        number = next(self._numbers)
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"id": number, **question}).encode() + b"\n")
        await self.process.stdin.drain()
        # What comes first may be the answer to a request that was cancelled while it waited.
        while (answer := json.loads(await self.process.stdout.readline()))["id"] != number:
            pass
        return dict(answer)
