"""Every command of the documents does in a deployed stack what the document says of it.

How a document says what it presupposes is told in `tests/kit/documents.py`. The stack is as `pollbridge local up`
leaves it, with the simulated vendors and receivers, and as new for each document; the README is last and takes it down.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pollbridge.local.place import Place, State
from tests.kit import deployment
from tests.kit.documents import blocks, documents, named
from tests.kit.reader import harmless, reader

pytestmark = pytest.mark.e2e

TO_RUN = [path for path in documents() if any(block.runs for block in blocks(path))]


@dataclass(frozen=True, slots=True)
class Simulated:
    """A deployment with the simulated vendors."""

    state: State
    environment: dict[str, str]
    instead: dict[str, str]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    folder = tmp_path_factory.mktemp("documents") / "state"
    environment = {**harmless(), "POLLBRIDGE_LOCAL": str(folder)}
    try:
        _pollbridge(environment, "local", "up")
        state = Place.of_checkout(folder).read()
        assert state
        with deployment.stand_ins() as instead:
            led = deployment.environment(state, str(folder))
            yield Simulated(state, led, {**instead, **deployment.instead(state)})
    finally:
        _pollbridge(environment, "local", "down")


def _pollbridge(environment: dict[str, str], *arguments: str) -> None:
    command = [sys.executable, "-m", "pollbridge", *arguments]
    subprocess.run(command, env=environment, check=True, timeout=600)


@pytest.mark.parametrize("document", TO_RUN, ids=named)
def test_its_commands_do_what_it_says(simulated: Simulated, document: Path, tmp_path: Path) -> None:
    deployment.fresh(simulated.state)
    with reader(tmp_path, simulated.environment, simulated.instead) as somebody:
        troubles = list(somebody.work_through(document))

    assert not troubles, "\n\n".join(["", *troubles])
