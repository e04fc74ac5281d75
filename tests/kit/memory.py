"""DynamoDB in memory, as far as `history` speaks it: atomic, thread-safe, and a hundred times faster than moto.

`tests/integration/test_table.py` holds this and moto to one contract.
"""

# ruff: noqa: N803 - the parameters are boto3's

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from copy import deepcopy
from threading import RLock
from typing import Any

from botocore.exceptions import ClientError

from pollbridge.history.table import Item
from tests.kit.table import KEYS


class Memory:
    """A client whose one table is a dictionary."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], Item] = {}
        self.lock = RLock()

    def get_item(self, *, Key: Item, **_: Any) -> dict[str, Any]:
        with self.lock:
            item = self.items.get(_place(Key))
            return {"Item": deepcopy(item)} if item else {}

    def batch_get_item(self, *, RequestItems: dict[str, dict[str, Any]]) -> dict[str, Any]:
        [(table, wanted)] = RequestItems.items()
        names = wanted["ExpressionAttributeNames"].values()
        with self.lock:
            found = [self.items.get(_place(key), {}) for key in wanted["Keys"]]
        parts = [{name: deepcopy(item[name]) for name in names if name in item} for item in found if item]
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
                raise ClientError({"Error": error} | ({"Item": deepcopy(old)} if old else {}), "UpdateItem")
            self._write({"Update": update})
            new = self.items[_place(update["Key"])]
            return {"Attributes": deepcopy({"ALL_OLD": old, "ALL_NEW": new}.get(ReturnValues) or {})}

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
        order = KEYS[IndexName][1] if IndexName else "SK"
        wanted = {"ConditionExpression": KeyConditionExpression, "ExpressionAttributeValues": ExpressionAttributeValues}
        with self.lock:
            found = [deepcopy(item) for item in self.items.values() if _holds(wanted, item)]
        return {"Items": sorted(found, key=lambda item: item[order]["S"], reverse=not ScanIndexForward)}

    def scan(
        self, *, IndexName: str | None = None, Segment: int = 0, TotalSegments: int = 1, **_: Any
    ) -> dict[str, Any]:
        with self.lock:
            places = sorted(self.items)[Segment::TotalSegments]
            found = [deepcopy(self.items[place]) for place in places]
        return {"Items": [item for item in found if not IndexName or KEYS[IndexName][0] in item]}

    def _write(self, write: Mapping[str, Any]) -> None:
        if "Put" in write:
            item = deepcopy(write["Put"]["Item"])
        else:
            item = _updated(self.items.get(_place(write["Update"]["Key"])), write["Update"])
        self.items[_place(item)] = item


def _place(key: Item) -> tuple[str, str]:
    return key["PK"]["S"], key["SK"]["S"]


def _updated(item: Item | None, update: Mapping[str, Any]) -> Item:
    new = deepcopy(item or update["Key"])
    names, values = update.get("ExpressionAttributeNames", {}), update.get("ExpressionAttributeValues", {})
    sets, _, removes = update["UpdateExpression"].partition("REMOVE")
    for name, value in re.findall(r"(#\w+) = (:\w+)", sets):
        new[names[name]] = deepcopy(values[value])
    for name in re.findall(r"#\w+", removes):
        new.pop(names[name], None)
    return new


def _holds(write: Mapping[str, Any], item: Item | None) -> bool:
    """Conditions are clauses joined by AND; a clause, in parentheses or alone, is terms joined by OR."""
    condition = write.get("ConditionExpression")
    clauses = condition.split(" AND ") if condition else []
    return all(any(_term(term, write, item or {}) for term in _terms(clause)) for clause in clauses)


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
    return bool({"=": operator.eq, "<": operator.lt, "<=": operator.le, ">=": operator.ge}[sign](left, right))


def _plain(attribute: Mapping[str, Any]) -> Any:
    [(kind, value)] = attribute.items()
    return int(value) if kind == "N" else value
