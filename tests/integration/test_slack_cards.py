"""With a bot each job has one card that never goes backwards, and a reply below it for every change."""

from __future__ import annotations

import itertools
import json
import logging
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pollbridge.history.ledger import Claimed, Ledger, Status
from pollbridge.history.table import LostRace, Table
from pollbridge.model.job import JobKey
from pollbridge.notifying.deliveries import NO_TIME
from pollbridge.notifying.http import DEADLINE, RESPONSE_LIMIT
from pollbridge.notifying.slack.errors import CLOSED, HALF, NO_CARD, NO_THREAD, WRONG
from pollbridge.notifying.worker import LEASE
from tests.integration.simulated import Receivers, simulated_receivers
from tests.kit.envelopes import disabled
from tests.kit.events import recovered, unreachable
from tests.kit.faults import Crash, Fault, throttle
from tests.kit.posting import answers, listening
from tests.kit.receiving import KEY
from tests.kit.receiving import Repeating as RepeatingAll
from tests.kit.telling import CHANNEL, TOKEN, Team, changed, words

OTHER = JobKey("oration", "job", "acme", "j2")
CLAIMS = timedelta(seconds=LEASE.total_seconds())


@pytest.fixture(scope="module")
def inbox() -> Iterator[Receivers]:
    with simulated_receivers() as http:
        yield http


ROOMS = (f"team{number}" for number in itertools.count())


@pytest.fixture
def team(inbox: Receivers) -> Team:
    team = Team(http=inbox, room=next(ROOMS))
    team.use_bot()
    return team


def dies(team: Team) -> None:
    """The invocation is gone: nothing that it would still do happens."""
    team.aws.plan = lambda _: Fault(Crash())
    raise Crash


def goes_on(team: Team) -> None:
    """Somebody else takes it up, once the claims of the dead have run out."""
    team.line.before = team.line.after = lambda _: None
    team.aws.plan = lambda _: None
    team.now += CLAIMS


# One card, and a reply for every change


@pytest.mark.promise(31)
def test_a_job_has_one_card_that_is_updated_and_a_reply_for_every_change(team: Team) -> None:
    ways = [team.way(changed(version)) for version in (1, 2, 3)]

    assert ways == ["delivered"] * 3
    assert team.cards == [(3, [1, 2, 3])]
    [card] = team.channel["messages"]
    assert (card["edited"], [reply["edited"] for reply in card["replies"]]) == (2, [0, 0, 0])
    assert team.line.calls == ["chat.postMessage", "chat.postMessage"] + ["chat.update", "chat.postMessage"] * 2


def test_each_job_has_a_card_of_its_own(team: Team) -> None:
    team.tell(changed(1), changed(1, OTHER), changed(2), changed(2, OTHER))

    assert team.cards == [(2, [1, 2]), (2, [1, 2])]


@pytest.mark.promise(31)
def test_what_comes_late_is_told_in_the_thread_and_leaves_the_card_alone(team: Team) -> None:
    for version in (1, 4, 2, 3):
        assert team.way(changed(version)) == "delivered"

    assert team.cards == [(4, [1, 4, 2, 3])]
    assert [delivery.status for delivery in team.ledger] == [Status.DELIVERED] * 4


ARRIVALS = st.integers(1, 5).flatmap(
    lambda newest: st.tuples(
        st.permutations(range(1, newest + 1)), st.lists(st.integers(1, newest), max_size=4), st.randoms()
    )
)


@pytest.mark.long
@pytest.mark.promise(31)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrival=ARRIVALS)
def test_in_whatever_order_and_however_often_they_come_the_newest_stays(
    inbox: Receivers, arrival: tuple[list[int], list[int], random.Random]
) -> None:
    once, again, chance = arrival
    versions = [*once, *again]
    chance.shuffle(versions)
    team = Team(http=inbox, room=next(ROOMS))
    team.use_bot()

    seen = []
    for version in versions:
        team.tell(changed(version))
        seen.append(team.cards[0][0])

    [(newest, replies)] = team.cards
    assert newest == max(once)
    assert seen == sorted(seen)
    assert sorted(replies) == sorted(once)
    assert team.channel["orphans"] == []


@pytest.mark.promise(31)
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1), (2, 3)])
def test_of_two_invocations_at_once_the_second_waits_for_the_first(
    team: Team, moment: str, first: int, second: int
) -> None:
    if first > 1:
        team.tell(changed(1 if second != 1 else 9, OTHER))
    ways: list[str] = []

    def another(_: str) -> None:
        if not ways:
            ways.append("")
            ways[0] = team.way(changed(second))

    setattr(team.line, moment, another)
    assert team.way(changed(first)) == "delivered"
    assert ways == ["put_off"]
    assert team.sqs.waits[f"j1-{second}"] == 3

    team.later(seconds=3)
    assert team.way(changed(second)) == "delivered"
    assert team.cards[-1] == (max(first, second), [first, second])


@pytest.mark.promise(31)
@pytest.mark.promise(29)
def test_eight_versions_at_once_end_with_the_newest_and_each_told_once(team: Team) -> None:
    left, together = set(range(1, 9)), Barrier(8)
    ways: dict[int, str] = {}

    def deliver(version: int) -> None:
        together.wait(timeout=30)
        ways[version] = team.way(changed(version))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(deliver, sorted(left)))
    assert "delivered" in ways.values()
    for version, way in ways.items():
        if way != "delivered":
            assert way == "put_off"
            assert team.way(changed(version)) == "delivered"

    [(newest, replies)] = team.cards
    assert (newest, sorted(replies)) == (8, list(range(1, 9)))


# Crashes


@pytest.mark.promise(31)
@pytest.mark.parametrize("standing", [[], [1]])
def test_a_crash_between_card_and_reply_is_made_up_for(team: Team, standing: list[int]) -> None:
    for version in standing:
        team.tell(changed(version))
    calls = len(team.line.calls)
    team.line.before = lambda _: dies(team) if len(team.line.calls) == calls + 2 else None
    with pytest.raises(Crash):
        team.tell(changed(2))
    assert team.cards == [(2, standing)]

    goes_on(team)

    assert team.way(changed(2)) == "delivered"
    assert team.cards == [(2, [*standing, 2])]


def test_a_crash_between_the_post_and_its_keeping_costs_a_second_card_and_no_change(team: Team) -> None:
    team.line.after = lambda _: dies(team)
    with pytest.raises(Crash):
        team.tell(changed(1))

    goes_on(team)

    assert [team.way(changed(1)), team.way(changed(2))] == ["delivered", "delivered"]
    assert team.cards == [(1, []), (2, [1, 2])]


def test_a_crash_between_an_update_and_its_keeping_leaves_one_card(team: Team) -> None:
    team.tell(changed(1))
    team.line.after = lambda _: dies(team)
    with pytest.raises(Crash):
        team.tell(changed(2))

    goes_on(team)

    assert team.way(changed(2)) == "delivered"
    assert team.cards == [(2, [1, 2])]


@pytest.mark.promise(31)
def test_the_card_of_the_dead_is_held_until_their_lease_is_out(team: Team) -> None:
    team.line.before = lambda _: dies(team)
    with pytest.raises(Crash):
        team.tell(changed(1))
    team.line.before, team.aws.plan = lambda _: None, lambda _: None

    assert team.way(changed(2)) == "put_off"
    team.now += CLAIMS
    assert team.way(changed(2)) == "delivered"
    assert team.way(changed(1)) == "delivered"
    assert team.cards == [(2, [2, 1])]


@pytest.mark.promise(29)
def test_a_claim_that_cannot_be_given_back_repeats_no_reply(team: Team) -> None:
    team.aws.plan = lambda call: (
        Fault(throttle()) if call.touches("CARD#") and call.arguments["UpdateExpression"].startswith("REMOVE") else None
    )

    assert team.way(changed(1)) == "delivered"

    team.aws.plan = lambda _: None
    assert team.way(changed(1)) == "already_done"
    assert team.cards == [(1, [1])]
    assert team.way(changed(2)) == "put_off"
    team.now += CLAIMS
    assert team.way(changed(2)) == "delivered"


@pytest.mark.promise(31)
@pytest.mark.parametrize("standing", [[], [1]])
def test_a_claim_that_the_sdk_repeats_because_its_answer_was_lost_is_its_own(team: Team, standing: list[int]) -> None:
    for version in standing:
        team.tell(changed(version))
    team.aws.client = repeating = Repeating(team.aws.client)

    assert team.way(changed(2)) == "delivered"
    assert repeating.twice
    assert team.cards == [(2, [*standing, 2])]


@pytest.mark.promise(31)
def test_a_claim_that_the_sdk_repeats_after_another_has_taken_the_card_is_not_its_own(team: Team) -> None:
    cards = team.receiver.cards
    team.aws.client = Repeating(team.aws.client, between=lambda: cards.claim(f"JOB#{KEY}", team.now + CLAIMS))

    assert team.way(changed(1)) == "put_off"
    assert team.cards == []


@pytest.mark.promise(31)
def test_a_release_that_the_sdk_repeats_after_another_has_taken_the_card_leaves_that_claim(team: Team) -> None:
    cards, pk = team.receiver.cards, f"JOB#{KEY}"
    _, claim = cards.claim(pk, team.now)
    client = RepeatingAll(team.aws.client, lambda: cards.claim(pk, team.now))

    with pytest.raises(LostRace):
        replace(cards, table=Table(client, "history")).release(pk, claim)
    with pytest.raises(Claimed):
        cards.claim(pk, team.now)


@dataclass
class Repeating:
    """The SDK, which loses the first answer to the first claim of a card and asks again."""

    client: Any
    between: Callable[[], object] = lambda: None
    twice: bool = False

    def __getattr__(self, operation: str) -> Any:
        return getattr(self.client, operation)

    def update_item(self, **arguments: Any) -> Any:
        if "CARD#" in repr(arguments["Key"]) and not self.twice:
            self.twice = True
            self.client.update_item(**arguments)
            self.between()
        return self.client.update_item(**arguments)


def test_a_card_that_is_forgotten_meanwhile_takes_back_nothing_that_was_told(team: Team) -> None:
    def forget(method: str) -> None:
        if team.line.calls == [POST, POST]:
            del team.aws.client.items[f"JOB#{KEY}", "CARD#team"]

    team.line.after = forget

    assert team.way(changed(1)) == "delivered"
    assert team.cards == [(1, [1])]


# Where the card is gone


@pytest.mark.promise(31)
@pytest.mark.parametrize("word", sorted(NO_CARD))
def test_a_card_that_cannot_be_updated_is_followed_by_a_new_one(team: Team, word: str) -> None:
    team.tell(changed(1))
    team.faults({"error": word})

    assert team.way(changed(2)) == "delivered"
    assert team.way(changed(3)) == "delivered"
    assert team.cards == [(1, [1]), (3, [2, 3])]


def test_a_deleted_card_is_followed_by_a_new_one(team: Team) -> None:
    team.tell(changed(1))
    team.install(channel="C0000000009")
    team.install()

    assert team.way(changed(2)) == "delivered"
    assert team.cards == [(2, [2])]


@pytest.mark.promise(30)
def test_a_card_that_is_begun_is_done_before_the_function_is_over(team: Team) -> None:
    """Where it is gone it takes three calls, and each may take as long as it is let."""
    team.tell(changed(1))
    team.faults({"error": "message_not_found"})

    def slow(_: str) -> None:
        team.time_left -= DEADLINE

    team.line.before, team.time_left, calls = slow, NO_TIME + 0.1, len(team.line.calls)

    assert team.way(changed(2)) == "delivered"
    assert team.line.calls[calls:] == ["chat.update", "chat.postMessage", "chat.postMessage"]
    assert team.time_left > 0


def test_resent_past_a_deleted_card_a_change_is_seen_all_the_same(team: Team) -> None:
    team.tell(changed(1))
    team.install(channel="C0000000009")
    team.install()
    _again(team, 1)

    assert team.way(changed(1), with_={"resent": True}) == "delivered"
    assert (team.cards, team.channel["orphans"]) == ([(1, [1])], [])


def _again(team: Team, version: int) -> None:
    Ledger(team.table, "team", LEASE).again(f"JOB#{KEY}", f"j1-{version}", version, team.now)


@pytest.mark.parametrize("version", [1, 2])
def test_resent_a_change_is_told_in_the_thread_again(team: Team, version: int) -> None:
    team.tell(changed(1), changed(2))
    _again(team, version)

    assert team.way(changed(version), with_={"resent": True}) == "delivered"
    assert team.cards == [(2, [1, 2, version])]


@pytest.mark.parametrize("word", sorted(NO_THREAD))
def test_where_a_thread_is_closed_what_is_new_gets_a_card_of_its_own(team: Team, word: str) -> None:
    team.tell(changed(1))
    team.line.before = lambda _: team.faults({"error": word}) if team.line.calls[-2:] == [UPDATE, POST] else None

    assert team.way(changed(2)) == "delivered"
    team.line.before = lambda _: None
    assert team.way(changed(3)) == "delivered"
    assert team.cards == [(2, [1]), (3, [3])]


UPDATE, POST = "chat.update", "chat.postMessage"


@pytest.mark.parametrize("word", sorted(NO_THREAD))
def test_where_a_thread_is_closed_what_is_old_is_told_nowhere_and_is_no_failure(team: Team, word: str) -> None:
    team.tell(changed(2))
    team.faults({"error": word})

    assert team.way(changed(1)) == "delivered"
    assert team.cards == [(2, [2])]
    assert team.sqs.buried == []


@pytest.mark.promise(31)
def test_in_another_channel_the_job_gets_a_new_card(team: Team) -> None:
    team.tell(changed(1))
    team.use_bot(channel="C0000000002")

    assert [team.way(changed(2)), team.way(changed(3))] == ["delivered", "delivered"]
    assert team.channel["channel"] == "C0000000002"
    assert team.cards == [(3, [2, 3])]
    assert "chat.update" not in team.line.calls[2:4]


def test_another_token_of_the_same_app_keeps_the_cards(team: Team) -> None:
    team.tell(changed(1))
    team.use_bot(token="xoxb-1-2-rotated")

    assert team.way(changed(2)) == "delivered"
    assert team.cards == [(2, [1, 2])]


def test_a_channel_that_is_named_keeps_its_cards(team: Team) -> None:
    team.use_bot(channel="#deployments")

    assert [team.way(changed(1)), team.way(changed(2))] == ["delivered", "delivered"]
    assert team.cards == [(2, [1, 2])]


# What Slack says, and what comes of it


@pytest.mark.promise(41)
@pytest.mark.parametrize("word", sorted(CLOSED))
def test_what_a_person_must_mend_disables_the_destination_and_tells_the_others_once(team: Team, word: str) -> None:
    team.faults({"error": word})

    ways = [team.way(changed(version)) for version in (1, 2, 3)]

    assert ways == ["failed", "disabled", "disabled"]
    assert team.head.disabled
    assert team.head.disabled.error == word
    assert [entry.detail_type for entry in team.told] == ["Destination Disabled"]
    assert [delivery.status for delivery in team.ledger] == [Status.FAILED, Status.DISABLED, Status.DISABLED]
    assert len(team.sqs.buried) == 1


@pytest.mark.parametrize("word", sorted(WRONG))
def test_a_message_that_slack_will_never_take_is_given_up_and_others_are_not(team: Team, word: str) -> None:
    team.faults({"error": word})

    assert [team.way(changed(1)), team.way(changed(1, OTHER))] == ["failed", "delivered"]
    assert team.sqs.buried[0]["reason"] == word
    assert team.head.disabled is None


@pytest.mark.parametrize("word", sorted(HALF))
def test_a_post_that_slack_half_refuses_is_maybe_sent_and_an_update_is_tried_again(team: Team, word: str) -> None:
    team.tell(changed(1, OTHER))
    team.faults({"error": word}, {"error": word})

    assert team.way(changed(1)) == "maybe_sent"
    assert team.way(changed(1)) == "already_done"
    assert team.way(changed(2, OTHER)) == "retried"
    team.later(seconds=10)
    assert team.way(changed(2, OTHER)) == "delivered"
    assert team.cards == [(2, [1, 2])]


@pytest.mark.parametrize(
    "fault", [{"error": "service_unavailable"}, {"error": "new_word"}, {"status": 502, "error": "x"}]
)
def test_what_passes_is_tried_again_by_the_clock(team: Team, fault: dict[str, Any]) -> None:
    team.faults(fault)

    assert team.way(changed(1)) == "retried"
    assert 4 <= team.sqs.waits["j1-1"] <= 6
    team.later(seconds=6)
    assert team.way(changed(1)) == "delivered"
    assert team.cards == [(1, [1])]
    [delivery] = team.ledger
    assert [attempt.outcome for attempt in delivery.attempts][-1] == "delivered"
    assert len(delivery.attempts) == 2


@pytest.mark.promise(41)
@pytest.mark.promise(35)
@pytest.mark.parametrize(
    ("fault", "wait"),
    [
        ({"status": 429, "retry_after": 17}, 17),
        ({"status": 429}, 30),
        ({"error": "ratelimited", "retry_after": 4}, 4),
        ({"status": 429, "retry_after": 86_400}, 3600),
    ],
)
def test_told_to_wait_the_whole_destination_waits_and_nothing_counts(
    team: Team, fault: dict[str, Any], wait: int
) -> None:
    team.faults(fault)

    assert team.way(changed(1)) == "put_off"
    assert team.way(changed(1, OTHER)) == "put_off"
    assert set(team.sqs.waits.values()) == {wait}
    assert len(team.line.calls) == 1

    team.later(seconds=wait)
    assert [team.way(changed(1)), team.way(changed(1, OTHER))] == ["delivered", "delivered"]
    assert [len(delivery.attempts) for delivery in team.ledger] == [1]


@pytest.mark.promise(41)
def test_a_429_between_card_and_reply_loses_no_reply(team: Team) -> None:
    team.line.before = lambda _: team.faults({"status": 429, "retry_after": 1}) if len(team.line.calls) == 2 else None

    assert team.way(changed(1)) == "put_off"
    team.later(seconds=1)
    assert team.way(changed(1)) == "delivered"
    assert team.cards == [(1, [1])]


# What Slack never says


CUT = [{"drop": True}, {"drop": "mid_body"}, {"content": "empty"}, {"content": "html"}, {"content": "garbage"}]


@pytest.mark.parametrize("fault", CUT[:1])
def test_a_post_whose_answer_is_lost_is_maybe_sent_and_not_repeated(team: Team, fault: dict[str, Any]) -> None:
    team.faults(fault)

    assert team.way(changed(1)) == "maybe_sent"
    assert team.way(changed(1)) == "already_done"
    assert team.cards == [(1, [])]
    assert team.way(changed(2)) == "delivered"
    assert team.cards == [(1, []), (2, [2])]


@pytest.mark.promise(31)
@pytest.mark.parametrize("fault", CUT)
def test_an_update_whose_answer_is_lost_is_tried_again(team: Team, fault: dict[str, Any]) -> None:
    team.tell(changed(1))
    team.faults(fault)

    assert team.way(changed(2)) in {"retried", "delivered"}
    team.later(seconds=10)
    assert team.way(changed(2)) in {"delivered", "already_done"}
    assert team.cards == [(2, [1, 2])]


@pytest.mark.parametrize("fault", CUT[2:])
def test_a_post_that_slack_answers_with_nonsense_is_never_two_replies(team: Team, fault: dict[str, Any]) -> None:
    team.tell(changed(1))
    team.line.before = lambda _: team.faults(fault) if team.line.calls[-1] == POST else None
    ways = [team.way(changed(2))]
    team.line.before = lambda _: None
    team.later(seconds=10)
    ways.append(team.way(changed(2)))

    assert ways == ["maybe_sent", "already_done"]
    assert team.cards == [(2, [1, 2])]


def test_an_answer_of_which_only_the_beginning_is_read_says_where_the_card_is(team: Team) -> None:
    where = '{"ok": true, "channel": "C1", "ts": "1717850000.000100", "message": {"ts": "2", "text": "'
    body = f'{where}{"x" * RESPONSE_LIMIT}"}}}}'.encode()
    with listening(answers(200, body)) as slack:
        team.values["api_url"] = slack.url
        assert [team.way(changed(version)) for version in (1, 2)] == ["delivered", "delivered"]

    threads = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in slack.requests]
    assert [(wish.get("channel"), wish.get("ts"), wish.get("thread_ts")) for wish in threads] == [
        (CHANNEL, None, None),
        ("C1", None, "1717850000.000100"),
        ("C1", "1717850000.000100", None),
        ("C1", None, "1717850000.000100"),
    ]


# What is about no job


@pytest.mark.parametrize("event", [unreachable(), recovered(), disabled("service")])
def test_what_is_about_no_job_is_a_post_without_a_card(team: Team, event: Any) -> None:
    team.tell(changed(1))

    assert team.way(event) == "delivered"
    assert [len(post["replies"]) for post in team.channel["messages"]] == [1, 0]
    assert sum("CARD#" in sk for _, sk in team.aws.client.items) == 1


# What is told nowhere


HOSTILE = "<!channel> <@U1> @here <!subteam^S1> *bold* <https://evil.test|click>"


@pytest.mark.promise(42)
def test_no_vendors_word_pings_anybody_in_card_reply_or_update(team: Team) -> None:
    for version in (1, 2, 3):
        job = JobKey("oration", "job", HOSTILE, "j1")
        event = changed(version, job, error=HOSTILE, message=HOSTILE, labels={"team": HOSTILE})
        assert team.way(event.model_copy(update={"job": event.job.model_copy(update={"name": HOSTILE})})) == "delivered"

    assert len(team.arrived) == 6
    assert team.pinged == []
    assert [body["parse"] for body in team.arrived if "ts" in body] == ["none", "none"]


@pytest.mark.promise(45)
@pytest.mark.parametrize("fault", [{"error": "invalid_auth"}, {"drop": True}, {"status": 500}, {"content": "garbage"}])
def test_the_token_is_in_no_row_dead_letter_or_log(
    team: Team, fault: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        team.tell(changed(1, OTHER))
        team.faults(fault)
        team.tell(changed(1))

    items = words(team.aws.client.items.values())
    assert len(team.ledger) == 1
    for text in (items, words(team.sqs.buried), caplog.text, words(team.arrived)):
        assert TOKEN not in text
        assert "canary" not in text


@pytest.mark.promise(45)
def test_without_a_usable_secret_the_delivery_waits_for_one_and_says_what_to_mend(team: Team) -> None:
    good, team.values = team.values, {"bot_token": TOKEN}

    assert team.way(changed(1)) == "retried"
    [delivery] = team.ledger
    assert "should hold" in delivery.attempts[0].outcome
    assert TOKEN not in words(team.aws.client.items.values())

    team.values = good
    team.later(seconds=10)
    assert team.way(changed(1)) == "delivered"
    assert team.channel["channel"] == CHANNEL
