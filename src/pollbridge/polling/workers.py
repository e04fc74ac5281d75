"""Doing many things at once, but not too many."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def in_parallel(items: Iterable[T], work: Callable[[T], Awaitable[R]], at_once: int) -> list[R]:
    """Work on all items, so many at a time, in their order; the results come in the order they were ready."""
    items = list(items)
    left, results = iter(items), []

    async def worker() -> None:
        for item in left:
            result = await work(item)
            results.append(result)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(at_once, len(items))):
            group.create_task(worker())
    return results
