"""Misbehaviour on demand: everything a server on the internet does that its documentation doesn't say."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from functools import cache
from typing import Annotated, Literal, Self

from aiohttp import web
from pydantic import Field, model_validator

from pollbridge.local.serving import Control

BOMB = 64 * 2**20
"""Bytes of blank that a gzip bomb unfolds to, before the answer itself."""

GARBAGE = b"\xff\xfe\x00{]not json"
PAGE = b"<!doctype html><html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>"


class Fault(Control):
    """How one request is answered instead of properly. Parts combine: slow, then a status, with this content."""

    status: Annotated[int, Field(ge=200, le=599)] | None = None
    retry_after: int | str | None = None
    """Sent verbatim: seconds, or an HTTP date."""
    slow: Annotated[float, Field(ge=0, le=600)] = 0
    """Seconds before anything is said."""
    content: Literal["empty", "garbage", "html", "truncated", "gzip_bomb"] | None = None
    drop: bool | Literal["mid_body"] = False
    """Cut the connection before the answer, or in the middle of it."""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.slow or self.retry_after is not None or self.spoils):
            raise ValueError("a fault wants a status, retry_after, slow, content or drop")
        return self

    @property
    def spoils(self) -> bool:
        """Whether the proper answer doesn't arrive, rather than arriving late."""
        return self.status is not None or self.content is not None or bool(self.drop)


async def misbehave(
    request: web.Request, fault: Fault, answer: web.Response, refuse: Callable[[int], web.Response]
) -> web.StreamResponse:
    """Answer as the fault says; `answer` is the proper answer, `refuse` makes the server's own error of a status."""
    await asyncio.sleep(fault.slow)
    response = answer if fault.status is None else refuse(fault.status)
    if fault.content:
        response = _spoilt(fault.content, response)
    if fault.retry_after is not None:
        response.headers["Retry-After"] = str(fault.retry_after)
    if fault.drop:
        return await _dropped(request, response, told=fault.drop == "mid_body")
    return response


def _spoilt(content: str, response: web.Response) -> web.Response:
    match content:
        case "empty":
            response.body = b""
        case "garbage":
            response.body = GARBAGE
        case "html":
            response = web.Response(body=PAGE, status=response.status, content_type="text/html")
        case "truncated":
            response.body = _half(response)
        case "gzip_bomb":
            response.headers["Content-Encoding"] = "gzip"
            response.body = _bomb(_whole(response))
    return response


def _whole(response: web.Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b""


def _half(response: web.Response) -> bytes:
    body = _whole(response)
    return body[: len(body) // 2]


async def _dropped(request: web.Request, response: web.Response, *, told: bool) -> web.StreamResponse:
    half = web.StreamResponse(status=response.status, headers=response.headers)
    if told:
        half.content_length = len(_whole(response))
        await half.prepare(request)
        await half.write(_half(response))
    if request.transport is not None:
        request.transport.abort()
    return half


def _bomb(body: bytes) -> bytes:
    """The body as gzip behind a great blank: what it unfolds to is proper JSON, only far too long."""
    blank, compressor = _blank()
    rest = compressor.copy()
    return blank + rest.compress(body) + rest.flush()


@cache
def _blank() -> tuple[bytes, zlib._Compress]:
    compressor = zlib.compressobj(9, wbits=31)
    return compressor.compress(b" " * BOMB), compressor
