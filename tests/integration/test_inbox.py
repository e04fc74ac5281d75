"""The inbox takes what a receiver would take, refuses the rest, and keeps all of it."""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from standardwebhooks import Webhook

from pollbridge.local import inbox
from pollbridge.local.slack import objection, pings
from pollbridge.local.verifier import SCRIPT
from pollbridge.notifying.http import Poster
from pollbridge.notifying.notice import Notice
from pollbridge.notifying.webhook import WebhookNotifier
from pollbridge.secrets import WebhookSecret

from .simulated import Receivers, running, simulated_receivers

KEY = bytes(range(24, 56))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
BODY = json.dumps({"type": "job.state_changed", "timestamp": "2026-06-08T12:31:00Z", "data": {"é": "✓"}})


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    with simulated_receivers() as client:
        client.put("/_control/webhooks/service", json={"signing_secret": SECRET})
        yield client


def signed(body: str = BODY, secret: str = SECRET, age: timedelta = timedelta()) -> dict[str, str]:
    now = datetime.now(UTC) - age
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", now, body),
    }


def section(text: str, **more: object) -> dict[str, object]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def header(text: str, kind: str = "plain_text") -> dict[str, object]:
    return {"type": "header", "text": {"type": kind, "text": text}}


def button(text: str = "Open", url: str = "https://example.com") -> dict[str, object]:
    return {"type": "button", "text": {"type": "plain_text", "text": text}, "url": url}


def actions(*buttons: object) -> dict[str, object]:
    return {"type": "actions", "elements": buttons}


def test_a_signed_message_is_accepted_and_kept(receivers: Receivers) -> None:
    accepted = receivers.post("/webhook/service", content=BODY, headers=signed())

    assert accepted.status_code == 200
    (message,) = receivers.messages()
    assert (message["receiver"], message["verified"], message["status"]) == ("webhook/service", True, 200)
    assert message["body"] == json.loads(BODY)
    assert message["headers"]["webhook-id"] == "msg_1"


def test_the_specifications_own_recipe_is_accepted(receivers: Receivers) -> None:
    """Written out, so that the inbox's library and the sender's can't agree on a mistake."""
    stamp = str(int(time.time()))
    mac = hmac.digest(KEY, f"msg_1.{stamp}.{BODY}".encode(), hashlib.sha256)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }

    assert receivers.post("/webhook/service", content=BODY, headers=headers).status_code == 200


@pytest.mark.promise(33)
def test_what_the_notifier_sends_is_accepted_while_secrets_rotate(receivers: Receivers) -> None:
    new = f"whsec_{base64.b64encode(b'another key of 24 bytes!').decode()}"
    url = str(receivers.base_url.join("/webhook/service"))
    secret = WebhookSecret(url=url, signing_secret=new, previous_signing_secret=SECRET)
    event = {"id": "e1", "version": 1, "job": {"key": "é/✓"}, "error": "bang \x00 \u2028", "message": None}

    WebhookNotifier(Poster(allow_private=True), lambda: secret, {}).deliver([Notice("Job State Changed", event)])

    (message,) = receivers.messages()
    assert (message["verified"], message["reason"], message["body"]["data"]) == (True, None, event)


def test_one_changed_byte_is_refused_and_recorded_as_such(receivers: Receivers) -> None:
    refused = receivers.post("/webhook/service", content=BODY.replace("12:31", "12:32"), headers=signed())

    assert refused.status_code == 401
    (message,) = receivers.messages()
    assert (message["verified"], message["status"]) == (False, 401)
    assert message["reason"] == "No matching signature found"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(secret=f"whsec_{base64.b64encode(b'another key of 24 bytes!').decode()}"),
        signed(age=timedelta(minutes=6)),
        signed() | {"webhook-id": "msg_2"},
        signed() | {"webhook-signature": "no comma"},
        signed() | {"webhook-signature": "v1,!"},
    ],
    ids=["unsigned", "another secret", "stale", "another id", "no version", "no base64"],
)
def test_what_is_not_signed_by_the_secret_is_refused(receivers: Receivers, headers: dict[str, str]) -> None:
    assert receivers.post("/webhook/service", content=BODY, headers=headers).status_code == 401


@pytest.mark.parametrize("content", [b"\xff", b"\xef\xbb\xbf\xef\xbf\xbd"])
def test_bytes_that_read_like_the_signed_text_are_refused(receivers: Receivers, content: bytes) -> None:
    """Readers show both as U+FFFD, the character for what is no UTF-8."""
    assert receivers.post("/webhook/service", content=content, headers=signed("\ufffd")).status_code == 401
    assert receivers.messages()[0]["body"] is None


def test_one_good_signature_among_several_is_enough(receivers: Receivers) -> None:
    headers = signed()
    headers["webhook-signature"] = f"v1,{base64.b64encode(bytes(32)).decode()} {headers['webhook-signature']}"

    assert receivers.post("/webhook/service", content=BODY, headers=headers).status_code == 200


def test_without_a_secret_nothing_is_verified(receivers: Receivers) -> None:
    assert receivers.post("/webhook/stranger", content=BODY, headers=signed()).status_code == 401
    assert receivers.messages()[0]["verified"] is False


def test_a_verifier_that_died_verifies_nothing() -> None:
    app = inbox.application()
    with running(app) as url, Receivers(base_url=url, trust_env=False) as receivers:
        receivers.put("/_control/webhooks/service", json={"signing_secret": SECRET})
        app[inbox.VERIFIER].process.kill()

        assert receivers.post("/webhook/service", content=BODY, headers=signed()).status_code == 500
        (message,) = receivers.messages()
    assert (message["verified"], message["status"]) == (None, 500)
    assert message["reason"] == "the verifier has ended"


def test_the_verifier_ends_with_the_inbox() -> None:
    app = inbox.application()
    with running(app):
        assert app[inbox.VERIFIER].process.returncode is None

    assert app[inbox.VERIFIER].process.returncode is not None


def test_the_verifier_ends_when_the_inbox_was_killed() -> None:
    with subprocess.Popen(["node", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.communicate(b'{"id": 1}\n')

        assert process.wait(timeout=5) == 0


def test_without_node_the_inbox_says_so_and_goes() -> None:
    command = [sys.executable, "-m", "pollbridge.local.inbox"]
    nowhere = os.environ | {"PATH": "/nowhere"}
    ended = subprocess.run(command, env=nowhere, capture_output=True, text=True, timeout=20, check=False)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert "node" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_slack_answers_ok(receivers: Receivers) -> None:
    assert receivers.slack({"text": "hello"}) == (200, "ok")
    (message,) = receivers.messages()
    assert (message["receiver"], message["verified"], message["body"]) == ("slack/docs-team", None, {"text": "hello"})


@pytest.mark.parametrize(
    "blocks",
    [
        [],
        [section("x")] * 50,
        [section("x" * 3000)] * 4,
        [section("x" * 3000)] * 4 + [section("x" * 729)],
        [header("x" * 150), {"type": "divider"}],
        [actions(button("x" * 75, "https://" + "x" * 2992))],
        [actions(*[button()] * 25)],
        [actions({**button(), "action_id": "x" * 255, "value": "x" * 2000, "style": "danger"})],
        [section("x", accessory=button(), fields=[{"type": "mrkdwn", "text": "x"}] * 10)],
        [{"type": "section", "fields": [{"type": "plain_text", "text": "x" * 2000, "emoji": False}]}],
        [{"type": "context", "elements": [{"type": "plain_text", "text": "x"}] * 10}],
        [{"type": "divider", "block_id": "a"}, {"type": "divider", "block_id": "b" * 255}],
    ],
)
def test_slack_takes_blocks_up_to_their_limits(blocks: object) -> None:
    assert objection(json.loads(json.dumps({"text": "x", "blocks": blocks}))) is None


@pytest.mark.parametrize(
    "blocks",
    [
        [section("x")] * 51,
        [section("x" * 3001)],
        [section("")],
        [{"type": "section"}],
        [header("x" * 151)],
        [header("x", kind="mrkdwn")],
        [actions(button("x" * 76))],
        [actions(button(url="https://" + "x" * 2993))],
        [section("x", accessory=button("x" * 76))],
        [section("x", fields=[{"type": "mrkdwn", "text": "x"}] * 11)],
        [section("x", fields=[])],
        [section("x", fields=[{"type": "mrkdwn", "text": "x" * 2001}])],
        [{"type": "section", "text": {"type": "mrkdwn", "text": "x", "emoji": False}}],
        [{"type": "section", "text": {"type": "plain_text", "text": "x", "verbatim": True}}],
        [section("x", colour="red")],
        [actions()],
        [actions(*[button()] * 26)],
        [actions({**button(), "style": "dangerous"})],
        [actions({**button(), "action_id": "a"}, {**button(), "action_id": "a"})],
        [{"type": "context", "elements": [{"type": "plain_text", "text": "x"}] * 11}],
        [{"type": "context", "elements": []}],
        [{"type": "divider", "block_id": "a"}] * 2,
        [{"type": "divider", "block_id": "b" * 256}],
        [{"type": "unheard-of"}],
    ],
)
def test_slack_refuses_blocks_past_their_limits(blocks: object) -> None:
    assert objection(json.loads(json.dumps({"text": "x", "blocks": blocks}))) == "invalid_blocks"


@pytest.mark.parametrize(
    ("blocks", "word"),
    [
        ("no list", "invalid_blocks_format"),
        ({"type": "divider"}, "invalid_blocks_format"),
        (["divider"], "invalid_blocks_format"),
        ([{"type": "unheard-of"}], "invalid_blocks"),
        ([section("x" * 3000)] * 4 + [section("x" * 730)], "msg_blocks_too_long"),
    ],
)
def test_slack_refuses_what_is_no_blocks_or_too_much(receivers: Receivers, blocks: object, word: str) -> None:
    assert receivers.slack({"text": "x", "blocks": blocks}) == (400, word)
    assert receivers.messages()[0]["reason"] == word


@pytest.mark.parametrize(
    ("payload", "answer"),
    [
        ({"text": "x" * 40_000, "unfurl_links": False, "unfurl_media": False}, (200, "ok")),
        ({"text": "x" * 40_001}, (400, "msg_too_long")),
        ({"text": "x", "unfurl_links": "no"}, (400, "invalid_arguments")),
        ({"text": 1, "blocks": [section("x")]}, (400, "invalid_arguments")),
        ({"text": "x", "parse": "everything"}, (400, "invalid_arguments")),
    ],
)
def test_slack_has_a_say_in_what_stands_beside_the_blocks(
    receivers: Receivers, payload: object, answer: tuple[int, str]
) -> None:
    assert receivers.slack(payload) == answer


@pytest.mark.parametrize(
    ("payload", "pinged"),
    [
        (
            {"text": "<!channel> <@U1> <!subteam^S1|@team> <!here>"},
            ["<!channel>", "<@U1>", "<!subteam^S1|@team>", "<!here>"],
        ),
        ({"text": "&lt;!channel&gt; <https://a.b|@x> <#C1> <!date^1^{date}|then>"}, []),
        ({"text": "x", "blocks": [section("<!everyone>"), section("<!everyone>")]}, ["<!everyone>"]),
        ({"text": "x", "blocks": [section("x", fields=[{"type": "mrkdwn", "text": "<@W1>"}])]}, ["<@W1>"]),
        ({"text": "x", "blocks": [{"type": "context", "elements": [{"type": "mrkdwn", "text": "<@W1>"}]}]}, ["<@W1>"]),
        ({"text": "x", "blocks": [header("<!channel>"), actions(button("<!channel>"))]}, []),
        ({"text": "@channel"}, []),
        ({"text": "@channel me@here.org", "link_names": True}, ["@channel"]),
        ({"text": "@channel", "parse": "full"}, ["@channel"]),
        ({"text": "@channel", "ts": "1717850000.000100"}, ["@channel"]),
        ({"text": "@channel", "ts": "1717850000.000100", "parse": "none"}, []),
        ({"text": "x", "blocks": [section("@here")]}, ["@here"]),
        (
            {
                "text": "x",
                "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "@here", "verbatim": True}}],
            },
            [],
        ),
        ({}, []),
    ],
)
def test_who_would_be_pinged_can_be_told(payload: dict[str, object], pinged: list[str]) -> None:
    assert pings(payload) == pinged


@pytest.mark.parametrize(
    ("fault", "status", "word"),
    [
        ({"error": "invalid_payload"}, 400, "invalid_payload"),
        ({"error": "action_prohibited"}, 403, "action_prohibited"),
        ({"error": "no_service"}, 404, "no_service"),
        ({"error": "channel_not_found"}, 404, "channel_not_found"),
        ({"error": "channel_is_archived"}, 410, "channel_is_archived"),
        ({"error": "rate_limited", "retry_after": 30}, 429, "rate_limited"),
        ({"error": "rollup_error"}, 500, "rollup_error"),
        ({"error": "no_active_hooks", "status": 404}, 404, "no_active_hooks"),
        ({"status": 404}, 404, "Not Found"),
    ],
)
def test_slack_says_what_it_refuses_for(receivers: Receivers, fault: dict[str, object], status: int, word: str) -> None:
    receivers.faults("slack/docs-team", fault)

    refused = receivers.post("/slack/docs-team", json={"text": "x"})
    assert (refused.status_code, refused.text) == (status, word)
    assert refused.headers.get("Retry-After") == (str(fault["retry_after"]) if "retry_after" in fault else None)
    assert receivers.slack({"text": "x"}) == (200, "ok")


@pytest.mark.parametrize(
    ("payload", "word"), [([], "invalid_payload"), ({}, "no_text"), ({"text": ""}, "no_text"), ({"text": 1}, "no_text")]
)
def test_slack_refuses_what_says_nothing(receivers: Receivers, payload: object, word: str) -> None:
    assert receivers.slack(payload) == (400, word)
    assert receivers.messages()[0]["status"] == 400


def test_slack_refuses_what_is_no_json(receivers: Receivers) -> None:
    assert receivers.post("/slack/docs-team", content=b"payload={").text == "invalid_payload"


def test_messages_are_kept_in_order_and_read_from_any_point(receivers: Receivers) -> None:
    for text in ("one", "two", "three"):
        receivers.slack({"text": text})

    assert [message["n"] for message in receivers.messages()] == [1, 2, 3]
    assert [message["body"]["text"] for message in receivers.messages(after=1)] == ["two", "three"]


def test_faults_are_suffered_one_by_one_and_kept_all_the_same(receivers: Receivers) -> None:
    receivers.faults("slack/docs-team", {"status": 500}, {"status": 429, "retry_after": 1}, {"slow": 0.01})

    assert [receivers.slack({"text": "x"})[0] for _ in range(4)] == [500, 429, 200, 200]
    assert [message["status"] for message in receivers.messages()] == [500, 429, 200, 200]


def test_a_429_tells_how_long_to_wait(receivers: Receivers) -> None:
    receivers.faults("webhook/service", {"status": 429, "retry_after": 7})

    assert receivers.post("/webhook/service", content=BODY, headers=signed()).headers["Retry-After"] == "7"


def test_a_dropped_request_was_received_and_never_answered(receivers: Receivers) -> None:
    receivers.faults("webhook/service", {"drop": True})

    with pytest.raises(httpx.RemoteProtocolError):
        receivers.post("/webhook/service", content=BODY, headers=signed())
    assert [(message["verified"], message["status"]) for message in receivers.messages()] == [(True, None)]


def test_one_receivers_faults_are_not_anothers(receivers: Receivers) -> None:
    receivers.faults("slack/docs-team", {"status": 500})

    assert receivers.post("/slack/other", json={"text": "x"}).status_code == 200


def test_a_message_over_a_megabyte_is_refused_unread(receivers: Receivers) -> None:
    assert receivers.post("/slack/docs-team", content=b"x" * (2**20 + 1)).status_code == 413
    assert receivers.messages() == []


@pytest.mark.parametrize("secret", ["canary", "whsec_canary", "whsec_", f"canary_{base64.b64encode(KEY).decode()}", 7])
def test_a_mistaken_secret_is_one_line_that_does_not_show_it(receivers: Receivers, secret: object) -> None:
    refused = receivers.put("/_control/webhooks/service", json={"signing_secret": secret})

    assert refused.status_code == 400
    assert "signing_secret" in refused.text
    assert "canary" not in refused.text
    assert "\n" not in refused.text


@pytest.mark.parametrize(("path", "status"), [("faults/slack/docs-team", 400), ("faults/mail/docs-team", 404)])
def test_a_mistaken_fault_is_refused(receivers: Receivers, path: str, status: int) -> None:
    assert receivers.put(f"/_control/{path}", json={"steps": [{"stauts": 500}]}).status_code == status


@pytest.mark.parametrize("fault", [{}, {"error": ""}, {"error": "no service"}, {"error": "x" * 101}, {"error": None}])
def test_a_fault_that_would_say_nothing_is_refused(receivers: Receivers, fault: object) -> None:
    assert receivers.put("/_control/faults/slack/docs-team", json={"steps": [fault]}).status_code == 400


@pytest.mark.parametrize("after", ["-1", "x", "1.0"])
def test_messages_after_nonsense_are_refused(receivers: Receivers, after: str) -> None:
    assert receivers.get(f"/_control/messages?after={after}").status_code == 400
