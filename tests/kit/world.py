"""A vendor that a test scripts: jobs, lists and troubles behind a sweep's `fetch`, without HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from bench.indexed import Indexed
from pollbridge.config import Cadence, Connection
from pollbridge.history.entries import Entry
from pollbridge.history.table import Table
from pollbridge.model.instant import epoch_minute, iso
from pollbridge.model.job import JobKey
from pollbridge.polling.client import Refused
from pollbridge.secrets import UnusableSecret
from pollbridge.vendors.answer import Request
from tests.kit.faults import Faulty
from tests.kit.sweeping import START, UNLIMITED, Bench

PAGE = 100

Trouble = BaseException | bytes
"""What is raised, or answered, instead of an answer."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as the vendor understood it; `what` is the job's id, or the token of the page."""

    minute: int
    kind: str
    scope: str
    what: str
    secret: str

    @property
    def listing(self) -> bool:
        return self.kind == "list"


@dataclass(slots=True)
class Job:
    """A job as its vendor knows it. `listed` is false for what the list never shows: another creator's."""

    id: str
    state: str
    created: datetime
    updated: datetime
    listed: bool = True
    sorted_by: datetime | None = None
    """What places it in a list ordered by update, where that is not its date."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one vendor speaks; `kinds` map a path to our kind, its groups being scope and id, as far as it names them."""

    kinds: dict[str, str]
    body: Callable[[str, Job], dict[str, Any]]
    lists: str
    page: Callable[[list[dict[str, Any]], str, str | None, int], Any]
    """The page that was asked for with that token, the next one's token (None: the last), and all pages' number."""

    @property
    def kind(self) -> str:
        """The kind that is listed."""
        return next(iter(self.kinds.values()))


def _mentionlab(_: str, job: Job) -> dict[str, Any]:
    words = {"running": "processing", "succeeded": "completed", "partially_failed": "partial_failed"}
    status = words.get(job.state, job.state)
    return {"id": job.id, "status": status, "createdAt": iso(job.created), "updatedAt": iso(job.updated)}


def _mentionlab_page(jobs: list[dict[str, Any]], token: str, following: str | None, pages: int) -> dict[str, Any]:
    # Its pages have numbers: what is told of the current one decides what is asked for next.
    current = int(following) - 1 if following else int(token)
    return {"page": {"currentPage": current, "totalPages": 10**6 if following else pages}, "results": jobs}


def _scale(scope: str, job: Job) -> dict[str, Any]:
    told = {"id": job.id, "project_id": scope, "operation": "parse", "status": job.state}
    return told | {"created_at": iso(job.created)}


def _mintlify(_: str, job: Job) -> dict[str, Any]:
    reasons = {"succeeded": "completed", "failed": "error", "cancelled": "interrupted"}
    told = {"sessionId": job.id, "haulted": job.state in reasons, "haultReason": reasons.get(job.state)}
    return told | {"createdAt": iso(job.created)}


def _mintlify_v2(_: str, job: Job) -> dict[str, Any]:
    return {"id": job.id, "status": {"running": "active", "succeeded": "completed"}.get(job.state, job.state)}


DIALECTS = {
    "mentionlab": Dialect(
        {r"/api/jobs/(?P<id>[^/?]+)": "job", r"/api/v1/job-executions/(?P<id>[^/?]+)": "execution"},
        _mentionlab,
        r"/api/jobs/list\?limit=(?P<size>\d+)&page=(?P<token>\d+)",
        _mentionlab_page,
    ),
    "scale": Dialect(
        {r"/v1/projects/(?P<scope>[^/]+)/jobs/(?P<id>[^/?]+)": "job"},
        _scale,
        r"/v1/projects/(?P<scope>[^/]+)/jobs\?page_size=(?P<size>\d+)(?:&continuation_token=(?P<token>.+))?",
        lambda jobs, _token, following, _pages: {"items": jobs, "next_token": following},
    ),
    "mintlify": Dialect(
        {
            r"/v1/agent/(?P<scope>[^/]+)/job/(?P<id>[^/?]+)": "agent-v1",
            r"/v2/agent/(?P<scope>[^/]+)/job/(?P<id>[^/?]+)": "agent-v2",
        },
        _mintlify,
        r"/v1/agent/(?P<scope>[^/]+)/jobs\?skip=(?P<token>\d+)&take=(?P<size>\d+)",
        lambda jobs, *_: {"allSessions": jobs},
    ),
}
FIRST = {"mentionlab": "1", "scale": "", "mintlify": "0"}
"""The token of the first page."""


@dataclass
class World:
    """One vendor. Jobs are lists' newest first: by their update where the vendor sorts so, else by their creation."""

    vendor: str = "mentionlab"
    clock: Callable[[], datetime] = lambda: START
    jobs: dict[tuple[str, str], Job] = field(default_factory=dict)
    """By scope and id."""
    calls: list[Call] = field(default_factory=list)
    troubles: list[Callable[[Call], Trouble | None]] = field(default_factory=list)
    page_size: int = PAGE
    """What the vendor gives at most, whatever it is asked for."""
    bare: bool = False
    """Scale's other form: all jobs in an array."""
    following: Callable[[str], str | None] | None = None
    """A list that leads from each token to this one instead; None: it ends there."""
    page_of: Callable[[str], list[Job]] | None = None
    """A list that shows these jobs for a token instead."""
    before: Callable[[Call], None] = lambda _: None
    """What happens at the vendor's while it is asked."""

    @property
    def now(self) -> datetime:
        return self.clock()

    @property
    def kind(self) -> str:
        return DIALECTS[self.vendor].kind

    def key(self, name: str, scope: str = "p", kind: str | None = None) -> JobKey:
        return JobKey(self.vendor, kind or self.kind, scope, name)

    # What happens at the vendor's

    def add(self, *names: str, scope: str = "p", state: str = "running", at: datetime | None = None) -> None:
        """New jobs, created and updated then, or now."""
        for name in names:
            self.jobs[scope, name] = Job(name, state, at or self.now, at or self.now)

    def update(self, *names: str, state: str, scope: str = "p", at: datetime | None = None) -> None:
        """The jobs come into that state; the vendor dates it then, or now."""
        for name in names:
            job = self.jobs[scope, name]
            job.state, job.updated = state, at or self.now

    def hide(self, *names: str, scope: str = "p") -> None:
        """The list shows these jobs no more; asked for one by one they answer."""
        for name in names:
            self.jobs[scope, name].listed = False

    def delete(self, *names: str, scope: str = "p") -> None:
        for name in names:
            del self.jobs[scope, name]

    def fail(
        self,
        trouble: Trouble,
        *,
        kind: str | None = None,
        scope: str | None = None,
        what: str | None = None,
        secret: str | None = None,
    ) -> None:
        """From now on, what answers every call that is like this."""
        like = {"kind": kind, "scope": scope, "what": what, "secret": secret}
        wanted = {name: value for name, value in like.items() if value is not None}
        self.troubles.append(
            lambda call: trouble if all(getattr(call, name) == value for name, value in wanted.items()) else None
        )

    def heal(self) -> None:
        self.troubles.clear()
        self.following = self.page_of = None

    # What it is asked

    async def fetch(self, request: Request, headers: dict[str, str], now: datetime) -> bytes:
        call, size = self._read(request, headers, now)
        self.calls.append(call)
        self.before(call)
        for trouble in (of(call) for of in self.troubles):
            if isinstance(trouble, bytes):
                return trouble
            if trouble is not None:
                raise trouble
        answer = self._page(call, size, request) if call.listing else self._job(call)
        return json.dumps(answer).encode()

    def taken(self) -> list[Call]:
        """The calls since the last time this was asked."""
        calls, self.calls = self.calls, []
        return calls

    def _read(self, request: Request, headers: dict[str, str], now: datetime) -> tuple[Call, int]:
        dialect = DIALECTS[self.vendor]
        told = {**headers, **request.headers}
        method = "POST" if self.vendor == "mentionlab" and request.path.startswith("/api/jobs/list") else "GET"
        assert request.method == method, request
        for pattern, kind in {dialect.lists: "list", **dialect.kinds}.items():
            if match := re.fullmatch(pattern, request.path):
                found = match.groupdict()
                scope = unquote(found.get("scope") or told["x-project-id"])
                what = unquote(found.get("id") or found.get("token") or "")
                return Call(epoch_minute(now), kind, scope, what, told.get("x-api-key", "")), int(found.get("size", 0))
        raise AssertionError(f"no request that {self.vendor} understands: {request}")

    def _job(self, call: Call) -> dict[str, Any]:
        job = self.jobs.get((call.scope, call.what))
        if job is None:
            raise Refused(404)
        if call.kind == "execution":
            return {"jobExecutionId": job.id, "status": {"succeeded": "success"}.get(job.state, job.state)}
        return (_mintlify_v2 if call.kind == "agent-v2" else DIALECTS[self.vendor].body)(call.scope, job)

    def _page(self, call: Call, size: int, request: Request) -> Any:
        dialect, size = DIALECTS[self.vendor], min(size, self.page_size)
        listed = self._listed(call.scope, request)
        token, first = call.what or FIRST[self.vendor], int(FIRST[self.vendor] or 0)
        if self.page_of:
            listed, start = self.page_of(token), 0
        elif self.vendor == "mentionlab":
            start = (int(token) - first) * size
        else:
            start = 0 if self.following or not token else int(token)
        shown = listed if self.bare else listed[start : start + size]
        bodies = [dialect.body(call.scope, job) for job in shown]
        if self.bare:
            return bodies
        following = self.following(token) if self.following else None
        if not following and not self.page_of and start + size < len(listed):
            following = str(int(token) + 1) if self.vendor == "mentionlab" else str(start + size)
        return dialect.page(bodies, token, following, -(-len(listed) // size))

    def _listed(self, scope: str, request: Request) -> list[Job]:
        jobs = [job for (place, _), job in self.jobs.items() if place == scope and job.listed]
        sort = json.loads(request.body or b"{}").get("sort", [{"field": "createdAt", "direction": "DESC"}])[0]
        by_update = sort["field"] == "updatedAt"
        return sorted(
            jobs,
            key=lambda job: (job.sorted_by or job.updated) if by_update else job.created,
            reverse=sort["direction"] == "DESC",
        )


@dataclass
class WorldBench(Bench):
    """A connection of a scripted vendor. Secrets are by name, each the value of one header."""

    world: World = field(default_factory=World)
    secrets: dict[str, str] = field(default_factory=lambda: {"s": "k"})
    reads: list[str] = field(default_factory=list)
    """The secrets that were read."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.headers = self._headers
        self.world.clock = lambda: self.now

    def _headers(self, name: str) -> dict[str, str]:
        self.reads.append(name)
        if name not in self.secrets:
            raise UnusableSecret(f"secret {name} is missing")
        return {"x-api-key": self.secrets[name]}

    async def fetch(self, request: Request, headers: dict[str, str], now: datetime) -> bytes:
        return await self.world.fetch(request, headers, now)

    def set(self, **told: Any) -> None:
        """Configure the connection anew."""
        self.connection = self.connection.model_copy(update=told)

    def budget(self, requests: int | None = None) -> None:
        """Let so many requests be sent a minute, and no sweep wait for the next one; None: as many as it likes."""
        self.set(limits=UNLIMITED.model_copy(update={"per_minute": requests or UNLIMITED.per_minute}))
        self.time_left = lambda: 30.0

    def follow(self, *names: str, scope: str = "p", kind: str | None = None, **more: Any) -> None:
        """Add jobs at the vendor and register them."""
        self.world.add(*names, scope=scope, **more)
        for name in names:
            self.heads.follow(self.world.key(name, scope, kind), {}, self.now)

    def completed(self) -> int | None:
        """The connection's last completed tick."""
        return self.connections.get(self.name).completed

    def written(self) -> int:
        """How often anything of a job was written."""
        return len(self.aws.writes("JOB#"))

    # What was asked

    def jobs_asked(self) -> list[str]:
        """The ids of the jobs that were asked for one by one since the last time."""
        return [call.what for call in self.world.taken() if not call.listing]

    def looked(self, name: str, ticks: int) -> list[int]:
        """The ticks, from 1, in which a job was asked for by itself."""
        looks = []
        for tick in range(1, ticks + 1):
            self.world.taken()
            self.tick()
            looks += [tick] if name in self.jobs_asked() else []
        return looks

    # What was recorded

    def troubles(self) -> list[dict[str, Any]]:
        """What was told of the connection, each event with its detail type."""
        return [_told(entry) for entry in self.entries.of_connection(self.name)]

    def recorded(self, name: str, scope: str = "p", kind: str | None = None) -> list[dict[str, Any]]:
        """What was recorded of a job, silently or not, each event with its detail type."""
        return [_told(entry) for entry in self.history(self.world.key(name, scope, kind))]

    def told(self, name: str, scope: str = "p", kind: str | None = None) -> list[dict[str, Any]]:
        """What was told of a job."""
        return [event for event in self.recorded(name, scope, kind) if event["told"]]

    def reasons(self, name: str, scope: str = "p") -> list[list[str]]:
        """Why, each time something of the job was told."""
        return [event["reasons"] for event in self.told(name, scope)]

    def state(self, name: str, scope: str = "p") -> str | None:
        """The state the job was last recorded in."""
        head = self.heads.get(self.world.key(name, scope))
        return str(head.state) if head and head.state else None

    def followed(self, name: str, scope: str = "p") -> bool:
        head = self.heads.get(self.world.key(name, scope))
        return head is not None and head.watched


def _told(entry: Entry) -> dict[str, Any]:
    return json.loads(entry.event) | {"detail_type": entry.detail_type, "told": entry.unpublished}


def in_world(vendor: str = "mentionlab", *, scopes: Iterable[str] = (), **more: Any) -> WorldBench:
    """A connection of that vendor over the table in memory, named like it; `more` is the cadence's."""
    connection = Connection(
        type=vendor,
        base_url=f"https://{vendor}.test",
        secret="s",
        scopes=tuple(scopes),
        cadence=Cadence(**more),
        limits=UNLIMITED,
    )
    table = Table(Faulty(Indexed()), "history", pause=lambda _: None)
    return WorldBench(table, name=vendor, connection=connection, world=World(vendor))


def numbered(count: int, prefix: str = "j") -> list[str]:
    """That many ids, in order."""
    return [f"{prefix}{n:05}" for n in range(count)]
