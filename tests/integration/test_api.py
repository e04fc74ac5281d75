"""What the API answers: to whoever asks rightly, to whoever doesn't, and when AWS doesn't answer it."""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator
from moto import mock_aws

from pollbridge.api.__main__ import FILE, main
from pollbridge.api.document import document, text
from pollbridge.api.paging import Question
from pollbridge.api.parameters import STATES
from pollbridge.cli import api as api_command
from pollbridge.cli.deployment import Deployment
from pollbridge.config import check
from pollbridge.history.entries import Entry
from pollbridge.history.heads import Heads
from pollbridge.history.ledger import KEEP
from pollbridge.model.job import JobKey
from pollbridge.notifying.dead_letters import ROUNDS, TEN
from pollbridge.views import change_json, delivery_json, job_json
from tests.kit.asking import Answer, Asked, life, url_event
from tests.kit.envelopes import TYPES
from tests.kit.faults import Fault, throttle
from tests.kit.offices import Office, breaking, refusing, taking
from tests.kit.sweeping import oration_key

ROOT = Path(__file__).resolve().parents[2]
YESTERDAY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
KEY = "oration/job/acme/j1"
CODED = oration_key("a/b c%2F")


@pytest.fixture
def ask() -> Iterator[Asked]:
    with mock_aws():
        yield Asked(Office())


def described(method: str, path: str, answer: Answer) -> Answer:
    """The answer, once it was found to be as the published document says."""
    told = document()
    [given] = told["paths"][path][method.lower()]["responses"][str(answer.status)]["content"].items()
    assert answer.headers["Content-Type"] == given[0]
    Draft202012Validator({**given[1]["schema"], "components": told["components"]}).validate(answer.json)
    return answer


def pages(ask: Asked, path: str, limit: int, **query: Any) -> list[list[Any]]:
    told, cursor = [], {}
    while True:
        answer = described("GET", path, ask("GET", path, limit=limit, **query, **cursor))
        told.append(answer.json["items"])
        assert len(told[-1]) <= limit
        if answer.json["next"] is None:
            return told
        cursor = {"cursor": answer.json["next"]}


def items(ask: Asked, path: str, limit: int = 2, **query: Any) -> list[Any]:
    return [item for page in pages(ask, path, limit, **query) for item in page]


def mistakes(answer: Answer) -> dict[str, str]:
    return {mistake["where"]: mistake["what"] for mistake in answer.json["errors"]}


# The document


def test_the_published_document_is_the_routes() -> None:
    assert (ROOT / FILE).read_text("utf-8") == text(), "run `python -m pollbridge.api`"


def test_checking_says_whether_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)

    assert (main(["--check"]), main([]), main(["--check"])) == (1, 0, 0)
    assert "python -m pollbridge.api" in capsys.readouterr().err


def test_every_example_of_the_document_is_as_the_document_says() -> None:
    told = document()
    for path in told["paths"].values():
        for operation in path.values():
            [done] = operation["responses"]["200"]["content"].values()
            asked = operation.get("requestBody", {}).get("content", {}).get("application/json")
            for media in filter(None, (done, asked)):
                Draft202012Validator({**media["schema"], "components": told["components"]}).validate(media["example"])


# Watches


def test_jobs_are_followed_each_once_and_with_their_labels(ask: Asked) -> None:
    wish = {"keys": [KEY, str(CODED), KEY], "labels": {"team": "docs"}}
    first, again = (described("POST", "/v1/watches", ask("POST", "/v1/watches", wish)) for _ in range(2))

    assert first.json == {"items": [{"key": KEY, "new": True}, {"key": str(CODED), "new": True}]}
    assert [item["new"] for item in again.json["items"]] == [False, False]
    assert ask("GET", "/v1/job", key=str(CODED)).json["job"] | {"name": None} == {
        "key": str(CODED),
        "kind": "job",
        "scope": "acme",
        "id": "a/b c%2F",
        "name": None,
        "labels": {"team": "docs"},
    }


def test_when_one_key_is_refused_none_is_followed_and_each_refused_one_is_named(ask: Asked) -> None:
    wish = {"keys": [KEY, "nobody/job/a/1", "oration/execution/a/1"]}
    answer = described("POST", "/v1/watches", ask("POST", "/v1/watches", wish))

    assert (answer.status, answer.json["type"]) == (409, "urn:pollbridge:problem:watch-refused")
    assert set(mistakes(answer)) == {"body.keys.1", "body.keys.2"}
    assert "there is no connection 'nobody' here; configured: oration" in mistakes(answer)["body.keys.1"]
    assert items(ask, "/v1/watches") == []


def test_labels_that_no_job_can_have_are_refused(ask: Asked) -> None:
    """A name of 64 characters may have more bytes than a name has, which no schema can tell."""
    wish = {"keys": [KEY], "labels": {"ü" * 64: "x"}}
    answer = described("POST", "/v1/watches", ask("POST", "/v1/watches", wish))

    assert (answer.status, list(mistakes(answer))) == (409, ["body.labels"])
    assert ask("POST", "/v1/watches", {"keys": [KEY], "labels": {"\ud800": "x"}}).status == 422


def test_a_job_with_labels_enough_gets_no_others(ask: Asked) -> None:
    ask("POST", "/v1/watches", {"keys": [KEY], "labels": {f"l{n}": "x" for n in range(20)}})
    answer = ask("POST", "/v1/watches", {"keys": [str(CODED), KEY], "labels": {"another": "x"}})

    assert answer.status == 409
    assert ask("GET", "/v1/job", key=str(CODED)).status == 404


def test_what_is_followed_is_listed_by_its_slots_and_nothing_twice(ask: Asked) -> None:
    keys = [str(oration_key(f"j{number}")) for number in range(7)]
    ask("POST", "/v1/watches", {"keys": keys})
    ask("DELETE", "/v1/watches", key=keys[3])

    for limit in (1, 2, 3, 100):
        assert sorted(job["job"]["key"] for job in items(ask, "/v1/watches", limit)) == keys[:3] + keys[4:]


def test_ending_leaves_the_job_known_and_an_unknown_one_is_told(ask: Asked) -> None:
    ask("POST", "/v1/watches", {"keys": [KEY]})
    ended = described("DELETE", "/v1/watches", ask("DELETE", "/v1/watches", key=KEY))
    unknown = described("DELETE", "/v1/watches", ask("DELETE", "/v1/watches", key="oration/job/acme/no"))

    assert ended.json == {"key": KEY, "watched": False}
    assert ask("GET", "/v1/job", key=KEY).json["watched"] is False
    assert (unknown.status, unknown.json["type"]) == (404, "urn:pollbridge:problem:unknown-job")


# A connection that is no longer configured


def test_a_job_of_a_connection_that_is_gone_can_be_read_and_ended_and_not_followed(ask: Asked) -> None:
    key = JobKey("retired", "job", "acme", "j 1")
    told = life(ask.office, key, "pending", "running", at=YESTERDAY)
    head = Heads(ask.office.table).get(key)
    assert head
    assert head.slot

    job = described("GET", "/v1/job", ask("GET", "/v1/job", key=str(key)))
    assert (job.status, job.json) == (200, json.loads(json.dumps(job_json(head))))
    assert items(ask, "/v1/history", 1, key=str(key)) == [change_json(entry) for entry in told]
    ended = described("DELETE", "/v1/watches", ask("DELETE", "/v1/watches", key=str(key)))
    assert ended.json == {"key": str(key), "watched": False}
    assert ask("GET", "/v1/job", key=str(key)).json["watched"] is False
    refused = described("POST", "/v1/watches", ask("POST", "/v1/watches", {"keys": [str(key)]}))
    assert (refused.status, list(mistakes(refused))) == (409, ["body.keys.0"])
    assert "there is no connection 'retired' here; configured: oration" in mistakes(refused)["body.keys.0"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/job"), ("GET", "/v1/history"), ("DELETE", "/v1/watches")])
def test_a_job_of_a_connection_that_never_was_is_told_which_there_are(ask: Asked, method: str, path: str) -> None:
    answer = described(method, path, ask(method, path, key="retired/job/acme/1"))

    assert (answer.status, answer.json["type"]) == (404, "urn:pollbridge:problem:unknown-job")
    assert "configured: oration" in answer.json["detail"]


# Jobs and history


def test_a_job_its_history_and_deliveries_are_told_as_the_commands_tell_them(ask: Asked) -> None:
    office, key = ask.office, oration_key()
    told = life(office, key, "pending", "running", "failed", at=YESTERDAY)
    office.work("service")
    head = Heads(office.table).get(key)
    assert head

    job = described("GET", "/v1/job", ask("GET", "/v1/job", key=KEY))
    assert job.json == json.loads(json.dumps(job_json(head)))
    assert items(ask, "/v1/history", key=KEY) == [change_json(entry) for entry in told]
    assert sorted(items(ask, "/v1/deliveries", job=KEY), key=lambda each: each["version"]) == [
        json.loads(json.dumps(delivery_json(delivery)))
        for delivery in sorted(office.ledger(key), key=lambda delivery: delivery.version)
    ]


def test_jobs_of_one_moment_come_each_once_whatever_the_page_holds(ask: Asked) -> None:
    for number in range(7):
        life(ask.office, oration_key(f"j{number}"), "failed" if number % 2 else "running", at=YESTERDAY)
    for number in range(3):
        life(ask.office, oration_key(f"k{number}"), "failed", at=YESTERDAY + timedelta(minutes=number))
    every = [job["job"]["key"] for job in items(ask, "/v1/jobs", 100)]

    assert len(every) == len(set(every)) == 10
    assert every[:2] == [str(oration_key("k2")), str(oration_key("k1"))]
    for limit in (1, 2, 3, 9):
        assert [job["job"]["key"] for job in items(ask, "/v1/jobs", limit)] == every


def test_jobs_are_narrowed_by_connection_vendor_state_and_time(ask: Asked) -> None:
    life(ask.office, oration_key("old"), "failed", at=YESTERDAY)
    life(ask.office, oration_key("new"), "running", at=YESTERDAY + timedelta(hours=20))
    ask("POST", "/v1/watches", {"keys": [str(oration_key("unseen"))]})

    def ids(**query: Any) -> list[str]:
        return [job["job"]["id"] for job in items(ask, "/v1/jobs", 1, **query)]

    assert ids() == ids(connection="oration") == ids(vendor="oration") == ["unseen", "new", "old"]
    assert (ids(state="failed"), ids(state=["failed", "running"]), ids(state="failed,unseen")) == (
        ["old"],
        ["new", "old"],
        ["unseen", "old"],
    )
    assert ids(since="5h") == ids(since=(YESTERDAY + timedelta(hours=19)).isoformat()) == ["unseen", "new"]
    assert ids(vendor="scale") == []
    answer = described("GET", "/v1/jobs", ask("GET", "/v1/jobs", connection="nobody"))
    assert (answer.status, answer.json["type"]) == (404, "urn:pollbridge:problem:unknown-connection")


def test_a_page_asked_for_when_its_time_has_passed_is_empty(ask: Asked) -> None:
    """DynamoDB refuses a span that ends before it begins."""
    for number in range(3):
        life(ask.office, oration_key(f"j{number}"), "failed", at=YESTERDAY)
    first = ask("GET", "/v1/jobs", limit=1, since="25h")
    ask.wall = lambda: datetime.now(UTC) + timedelta(days=2)
    ask.__post_init__()

    assert ask("GET", "/v1/jobs", limit=1, since="25h", cursor=first.json["next"]).json == {"items": [], "next": None}


# Deliveries


def test_deliveries_come_newest_first_each_once_and_only_those_asked_for(ask: Asked) -> None:
    office = ask.office
    life(office, oration_key("j1"), "running", "failed", at=YESTERDAY)
    life(office, oration_key("j2"), "running", "failed", at=YESTERDAY)
    office.does["service"] = refusing
    office.work("service")
    office.work("team")

    every = items(ask, "/v1/deliveries", 100)
    assert len(every) == 8
    assert [each["version"] for each in every] == [2] * 4 + [1] * 4
    for limit in (1, 2, 3, 7):
        assert items(ask, "/v1/deliveries", limit) == every
    failed = [each for each in every if each["status"] == "failed"]
    assert items(ask, "/v1/deliveries", 1, failed="true") == failed
    assert {each["destination"] for each in items(ask, "/v1/deliveries", to="team")} == {"team"}
    assert len(items(ask, "/v1/deliveries", 1, job=KEY, failed="true")) == 2


def test_what_is_rare_is_looked_for_page_by_page(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no request takes longer than a function may."""
    monkeypatch.setattr("pollbridge.api.deliveries.LOOKED_UP", 1)
    monkeypatch.setattr("pollbridge.api.deliveries.CHUNK", 3)
    life(ask.office, oration_key(), *["running", "failed"] * 5, at=YESTERDAY)
    ask.office.work("service")

    told = pages(ask, "/v1/deliveries", 100, to="service")
    assert [len(page) for page in told] == [3, 2, 2, 2, 1]
    assert [each["version"] for page in told for each in page] == [*range(10, 0, -1)]
    assert [len(page) for page in pages(ask, "/v1/deliveries", 2, failed="true")] == [0] * 5


def test_deliveries_older_than_their_record_are_not_looked_for(ask: Asked) -> None:
    before = len(ask.office.aws.calls)
    assert ask("GET", "/v1/deliveries", since="1980-01-01T00:00:00Z").json["items"] == []

    assert len(ask.office.aws.calls) - before <= KEEP.days + 5


# Sending again


def test_an_event_is_sent_again_to_all_that_hear_of_it_or_to_one(ask: Asked) -> None:
    office = ask.office
    [entry] = life(office, oration_key(), "failed", at=YESTERDAY)
    office.work("service"), office.work("team")
    path = f"/v1/events/{entry.event_id}/resend"

    to_all = described("POST", "/v1/events/{event_id}/resend", ask("POST", path))
    assert [office.count(name) for name in ("team", "service")] == [1, 1]
    office.now = datetime.now(UTC)
    office.work("service"), office.work("team")
    to_one = ask("POST", path, {"to": "team", "job": KEY})

    assert to_all.json == {
        "event_id": entry.event_id,
        "items": [{"destination": name, "resent": True, "why": None} for name in ("service", "team")],
    }
    assert [item["destination"] for item in to_one.json["items"]] == ["team"]
    office.now = datetime.now(UTC)
    office.work("team")
    assert office.got.count(("team", entry.event_id)) == 3


def test_an_event_of_any_age_is_found_by_its_job(ask: Asked) -> None:
    long_ago = datetime.now(UTC) - KEEP - timedelta(days=30)
    [entry] = life(ask.office, oration_key(), "failed", at=long_ago)
    path = f"/v1/events/{entry.event_id}/resend"

    alone, with_job = ask("POST", path), ask("POST", path, {"job": KEY})
    assert (alone.status, alone.json["type"]) == (404, "urn:pollbridge:problem:unknown-event")
    assert "name its `job`" in alone.json["detail"]
    assert with_job.status == 200


def test_what_is_being_delivered_is_not_sent_twice(ask: Asked) -> None:
    office = ask.office
    [entry] = life(office, oration_key(), "failed", at=YESTERDAY)
    answers: list[Answer] = []

    def busy(notice: Any) -> Any:
        answers.append(ask("POST", f"/v1/events/{entry.event_id}/resend", {"to": "service"}))
        return refusing(notice)

    office.does["service"] = busy
    office.now = datetime.now(UTC)
    office.work("service")

    [answer] = answers
    described("POST", "/v1/events/{event_id}/resend", answer)
    assert (answer.status, mistakes(answer)) == (409, {"service": "it is being delivered at this moment"})


class Undertaker:
    """SQS as the API has it, in front of another. `meets` is told each call about dead letters."""

    CALLS = frozenset({"receive_message", "delete_message", "change_message_visibility"})

    def __init__(self, sqs: Any, meets: Callable[[str, str], object]) -> None:
        self.sqs, self.meets = sqs, meets

    def __getattr__(self, operation: str) -> Any:
        def call(**wish: Any) -> Any:
            if operation in self.CALLS and wish["QueueUrl"].endswith("dead_letter"):
                self.meets(operation, wish["QueueUrl"])
            return getattr(self.sqs, operation)(**wish)

        return call


def bury(office: Office, name: str, *jobs: str) -> list[Entry]:
    """Events that end among the dead letters of a destination."""
    entries = [life(office, oration_key(job), "failed", at=YESTERDAY)[0] for job in jobs]
    office.does[name] = refusing
    office.work(name)
    del office.does[name]
    return entries


def test_what_is_sent_again_is_no_dead_letter_any_more_and_others_stay(ask: Asked) -> None:
    office = ask.office
    first, _, _ = bury(office, "service", "j1", "j2", "j3")
    answer = ask("POST", f"/v1/events/{first.event_id}/resend", {"to": "service"})
    left = [json.loads(letter["Body"])["detail"]["id"] for letter in office.waiting("service", "dead_letter")]

    assert answer.status == 200
    assert len(left) == 2
    assert first.event_id not in left
    assert not any(office.sqs.waited)


@pytest.mark.promise(38)
def test_the_letter_of_a_failure_right_after_the_sending_stays_and_the_old_one_goes(ask: Asked) -> None:
    office = ask.office
    first, second = bury(office, "service", "j1", "j2")
    old = office.letters("service")

    office.does["service"] = refusing
    office.work_at_once("service")
    assert ask("POST", f"/v1/events/{first.event_id}/resend", {"to": "service"}).status == 200

    new = office.letters("service")
    assert [delivery.status for delivery in office.ledger(oration_key("j1"))] == ["failed"]
    assert (sorted(new.values()), [old[one] for one in new.keys() & old.keys()]) == (
        sorted([first.event_id, second.event_id]),
        [second.event_id],
    )


@pytest.mark.promise(38)
@pytest.mark.parametrize("fate", [refusing, breaking, taking])
def test_where_nothing_can_be_queued_the_caller_comes_again_and_everything_is_as_it_was(ask: Asked, fate: Any) -> None:
    office = ask.office
    [entry] = life(office, oration_key(), "failed", at=YESTERDAY)
    office.does["service"] = fate
    office.work("service")
    before, letters = office.ledger(oration_key()), office.letters("service")

    office.sqs.broken = True
    path = "/v1/events/{event_id}/resend"
    answer = described("POST", path, ask("POST", f"/v1/events/{entry.event_id}/resend", {"to": "service"}))

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert (office.ledger(oration_key()), office.letters("service")) == (before, letters)


@pytest.mark.promise(38)
def test_where_the_second_cannot_be_sent_to_only_the_letter_of_the_first_is_gone(ask: Asked) -> None:
    office = ask.office
    [entry] = bury(office, "service", "j1")
    office.does["team"] = refusing
    office.work("team")

    def breaks() -> None:
        office.sqs.broken = True

    office.sqs.queued = breaks  # As soon as it is in the queue of `service`.
    assert ask("POST", f"/v1/events/{entry.event_id}/resend").status == 503

    assert (office.letters("service"), len(office.letters("team"))) == ({}, 1)


def test_dead_letters_that_cannot_be_looked_at_are_no_reason_to_say_that_nothing_was_sent(
    ask: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    office = ask.office
    [entry] = bury(office, "service", "j1")

    def refuse(operation: str, url: str) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "inner"}}, operation)

    office.sqs = Undertaker(office.sqs, refuse)  # type: ignore[assignment]
    answer = ask("POST", f"/v1/events/{entry.event_id}/resend", {"to": "service"})
    [stays] = [vars(line) for line in caplog.records if line.getMessage() == "dead letters stay"]

    assert (answer.status, office.count("service"), office.count("service", "dead_letter")) == (200, 1, 1)
    assert (stays["levelname"], stays["destination"], stays["event_id"]) == ("WARNING", "service", entry.event_id)
    assert "inner" in str(stays["exc_info"])


def test_a_letter_that_cannot_be_taken_out_leaves_the_others_visible(ask: Asked) -> None:
    office = ask.office
    first, _, _ = bury(office, "service", "j1", "j2", "j3")

    def refuse(operation: str, url: str) -> None:
        if operation == "delete_message":
            raise TimeoutError(operation)

    office.sqs = Undertaker(office.sqs, refuse)  # type: ignore[assignment]
    answer = ask("POST", f"/v1/events/{first.event_id}/resend", {"to": "service"})

    assert (answer.status, office.count("service", "dead_letter")) == (200, 3)
    assert office.visible("service", "dead_letter") == 2


def test_dead_letters_of_many_destinations_are_looked_through_side_by_side_and_only_some_of_each() -> None:
    hook = {"type": "webhook", "secret": "w", "match": {"detail_type": [*TYPES]}}
    with mock_aws():
        ask = Asked(Office({f"d{number:02}": hook for number in range(28)}))
        office, together, calls = ask.office, threading.Barrier(2), Counter[str]()
        [entry] = life(office, oration_key(), "failed", at=YESTERDAY)
        for _ in range(40):
            office.sqs.send_message(QueueUrl=office.parts["d27"]["dead_letter"], MessageBody="another's")

        def meet(operation: str, url: str) -> None:
            calls[operation] += 1
            if "d00" in url or "d01" in url:
                together.wait(10)

        office.sqs = Undertaker(office.sqs, meet)  # type: ignore[assignment]
        answer = ask("POST", f"/v1/events/{entry.event_id}/resend")

        assert [item["resent"] for item in answer.json["items"]] == [True] * 28
        assert calls == {"receive_message": 28 * ROUNDS, "change_message_visibility": TEN * ROUNDS}
        assert office.visible("d27", "dead_letter") == 40


def test_the_answer_does_not_wait_long_for_dead_letters(
    ask: Asked, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pollbridge.api.deliveries.TIDYING", 0.05)
    office, again, ended = ask.office, threading.Event(), list[bool]()
    [entry] = bury(office, "service", "j1")

    def hang(operation: str, url: str) -> None:
        ended.append(again.wait(10))
        raise TimeoutError(operation)

    office.sqs = Undertaker(office.sqs, hang)  # type: ignore[assignment]
    try:
        answer = ask("POST", f"/v1/events/{entry.event_id}/resend", {"to": "service"})
        assert not ended
    finally:
        again.set()

    assert (answer.status, office.count("service")) == (200, 1)
    assert [line.getMessage() for line in caplog.records].count("dead letters stay") == 1


# What is wrong


@pytest.mark.parametrize(
    ("path", "query", "where"),
    [
        ("/v1/jobs", {"limit": "0"}, "query.limit"),
        ("/v1/jobs", {"limit": "1.0"}, "query.limit"),
        ("/v1/jobs", {"limit": ["1", "2"]}, "query.limit"),
        ("/v1/jobs", {"state": "done"}, "query.state.0"),
        ("/v1/jobs", {"since": "yesterday"}, "query.since"),
        ("/v1/jobs", {"since": "2026-02-31T00:00:00Z"}, "query.since"),
        ("/v1/jobs", {"stat": "failed"}, "query.stat"),
        ("/v1/job", {}, "query.key"),
        ("/v1/job", {"key": "oration/job/acme"}, "query.key"),
        ("/v1/job", {"key": "oration/job/acme/.."}, "query.key"),
        ("/v1/job", {"key": "oration/job/acme/" + "x" * 1000}, "query.key"),
        ("/v1/deliveries", {"failed": "1"}, "query.failed"),
    ],
)
def test_a_slip_in_a_query_is_named(ask: Asked, path: str, query: dict[str, Any], where: str) -> None:
    answer = described("GET", path, ask("GET", path, **query))

    assert (answer.status, list(mistakes(answer))) == (422, [where])


@pytest.mark.parametrize("body", ["{", '{"keys": [NaN]}', "[" * 100_000, '"\\', b"\xff\xfe", "1" * 5000])
def test_a_body_that_is_no_json_is_told_so(ask: Asked, body: str | bytes) -> None:
    for headers in ({"content-type": "application/json"}, {}):
        raw = body if isinstance(body, bytes) else body.encode()
        answer = described("POST", "/v1/watches", ask.raw("POST", "/v1/watches", "", headers, raw))

        assert (answer.status, answer.json["type"]) == (400, "urn:pollbridge:problem:not-json")


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("[" * 100_000, "It is nested too deeply."),
        ('{"keys": [' + "1" * 5000 + "]}", "It holds a number of too many digits."),
        ('{"keys": [NaN]}', "NaN is no number of JSON"),
    ],
)
def test_what_is_wrong_with_a_body_that_is_no_json_is_said(ask: Asked, body: str, what: str) -> None:
    answer = ask.raw("POST", "/v1/watches", "", {"content-type": "application/json"}, body.encode())

    assert answer.json["detail"] == what


@pytest.mark.parametrize("since", ["2026-06-08T12:00:00+25:00", "2026-06-08T12:00:00-24:00", "2026-13-01T00:00:00Z"])
def test_a_time_that_is_none_is_told_what_one_is(ask: Asked, since: str) -> None:
    told = {"query.since": "wants a time such as 2026-06-08T12:00:00Z, or an age such as 2h"}

    assert mistakes(ask("GET", "/v1/jobs", since=since)) == mistakes(ask("GET", "/v1/jobs", since="yesterday")) == told


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ([{"keys": [KEY]}], "body"),
        (None, "body"),
        ({"keys": []}, "body.keys"),
        ({"keys": [KEY] * 101}, "body.keys"),
        ({"keys": [1]}, "body.keys.0"),
        ({"keys": [KEY], "lables": {}}, "body.lables"),
        ({"keys": [KEY], "labels": {"a": 1}}, "body.labels.a"),
    ],
)
def test_a_slip_in_a_body_is_named(ask: Asked, body: Any, where: str) -> None:
    answer = described("POST", "/v1/watches", ask("POST", "/v1/watches", body))

    assert (answer.status, list(mistakes(answer))) == (422, [where])


def test_a_body_of_another_type_is_refused(ask: Asked) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        raw = f"keys={KEY}".encode()
        answer = described("POST", "/v1/watches", ask.raw("POST", "/v1/watches", "", {"Content-Type": kind}, raw))

        assert answer.status == 415


@pytest.mark.parametrize("method", ["PUT", "PATCH", "HEAD", "OPTIONS"])
def test_a_method_that_a_path_does_not_take_is_told_which_it_does(ask: Asked, method: str) -> None:
    answer = ask(method, "/v1/watches")

    assert (answer.status, answer.headers["Allow"]) == (405, "DELETE, GET, POST")
    assert answer.json["type"] == "urn:pollbridge:problem:no-method"


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/jobs/", "/v2/jobs", "/v1/events//resend", "/v1/events/a/b/resend", "/%"]
)
def test_a_path_that_is_none_is_told_so(ask: Asked, path: str) -> None:
    answer = ask("GET", path)

    assert (answer.status, answer.json["type"]) == (404, "urn:pollbridge:problem:no-route")


def crafted(*parts: Any, spaced: bool = False) -> str:
    """As cursors are written, but for the spaces."""
    text = json.dumps(parts, separators=None if spaced else (",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_a_cursor_is_taken_by_its_own_question_only(ask: Asked) -> None:
    life(ask.office, oration_key(), "running", "failed", at=YESTERDAY)
    ask("POST", "/v1/watches", {"keys": [str(CODED)]})
    cursor = ask("GET", "/v1/jobs", limit=1).json["next"]
    digest, *place = json.loads(base64.urlsafe_b64decode(cursor + "=="))
    assert crafted(digest, *place) == cursor
    strange = [
        ("/v1/jobs", {"state": "failed", "cursor": cursor}),
        ("/v1/deliveries", {"cursor": cursor}),
        *(
            ("/v1/jobs", {"cursor": text})
            for text in (
                "abc",
                cursor[:-1],
                cursor + "A",
                crafted(digest),
                crafted(digest, "", ""),
                crafted(digest, "now", KEY),
                crafted(digest, 1, 2),
                crafted(digest, *place, spaced=True),
                crafted(),
                "bnVsbA",
                crafted(digest, "\ud800", KEY),
            )
        ),
    ]
    for path, query in strange:
        answer = described("GET", path, ask("GET", path, **query))

        assert (answer.status, answer.json["type"]) == (400, "urn:pollbridge:problem:bad-cursor"), query


@pytest.mark.parametrize(
    "moment",
    [
        "9999-12-31T09:00:00.000Z",
        "0001-01-01T00:00:00.000Z",
        "2026-06-08T12:00:00.000Z#" + "x" * 961,
        "2026-06-08T12:00:00.000Z#" + "ü" * 481,
        "2026-06-08T12:00:00.000Z#",
        "2026-06-08T12:00:00.000Z~",
    ],
)
def test_a_place_that_no_index_holds_leads_nowhere(ask: Asked, moment: str) -> None:
    """DynamoDB refuses a sort key of more than 1,024 bytes, and the days have an end."""
    for path, question in (
        ("/v1/deliveries", Question("deliveries", (None, None, False, None))),
        ("/v1/jobs", Question("jobs", (None, None, sorted(STATES), None))),
    ):
        begun = described("GET", path, ask("GET", path, cursor=question.cursor("2026-06-08T12:00:00.000Z#x", "y")))
        answer = described("GET", path, ask("GET", path, cursor=question.cursor(moment, "y")))

        assert begun.status == 200
        assert (answer.status, answer.json["type"]) == (400, "urn:pollbridge:problem:bad-cursor")


def test_a_place_in_the_future_is_not_looked_for_day_by_day(ask: Asked) -> None:
    question = Question("deliveries", (None, None, False, None))
    life(ask.office, oration_key(), "running", at=YESTERDAY)
    ask.office.work("service")
    before = len(ask.office.aws.calls)
    answer = ask("GET", "/v1/deliveries", cursor=question.cursor("2199-12-31T00:00:00.000Z#x", "y"))

    assert len(answer.json["items"]) == 1
    assert len(ask.office.aws.calls) - before < 20


def test_the_longest_cursor_is_taken_and_a_longer_one_is_not(ask: Asked) -> None:
    """A key of 960 bytes, a moment and a destination of 40."""
    question = Question("deliveries", (None, None, False, None))
    longest = question.cursor("2026-06-08T12:00:00.000Z#" + "x" * 960, "d" * 40)
    long = described("GET", "/v1/deliveries", ask("GET", "/v1/deliveries", cursor="A" * 2049))

    assert ask("GET", "/v1/deliveries", cursor=longest).status == 200
    assert (long.status, list(mistakes(long))) == (422, ["query.cursor"])


# AWS


@pytest.mark.parametrize(
    "error",
    [
        throttle("Query"),
        ClientError({"Error": {"Code": "Whatever"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, "Query"),
        EndpointConnectionError(endpoint_url="https://dynamodb"),
        ReadTimeoutError(endpoint_url="https://dynamodb"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_when_aws_is_busy_the_caller_is_asked_to_come_again(ask: Asked, error: Exception) -> None:
    ask.office.aws.plan = lambda _: Fault(error)
    answer = described("GET", "/v1/jobs", ask("GET", "/v1/jobs"))

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "dynamodb" not in answer.body


def test_whatever_else_breaks_is_told_without_its_words_and_logged_with_them(
    ask: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    ask.office.aws.plan = lambda _: Fault(RuntimeError("arn:aws:dynamodb:eu-west-1:111122223333:table/inner"))
    answer = described("GET", "/v1/job", ask("GET", "/v1/job", key=KEY))

    assert (answer.status, answer.json["type"]) == (500, "urn:pollbridge:problem:broken")
    assert "inner" not in answer.body
    [broken] = [line for line in caplog.records if line.getMessage() == "broken"]
    assert answer.json["request_id"]
    assert "inner" in str(broken.exc_info)


def test_what_the_table_holds_of_another_release_is_told_all_the_same(ask: Asked) -> None:
    [entry] = life(ask.office, oration_key(), "failed", at=YESTERDAY)
    item = ask.office.aws.client.items[entry.pk, entry.sk]
    item["event"] = {"S": entry.event.replace('"first_seen"', '"a_reason_of_tomorrow"')}

    answer = ask("GET", "/v1/history", key=KEY)
    assert "a_reason_of_tomorrow" in answer.json["items"][0]["reasons"]


def test_every_answer_is_logged_with_the_job_it_was_about(ask: Asked, caplog: pytest.LogCaptureFixture) -> None:
    ask("GET", "/v1/history", key=KEY)
    [line] = map(vars, caplog.records)

    assert (line["msg"], line["route"], line["status"], line["job"]) == ("answered", "GET /v1/history", 404, KEY)


def test_whatever_a_request_does_is_logged_with_its_job(ask: Asked, caplog: pytest.LogCaptureFixture) -> None:
    [entry] = life(ask.office, oration_key(), "failed", at=YESTERDAY)
    ask("POST", "/v1/watches", {"keys": [str(CODED)]})
    ask("POST", f"/v1/events/{entry.event_id}/resend", {"to": "team"})
    watched, _, resent, _ = map(vars, caplog.records)

    assert (watched["msg"], watched["job"]) == ("watched", str(CODED))
    assert (resent["msg"], resent["job"], resent["event_id"], resent["destination"]) == (
        "resent",
        KEY,
        entry.event_id,
        "team",
    )


def test_the_events_of_a_url_are_as_aws_makes_them() -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads."""
    event = url_event("POST", "/v1/jobs", "a=1&a=2&b=%2F", {"X-A": "b"}, b"\x00")

    assert event["queryStringParameters"] == {"a": "1,2", "b": "/"}
    assert (event["headers"], event["body"], event["isBase64Encoded"]) == ({"x-a": "b"}, "AA==", True)


def test_a_key_of_another_spelling_is_the_same_job(ask: Asked) -> None:
    ask("POST", "/v1/watches", {"keys": [str(JobKey("oration", "job", "acme", "é"))]})

    assert ask("GET", "/v1/job", key="oration/job/acme/é").json["job"]["id"] == "é"


# The command


def told(monkeypatch: pytest.MonkeyPatch, parts: dict[str, Any], *arguments: str) -> Result:
    settings = check({"vendors": {"oration": {"secret": "s"}}}, "test")
    deployment = Deployment("Pollbridge", None, "pollbridge", settings, parts)  # type: ignore[arg-type]
    monkeypatch.setattr(api_command, "find", lambda: deployment)
    return CliRunner().invoke(api_command.api, arguments)


def test_the_command_tells_where_the_api_is(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"function": "f", "url": "https://x.lambda-url.eu-central-1.on.aws/", "callers": "arn"}
    plain, as_json = (told(monkeypatch, {"api": parts}, *arguments) for arguments in ((), ("--json",)))

    assert plain.stdout == "https://x.lambda-url.eu-central-1.on.aws\n"
    assert json.loads(as_json.stdout) == {**parts, "url": "https://x.lambda-url.eu-central-1.on.aws"}


def test_in_the_emulator_it_is_below_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1/")

    found = told(monkeypatch, {"api": {"function": "f", "url": "/_aws/lambda-url/x"}})
    assert found.stdout == "http://127.0.0.1:1/_aws/lambda-url/x\n"


@pytest.mark.parametrize("parts", [{}, {"api": None}])
def test_where_it_is_off_the_command_says_how_to_switch_it_on(
    monkeypatch: pytest.MonkeyPatch, parts: dict[str, Any]
) -> None:
    result = told(monkeypatch, parts)

    assert (result.exit_code, result.stdout) == (1, "")
    assert (
        result.stderr == "pollbridge: the API is off: set enabled = true under [api] in pollbridge.toml, and deploy\n"
    )
