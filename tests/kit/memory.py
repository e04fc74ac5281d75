"""DynamoDB in memory, as far as `history` speaks it: atomic, thread-safe, and a hundred times faster than moto.

`tests/integration/test_table.py` holds this and moto to one contract.
"""

# ruff: noqa: N803 - the parameters are boto3's

from __future__ import annotations

import operator
import re
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from threading import RLock
from typing import Any

from botocore.exceptions import ClientError

from pollbridge.history.table import Item
from tests.kit.table import CARRIED, KEYS

Place = tuple[str, str]


class Memory:
    """A client whose one table is a dictionary."""

    def __init__(self) -> None:
        self.items: dict[Place, Item] = {}
        self.partitions: dict[str | None, dict[str | None, dict[Place, Item]]] = {
            index: defaultdict(dict) for index in (None, *KEYS)
        }
        """The same items by the partition key of the table, and of each index."""
        self.lock = RLock()

    def get_item(self, *, Key: Item, **_: Any) -> dict[str, Any]:
        with self.lock:
            item = self.items.get(_place(Key))
            return {"Item": dict(item)} if item else {}

    def batch_get_item(self, *, RequestItems: dict[str, dict[str, Any]]) -> dict[str, Any]:
        [(table, wanted)] = RequestItems.items()
        names = wanted["ExpressionAttributeNames"].values()
        with self.lock:
            found = [self.items.get(_place(key), {}) for key in wanted["Keys"]]
        parts = [{name: item[name] for name in names if name in item} for item in found if item]
        return {"Responses": {table: parts}, "UnprocessedKeys": {}}

    def put_item(self, **put: Any) -> dict[str, Any]:
        with self.lock:
            self._write({"Put": put})
        return {}

    def update_item(self, *, ReturnValues: str = "NONE", **update: Any) -> dict[str, Any]:
        with self.lock:
            old = self.items.get(_place(update["Key"]))
            if not _holds(update, old):
                error = {"Code": "ConditionalCheckFailedException", "Message": "The conditional request failed"}
                raise ClientError({"Error": error} | ({"Item": dict(old)} if old else {}), "UpdateItem")
            self._write({"Update": update})
            new = self.items[_place(update["Key"])]
            return {"Attributes": dict({"ALL_OLD": old, "ALL_NEW": new}.get(ReturnValues) or {})}

    def transact_write_items(self, *, TransactItems: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        with self.lock:
            writes = [write for item in TransactItems for write in item.values()]
            held = [_holds(write, self.items.get(_place(write.get("Key") or write["Item"]))) for write in writes]
            if not all(held):
                error = {"Code": "TransactionCanceledException", "Message": "Transaction cancelled"}
                reasons = [{"Code": "None" if good else "ConditionalCheckFailed"} for good in held]
                raise ClientError({"Error": error, "CancellationReasons": reasons}, "TransactWriteItems")
            for item in TransactItems:
                self._write(item)
            return {}

    def query(
        self,
        *,
        KeyConditionExpression: str,
        ExpressionAttributeValues: Item,
        IndexName: str | None = None,
        ScanIndexForward: bool = True,
        **_: Any,
    ) -> dict[str, Any]:
        partition, _and, rest = KeyConditionExpression.partition(" AND ")
        value = ExpressionAttributeValues[partition.split(" = ")[1]]["S"]
        wanted = {"ConditionExpression": rest, "ExpressionAttributeValues": ExpressionAttributeValues}
        order = keys(IndexName)[1]
        if span := re.search(r"BETWEEN (:\w+) AND (:\w+)", rest):
            first, last = (ExpressionAttributeValues[name]["S"] for name in span.groups())
            if first > last:
                message = "The BETWEEN operator requires upper bound to be greater than or equal to lower bound"
                raise ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "Query")
        with self.lock:
            items = self.partitions[IndexName].get(value, {}).values()
            found = [row(item, IndexName) for item in items if not rest or _holds(wanted, item)]
        return {"Items": sorted(found, key=lambda item: item[order]["S"], reverse=not ScanIndexForward)}

    def scan(
        self, *, IndexName: str | None = None, Segment: int = 0, TotalSegments: int = 1, **_: Any
    ) -> dict[str, Any]:
        with self.lock:
            places = sorted(self.items)[Segment::TotalSegments]
            found = [row(self.items[place], IndexName) for place in places]
        return {"Items": [item for item in found if item]}

    def _write(self, write: Mapping[str, Any]) -> None:
        if "Put" in write:
            item = dict(write["Put"]["Item"])
        else:
            item = _updated(self.items.get(_place(write["Update"]["Key"])), write["Update"])
        place = _place(item)
        self._index(place, self.items.get(place, {}), item)
        self.items[place] = item

    def _index(self, place: Place, old: Item, new: Item) -> None:
        for index, partitions in self.partitions.items():
            before, after = (_partition(item, index) for item in (old, new))
            if before not in {None, after}:
                partitions[before].pop(place, None)
            if after is not None:
                partitions[after][place] = new


def keys(index: str | None) -> tuple[str, str]:
    """The names of the partition key and the sort key, of an index or of the table."""
    return KEYS[index] if index else ("PK", "SK")


def row(item: Item, index: str | None) -> Item:
    """A copy of what the index, or the table, holds of the item; nothing of one that lacks a key of the index."""
    if not index:
        return dict(item)
    names = keys(index)
    if not all(name in item for name in names):
        return {}
    return {name: item[name] for name in dict.fromkeys(("PK", "SK", *names, *CARRIED[index])) if name in item}


def _partition(item: Item, index: str | None) -> str | None:
    """The partition in which the item stands; an index holds none that lacks a key of it."""
    names = keys(index)
    return item[names[0]]["S"] if all(name in item for name in names) else None


def _place(key: Item) -> Place:
    return key["PK"]["S"], key["SK"]["S"]


def _updated(item: Item | None, update: Mapping[str, Any]) -> Item:
    # Attribute values are never written to, neither here nor by the callers.
    new = dict(item or update["Key"])
    names, values = update.get("ExpressionAttributeNames", {}), update.get("ExpressionAttributeValues", {})
    sets, _, removes = update["UpdateExpression"].partition("REMOVE")
    for name, value in re.findall(r"(#\w+) = (:\w+)", sets):
        new[names[name]] = values[value]
    for name in re.findall(r"#\w+", removes):
        new.pop(names[name], None)
    return new


@cache
def _clauses(condition: str) -> list[list[str]]:
    spelt_out = re.sub(r"(\S+) BETWEEN (:\w+) AND (:\w+)", r"\1 >= \2 AND \1 <= \3", condition)
    return [_terms(clause) for clause in spelt_out.split(" AND ")]


def _holds(write: Mapping[str, Any], item: Item | None) -> bool:
    """Conditions are clauses joined by AND; a clause, in parentheses or alone, is terms joined by OR."""
    condition = write.get("ConditionExpression")
    clauses = _clauses(condition) if condition else []
    return all(any(_term(term, write, item or {}) for term in terms) for terms in clauses)


def _terms(clause: str) -> list[str]:
    return (clause[1:-1] if clause.startswith("(") else clause).split(" OR ")


def _term(term: str, write: Mapping[str, Any], item: Item) -> bool:
    names, values = write.get("ExpressionAttributeNames", {}), write.get("ExpressionAttributeValues", {})
    if match := re.fullmatch(r"attribute_(not_)?exists\((#?\w+)\)", term):
        return (names.get(match[2], match[2]) in item) is (match[1] is None)
    if match := re.fullmatch(r"begins_with\((\w+), (:\w+)\)", term):
        return item.get(match[1], {}).get("S", "").startswith(values[match[2]]["S"])
    name, sign, value = term.split(" ")
    if names.get(name, name) not in item:
        return False
    left, right = _plain(item[names.get(name, name)]), _plain(values[value])
    signs = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">=": operator.ge, ">": operator.gt}
    return bool(signs[sign](left, right))


def _plain(attribute: Mapping[str, Any]) -> Any:
    [(kind, value)] = attribute.items()
    return int(value) if kind == "N" else value
