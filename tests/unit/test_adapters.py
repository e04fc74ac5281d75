"""The vendors' answers, documented and hostile: what each adapter reads, and what it never lets through."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollbridge.model.job import Child, JobKey, Link, Progress, Snapshot, State
from pollbridge.vendors.answer import NoAnswer, Request

from .answers import ABSENT, ID_FIELDS, KINDS, changed, kind, read, sample, sample_id

MONTHS = "2026-06-08T12:00:00"


@pytest.mark.parametrize(
    ("name", "path", "headers"),
    [
        ("mentionlab-job", "/api/jobs/i%2F1", {"x-project-id": "p q"}),
        ("mentionlab-execution", "/api/v1/job-executions/i%2F1", {"x-project-id": "p q"}),
        ("oration-job", "/jobs/i%2F1", {"x-workspace-slug": "p q"}),
        ("scale-job", "/v1/projects/p%20q/jobs/i%2F1", {}),
        ("mintlify-agent-v1", "/v1/agent/p%20q/job/i%2F1", {}),
        ("mintlify-agent-v2", "/v2/agent/p%20q/job/i%2F1", {}),
    ],
)
def test_a_request_puts_scope_and_id_where_the_vendor_wants_them(name: str, path: str, headers: dict[str, str]) -> None:
    assert kind(name).request(JobKey("c", "k", "p q", "i/1")) == Request(path, headers, "GET")


# What is read of the documented examples


def test_a_mentionlab_job_tells_its_executions_and_times() -> None:
    snapshot = read("mentionlab-job")

    assert snapshot == Snapshot(
        state=State.RUNNING,
        vendor_status="processing",
        progress=Progress(total=100, succeeded=80, failed=8, pending=10, retrying=2, cancelled=0),
        created_at="2026-06-08T12:00:00Z",
        updated_at="2026-06-08T12:30:00Z",
    )


def test_a_mentionlab_execution_started_when_it_was_initiated() -> None:
    snapshot = read("mentionlab-execution")

    assert (snapshot.started_at, snapshot.created_at) == ("2026-06-08T10:15:30Z", "2026-06-08T10:15:31Z")


def test_an_oration_job_tells_its_name_and_times() -> None:
    snapshot = read("oration-job")

    assert (snapshot.name, snapshot.error) == ("customer.createBatch", None)
    assert (snapshot.created_at, snapshot.updated_at) == ("2026-04-01T10:16:00Z", "2026-04-01T10:18:42Z")


def test_a_scale_job_tells_its_operation_progress_and_times() -> None:
    snapshot = read("scale-job", completed_at="2023-11-07T05:40:00Z")

    assert snapshot.name == "batch_parse"
    assert snapshot.progress == Progress(total=4, succeeded=1, failed=1, cancelled=0, pending=2)
    assert (snapshot.started_at, snapshot.finished_at) == ("2023-11-07T05:31:58.123456Z", "2023-11-07T05:40:00Z")


def test_a_scale_job_tells_its_child_jobs() -> None:
    children = read("scale-job").children

    assert children and children.counts == {"succeeded": 1, "failed": 1, "pending": 2}
    assert children.entries[1] == Child(id="job_2", status="failed", title="password protected")


def test_a_mintlify_v1_job_tells_title_message_link_and_todos() -> None:
    snapshot = read("mintlify-agent-v1")

    assert (snapshot.name, snapshot.message) == ("Update the quickstart", "The quickstart is up to date.")
    assert snapshot.links == (Link(rel="pull_request", href="https://github.com/acme/docs/pull/42"),)
    assert snapshot.children and snapshot.children.counts == {"completed": 1, "pending": 1}


def test_a_mintlify_v2_job_tells_its_link() -> None:
    assert read("mintlify-agent-v2").links == (Link(rel="pull_request", href="https://github.com/acme/docs/pull/43"),)


# Oddities


@pytest.mark.parametrize("project", ["p", {"id": "p", "name": "P"}, {}, None, ABSENT, 7])
def test_project_may_be_an_id_or_an_object(project: object) -> None:
    assert read("mentionlab-job", project=project) == read("mentionlab-job")


@pytest.mark.promise(21)
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    "creator", [None, ABSENT, {"id": {}, "firstName": "canary", "email": "canary@example.com"}, "canary"]
)
def test_the_creator_never_leaves_the_adapter(name: str, creator: object) -> None:
    snapshot = read(name, createdBy=creator)

    assert snapshot == read(name)
    assert "canary" not in snapshot.model_dump_json()


@pytest.mark.promise(6)
@pytest.mark.parametrize("name", KINDS)
def test_fields_nobody_knows_are_passed_over(name: str) -> None:
    assert read(name, zebra={"a": [1, None]}, state="done", Status="failed") == read(name)


@pytest.mark.promise(6)
@pytest.mark.parametrize("name", KINDS)
def test_an_answer_of_nothing_but_the_id_is_an_answer(name: str) -> None:
    seen = kind(name).parse(json.dumps({ID_FIELDS.get(name, "id"): "1"}).encode())

    assert seen.id == "1"
    assert seen.snapshot == Snapshot(state=State.RUNNING if name == "mintlify-agent-v1" else State.UNKNOWN)


@pytest.mark.promise(6)
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("rubbish", [None, 7, 1.5, True, "rubbish", [], ["x"], {}, {"x": 1}])
def test_the_state_is_read_whatever_stands_in_the_other_fields(name: str, rubbish: object) -> None:
    needed = {ID_FIELDS.get(name, "id"), "status", "haulted", "haultReason"}
    others = {field: rubbish for field in sample(name) if field not in needed}

    assert read(name, **others).state is read(name).state


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("boom", "boom"),
        (None, None),
        (ABSENT, None),
        ("", None),
        ({"code": 7, "why": "boom"}, '{"code":7,"why":"boom"}'),
        (["boom"], '["boom"]'),
    ],
)
@pytest.mark.parametrize(("name", "field"), [("oration-job", "error"), ("scale-job", "error")])
def test_an_error_may_be_text_null_or_an_object(name: str, field: str, told: object, kept: str | None) -> None:
    assert read(name, **{field: told}).error == kept


@pytest.mark.parametrize("name", ["oration-job", "scale-job"])
def test_an_error_beside_success_changes_no_outcome(name: str) -> None:
    word = "success" if name == "oration-job" else "succeeded"
    snapshot = read(name, status=word, error="2 rows were skipped")

    assert (snapshot.state, snapshot.error) == (State.SUCCEEDED, "2 rows were skipped")


@pytest.mark.parametrize(
    "progress", [None, ABSENT, {}, [], "half", {"total": "4"}, {"total": -1}, {"total": 2**63}, {"total": True}]
)
def test_a_progress_without_a_number_is_none(progress: object) -> None:
    assert read("scale-job", progress=progress).progress is None


@pytest.mark.parametrize("child", [{}, {"job_id": 7}, {"job_id": None, "status": None}, {"status": ["x"]}])
def test_a_child_may_lack_anything(child: dict[str, Any]) -> None:
    children = read("scale-job", progress={"child_jobs": [child, "no child", None]}).children

    assert children and len(children.entries) == 1


@pytest.mark.parametrize(
    "href",
    [
        None,
        ABSENT,
        "",
        "null",
        7,
        "javascript:alert(1)",
        "/pull/1",
        "https://a b",
        'https://a"b',
        "https://a\nb",
        "https://" + "a" * 2048,
    ],
)
@pytest.mark.parametrize(("name", "field"), [("mintlify-agent-v1", "pullRequestLink"), ("mintlify-agent-v2", "prLink")])
def test_a_link_that_is_no_web_address_is_no_link(name: str, field: str, href: object) -> None:
    assert read(name, **{field: href}).links == ()


@pytest.mark.parametrize("href", ["https://x.test/a?b=1&c=%20#d", "http://x.test/é", "https://x.test/(1)/_*~"])
def test_a_link_stays_unaltered(href: str) -> None:
    assert read("mintlify-agent-v2", prLink=href).links[0].href == href


# Dates


@pytest.mark.parametrize("digits", range(10))
@pytest.mark.parametrize("offset", ["", "Z", "z", "+00:00", "-00:00", "+0000"])
def test_a_date_may_have_any_fraction_and_no_offset(digits: int, offset: str) -> None:
    fraction = "." + "123456789"[:digits] if digits else ""

    assert read("oration-job", createdAt=f"{MONTHS}{fraction}{offset}").created_at == f"{MONTHS}{fraction}Z"


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("2026-06-08T14:00:00+02:00", "2026-06-08T12:00:00Z"),
        ("2026-06-08T06:30:00.5-0530", "2026-06-08T12:00:00.5Z"),
        ("2026-06-08T12:00:00.000Z", "2026-06-08T12:00:00Z"),
        ("2026-06-08 12:00:00Z", "2026-06-08T12:00:00Z"),
        ("2026-06-08t12:00:00.250z", "2026-06-08T12:00:00.25Z"),
        (" 2026-06-08T12:00:00Z ", "2026-06-08T12:00:00Z"),
    ],
)
def test_dates_become_utc(told: str, kept: str) -> None:
    assert read("scale-job", created_at=told).created_at == kept


@pytest.mark.parametrize(
    "raw",
    [
        "yesterday",
        "2026-06-08",
        "2026-13-01T00:00:00Z",
        "2026-06-08T12:00:60Z",
        "2026-06-08T12:00:00.1234567890Z",
        "2026-06-08T12:00:00+99:00",
        "0001-01-01T00:00:00+01:00",
        "٢٠٢٦-06-08T12:00:00Z",
    ],
)
def test_a_date_that_cannot_be_read_stays_as_written(raw: str) -> None:
    assert read("scale-job", created_at=raw).created_at == raw


@pytest.mark.parametrize("told", [None, "", ABSENT, 1780920000, True, {}, ["2026-06-08T12:00:00Z"]])
def test_a_date_that_is_no_text_is_none(told: object) -> None:
    assert read("mentionlab-job", updatedAt=told).updated_at is None


# Whose answer it is


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("missing", [ABSENT, None, "", 1.5, True, {}, ["1"]])
def test_a_body_without_an_id_is_no_answer(name: str, missing: object) -> None:
    field = ID_FIELDS.get(name, "id")

    with pytest.raises(NoAnswer, match=field):
        read(name, **{field: missing})


@pytest.mark.parametrize("name", KINDS)
def test_an_id_may_be_a_number(name: str) -> None:
    assert kind(name).parse(changed(name, **{ID_FIELDS.get(name, "id"): 42})).id == "42"


@pytest.mark.parametrize("name", KINDS)
def test_an_answer_about_another_job_is_none(name: str) -> None:
    mine, another = (JobKey("c", "k", "p", id) for id in (sample_id(name), sample_id(name) + "x"))

    assert kind(name).answer(mine, changed(name)) == read(name)
    with pytest.raises(NoAnswer, match="another job"):
        kind(name).answer(another, changed(name))


@pytest.mark.parametrize("name", ["mentionlab-job", "mentionlab-execution", "oration-job"])
def test_uuids_are_equal_whatever_their_case(name: str) -> None:
    id = sample_id(name)
    key = kind(name).key(JobKey("c", "k", "p", id.upper()))
    shouted = changed(name, **{ID_FIELDS.get(name, "id"): id.upper()})

    assert key == JobKey("c", "k", "p", id)
    assert kind(name).answer(key, shouted) == read(name)


def test_a_project_that_is_a_uuid_is_canonical_too() -> None:
    key = JobKey("mentionlab", "job", sample_id("mentionlab-job").upper(), "Job-A")

    assert kind("mentionlab-job").key(key) == JobKey("mentionlab", "job", sample_id("mentionlab-job"), "Job-A")


@pytest.mark.parametrize("name", ["scale-job", "mintlify-agent-v1", "mintlify-agent-v2"])
def test_opaque_ids_keep_their_case(name: str) -> None:
    key = JobKey("c", "k", "P", "0123ABCD-89AB-CDEF-0123-456789ABCDEF")

    assert kind(name).key(key) == key


# Hostile bodies

ID = b'{"id":"1","jobExecutionId":"1","sessionId":"1","status":"new","haultReason":"new","haulted":true,'

NO_ANSWERS = {
    "empty": b"",
    "blank": b" \n",
    "html": b"<!doctype html><title>502 Bad Gateway</title>",
    "truncated": ID + b'"error":"bo',
    "null": b"null",
    "number": b"7",
    "text": b'"done"',
    "list": b"[]",
    "object": b"{}",
    "utf-16": '{"id":"1"}'.encode("utf-16"),
    "latin-1": '{"id":"é"}'.encode("latin-1"),
    "zero bytes": b"\0" * 100,
    "two answers": ID + b'"x":1}{}',
    "100,000 lists": b"[" * 100_000,
    "100,000 objects": b'{"id":' * 100_000,
    "100,000 lists in a field": ID + b'"x":' + b"[" * 100_000,
    "half a character and 100,000 lists": ID + b'"y":"\\ud83d","x":' + b"[" * 100_000,
    "5 MB of spaces": b" " * 5_000_000,
    "a number of 5,000 digits": b'{"id":' + b"9" * 5_000 + b"}",
}


@pytest.mark.promise(16)
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("body", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_a_body_that_says_nothing_is_no_answer(name: str, body: bytes) -> None:
    with pytest.raises(NoAnswer) as error:
        kind(name).parse(body)

    assert len(str(error.value)) < 200
    assert "\n" not in str(error.value)


ANSWERS = {
    "NaN": ID + b'"x":NaN,"error":NaN,"progress":{"total":NaN,"failed":-Infinity},"createdAt":NaN}',
    "39 digits": ID + b'"totalExecutions":%(n)b,"progress":{"total":%(n)b},"error":%(n)b}' % {b"n": b"9" * 39},
    "huge floats": ID + b'"totalExecutions":1e300,"progress":{"total":1e999}}',
    "half a character": ID
    + b'"error":"cut \\ud83d","name":"\\udc00","x":"\\uD800\\uD800","prLink":"https://x/\\ud83d"}',
    "a whole character": ID + b'"error":"\\ud83d\\ude00"}',
    "a zero byte": ID + b'"error":"\\u0000"}',
    "150 lists": ID + b'"error":' + b"[" * 150 + b"]" * 150 + b"}",
    "the same field twice": ID + b'"id":"2","id":"1"}',
    "5 MB of error": ID + b'"error":"' + b"x" * 5_000_000 + b'"}',
    "5 MB of children": ID + b'"progress":{"child_jobs":[' + b'{"status":"pending"},' * 230_000 + b"{}]}}",
}


@pytest.mark.promise(20)
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS)
def test_a_strange_answer_is_a_small_snapshot_without_outcome(name: str, body: bytes) -> None:
    seen = kind(name).parse(body)

    assert seen.id == "1"
    assert seen.snapshot.state is (State.HALTED if name == "mintlify-agent-v1" else State.UNKNOWN)
    assert len(seen.snapshot.model_dump_json().encode()) <= 32 * 1024


@pytest.mark.promise(20)
@pytest.mark.parametrize("name", KINDS)
def test_600_deep_nesting_is_an_error_of_that_poll(name: str) -> None:
    with pytest.raises(NoAnswer, match="recursion limit"):
        kind(name).parse(ID + b'"x":' + b"[" * 600 + b"]" * 600 + b"}")


def test_a_text_cut_within_an_emoji_is_still_read() -> None:
    body = changed("oration-job", status="failed").replace(b'"error": null', b'"error": "cut \\ud83d"')

    assert kind("oration-job").parse(body).snapshot.error == "cut ?"


FIELDS = sorted({field for name in KINDS for field in sample(name)} | {"child_jobs", "job_id", "error"})
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["1", "completed", "running", MONTHS])
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(FIELDS), inner), max_leaves=8
)
OBJECTS = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=len(FIELDS)).map(json.dumps).map(str.encode)


@st.composite
def jsonish(draw: st.DrawFn) -> bytes:
    """An answer, as often as not with some bytes cut out and others put in their place."""
    body = draw(OBJECTS)
    start, end = sorted((draw(st.integers(0, len(body))), draw(st.integers(0, len(body)))))
    spoilt = body[:start] + draw(st.binary(max_size=4) | st.sampled_from([b"\\ud800", b"[[", b"NaN"])) + body[end:]
    return draw(st.sampled_from([body, spoilt]))


@pytest.mark.promise(6)
@pytest.mark.promise(20)
@pytest.mark.parametrize("name", KINDS)
@given(body=jsonish() | st.binary())
def test_any_bytes_are_a_snapshot_or_no_answer(name: str, body: bytes) -> None:
    try:
        seen = kind(name).parse(body)
    except NoAnswer:
        return

    assert Snapshot.model_validate_json(seen.snapshot.model_dump_json()) == seen.snapshot
