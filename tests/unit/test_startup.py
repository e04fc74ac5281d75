"""What commands load before they work: their speed, told by lists of modules and never by a clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bench import startup

LISTING = """
import json, sys
from pollbridge.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["pollbridge", *words]
    try:
        main()
    except SystemExit as exit:
        assert not exit.code, words
print(*sys.modules, file=sys.stderr)
"""
COMPLETING = {"_POLLBRIDGE_COMPLETE": "bash_complete"}


@pytest.fixture
def aws() -> Iterator[dict[str, str]]:
    with startup.stub() as endpoint:
        yield {"AWS_ENDPOINT_URL": endpoint}


def loaded(*commands: list[str], **environment: str) -> set[str]:
    """The modules of a fresh interpreter once it has run these commands, one after the other."""
    words = [sys.executable, "-c", LISTING, json.dumps(commands)]
    done = subprocess.run(words, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def strangers(modules: set[str]) -> set[str]:
    """Packages that are neither ours nor Python's, as far as they are imported under their own name."""
    roots = {module.partition(".")[0] for module in modules}
    ours = {"pollbridge"} | {root for root in roots if root.startswith("_")}
    return roots - sys.stdlib_module_names - ours


def rooms(modules: set[str]) -> set[str]:
    return {".".join(module.split(".")[:2]) for module in modules if module.startswith("pollbridge.")}


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--version"]])
def test_help_and_version_load_click_and_nothing_else(words: list[str]) -> None:
    modules = loaded(words)

    assert (strangers(modules), rooms(modules)) == ({"click"}, {"pollbridge.cli"})


def test_the_help_of_what_reads_jobs_loads_click_and_nothing_else() -> None:
    modules = loaded(["jobs", "--help"], ["show", "-h"], ["history", "-h"])

    assert (strangers(modules), rooms(modules)) == ({"click"}, {"pollbridge.cli", "pollbridge.model"})


@pytest.mark.parametrize("line", ["pollbridge s", "pollbridge jobs --", "pollbridge jobs --state r"])
def test_completing_names_options_and_states_loads_click_and_nothing_else(line: str) -> None:
    modules = loaded([], **COMPLETING, COMP_WORDS=line, COMP_CWORD=str(line.count(" ")))

    assert strangers(modules) == {"click"}


def test_jobs_loads_what_reads_the_table_and_nothing_else(aws: dict[str, str]) -> None:
    modules = loaded(["jobs"], **aws)

    assert rooms(modules) == {"pollbridge.cli", "pollbridge.aws", "pollbridge.history", "pollbridge.model"}
    assert not {"pollbridge.history.entries", "pollbridge.history.connections", "pollbridge.model.event"} & modules


def test_reading_jobs_loads_nothing_that_polls_notifies_or_deploys(aws: dict[str, str]) -> None:
    modules = loaded(["jobs", "--json"], ["show", startup.KEY], ["history", startup.KEY], **aws)

    unwanted = {"aiohttp", "aws_cdk", "aws_lambda_powertools", "boto3", "httpcore", "infra", "standardwebhooks"}
    assert unwanted & strangers(modules) == set()
    assert {"pollbridge.local", "pollbridge.notifying", "pollbridge.polling"} & rooms(modules) == set()


def test_parse_loads_no_library_of_aws() -> None:
    modules = loaded(["parse", startup.KEY, str(startup.ANSWERED)])

    assert {"botocore", "urllib3"} & strangers(modules) == set()
