"""What is answered when something is wrong: RFC 9457 problem details, without anything from the inside."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE = "application/problem+json"

RETRY_AFTER = 5
"""Seconds that a caller is asked to wait when AWS throttles us or doesn't answer."""

SHOWN = 200
"""Characters of what was sent that an answer repeats."""


class Mistake(BaseModel):
    """One thing that is wrong with a request."""

    model_config = ConfigDict(frozen=True)

    where: Annotated[str, Field(description="The place in the request, such as `query.limit` or `body.keys.0`.")]
    what: Annotated[str, Field(description="What to mend.")]


class Problem(BaseModel):
    """Why there is no better answer (RFC 9457)."""

    type: Annotated[str, Field(description="What kind of problem it is; programs go by it.")]
    title: Annotated[str, Field(description="The same in words.")]
    status: Annotated[int, Field(ge=400, le=599)]
    detail: Annotated[str, Field(description="What is wrong this time, and what to do.")]
    errors: Annotated[tuple[Mistake, ...] | None, Field(description="What is wrong where; absent if it is one thing.")]
    request_id: Annotated[str | None, Field(description="Names the request in the function's log; absent mostly.")]


class Wrong(Exception):
    """A request that gets a problem for an answer."""

    def __init__(
        self,
        status: HTTPStatus,
        kind: str,
        title: str,
        detail: str,
        *,
        errors: Iterable[Mistake] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.title, self.detail = status, kind, title, detail
        self.errors, self.headers = tuple(errors), dict(headers or {})

    def response(self, request_id: str | None = None) -> Response[str]:
        told: dict[str, Any] = {
            "type": f"urn:pollbridge:problem:{self.kind}",
            "title": self.title,
            "status": self.status.value,
            "detail": self.detail,
        }
        if self.errors:
            told["errors"] = [mistake.model_dump() for mistake in self.errors]
        if request_id:
            told["request_id"] = request_id
        # What was sent may hold half of a character, which only an escape can repeat.
        body = json.dumps(told, ensure_ascii=True, separators=(",", ":"))
        headers: dict[str, str | list[str]] = {**self.headers, "Cache-Control": "no-store"}
        return Response(self.status.value, MEDIA_TYPE, body, headers)


def shown(text: str) -> str:
    """What was sent, as far as it is repeated."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


def invalid(errors: Iterable[Mistake]) -> Wrong:
    return Wrong(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid",
        "The request is not as described",
        "Mend what `errors` names, and send it again; the OpenAPI document describes every request.",
        errors=errors,
    )


def not_json(detail: str) -> Wrong:
    return Wrong(HTTPStatus.BAD_REQUEST, "not-json", "The body is no JSON", detail)


def not_json_type(content_type: str) -> Wrong:
    return Wrong(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "media-type",
        "The body is of a type that is not read here",
        f"Send it as application/json, not as {shown(content_type)}.",
    )


def bad_cursor(detail: str) -> Wrong:
    return Wrong(
        HTTPStatus.BAD_REQUEST,
        "bad-cursor",
        "The cursor leads nowhere",
        f"{detail} Begin without one; each page's `next` is the cursor of the page after it.",
    )


def no_route(path: str) -> Wrong:
    return Wrong(HTTPStatus.NOT_FOUND, "no-route", "There is no such path", f"{shown(path)} is no path of this API.")


def no_method(method: str, allowed: Iterable[str]) -> Wrong:
    known = ", ".join(sorted(allowed))
    return Wrong(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "no-method",
        "The path does not take this method",
        f"{shown(method)} is not taken here; the path takes {known}.",
        headers={"Allow": known},
    )


def unknown(kind: str, detail: str) -> Wrong:
    """What the request names is not there: `kind` is one of job, connection, destination, event."""
    return Wrong(HTTPStatus.NOT_FOUND, f"unknown-{kind}", f"There is no such {kind}", detail)


def refused(kind: str, title: str, detail: str, errors: Iterable[Mistake]) -> Wrong:
    """It is well-formed, and cannot be done as things stand."""
    return Wrong(HTTPStatus.CONFLICT, kind, title, detail, errors=errors)


def busy() -> Wrong:
    return Wrong(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "busy",
        "AWS is throttling, or does not answer",
        "Nothing is wrong with the request: send it again a little later. Every request may be repeated.",
        headers={"Retry-After": str(RETRY_AFTER)},
    )


def broken() -> Wrong:
    return Wrong(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "broken",
        "Something went wrong in pollbridge",
        "The function's log says what, under this request_id.",
    )
