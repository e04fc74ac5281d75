"""Which history entries are on the bus: the mark every told entry is born with and loses once published."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pollbridge.history.entries import UNPUBLISHED, Entry, entry_of
from pollbridge.history.table import LostRace, Table, setting
from pollbridge.model.instant import sortable


@dataclass(frozen=True, slots=True)
class Publication:
    """The `unpublished` mark and its sparse index."""

    table: Table

    def published(self, entry: Entry) -> None:
        """Take the mark off. Twice is fine; an entry that expired meanwhile too."""
        self._change(entry, set_={}, remove=("unpublished",))

    def unpublished(self, before: datetime) -> Iterator[Entry]:
        """Entries recorded before then that still carry the mark, oldest first, each read from the table itself."""
        values = {":mark": UNPUBLISHED, ":before": {"S": sortable(before)}}
        for row in self.table.query("unpublished = :mark AND recorded_at < :before", values, index="unpublished"):
            item = self.table.get(row["PK"]["S"], row["SK"]["S"])
            if item and "unpublished" in item:
                yield entry_of(item)

    def count_try(self, entry: Entry) -> None:
        """One more republication was tried."""
        self._change(entry, set_={"republished": {"N": str(entry.republished + 1)}}, remove=())

    def _change(self, entry: Entry, set_: dict[str, dict[str, str]], remove: tuple[str, ...]) -> None:
        try:
            self.table.update(
                setting(entry.pk, entry.sk, when="attribute_exists(PK)", set_=set_, remove=remove, values={})
            )
        except LostRace:
            return  # It has expired: there is nothing left to mark.
