"""Whatever goes wrong at whichever call of a delivery: nothing is lost, and nothing that was taken is sent again.

But for the one gap that cannot be closed: what was taken, and could not be written down, is sent again (promise 30).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from pollbridge.notifying.notice import DeliveryError, Notice, Receipt, Treatment
from tests.kit.faults import Crash, Faulty, lost, throttle
from tests.kit.receiving import Mail, Post, message

pytestmark = pytest.mark.long


def broken() -> ClientError:
    error = {"Code": "InternalServerError", "Message": "The request processing has failed because of an unknown error"}
    return ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": 500}}, "Any")


def reset() -> ConnectionClosedError:
    return ConnectionClosedError(endpoint_url="https://aws.test")


Trouble = Callable[[Callable[[], Any]], Any]
"""Does something wrong with a call, which it is given."""


def instead(error: Callable[[], BaseException]) -> Trouble:
    def trouble(_: Callable[[], Any]) -> Any:
        raise error()

    return trouble


def after(error: Callable[[], BaseException]) -> Trouble:
    """It happened, and the answer is lost."""

    def trouble(call: Callable[[], Any]) -> Any:
        call()
        raise error()

    return trouble


def retried(call: Callable[[], Any]) -> Any:
    """It happened, the answer was lost, and the SDK made the call again. A transaction's token makes that harmless."""
    answer = call()
    return answer if call.func.args[0] == "transact_write_items" else call()  # type: ignore[attr-defined]


TROUBLES: dict[str, Trouble] = {
    "throttle": instead(throttle),
    "500": instead(broken),
    "timeout": instead(lost),
    "reset": instead(reset),
    "crash": instead(Crash),
    "500 after": after(broken),
    "lost answer": after(lost),
    "reset after": after(reset),
    "crash after": after(Crash),
    "lost answer, retried": retried,
}


@dataclass
class Log:
    """Every call of a run in its order, and what the receiver took; at the n-th call there is trouble."""

    number: int = 0
    trouble: Trouble | None = None
    steps: list[str] = field(default_factory=list)
    calls: int = 0
    struck: int | None = None
    """At which of the steps the trouble came."""

    def call(self, client: Any, operation: str, **arguments: Any) -> Any:
        self.calls += 1
        written = operation == "update_item" and "DELIVERY#" in arguments["Key"]["SK"]["S"]
        self.steps.append("ledger" if written else operation)
        call = partial(partial(_made, operation), client, arguments)
        if self.calls != self.number or not self.trouble:
            return call()
        self.struck = len(self.steps) - 1
        return self.trouble(call)


def _made(operation: str, client: Any, arguments: dict[str, Any]) -> Any:
    return getattr(client, operation)(**arguments)


@dataclass
class Watched:
    """A client whose calls are in the log."""

    client: Any
    log: Log

    def __getattr__(self, operation: str) -> Any:
        return partial(self.log.call, self.client, operation)


class Way:
    """Messages on their way from the queue to the receiver, with trouble at one call."""

    def __init__(self, scenario: Scenario, number: int = 0, trouble: Trouble | None = None) -> None:
        self.scenario, self.log = scenario, Log(number, trouble)
        self.post = Post()
        self.post.aws = Faulty(Watched(self.post.aws.client, self.log))
        self.post.queues = Watched(self.post.sqs, self.log)
        self.post.receiver.receiver_deduplicates = scenario.deduplicates
        self.post.receiver.does = self._answer
        self.post.receiver.gathers = self._gather
        self.asked = 0
        self.taken: list[str] = []

    def go(self) -> Way:
        self.mail = Mail(self.post).put(*(message(number) for number in range(1, self.scenario.events + 1))).go()
        self.log.number = 0
        return self

    def _gather(self, notice: Notice, _: timedelta, __: int) -> Sequence[Notice]:
        burst = [Notice.read(message(number)["body"]) for number in range(1, self.scenario.events + 1)]
        return burst if notice.event_id in {each.event_id for each in burst} else [notice]

    def _answer(self, _: Notice) -> Receipt:
        self.asked += 1
        error = self.scenario.answers(self.asked)
        if error is None or error.maybe_sent:
            self.taken += self.post.receiver.together[-1]
            self.log.steps.append("taken")
        if error:
            raise error
        return Receipt(200)

    @property
    def may_repeat(self) -> bool:
        """Whether the trouble came when something was taken, and before it was written down."""
        struck, steps = self.log.struck, self.log.steps
        if struck is None or "taken" not in steps[:struck]:
            return False
        since = steps[:struck][::-1].index("taken")
        # One call of the ledger for each event that was told together.
        return since < self.scenario.events and set(steps[struck - since : struck + 1]) == {"ledger"}


@dataclass(frozen=True)
class Scenario:
    """How the receiver answers the first, second, … time; None is that it takes it."""

    answers: Callable[[int], DeliveryError | None]
    ends: frozenset[str]
    deduplicates: bool = True
    events: int = 1
    disabled: bool = False
    posts: int = 1


def fails(times: int = 1_000, **how: Any) -> Callable[[int], DeliveryError | None]:
    return lambda asked: DeliveryError("HTTP 503", **how) if asked <= times else None


LAST = 25
"""Of many calls these are looked at: seven failures in a row are as good as two."""

SCENARIOS = {
    "taken": Scenario(fails(0), frozenset({"delivered"})),
    "taken at the third attempt": Scenario(fails(2), frozenset({"delivered"}), posts=3),
    "exhausted": Scenario(fails(), frozenset({"failed"}), posts=8),
    "refused for good": Scenario(fails(treatment=Treatment.GIVE_UP), frozenset({"failed"})),
    "gone": Scenario(fails(treatment=Treatment.DISABLE), frozenset({"failed", "disabled"}), disabled=True),
    "told to wait": Scenario(
        fails(2, treatment=Treatment.LATER, wait=timedelta(seconds=30)), frozenset({"delivered"}), posts=3
    ),
    "maybe sent": Scenario(fails(maybe_sent=True), frozenset({"maybe_sent"}), deduplicates=False),
    "three told together": Scenario(fails(0), frozenset({"delivered"}), events=3),
    "three told together at the second attempt": Scenario(fails(1), frozenset({"delivered"}), events=3, posts=2),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_without_trouble_it_is_what_the_scenario_says(name: str) -> None:
    scenario = SCENARIOS[name]

    way = Way(scenario).go()

    assert way.asked == scenario.posts
    assert set(way.post.statuses.values()) <= scenario.ends
    assert len(way.taken) == len(set(way.taken))


@pytest.mark.promise(2)
@pytest.mark.promise(30)
@pytest.mark.promise(53)
@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_trouble_at_any_call_loses_and_repeats_nothing(name: str, trouble: str) -> None:
    scenario = SCENARIOS[name]
    calls = Way(scenario).go().log.calls

    for number in range(max(1, calls - LAST), calls + 1):
        way = Way(scenario, number, TROUBLES[trouble]).go()

        assert way.log.struck is not None
        assert_all_is_well(way)


def assert_all_is_well(way: Way) -> None:
    where, post = (way.log.struck, way.log.steps), way.post
    events = {f"event-{number}" for number in range(1, way.scenario.events + 1)}
    assert way.mail.coming == [], where
    assert way.mail.dropped == [], where
    assert post.statuses.keys() == events, where
    assert set(post.statuses.values()) <= way.scenario.ends, where
    if "failed" in post.statuses.values():
        assert {letter["body"] for letter in post.sqs.buried} == {message()["body"]}, where
    elif not (way.may_repeat or way.scenario.disabled):
        assert post.sqs.buried == [], where
    if not way.may_repeat:
        assert len(way.taken) == len(set(way.taken)), where
    assert way.asked <= way.scenario.posts + 1, where
    if way.scenario.disabled and not post.told:
        # What was answered is written down first; the next event is answered the same.
        post.deliver(message(way.scenario.events + 1))
    assert len(post.told) == way.scenario.disabled, where
