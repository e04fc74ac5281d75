"""The app as the CDK's command line runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.app import ROOT

GOOD = '[vendors.scale]\nsecret = "s"\n'


def run(folder: Path, configuration: str | None, **context: str) -> subprocess.CompletedProcess[str]:
    file = folder / "pollbridge.toml"
    if configuration is not None:
        file.write_text(configuration)
    environment = {
        **os.environ,
        "CDK_CONTEXT_JSON": json.dumps({"config": str(file), **context}),
        "CDK_OUTDIR": str(folder / "out"),
    }
    return subprocess.run(
        [sys.executable, "-m", "infra.app"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("configuration", "mistake"),
    [
        (GOOD + "colour = 1\n", "vendors.scale.colour: is no key pollbridge knows"),
        (None, "there is no such file"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_line_that_names_it(
    tmp_path: Path, configuration: str | None, mistake: str
) -> None:
    done = run(tmp_path, configuration)

    assert done.returncode == 1
    assert done.stderr.startswith(f"pollbridge: {tmp_path / 'pollbridge.toml'}: {mistake}")
    assert done.stderr.count("\n") == 1


@pytest.mark.long
def test_an_unknown_target_is_one_line_that_names_it(tmp_path: Path) -> None:
    done = run(tmp_path, GOOD, target="moon")

    assert (done.returncode, done.stderr) == (1, "pollbridge: -c target=moon: target is one of aws, local\n")
