"""Each function, woken by the events that AWS sends it, in moto and with its receivers on loopback."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pollbridge.aws import client
from pollbridge.history.connections import Connections
from pollbridge.history.entries import Entries
from pollbridge.history.table import Table
from pollbridge.model.job import JobKey
from tests.integration.simulated import Receivers, Vendors
from tests.kit.events import cases, event
from tests.kit.streaming import records
from tests.kit.sweeping import START, Bench, oration_body, oration_key
from tests.kit.waking import FUNCTIONS, SIGNING, Deployment, failures, loaded

RECORDED = event("publisher", "recorded")["Records"][0]["dynamodb"]["NewImage"]
MENTIONLAB = JobKey("mentionlab", "job", "p", "1")


@pytest.mark.parametrize("case", ["scheduled", "by_hand", "placeholder"])
def test_the_poller_sweeps_its_connection(
    deployment: Deployment, vendors: Vendors, log: list[dict[str, Any]], case: str
) -> None:
    deployment.keep_secret("vendor", **{"x-api-key": "canary-key", "x-organisation-id": "o"})
    deployment.heads.follow(MENTIONLAB, {}, START)
    vendors.script(str(MENTIONLAB), {"body": {"status": "processing"}})

    report = deployment.wake("poller", event("poller", case))

    assert (report["outcome"], report["changed"]) == ("completed", 1)
    assert [line["message"] for line in log] == ["recorded", "swept"]
    assert (log[0]["job"], log[1]["connection"]) == (str(MENTIONLAB), "mentionlab")
    assert "canary" not in str(log)


def test_a_tick_made_by_hand_is_all_the_poller_knows_of_time(deployment: Deployment, vendors: Vendors) -> None:
    deployment.keep_secret("vendor", **{"x-api-key": "k"})
    deployment.heads.follow(MENTIONLAB, {}, START)
    vendors.script(str(MENTIONLAB), {})

    deployment.wake("poller", event("poller", "by_hand"))

    head = deployment.heads.get(MENTIONLAB)
    assert head
    assert head.observed_at == "2026-06-08T12:31:00Z"
    assert Connections(deployment.table).get("mentionlab").completed == 29_682_031


def test_a_vendor_that_is_away_is_part_of_the_pollers_result(deployment: Deployment) -> None:
    deployment.keep_secret("vendor", **{"x-api-key": "k"})
    deployment.heads.follow(MENTIONLAB, {}, START)

    report = deployment.wake("poller", event("poller", "scheduled"))

    assert (report["outcome"], report["failed"], report["errors"]) == ("failing", 1, {"no connection": 1})


def test_a_missing_secret_is_part_of_the_pollers_result(deployment: Deployment) -> None:
    deployment.heads.follow(MENTIONLAB, {}, START)

    report = deployment.wake("poller", event("poller", "scheduled"))

    assert report["errors"] == {"secret vendor is missing: set it with `pollbridge secret set vendor`": 1}


def test_the_publisher_publishes_what_the_stream_brings(deployment: Deployment, log: list[dict[str, Any]]) -> None:
    assert failures(deployment.wake("publisher", event("publisher", "recorded"))) == []
    assert [(line["message"], line["event_id"]) for line in log] == [("published", RECORDED["event_id"]["S"])]


def test_the_publisher_reports_the_record_it_cannot_read(deployment: Deployment) -> None:
    assert failures(deployment.wake("publisher", event("publisher", "one_unreadable"))) == ["4000000000000000009486002"]


def test_the_sample_of_the_stream_has_the_fields_that_are_recorded(table: Table) -> None:
    bench = Bench(table)
    bench.watch(oration_key(), oration_body())
    bench.tick()

    [recorded] = [record["dynamodb"]["NewImage"] for record in records(table)]
    sample = event("publisher", "recorded")["Records"][0]["dynamodb"]["NewImage"]
    assert {name: [*value] for name, value in sample.items()} == {name: [*value] for name, value in recorded.items()}
    assert json.loads(sample["event"]["S"]).keys() == json.loads(recorded["event"]["S"]).keys()


def test_the_registrar_follows_what_is_asked_for(deployment: Deployment) -> None:
    assert failures(deployment.wake("registrar", event("registrar", "requested"))) == []

    head = deployment.heads.get(JobKey.parse("oration/job/acme/0b9f6c1e-6d0f-4d6e-9d1a-2f7f1b9c3e55"))
    assert head
    assert head.watched
    assert head.labels == {"team": "docs"}


def test_the_registrar_reports_what_cannot_be_followed_and_follows_the_rest(
    deployment: Deployment, log: list[dict[str, Any]]
) -> None:
    answer = deployment.wake("registrar", event("registrar", "one_refused"))

    assert failures(answer) == ["059f36b4-87a3-44ab-83d2-661975723001"]
    assert deployment.heads.get(JobKey.parse("oration/job/acme/2"))
    assert "oration has no kind 'task'" in log[0]["reason"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "null",
        "{",
        "7",
        "{}",
        '{"detail": null}',
        '{"detail": []}',
        '{"detail": {}}',
        '{"detail": {"key": 7}}',
        '{"detail": {"key": "oration/job/acme/1", "labels": {"a": 1}}}',
        '{"detail": {"key": "oration/job/acme/1", "labels": {"": ""}}}',
        '{"detail": {"key": "\\ud800/job/acme/1"}}',
    ],
)
def test_no_request_breaks_the_registrar(deployment: Deployment, body: str) -> None:
    requested = event("registrar", "requested")
    requested["Records"] = [requested["Records"][0] | {"body": body, "messageId": "odd"}, *requested["Records"]]

    assert failures(deployment.wake("registrar", requested)) == ["odd"]


def test_the_auditor_publishes_what_was_left_and_names_what_is_lost(
    deployment: Deployment, log: list[dict[str, Any]]
) -> None:
    bench = Bench(deployment.table)
    bench.watch(oration_key(), oration_body())
    bench.tick()

    counts = deployment.wake("auditor", event("auditor", "scheduled"))

    assert counts == {"republished": 1, "refused": 0, "poison": 0, "orphans": 0, "disabled": 0}
    assert [line["message"] for line in log] == ["published", "audited"]
    assert (log[0]["job"], log[0]["republished"]) == (str(oration_key()), 1)
    assert not bench.history(oration_key())[0].unpublished


def test_the_api_follows_a_job_and_tells_of_it(deployment: Deployment) -> None:
    followed = deployment.wake("api", event("api", "watch"))
    listed = deployment.wake("api", event("api", "jobs"))

    assert (followed["statusCode"], listed["statusCode"]) == (200, 200)
    [job] = json.loads(listed["body"])["items"]
    assert [{"key": job["job"]["key"], "new": True}] == json.loads(followed["body"])["items"]
    assert job["job"]["labels"] == {"team": "docs"}


def test_the_api_answers_what_it_does_not_have_with_a_problem(deployment: Deployment) -> None:
    answer = deployment.wake("api", event("api", "no_such_path"))

    assert answer["statusCode"] == 404
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert json.loads(answer["body"])["status"] == 404


def test_the_slack_notifier_posts_to_its_channel(deployment: Deployment, receivers: Receivers) -> None:
    deployment.env.setenv("DESTINATION", "team")

    assert failures(deployment.wake("slack_notifier", event("slack_notifier", "changed"))) == []

    [message] = receivers.messages()
    assert (message["receiver"], message["status"]) == ("slack/docs-team", 200)
    assert "92 of 100 succeeded" in json.dumps(message["body"])


def test_the_webhook_notifier_posts_what_verifies(deployment: Deployment, receivers: Receivers) -> None:
    deployment.env.setenv("DESTINATION", "service")

    assert failures(deployment.wake("webhook_notifier", event("webhook_notifier", "changed"))) == []

    [message] = receivers.messages()
    assert (message["verified"], message["body"]["type"]) == (True, "job.state_changed")
    assert message["headers"]["webhook-id"] == message["body"]["data"]["id"]


@pytest.mark.promise(32)
@pytest.mark.parametrize(("function", "destination"), [("slack_notifier", "team"), ("webhook_notifier", "service")])
def test_an_unreadable_message_is_buried_and_the_next_delivered(
    deployment: Deployment, receivers: Receivers, function: str, destination: str
) -> None:
    deployment.env.setenv("DESTINATION", destination)

    assert failures(deployment.wake(function, event(function, "one_unreadable"))) == []

    assert len(receivers.messages()) == 1
    assert len(deployment.dead_letters) == 1


@pytest.mark.parametrize(("function", "destination"), [("slack_notifier", "team"), ("webhook_notifier", "service")])
def test_a_missing_secret_is_tried_again_later(
    deployment: Deployment, log: list[dict[str, Any]], function: str, destination: str
) -> None:
    deployment.env.setenv("DESTINATION", destination)
    woken, handle = event(function, "changed"), deployment.received()
    woken["Records"][0]["receiptHandle"] = handle

    assert failures(deployment.wake(function, woken)) == [woken["Records"][0]["messageId"]]

    assert [(line["message"], line["outcome"], line["attempt"]) for line in log] == [("delivery", "retried", 1)]
    assert deployment.dead_letters == []


CANARIES = ("canary", SIGNING, SIGNING.removeprefix("whsec_"), "/slack/", "/webhook/")


@pytest.mark.promise(45)
@pytest.mark.parametrize("status", [200, 410, 500])
@pytest.mark.parametrize(
    ("function", "destination", "receiver"),
    [("slack_notifier", "team", "slack/docs-team"), ("webhook_notifier", "service", "webhook/service")],
)
def test_no_secret_is_logged_kept_or_buried_whatever_the_receiver_answers(  # noqa: PLR0917
    deployment: Deployment,
    receivers: Receivers,
    log: list[dict[str, Any]],
    function: str,
    destination: str,
    receiver: str,
    status: int,
) -> None:
    deployment.env.setenv("DESTINATION", destination)
    if status != 200:
        receivers.faults(receiver, {"status": status})
    woken = event(function, "changed")
    woken["Records"][0]["receiptHandle"] = deployment.received()

    deployment.wake(function, woken)

    kept = client("dynamodb").scan(TableName=deployment.table.name)["Items"]
    assert kept
    for canary in (*CANARIES, str(receivers.base_url)):
        assert canary not in str((log, kept, deployment.dead_letters))


@pytest.mark.promise(36)
@pytest.mark.promise(37)
@pytest.mark.parametrize(
    ("function", "destination", "receiver", "status"),
    [("slack_notifier", "team", "slack/docs-team", 404), ("webhook_notifier", "service", "webhook/service", 410)],
)
def test_a_receiver_that_wants_no_more_is_disabled_and_the_bus_hears_of_it_once(  # noqa: PLR0917
    deployment: Deployment,
    receivers: Receivers,
    log: list[dict[str, Any]],
    function: str,
    destination: str,
    receiver: str,
    status: int,
) -> None:
    deployment.env.setenv("DESTINATION", destination)
    receivers.faults(receiver, {"status": status})
    woken = event(function, "changed")
    assert failures(deployment.wake(function, woken)) == []
    next_one = json.loads(json.dumps(woken).replace(_event_id(woken), "f" * 36))

    assert failures(deployment.wake(function, next_one)) == []
    deployment.wake("publisher", {"Records": records(deployment.table)})

    assert [line.get("outcome") for line in log] == ["failed", "disabled", None]
    assert (log[2]["message"], log[2]["about_destination"]) == ("published", destination)
    assert [letter["Body"] for letter in deployment.dead_letters] == [woken["Records"][0]["body"]]
    [entry] = Entries(deployment.table, START - START, START - START).of_destination(destination)
    assert (entry.detail_type, entry.unpublished) == ("Destination Disabled", False)
    assert len(receivers.messages()) == 1


def _event_id(woken: dict[str, Any]) -> str:
    told: str = json.loads(woken["Records"][0]["body"])["detail"]["id"]
    return told


@pytest.mark.parametrize("function", sorted(path.parent.name for path in FUNCTIONS.glob("*/handler.py")))
def test_importing_a_handler_reads_no_environment(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TABLE", "BUS", "CONNECTION", "DESTINATION", "POLLBRIDGE_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    assert callable(loaded(function).handler)


def test_every_function_has_samples() -> None:
    assert {function for function, _ in cases()} == {path.parent.name for path in FUNCTIONS.glob("*/handler.py")}


def test_entries_of_the_sample_are_read_like_any_other(deployment: Deployment) -> None:
    [record] = event("publisher", "recorded")["Records"]
    deployment.table.put(record["dynamodb"]["NewImage"])
    deployment.wake("publisher", event("publisher", "recorded"))

    key = JobKey.parse(record["dynamodb"]["Keys"]["PK"]["S"].removeprefix("JOB#"))
    [entry] = Entries(deployment.table, START - START, START - START).of(key)
    assert not entry.unpublished
