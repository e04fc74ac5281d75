"""A new vendor is one module, one line in the registry and one sample. Nothing else knows vendors by name."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import pollbridge
from pollbridge.cli.parse import parse
from pollbridge.config import Configuration, InvalidConfig, check
from pollbridge.model.job import JobKey, State
from pollbridge.routing import pattern
from pollbridge.vendors import VENDORS
from pollbridge.vendors.answer import Request

from .answers import SAMPLES
from .fictional_vendor import ACME

SAMPLE = SAMPLES / "acme-render.json"
CONFIGURATION = {
    "vendors": {"acme": {"secret": "pollbridge/acme"}},
    "destinations": {"cooks": {"type": "slack", "secret": "s", "match": {"vendor": ["acme"], "kind": ["render"]}}},
}


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VENDORS, "acme", ACME)


def test_before_it_is_registered_a_vendor_is_unknown() -> None:
    with pytest.raises(InvalidConfig, match="unknown vendor 'acme'"):
        check(CONFIGURATION, "here")


@pytest.mark.usefixtures("acme")
def test_the_configuration_accepts_it() -> None:
    configuration = check(CONFIGURATION, "here")

    assert configuration.vendors["acme"].base_url == "https://api.acme.example"
    assert configuration.vendors["acme"].pace.concurrency == 2
    assert Configuration.model_validate_json(configuration.model_dump_json()) == configuration


@pytest.mark.usefixtures("acme")
def test_its_events_can_be_routed() -> None:
    assert "acme" in json.dumps(pattern(check(CONFIGURATION, "here").destinations["cooks"].match, "cooks"))


@pytest.mark.usefixtures("acme")
def test_its_jobs_are_asked_for_and_read() -> None:
    key = JobKey.parse("acme/render/k%201/r1")
    kind = VENDORS[key.connection].kinds[key.kind]

    assert kind.request(kind.key(key)) == Request("/kitchens/k%201/renders/r1", {})
    assert kind.answer(kind.key(key), SAMPLE.read_bytes()).state is State.FAILED


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize("connection", ["acme", "my-kitchen"])
def test_the_command_line_reads_its_answers(connection: str) -> None:
    result = CliRunner().invoke(parse, [f"{connection}/render/k/r1", str(SAMPLE), "--json"])

    assert json.loads(result.stdout)["state"] == "failed"


ROOMS = ("model", "history", "polling", "publishing", "notifying", "api")
MODULES = [
    path
    for path in sorted(Path(pollbridge.__file__).parent.rglob("*.py"))
    if path.parent.name in {*ROOMS, "pollbridge"}
]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_other_room_names_a_vendor(module: Path) -> None:
    constants = {node.value for node in ast.walk(ast.parse(module.read_bytes())) if isinstance(node, ast.Constant)}

    assert constants.isdisjoint(VENDORS)
