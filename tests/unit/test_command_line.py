"""What all commands have in common: JSON, limits, help, how they end, and what they print."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest
from click.shell_completion import get_completion_class
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from bench import startup
from pollbridge import __version__, aws, config
from pollbridge.cli import COMMANDS, deployment, main, names, output, read
from pollbridge.cli.output import columns, shortened, state_style, width
from pollbridge.cli.progress import progress
from pollbridge.history.table import Table
from pollbridge.model.state import State
from tests.kit.memory import Memory
from tests.kit.sweeping import START, oration_key

WITHOUT_JSON = {
    "completion": "a script",
    "demo": "a show",
    "local env": "lines for a shell",
}
LISTS = {"jobs", "history", "tail", "deliveries", "local logs"}
SHELLS = ("bash", "zsh", "fish")


def walk(command: click.Command, *path: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    ctx = click.Context(command)
    for name in command.list_commands(ctx):
        found = command.get_command(ctx, name)
        assert found
        yield from walk(found, *path, name)


EVERY = dict(walk(main))


def run(*words: str, **more: Any) -> Result:
    result = CliRunner().invoke(main, words, **more)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def options(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("name", EVERY)
def test_every_command_prints_json_where_it_prints(name: str) -> None:
    assert ("--json" in options(EVERY[name])) == (name not in WITHOUT_JSON)


def test_every_list_has_a_limit() -> None:
    assert {name for name, command in EVERY.items() if "--limit" in options(command)} == LISTS


@pytest.mark.parametrize("name", EVERY)
def test_every_command_explains_itself_by_either_option(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # click keeps a command's help option from its first use, which another test may have made without our group.
    monkeypatch.setattr(EVERY[name], "_help_option", None)
    short, long = run(*name.split(), "-h"), run(*name.split(), "--help")

    assert short.exit_code == long.exit_code == 0
    assert short.stdout == long.stdout != ""


def test_every_command_is_told_by_the_first_line_of_its_own_help() -> None:
    for name, (_, text) in COMMANDS.items():
        assert text.endswith(".")
        assert name in run("--help").stdout


def test_the_version_is_the_packages() -> None:
    assert run("--version").stdout == f"{__version__}\n"


@pytest.mark.parametrize(
    ("words", "meant"), [(["job"], "jobs"), (["deliverys"], "deliveries"), (["local", "stat"], "status")]
)
def test_a_command_that_is_unknown_suggests_the_near_one(words: list[str], meant: str) -> None:
    result = run(*words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"Did you mean '{meant}'?" in result.stderr


# How commands end


@pytest.mark.parametrize("words", [["jobs"], ["show", "a/b/c/d"], ["history", "a/b/c/d"]])
def test_an_interrupt_is_exit_130_without_a_word(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(read, "find", interrupted)

    result = run(*words)

    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "")


@pytest.mark.parametrize("words", [["--help"], ["parse", startup.KEY, str(startup.ANSWERED)]])
def test_a_command_whose_reader_has_gone_ends_without_a_word(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        code = [sys.executable, "-c", startup.COMMAND, *words]
        done = subprocess.run(code, stdout=writing, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writing)

    assert done.stderr == b""
    assert done.returncode != 0


# Tables


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Screen]:
    def screen(wide: int) -> Screen:
        made = Screen()
        monkeypatch.setattr(sys, "stdout", made)
        monkeypatch.setattr(sys, "stderr", made)
        monkeypatch.setenv("COLUMNS", str(wide))
        return made

    return screen


LONG = f"oration/job/acme/{60 * 'k'}-1"
ROWS = [("partially_failed", "8/10", LONG), ("running", "", "oration/job/日本語/2")]


def draw() -> None:
    columns(("STATE", "PROGRESS", "JOB"), ROWS, shrink=("JOB",), states=("STATE",))


def test_a_table_that_goes_elsewhere_is_cut_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    draw()

    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["STATE", "PROGRESS", "JOB"],
        ["partially_failed", "8/10", LONG],
        ["running", "oration/job/日本語/2"],
    ]


@pytest.mark.parametrize("wide", [45, 60, 80, 200])
def test_a_table_fits_the_terminal_and_keeps_both_ends_of_a_key(screen: Callable[[int], Screen], wide: int) -> None:
    shown = screen(wide)

    draw()

    title, first, second = (click.unstyle(line) for line in shown.getvalue().splitlines())
    assert max(map(width, (title, first, second))) <= wide
    assert first.startswith("partially_failed  8/10      oration")
    assert first.endswith("-1")
    assert ("…" in first) == (wide < 107)
    assert title.index("JOB") == first.index("oration")


def test_a_terminal_too_narrow_for_all_keeps_the_states(screen: Callable[[int], Screen]) -> None:
    shown = screen(20)

    draw()

    assert "partially_failed" in shown.getvalue()


def test_states_are_coloured_on_a_terminal_and_lines_stay_lined_up(screen: Callable[[int], Screen]) -> None:
    shown = screen(120)

    draw()

    lines = shown.getvalue().splitlines()
    assert "\x1b[" not in lines[0]
    assert click.style("partially_failed", fg="yellow") in lines[1]
    assert len({click.unstyle(line).index("oration") for line in lines[1:]}) == 1


@pytest.mark.parametrize("wish", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_are_left_out_where_nobody_wants_them(
    screen: Callable[[int], Screen], monkeypatch: pytest.MonkeyPatch, wish: dict[str, str]
) -> None:
    for name, value in wish.items():
        monkeypatch.setenv(name, value)
    shown = screen(80)

    main.main(["parse", startup.KEY, str(startup.ANSWERED)], standalone_mode=False)

    assert "succeeded" in shown.getvalue()
    assert "\x1b[" not in shown.getvalue()


def test_a_snapshot_is_coloured_on_a_terminal(screen: Callable[[int], Screen], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    shown = screen(80)

    main.main(["parse", startup.KEY, str(startup.ANSWERED)], standalone_mode=False)

    assert f"state    {click.style('succeeded', fg='green')} (the vendor" in shown.getvalue()


@pytest.mark.parametrize("state", State)
def test_every_state_has_its_style(state: State) -> None:
    assert state_style(state)


@pytest.mark.parametrize(
    ("text", "columns"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("\U0001f680", 2), ("a\u200db", 2), ("", 0)]
)
def test_the_width_of_a_text_is_what_a_terminal_gives_it(text: str, columns: int) -> None:
    assert width(text) == columns


@given(st.text(max_size=30), st.integers(1, 30))
def test_a_shortened_text_fits_and_keeps_its_ends(text: str, room: int) -> None:
    short = shortened(text, room)

    assert width(short) <= room
    assert short == text or (text.startswith(short.partition("…")[0]) and text.endswith(short.rpartition("…")[2]))


# Progress


class Watch:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_progress_is_told_after_a_second_not_too_often_and_wiped_away(screen: Callable[[int], Screen]) -> None:
    shown, clock = screen(80), Watch()

    with progress("registering", 2000, now=clock) as step:
        for _ in range(100):
            clock.now += 0.02
            step(20)

    told, last = shown.getvalue().split("\r")[1:-2], shown.getvalue().split("\r")[-2]
    assert told[0] == "  … registering: 1,000 of 2,000 (50 %)"
    assert 5 <= len(told) <= 11
    assert last.isspace()
    assert len(last) >= len(told[-1])


@pytest.mark.parametrize("lasting", [{"quiet": True}, {}])
def test_progress_is_silent_where_nobody_looks_or_it_takes_no_time(
    screen: Callable[[int], Screen], lasting: dict[str, bool]
) -> None:
    shown, clock = screen(80), Watch()

    with progress("registering", now=clock, **lasting) as step:
        clock.now += 0.9 + 60 * len(lasting)
        step(1)

    assert shown.getvalue() == ""


# Completion


def complete(line: str) -> list[str]:
    *words, incomplete = line.split(" ")
    script = get_completion_class("bash")
    assert script
    made = script(main, {}, "pollbridge", "_POLLBRIDGE_COMPLETE")
    return [item.value for item in made.get_completions(words, incomplete)]


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "vendors": {name: {"type": "oration", "secret": name} for name in ("oration", "other")},
        "destinations": {name: {"type": "webhook", "secret": name} for name in ("service", "team")},
    }
    table = Table(Memory(), "history")
    found = deployment.Deployment("Pollbridge", table, "pollbridge", config.check(settings, "test"), {})
    for number in range(3):
        found.heads.follow(oration_key(f"j{number}"), {}, START)
    monkeypatch.setattr(deployment, "find", lambda: found)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("sh", ["show"]),
        ("local st", ["status"]),
        ("jobs --li", ["--limit"]),
        ("jobs --state pa", ["partially_failed"]),
        ("completion ", list(SHELLS)),
        ("show oration/job/acme/j", [f"oration/job/acme/j{number}" for number in range(3)]),
        ("unwatch oration/job/acme/j1", ["oration/job/acme/j1"]),
        ("jobs --vendor ot", ["other"]),
        ("enable ", ["service", "team"]),
        ("deliveries --to s", ["service"]),
        ("deliveries --job oration/job/acme/j2", ["oration/job/acme/j2"]),
    ],
)
@pytest.mark.usefixtures("deployed")
def test_what_is_begun_is_completed(line: str, offered: list[str]) -> None:
    assert sorted(complete(line)) == sorted(offered)


def test_completing_says_nothing_of_what_goes_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(deployment, "find", lambda: output.fail("there is no deployment"))

    assert complete("show o") == []
    assert capsys.readouterr() == ("", "")


def test_completing_waits_for_no_deployment_that_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    over, answered = threading.Event(), list[bool]()
    monkeypatch.setattr(names, "PATIENCE", 0.01)
    monkeypatch.setattr(deployment, "find", lambda: answered.append(over.wait(30)))

    assert complete("show o") == []
    assert answered == []
    over.set()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_a_shell_asks_the_command(shell: str) -> None:
    script = run("completion", shell).stdout

    assert "pollbridge" in script
    assert f"_POLLBRIDGE_COMPLETE={shell}_complete" in script


# The deployment


class Stack:
    """CloudFormation that tells that metadata."""

    class meta:  # noqa: N801 - botocore's
        region_name = "eu-central-1"

    def __init__(self, metadata: str) -> None:
        self.metadata = metadata

    def describe_stack_resource(self, **_: Any) -> Any:
        return {"StackResourceDetail": {"Metadata": self.metadata}}


def told(**values: Any) -> str:
    settings = {"vendors": {"oration": {"type": "oration", "secret": "s"}}, "destinations": {}}
    return json.dumps({"pollbridge": {"table": "t", "bus": "b", "config": settings} | values})


@pytest.mark.parametrize(
    "metadata", ["", "{}", "[]", '{"pollbridge": 1}', told(config=None), told(config={"vendors": {"x": {}}})]
)
def test_what_another_version_deployed_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, metadata: str) -> None:
    monkeypatch.setattr(aws, "client", lambda _: Stack(metadata))

    result = run("jobs")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "pollbridge: the stack Pollbridge in eu-central-1 was deployed by another version of pollbridge:"
        " deploy it again\n"
    )


def test_a_configuration_that_cannot_be_read_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = {"vendors": {"oration": {"type": "oration", "secret": "s", "colour": "red"}}}
    monkeypatch.setattr(aws, "client", lambda _: Stack(told(config=strange)))

    result = run("show", "oration/job/acme/1")

    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "deployed by another version" in result.stderr
