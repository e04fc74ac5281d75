"""The JSON of commands has every field that is promised, and no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from pollbridge.cli import delivering, main, read
from pollbridge.cli.clock import Clock
from tests.kit.explaining import JOB, Desk, opened

PARSED = {
    *("job", "state", "vendor_status", "terminal", "name", "progress", "links", "error", "message"),
    *("created_at", "started_at", "updated_at", "finished_at"),
}
PROMISED = {
    "show": PARSED | {"version", "changed_at", "watched", "lost", "failing"},
    "history": {
        *("version", "event_id", "detail_type", "reasons", "from", "to", "progress", "links", "error"),
        *("observed_at", "last_seen_at"),
    },
    "deliveries": {"event_id", "job_key", "version", "destination", "status", "attempts", "next_attempt_at"},
}
COMMANDS = {
    "show": ("show", JOB),
    "jobs": ("jobs",),
    "history": ("history", JOB),
    "deliveries": ("deliveries", "--job", JOB),
}


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A job of which `service` heard."""
    with opened() as desk:
        for command in (delivering, read):
            monkeypatch.setattr(command, "find", lambda: desk.deployment)
        monkeypatch.setattr(delivering, "client", lambda _: desk.sqs)
        desk.watch("active", "failed")
        desk.tell("service")
        yield desk


def told(desk: Desk, name: str) -> Any:
    result = CliRunner().invoke(main, [*COMMANDS[name], "--json"], obj=Clock(wall=lambda: desk.now))
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    return found[0] if isinstance(found, list) else found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_field_is_there(desk: Desk, name: str) -> None:
    assert told(desk, name).keys() == PROMISED["show" if name == "jobs" else name]


def test_every_attempt_has_its_fields(desk: Desk) -> None:
    [attempt] = told(desk, "deliveries")["attempts"]

    assert attempt.keys() == {"at", "outcome", "code", "latency_ms"}
