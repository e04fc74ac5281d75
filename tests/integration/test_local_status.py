"""`local status` says which connections bring no answers, and which never come to the end of a tick."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pollbridge.cli import deployment, main
from pollbridge.local.place import Place, State, identity
from pollbridge.model.instant import MINUTE, iso
from pollbridge.polling.client import Refused
from tests.kit.explaining import KEY, Desk, opened
from tests.kit.sweeping import START


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Desk]:
    """A local deployment that looks as if it ran."""
    monkeypatch.setenv("POLLBRIDGE_LOCAL", str(tmp_path))
    state = State(processes={"emulator": identity(os.getpid())}, ports={"emulator": 1}, deployed="now")
    Place.of_checkout().write(state)
    with opened() as desk:
        # The command sets them, too; they are to be as before when the test ends.
        for name, value in state.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(deployment, "find", lambda: desk.deployment)
        yield desk


def told() -> Any:
    result = CliRunner().invoke(main, ["local", "status", "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def text() -> str:
    return CliRunner().invoke(main, ["local", "status"]).stdout


def test_where_all_is_well_nothing_is_told(desk: Desk) -> None:
    assert (told()["behind"], told()["troubles"]) == ([], [])

    desk.watch("active")

    assert (told()["behind"], told()["troubles"]) == ([], [])


def test_a_connection_that_never_completed_a_tick_is_told(desk: Desk) -> None:
    desk.bench.heads.follow(KEY, {}, desk.now)
    desk.bench.time_left = lambda: 0.0
    desk.tick(600)

    [behind] = told()["behind"]
    assert behind == {
        "connection": "oration",
        "last_tick_at": iso(START + 600 * MINUTE),
        "last_completed_at": None,
    }
    assert "oration        no tick was ever completed; the last began at 2026-06-08 22:00:00 UTC" in text()


def test_a_connection_that_completes_no_tick_any_more_is_told(desk: Desk) -> None:
    desk.watch("active")
    desk.bench.time_left = lambda: 0.0
    desk.tick(15)
    assert told()["behind"] == []
    desk.tick()

    assert "oration        no tick is completed since 2026-06-08 12:01:00 UTC" in text()


def test_a_vendor_that_was_down_since_the_deploy_is_told(desk: Desk) -> None:
    desk.bench.watch(KEY, Refused(503))
    desk.tick(600)

    [trouble] = told()["troubles"]
    assert (trouble["reason"], trouble["since"], trouble["told"]) == ("unreachable", iso(START + MINUTE), True)
    assert "unreachable since 2026-06-08 12:01:00 UTC: HTTP 503" in text()
