"""Whatever a list does between two of its pages, no job is lost and none is invented."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pollbridge.model.instant import MINUTE
from tests.kit.sweeping import START
from tests.kit.world import Call, WorldBench, in_world, numbered

pytestmark = pytest.mark.long

JOBS = 25
OLD = timedelta(days=90)

Moves = Sequence[Sequence[tuple[str, int]]]
moves = st.lists(
    st.lists(
        st.tuples(st.sampled_from(["update", "delete", "add", "date back", "other pages"]), st.integers(0, JOBS - 1)),
        max_size=4,
    ),
    max_size=12,
)
"""What happens at the vendor's before each page that is asked for."""


def shifting(
    bench: WorldBench, moves: Sequence[Sequence[tuple[str, int]]], touched: set[str]
) -> Callable[[Call], None]:
    left = iter(moves)

    def before(call: Call) -> None:
        for move, number in next(left, ()) if call.listing else ():
            name = f"j{number:05}"
            if move == "add":
                bench.world.add(f"new{len(bench.world.calls)}x{number}", state="running")
            elif ("p", name) in bench.world.jobs and move != "other pages":
                touched.add(name)
                change(bench, move, name)
            else:
                bench.world.page_size = number + 1

    return before


def change(bench: WorldBench, move: str, name: str) -> None:
    if move == "delete":
        bench.world.delete(name)
    else:
        at = None if move == "update" else START - 2 * OLD
        bench.world.update(name, state="failed", at=at)


def listed(vendor: str, page_size: int, apart: timedelta) -> WorldBench:
    """A list of jobs that began long ago, and that nobody has read yet."""
    bench = in_world(vendor, scopes=["p"])
    bench.world.page_size = page_size
    for n, name in enumerate(numbered(JOBS)):
        bench.world.add(name, at=START - OLD - n * apart)
    return bench


def settle(bench: WorldBench) -> None:
    """The list stands still for as long as it takes until a whole reading comes round."""
    bench.world.before = lambda _: None
    bench.miss(60)
    bench.tick(8)


def wrong(bench: WorldBench) -> dict[str, str | None]:
    """The jobs that are not known as they are."""
    states = {name: job.state for (_, name), job in bench.world.jobs.items()}
    return {name: bench.state(name) for name in states if bench.state(name) != states[name]}


def announced(event: dict[str, Any]) -> bool:
    return "first_seen" in event["reasons"]


@pytest.mark.promise(59)
@pytest.mark.parametrize("vendor", ["mentionlab", "scale", "mintlify"])
@pytest.mark.parametrize("apart", [timedelta(), MINUTE], ids=["one date", "a minute apart"])
@settings(max_examples=25)
@given(page_size=st.integers(1, 30), first=moves, later=moves)
def test_whatever_moves_between_two_pages_no_job_is_lost_or_invented(
    vendor: str,
    apart: timedelta,
    page_size: int,
    first: Moves,
    later: Moves,
) -> None:
    bench, touched = listed(vendor, page_size, apart), set[str]()

    for during in (first, later):
        bench.world.before = shifting(bench, during, touched)
        bench.tick(6)
        settle(bench)
        assert wrong(bench) == {}

    untouched = set(numbered(JOBS)) - touched
    assert {name: bench.told(name) for name in untouched if bench.told(name)} == {}
    existing = [name for _, name in bench.world.jobs]
    assert [name for name in existing if len([*filter(announced, bench.told(name))]) > 1] == []
    assert [name for name in existing if ["lost"] in bench.reasons(name)] == []
