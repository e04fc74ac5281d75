"""Moments as text and as minutes. The table, the events and the ticks all speak UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

MINUTE = timedelta(minutes=1)


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


def epoch_minute(moment: datetime) -> int:
    """Whole minutes since 1970: the number of a tick."""
    return int(moment.timestamp()) // 60


def from_minute(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)
