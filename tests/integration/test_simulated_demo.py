"""The demo shows what its receivers have and nothing else, and holds it against what was recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from pollbridge import config
from pollbridge.history.heads import job_pk
from pollbridge.history.ledger import Attempt, Ledger, Status, deliveries
from pollbridge.history.table import Table
from pollbridge.local import arrivals, running
from pollbridge.local.place import LocalError, Place, State
from pollbridge.local.simulation import found_keys, story_keys
from pollbridge.matching import mismatch
from pollbridge.model.event import Event, Job
from pollbridge.model.job import JobKey
from pollbridge.notifying.slack.job import card, reply
from pollbridge.routing import pattern
from tests.kit.envelopes import about_job, disabled, envelope
from tests.kit.events import recovered, unreachable
from tests.kit.memory import Memory

from .simulated import Receivers, simulated_receivers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8G"
EVENT = {"id": "e1", "connection": "scale"}
BOARDED = JobKey("mentionlab", "job", "p", "1")
RETRIED = JobKey("mintlify", "agent-v2", "p", "1")
NOON = datetime(2026, 6, 8, 12, tzinfo=UTC)


@pytest.fixture
def receivers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receivers]:
    monkeypatch.setattr(arrivals, "PATIENCE", 0.2)
    with simulated_receivers() as client:
        for name in ("service", "flaky"):
            client.put(f"/_control/webhooks/{name}", json={"signing_secret": SECRET})
        client.put("/_control/slack-api/board", json={"bot_token": "xoxb-1-2-canary", "channel": "#board"})
        yield client


@pytest.fixture
def inbox(receivers: Receivers) -> arrivals.Inbox:
    return arrivals.Inbox(State(ports={"inbox": receivers.base_url.port or 0}))


def hook(
    receivers: Receivers, event: Mapping[str, Any], secret: str = SECRET, *, to: str = "service", after: int = 0
) -> None:
    body, now = json.dumps({"type": "x", "timestamp": "x", "data": event}), datetime.now(UTC) + timedelta(seconds=after)
    signature = Webhook(secret).sign(event["id"], now, body)
    stamp = str(int(now.timestamp()))
    headers = {"webhook-id": event["id"], "webhook-timestamp": stamp, "webhook-signature": signature}
    receivers.post(f"/webhook/{to}", content=body, headers=headers)


def slack(receivers: Receivers) -> None:
    receivers.post("/slack/team", json={"text": "x"})


def call(receivers: Receivers, method: str, **wish: Any) -> Any:
    headers = {"Authorization": "Bearer xoxb-1-2-canary"}
    return receivers.post(f"/slack-api/board/{method}", json={"channel": "#board", **wish}, headers=headers).json()


def version(number: int, key: JobKey = BOARDED, state: str = "running") -> dict[str, Any]:
    event = about_job("state_changed", connection=key.connection, vendor=key.connection, kind=key.kind, state=state)
    told: dict[str, Any] = json.loads(event.model_copy(update={"job": Job.of(key, None, {})}).json_text())
    return {**told, "id": f"{key}-{number}", "version": number}


def show(receivers: Receivers, *events: Mapping[str, Any], told: int | None = None) -> Any:
    """A card that was posted and then updated with each further event, and as many replies; the board then."""
    posted = call(receivers, "chat.postMessage", **card(events[0]))
    for event in events[1:]:
        call(receivers, "chat.update", **{**card(event), "channel": posted["channel"]}, ts=posted["ts"])
    for event in events[:told]:
        call(receivers, "chat.postMessage", **reply(event), thread_ts=posted["ts"])
    return receivers.get("/_control/slack-api/board").json()


def ledger(*codes: int, status: Status = Status.DELIVERED, destination: str = "flaky") -> Table:
    table, event = Table(Memory(), "history"), version(1, RETRIED)
    kept = Ledger(table, destination, timedelta(seconds=75))
    claimed = kept.claim(job_pk(RETRIED), event["id"], 1, NOON)
    tries = [Attempt(at=NOON.isoformat(), outcome="x", code=code, latency_ms=1) for code in codes]
    kept.finish(replace(claimed, attempts=tuple(tries[:-1])), status, tries[-1], None)
    return table


def fail_and_take(receivers: Receivers, *, seconds: int = 1) -> None:
    receivers.faults("webhook/flaky", {"status": 503}, {"status": 503})
    for number in range(3):
        hook(receivers, version(1, RETRIED), to="flaky", after=number * seconds)


def test_what_both_have_is_shown_once(receivers: Receivers, inbox: arrivals.Inbox) -> None:
    hook(receivers, EVENT)
    hook(receivers, EVENT)
    slack(receivers)

    assert [inbox.wait_for([EVENT]), inbox.wait_for([EVENT])] == [[EVENT], []]


def test_what_slack_lacks_is_not_shown(receivers: Receivers, inbox: arrivals.Inbox) -> None:
    hook(receivers, EVENT)

    with pytest.raises(LocalError, match="Slack has 0 messages for 1"):
        inbox.wait_for([EVENT])


def test_what_the_webhook_lacks_is_not_shown(receivers: Receivers, inbox: arrivals.Inbox) -> None:
    slack(receivers)

    with pytest.raises(LocalError, match="1 events have not reached the webhook"):
        inbox.wait_for([EVENT])


def test_what_the_webhook_refused_is_not_shown(receivers: Receivers, inbox: arrivals.Inbox) -> None:
    receivers.faults("webhook/service", {"status": 503})
    hook(receivers, EVENT)
    slack(receivers)

    with pytest.raises(LocalError, match="1 events have not reached the webhook"):
        inbox.wait_for([EVENT])


def test_what_the_board_lacks_is_not_shown(receivers: Receivers, inbox: arrivals.Inbox) -> None:
    hook(receivers, version(1))
    slack(receivers)
    call(receivers, "chat.postMessage", text="a card without a reply")

    with pytest.raises(LocalError, match="its board 0 replies for 1"):
        inbox.wait_for([version(1)])


def test_what_is_still_being_answered_is_looked_at_again(receivers: Receivers, inbox: arrivals.Inbox) -> None:
    receivers.faults("webhook/service", {"drop": True})
    with pytest.raises(Exception, match="disconnected"):
        hook(receivers, EVENT)

    assert (inbox.look().seen, inbox.arrived) == (0, {})


def test_news_that_nobody_should_hear_of_ends_the_demo(receivers: Receivers, inbox: arrivals.Inbox) -> None:
    hook(receivers, EVENT)

    with pytest.raises(LocalError, match="nobody should hear of"):
        inbox.wait_for([])


@pytest.mark.parametrize("name", ["service", "flaky"])
def test_a_signature_that_does_not_verify_ends_the_demo(name: str, receivers: Receivers, inbox: arrivals.Inbox) -> None:
    hook(receivers, EVENT, secret=f"whsec_{'A' * 40}", to=name)

    with pytest.raises(LocalError, match="e1 does not verify"):
        inbox.look()


def test_a_receiver_that_fails_twice_is_followed_until_it_has_its_event(
    receivers: Receivers, inbox: arrivals.Inbox
) -> None:
    fail_and_take(receivers)
    flaky, told = arrivals.Flaky(inbox, ledger(503, 503, 200)), list[str]()

    flaky.wait_for(version(1, RETRIED))
    flaky.tell(told.append)
    flaky.tell(told.append)

    assert [text.partition(":")[0].rpartition(" ")[2] for text in told] == ["503", "it"]
    assert (inbox.verified, inbox.arrived) == (3, {})


def test_an_event_that_is_never_taken_ends_the_demo(receivers: Receivers, inbox: arrivals.Inbox) -> None:
    receivers.faults("webhook/flaky", {"status": 503})
    hook(receivers, version(1, RETRIED), to="flaky")

    with pytest.raises(LocalError, match=r"answered \[503\]"):
        arrivals.Flaky(inbox, ledger(503)).wait_for(version(1, RETRIED))


def test_attempts_that_are_not_signed_afresh_end_the_demo(receivers: Receivers, inbox: arrivals.Inbox) -> None:
    fail_and_take(receivers, seconds=0)
    same = [{**message, "headers": {**message["headers"], "webhook-timestamp": "1"}} for message in inbox.look().tries]

    with pytest.raises(LocalError, match="not signed afresh"):
        arrivals.retried(same, version(1, RETRIED), [])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (version(2, RETRIED), "should have answered"),
        (version(1, RETRIED), "the ledger should have one delivery"),
    ],
    ids=["another event", "nothing in the ledger"],
)
def test_retries_that_are_not_as_recorded_end_the_demo(
    given: dict[str, Any], words: str, receivers: Receivers, inbox: arrivals.Inbox
) -> None:
    fail_and_take(receivers)

    with pytest.raises(LocalError, match=words):
        arrivals.retried(inbox.look().tries, given, [])


@pytest.mark.parametrize(
    "table",
    [ledger(503, 200), ledger(503, 503, 200, status=Status.MAYBE_SENT), ledger(503, 503, 200, destination="service")],
    ids=["an attempt less", "not delivered", "to another"],
)
def test_a_ledger_that_says_otherwise_ends_the_demo(table: Table, receivers: Receivers, inbox: arrivals.Inbox) -> None:
    fail_and_take(receivers)

    assert list(deliveries(table, RETRIED))
    with pytest.raises(LocalError, match="the ledger should have one delivery"):
        arrivals.Flaky(inbox, table).wait_for(version(1, RETRIED))


def test_the_board_has_one_card_per_job_with_all_that_was_recorded(receivers: Receivers) -> None:
    events, other = [version(1), version(2), version(3, state="succeeded")], JobKey("mentionlab", "job", "p", "2")
    show(receivers, *events)
    board = show(receivers, version(1, other))

    first, second = arrivals.cards(board, {BOARDED: events, other: [version(1, other)]})

    assert ("succeeded" in first.text, first.edited, first.replies) == (True, 2, 3)
    assert (second.edited, second.replies) == (0, 1)


def test_a_card_that_went_backwards_ends_the_demo(receivers: Receivers) -> None:
    board = show(receivers, version(2), version(1))

    with pytest.raises(LocalError, match=r"versions \[1, 2\]; its card shows \[1\]"):
        arrivals.cards(board, {BOARDED: [version(1), version(2)]})


def test_a_card_that_was_not_updated_for_each_version_ends_the_demo(receivers: Receivers) -> None:
    [post] = show(receivers, version(2))["messages"]
    call(receivers, "chat.postMessage", **reply(version(1)), thread_ts=post["ts"])
    board = receivers.get("/_control/slack-api/board").json()

    with pytest.raises(LocalError, match="after 0 updates"):
        arrivals.cards(board, {BOARDED: [version(1), version(2)]})


def test_a_change_without_its_reply_ends_the_demo(receivers: Receivers) -> None:
    board = show(receivers, version(1), version(2), told=1)

    with pytest.raises(LocalError, match=r"with replies of \[1\]"):
        arrivals.cards(board, {BOARDED: [version(1), version(2)]})


def test_a_second_card_of_a_job_ends_the_demo(receivers: Receivers) -> None:
    show(receivers, version(1))
    board = show(receivers, version(1))

    with pytest.raises(LocalError, match="2 messages for 1 jobs"):
        arrivals.cards(board, {BOARDED: [version(1)]})


def test_a_reply_to_nothing_ends_the_demo(receivers: Receivers) -> None:
    call(receivers, "chat.postMessage", **reply(version(1)), thread_ts="1717850000.000100")
    board = show(receivers, version(1))

    with pytest.raises(LocalError, match="1 replies to none"):
        arrivals.cards(board, {BOARDED: [version(1)]})


def test_a_job_that_has_no_card_ends_the_demo(receivers: Receivers) -> None:
    board = show(receivers, version(1))

    with pytest.raises(LocalError, match="mentionlab/job/p/3 has no message"):
        arrivals.cards(board, {JobKey("mentionlab", "job", "p", "3"): [version(1)]})


@pytest.fixture
def simulated(tmp_path: Path) -> config.Configuration:
    return config.load(running._simulated_config(Place(tmp_path, tmp_path), State(ports={"vendors": 1})))


EVENTS: list[Event] = [
    *(
        about_job(reason, connection=key.connection, vendor=key.connection, kind=key.kind, state=state)
        for key in (*story_keys(), *found_keys())
        for reason in ("first_seen", "state_changed", "progressed", "link_added", "lost")
        for state in ("running", "succeeded", "failed")
    ),
    unreachable(),
    recovered(),
]


@pytest.mark.parametrize(("name", "hears"), [("board", arrivals.on_board), ("flaky", arrivals.for_flaky)])
def test_receivers_hear_of_what_the_demo_expects_them_to(
    name: str, hears: Any, simulated: config.Configuration
) -> None:
    rule = pattern(simulated.destinations[name].match, name)
    lies = [event for event in EVENTS if name != "flaky" or event.detail_type == "Job State Changed"]

    heard = [event for event in lies if mismatch(rule, envelope(event)) is None]

    assert heard == [event for event in lies if hears(json.loads(event.json_text()))] != []
    assert not hears(json.loads(disabled().json_text()))


@pytest.mark.parametrize("name", ["team", "service"])
def test_two_receivers_hear_of_everything(name: str, simulated: config.Configuration) -> None:
    rule = pattern(simulated.destinations[name].match, name)

    assert [event for event in EVENTS if mismatch(rule, envelope(event))] == []


def test_only_a_wish_makes_the_retry_clock_run_faster(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.touch()
    plain, fast = (running._context(wish, path) for wish in (running.Wish(), running.Wish(hurry=100)))
    place = Place(tmp_path, tmp_path)

    assert (plain["hurry"], fast["hurry"]) == ("1", "100")
    assert running._fingerprint(place, plain) != running._fingerprint(place, fast)
