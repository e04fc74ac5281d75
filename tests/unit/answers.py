"""Vendors' answers for the tests: the documented bodies in `samples/`, and changed copies of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pollbridge.model.job import Snapshot
from pollbridge.vendors import VENDORS
from pollbridge.vendors.answer import Kind

SAMPLES = Path(__file__).parent / "samples"
ABSENT: Any = object()
"""As a field's value: the field isn't there."""

KINDS = [f"{vendor.name}-{kind}" for vendor in VENDORS.values() for kind in vendor.kinds]
ID_FIELDS = {"mentionlab-execution": "jobExecutionId", "mintlify-agent-v1": "sessionId"}


def kind(name: str) -> Kind:
    vendor, _, rest = name.partition("-")
    return VENDORS[vendor].kinds[rest]


def sample(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_bytes())
    return body


def sample_id(name: str) -> str:
    return str(sample(name)[ID_FIELDS.get(name, "id")])


def changed(name: str, /, **fields: Any) -> bytes:
    """The sample of that kind with some fields set or left out."""
    values = {**sample(name), **fields}
    return json.dumps({field: value for field, value in values.items() if value is not ABSENT}).encode()


def read(name: str, /, **fields: Any) -> Snapshot:
    return kind(name).parse(changed(name, **fields)).snapshot
