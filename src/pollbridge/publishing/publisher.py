"""The publisher: what the stream brings goes on the bus and loses its mark; what fails is reported by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pollbridge.history.entries import Entry, entry_of
from pollbridge.history.publication import Publication
from pollbridge.publishing.bus import Bus


@dataclass(frozen=True, slots=True)
class Published:
    """The entries that went out, and those that the bus refused.

    Records are told by their sequence numbers: those that are no entries, and all that did not go out.
    """

    entries: tuple[Entry, ...]
    refused: tuple[Entry, ...]
    unreadable: tuple[str, ...]
    failed: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.entries)


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes at least once: an entry whose mark could not be taken off goes out again, with the same event id."""

    bus: Bus
    publication: Publication

    def publish(self, records: Sequence[Mapping[str, Any]]) -> Published:
        """Publish the told entries among a stream's records."""
        told: dict[str, Entry] = {}
        unreadable: list[str] = []
        for record in records:
            number, item = record["dynamodb"]["SequenceNumber"], record["dynamodb"].get("NewImage", {})
            try:
                if "unpublished" in item:
                    told[number] = entry_of(item)
            except (KeyError, ValueError):
                unreadable.append(number)
        published, refused = self.bus.publish(list(told.values()))
        for entry in published:
            self.publication.published(entry)
        done = {(entry.pk, entry.sk) for entry in published}
        left = [number for number, entry in told.items() if (entry.pk, entry.sk) not in done]
        return Published(tuple(published), tuple(refused), tuple(unreadable), (*unreadable, *left))
