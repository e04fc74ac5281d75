"""`pollbridge watch --file`: thousands of keys, all checked before the first is followed, and safe to run again."""

from __future__ import annotations

import io
import json
import re
import sys
from _thread import interrupt_main
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from click.testing import CliRunner, Result

from pollbridge import config
from pollbridge.cli import progress
from pollbridge.cli import watch as command
from pollbridge.cli.deployment import Deployment
from pollbridge.history.table import Table
from pollbridge.model.job import JobKey
from pollbridge.watches import AT_ONCE
from tests.kit.faults import Call, Fault, Faulty, throttle
from tests.kit.memory import Memory
from tests.kit.sweeping import START, oration_key

SAFE = "running the same command again is safe"


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """What `find` finds: a table whose calls are counted and can fail."""
    values = {"vendors": {name: {"secret": "s"} for name in ("oration", "mentionlab")}}
    table = Table(Faulty(Memory()), "history", pause=lambda _: None)
    found = Deployment("Pollbridge", table, "pollbridge", config.check(values, "test"), {})
    monkeypatch.setattr(command, "find", lambda: found)
    return found


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    def file(*lines: str | bytes, end: bytes = b"\n") -> str:
        path = tmp_path / "keys.txt"
        path.write_bytes(end.join(line if isinstance(line, bytes) else line.encode() for line in lines))
        return str(path)

    return file


def run(*arguments: str, input: bytes | None = None) -> Result:
    return CliRunner().invoke(command.watch, arguments, input=input)


def keys(count: int) -> list[str]:
    return [str(oration_key(f"j{n}")) for n in range(count)]


def aws(deployment: Deployment) -> Faulty:
    assert isinstance(deployment.table.client, Faulty)
    return deployment.table.client


def followed(deployment: Deployment) -> set[str]:
    items: dict[tuple[str, str], Any] = aws(deployment).client.items
    return {pk.removeprefix("JOB#") for (pk, _), item in items.items() if "due_slot" in item}


def crowd(deployment: Deployment, key: str) -> None:
    """Give a job as many labels as it may have."""
    deployment.heads.follow(JobKey.parse(key), {str(n): "" for n in range(20)}, START)


def test_every_key_is_followed_and_told_in_the_order_of_the_file(deployment: Deployment, file: Any) -> None:
    given = keys(500)

    result = run("--file", file(*given), "--json", "--label", "team=docs")

    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == [{"key": key, "new": True} for key in given]
    assert followed(deployment) == set(given)
    assert {dict(deployment.heads.get(JobKey.parse(key)).labels)["team"] for key in given} == {"docs"}


def test_a_second_run_follows_nothing_twice_and_writes_nothing(deployment: Deployment, file: Any) -> None:
    path = file(*keys(50))
    run("--file", path)
    before = aws(deployment).counts

    result = run("--file", path)

    assert result.stdout.splitlines() == [f"already watched  {key}" for key in keys(50)]
    assert aws(deployment).counts - before == {"get_item": 50 + 1}


def test_a_key_costs_two_calls_and_the_clock_one_per_connection(deployment: Deployment, file: Any) -> None:
    run("--file", file(*keys(100), "mentionlab/job/p/1"))

    assert aws(deployment).counts == {"get_item": 101 + 2, "update_item": 101}


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_what_editors_leave_in_a_file_is_passed_over(
    deployment: Deployment, file: Any, end: bytes, mark: bytes
) -> None:
    one, two = keys(2)

    result = run("--file", file(mark + one.encode(), "", "  ", "# mine", f"\t{two} ", mark + b"  # theirs", end=end))

    assert result.stdout.splitlines() == [f"watching  {one}", f"watching  {two}"]


def test_a_job_named_twice_is_registered_once(deployment: Deployment, file: Any) -> None:
    result = run("--json", "oration/job/acme/j0", "--file", file("oration/job/a%63me/j0", "oration/job/acme/j0"))

    assert json.loads(result.stdout) == [{"key": "oration/job/acme/j0", "new": True}]
    assert aws(deployment).counts["update_item"] == 1


def test_a_dash_reads_standard_input(deployment: Deployment) -> None:
    assert run("--file", "-", input=b"\xef\xbb\xbforation/job/acme/j0\r\n").exit_code == 0
    assert followed(deployment) == {"oration/job/acme/j0"}

    assert "<stdin>:2: 'b' is no job key" in run("--file", "-", input=b"oration/job/acme/j1\nb").stderr


def test_one_wrong_line_among_thousands_registers_nothing(deployment: Deployment, file: Any) -> None:
    path = file(*keys(3000), "slack/job/acme/1")

    result = run("--file", path)

    assert (result.exit_code, result.stdout, followed(deployment)) == (1, "", set())
    named, count = result.stderr.splitlines()
    assert named.startswith(f"pollbridge: {path}:3001: 'slack/job/acme/1': there is no connection 'slack' here")
    assert count == "pollbridge: 1 of 3001 keys refused; none is followed"
    assert not aws(deployment).calls


def test_wrong_lines_are_counted_and_the_first_ten_named(deployment: Deployment, file: Any) -> None:
    path = file("# keys", *(f"no key {n}" for n in range(25)), "oration/job/acme/1")

    *named, count = run("--file", path).stderr.splitlines()

    assert [line.split(": ")[1] for line in named] == [f"{path}:{n}" for n in range(2, 12)]
    assert count == "pollbridge: 25 of 26 keys refused (the first 10 are named); none is followed"


@pytest.mark.parametrize(
    "line",
    [b"oration/job/acme/\xff", b"\xff\xfeo\0r\0", b"oration/job/acme/%ff", b"x" * 1_000_000, b"\x1b[2J\x9b", b"a\0b"],
    ids=["latin-1", "utf-16", "percent", "long", "escape", "null"],
)
def test_a_line_that_is_no_text_is_one_short_line_that_names_it(deployment: Deployment, file: Any, line: bytes) -> None:
    path = file("oration/job/acme/1", line)

    told = run("--file", path).stderr

    assert told.startswith(f"pollbridge: {path}:2: ")
    assert len(told) < 1300 and told.count("\n") == 2 and "\x1b" not in told


@pytest.mark.usefixtures("deployment")
def test_a_files_name_cannot_steer_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[2J\nkeys"
    path.write_text("no key")

    told = run("--file", str(path)).stderr

    assert "\x1b" not in told and told.count("\n") == 1


@pytest.mark.parametrize("content", [b"", b"# nothing\n\n", b"\xef\xbb\xbf"])
def test_a_file_without_keys_is_a_mistake(deployment: Deployment, file: Any, content: bytes) -> None:
    result = run("--file", file(content))

    assert (result.exit_code, result.stderr) == (1, "pollbridge: the file holds no job key\n")


def test_a_job_without_room_for_the_labels_is_found_before_anything_is_registered(
    deployment: Deployment, file: Any
) -> None:
    crowd(deployment, keys(40)[30])
    writes = aws(deployment).counts["update_item"]

    result = run("--file", file(*keys(40)), "--label", "team=docs")

    assert (result.exit_code, aws(deployment).counts["update_item"]) == (1, writes)
    assert result.stderr.splitlines() == [
        "pollbridge: oration/job/acme/j30: the job would have 21 labels; 20 is the most",
        "pollbridge: 1 of 40 keys refused; none is followed",
    ]


def test_a_job_that_is_refused_meanwhile_is_named_and_stops_no_other(deployment: Deployment, file: Any) -> None:
    key = keys(40)[30]
    asked: list[Call] = []

    def somebody_labels_it_after_the_first_look(call: Call) -> None:
        if call.operation == "get_item" and call.touches(f"{key}'"):
            asked.append(call)
            if len(asked) == 2:
                crowd(deployment, key)

    aws(deployment).plan = somebody_labels_it_after_the_first_look
    result = run("--json", "--file", file(*keys(40)), "--label", "team=docs")

    assert result.exit_code == 1
    assert [job["key"] for job in json.loads(result.stdout)] == [other for other in keys(40) if other != key]
    assert result.stderr.splitlines()[0] == f"pollbridge: {key}: the job would have 21 labels; 20 is the most"
    assert result.stderr.splitlines()[1] == "pollbridge: 1 of 40 keys refused; the others are followed"


def test_a_job_that_others_keep_writing_to_is_named_and_stops_no_other(deployment: Deployment, file: Any) -> None:
    lost = throttle()
    lost.response["Error"]["Code"] = "ConditionalCheckFailedException"
    contended = Fault(lost)
    aws(deployment).plan = lambda call: contended if call.operation == "update_item" and call.touches("/j7'") else None

    result = run("--file", file(*keys(40)))

    assert followed(deployment) == {*keys(40)} - {"oration/job/acme/j7"}
    assert "oration/job/acme/j7: others keep writing to it" in result.stderr
    assert (result.exit_code, len(result.stdout.splitlines())) == (1, 39)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (throttle(), "AWS answered ProvisionedThroughputExceededException to UpdateItem"),
        (EndpointConnectionError(endpoint_url="https://aws.test"), "AWS cannot be reached"),
    ],
)
def test_a_table_that_fails_on_the_way_is_one_line_that_counts(
    deployment: Deployment, file: Any, error: Exception, told: str
) -> None:
    fails = Fault(error)
    aws(deployment).plan = lambda call: fails if aws(deployment).counts["update_item"] > 150 else None

    result = run("--json", "--file", file(*keys(1000)))

    assert (result.exit_code, result.stdout, len(followed(deployment))) == (1, "", 150)
    [line] = result.stderr.splitlines()
    assert line.startswith(f"pollbridge: {told}")
    assert line.endswith(f"; 150 of 1000 jobs are registered, and {SAFE}")
    assert aws(deployment).counts["get_item"] <= 1 + 150 + 2 * AT_ONCE


def test_what_was_cut_short_is_finished_by_running_it_again(deployment: Deployment, file: Any) -> None:
    path, fails = file(*keys(300)), Fault(throttle())
    aws(deployment).plan = lambda call: fails if aws(deployment).counts["update_item"] > 150 else None
    run("--file", path)
    aws(deployment).plan = lambda _: None

    told = [job["new"] for job in json.loads(run("--json", "--file", path).stdout)]

    assert (told.count(True), told.count(False), len(followed(deployment))) == (150, 150, 300)


@pytest.mark.parametrize("labels", [(), ("--label", "team=docs")])
def test_an_interruption_finishes_what_was_begun_and_counts(
    deployment: Deployment, file: Any, labels: tuple[str, ...]
) -> None:
    once = Lock()

    def interrupt(call: Call) -> None:
        if aws(deployment).counts["update_item"] > 100 and once.acquire(blocking=False):
            interrupt_main()

    aws(deployment).plan = interrupt
    result = run("--file", file(*keys(5000)), *labels)

    count = len(followed(deployment))
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == f"\npollbridge: interrupted; {count} of 5000 jobs are registered, and {SAFE}\n"
    assert 100 <= count < 5000


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ([], ["registering"]),
        (["--label", "team=docs"], ["looking at their labels", "registering"]),
        (["--json"], []),
    ],
)
@pytest.mark.usefixtures("deployment")
def test_progress_is_shown_on_a_terminal(
    file: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str], shown: list[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "LONG", 0)

    command.watch.main(["--file", file(*keys(200)), *arguments], standalone_mode=False)

    lines = re.findall(r"\r  … (looking at their labels|registering): [\d,]+ of 200 \(\d+ %\)", terminal.getvalue())
    assert list(dict.fromkeys(lines)) == shown
    assert bool(terminal.getvalue()) is bool(shown)


def test_nothing_is_shown_of_the_progress_where_nobody_looks(deployment: Deployment, file: Any) -> None:
    result = run("--file", file(*keys(200)))

    assert (result.stderr, len(result.stdout.splitlines())) == ("", 200)
