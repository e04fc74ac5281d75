"""One server that plays all four vendors, each below its own prefix, as far as their documentation goes.

What the jobs say is scripted over `/_control`; request headers are named there, their values never.
"""

from __future__ import annotations

import re
import time
from functools import partial
from http.client import responses
from typing import Literal

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import Field

from pollbridge.local.control import CONTROL, WORLD, World
from pollbridge.local.faults import misbehave
from pollbridge.local.scripts import Body, Life
from pollbridge.local.serving import Control, number, serve, wanted

VENDORS = ("mentionlab", "oration", "scale", "mintlify")

# What each vendor asks for; of the names in one tuple any will do, as Oration's pages disagree on which.
CREDENTIALS: dict[str, tuple[tuple[str, ...], ...]] = {
    "mentionlab": (("x-api-key",), ("x-project-id",)),
    "oration": (("Authorization", "x-api-key"), ("x-workspace-slug",)),
    "scale": (("x-api-key",), ("x-selected-account-id",)),
    "mintlify": (("Authorization",),),
}

# Path and the header that holds the scope where the path doesn't. MentionLab's executions have a `v1`, its jobs none.
JOBS: dict[str, tuple[str, str | None]] = {
    "mentionlab/job": ("/api/jobs/{id}", "x-project-id"),
    "mentionlab/execution": ("/api/v1/job-executions/{id}", "x-project-id"),
    "oration/job": ("/jobs/{id}", "x-workspace-slug"),
    "scale/job": ("/v1/projects/{scope}/jobs/{id}", None),
    "mintlify/agent-v1": ("/v1/agent/{scope}/job/{id}", None),
    "mintlify/agent-v2": ("/v2/agent/{scope}/job/{id}", None),
}

# The two wordings that are documented: https://docs.mentionlab.io/developers/rate-limits, https://www.mintlify.com/docs/api
WORDINGS = {
    ("mentionlab", 429): "Too many requests. Please retry after 30 seconds.",
    ("mintlify", 429): "Rate limit exceeded. Please try again later",
}


def refusal(vendor: str, status: int, message: str | None = None) -> web.Response:
    """The vendor's own error body."""
    phrase = responses.get(status, "Error")
    text = message or WORDINGS.get((vendor, status), phrase)
    bodies: dict[str, Body] = {
        "mentionlab": {"statusCode": status, "message": text, "error": phrase},
        "oration": {"message": text, "code": re.sub(r"\W+", "_", phrase).upper()},
        "scale": {"detail": [{"loc": ["query"], "msg": text, "type": "value_error"}] if status == 422 else text},
        "mintlify": {"error": text},
    }
    return web.json_response(bodies[vendor], status=status)


def authorized(vendor: str, request: web.Request) -> bool:
    """Whether every credential the vendor asks for is there. Its value is of no concern."""

    def given(name: str) -> bool:
        value = request.headers.get(name, "")
        return value.startswith("Bearer ") if name == "Authorization" else bool(value)

    return all(any(given(name) for name in names) for names in CREDENTIALS[vendor])


@web.middleware
async def as_vendor(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer in the vendor's voice: outage first, then credentials; every error in its own shape."""
    vendor = request.path.split("/", 2)[1]
    if vendor not in VENDORS:
        return await handler(request)
    world = request.app[WORLD]
    world.note(vendor, request)
    refuse = partial(refusal, vendor)
    outage = world.outages.get(vendor)
    if outage and outage.spoils:
        return await misbehave(request, outage, web.json_response({"outage": True}), refuse)
    try:
        answer = await handler(request) if authorized(vendor, request) else refuse(401)
    except web.HTTPException as error:
        answer = refuse(error.status, error.text)
    if outage and isinstance(answer, web.Response):
        return await misbehave(request, outage, answer, refuse)
    return answer


async def rate_limit(request: web.Request, response: web.StreamResponse) -> None:
    """MentionLab tells its limit on every answer."""
    if request.path.startswith("/mentionlab/"):
        response.headers["X-RateLimit-Limit"] = "120"
        response.headers["X-RateLimit-Remaining"] = "0" if response.status == 429 else "119"
        response.headers["X-RateLimit-Reset"] = str(int(time.time()) + 60)


def job_route(kind: str) -> web.RouteDef:
    vendor = kind.partition("/")[0]
    path, scope_header = JOBS[kind]

    async def get(request: web.Request) -> web.StreamResponse:
        scope = request.headers[scope_header] if scope_header else request.match_info["scope"]
        life = request.app[WORLD].lives.get((kind, scope, request.match_info["id"]))
        if life is None:
            raise web.HTTPNotFound(text="Job not found")
        body, fault = life.tell()
        answer = web.json_response(body)
        return await misbehave(request, fault, answer, partial(refusal, vendor)) if fault else answer

    return web.get(f"/{vendor}{path}", get, name=kind.replace("/", ":"), allow_head=False)


def shown(jobs: list[Life]) -> list[Body]:
    """A page of a list: each job on it has been looked at."""
    return [life.show() for life in jobs]


class Sort(Control):
    field: Literal["createdAt", "updatedAt", "status"]
    direction: Literal["ASC", "DESC"] = "DESC"


class ListWish(Control):
    """The body of MentionLab's list request."""

    status: str | None = None
    creator: str | None = Field(None, alias="createdBy")
    sort: tuple[Sort, ...] = (Sort(field="createdAt"),)

    def admits(self, job: Body) -> bool:
        creator = (job.get("createdBy") or {}).get("id")
        return self.status in (None, job.get("status")) and self.creator in (None, creator)


async def mentionlab_list(request: web.Request) -> web.Response:
    limit, page = number(request, "limit", 50, 1, 100), number(request, "page", 1, 1)
    wish = await wanted(request, ListWish)
    known = request.app[WORLD].jobs("mentionlab/job", request.headers["x-project-id"])
    jobs = [life for life in known if wish.admits(life.present)]
    for sort in reversed(wish.sort):
        jobs.sort(key=lambda life: str(life.present.get(sort.field)), reverse=sort.direction == "DESC")
    pages = -(-len(jobs) // limit)
    told = {
        "totalRecords": len(jobs),
        "limit": limit,
        "currentPage": page,
        "totalPages": pages,
        "nextPage": page + 1 if page < pages else None,
        "prevPage": page - 1 if page > 1 else None,
    }
    return web.json_response({"page": told, "results": shown(jobs[(page - 1) * limit : page * limit])})


async def scale_list(request: web.Request) -> web.Response:
    try:
        size, start = number(request, "page_size", 50, 1, 100), number(request, "continuation_token", 0, 0)
    except web.HTTPBadRequest as error:
        raise web.HTTPUnprocessableEntity(text=error.text) from None
    world = request.app[WORLD]
    jobs = world.jobs("scale/job", request.match_info["scope"])
    if world.scale_list == "array":
        return web.json_response(shown(jobs))
    told = {
        "items": shown(jobs[start : start + size]),
        "total_count": len(jobs),
        "next_token": str(start + size) if start + size < len(jobs) else None,
        "prev_token": str(max(start - size, 0)) if start else None,
    }
    return web.json_response(told)


async def mintlify_list(request: web.Request) -> web.Response:
    skip, take = number(request, "skip", 0, 0), number(request, "take", 12, 1, 100)
    jobs = request.app[WORLD].jobs("mintlify/agent-v1", request.match_info["scope"])
    return web.json_response({"allSessions": shown(jobs[skip : skip + take])})


def application() -> web.Application:
    """The four vendors and their control API, with no job yet."""
    app = web.Application(middlewares=[as_vendor])
    app[WORLD] = World()
    app.on_response_prepare.append(rate_limit)
    app.add_routes(
        [
            *(job_route(kind) for kind in JOBS),
            web.post("/mentionlab/api/jobs/list", mentionlab_list, name="mentionlab:list"),
            web.get("/scale/v1/projects/{scope}/jobs", scale_list, name="scale:list", allow_head=False),
            web.get("/mintlify/v1/agent/{scope}/jobs", mintlify_list, name="mintlify:list", allow_head=False),
            *CONTROL,
        ]
    )
    return app


if __name__ == "__main__":
    serve("pollbridge.local.vendors", application)
