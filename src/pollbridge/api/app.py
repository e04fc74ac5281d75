"""The API put together: the routes, and what becomes of a request that none of them answers."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn

from aws_lambda_powertools.event_handler import LambdaFunctionUrlResolver, Response
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as UnreachableError

from pollbridge.api.deliveries import Delivering
from pollbridge.api.jobs import Reading, Watching
from pollbridge.api.means import Means
from pollbridge.api.problems import (
    Mistake,
    Wrong,
    broken,
    busy,
    invalid,
    no_method,
    no_route,
    not_json,
    not_json_type,
)
from pollbridge.model.job import KEY_LIMIT
from pollbridge.observability import logger

BUSY = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
"""What AWS answers when the same request may succeed a little later."""

BODY = "wish"
"""The parameter that takes a request's body."""

SAYINGS = {
    "missing": "is missing",
    "extra_forbidden": "is nothing this request takes",
    "dict_type": "wants an object",
    "list_type": "wants a list",
    "model_type": "wants an object",
    "model_attributes_type": "wants an object",
    "string_type": "wants a text",
    "string_pattern_mismatch": "has not the form it must have",
}
"""What to say of a mistake that pydantic finds, where its own words are about Python."""


@dataclass(frozen=True, slots=True)
class Route:
    """A method of a path, and the function that answers it."""

    method: str
    path: str
    answer: Callable[..., Any]

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"<\w+>", r"[^/]+", self.path))

    @property
    def reads_body(self) -> bool:
        return BODY in inspect.signature(self.answer).parameters

    @property
    def parameters(self) -> frozenset[str]:
        """The names that a query may hold."""
        return frozenset(inspect.signature(self.answer).parameters) - {BODY, *re.findall(r"<(\w+)>", self.path)}


def routes(means: Means) -> tuple[Route, ...]:
    watching, reading, delivering = Watching(means), Reading(means), Delivering(means)
    return (
        Route("GET", "/v1/watches", watching.watched),
        Route("POST", "/v1/watches", watching.register),
        Route("DELETE", "/v1/watches", watching.unregister),
        Route("GET", "/v1/jobs", reading.jobs),
        Route("GET", "/v1/job", reading.job),
        Route("GET", "/v1/history", reading.history),
        Route("GET", "/v1/deliveries", delivering.deliveries),
        Route("POST", "/v1/events/<event_id>/resend", delivering.resend),
    )


class Api:
    """Answers the events of a Function URL."""

    def __init__(self, means: Means) -> None:
        self.routes = routes(means)
        self.resolver = resolver_of(self.routes)

    def answer(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """The answer to a request; none raises."""
        told: dict[str, Any] = {"route": None}
        with logger().append_context_keys(request_id=event["requestContext"].get("requestId", "")):
            try:
                route = self._route(event)
                told |= {"route": f"{route.method} {route.path}"} | _about(event)
                _check(route, event)
                answer = self.resolver.resolve(dict(event), context)
            except Wrong as wrong:
                answer = _plain(wrong.response())
            answer["headers"] = {"Cache-Control": "no-store"} | answer.get("headers", {})
            logger().info("answered", extra=told | {"status": answer["statusCode"]})
        return answer

    def _route(self, event: Mapping[str, Any]) -> Route:
        path, method = event["rawPath"], event["requestContext"]["http"]["method"].upper()
        found = {route.method: route for route in self.routes if route.pattern.fullmatch(path)}
        if not found:
            raise no_route(path)
        if method not in found:
            raise no_method(method, found)
        return found[method]


def _about(event: Mapping[str, Any]) -> dict[str, str]:
    """The job a request is about, if its query names one."""
    query = event.get("queryStringParameters") or {}
    key = query.get("key") or query.get("job")
    return {"job": key[:KEY_LIMIT]} if key else {}


def _check(route: Route, event: Mapping[str, Any]) -> None:
    """What Powertools lets pass: names that no parameter has, and bodies of another type than JSON."""
    strange = sorted(set(event.get("queryStringParameters") or {}) - route.parameters)
    if strange:
        known = ", ".join(sorted(route.parameters)) or "none"
        what = f"is no parameter of this request; it takes: {known}"
        raise invalid(Mistake(where=f"query.{name}", what=what) for name in strange)
    content_type = (event.get("headers") or {}).get("content-type", "")
    if route.reads_body and content_type.partition(";")[0].strip().lower() not in {"", "application/json"}:
        raise not_json_type(content_type)


def resolver_of(every: tuple[Route, ...]) -> LambdaFunctionUrlResolver:
    """The routes in Powertools' hands: it validates what comes in and what goes out, and describes both."""
    resolver = LambdaFunctionUrlResolver(
        enable_validation=True,
        response_validation_error_http_code=HTTPStatus.INTERNAL_SERVER_ERROR,
        json_body_deserializer=_body,
        serializer=lambda told: json.dumps(told, ensure_ascii=False, separators=(",", ":")),
    )
    for route in every:
        resolver.route(route.path, method=[route.method])(route.answer)

    def wrong(error: Wrong) -> Response[str]:
        return error.response(_request_id(resolver) if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR else None)

    def any_other(error: Exception) -> Response[str]:
        if not _passes(error):
            logger().exception("broken")
        return wrong(busy() if _passes(error) else broken())

    resolver.exception_handler(Wrong)(wrong)
    resolver.exception_handler(RequestValidationError)(lambda error: _invalid(error).response())
    resolver.exception_handler(UnicodeDecodeError)(lambda _: not_json("It is not UTF-8.").response())
    # Powertools takes fewer characters for a part of a path than may stand there.
    resolver.not_found(lambda _: no_route(resolver.current_event.path).response())
    resolver.exception_handler(Exception)(any_other)
    return resolver


def _request_id(resolver: LambdaFunctionUrlResolver) -> str:
    return str(resolver.current_event.request_context.request_id)


def _body(text: str) -> Any:
    """A request's body. Raises Wrong."""
    try:
        told = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise not_json(error.msg) from None
    except RecursionError:
        raise not_json("It is nested too deeply.") from None
    except ValueError:
        # https://docs.python.org/3/library/stdtypes.html#integer-string-conversion-length-limitation
        raise not_json("It holds a number of too many digits.") from None
    if not isinstance(told, dict | None):
        raise invalid([Mistake(where="body", what="wants an object")])
    return told


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is no number of JSON", name, 0)


def _invalid(error: RequestValidationError) -> Wrong:
    return invalid(Mistake(where=_where(one["loc"]), what=_what(one)) for one in error.errors())


def _where(loc: tuple[Any, ...]) -> str:
    return ".".join(str(step) for step in loc)[:200]


def _what(one: Mapping[str, Any]) -> str:
    if one["type"] in SAYINGS:
        return SAYINGS[one["type"]]
    return str(one["msg"]).removeprefix("Value error, ")


def _passes(error: Exception) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error.response["Error"]["Code"] in BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, HTTPClientError | UnreachableError | TimeoutError)


def _plain(response: Response[str]) -> dict[str, Any]:
    return {
        "statusCode": response.status_code,
        "headers": dict(response.headers),
        "body": response.body,
        "isBase64Encoded": False,
    }
