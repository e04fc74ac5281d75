"""The adapters read the simulated vendors' lists to their end, over real HTTP."""

from collections.abc import Iterator

import pytest

from pollbridge.vendors import VENDORS
from pollbridge.vendors.answer import Page

from .simulated import KEYS, Vendors, simulated_vendors

LISTED = ["mentionlab/job", "scale/job", "mintlify/agent-v1"]


@pytest.fixture
def vendors() -> Iterator[Vendors]:
    with simulated_vendors() as client:
        yield client


def fill(vendors: Vendors, kind: str, jobs: int) -> None:
    for number in range(jobs):
        vendors.script(f"{kind}/p/{number}", {})


def read_all(vendors: Vendors, kind: str, scope: str = "p") -> list[Page]:
    vendor, _, of = kind.partition("/")
    listing = VENDORS[vendor].kinds[of].listing
    assert listing
    pages: list[Page] = []
    while not pages or pages[-1].next:
        token = pages[-1].next if pages else None
        wish = listing.request(scope, token)
        headers = KEYS[vendor] | dict(wish.headers)
        answer = vendors.request(wish.method, f"/{vendor}{wish.path}", headers=headers, content=wish.body)
        assert answer.status_code == 200
        pages.append(listing.parse(answer.content, token))
    return pages


@pytest.mark.parametrize(
    ("kind", "sizes"), [(LISTED[0], [100, 100, 50]), (LISTED[1], [100, 100, 50]), (LISTED[2], [100, 100, 50, 0])]
)
def test_a_list_of_several_pages_is_read_to_its_end(vendors: Vendors, kind: str, sizes: list[int]) -> None:
    fill(vendors, kind, 250)

    pages = read_all(vendors, kind)

    assert [len(page.jobs) for page in pages] == sizes
    assert {job.id for page in pages for job in page.jobs} == {str(number) for number in range(250)}


@pytest.mark.parametrize(("kind", "sizes"), [(LISTED[0], [100]), (LISTED[1], [100]), (LISTED[2], [100, 0])])
def test_a_full_page_may_be_the_last(vendors: Vendors, kind: str, sizes: list[int]) -> None:
    fill(vendors, kind, 100)

    assert [len(page.jobs) for page in read_all(vendors, kind)] == sizes


@pytest.mark.parametrize("kind", LISTED)
def test_an_empty_list_is_one_page(vendors: Vendors, kind: str) -> None:
    assert read_all(vendors, kind) == [Page((), None)]


def test_a_bare_array_is_read_in_one_go(vendors: Vendors) -> None:
    fill(vendors, "scale/job", 120)
    vendors.put("/_control/lists/scale", json={"shape": "array"})

    assert [len(page.jobs) for page in read_all(vendors, "scale/job")] == [120]


def test_what_changed_last_comes_first(vendors: Vendors) -> None:
    for minute in (1, 3, 2):
        vendors.script(f"mentionlab/job/p/{minute}", {"body": {"updatedAt": f"2026-06-08T12:0{minute}:00.000Z"}})

    [page] = read_all(vendors, "mentionlab/job")

    assert [job.updated_at for job in page.jobs] == [f"2026-06-08T12:0{minute}:00Z" for minute in (3, 2, 1)]


@pytest.mark.parametrize("kind", LISTED)
def test_a_listed_job_is_as_its_own_answer_says(vendors: Vendors, kind: str) -> None:
    vendors.script(f"{kind}/p/1", {})

    [job] = read_all(vendors, kind)[0].jobs

    assert job.snapshot == vendors.look(f"{kind}/p/1")


@pytest.mark.parametrize("kind", LISTED)
def test_a_scope_is_opaque(vendors: Vendors, kind: str) -> None:
    vendors.script(f"{kind}/a%2Fb%20%3F50%25/1", {})

    assert [job.id for job in read_all(vendors, kind, "a/b ?50%")[0].jobs] == ["1"]
