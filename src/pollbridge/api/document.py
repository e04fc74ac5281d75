"""The OpenAPI document: what Powertools makes of the routes, and what it cannot know of them.

`python -m pollbridge.api` writes it to `docs/openapi.json`; with `--check` it only says whether it is the routes'.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, cast

from pydantic import TypeAdapter

from pollbridge.api.app import Route, resolver_of, routes
from pollbridge.api.means import Means
from pollbridge.api.problems import MEDIA_TYPE, RETRY_AFTER, Problem

VERSION = "1.0"

ABOUT = """\
Registers jobs to follow, reads how they stand and what they went through, and has events sent again.

Every request is signed with AWS Signature Version 4 for the service `lambda`, by somebody who may invoke the function
through its URL; AWS itself refuses all others with 403. Job keys travel as values of a query or in bodies, never in
paths: their parts are percent-encoded, and what lies between decodes paths. What is wrong is answered as problem
details (RFC 9457), whose `type` is meant for programs. Every request may be repeated. Times are ISO 8601 in UTC.
"""

LISTS = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)
BODIES = (HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)

PROBLEMS: dict[str, tuple[HTTPStatus, ...]] = {
    "watched": LISTS,
    "register": BODIES,
    "unregister": (HTTPStatus.NOT_FOUND,),
    "jobs": LISTS,
    "job": (HTTPStatus.NOT_FOUND,),
    "history": LISTS,
    "deliveries": LISTS,
    "resend": (*BODIES, HTTPStatus.NOT_FOUND),
}
"""What can be wrong with a request, by operation, beside what can be wrong with any."""

ANY = (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE)

MEANINGS = {
    HTTPStatus.BAD_REQUEST: "The cursor leads nowhere, or the body is no JSON.",
    HTTPStatus.NOT_FOUND: "What the request names is not there.",
    HTTPStatus.CONFLICT: "Well-formed, and cannot be done as things stand; `errors` names what is in the way.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not sent as application/json.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The request is not as described here; `errors` names each mistake.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong in pollbridge; its log says what.",
    HTTPStatus.SERVICE_UNAVAILABLE: "AWS is throttling, or does not answer: send the same again a little later.",
}

FORBIDDEN = {
    "description": "The request is not signed, or whoever signed it may not ask. It is AWS that answers.",
    "content": {"application/json": {"schema": {"type": "object"}, "example": {"Message": "Forbidden"}}},
}

SINCE = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "pattern": "^[0-9]{1,4}[smhd]$"}],
    "examples": ["2h", "2026-06-08T12:00:00Z"],
}

KEY = "oration/job/acme/8f14e45f"
EVENT = "3f2b8a54-6d1e-5c0a-9a57-0c1d2e3f4a5b"
_PROGRESS = {"total": 100, "succeeded": 92, "failed": 8, "pending": 0, "retrying": 0, "cancelled": 0}
_JOB = {
    "job": {
        "key": KEY,
        "kind": "job",
        "scope": "acme",
        "id": "8f14e45f",
        "name": "customer.createBatch",
        "labels": {"team": "docs"},
    },
    "state": "failed",
    "vendor_status": "failed",
    "terminal": True,
    "name": "customer.createBatch",
    "progress": _PROGRESS,
    "links": [],
    "error": "8 records were refused",
    "message": None,
    "created_at": "2026-06-08T11:58:02Z",
    "started_at": "2026-06-08T11:58:10Z",
    "updated_at": None,
    "finished_at": "2026-06-08T12:30:41Z",
    "version": 3,
    "changed_at": "2026-06-08T12:31:00Z",
    "watched": True,
    "lost": False,
    "failing": None,
}
_CHANGE = {
    "version": 3,
    "event_id": EVENT,
    "detail_type": "Job State Changed",
    "reasons": ["state_changed"],
    "from": {"state": "running", "vendor_status": "active"},
    "to": {"state": "failed", "vendor_status": "failed", "terminal": True, "lost": False},
    "progress": _PROGRESS,
    "links": [],
    "error": "8 records were refused",
    "observed_at": "2026-06-08T12:31:00Z",
    "last_seen_at": "2026-06-08T12:30:00Z",
}
_DELIVERY = {
    "event_id": EVENT,
    "job_key": KEY,
    "version": 3,
    "destination": "docs-team",
    "status": "delivered",
    "attempts": [{"at": "2026-06-08T12:31:02Z", "outcome": "delivered", "code": 200, "latency_ms": 184}],
    "next_attempt_at": None,
}
EXAMPLES: dict[str, Any] = {
    "watched": {"items": [_JOB], "next": None},
    "register": {"items": [{"key": KEY, "new": True}]},
    "unregister": {"key": KEY, "watched": False},
    "jobs": {"items": [_JOB], "next": "WyI2ZDg1MDQ1ZjU2YzMiXQ"},
    "job": _JOB,
    "history": {"items": [_CHANGE], "next": None},
    "deliveries": {"items": [_DELIVERY], "next": None},
    "resend": {"event_id": EVENT, "items": [{"destination": "docs-team", "resent": True, "why": None}]},
}
ASKED: dict[str, Any] = {
    "register": {"keys": [KEY], "labels": {"team": "docs"}},
    "resend": {"to": "docs-team", "job": KEY},
}
TAGS = {
    **dict.fromkeys(("register", "watched", "unregister"), "Watches"),
    **dict.fromkeys(("jobs", "job", "history"), "Jobs"),
    **dict.fromkeys(("deliveries", "resend"), "Events"),
}

LINKS: dict[str, dict[str, Any]] = {
    "watched": {"job": {"operationId": "job", "parameters": {"key": "$response.body#/items/0/job/key"}}},
    "register": {
        "job": {"operationId": "job", "parameters": {"key": "$response.body#/items/0/key"}},
        "end": {"operationId": "unregister", "parameters": {"key": "$response.body#/items/0/key"}},
    },
    "jobs": {
        "job": {"operationId": "job", "parameters": {"key": "$response.body#/items/0/job/key"}},
        "history": {"operationId": "history", "parameters": {"key": "$response.body#/items/0/job/key"}},
    },
    "history": {"resend": {"operationId": "resend", "parameters": {"event_id": "$response.body#/items/0/event_id"}}},
    "deliveries": {"resend": {"operationId": "resend", "parameters": {"event_id": "$response.body#/items/0/event_id"}}},
}
"""What leads on from an answer."""


def document() -> dict[str, Any]:
    """The API's OpenAPI document."""
    every = routes(cast("Means", None))
    resolver = resolver_of(every)
    raw = _whole(json.loads(resolver.get_openapi_json_schema(title="pollbridge", version=VERSION)))
    paths: dict[str, dict[str, Any]] = {}
    for route in every:
        path = re.sub(r"<(\w+)>", r"{\1}", route.path)
        operation = raw["paths"][path][route.method.lower()]
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, operation)
    schemas = raw["components"]["schemas"] | _problem()
    return {
        "openapi": raw["openapi"],
        "info": {
            "title": "pollbridge",
            "version": VERSION,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [
            {
                "url": "https://{id}.lambda-url.{region}.on.aws",
                "description": "The stack's output ApiUrl",
                "variables": {"id": {"default": "id"}, "region": {"default": "eu-central-1"}},
            }
        ],
        "security": [{"sigv4": []}],
        "paths": paths,
        "components": {
            "schemas": {name: _tidy(schemas[name]) for name in sorted(_reached(paths, schemas))},
            "securitySchemes": {
                "sigv4": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "AWS Signature Version 4, for the service `lambda`",
                    "x-amazon-apigateway-authtype": "awsSigv4",
                }
            },
        },
    }


def text() -> str:
    return json.dumps(document(), ensure_ascii=False, indent=2) + "\n"


def _operation(route: Route, raw: dict[str, Any]) -> dict[str, Any]:
    name = route.answer.__name__
    summary, _, more = inspect.cleandoc(route.answer.__doc__ or "").partition("\n")
    told: dict[str, Any] = {"operationId": name, "tags": [TAGS[name]], "summary": summary.rstrip(".")}
    if more.strip():
        told["description"] = " ".join(more.split())
    if "parameters" in raw:
        told["parameters"] = [_parameter(parameter) for parameter in raw["parameters"]]
    if "requestBody" in raw:
        told["requestBody"] = _body(raw["requestBody"], ASKED[name])
    told["responses"] = _responses(name, raw["responses"]["200"]["content"]["application/json"]["schema"])
    return told


def _parameter(raw: dict[str, Any]) -> dict[str, Any]:
    schema = dict(raw["schema"])
    for word in ("title", "description"):
        schema.pop(word, None)
    if "anyOf" in schema:
        # A parameter that is left out is no null.
        [given] = [one for one in schema.pop("anyOf") if one != {"type": "null"}]
        schema |= given
    if "enum" in schema:
        schema.pop("pattern", None)
    if raw["name"] == "since":
        schema = SINCE
    if raw["name"] == "key":
        schema["examples"] = [KEY]
    return {name: raw[name] for name in ("name", "in", "description", "required")} | {"schema": schema}


def _body(raw: dict[str, Any], example: Any) -> dict[str, Any]:
    media = raw["content"]["application/json"]
    schema = next(iter(media["schema"].get("anyOf", [media["schema"]])))
    return {
        "required": raw.get("required", False),
        "content": {"application/json": {"schema": schema, "example": example}},
    }


def _responses(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    done: dict[str, Any] = {
        "description": "Done.",
        "content": {"application/json": {"schema": schema, "example": EXAMPLES[name]}},
    }
    if name in LINKS:
        done["links"] = LINKS[name]
    problems = {str(status.value): _said(status) for status in sorted({*PROBLEMS[name], *ANY})}
    return {"200": done, **dict(sorted({**problems, "403": FORBIDDEN}.items()))}


def _said(status: HTTPStatus) -> dict[str, Any]:
    said: dict[str, Any] = {
        "description": MEANINGS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        wait = {"type": "integer", "examples": [RETRY_AFTER]}
        said["headers"] = {"Retry-After": {"description": "Seconds to wait.", "required": True, "schema": wait}}
    return said


def _problem() -> dict[str, Any]:
    """A problem's own schemas: no route answers with one by its type."""
    made_of = TypeAdapter(Problem).json_schema(ref_template="#/components/schemas/{model}")
    parts = made_of.pop("$defs")
    for name in ("errors", "request_id"):
        told = made_of["properties"][name]
        [kept] = [one for one in told.pop("anyOf") if one != {"type": "null"}]
        told.update(kept)
        made_of["required"].remove(name)
    return {"Problem": made_of, **parts}


def _reached(node: Any, schemas: dict[str, Any]) -> set[str]:
    """The names of all schemas that a part of the document leads to."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        for name in set(_references(waiting.pop())) - found:
            found.add(name)
            waiting.append(schemas[name])
    return found


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"].rpartition("/")[2]
        for inner in node.values():
            yield from _references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _references(inner)


def _whole(node: Any) -> Any:
    """The same with 1 for 1.0: Powertools keeps bounds as floats."""
    if isinstance(node, dict):
        return {name: _whole(inner) for name, inner in node.items()}
    if isinstance(node, list):
        return [_whole(inner) for inner in node]
    return int(node) if isinstance(node, float) and node.is_integer() else node


def _tidy(schema: dict[str, Any]) -> dict[str, Any]:
    for told in schema.get("properties", {}).values():
        told.pop("title", None)
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split())
    if "additionalProperties" not in schema and "properties" in schema and schema["title"] != "Problem":
        # What we answer has every field, defaults included; what we read says itself what it needs.
        schema["required"] = list(schema["properties"])
        for told in schema["properties"].values():
            told.pop("default", None)
    return schema
