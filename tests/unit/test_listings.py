"""The vendors' lists: what is asked for, what a page says, and what a hostile one never does."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollbridge.history.entries import without_persons
from pollbridge.vendors.answer import Listing, NoAnswer, Page, Request, Seen

from .answers import ABSENT, ID_FIELDS, KINDS, changed, kind, sample, sample_id
from .test_adapters import ANSWERS, ID, NO_ANSWERS, OBJECTS, jsonish

ENTRIES = {"mentionlab-job": "results", "scale-job": "items", "mintlify-agent-v1": "allSessions"}
LISTED = list(ENTRIES)

LATEST_FIRST = b'{"sort":[{"field":"updatedAt","direction":"DESC"}]}'
MENTIONLAB = {"x-project-id": "p q/r", "Content-Type": "application/json"}


def listing(name: str) -> Listing:
    found = kind(name).listing
    assert found
    return found


def body(name: str, *entries: bytes, **beside: object) -> bytes:
    """A page with those entries, and what stands beside them."""
    rest = "".join(f",{json.dumps(field)}:{json.dumps(value)}" for field, value in beside.items())
    return b'{"%s":[%s]%s}' % (ENTRIES[name].encode(), b",".join(entries), rest.encode())


def page(name: str, *entries: bytes, token: str | None = None, **beside: object) -> Page:
    return listing(name).parse(body(name, *entries, **beside), token)


def numbered(name: str, count: int) -> list[bytes]:
    return [changed(name, **{ID_FIELDS.get(name, "id"): str(number)}) for number in range(count)]


# What is asked for


@pytest.mark.parametrize(
    ("name", "token", "request_"),
    [
        ("mentionlab-job", None, Request("/api/jobs/list?limit=100&page=1", MENTIONLAB, "POST", LATEST_FIRST)),
        ("mentionlab-job", "3", Request("/api/jobs/list?limit=100&page=3", MENTIONLAB, "POST", LATEST_FIRST)),
        ("scale-job", None, Request("/v1/projects/p%20q%2Fr/jobs?page_size=100", {})),
        ("scale-job", "+/&", Request("/v1/projects/p%20q%2Fr/jobs?page_size=100&continuation_token=%2B%2F%26", {})),
        ("mintlify-agent-v1", None, Request("/v1/agent/p%20q%2Fr/jobs?skip=0&take=100", {})),
        ("mintlify-agent-v1", "200", Request("/v1/agent/p%20q%2Fr/jobs?skip=200&take=100", {})),
    ],
)
def test_a_page_is_asked_for_as_documented(name: str, token: str | None, request_: Request) -> None:
    assert listing(name).request("p q/r", token) == request_


def test_only_what_a_vendor_lists_can_be_listed() -> None:
    assert [name for name in KINDS if kind(name).listing] == LISTED


def test_only_mentionlab_shows_the_latest_changes_first() -> None:
    assert [name for name in LISTED if listing(name).by_update] == ["mentionlab-job"]


# What a page says


@pytest.mark.parametrize("name", LISTED)
def test_an_entry_says_what_the_same_answer_says(name: str) -> None:
    [job] = page(name, changed(name)).jobs

    assert job.id == sample_id(name)
    assert job.snapshot == kind(name).parse(changed(name)).snapshot == kind(name).parse(job.body).snapshot
    assert json.loads(job.body) == sample(name)


@pytest.mark.parametrize("name", LISTED)
def test_a_page_keeps_the_vendors_order(name: str) -> None:
    answer = page(name, *numbered(name, 3))

    assert ([job.id for job in answer.jobs], answer.unreadable) == (["0", "1", "2"], 0)


@pytest.mark.parametrize(
    ("name", "moment"),
    [("mentionlab-job", "2026-06-08T12:30:00Z"), ("scale-job", None), ("mintlify-agent-v1", None)],
)
def test_an_entry_tells_when_it_changed_if_the_vendor_does(name: str, moment: str | None) -> None:
    assert page(name, changed(name)).jobs[0].updated_at == moment


def test_an_entry_is_kept_as_javascript_would_write_it() -> None:
    written = '{"id":"1","title":"é \\n 😀","total":12345678901234567890,"ok":true,"none":null}'

    assert page("scale-job", written.encode()).jobs[0].body == written.encode()


def test_jobs_of_another_project_are_the_vendors_to_show() -> None:
    answer = page("scale-job", changed("scale-job", project_id="another"))

    assert (len(answer.jobs), answer.unreadable) == (1, 0)


def _nobody(job: dict[str, Any]) -> dict[str, Any]:
    return {name: None if name == "userId" else value for name, value in job.items()}


@pytest.mark.promise(21)
@pytest.mark.parametrize("name", LISTED)
def test_the_creator_is_cut_out_of_an_entry_as_out_of_any_answer(name: str) -> None:
    creator = {"id": {}, "firstName": "canary", "email": "canary@example.com"}
    [job] = page(name, changed(name, createdBy=creator)).jobs

    assert "canary" not in job.snapshot.model_dump_json()
    assert json.loads(without_persons(job.body)) == {**_nobody(sample(name)), "createdBy": None}


# First, next and last pages


@pytest.mark.parametrize(
    ("asked", "told", "following"),
    [
        (None, {"currentPage": 1, "totalPages": 3}, "2"),
        ("2", {"currentPage": 2, "totalPages": 3}, "3"),
        ("3", {"currentPage": 3, "totalPages": 3}, None),
        ("3", {"totalPages": 3}, None),
        # Beyond the last page the vendor may show the last one again.
        ("4", {"currentPage": 3, "totalPages": 3}, None),
        (None, {"currentPage": 1, "totalPages": 1, "nextPage": 2}, None),
        ("2", {"totalPages": 3}, "3"),
        ("2", {"currentPage": "2", "totalPages": None}, "3"),
        (None, None, "2"),
        ("7", ABSENT, "8"),
    ],
)
def test_mentionlabs_pages_are_numbered_up_to_the_last(asked: str | None, told: object, following: str | None) -> None:
    beside = {} if told is ABSENT else {"page": told}

    assert page("mentionlab-job", changed("mentionlab-job"), token=asked, **beside).next == following


@pytest.mark.promise(59)
@pytest.mark.parametrize(
    ("asked", "told", "following"),
    [
        (None, {"currentPage": 1, "totalPages": 0}, "2"),
        (None, {"currentPage": 0, "totalPages": 0}, "2"),
        ("4", {"currentPage": 4, "totalPages": 3}, "5"),
        ("3", {"currentPage": 2, "totalPages": 3}, "4"),
        ("2", {"currentPage": 3, "totalPages": 3}, "3"),
        ("2", {"currentPage": 1, "totalPages": 3}, "3"),
        ("3", {"currentPage": "three", "totalPages": "3"}, "4"),
    ],
)
def test_a_count_of_pages_that_contradicts_the_page_does_not_end_mentionlabs_list(
    asked: str | None, told: object, following: str
) -> None:
    assert page("mentionlab-job", changed("mentionlab-job"), token=asked, page=told).next == following


@pytest.mark.promise(59)
@pytest.mark.parametrize("name", ["mentionlab-job", "mintlify-agent-v1"])
def test_a_page_that_is_shorter_than_asked_for_is_not_the_last(name: str) -> None:
    assert page(name, *numbered(name, 50)).next == {"mentionlab-job": "2", "mintlify-agent-v1": "50"}[name]


def test_mentionlabs_list_ends_with_a_page_of_nothing() -> None:
    answer = page("mentionlab-job", token="2", page={"currentPage": 2, "totalPages": 9})

    assert answer == Page((), None, 0)


@pytest.mark.parametrize(
    ("beside", "following"),
    [
        ({"total_count": 123, "next_token": "t", "prev_token": "p"}, "t"),
        ({"continuation_token": "t"}, "t"),
        ({"continuation_token": "asked with", "next_token": "t"}, "t"),
        ({"continuation_token": "asked with", "next_token": None}, None),
        ({"next_token": 7}, "7"),
        ({"next_token": ""}, None),
        ({"next_token": {}}, None),
        ({"total_count": 123}, None),
    ],
)
def test_scales_pages_end_where_no_token_is_given(beside: dict[str, object], following: str | None) -> None:
    assert page("scale-job", changed("scale-job"), **beside).next == following
    assert page("scale-job", **beside).next == following


@pytest.mark.parametrize("field", ["items", "data", "jobs"])
def test_scales_jobs_may_stand_in_either_field(field: str) -> None:
    wrapped = json.dumps({"object": "list", field: [sample("scale-job")]}).encode()

    assert len(listing("scale-job").parse(wrapped, None).jobs) == 1


def test_a_bare_array_of_scale_is_all_there_is() -> None:
    answer = listing("scale-job").parse(b"[%s,%s]" % tuple(numbered("scale-job", 2)), None)

    assert ([job.id for job in answer.jobs], answer.next) == (["0", "1"], None)


@pytest.mark.parametrize(
    ("skip", "count", "following"),
    [(None, 100, "100"), ("100", 100, "200"), ("200", 99, "299"), ("299", 0, None), (None, 12, "12"), (None, 0, None)],
)
def test_mintlifys_list_ends_with_a_page_of_nothing(skip: str | None, count: int, following: str | None) -> None:
    answer = page("mintlify-agent-v1", *numbered("mintlify-agent-v1", count), token=skip)

    assert (len(answer.jobs), answer.next) == (count, following)


def test_a_list_that_goes_in_a_circle_shows_it() -> None:
    repeated = page("scale-job", changed("scale-job"), token="t", next_token="t")

    assert repeated.next == "t"


@pytest.mark.parametrize("name", LISTED)
def test_a_job_listed_twice_is_listed_twice(name: str) -> None:
    assert len(page(name, changed(name), changed(name)).jobs) == 2


# Hostile pages

UNREADABLE = {
    "null": b"null",
    "number": b"7",
    "text": b'"1"',
    "list": b'[{"id":"1"}]',
    "object": b"{}",
    "no id": b'{"id":null,"sessionId":{},"status":"completed"}',
    "600 lists": ID + b'"x":' + b"[" * 600 + b"]" * 600 + b"}",
    "1,500 lists": ID + b'"x":' + b"[" * 1_500 + b"]" * 1_500 + b"}",
    "100,000 lists": ID + b'"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100,000 objects": b'{"id":' * 100_000 + b"1" + b"}" * 100_000,
    "5,000 digits": ID + b'"x":' + b"9" * 5_000 + b"}",
    "5,000 digits alone": b"9" * 5_000,
    "latin-1": '{"id":"é"}'.encode("latin-1"),
    "brackets and quotes in a text": ID + b'"x":"]}[{\\\\\\",\xe9"}',
    "no JSON": b'{"id" "1"}',
}


@pytest.mark.parametrize("name", LISTED)
@pytest.mark.parametrize("entry", UNREADABLE.values(), ids=UNREADABLE)
def test_an_entry_that_is_no_job_is_passed_over_and_counted(name: str, entry: bytes) -> None:
    answer = page(name, entry, changed(name), entry)

    assert ([job.id for job in answer.jobs], answer.unreadable) == ([sample_id(name)], 2)


@pytest.mark.parametrize("entry", UNREADABLE.values(), ids=UNREADABLE)
def test_an_entry_that_cannot_be_read_costs_a_bare_array_no_other(entry: bytes) -> None:
    answer = listing("scale-job").parse(b"[%s, %s ,%s]" % (entry, changed("scale-job"), entry), None)

    assert ([job.id for job in answer.jobs], answer.unreadable) == ([sample_id("scale-job")], 2)


def test_what_stands_beside_an_entry_that_cannot_be_read_is_read_too() -> None:
    answer = page("scale-job", b"9" * 5_000, total_count=2, tags=[], filters=[1, "a", {"b": [2]}], next_token="t")

    assert answer == Page((), "t", unreadable=1)


def test_an_entry_reads_the_same_beside_one_that_cannot_be_read() -> None:
    entry = changed("scale-job", operation='é ] \\ " , 😀')

    assert page("scale-job", entry, b"9" * 5_000).jobs == page("scale-job", entry).jobs


MANY = 5_000_000
FLOODS = {
    "brackets": b'{"items":[{"x":' + b"[" * MANY,
    "pairs of brackets": b'{"items":[{"x":[' + b"[]," * (MANY // 3) + b"x]}]}",
    "commas": b'{"items":[' + b"," * MANY,
    "quotes": b'{"items":[' + b'"' * MANY,
    "backslashes": b'{"items":["' + b"\\" * MANY,
    "escaped quotes": b'{"items":["' + b'\\"' * (MANY // 2),
    "numbers": b'{"items":[' + b"1," * (MANY // 2) + b"1]}",
    "objects": b'{"items":[' + b"{}," * (MANY // 3) + b"{}]}",
    "no objects": b'{"items":[' + b"{0}," * (MANY // 4) + b"{0}]}",
}


@pytest.mark.promise(15)
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_five_megabytes_of_anything_cost_seconds_at_most(flood: bytes) -> None:
    begun = time.process_time()

    with pytest.raises(NoAnswer):
        listing("scale-job").parse(flood, None)

    assert time.process_time() - begun < 10


def test_a_page_full_of_what_cannot_be_read_is_not_the_last() -> None:
    answer = page("mintlify-agent-v1", *[b"{}"] * 100)

    assert answer == Page((), "100", unreadable=100)


# Reading the last one thrice takes ten seconds.
STRANGE = {case: told for case, told in ANSWERS.items() if case != "5 MB of children"}


@pytest.mark.promise(20)
@pytest.mark.parametrize("name", LISTED)
@pytest.mark.parametrize("entry", STRANGE.values(), ids=STRANGE)
def test_a_strange_entry_is_read_as_the_same_answer_is(name: str, entry: bytes) -> None:
    first, second = page(name, entry, changed(name)).jobs

    assert first.snapshot == kind(name).parse(entry).snapshot == kind(name).parse(first.body).snapshot
    assert (first.id, second.id) == ("1", sample_id(name))


NO_LISTS = {case: told for case, told in NO_ANSWERS.items() if case != "list"} | {
    "a job": ID + b'"x":1}',
    "an error": b'{"statusCode":500,"message":"canary","error":"Internal Server Error"}',
    "null for a list": b'{"results":null,"items":null,"allSessions":null}',
    "an object for a list": b'{"results":{},"items":{"0":{"id":"canary"}},"allSessions":{}}',
    "text for a list": b'{"results":"canary","items":"canary","allSessions":"canary"}',
    "a list in utf-16": '{"results":[],"items":[],"allSessions":[]}'.encode("utf-16"),
    "5,000 digits beside it": b'{"results":[],"items":[],"allSessions":[],"x":%b}' % (b"9" * 5_000),
    "latin-1 beside it": '{"results":[],"items":[],"allSessions":[],"x":"é"}'.encode("latin-1"),
    "cut off": b'{"results":[{"id":"1"}],"items":[{"id":"1"}],"allSessions":[{"id":"1"}',
    "cut off within an entry": b'{"results":[{"id":"1"},{"id":"2',
}


@pytest.mark.promise(16)
@pytest.mark.parametrize("name", LISTED)
@pytest.mark.parametrize("told", NO_LISTS.values(), ids=NO_LISTS)
def test_a_body_that_is_no_list_is_no_answer(name: str, told: bytes) -> None:
    with pytest.raises(NoAnswer) as error:
        listing(name).parse(told, None)

    assert len(str(error.value)) < 200
    assert "\n" not in str(error.value)
    assert "canary" not in str(error.value)


@pytest.mark.parametrize("name", ["mentionlab-job", "mintlify-agent-v1"])
def test_a_bare_array_is_a_list_of_no_other_vendor(name: str) -> None:
    with pytest.raises(NoAnswer):
        listing(name).parse(b"[%s]" % changed(name), None)


def alone(name: str, answer: bytes) -> Seen | None:
    try:
        return kind(name).parse(answer)
    except NoAnswer:
        return None


@pytest.mark.parametrize("name", LISTED)
@given(entries=st.lists(OBJECTS, max_size=2))
def test_a_list_says_what_its_jobs_say_one_by_one(name: str, entries: list[bytes]) -> None:
    answer = page(name, *entries)

    expected = [seen for seen in (alone(name, entry) for entry in entries) if seen]
    assert [Seen(job.id, job.snapshot) for job in answer.jobs] == expected
    assert answer.unreadable == len(entries) - len(expected)


@pytest.mark.promise(20)
@pytest.mark.parametrize("name", LISTED)
@given(entries=st.lists(jsonish() | st.binary(), max_size=2), token=st.none() | st.integers(1).map(str))
def test_any_bytes_are_a_page_or_no_answer(name: str, entries: list[bytes], token: str | None) -> None:
    for told in (body(name, *entries), b"".join(entries)):
        try:
            answer = listing(name).parse(told, token)
        except NoAnswer:
            continue

        assert [alone(name, job.body) for job in answer.jobs] == [Seen(job.id, job.snapshot) for job in answer.jobs]
