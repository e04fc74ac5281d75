"""The demo shows what both receivers have, and nothing else."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from pollbridge.local import demo
from pollbridge.local.place import LocalError, State

from .simulated import Receivers, simulated_receivers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8G"
EVENT = {"id": "e1", "connection": "scale"}


@pytest.fixture
def receivers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receivers]:
    monkeypatch.setattr(demo, "PATIENCE", 0.2)
    with simulated_receivers() as client:
        client.put("/_control/webhooks/service", json={"signing_secret": SECRET})
        yield client


@pytest.fixture
def inbox(receivers: Receivers) -> demo.Inbox:
    return demo.Inbox(State(ports={"inbox": receivers.base_url.port or 0}))


def hook(receivers: Receivers, event: dict[str, str], secret: str = SECRET) -> None:
    body, now = json.dumps({"type": "x", "timestamp": "x", "data": event}), datetime.now(UTC)
    signature = Webhook(secret).sign(event["id"], now, body)
    stamp = str(int(now.timestamp()))
    headers = {"webhook-id": event["id"], "webhook-timestamp": stamp, "webhook-signature": signature}
    receivers.post("/webhook/service", content=body, headers=headers)


def slack(receivers: Receivers) -> None:
    receivers.post("/slack/team", json={"text": "x"})


def test_what_both_have_is_shown_once(receivers: Receivers, inbox: demo.Inbox) -> None:
    hook(receivers, EVENT)
    hook(receivers, EVENT)
    slack(receivers)

    assert [inbox.wait_for([EVENT]), inbox.wait_for([EVENT])] == [[EVENT], []]


def test_what_slack_lacks_is_not_shown(receivers: Receivers, inbox: demo.Inbox) -> None:
    hook(receivers, EVENT)

    with pytest.raises(LocalError, match="Slack has 0 messages for 1"):
        inbox.wait_for([EVENT])


def test_what_the_webhook_lacks_is_not_shown(receivers: Receivers, inbox: demo.Inbox) -> None:
    slack(receivers)

    with pytest.raises(LocalError, match="1 events have not reached the webhook"):
        inbox.wait_for([EVENT])


def test_news_that_nobody_should_hear_of_ends_the_demo(receivers: Receivers, inbox: demo.Inbox) -> None:
    hook(receivers, EVENT)

    with pytest.raises(LocalError, match="nobody should hear of"):
        inbox.wait_for([])


def test_a_signature_that_does_not_verify_ends_the_demo(receivers: Receivers, inbox: demo.Inbox) -> None:
    hook(receivers, EVENT, secret=f"whsec_{'A' * 40}")

    with pytest.raises(LocalError, match="e1 does not verify"):
        inbox.wait_for([EVENT])
