"""The pace of requests: in virtual time, by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pollbridge.history.connections import Sent
from pollbridge.polling.limits import Pace
from pollbridge.vendors.answer import Limits

START = datetime(2026, 6, 8, 12, 0, tzinfo=UTC)
LIMITS = Limits(per_second=10, per_minute=120, concurrency=20)


class Watch:
    """A clock that only moves when somebody pauses."""

    def __init__(self, seconds: float = 0) -> None:
        self.seconds = seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    async def pause(self, seconds: float) -> None:
        self.seconds += seconds

    def pace(self, before: Sent | None = None, limits: Limits = LIMITS) -> Pace:
        pace = Pace.after(before, limits, self.now, self.pause)
        pace.monotonic = lambda: self.seconds
        return pace


def _send(watch: Watch, pace: Pace, requests: int, time_left: float = 1e9) -> list[float]:
    """When each request that was admitted was sent."""

    async def send() -> list[float]:
        until = watch.seconds + time_left
        return [watch.seconds for _ in range(requests) if await pace.admit(until - watch.seconds)]

    return asyncio.run(send())


def _most_within(seconds: float, sent: Iterable[float]) -> int:
    moments = sorted(sent)
    return max((sum(at <= other < at + seconds - 1e-6 for other in moments) for at in moments), default=0)


def test_a_second_and_a_minute_hold_no_more_than_they_may() -> None:
    watch = Watch()

    sent = _send(watch, watch.pace(), 500)

    assert _most_within(1, sent) == 10
    assert _most_within(60, sent) == 120


def test_what_does_not_fit_into_the_time_left_is_not_admitted() -> None:
    watch = Watch()

    sent = _send(watch, watch.pace(), 500, time_left=40)

    assert len(sent) == 120
    assert watch.seconds < 13


@pytest.mark.long
@settings(deadline=None)
@given(
    starts=st.lists(st.floats(0, 20), min_size=1, max_size=6),
    requests=st.integers(1, 200),
    per_second=st.sampled_from([1, 3, 10, 50]),
    per_minute=st.sampled_from([5, 60, 120]),
)
def test_the_minutes_limit_holds_over_sweeps_however_they_start(
    starts: list[float], requests: int, per_second: int, per_minute: int
) -> None:
    limits, watch, before, sent = Limits(per_second, per_minute, 20), Watch(), None, []
    for minute, late in enumerate(starts):
        watch.seconds = max(watch.seconds, minute * 60 + late)
        pace = watch.pace(before, limits)
        sent += _send(watch, pace, requests, time_left=40)
        before = pace.told()

    assert _most_within(60, sent) <= per_minute


def test_a_tick_made_by_hand_has_its_own_minute() -> None:
    before = Sent(120, START)
    pace = Pace.after(before, LIMITS, lambda: START + timedelta(minutes=1), Watch().pause)

    assert len(pace.sent) == 0


def test_nothing_sent_is_nothing_to_tell() -> None:
    assert Watch().pace().told() is None
