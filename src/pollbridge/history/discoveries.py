"""Discovery heads: how far the list of a scope has been read."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field

from pollbridge.history.table import HEAD, Item, Table, number, setting, text

DIGEST = 4
"""Bytes by which an entry is remembered: two of ten thousand share them once in eighty-six times, for an hour."""


def digest(told: str) -> bytes:
    return hashlib.blake2b(told.encode("utf-8", "replace"), digest_size=DIGEST).digest()


@dataclass(frozen=True, slots=True)
class Pass:
    """A reading of the whole list that isn't at its end yet."""

    token: str
    """Of the page to go on with; empty for the first."""
    pages: int
    """Read so far."""
    seen: frozenset[bytes] = frozenset()
    """Digests of the followed jobs among its entries."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What is known of a scope's list; minutes are counted since 1970."""

    baseline_done: bool = False
    """One whole pass has been read: what is new from now on is news."""
    baseline_until: str | None = None
    """Jobs that the vendor created up to then were there before that pass began."""
    full_at: int | None = None
    """The tick in which the last whole pass ended."""
    mark: str | None = None
    """When the newest entry was updated, in the vendor's words, but no later than we asked."""
    top: frozenset[bytes] = field(default_factory=frozenset)
    """Digests of the entries of the first page, as they stood."""
    unfinished: Pass | None = None
    stamp: str | None = field(default=None, compare=False)
    """Changes with each write, so that a sweep that was overtaken writes nothing."""


@dataclass(frozen=True, slots=True)
class Discoveries:
    """One item per connection and scope."""

    table: Table

    def get(self, connection: str, scope: str) -> Discovery | None:
        """None before the first reading."""
        item = self.table.get(_pk(connection, scope), HEAD)
        return discovery_of(item) if item else None

    def save(self, connection: str, scope: str, before: Discovery | None, discovery: Discovery) -> None:
        """Raises LostRace when somebody else has written since `before` was read."""
        unfinished = discovery.unfinished
        told: dict[str, dict[str, object] | None] = {
            "stamp": {"S": uuid.uuid4().hex[:8]},
            "baseline_done": {"BOOL": True} if discovery.baseline_done else None,
            "baseline_until": {"S": discovery.baseline_until} if discovery.baseline_until else None,
            "full_at": {"N": str(discovery.full_at)} if discovery.full_at is not None else None,
            "mark": {"S": discovery.mark} if discovery.mark else None,
            "top": {"B": _packed(discovery.top)} if discovery.top else None,
            "cursor": {"S": unfinished.token} if unfinished else None,
            "pages": {"N": str(unfinished.pages)} if unfinished else None,
            "seen": {"B": _packed(unfinished.seen)} if unfinished and unfinished.seen else None,
        }
        values: Item = {}
        if before is None:
            when = "attribute_not_exists(PK)"
        elif before.stamp is None:
            when = "attribute_not_exists(stamp)"
        else:
            when, values = "stamp = :before", {":before": {"S": before.stamp}}
        self.table.update(
            setting(
                _pk(connection, scope),
                HEAD,
                when=when,
                set_={name: value for name, value in told.items() if value is not None},
                remove=[name for name, value in told.items() if value is None],
                values=values,
            )
        )


def _pk(connection: str, scope: str) -> str:
    return f"DISCOVERY#{connection}#{scope}"


def discovery_of(item: Item) -> Discovery:
    token = text(item, "cursor")
    return Discovery(
        baseline_done="baseline_done" in item,
        baseline_until=text(item, "baseline_until"),
        full_at=number(item, "full_at") if "full_at" in item else None,
        mark=text(item, "mark"),
        top=_unpacked(item, "top"),
        stamp=text(item, "stamp"),
        unfinished=Pass(token, number(item, "pages"), _unpacked(item, "seen")) if token is not None else None,
    )


def _packed(digests: frozenset[bytes]) -> bytes:
    return b"".join(sorted(digests))


def _unpacked(item: Item, name: str) -> frozenset[bytes]:
    # boto3's resources wrap binary values, clients don't.
    packed = bytes(item[name]["B"]) if name in item else b""
    return frozenset(packed[start : start + DIGEST] for start in range(0, len(packed), DIGEST))
