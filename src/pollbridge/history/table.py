"""The DynamoDB table as the rooms of `history` use it: plain calls with attribute values, one way to transact."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from pollbridge.model.instant import read_iso

Item = dict[str, dict[str, Any]]
"""An item, or a part of one, in DynamoDB's own notation: `{"PK": {"S": "…"}}`."""

HEAD = "HEAD"
CONFLICT_TRIES = 5

BATCH = 100
"""Items that one BatchGetItem takes."""

BATCH_TRIES = 6


class LostRace(Exception):
    """The condition of a write did not hold: somebody else was there first.

    `item` is what stands there now, where DynamoDB told.
    """

    def __init__(self, item: Item | None = None) -> None:
        super().__init__("the condition did not hold")
        self.item = item


@dataclass(frozen=True, slots=True)
class Table:
    """One table, reached through a low-level client. Thread-safe."""

    client: Any
    name: str
    pause: Callable[[float], None] = time.sleep

    def get(self, pk: str, sk: str) -> Item | None:
        """The item as it stands now (consistent), or None."""
        answer = self.client.get_item(TableName=self.name, Key=key(pk, sk), ConsistentRead=True)
        item: Item | None = answer.get("Item")
        return item

    def put(self, item: Item) -> None:
        self.client.put_item(TableName=self.name, Item=item)

    def update(self, update: Mapping[str, Any], **options: Any) -> Item:
        """One conditional UpdateItem. Raises LostRace with the item that stands there."""
        try:
            answer = self.client.update_item(
                TableName=self.name, ReturnValuesOnConditionCheckFailure="ALL_OLD", **update, **options
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                raise LostRace(error.response.get("Item")) from None
            raise
        attributes: Item = answer.get("Attributes", {})
        return attributes

    def update_once(
        self,
        pk: str,
        sk: str,
        *,
        when: str,
        set_: Mapping[str, Any],
        remove: Sequence[str] = (),
        values: Item,
        token: str,
    ) -> Item:
        """One conditional UpdateItem that recognizes itself by its token. Returns the item after it. Raises LostRace.

        The SDK repeats a call whose response was lost, and its own first try then fails the condition: the item holds
        this call's token. Every write to such an item sets a token of its own.
        """
        mine = {"S": token}
        update = setting(pk, sk, when=when, set_={**set_, "token": mine}, remove=remove, values=values)
        try:
            return self.update(update, ReturnValues="ALL_NEW")
        except LostRace as race:
            if race.item and race.item.get("token") == mine:
                return race.item
            raise

    def transact(self, *writes: Mapping[str, Any]) -> None:
        """All of the writes or none. Raises LostRace when a condition did not hold.

        A conflict with another transaction says nothing about the conditions, so it is tried again. The SDK
        sends one request token with all its retries of a call: a success whose answer was lost stays a success.
        """
        for attempt in range(1, CONFLICT_TRIES + 1):
            try:
                self.client.transact_write_items(TransactItems=list(writes))
                return
            except ClientError as error:
                reasons = error.response.get("CancellationReasons", [])
                codes = {reason.get("Code") for reason in reasons}
                if "ConditionalCheckFailed" in codes:
                    raise LostRace from None
                conflict = error.response["Error"]["Code"] == "TransactionConflictException"
                if not (conflict or "TransactionConflict" in codes) or attempt == CONFLICT_TRIES:
                    raise
            self.pause(random.uniform(0.01, 0.05) * 2**attempt)

    def query(self, condition: str, values: Item, *, index: str | None = None, **options: Any) -> Iterator[Item]:
        """All items that the key condition finds, page by page."""
        options = {"KeyConditionExpression": condition, "ExpressionAttributeValues": values, **options}
        if index:
            options["IndexName"] = index
        return self._pages(self.client.query, options)

    def batch(self, keys: Sequence[Item], attributes: Sequence[str], *, consistent: bool = False) -> Iterator[Item]:
        """Those of the items that exist, in any order, with these attributes; eventually consistent unless told."""
        names = {f"#{number}": name for number, name in enumerate(attributes)}
        for start in range(0, len(keys), BATCH):
            left = list(keys[start : start + BATCH])
            for attempt in range(1, BATCH_TRIES + 1):
                wanted = {
                    "Keys": left,
                    "ProjectionExpression": ", ".join(names),
                    "ExpressionAttributeNames": names,
                    "ConsistentRead": consistent,
                }
                answer = self.client.batch_get_item(RequestItems={self.name: wanted})
                yield from answer["Responses"].get(self.name, ())
                left = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
                if not left:
                    break
                self.pause(random.uniform(0.02, 0.05) * 2**attempt)
            else:
                raise TimeoutError("DynamoDB keeps leaving keys of a batch unread")

    def scan(self, index: str, *, segment: int, of: int) -> Iterator[Item]:
        return self._pages(self.client.scan, {"IndexName": index, "Segment": segment, "TotalSegments": of})

    def _pages(self, call: Callable[..., Any], options: dict[str, Any]) -> Iterator[Item]:
        while True:
            page = call(TableName=self.name, **options)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            options = {**options, "ExclusiveStartKey": page["LastEvaluatedKey"]}


def new_token() -> str:
    """What `Table.update_once` recognizes a write by."""
    return uuid.uuid4().hex


def key(pk: str, sk: str) -> Item:
    return {"PK": {"S": pk}, "SK": {"S": sk}}


def text(item: Mapping[str, Any], name: str) -> str | None:
    """A string attribute, or None where there is none."""
    attribute = item.get(name)
    return attribute["S"] if attribute else None


def number(item: Mapping[str, Any], name: str) -> int:
    """A number attribute; 0 where there is none."""
    attribute = item.get(name)
    return int(attribute["N"]) if attribute else 0


def moment(item: Mapping[str, Any], name: str) -> datetime | None:
    """A string attribute that holds a moment, or None where there is none."""
    told = text(item, name)
    return read_iso(told) if told else None


def setting(
    pk: str, sk: str, *, when: str, set_: Mapping[str, Any], remove: Sequence[str] = (), values: Item
) -> dict[str, Any]:
    """An UpdateItem: `set_` maps attribute to its new attribute value; all names are passed as placeholders."""
    names = {f"#{name}": name for name in (*set_, *remove)}
    clauses = []
    if set_:
        clauses.append("SET " + ", ".join(f"#{name} = :{name}" for name in set_))
    if remove:
        clauses.append("REMOVE " + ", ".join(f"#{name}" for name in remove))
    update: dict[str, Any] = {
        "Key": key(pk, sk),
        "UpdateExpression": " ".join(clauses),
        "ConditionExpression": when,
        "ExpressionAttributeNames": names,
    }
    every_value = {f":{name}": value for name, value in set_.items()} | values
    if every_value:
        update["ExpressionAttributeValues"] = every_value
    return update
