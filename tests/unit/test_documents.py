"""What `tests/e2e/test_documents.py` runs of the documents is all that can be run, and all commands are among it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pollbridge.cli import main
from tests.kit.documents import PROGRAMS, SHELLS, SHOWN, agrees, blocks, calls, documents, named, read

BLOCKS = [block for path in documents() for block in blocks(path)]
STEPS = [step for block in BLOCKS if block.runs and block.language in SHELLS for step in block.steps()]

EXCUSED = {
    "README.md": [
        "tests/e2e/test_demo.py compares it with what the demo prints",
        "it would run the tests within a test",
        "needs an AWS account and the vendors' keys",
        "what runs the test was installed so",
    ],
    "docs/api.md": ["needs a role"],
    "docs/doctor.md": ["needs an AWS account: the emulator's answer is none that the AWS command line reads"],
    "docs/upgrading.md": ["needs an AWS account", "needs an AWS account"],
    "docs/observability.md": ["needs an AWS account"],
    "docs/adr/0001-aiohttp-asks-the-vendors.md": ["a measurement of then"],
    "examples/receivers/README.md": ["needs a package registry"],
}
"""Why a block is not run. What is added here is lost to the test: rather let a setup provide what it wants."""

# The contract's commands with their options, but for `local up --schedule`: no document's test waits for the clock.
CONTRACT = {
    "watch": ["--label", "--file", "--json"],
    "unwatch": ["--json"],
    "jobs": ["--vendor", "--state", "--since", "--json"],
    "show": ["--raw", "--json"],
    "history": ["--json", "--limit"],
    "tail": ["--follow", "--json", "--limit"],
    "wait": ["--timeout", "--json"],
    "deliveries": ["--failed", "--job", "--json", "--limit"],
    "resend": ["--to", "--json"],
    "recover": ["--to", "--since", "--json"],
    "enable": ["--json"],
    "explain": ["--json"],
    "parse": ["--json"],
    "render": ["--to", "--json"],
    "route": ["--json"],
    "test-notify": ["--json"],
    "secret set": ["--json"],
    "doctor": ["--json"],
    "cost": ["--json"],
    "local up": ["--config", "--json"],
    "local env": [],
    "local tick": ["--json"],
    "local status": ["--json"],
    "local logs": ["--json"],
    "local down": ["--json"],
    "--version": [],
}


def called(command: str) -> Iterator[set[str]]:
    """The options of each of the documents' calls of the command."""
    words = command.split()
    for step in STEPS:
        for call in calls(step.script):
            if call[: len(words)] == words:
                yield {word.partition("=")[0] for word in call[len(words) :] if word.startswith("-")}


@pytest.mark.parametrize("path", documents(), ids=named)
def test_its_blocks_say_what_they_are(path: Path) -> None:
    for block in blocks(path):
        assert block.language in SHELLS + PROGRAMS + SHOWN, block.where


def test_what_is_not_run_is_known() -> None:
    told: dict[str, list[str]] = {}
    for block in BLOCKS:
        if block.excused:
            told.setdefault(block.document, []).append(block.excused)

    assert told == EXCUSED


def test_nothing_installs_into_the_environment_that_runs_the_tests() -> None:
    """A reader's checkout is made of links to this one."""
    for step in STEPS:
        assert not re.search(r"\b(?:make|pip3?|npm|npx|git)\s", step.script), step.where


def test_what_is_run_leaves_nothing_to_fill_in() -> None:
    for step in STEPS:
        typed = re.sub(r"(?:^|\s)#.*", "", step.script, flags=re.MULTILINE)

        assert "…" not in typed, step.where
        assert not re.search(r"<[a-z][\w -]*>", typed), step.where
        assert not re.search(r"(?<=[ /])(?:KEY|FILE|NAME|DESTINATION|EVENT_ID)\b(?!=)", typed), step.where


@pytest.mark.parametrize("command", CONTRACT)
def test_every_command_of_the_contract_is_run(command: str) -> None:
    runs = list(called(command))

    assert any("--json" not in options for options in runs), "in text"
    for option in CONTRACT[command]:
        assert any(option in options for options in runs), option


@pytest.mark.parametrize("command", sorted(set(main.list_commands(click.Context(main))) - {"demo"}))
def test_every_command_there_is_is_run(command: str) -> None:
    """But for the demo, whose block has a test of its own."""
    assert list(called(command))


CONSOLE = """
<!-- setup:
one
two
-->
<!-- exit: 1 -->
```console
$ pollbridge jobs \\
    --limit 1
STATE  JOB
…
$ cat << END
> this
> END
this
```
<!-- not run: it is another document's -->
```sh
rm -r .
```
"""


def test_a_console_is_read_command_by_command() -> None:
    console, _ = read("there.md", CONSOLE)
    first, second = console.steps()

    assert (console.line, console.marks) == (8, {"setup": "one\ntwo", "exit": "1"})
    assert (first.where, first.script) == ("there.md:8", "pollbridge jobs \\\n    --limit 1\n")
    assert first.printed == "STATE  JOB\n…"
    assert (second.where, second.script, second.printed) == ("there.md:12", "cat << END\nthis\nEND\n", "this\n")


def test_what_is_excused_is_not_run() -> None:
    _, shell = read("there.md", CONSOLE)

    assert (shell.runs, shell.excused) == (False, "it is another document's")


def test_a_mark_that_says_nothing_known_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"there.md:3: '<!-- set-up: x -->' is no mark"):
        list(read("there.md", "<!-- set-up: x -->\n```sh\ntrue\n```\n"))


@pytest.mark.parametrize(
    ("printed", "output"),
    [
        ("failed  2026-11-22 08:46:00 UTC  a/b", "failed  2027-01-01 00:00:00 CET   a/b\n"),
        ("06:24  took 3 s", "23:59  took 12.5 ms\n"),
        ("event 371c9550-05f7-47d5-bfb0-0cf04d02e074", "event c961c95a-edcb-54fc-bec3-01271b4bd869\n"),
        ("one\n[…]\nfour", "one\ntwo\nthree\nfour\n"),
        ("one\n[… 2 lines left out]", "one\ntwo\nthree\n"),
        ("one … three", "one two three\n"),
        ('{"a": 1, … "c": 3}', '{"a":1,"b":2,"c":3}'),
        ('{"a": [1, 2], …}', '{\n  "a": [\n    1,\n    2\n  ],\n  "b": {}\n}\n'),
    ],
)
def test_an_output_that_differs_in_nothing_that_counts_agrees(printed: str, output: str) -> None:
    assert agrees(printed, output)


@pytest.mark.parametrize(
    ("printed", "output"),
    [
        ("failed  2026-11-22 08:46:00 UTC", "succeeded  2026-11-22 08:46:00 UTC\n"),
        ("a/371c9550-05f7-47d5-bfb0-0cf04d02e074", "a/c961c95a-edcb-54fc-bec3-01271b4bd869\n"),
        ("one", "one\ntwo\n"),
        ("", "one\n"),
        ("one … three", "one two\nthree\n"),
        ('{"a": [1, 2]}', '{"a": [1, 3]}\n'),
        ('{"a": 1}', '{"a": 1, "b": 2}\n'),
    ],
)
def test_any_other_output_does_not(printed: str, output: str) -> None:
    assert not agrees(printed, output)


def test_lines_may_come_in_another_order_where_that_is_said() -> None:
    assert agrees("two\none", "one\ntwo\n", any_order=True)
    assert not agrees("two\none", "one\ntwo\ntwo\n", any_order=True)
