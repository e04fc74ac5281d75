"""The inbox's Slack takes from a bot what Slack would take, and shows the channel as its readers would see it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from pollbridge.local import inbox

from .simulated import Receivers, running

TOKEN = "xoxb-1-2-canary"
CHANNEL = "C0123456789"
DIVIDER = [{"type": "divider"}]
ELSEWHERE = "1717850000.999900"


class Bot:
    """A bot with its token, in the channel C0123456789 unless told otherwise."""

    def __init__(self, http: Receivers) -> None:
        self.http = http
        self.set()

    def set(self, token: str = TOKEN, channel: str = CHANNEL) -> None:
        answer = self.http.put("/_control/slack-api/team", json={"bot_token": token, "channel": channel})
        assert answer.status_code == 204

    def ask(self, method: str, token: str = TOKEN, **wish: Any) -> httpx.Response:
        body = json.dumps({"channel": CHANNEL, **wish}, ensure_ascii=False).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json; charset=utf-8"}
        return self.http.post(f"/slack-api/team/{method}", content=body, headers=headers)

    def call(self, method: str, **wish: Any) -> Any:
        answer = self.ask(method, **wish)
        assert answer.status_code == 200
        return answer.json()

    def post(self, text: str = "hello", **more: Any) -> Any:
        return self.call("chat.postMessage", text=text, **more)

    def update(self, ts: str, text: str = "hello again", **more: Any) -> Any:
        return self.call("chat.update", ts=ts, text=text, **more)

    def faults(self, *steps: object) -> None:
        self.http.faults("slack-api/team", *steps)

    @property
    def state(self) -> Any:
        return self.http.get("/_control/slack-api/team").json()

    @property
    def texts(self) -> list[Any]:
        """Each message's text and, where there are replies, theirs."""
        return [
            [post["text"], *(reply["text"] for reply in post["replies"])] if post["replies"] else post["text"]
            for post in self.state["messages"]
        ]


class Clock:
    now = 1717850000.75

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bot(clock: Clock) -> Iterator[Bot]:
    with running(inbox.application(clock)) as url, Receivers(base_url=url, trust_env=False) as http:
        yield Bot(http)


def refused(word: str) -> dict[str, object]:
    return {"ok": False, "error": word}


def test_a_message_is_posted_and_told_back(bot: Bot) -> None:
    told = bot.post("⚪ waiting", blocks=DIVIDER, unfurl_links=False)

    assert (told["ok"], told["channel"], told["ts"]) == (True, CHANNEL, "1717850000.000100")
    assert (
        told["message"].items()
        >= {"type": "message", "text": "⚪ waiting", "blocks": DIVIDER, "ts": told["ts"]}.items()
    )
    assert "thread_ts" not in told["message"]


def test_the_channel_is_shown_as_it_stands(bot: Bot) -> None:
    card = bot.post("waiting", blocks=DIVIDER)["ts"]
    bot.post("another")
    bot.update(card, "running", blocks=DIVIDER * 2)
    bot.update(card, "done", blocks=DIVIDER)
    bot.post("it began", thread_ts=card)

    first, second = bot.state["messages"]
    assert (first["text"], first["blocks"], first["edited"], first["ts"]) == ("done", DIVIDER, 2, card)
    assert (second["text"], second["edited"], second["replies"]) == ("another", 0, [])
    (reply,) = first["replies"]
    assert (reply["text"], reply["edited"]) == ("it began", 0)
    assert (bot.state["channel"], bot.state["orphans"]) == (CHANNEL, [])


def test_ts_grow_and_are_never_twice_the_same(bot: Bot, clock: Clock) -> None:
    stamps = [bot.post()["ts"], bot.post()["ts"]]
    clock.now += 1
    stamps.append(bot.post(thread_ts=stamps[0])["ts"])
    clock.now -= 60
    stamps.append(bot.post()["ts"])

    assert stamps == ["1717850000.000100", "1717850000.000200", "1717850001.000100", "1717850001.000200"]


def test_an_update_is_told_back_and_keeps_its_place(bot: Bot) -> None:
    card = bot.post("old")["ts"]
    bot.post("newer")

    told = bot.update(card, "new")

    assert (told["ok"], told["channel"], told["ts"], told["text"]) == (True, CHANNEL, card, "new")
    assert told["message"]["text"] == "new"
    assert bot.texts == ["new", "newer"]


def test_an_update_without_blocks_takes_them_away(bot: Bot) -> None:
    card = bot.post(blocks=DIVIDER)["ts"]

    bot.update(card)

    assert bot.state["messages"][0]["blocks"] == []


def test_replies_stand_below_their_message_and_can_be_updated(bot: Bot) -> None:
    card = bot.post("card")["ts"]
    told = bot.post("one", thread_ts=card)
    bot.post("two", thread_ts=card)

    bot.update(told["ts"], "one, corrected")

    assert told["message"]["thread_ts"] == card
    assert bot.texts == [["card", "one, corrected", "two"]]


def test_a_reply_to_nothing_is_accepted_and_seen_by_nobody(bot: Bot) -> None:
    card = bot.post("card")["ts"]
    reply = bot.post("reply", thread_ts=card)["ts"]

    assert bot.post("lost", thread_ts=ELSEWHERE)["ok"]
    assert bot.post("below a reply", thread_ts=reply)["ok"]

    assert bot.texts == [["card", "reply"]]
    assert [post["text"] for post in bot.state["orphans"]] == ["lost", "below a reply"]


@pytest.mark.parametrize("ts", ["", "1717850000", "soon", 1717850000.0001, {}])
def test_a_reply_to_what_is_no_ts_is_refused(bot: Bot, ts: object) -> None:
    assert bot.post(thread_ts=ts) == refused("invalid_thread_ts")


@pytest.mark.parametrize(("channel", "asked"), [("#team", "#team"), ("#team", "team"), ("team", "#team")])
def test_a_channels_name_becomes_its_id(bot: Bot, channel: str, asked: str) -> None:
    bot.set(channel=channel)

    told = bot.post(channel=asked)

    assert told["channel"] == bot.state["channel"]
    assert told["channel"].startswith("C")
    assert bot.post(channel=told["channel"])["ok"]
    assert bot.update(told["ts"], channel=told["channel"])["ok"]
    assert bot.update(told["ts"], channel=asked) == refused("channel_not_found")


@pytest.mark.parametrize("channel", ["C9999999999", "#other", CHANNEL.lower(), "", None])
def test_another_channel_is_not_found(bot: Bot, channel: object) -> None:
    card = bot.post()["ts"]

    assert bot.post(channel=channel) == refused("channel_not_found")
    assert bot.update(card, channel=channel) == refused("channel_not_found")
    assert bot.texts == ["hello"]


@pytest.mark.parametrize(
    ("header", "word"),
    [
        ({}, "not_authed"),
        ({"Authorization": "Bearer"}, "not_authed"),
        ({"Authorization": TOKEN}, "not_authed"),
        ({"Authorization": "Bearer xoxb-1-2-other"}, "invalid_auth"),
        ({"Authorization": f"Bearer {TOKEN}x"}, "invalid_auth"),
    ],
)
@pytest.mark.parametrize("method", ["chat.postMessage", "chat.update"])
def test_without_the_token_nothing_is_done(bot: Bot, method: str, header: dict[str, str], word: str) -> None:
    card = bot.post()["ts"]

    answer = bot.http.post(
        f"/slack-api/team/{method}", json={"channel": CHANNEL, "ts": card, "text": "x"}, headers=header
    )

    assert (answer.status_code, answer.json()) == (200, refused(word))
    assert bot.texts == ["hello"]


def test_where_no_bot_was_set_no_token_is_valid(bot: Bot) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}

    assert bot.http.post("/slack-api/other/chat.postMessage", json={}, headers=headers).json() == refused(
        "invalid_auth"
    )
    assert bot.http.get("/_control/slack-api/other").status_code == 404


@pytest.mark.parametrize(
    ("body", "kind", "word"),
    [
        (b"{", "application/json", "invalid_json"),
        (b"", "application/json", "invalid_json"),
        (b'{"text": "\xff"}', "application/json", "invalid_json"),
        (b"[]", "application/json", "json_not_object"),
        (b"{}", "text/html", "invalid_post_type"),
        (b"{}", "", "missing_post_type"),
    ],
)
def test_what_is_no_json_is_refused(bot: Bot, body: bytes, kind: str, word: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}

    answer = bot.http.post("/slack-api/team/chat.postMessage", content=body, headers=headers)

    assert (answer.status_code, answer.json()) == (200, refused(word))


@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ({"text": ""}, "no_text"),
        ({"text": None, "blocks": []}, "no_text"),
        ({"text": "x", "blocks": "[]"}, "invalid_blocks_format"),
        ({"text": "x", "blocks": [{"type": "unheard-of"}]}, "invalid_blocks"),
        ({"text": "x", "blocks": DIVIDER * 51}, "invalid_blocks"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"text": "x", "unfurl_links": "no"}, "invalid_arguments"),
    ],
)
def test_a_message_that_slack_would_not_show_is_refused(bot: Bot, wish: dict[str, Any], word: str) -> None:
    card = bot.post()["ts"]

    assert bot.call("chat.postMessage", **wish) == refused(word)
    assert bot.call("chat.update", ts=card, **wish) == refused(word)
    assert bot.texts == ["hello"]


def test_an_updates_text_is_shorter_than_a_posts(bot: Bot) -> None:
    card = bot.post("x" * 40_000)["ts"]

    assert bot.update(card, "x" * 4_001) == refused("msg_too_long")
    assert bot.update(card, "x" * 4_000)["ok"]


@pytest.mark.parametrize("ts", [ELSEWHERE, "", None])
def test_a_message_that_is_not_there_is_not_updated(bot: Bot, ts: Any) -> None:
    bot.post()

    assert bot.update(ts) == refused("message_not_found")


def test_another_bots_message_is_not_updated(bot: Bot) -> None:
    card = bot.post()["ts"]

    bot.set(token="xoxb-1-3-other")

    assert bot.call("chat.update", token="xoxb-1-3-other", ts=card, text="mine") == refused("cant_update_message")
    assert bot.texts == ["hello"]


def test_a_new_token_of_the_same_bot_opens_the_same_channel(bot: Bot) -> None:
    card = bot.post()["ts"]

    bot.set(token="xoxb-1-2-new")

    assert bot.update(card) == refused("invalid_auth")
    assert bot.call("chat.update", token="xoxb-1-2-new", ts=card, text="after all")["ok"]
    assert bot.texts == ["after all"]


def test_another_channel_is_empty(bot: Bot) -> None:
    bot.post()

    bot.set(channel="#elsewhere")

    assert bot.state["messages"] == []


def test_methods_that_are_not_played_are_unknown(bot: Bot) -> None:
    assert bot.call("chat.delete") == refused("unknown_method")


def test_calls_are_kept_among_the_messages_without_their_token(bot: Bot) -> None:
    bot.http.slack({"text": "by webhook"})
    card = bot.post("by bot", token=TOKEN)["ts"]
    bot.update("1", text="nowhere")

    webhook, posted, missed = bot.http.messages()
    assert (webhook["receiver"], webhook["method"]) == ("slack/docs-team", None)
    assert (posted["receiver"], posted["method"], posted["status"]) == ("slack-api/team", "chat.postMessage", 200)
    assert (posted["body"], posted["reason"]) == ({"channel": CHANNEL, "text": "by bot"}, None)
    assert (missed["method"], missed["status"], missed["reason"]) == ("chat.update", 200, "message_not_found")
    assert card
    assert "canary" not in json.dumps([webhook, posted, missed, bot.state])


def test_a_token_in_the_body_is_kept_nowhere_and_opens_nothing(bot: Bot) -> None:
    answer = bot.http.post("/slack-api/team/chat.postMessage", json={"token": TOKEN, "channel": CHANNEL, "text": "x"})

    assert answer.json() == refused("not_authed")
    assert "canary" not in json.dumps(bot.http.messages())


@pytest.mark.parametrize(
    ("fault", "status", "word"),
    [
        ({"error": "channel_not_found"}, 200, "channel_not_found"),
        ({"error": "account_inactive"}, 200, "account_inactive"),
        ({"status": 429, "retry_after": 30}, 429, "ratelimited"),
        ({"status": 503}, 503, "service_unavailable"),
        ({"status": 500}, 500, "internal_error"),
        ({"status": 500, "error": "fatal_error"}, 500, "fatal_error"),
    ],
)
@pytest.mark.parametrize("method", ["chat.postMessage", "chat.update"])
def test_what_slack_refuses_has_no_effect(bot: Bot, method: str, fault: dict[str, Any], status: int, word: str) -> None:
    card = bot.post()["ts"]
    bot.faults(fault)

    answer = bot.ask(method, ts=card, text="refused")

    assert (answer.status_code, answer.json()) == (status, refused(word))
    assert answer.headers.get("Retry-After") == ("30" if "retry_after" in fault else None)
    assert bot.texts == ["hello"]
    assert bot.http.messages(after=1)[0]["reason"] == fault.get("error")
    assert bot.update(card)["ok"]


@pytest.mark.parametrize("fault", [{"drop": True}, {"drop": "mid_body"}])
def test_what_only_the_answer_of_was_lost_is_posted(bot: Bot, fault: object) -> None:
    bot.faults(fault)

    with pytest.raises(httpx.RemoteProtocolError):
        bot.post("maybe sent")

    assert bot.texts == ["maybe sent"]
    assert bot.http.messages()[0]["status"] is None


@pytest.mark.parametrize(
    "fault", [*({"content": content} for content in ("empty", "garbage", "html", "truncated")), {"slow": 0.01}]
)
def test_what_is_answered_late_or_in_nonsense_is_posted(bot: Bot, fault: object) -> None:
    bot.faults(fault)

    answer = bot.ask("chat.postMessage", text="hello")

    assert answer.status_code == 200
    assert bot.texts == ["hello"]


@pytest.mark.parametrize("wish", [{}, {"bot_token": "canary"}, {"bot_token": "canary", "channel": ""}, {"channel": 7}])
def test_a_mistaken_bot_is_one_line_that_does_not_show_it(bot: Bot, wish: object) -> None:
    answer = bot.http.put("/_control/slack-api/team", json=wish)

    assert answer.status_code == 400
    assert "canary" not in answer.text
    assert "\n" not in answer.text
