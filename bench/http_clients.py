"""What one GET costs the client: aiohttp, a shared httpx.AsyncClient, and one httpx.AsyncClient per worker.

Run `.venv/bin/python bench/http_clients.py`. A tiny server in another process answers 1 KB of JSON on loopback;
the CPU measured is this process's. Rounds alternate and the medians are compared, so read the ratios: the
absolute figures are this machine's, at this moment.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import aiohttp
import httpx
from aiohttp import web

CONCURRENCY = 50
REQUESTS = 1_000
ROUNDS = 5

BODY = json.dumps({"id": "j1", "status": "active", "padding": "x" * 1_000}).encode()
"""What is answered to `/j1`; to other paths, the same with their last segment as the id."""

Get = Callable[[], Awaitable[None]]


def serve() -> None:
    """The other process: says its port, then answers until it is ended."""

    async def answer(request: web.Request) -> web.Response:
        body = BODY.replace(b"j1", request.path.rpartition("/")[2].encode())
        return web.Response(body=body, content_type="application/json")

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(run())


@contextmanager
def server() -> Iterator[str]:
    """The server's address, while it runs."""
    process = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    with process.stdout:
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()
            process.wait()


@asynccontextmanager
async def with_aiohttp(url: str) -> AsyncIterator[list[Get]]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY)) as session:

        async def get() -> None:
            async with session.get(url) as answer:
                assert len(await answer.read()) == len(BODY)

        yield [get] * CONCURRENCY


async def httpx_get(client: httpx.AsyncClient, url: str) -> None:
    answer = await client.get(url)
    assert len(answer.content) == len(BODY)


@asynccontextmanager
async def with_shared_httpx(url: str) -> AsyncIterator[list[Get]]:
    limits = httpx.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)
    async with httpx.AsyncClient(limits=limits, trust_env=False) as client:
        yield [lambda: httpx_get(client, url)] * CONCURRENCY


@asynccontextmanager
async def with_httpx_per_worker(url: str) -> AsyncIterator[list[Get]]:
    tls, limits = httpx.create_ssl_context(), httpx.Limits(max_connections=1)
    clients = [httpx.AsyncClient(verify=tls, limits=limits, trust_env=False) for _ in range(CONCURRENCY)]
    try:
        yield [lambda client=client: httpx_get(client, url) for client in clients]
    finally:
        await asyncio.gather(*(client.aclose() for client in clients))


CLIENTS = {
    "aiohttp, one session": with_aiohttp,
    "httpx, one AsyncClient for all": with_shared_httpx,
    "httpx, one AsyncClient per worker": with_httpx_per_worker,
}


async def cost(client: Callable, url: str) -> float:
    """CPU milliseconds per request, connections already open."""
    async with client(url) as workers:
        await asyncio.gather(*(get() for get in workers))
        left = iter(range(REQUESTS))

        async def work(get: Get) -> None:
            for _ in left:
                await get()

        started = time.process_time()
        await asyncio.gather(*(work(get) for get in workers))
        return (time.process_time() - started) * 1000 / REQUESTS


def main() -> None:
    costs: dict[str, list[float]] = {name: [] for name in CLIENTS}
    with server() as url:
        for _ in range(ROUNDS):
            for name, client in CLIENTS.items():
                costs[name].append(asyncio.run(cost(client, f"{url}/j1")))
    medians = {name: statistics.median(measured) for name, measured in costs.items()}
    floor = min(medians.values())
    print(f"{REQUESTS} GETs of {len(BODY)} bytes, {CONCURRENCY} at once, median of {ROUNDS} alternating rounds")
    print(f"{'':<36}{'CPU ms/request':>15}{'min':>8}{'ratio':>8}")
    for name, median in medians.items():
        print(f"{name:<36}{median:>15.2f}{min(costs[name]):>8.2f}{median / floor:>8.1f}")


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main()
