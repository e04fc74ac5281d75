"""The API at its URL in the really deployed stack, asked by those who may and by those who may not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from jsonschema import Draft202012Validator

from pollbridge.api.document import document
from tests.e2e.conftest import Local
from tests.kit.stranger import Reply

pytestmark = pytest.mark.e2e

ADMIN = Credentials("test", "test")


@dataclass(frozen=True)
class Answer:
    status: int
    type: str
    json: Any


@dataclass(frozen=True)
class Url:
    """The deployed API, as a program finds it: by the stack's outputs."""

    local: Local

    @property
    def outputs(self) -> dict[str, str]:
        [stack] = self.local.aws("cloudformation").describe_stacks(StackName="Pollbridge")["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def __call__(
        self, method: str, path: str, body: Any = None, who: Credentials | None = ADMIN, **query: str
    ) -> Answer:
        """Ask, signed by somebody, or by nobody."""
        url = self.local.environment["AWS_ENDPOINT_URL"] + self.outputs["ApiUrl"] + path
        if query:
            url += "?" + urlencode(query, quote_via=quote)
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"} if data else {}
        request = AWSRequest(method=method, url=url, data=data, headers=headers)
        if who:
            SigV4Auth(who, "lambda", self.local.environment["AWS_REGION"]).add_auth(request)
        with httpx.Client(trust_env=False, timeout=60) as client:
            answer = client.request(method, url, content=data, headers=dict(request.headers))
        return Answer(answer.status_code, answer.headers["content-type"], answer.json())


@pytest.fixture
def ask(local: Local) -> Url:
    return Url(local)


@pytest.fixture
def somebody(local: Local) -> Iterator[Credentials]:
    """A user without any policy."""
    iam = local.aws("iam")
    iam.create_user(UserName="somebody")
    key = iam.create_access_key(UserName="somebody")["AccessKey"]
    try:
        yield Credentials(key["AccessKeyId"], key["SecretAccessKey"])
    finally:
        for policy in iam.list_attached_user_policies(UserName="somebody")["AttachedPolicies"]:
            iam.detach_user_policy(UserName="somebody", PolicyArn=policy["PolicyArn"])
        iam.delete_access_key(UserName="somebody", AccessKeyId=key["AccessKeyId"])
        iam.delete_user(UserName="somebody")


def job(local: Local, name: str, *statuses: str) -> str:
    """A job at the stranger's, and its key."""
    replies = [Reply.json(id=name, status=status, name="a job", error=None) for status in statuses]
    local.stranger.scripts[f"/v2/jobs/{quote(name, safe='')}"] = replies
    return f"acme/job/ws/{quote(name, safe='')}"


def pages(ask: Url, path: str, **query: str) -> list[Any]:
    """Every item of a list, in pages of one, each page as the document describes it."""
    items: list[Any] = []
    answer = ask("GET", path, limit="1", **query)
    while True:
        assert answer.status == 200, answer
        described("get", path, answer)
        items += answer.json["items"]
        if answer.json["next"] is None:
            return items
        answer = ask("GET", path, limit="1", cursor=answer.json["next"], **query)


def described(method: str, path: str, answer: Answer) -> None:
    """The answer is what the published document says."""
    told = document()
    kind = "application/json" if answer.status == 200 else "application/problem+json"
    schema = told["paths"][path][method]["responses"][str(answer.status)]["content"][kind]["schema"]
    assert answer.type == kind
    Draft202012Validator({**schema, "components": told["components"]}).validate(answer.json)


@pytest.mark.promise(48)
def test_who_does_not_sign_or_signs_with_a_wrong_key_is_refused(ask: Url, somebody: Credentials) -> None:
    forged = Credentials(somebody.access_key, "not the secret of this key")
    unknown = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")

    assert [ask("GET", "/v1/jobs", who=who).status for who in (None, forged, unknown)] == [403] * 3
    assert ask("POST", "/v1/watches", {"keys": ["acme/job/ws/by-nobody"]}, who=None).status == 403
    assert ask("GET", "/v1/job", key="acme/job/ws/by-nobody").status == 404


@pytest.mark.promise(48)
def test_who_signs_may_ask_once_the_callers_policy_is_attached(ask: Url, somebody: Credentials) -> None:
    before = ask("GET", "/v1/jobs", who=somebody).status
    policy = ask.outputs["ApiCallers"]
    ask.local.aws("iam").attach_user_policy(UserName="somebody", PolicyArn=policy)

    assert (before, ask("GET", "/v1/jobs", who=somebody).status) == (403, 200)


def test_a_job_is_registered_read_and_ended_and_the_command_line_tells_the_same(local: Local, ask: Url) -> None:
    key = job(local, "api / 1", "created", "active", "success")
    wish = {"keys": [key, key], "labels": {"team": "docs"}}
    registered, again = (ask("POST", "/v1/watches", wish) for _ in range(2))
    local.run("local", "tick", "3")
    history = pages(ask, "/v1/history", key=key)
    shown = ask("GET", "/v1/job", key=key)
    watched = [each["job"]["key"] for each in pages(ask, "/v1/watches", connection="acme")]
    ended = ask("DELETE", "/v1/watches", key=key)

    assert registered.json == {"items": [{"key": key, "new": True}]}
    assert again.json == {"items": [{"key": key, "new": False}]}
    assert [change["to"]["state"] for change in history] == ["pending", "running", "succeeded"]
    assert history == local.json("history", key)
    assert shown.json == local.json("show", key) | {"watched": True}
    assert shown.json["job"]["labels"] == {"team": "docs"}
    described("get", "/v1/job", shown)
    assert key in watched
    assert ended.json == {"key": key, "watched": False}
    assert key not in [each["job"]["key"] for each in pages(ask, "/v1/watches")]


def test_lists_tell_what_the_commands_tell_page_by_page(local: Local, ask: Url) -> None:
    keys = [job(local, f"api-page-{number}", "failed") for number in range(4)]
    ask("POST", "/v1/watches", {"keys": keys})
    local.run("local", "tick")

    failed = pages(ask, "/v1/jobs", connection="acme", state="failed", since="1d")
    assert {each["job"]["key"] for each in failed} >= set(keys)
    assert sorted(failed, key=str) == sorted(
        local.json("jobs", "--vendor", "acme", "--state", "failed", "--limit", "99"), key=str
    )
    assert len({each["job"]["key"] for each in failed}) == len(failed)


def arrived(local: Local, event_id: str, times: int) -> None:
    """Wait until the webhook receiver got an event so often, and the ledger has it."""

    def got() -> int:
        return [post.headers["webhook-id"] for post in local.stranger.to("/hook")].count(event_id)

    with local.stranger.arrived:
        assert local.stranger.arrived.wait_for(lambda: got() >= times, 60), f"{got()} of {times} times"
    for _ in range(60):
        found = [each for each in local.json("deliveries", "--to", "hook") if each["event_id"] == event_id]
        if found and found[0]["status"] == "delivered":
            return
    raise TimeoutError(found)


def test_an_event_is_sent_once_more_under_its_id(local: Local, ask: Url) -> None:
    key = job(local, "api-resent", "created")
    ask("POST", "/v1/watches", {"keys": [key]})
    local.run("local", "tick")
    [change] = ask("GET", "/v1/history", key=key).json["items"]
    event_id = change["event_id"]
    arrived(local, event_id, 1)
    by_job = ask("POST", f"/v1/events/{event_id}/resend", {"to": "hook", "job": key})
    arrived(local, event_id, 2)
    by_id = ask("POST", f"/v1/events/{event_id}/resend")
    arrived(local, event_id, 3)

    told = {"event_id": event_id, "items": [{"destination": "hook", "resent": True, "why": None}]}
    assert (by_job.json, by_id.json) == (told, told)
    [delivery] = pages(ask, "/v1/deliveries", job=key, to="hook")
    assert (delivery["event_id"], delivery["status"], len(delivery["attempts"])) == (event_id, "delivered", 3)
    recent = [each["event_id"] for each in pages(ask, "/v1/deliveries", to="hook", since="1d")]
    assert recent.count(event_id) == 1


def test_what_is_sent_again_is_no_dead_letter_any_more_and_what_is_not_stays_one(local: Local, ask: Url) -> None:
    keys = [job(local, f"api-buried-{number}", "created") for number in range(2)]
    ask("POST", "/v1/watches", {"keys": keys})
    local.run("local", "tick")
    stack = local.aws("cloudformation").describe_stack_resource(
        StackName="Pollbridge", LogicalResourceId="Configuration"
    )
    parts = json.loads(stack["StackResourceDetail"]["Metadata"])["pollbridge"]["destinations"]
    sqs, url = local.aws("sqs"), parts["hook"]["dead_letter"]

    def letters() -> set[str]:
        """The ids of the events whose letters are visible."""
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return {json.loads(message["Body"])["detail"]["id"] for message in answer.get("Messages", ())}

    changes = [ask("GET", "/v1/history", key=key).json["items"][0] for key in keys]
    for key, change in zip(keys, changes, strict=True):
        arrived(local, change["event_id"], 1)
        detail = {"id": change["event_id"], "version": change["version"], "job": {"key": key}}
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"detail-type": change["detail_type"], "detail": detail}))
    mine, other = [change["event_id"] for change in changes]
    before = letters()
    sent = ask("POST", f"/v1/events/{mine}/resend", {"to": "hook", "job": keys[0]})
    after = letters()
    ask("POST", f"/v1/events/{other}/resend", {"to": "hook", "job": keys[1]})

    assert sent.status == 200, sent
    assert (before, after, letters()) == ({mine, other}, {other}, set())


def test_what_is_wrong_is_answered_as_a_problem(ask: Url) -> None:
    wrong = {
        ("get", "/v1/job"): ask("GET", "/v1/job", key="acme/job/ws/nobody-knows"),
        ("get", "/v1/jobs"): ask("GET", "/v1/jobs", limit="101", colour="red"),
        ("get", "/v1/history"): ask("GET", "/v1/history", key="acme"),
        ("get", "/v1/watches"): ask("GET", "/v1/watches", cursor="abc"),
        ("get", "/v1/deliveries"): ask("GET", "/v1/deliveries", to="nowhere"),
        ("post", "/v1/watches"): ask("POST", "/v1/watches", {"keys": ["acme/job/ws/1", "nobody/job/ws/1"]}),
    }
    for (method, path), answer in wrong.items():
        described(method, path, answer)

    assert [answer.status for answer in wrong.values()] == [404, 422, 422, 400, 404, 409]
    assert ask("PUT", "/v1/jobs").status == 405
    assert ask("GET", "/v2/jobs").json["type"] == "urn:pollbridge:problem:no-route"
