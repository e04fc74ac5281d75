"""Moments as text and as minutes. The table, the events and the ticks all speak UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

MINUTE = timedelta(minutes=1)

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

EARLIEST, LATEST = datetime(1980, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Go writes its zero time as the year 1, others write 9999 for never: neither can be reckoned with."""


def iso(moment: datetime) -> str:
    """ISO-8601 with `Z`; milliseconds only when there are any."""
    return sortable(moment).replace(".000Z", "Z")


def sortable(moment: datetime) -> str:
    """ISO-8601 with `Z` and always three fraction digits, so that text sorts as time."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def read_iso(text: str) -> datetime:
    """The inverse of both. Raises ValueError; a moment without offset is UTC."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def moment_or_age(text: str, now: datetime) -> datetime:
    """A moment, or how long before `now` it was (`90s`, `2h`, `7d`). Raises ValueError, in words for people."""
    ago = re.fullmatch(r"(\d{1,9})([smhd])", text, re.ASCII)
    try:
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}) if ago else read_iso(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is neither a time such as 2026-06-08T12:00:00Z nor an age such as 2h") from None


def vendor_moment(text: str | None) -> datetime | None:
    """A moment in a vendor's words; None for what can't be read, and for what no job can mean."""
    try:
        moment = read_iso(text) if text else None
        return moment if moment and EARLIEST <= moment <= LATEST else None
    except (ValueError, OverflowError):
        return None


def epoch_minute(moment: datetime) -> int:
    """Whole minutes since 1970: the number of a tick."""
    return int(moment.timestamp()) // 60


def from_minute(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)
