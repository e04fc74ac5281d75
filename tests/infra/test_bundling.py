"""Bundles: what is in them, that they suffice, that they are the same each time."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.app import ROOT
from infra.bundling import DEPENDENCIES, LOCAL, Bundler, CannotBundle


@pytest.fixture(scope="module")
def bundler() -> Bundler:
    return Bundler(root=ROOT, platform=LOCAL, configuration='{"vendors": {}}')


@pytest.mark.parametrize("function", DEPENDENCIES)
def test_every_function_finds_all_it_imports_in_its_bundle(bundler: Bundler, function: str) -> None:
    program = f"import sys; sys.path.insert(0, {str(bundler.folder(function))!r}); import handler; handler.handler"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)

    assert done.stderr == ""


def test_every_function_has_its_dependencies_named_and_no_other() -> None:
    assert {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")} == set(DEPENDENCIES)


def test_a_bundle_holds_the_configuration_and_only_rooms_that_functions_enter(bundler: Bundler) -> None:
    folder = bundler.folder("publisher")
    rooms = {path.name for path in (folder / "pollbridge").iterdir()}

    assert (folder / "pollbridge.json").read_text() == '{"vendors": {}}'
    assert {"publishing", "history", "model"} <= rooms
    assert rooms.isdisjoint({"cli", "local", "api"})


def test_only_the_services_that_are_called_are_described(bundler: Bundler) -> None:
    described = bundler.folder("publisher") / "botocore" / "data"

    assert {path.name for path in described.iterdir() if path.is_dir()} == {
        "dynamodb",
        "events",
        "secretsmanager",
        "sqs",
    }
    assert (described / "endpoints.json").is_file()


@pytest.mark.long
def test_the_same_sources_make_the_same_bundle_whoever_else_makes_it(bundler: Bundler, tmp_path: Path) -> None:
    for name in ("src", "functions", "requirements"):
        (tmp_path / name).symlink_to(ROOT / name)
    elsewhere = Bundler(root=tmp_path, platform=LOCAL, configuration=bundler.configuration)
    with ThreadPoolExecutor() as pool:
        made = list(pool.map(elsewhere.folder, ["registrar", "registrar"]))

    assert made[0] == made[1]
    assert made[0].name == bundler.folder("registrar").name
    assert files(made[0]) == files(bundler.folder("registrar"))
    assert not list((tmp_path / ".build").glob("making-*"))


def test_a_function_without_code_is_a_mistake_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(CannotBundle, match=r"^functions/poller/handler\.py: there is no such file$"):
        Bundler(root=tmp_path, platform=LOCAL, configuration="{}").folder("poller")


def files(folder: Path) -> dict[str, bytes]:
    return {
        os.path.relpath(path, folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
