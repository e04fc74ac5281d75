"""What the four simulated vendors know, and the control API that tells them."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from aiohttp import web

from pollbridge.local.faults import Fault
from pollbridge.local.scripts import DOCUMENTED, Life, Script
from pollbridge.local.serving import Control, number, wanted


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it is remembered: what was asked, never with which key."""

    at: str
    kind: str
    method: str
    path: str
    headers: list[str]


@dataclass
class World:
    """Everything the four vendors know."""

    lives: dict[tuple[str, str, str], Life] = field(default_factory=dict)
    outages: dict[str, Fault] = field(default_factory=dict)
    scale_list: Literal["page", "array"] = "page"
    counts: Counter[str] = field(default_factory=Counter)
    asked: deque[Asked] = field(default_factory=lambda: deque(maxlen=1000))

    def note(self, vendor: str, request: web.Request) -> None:
        # aiohttp's route names hold no slash.
        kind = (request.match_info.route.name or f"{vendor}:other").replace(":", "/")
        self.counts[kind] += 1
        headers = sorted({name.lower() for name in request.headers})
        self.asked.append(Asked(datetime.now(UTC).isoformat(), kind, request.method, request.path, headers))

    def jobs(self, kind: str, scope: str) -> list[Life]:
        """The jobs of one scope, in the order they came."""
        return [life for (of, within, _), life in self.lives.items() if (of, within) == (kind, scope)]


WORLD = web.AppKey("world", World)


class Outage(Control):
    vendor: Literal["mentionlab", "oration", "scale", "mintlify"]
    fault: Fault | None


class ListShape(Control):
    shape: Literal["page", "array"]


def job_named(request: web.Request) -> tuple[str, str, str]:
    kind = "{vendor}/{kind}".format(**request.match_info)
    if kind not in DOCUMENTED:
        raise web.HTTPBadRequest(text=f"no such kind of job; there are {', '.join(DOCUMENTED)}")
    return kind, request.match_info["scope"], request.match_info["id"]


async def put_job(request: web.Request) -> web.Response:
    kind, scope, id = name = job_named(request)
    request.app[WORLD].lives[name] = Life(await wanted(request, Script), DOCUMENTED[kind](scope, id))
    return web.Response(status=204)


async def delete_job(request: web.Request) -> web.Response:
    if request.app[WORLD].lives.pop(job_named(request), None) is None:
        raise web.HTTPNotFound(text="no such job")
    return web.Response(status=204)


async def get_requests(request: web.Request) -> web.Response:
    world, last = request.app[WORLD], number(request, "last", 100, 0, 1000)
    asked: list[dict[str, Any]] = [asdict(one) for one in list(world.asked)[-last:]] if last else []
    return web.json_response({"counts": world.counts, "last": asked})


async def post_outage(request: web.Request) -> web.Response:
    outage, outages = await wanted(request, Outage), request.app[WORLD].outages
    outages.pop(outage.vendor, None)
    if outage.fault:
        outages[outage.vendor] = outage.fault
    return web.Response(status=204)


async def put_scale_list(request: web.Request) -> web.Response:
    request.app[WORLD].scale_list = (await wanted(request, ListShape)).shape
    return web.Response(status=204)


CONTROL = [
    web.put("/_control/jobs/{vendor}/{kind}/{scope}/{id}", put_job),
    web.delete("/_control/jobs/{vendor}/{kind}/{scope}/{id}", delete_job),
    web.get("/_control/requests", get_requests),
    web.post("/_control/outage", post_outage),
    web.put("/_control/lists/scale", put_scale_list),
]
