"""The table as the stack makes it, for moto; a test in `tests/infra` holds the two together."""

from typing import Any

KEYS = {
    "due": ("due_slot", "PK"),
    "by_state": ("connection_state", "changed_at"),
    "timeline": ("day", "moment"),
    "unpublished": ("unpublished", "recorded_at"),
}
CARRIED = {
    "due": ("due_row",),
    "by_state": ("snapshot", "version", "labels", "due_slot", "lost", "observed_at"),
    "timeline": ("event", "event_id", "detail_type"),
    "unpublished": (),
}
"""What an index holds beside its own keys and the table's."""


def create_table(client: Any, name: str) -> None:
    attributes = sorted({"PK", "SK"} | {name for pair in KEYS.values() for name in pair})
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=_schema("PK", "SK"),
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in attributes],
        GlobalSecondaryIndexes=[
            {"IndexName": index, "KeySchema": _schema(*pair), "Projection": _projection(index)}
            for index, pair in KEYS.items()
        ],
    )


def _projection(index: str) -> dict[str, Any]:
    carried = CARRIED[index]
    return (
        {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(carried)} if carried else {"ProjectionType": "KEYS_ONLY"}
    )


def _schema(hash_key: str, range_key: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": hash_key, "KeyType": "HASH"},
        {"AttributeName": range_key, "KeyType": "RANGE"},
    ]
