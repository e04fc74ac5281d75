"""A snapshot is small by construction, whatever a vendor sends: 32 KB as JSON."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pollbridge.model.job import Child, Children, Link, Progress, Snapshot, State, clip
from pollbridge.vendors.answer import link

from .answers import KINDS, read, sample

LIMIT = 32 * 1024
MAX = 2**63 - 1

# What JSON writes with the most bytes, and what UTF-8 does.
HEAVY = st.text(st.sampled_from('a\0\x1f\x7f"\\\n é€😀\u2028\u202e'), min_size=1, max_size=3).map(
    lambda text: text * 2000
)


def size(snapshot: Snapshot) -> int:
    return len(snapshot.model_dump_json().encode())


COUNTS = st.sampled_from([0, MAX])
CHILDREN = st.lists(st.builds(Child, id=HEAVY, status=HEAVY, title=HEAVY), min_size=1, max_size=20)
LARGEST = st.builds(
    Snapshot,
    state=st.just(State.PARTIALLY_FAILED),
    vendor_status=HEAVY,
    name=HEAVY,
    progress=st.builds(
        Progress, total=COUNTS, succeeded=COUNTS, failed=COUNTS, pending=COUNTS, retrying=COUNTS, cancelled=COUNTS
    ),
    links=st.just(link("pull_request", "https://x.test/" + "€" * 677) * 9),
    error=HEAVY,
    message=HEAVY,
    created_at=HEAVY,
    started_at=HEAVY,
    updated_at=HEAVY,
    finished_at=HEAVY,
    state_since=HEAVY,
    children=CHILDREN.map(lambda children: Children.of(children * 100)),
)


@pytest.mark.promise(20)
@settings(max_examples=15)
@given(LARGEST)
def test_the_largest_snapshot_is_under_32_kb(snapshot: Snapshot) -> None:
    assert size(snapshot) <= LIMIT


@pytest.mark.promise(20)
@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=15)
@given(text=HEAVY)
def test_a_vendor_that_fills_every_field_is_kept_under_32_kb(name: str, text: str) -> None:
    todos = [{"id": text, "status": text, "content": text, "job_id": text, "error": text}] * 45
    fields: dict[str, Any] = {
        **dict.fromkeys(sample(name), text),
        "todos": todos,
        "progress": {"total": MAX, "child_jobs": todos},
    }

    assert size(read(name, **fields)) <= LIMIT


@given(st.text(), st.integers(3, 40))
def test_a_clipped_text_fits_and_a_short_one_stays(text: str, limit: int) -> None:
    clipped = clip(text, limit)

    assert len(clipped.encode()) <= limit
    assert clipped == text or clipped.endswith("…") or "�" in clipped or "?" in clipped


def test_a_long_error_keeps_its_beginning() -> None:
    error = read("oration-job", error="é" * 5000).error

    assert error == "é" * 2046 + "…"


def test_an_error_of_4_kb_stays_whole() -> None:
    assert read("oration-job", error="x" * 4096).error == "x" * 4096


def test_line_breaks_and_quotes_stay_in_an_error() -> None:
    assert read("oration-job", error='Traceback:\n\t"x"').error == 'Traceback:\n\t"x"'


def test_all_children_are_counted_and_the_first_hundred_kept() -> None:
    children = Children.of([Child(id=str(number), status="pending") for number in range(250)])

    assert children and children.counts == {"pending": 250}
    assert [child.id for child in children.entries] == [str(number) for number in range(100)]


def test_vendor_words_of_children_are_counted_up_to_sixteen() -> None:
    children = Children.of([Child(status=f"word-{number}") for number in range(1000)])

    assert children and len(children.counts) == 16


def test_no_children_are_none() -> None:
    assert Children.of([]) is None


def test_a_link_too_long_to_show_is_no_link() -> None:
    assert link("pull_request", "https://x.test/" + "€" * 2000) == ()


def test_at_most_four_links_are_kept() -> None:
    links = tuple(Link(rel="pull_request", href=f"https://x.test/{number}") for number in range(9))

    assert Snapshot(state=State.RUNNING, links=links).links == links[:4]


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (0, 0),
        (MAX, MAX),
        (100.0, 100),
        (MAX + 1, None),
        (-1, None),
        (1.5, None),
        (True, None),
        ("7", None),
        (None, None),
        (1e300, None),
    ],
)
def test_a_count_is_a_whole_number_that_fits_in_64_bits(told: Any, kept: int | None) -> None:
    assert Progress(total=told).total == kept
