"""Somebody else's vendor and receivers, plugged into the really deployed stack."""

import base64
import hashlib
import hmac
import json
import re
import subprocess
import sys

import pytest

from tests.e2e.conftest import SIGNING_SECRET, Local
from tests.kit.stranger import DROP, Post, Reply

pytestmark = pytest.mark.e2e

HTML = Reply(body=b"<html>maintenance</html>")


def _oration(job: str, status: str, **more: object) -> Reply:
    return Reply.json(id=job, status=status, name="customer.createBatch", **{"error": None, **more})


def _states(local: Local, key: str) -> list[str]:
    return [change["to"]["state"] for change in local.json("history", key)]


def _verifies(post: Post) -> bool:
    """Standard Webhooks 1.0.0 by hand: HMAC-SHA256 over id, timestamp and body."""
    signed = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.".encode() + post.body
    mac = hmac.new(base64.b64decode(SIGNING_SECRET.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(mac).decode()}" in post.headers["webhook-signature"].split(" ")


def _of_job(posts: list[Post], key: str) -> list[dict]:
    told = [json.loads(post.body)["data"] for post in posts]
    # What is told of a vendor is about no job.
    return [data for data in told if data.get("job", {}).get("key") == key]


@pytest.mark.smoke
def test_a_misbehaving_vendor_and_a_failing_receiver_make_the_right_history_and_deliveries(local: Local) -> None:
    key = "acme/job/ws/j%201"
    local.stranger.refusals["/hook"] = [500]
    local.stranger.scripts["/v2/jobs/j%201"] = [
        _oration("j 1", "created"),
        Reply(500),
        _oration("j 1", "active"),
        Reply(429, headers={"Retry-After": "90"}),
        HTML,
        DROP,
        _oration("j 1", "active"),
        _oration("j 1", "success"),
    ]
    hooks, slacks = len(local.stranger.to("/hook")), len(local.stranger.to("/slack"))
    local.run("watch", key, "--label", "team=docs")
    local.run("local", "tick", "12")
    posts = local.stranger.wait_for("/hook", hooks + 3)[hooks:]
    slack = local.stranger.wait_for("/slack", slacks + 1)[slacks:]

    assert _states(local, key) == ["pending", "running", "succeeded"]
    assert all(_verifies(post) and post.headers["x-team"] == "docs" for post in posts)
    assert {event["id"] for event in _of_job(posts, key)} == {e["event_id"] for e in local.json("history", key)}
    assert "succeeded" in json.loads(slack[0].body)["text"]


def test_between_last_seen_and_observed_nobody_looked(local: Local) -> None:
    key = "acme/job/ws/seen"
    local.stranger.scripts["/v2/jobs/seen"] = [
        _oration("seen", "active"),
        _oration("seen", "active"),
        Reply(500),
        _oration("seen", "failed", error="boom"),
    ]
    local.run("watch", key)
    local.run("local", "tick", "5")

    first, last = local.json("history", key)
    minutes = {
        name: int(last[name][14:16]) - int(first["observed_at"][14:16]) for name in ("last_seen_at", "observed_at")
    }
    assert {name: minute % 60 for name, minute in minutes.items()} == {"last_seen_at": 1, "observed_at": 3}
    assert local.json("show", key)["error"] == "boom"


def test_anything_in_the_account_registers_a_job_by_put_events(local: Local) -> None:
    key = "acme/job/ws/by-event"
    local.stranger.scripts["/v2/jobs/by-event"] = [_oration("by-event", "success")]
    detail = json.dumps({"key": key, "labels": {"from": "bus"}})
    entry = {"Source": "my.app", "DetailType": "Job Watch Requested", "Detail": detail, "EventBusName": "pollbridge"}
    local.aws("events").put_events(Entries=[entry])
    _until_known(local, key)
    local.run("local", "tick")

    [change] = local.json("history", key)
    assert change["reasons"] == ["first_seen", "state_changed"]
    assert local.json("show", key)["job"]["labels"] == {"from": "bus"}


def _until_known(local: Local, key: str) -> None:
    table = local.aws("cloudformation").describe_stacks(StackName="Pollbridge")["Stacks"][0]["Outputs"]
    name = next(output["OutputValue"] for output in table if output["OutputKey"] == "TableName")
    script = (
        "import sys, time, boto3\n"
        "table = boto3.client('dynamodb')\n"
        "key = {'PK': {'S': 'JOB#' + sys.argv[2]}, 'SK': {'S': 'HEAD'}}\n"
        "while 'Item' not in table.get_item(TableName=sys.argv[1], Key=key): time.sleep(0.1)\n"
    )
    subprocess.run([sys.executable, "-c", script, name, key], env=local.environment, timeout=60, check=True)


def test_a_publisher_that_was_down_too_long_is_made_good_by_the_auditor_with_the_same_ids(local: Local) -> None:
    key = "acme/job/ws/unheard"
    local.stranger.scripts["/v2/jobs/unheard"] = [_oration("unheard", "active"), _oration("unheard", "failed")]
    parts = _parts(local)
    lambda_, table = local.aws("lambda"), local.aws("dynamodb")
    [mapping] = lambda_.list_event_source_mappings(FunctionName=parts["publisher"])["EventSourceMappings"]
    lambda_.delete_event_source_mapping(UUID=mapping["UUID"])
    local.run("watch", key)
    local.run("local", "tick", "2")
    for version in (1, 2):
        # The auditor leaves entries alone for 15 minutes; these are made older instead of waiting.
        table.update_item(
            TableName=parts["table"],
            Key={"PK": {"S": f"JOB#{key}"}, "SK": {"S": f"V#{version:010d}"}},
            UpdateExpression="SET recorded_at = :t",
            ExpressionAttributeValues={":t": {"S": "2026-01-01T00:00:00.000Z"}},
        )
    before = len(local.stranger.to("/hook"))
    lambda_.invoke(FunctionName=parts["auditor"], Payload=b"{}")
    posts = local.stranger.wait_for("/hook", before + 2)

    recorded = {change["event_id"] for change in local.json("history", key)}
    assert {event["id"] for event in _of_job(posts, key)} == recorded
    lambda_.create_event_source_mapping(
        FunctionName=parts["publisher"],
        EventSourceArn=mapping["EventSourceArn"],
        StartingPosition="LATEST",
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )


def _parts(local: Local) -> dict:
    detail = local.aws("cloudformation").describe_stack_resource(
        StackName="Pollbridge", LogicalResourceId="Configuration"
    )
    return json.loads(detail["StackResourceDetail"]["Metadata"])["pollbridge"]


@pytest.mark.promise(21)
@pytest.mark.promise(45)
def test_no_person_and_no_key_appears_in_table_logs_events_or_messages(local: Local) -> None:
    person = {"id": "u1", "firstName": "Jane", "lastName": "Canary", "email": "jane.canary@example.com"}
    local.stranger.scripts["/ml/api/jobs/m1"] = [
        Reply.json(id="m1", status=status, project={"id": "p"}, createdBy=person, totalExecutions=2, failedExecutions=n)
        for n, status in enumerate(("processing", "partial_failed"))
    ]
    local.run("watch", "ml/job/p/m1")
    before = len(local.stranger.to("/hook"))
    local.run("local", "tick", "2")
    posts = local.stranger.wait_for("/hook", before + 2)

    items = local.aws("dynamodb").scan(TableName=_parts(local)["table"])["Items"]
    told = json.dumps(items, default=repr) + local.run("local", "logs", "--limit", "100000") + repr(posts)
    told += local.run("show", "ml/job/p/m1", "--raw")
    assert "partially_failed" in told
    assert not [canary for canary in ("canary", "Jane", SIGNING_SECRET[6:]) if canary in told]


def test_a_vendor_that_is_down_is_named_and_told_until_it_answers_again(local: Local) -> None:
    paths = [f"/ml/api/jobs/{job}" for job in ("m1", "m2")]
    before = len(local.stranger.to("/hook"))
    local.stranger.scripts |= {path: [Reply(503)] for path in paths}
    local.run("watch", "ml/job/p/m2")
    local.run("local", "tick", "3")
    [trouble] = local.json("local", "status")["troubles"]
    named = local.run("local", "status")
    shown = local.run("show", "ml/job/p/m2")
    local.stranger.scripts |= {path: [Reply.json(id=path[-2:], status="failed")] for path in paths}
    ticked = local.run("local", "tick")
    posts = [json.loads(post.body) for post in local.stranger.wait_for("/hook", before + 3)]

    assert {**trouble, "since": None} == {
        "connection": "ml",
        "scope": None,
        "reason": "unreachable",
        "error": "HTTP 503",
        "since": None,
        "told": True,
        "back": None,
    }
    assert "HTTP 503 (told)" in named
    assert "no answers since" in shown
    # How many are due hangs on the minute: the job of the test before settles beside this one.
    assert re.search(r"ml: \d+ due, \d+ changed", ticked)
    assert local.json("local", "status")["troubles"] == []
    about_ml = [post["type"] for post in posts if post["data"]["connection"] == "ml"]
    assert [type_ for type_ in about_ml if type_.startswith("vendor.")] == ["vendor.unreachable", "vendor.recovered"]


def test_everything_ended_is_ended_and_up_twice_is_fine(local: Local, tmp_path: object) -> None:
    status = local.json("local", "status")

    assert status["running"]
    local.run("local", "up", "--config", status["config"])
    assert local.json("local", "status")["processes"] == status["processes"]
