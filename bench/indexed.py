"""The kit's table in memory with real indexes, for very many jobs. It counts what DynamoDB would charge for.

`tests/integration/test_indexed_table.py` holds it to the contract of the other tables.
"""

# ruff: noqa: N803 - the parameters are boto3's

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any

from pollbridge.history.table import Item
from tests.kit.memory import Memory, _place, row
from tests.kit.table import KEYS

PAGE = 1024 * 1024
READ_UNIT = 4 * 1024
WRITE_UNIT = 1024
"""Bytes of a page and of a unit: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html"""


class Indexed(Memory):
    """A table that goes straight to the partition a query names. Attribute values are shared, never written to.

    `spent` counts pages read, items written, and units. A read costs half a unit per 4 KB, a consistent one a whole.
    A write costs a unit per KB of the item, two in a transaction, and the same again, once, for each index whose
    row of the item it changes; twice where it moves the row to another key.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spent: Counter[str] = Counter()
        self._times = 1

    def fill(self, items: Iterable[Item]) -> None:
        """Put new items as they are, at no charge."""
        for item in items:
            place = _place(item)
            self.items[place] = item
            self._index(place, {}, item)

    def expire(self, pk: str, sk: str) -> None:
        """What DynamoDB does, at no charge, to an item whose time is over."""
        with self.lock:
            self._index((pk, sk), self.items.pop((pk, sk)), {})

    def get_item(self, *, ConsistentRead: bool = False, **get: Any) -> dict[str, Any]:
        answer = super().get_item(**get)
        with self.lock:
            self._read(size(answer.get("Item", {})), 1 if ConsistentRead else 0.5)
        return answer

    def query(self, **query: Any) -> dict[str, Any]:
        answer = super().query(**query)
        with self.lock:
            self._read(sum(map(size, answer["Items"])), 0.5)
        return answer

    def transact_write_items(self, **transaction: Any) -> dict[str, Any]:
        with self.lock:
            self._times = 2
            try:
                return super().transact_write_items(**transaction)
            finally:
                self._times = 1

    def _write(self, write: Mapping[str, Any]) -> None:
        place = _place(write["Put"]["Item"] if "Put" in write else write["Update"]["Key"])
        old = self.items.get(place, {})
        super()._write(write)
        new = self.items[place]
        self.spent["items written"] += 1
        self.spent["write units"] += self._times * max(_units(old), _units(new))
        self.spent["write units"] += sum(_index_units(row(old, index), row(new, index), index) for index in KEYS)

    def _read(self, read: int, units: float) -> None:
        self.spent["pages"] += ceil(read / PAGE) or 1
        self.spent["read units"] += units * (ceil(read / READ_UNIT) or 1)


def size(item: Mapping[str, Any]) -> int:
    """Bytes of an item: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html"""
    return sum(len(name.encode()) + _weight(*attribute.items()) for name, attribute in item.items())


def _weight(typed: tuple[str, Any]) -> int:
    match typed:
        case ("S", text):
            return len(text.encode())
        case ("B", raw):
            return len(raw)
        case ("N", digits):
            return len(digits) // 2 + 1
        case ("M", entries):
            return 3 + size(entries) + len(entries)
        case _:
            return 1


def _units(item: Item) -> int:
    return ceil(size(item) / WRITE_UNIT)


def _index_units(old: Item, new: Item, index: str) -> int:
    if old == new:
        return 0
    if old and new and any(old[name] != new[name] for name in KEYS[index]):
        return _units(old) + _units(new)
    return max(_units(old), _units(new))
