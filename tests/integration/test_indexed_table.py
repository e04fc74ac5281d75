"""The simulation's table keeps the contract of the others, and charges as DynamoDB does."""

from __future__ import annotations

import pytest

from bench.indexed import Indexed
from pollbridge.history.table import Table, key, setting
from tests.integration import test_table as contract
from tests.integration.test_table import put, update, write


@pytest.fixture
def either() -> Table:
    return Table(Indexed(), "history", pause=lambda _: None)


test_an_update_returns_what_was_there_or_what_is = contract.test_an_update_returns_what_was_there_or_what_is
test_a_lost_race_tells_what_stands_there = contract.test_a_lost_race_tells_what_stands_there
test_conditions_mean_what_they_say = contract.test_conditions_mean_what_they_say
test_a_transaction_writes_all_or_nothing = contract.test_a_transaction_writes_all_or_nothing
test_an_index_holds_what_has_its_key_in_order = contract.test_an_index_holds_what_has_its_key_in_order
test_a_partition_is_read_by_the_beginning_of_its_sort_key = (
    contract.test_a_partition_is_read_by_the_beginning_of_its_sort_key
)


def slots(table: Table, slot: str) -> list[str]:
    found = table.query("due_slot = :slot", {":slot": {"S": slot}}, index="due")
    return [item["PK"]["S"] for item in found]


def test_an_item_moves_through_an_index_and_out_of_it(either: Table) -> None:
    either.update(write(due_slot="s"))
    either.update(write(when="due_slot = :due_slot", due_slot="s") | write(when="attribute_exists(PK)", due_slot="t"))

    assert (slots(either, "s"), slots(either, "t")) == ([], ["JOB#1"])

    either.update(setting("JOB#1", "HEAD", when="attribute_exists(PK)", set_={}, remove=("due_slot",), values={}))

    assert slots(either, "t") == []


def test_what_expires_is_found_no_more(either: Table) -> None:
    either.put(key("JOB#1", "HEAD") | {"due_slot": {"S": "s"}})

    either.client.expire("JOB#1", "HEAD")

    assert slots(either, "s") == []
    assert either.get("JOB#1", "HEAD") is None


def spent(table: Table) -> tuple[float, int, int]:
    told = dict(table.client.spent)
    table.client.spent.clear()
    return told.get("read units", 0), told.get("write units", 0), told.get("items written", 0)


def test_reads_cost_by_the_bytes_they_read(either: Table) -> None:
    either.put(key("JOB#1", "HEAD") | {"due_slot": {"S": "s"}, "due_row": {"S": "x" * 5000}})
    spent(either)

    either.get("JOB#1", "HEAD")
    assert spent(either) == (2, 0, 0)
    slots(either, "s")
    assert spent(either) == (1, 0, 0)
    slots(either, "empty")
    assert spent(either) == (0.5, 0, 0)


def test_writes_cost_by_the_item_the_transaction_and_the_rows_of_indexes(either: Table) -> None:
    either.put(key("JOB#1", "HEAD") | {"due_slot": {"S": "s"}, "due_row": {"S": "x" * 1500}})
    assert spent(either) == (0, 2 + 2, 1)

    either.update(write(when="attribute_exists(PK)", other="1"))
    assert spent(either) == (0, 2, 1)

    either.update(write(when="attribute_exists(PK)", due_slot="t"))
    assert spent(either) == (0, 2 + 2 + 2, 1)

    either.transact(update(write(when="attribute_exists(PK)", other="2")), put("V#1"))
    assert spent(either) == (0, 2 * 2 + 2 * 1, 2)
