"""Moments as text and as minutes. The table, the events and the ticks all speak UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

MINUTE = timedelta(minutes=1)

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
