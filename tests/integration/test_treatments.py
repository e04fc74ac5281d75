"""What each answer, word and error leads to, as docs/delivering.md tells it: its tables are read here, and tried."""

from __future__ import annotations

import ast
import json
import re
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pollbridge import egress, secrets
from pollbridge.history.cards import Cards
from pollbridge.history.connections import Connections
from pollbridge.history.ledger import Status, deliveries_in
from pollbridge.history.timeline import Timeline
from pollbridge.notifying import notice, retries, standing
from pollbridge.notifying.http import RESPONSE_LIMIT, Poster, Response
from pollbridge.notifying.notice import DeliveryError
from pollbridge.notifying.slack import errors
from pollbridge.notifying.slack.bursts import Bursts
from pollbridge.notifying.slack.notifier import SlackNotifier
from pollbridge.notifying.webhook import WebhookNotifier
from pollbridge.notifying.worker import LEASE
from tests.kit.egress import TLS
from tests.kit.envelopes import envelope
from tests.kit.events import unreachable
from tests.kit.posting import Posts, Speak, answers, listening, says
from tests.kit.receiving import Mail, Post, message

ROOT = Path(__file__).parents[2]
DELIVERING = (ROOT / "docs" / "delivering.md").read_text("utf-8")
STATUSES = range(100, 600)
SIGNING = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5"
TOLD = json.dumps(envelope(unreachable()))


# The tables


def rows(heading: str) -> list[list[str]]:
    """The first table below that heading, without its title row."""
    below = re.split(rf"^#+ +{re.escape(heading)}$", DELIVERING, flags=re.MULTILINE)[1]
    table = next(part for part in re.split(r"\n\n+", below) if part.startswith("|")).splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table[2:]]


def statuses(cell: str) -> list[int]:
    """`200–299, 410` as numbers."""
    spans = re.findall(r"(\d{3})(?:–(\d{3}))?", cell)
    return [status for first, last in spans for status in range(int(first), int(last or first) + 1)]


def of_statuses(heading: str) -> dict[int, str]:
    """The treatment of every status in a table, each of which stands there once."""
    told = [(status, treatment) for cell, treatment in rows(heading) for status in statuses(cell)]
    assert len(told) == len(dict(told))
    return dict(told)


WEBHOOKS, INCOMING = of_statuses("Webhooks"), of_statuses("Slack, incoming webhook")
BOT = [(cell, treatment) for cell, treatment in rows("Slack, a bot")]
WORDS = {word: treatment for cell, treatment in BOT for word in re.findall(r"`(\w+)`", cell) if "`ok`" not in cell}
NO_ANSWER = {cell.strip("`"): (webhook, slack) for cell, webhook, slack in rows("No answer")}


# The notifiers, behind whatever answers


def a_webhook(_: Post, poster: Any) -> WebhookNotifier:
    held = secrets.WebhookSecret(url="https://receiver.test/hook", signing_secret=SIGNING)
    return WebhookNotifier(poster, lambda: held, {})


def an_incoming_webhook(post: Post, poster: Any) -> SlackNotifier:
    return slack(post, poster, webhook_url="https://hooks.slack.test/T/B/x")


def a_bot(post: Post, poster: Any) -> SlackNotifier:
    return slack(post, poster, bot_token="xoxb-canary", channel="C1")


def slack(post: Post, poster: Any, **secret: str) -> SlackNotifier:
    held = secrets.SlackSecret(**secret)
    bursts = Bursts(Timeline(post.table), Connections(post.table), {})
    return SlackNotifier(poster, lambda: held, Cards(post.table, "team", LEASE), bursts)


Make = Callable[[Post, Any], Any]


def treatment(make: Make, answer: Response | Exception) -> str:
    """What becomes of an event that gets this answer, in the words of the document."""
    post = Post()
    post.receiver = make(post, Posts(answer))

    result = post.deliver(message(body=TOLD))

    [delivery] = deliveries_in(post.table, "CONNECTION#mentionlab")
    [way] = result.counts
    disabled, counted = post.head.disabled is not None, len(delivery.attempts)
    facts = {
        ("delivered", Status.DELIVERED, 1, False): "delivered",
        ("retried", Status.PENDING, 1, False): "retry",
        ("put_off", Status.PENDING, 0, False): "later",
        ("failed", Status.FAILED, 1, False): "give up",
        ("failed", Status.FAILED, 1, True): "disable",
        ("maybe_sent", Status.MAYBE_SENT, 1, False): "maybe sent",
    }
    assert len(post.sqs.buried) == (delivery.status is Status.FAILED)
    return facts[way, delivery.status, counted, disabled]


def says_word(word: str, status: int = 200) -> Response:
    return Response(status, json.dumps({"ok": False, "error": word}), None)


def test_the_treatments_of_the_tables_are_those_that_are_explained() -> None:
    explained = [name for name, _ in rows("What an answer leads to")]

    told = {
        *WEBHOOKS.values(),
        *INCOMING.values(),
        *dict(BOT).values(),
        *(t for both in NO_ANSWER.values() for t in both),
    }
    assert told == set(explained)
    assert {treatment.value for treatment in notice.Treatment} <= set(explained)


def test_the_tables_name_every_status() -> None:
    assert set(WEBHOOKS) == set(INCOMING) == set(STATUSES)
    assert {status for cell, _ in BOT for status in statuses(cell)} == set(STATUSES)


@pytest.mark.promise(36)
def test_every_status_of_a_webhook_is_treated_as_told() -> None:
    assert {status: treatment(a_webhook, Response(status, "", None)) for status in STATUSES} == WEBHOOKS


@pytest.mark.promise(36)
@pytest.mark.promise(41)
@pytest.mark.parametrize("text", ["", "ok", "no_service", "<html>garbage", "\x00"])
def test_every_status_of_an_incoming_webhook_is_treated_as_told(text: str) -> None:
    """Whatever word goes with it."""
    assert {status: treatment(an_incoming_webhook, Response(status, text, None)) for status in STATUSES} == INCOMING


@pytest.mark.promise(36)
@pytest.mark.parametrize("text", ["", "ok", "<html>garbage", '{"ok": false}', "[]", "null", "\x00", "{" * 20_000])
def test_every_status_of_a_method_without_a_word_is_treated_as_told(text: str) -> None:
    told = {status: how for cell, how in BOT if "`ok`" not in cell for status in statuses(cell)}

    assert {status: treatment(a_bot, Response(status, text, None)) for status in STATUSES} == told


@pytest.mark.promise(36)
@pytest.mark.promise(41)
@pytest.mark.parametrize("status", [200, 403, 503])
def test_every_word_of_slack_is_treated_as_told(status: int) -> None:
    assert {word: treatment(a_bot, says_word(word, status)) for word in WORDS} == WORDS


def test_the_tables_name_every_word_that_is_known() -> None:
    known = errors.CLOSED | errors.WRONG | errors.NO_CARD | errors.NO_THREAD | errors.HALF

    assert set(WORDS) == known | {"ratelimited", "rate_limited"}


@pytest.mark.promise(36)
@pytest.mark.parametrize("word", ["new_word", "Not Slack's", "é", "x" * 500, "<!channel>"])
def test_any_other_word_is_treated_as_told(word: str) -> None:
    [told] = [how for cell, how in BOT if cell.endswith("or any other word")]

    assert treatment(a_bot, says_word(word)) == told


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ('{"ok": true, "channel": "C1", "ts": "1.2"}', "`ok` with `channel` and `ts`"),
        ('{"ok": true}', "`ok` without them"),
        ('{"ok": true, "channel": "C1", "ts": ""}', "`ok` without them"),
    ],
)
def test_what_slack_accepts_is_treated_as_told(text: str, row: str) -> None:
    assert treatment(a_bot, Response(200, text, None)) == dict(BOT)[row]


# No answer


def posting(url: str = "https://receiver.test/", allow_private: bool = False, **headers: str) -> DeliveryError:
    with pytest.raises(DeliveryError) as error:
        Poster(allow_private, TLS).post(url, b"{}", headers, deadline=0.3)
    return error.value


def to(speak: Speak, scheme: str = "http", **headers: str) -> DeliveryError:
    with listening(speak, hears=scheme == "http") as receiver:
        return posting(f"{scheme}://127.0.0.1:{receiver.port}/", True, **headers)


def resolving(*addresses: str, late: bool = False) -> DeliveryError:
    """With a resolver that says this; nothing is dialled."""

    def resolve(*_: object, **__: object) -> list[Any]:
        if late:
            threading.Event().wait(1)
        if not addresses:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolve)
        return posting()


def nobody_there() -> DeliveryError:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return posting(f"http://127.0.0.1:{port}/", True)


def holds(_: socket.socket, over: Any) -> None:
    over.wait(5)


REALLY: dict[str, Callable[[], DeliveryError]] = {
    "the address is no http or https URL in plain ASCII": lambda: posting("ftp://receiver.test"),
    "the address has a port that doesn't exist": lambda: posting("https://receiver.test:0/"),
    "the address is plain http: use https, or allow_private = true": lambda: posting("http://receiver.test/"),
    egress.PRIVATE: lambda: resolving("127.0.0.1"),
    egress.NEVER: lambda: resolving("169.254.169.254"),
    "a header cannot be sent: it holds more than plain ASCII in one line": lambda: posting(x="a\r\nb"),
    "the request cannot be sent: its headers contradict each other": lambda: to(
        answers(), **{"transfer-encoding": "x"}
    ),
    "the name does not resolve": resolving,
    "the name does not resolve in time": lambda: resolving(late=True),
    "no connection": nobody_there,
    "the TLS handshake failed": lambda: to(says(b"no TLS"), "https"),
    "no TLS handshake in time": lambda: to(holds, "https"),
    "timed out": lambda: to(holds),
    "the connection broke": lambda: to(says(b"")),
}


@pytest.mark.promise(36)
@pytest.mark.parametrize("error", REALLY)
def test_every_error_of_transport_is_treated_as_told(error: str) -> None:
    met = REALLY[error]()

    assert met.outcome == error
    assert (treatment(a_webhook, met), treatment(an_incoming_webhook, met)) == NO_ANSWER[error]
    assert treatment(a_bot, met) == NO_ANSWER[error][1]


def test_the_table_names_every_error_of_transport() -> None:
    assert (
        set(NO_ANSWER) == set(REALLY) == set(raised("http")) | set(raised("network")) | {egress.PRIVATE, egress.NEVER}
    )


def raised(module: str) -> list[str]:
    """The texts of the DeliveryErrors that a module of this room makes."""
    tree = ast.parse((Path(notice.__file__).parent / f"{module}.py").read_text("utf-8"))
    calls = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "DeliveryError"
    ]
    constants = [node for call in calls for node in ast.walk(call.args[0]) if isinstance(node, ast.Constant)]
    return [node.value for node in constants if isinstance(node.value, str)]


def unusable() -> Any:
    raise secrets.UnusableSecret("secret team is missing")


@pytest.mark.promise(36)
def test_a_secret_that_cannot_be_used_is_tried_again() -> None:
    for make in (a_webhook, a_bot):
        post = Post()
        notifier = make(post, Posts())
        object.__setattr__(notifier, "secret", unusable)
        post.receiver = notifier

        assert post.deliver(message(body=TOLD)).counts == {"retried": 1}


# What else the document says


@pytest.mark.promise(35)
def test_the_document_tells_the_retry_clock() -> None:
    said = " ".join(DELIVERING.split())
    [waits] = re.findall(r"an event waits (.+?), give or take a fifth: eight attempts", said)
    units = {"s": 1, "min": 60, "h": 3600}

    seconds = [int(n) * units[unit] for n, unit in re.findall(r"(\d+) (s|min|h)\b", waits)]
    assert seconds == [step.total_seconds() for step in retries.STEPS]
    assert (0.2, timedelta(hours=11), timedelta(hours=36)) == (retries.JITTER, retries.LONGEST, retries.OLDEST)
    assert (timedelta(days=5), timedelta(days=1)) == (standing.ENOUGH, standing.GAP)
    assert (timedelta(seconds=30), timedelta(hours=1)) == (errors.PATIENCE, errors.LONGEST)
    assert timedelta(seconds=75) == LEASE


@pytest.mark.parametrize("file", ["delivering.md", "operating.md"])
def test_the_documents_name_every_status_of_a_delivery(file: str) -> None:
    text = (ROOT / "docs" / file).read_text("utf-8")

    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) >= set(Status)


# Promises 40 and 45: what is kept of an answer, and what is nowhere


@pytest.mark.promise(40)
@pytest.mark.promise(45)
@pytest.mark.parametrize("make", [a_webhook, an_incoming_webhook, a_bot])
@pytest.mark.parametrize("status", [200, 400, 410, 429, 500])
def test_no_secret_is_in_ledger_history_or_dead_letters(make: Make, status: int) -> None:
    """Not even that of a receiver which repeats it: what it answered is for the ledger alone."""
    post = Post()
    posts = Posts(Response(status, "what was answered" * 900, None))
    post.receiver = make(post, posts)
    Mail(post).put(message(body=TOLD)).go(hours=40)

    kept = [json.dumps(item, default=str) for item in post.aws.client.items.values()]
    letters = json.dumps(post.sqs.buried)
    for canary in ("canary", SIGNING, "Y2FuYXJ5", "receiver.test", "hooks.slack.test", "xoxb"):
        assert canary not in letters + "".join(kept)
    assert "what was answered" not in letters + "".join(item for item in kept if '"attempts"' not in item)
    assert all(body.count(b"what was answered") == 0 for body in (posted.body for posted in posts.sent))


Held = Callable[[Post, str], Any]
"""A notifier whose secret holds that address."""


def a_signed_webhook(_: Post, url: str) -> WebhookNotifier:
    url = url.replace("://", "://user:canary-pass@") + "/canary-path/canary-path-within?token=canary-query"
    held = secrets.WebhookSecret(url=url, signing_secret=SIGNING)
    return WebhookNotifier(Poster(True, TLS), lambda: held, {"authorization": "Bearer canary-header"})


def a_slack_webhook(post: Post, url: str) -> SlackNotifier:
    return slack(post, Poster(True, TLS), webhook_url=url + "/T0/B0/canary-path")


def a_slack_bot(post: Post, url: str) -> SlackNotifier:
    return slack(post, Poster(True, TLS), bot_token="xoxb-canary-token", channel="C1", api_url=url)


@pytest.mark.promise(45)
@pytest.mark.parametrize("make", [a_signed_webhook, a_slack_webhook, a_slack_bot])
def test_what_a_receiver_repeats_of_the_request_is_not_kept(make: Held) -> None:
    """Some frameworks answer what they have no route for with the request as they read it."""

    def repeat(connection: socket.socket, _: threading.Event) -> None:
        said = b"Cannot answer\n" + receiver.requests[-1].partition(b"\r\n\r\n")[0] + b"\nsee the manual"
        connection.sendall(b"HTTP/1.1 401 -\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said))

    post = Post()
    with listening(repeat) as receiver:
        post.receiver = make(post, receiver.url)
        post.deliver(message(body=TOLD))

    [delivery] = deliveries_in(post.table, "CONNECTION#mentionlab")
    kept, sent = delivery.attempts[0].response or "", receiver.requests[0].decode()
    assert kept.startswith("Cannot answer") and kept.endswith("see the manual")
    secret_words = re.findall(r"canary[\w-]*|v1,\S+|Basic \S+", sent)
    assert secret_words
    for word in [*secret_words, "canary", "-path", "-within", "-query", "-header", "-token"]:
        assert word not in kept


@pytest.mark.promise(40)
def test_of_an_endless_answer_16_kb_are_read_and_2_kb_kept() -> None:
    flood = b"HTTP/1.1 500 -\r\n\r\n" + b"x" * 3_000_000
    with listening(says(flood)) as receiver:
        held = secrets.WebhookSecret(url=receiver.url, signing_secret=SIGNING)
        poster = Poster(True, TLS)
        answer = poster.post(receiver.url, b"{}", {})
        post = Post()
        post.receiver = WebhookNotifier(poster, lambda: held, {})
        post.deliver(message(body=TOLD))

    [delivery] = deliveries_in(post.table, "CONNECTION#mentionlab")
    assert len(answer.text) == RESPONSE_LIMIT == 16 * 1024
    assert len((delivery.attempts[0].response or "").encode()) == 2048
