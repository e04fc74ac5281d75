"""How the local servers listen: on loopback only, ready when their port is written, gone when told to go."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

HOST = "127.0.0.1"

GRACE = 0.2
"""Seconds that open requests are given when the server is told to go; then they are cancelled."""


class Control(BaseModel):
    """Base of what the control API reads: a key it doesn't know is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


M = TypeVar("M", bound=BaseModel)


async def wanted(request: web.Request, model: type[M]) -> M:
    """The request's JSON as the model. Raises HTTPBadRequest with one line that shows none of its values."""
    try:
        return model.model_validate_json(await request.read() or b"{}")
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise web.HTTPBadRequest(text=f"{where}: {first['msg']}" if where else first["msg"]) from None


def number(request: web.Request, name: str, default: int, low: int, high: int = 2**31) -> int:
    """A whole number of the query, within its bounds. Raises HTTPBadRequest."""
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 12 and low <= int(text) <= high):
        raise web.HTTPBadRequest(text=f"{name} wants a whole number from {low} to {high}")
    return int(text)


@asynccontextmanager
async def listening(app: web.Application, port: int = 0) -> AsyncIterator[int]:
    """Serve the application on loopback; yields the port, a free one for 0."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=GRACE)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def serve(prog: str, make: Callable[[], web.Application]) -> None:
    """Run as a command until SIGTERM or SIGINT. The port file appears, whole, once the server answers."""
    parser = argparse.ArgumentParser(prog=prog)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--port-file", type=Path, help="where to write the port; else it is printed")
    wish = parser.parse_args()
    try:
        if wish.port_file:
            wish.port_file.unlink(missing_ok=True)
        asyncio.run(_until_told(make(), wish.port, wish.port_file))
    except (OSError, OverflowError) as error:
        raise SystemExit(f"{prog}: {error}") from None


async def _until_told(app: web.Application, port: int, port_file: Path | None) -> None:
    told = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, told.set)
    async with listening(app, port) as chosen:
        if port_file is None:
            sys.stdout.write(f"{chosen}\n")
            sys.stdout.flush()
        else:
            draft = port_file.with_name(f".{port_file.name}.{os.getpid()}")
            draft.write_text(f"{chosen}\n")
            draft.replace(port_file)
        await told.wait()
