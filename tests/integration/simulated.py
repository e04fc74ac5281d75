"""The simulated vendors and the inbox, started in a thread of the test, and a client for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from aiohttp import web
from anyio.from_thread import start_blocking_portal

from pollbridge.local import inbox, vendors
from pollbridge.local.serving import listening
from pollbridge.model.job import JobKey, Snapshot
from pollbridge.vendors import VENDORS

KEYS = {
    "mentionlab": {"x-api-key": "canary-key"},
    "oration": {"Authorization": "Bearer canary-key", "x-api-key": "canary-key"},
    "scale": {"x-api-key": "canary-key", "x-selected-account-id": "a"},
    "mintlify": {"Authorization": "Bearer canary-key"},
}
SCOPED = {"x-project-id": "p", "x-workspace-slug": "p"}
REFUSALS: dict[str, dict[str, object]] = {
    "mentionlab": {"statusCode": 401, "message": "Unauthorized", "error": "Unauthorized"},
    "oration": {"message": "Unauthorized", "code": "UNAUTHORIZED"},
    "scale": {"detail": "Unauthorized"},
    "mintlify": {"error": "Unauthorized"},
}


class Vendors(httpx.Client):
    """The four vendors as a poller sees them, and their control API."""

    def script(self, key: str, *steps: Any) -> None:
        assert self.put(f"/_control/jobs/{key}", json={"steps": steps}).status_code == 204

    def ask(self, key: str) -> httpx.Response:
        job = JobKey.parse(key)
        wish = VENDORS[job.connection].kinds[job.kind].request(job)
        return self.get(f"/{job.connection}{wish.path}", headers=KEYS[job.connection] | dict(wish.headers))

    def look(self, key: str) -> Snapshot:
        job = JobKey.parse(key)
        return VENDORS[job.connection].kinds[job.kind].answer(job, self.ask(key).content)

    def listed(self, path: str, vendor: str, **more: Any) -> Any:
        return self.request(more.pop("method", "GET"), path, headers=KEYS[vendor] | SCOPED, **more).json()


class Receivers(httpx.Client):
    """The receivers as a notifier sees them, and their control API."""

    def messages(self, after: int = 0) -> Any:
        return self.get("/_control/messages", params={"after": after}).json()

    def faults(self, receiver: str, *steps: object) -> None:
        assert self.put(f"/_control/faults/{receiver}", json={"steps": steps}).status_code == 204

    def slack(self, payload: object) -> tuple[int, str]:
        answer = self.post("/slack/docs-team", json=payload)
        return answer.status_code, answer.text


@contextmanager
def running(app: web.Application) -> Iterator[str]:
    """Serve the application while the test goes on; yields its base URL."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(listening(app)) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def simulated_vendors() -> Iterator[Vendors]:
    with running(vendors.application()) as url, Vendors(base_url=url, trust_env=False) as client:
        yield client


@contextmanager
def simulated_receivers() -> Iterator[Receivers]:
    with running(inbox.application()) as url, Receivers(base_url=url, trust_env=False) as client:
        yield client
