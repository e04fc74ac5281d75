"""What a vendor says of its own count: `X-RateLimit-Remaining`, `X-RateLimit-Reset` and their relations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pollbridge.polling.client import retry_after, spent_until, until_reset

NOW = datetime(2026, 6, 8, 12, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
HOUR = timedelta(hours=1)

pytestmark = pytest.mark.promise(17)

moments = st.floats(1e6, 7e9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
hostile = st.one_of(
    st.text(),
    st.from_regex(r"\s*[-+]?\d{1,400}(\.\d{0,400})?\s*"),
    st.sampled_from(["NaN", "inf", "-Infinity", "1e400", "٣٠", "9" * 8000, "0001-01-01T00:00:00+23:59", "\ud800"]),
    st.from_regex(r"(Mon, )?\d+ Jun \d+ \d+:\d+:\d+ [+-]?\d*", fullmatch=True),
)


def spent(reset: str | None = None, remaining: str = "0", **more: str) -> datetime | None:
    said = {"X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": reset}
    return spent_until({name: value for name, value in said.items() if value is not None} | more, NOW)


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        (str(EPOCH + 90), 90),
        (f" {EPOCH + 90} ", 90),
        (f"{EPOCH + 90}.5", 90.5),
        (f"{EPOCH + 90}500", 90.5),
        (str(EPOCH + 3600), 3600),
        (str(EPOCH + 3601), 3600),
        ("9" * 4000, 3600),
        ("2026-06-08T12:01:30Z", 90),
        ("2026-06-08T14:01:30.000+02:00", 90),
        ("2026-06-08T12:01:30", 90),
        ("Mon, 08 Jun 2026 12:01:30 GMT", 90),
        ("90", 90),
        ("86400", 3600),
        ("0", 1),
        (str(EPOCH), 1),
        (str(EPOCH - 1), 60),
        ("86401", 60),
        ("2020-06-08T12:01:30Z", 60),
        (None, 60),
        ("", 60),
        ("soon", 60),
        ("NaN", 60),
        ("-90", 60),
        ("1e3", 60),
        ("٣٠", 60),
    ],
)
def test_a_reset_is_read_generously_and_clamped_to_an_hour(reset: str | None, seconds: float) -> None:
    assert spent(reset) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize("remaining", ["0", " 0 ", "00", "0.0", "-1", "-0", "-2.5"])
def test_nothing_remains(remaining: str) -> None:
    assert spent(remaining=remaining) == NOW + timedelta(minutes=1)


@pytest.mark.parametrize(
    "remaining", ["1", "119", "0.5", "", " ", "-", "+0", "0, 0", "0x0", "٠", "-٣", "NaN", "none", "0e1"]
)
def test_something_remains_or_it_is_not_said(remaining: str) -> None:
    assert spent(remaining=remaining) is None


def test_a_vendor_that_does_not_count_asks_for_no_rest() -> None:
    assert spent_until({}, NOW) is None
    assert spent_until({"X-RateLimit-Reset": "90"}, NOW) is None


@pytest.mark.parametrize("limit", ["0", "-1"])
def test_a_gateway_without_limits_asks_for_no_rest(limit: str) -> None:
    assert spent("90", limit, **{"X-RateLimit-Limit": limit}) is None


def test_the_names_of_the_ietf_count_too_and_the_longer_rest_wins() -> None:
    ietf = {"RateLimit-Limit": "100", "RateLimit-Remaining": "0", "RateLimit-Reset": "45"}

    assert spent_until(ietf, NOW) == NOW + timedelta(seconds=45)
    assert spent("30", **ietf) == NOW + timedelta(seconds=45)
    assert spent("90", **ietf) == NOW + timedelta(seconds=90)


@given(theirs=moments, seconds=st.integers(1, 3600))
@example(theirs=NOW, seconds=1)
def test_a_vendor_whose_clock_is_wrong_is_understood_by_its_date(theirs: datetime, seconds: int) -> None:
    theirs = theirs.replace(microsecond=0)
    reset = int(theirs.timestamp()) + seconds

    rest = until_reset(str(reset), NOW, theirs.strftime("%a, %d %b %Y %H:%M:%S GMT"))

    by_our_clock = reset - EPOCH
    assert rest == timedelta(seconds=max(by_our_clock, 1) if -1 < by_our_clock <= 3600 else seconds)


@given(seconds=st.integers(0, 3600), date=st.just("Mon, 08 Jun 2026 11:00:00 GMT") | hostile)
def test_a_reset_that_makes_sense_by_our_clock_needs_no_date(seconds: int, date: str) -> None:
    assert until_reset(str(EPOCH + seconds), NOW, date) == timedelta(seconds=max(seconds, 1))


def test_a_reset_that_is_over_by_the_vendors_clock_is_over_whatever_ours_says() -> None:
    assert until_reset(str(EPOCH + 9000), NOW, "Mon, 08 Jun 2026 15:00:00 GMT") == timedelta(minutes=1)


@given(
    headers=st.dictionaries(
        st.sampled_from(
            [f"{count}-{name}" for count in ("X-RateLimit", "RateLimit") for name in ("Limit", "Remaining", "Reset")]
            + ["Date"]
        ),
        st.one_of(st.just("0"), hostile),
    ),
    now=moments,
)
def test_nothing_that_is_said_raises_or_asks_for_more_than_an_hour(headers: dict[str, str], now: datetime) -> None:
    until = spent_until(headers, now)

    assert until is None or now < until <= now + HOUR


@given(reset=hostile, date=st.none() | hostile, now=moments)
def test_every_wait_for_a_reset_is_between_a_second_and_an_hour(reset: str, date: str | None, now: datetime) -> None:
    assert timedelta(seconds=1) <= until_reset(reset, now, date) <= HOUR


@given(value=hostile, now=moments)
@example(value="Mon, 08 Jun 2026 12:00:00 +99999999999999", now=NOW)
def test_no_retry_after_raises_or_asks_for_more_than_an_hour(value: str, now: datetime) -> None:
    assert timedelta() <= retry_after(value, now) <= HOUR
