"""The table that tests read and write is the one that is deployed."""

from __future__ import annotations

from tests.infra.conftest import Template
from tests.kit.table import CARRIED, KEYS


def test_the_indexes_of_the_kit_have_the_keys_and_the_attributes_of_the_stacks(template: Template) -> None:
    [table] = template.all("DynamoDB::Table")

    indexes = {index["IndexName"]: index for index in table["GlobalSecondaryIndexes"]}
    keys = {name: tuple(part["AttributeName"] for part in index["KeySchema"]) for name, index in indexes.items()}
    carried = {name: set(index["Projection"].get("NonKeyAttributes", ())) for name, index in indexes.items()}
    assert keys == KEYS
    assert carried == {name: set(held) for name, held in CARRIED.items()}
