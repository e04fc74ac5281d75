"""The simulated vendors misbehave as told, and only as told."""

from collections.abc import Iterator

import httpx
import pytest

from pollbridge.local.scripts import DOCUMENTED
from pollbridge.vendors import VENDORS
from pollbridge.vendors.answer import NoAnswer

from .simulated import KEYS, REFUSALS, SCOPED, Vendors, simulated_vendors


@pytest.fixture
def vendors() -> Iterator[Vendors]:
    with simulated_vendors() as client:
        yield client


@pytest.mark.parametrize("kind", DOCUMENTED)
@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_an_error_speaks_the_vendors_shape_once(vendors: Vendors, kind: str, status: int) -> None:
    vendors.script(f"{kind}/p/1", {"fault": {"status": status}}, {})

    refused, told = vendors.ask(f"{kind}/p/1"), vendors.ask(f"{kind}/p/1")

    assert refused.status_code == status
    assert refused.json().keys() == REFUSALS[kind.partition("/")[0]].keys()
    assert told.json() == DOCUMENTED[kind]("p", "1")


@pytest.mark.parametrize("wait", [30, "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_429_tells_how_long_to_wait(vendors: Vendors, wait: object) -> None:
    vendors.script("mentionlab/job/p/1", {"fault": {"status": 429, "retry_after": wait}}, {})

    refused = vendors.ask("mentionlab/job/p/1")

    assert refused.headers["Retry-After"] == str(wait)
    assert refused.json() == {
        "statusCode": 429,
        "message": "Too many requests. Please retry after 30 seconds.",
        "error": "Too Many Requests",
    }


@pytest.mark.parametrize("content", ["empty", "garbage", "html", "truncated"])
def test_a_200_may_hold_no_json(vendors: Vendors, content: str) -> None:
    vendors.script("oration/job/p/1", {"fault": {"content": content}}, {})

    answer = vendors.ask("oration/job/p/1")

    assert answer.status_code == 200
    with pytest.raises(NoAnswer):
        VENDORS["oration"].kinds["job"].parse(answer.content)
    assert vendors.look("oration/job/p/1").state == "pending"


def test_a_gzip_bomb_is_small_on_the_wire_and_proper_inside(vendors: Vendors) -> None:
    vendors.script("oration/job/p/1", {"fault": {"content": "gzip_bomb"}}, {})

    answer = vendors.ask("oration/job/p/1")

    assert int(answer.headers["Content-Length"]) < 200_000
    assert len(answer.content) > 60_000_000
    assert answer.json() == vendors.ask("oration/job/p/1").json()


@pytest.mark.parametrize("drop", [True, "mid_body"])
def test_a_connection_may_be_dropped(vendors: Vendors, drop: object) -> None:
    vendors.script("scale/job/p/1", {"fault": {"drop": drop}}, {})

    with pytest.raises(httpx.RemoteProtocolError):
        vendors.ask("scale/job/p/1")
    assert vendors.look("scale/job/p/1").state == "pending"


def test_a_slow_answer_outlasts_an_impatient_client(vendors: Vendors) -> None:
    vendors.script("scale/job/p/1", {"fault": {"slow": 60}}, {"body": {"status": "running"}})

    vendors.timeout = httpx.Timeout(5, read=0.05)
    with pytest.raises(httpx.ReadTimeout):
        vendors.ask("scale/job/p/1")
    vendors.timeout = httpx.Timeout(5)
    assert vendors.look("scale/job/p/1").state == "running"


def test_a_state_behind_a_fault_is_told_and_stays_without_it(vendors: Vendors) -> None:
    vendors.script("oration/job/p/1", {}, {"body": {"status": "active"}, "fault": {"status": 500}})

    statuses = [vendors.ask("oration/job/p/1").status_code for _ in range(3)]

    assert statuses == [200, 500, 200]
    assert vendors.look("oration/job/p/1").vendor_status == "active"


def test_mentionlab_tells_its_limit_on_every_answer(vendors: Vendors) -> None:
    vendors.script("mentionlab/job/p/1", {"fault": {"drop": "mid_body"}}, {"fault": {"status": 429}}, {})

    with vendors.stream("GET", "/mentionlab/api/jobs/1", headers=KEYS["mentionlab"] | SCOPED) as cut:
        answers = [
            cut,
            vendors.ask("mentionlab/job/p/1"),
            vendors.ask("mentionlab/job/p/1"),
            vendors.get("/mentionlab/"),
        ]

    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["119", "0", "119", "119"]
    assert all({"x-ratelimit-limit", "x-ratelimit-reset"} <= {*answer.headers} for answer in answers)


def test_an_outage_holds_until_it_is_lifted_and_moves_no_job_on(vendors: Vendors) -> None:
    vendors.script("oration/job/p/1", {}, {"body": {"status": "active"}})
    vendors.script("scale/job/p/1", {})

    vendors.post("/_control/outage", json={"vendor": "oration", "fault": {"status": 503}})
    during = [vendors.ask("oration/job/p/1").status_code for _ in range(3)]
    elsewhere = vendors.ask("scale/job/p/1").status_code
    vendors.post("/_control/outage", json={"vendor": "oration", "fault": None})

    assert (during, elsewhere) == ([503] * 3, 200)
    assert vendors.look("oration/job/p/1").vendor_status == "created"


def test_an_outage_that_only_slows_still_answers(vendors: Vendors) -> None:
    vendors.script("scale/job/p/1", {})
    vendors.post("/_control/outage", json={"vendor": "scale", "fault": {"slow": 0.01}})

    assert vendors.look("scale/job/p/1").state == "pending"
