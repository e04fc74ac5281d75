"""What `history` asks of DynamoDB, held by moto and by the kit's table in memory alike."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from pollbridge.history.table import Item, LostRace, Table, key, setting
from tests.kit.faults import Fault, Faulty, conflict, throttle
from tests.kit.memory import Memory


@pytest.fixture(params=["moto", "memory"])
def either(request: pytest.FixtureRequest) -> Table:
    if request.param == "memory":
        return Table(Memory(), "history", pause=lambda _: None)
    moto: Table = request.getfixturevalue("table")
    return moto


def write(sk: str = "HEAD", /, when: str = "attribute_not_exists(PK)", **attributes: str) -> Any:
    return setting("JOB#1", sk, when=when, set_={name: {"S": value} for name, value in attributes.items()}, values={})


def put(sk: str, **attributes: Item) -> dict[str, Any]:
    item = key("JOB#1", sk) | attributes
    return {"Put": {"TableName": "history", "Item": item, "ConditionExpression": "attribute_not_exists(PK)"}}


def update(of: dict[str, Any]) -> dict[str, Any]:
    return {"Update": of | {"TableName": "history"}}


def test_an_update_returns_what_was_there_or_what_is(either: Table) -> None:
    either.update(write(a="1"))

    assert either.update(write(when="a = :a", a="1"), ReturnValues="ALL_OLD")["a"] == {"S": "1"}
    assert either.update(
        write(when="a = :a", a="1") | write(when="attribute_exists(a)", b="2"), ReturnValues="ALL_NEW"
    ) == {
        **key("JOB#1", "HEAD"),
        "a": {"S": "1"},
        "b": {"S": "2"},
    }


def test_a_lost_race_tells_what_stands_there(either: Table) -> None:
    either.update(write(a="1"))

    with pytest.raises(LostRace) as race:
        either.update(write(a="2"))

    assert race.value.item == {**key("JOB#1", "HEAD"), "a": {"S": "1"}}
    assert either.get("JOB#1", "HEAD") == race.value.item


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("(attribute_not_exists(a) OR a <= :low OR b = :one) AND (attribute_not_exists(n) OR n < :ten)", True),
        ("(attribute_not_exists(a) OR a <= :low) AND n < :ten", False),
        ("attribute_exists(a) AND n < :nine", False),
        ("gone < :ten", False),
        ("attribute_not_exists(n) OR n < :ten", True),
        ("b = :one AND n < :ten AND attribute_exists(a)", True),
        ("a >= :low AND begins_with(a, :low)", False),
    ],
)
def test_conditions_mean_what_they_say(either: Table, condition: str, holds: bool) -> None:
    either.put(key("JOB#1", "HEAD") | {"a": {"S": "middle"}, "b": {"S": "one"}, "n": {"N": "9"}})
    values = {":low": {"S": "low"}, ":one": {"S": "one"}, ":ten": {"N": "10"}, ":nine": {"N": "9"}}
    told = {name: value for name, value in values.items() if name in condition}
    wish = setting("JOB#1", "HEAD", when=condition, set_={"c": {"S": "x"}}, remove=("b",), values=told)

    try:
        either.update(wish)
    except LostRace:
        assert not holds
    else:
        assert holds
        assert (either.get("JOB#1", "HEAD") or {}).keys() == {"PK", "SK", "a", "n", "c"}


def test_a_transaction_writes_all_or_nothing(either: Table) -> None:
    either.transact(update(write(a="1")), put("V#1"))

    with pytest.raises(LostRace):
        either.transact(update(write(when="a = :a", a="1")), put("V#1"))
    with pytest.raises(LostRace):
        either.transact(update(write(when="b = :b", b="1")), put("V#2"))

    assert [item["SK"]["S"] for item in either.query("PK = :pk", {":pk": {"S": "JOB#1"}})] == ["HEAD", "V#1"]


def test_an_index_holds_what_has_its_key_in_order(either: Table) -> None:
    for sk, slot in (("B", "s"), ("A", "s"), ("C", "t")):
        either.put(key(f"JOB#{sk}", "HEAD") | {"due_slot": {"S": slot}})
    either.put(key("JOB#D", "HEAD"))

    found = list(either.query("due_slot = :slot", {":slot": {"S": "s"}}, index="due"))

    assert [item["PK"]["S"] for item in found] == ["JOB#A", "JOB#B"]
    assert len(list(either.scan("due", segment=0, of=1))) == 3


def test_a_partition_is_read_by_the_beginning_of_its_sort_key(either: Table) -> None:
    for sk in ("HEAD", "V#2", "V#1", "W"):
        either.put(key("JOB#1", sk))

    found = either.query("PK = :pk AND begins_with(SK, :v)", {":pk": {"S": "JOB#1"}, ":v": {"S": "V#"}})

    assert [item["SK"]["S"] for item in found] == ["V#1", "V#2"]


def test_a_conflict_of_transactions_is_tried_again() -> None:
    client = Faulty(Memory(), lambda call: Fault(conflict()) if call.number <= 2 else None)

    Table(client, "history", pause=lambda _: None).transact(put("V#1"))

    assert client.counts["transact_write_items"] == 3


@pytest.mark.parametrize("error", [conflict(), throttle("TransactWriteItems")])
def test_what_does_not_pass_is_raised_in_the_end(error: ClientError) -> None:
    client = Faulty(Memory(), lambda _: Fault(error))

    with pytest.raises(ClientError):
        Table(client, "history", pause=lambda _: None).transact(put("V#1"))
