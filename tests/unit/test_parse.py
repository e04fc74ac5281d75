"""`pollbridge parse`: a vendor's answer read from a file, without a deployment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pollbridge.cli.parse import parse

from .answers import KINDS, SAMPLES, changed, read


def run(*arguments: str, answer: bytes | None = None) -> Result:
    return CliRunner().invoke(parse, arguments, input=answer)


def printed(*arguments: str, answer: bytes | None = None) -> dict[str, Any]:
    result = run(*arguments, "--json", answer=answer)
    assert result.exit_code == 0, result.stderr
    shown: dict[str, Any] = json.loads(result.stdout)
    return shown


def key(name: str) -> str:
    return f"{name.replace('-', '/', 1)}/p/1"


@pytest.mark.parametrize("name", KINDS)
def test_every_documented_answer_is_parsed(name: str) -> None:
    shown = printed(key(name), str(SAMPLES / f"{name}.json"))

    assert (shown["state"], shown["vendor_status"]) == (read(name).state, read(name).vendor_status)


def test_the_json_is_the_contracts() -> None:
    assert printed("mentionlab/job/p/1", str(SAMPLES / "mentionlab-job.json")) == {
        "job": {"key": "mentionlab/job/p/1", "kind": "job", "scope": "p", "id": "1", "name": None, "labels": {}},
        "state": "running",
        "vendor_status": "processing",
        "terminal": False,
        "name": None,
        "progress": {"total": 100, "succeeded": 80, "failed": 8, "pending": 10, "retrying": 2, "cancelled": 0},
        "links": [],
        "error": None,
        "message": None,
        "created_at": "2026-06-08T12:00:00Z",
        "started_at": None,
        "updated_at": "2026-06-08T12:30:00Z",
        "finished_at": None,
    }


def test_links_names_and_messages_are_shown() -> None:
    shown = printed("mintlify/agent-v1/p/1", str(SAMPLES / "mintlify-agent-v1.json"))

    assert shown["links"] == [{"rel": "pull_request", "href": "https://github.com/acme/docs/pull/42"}]
    assert shown["job"]["name"] == shown["name"] == "Update the quickstart"
    assert (shown["message"], shown["progress"], shown["terminal"]) == ("The quickstart is up to date.", None, True)


def test_the_answer_may_come_on_standard_input() -> None:
    shown = printed("oration/job/w/1", "-", answer=changed("oration-job", error="pâté"))

    assert (shown["state"], shown["error"]) == ("succeeded", "pâté")


@pytest.mark.parametrize("name", ["mentionlab-execution", "mintlify-agent-v1", "mintlify-agent-v2"])
def test_a_connection_may_be_called_otherwise_if_its_kind_says_whose_it_is(name: str) -> None:
    mine = f"mine/{name.partition('-')[2]}/p/1"

    assert printed(mine, str(SAMPLES / f"{name}.json"))["job"]["key"] == mine


def test_a_key_is_shown_in_its_one_spelling() -> None:
    id = "5135BFE3-B2C7-41F3-A44F-F4B58E7384DF"

    assert printed(f"oration/job/w/{id}", str(SAMPLES / "oration-job.json"))["job"]["id"] == id.lower()


def test_the_text_holds_a_line_for_each_thing_there_is_to_say() -> None:
    result = run("scale/job/p/1", str(SAMPLES / "scale-job.json"))

    assert result.stdout.splitlines() == [
        "job       scale/job/p/1",
        "name      batch_parse",
        "state     running",
        "progress  2 of 4 (1 succeeded, 1 failed, 2 pending)",
        "created   2023-11-07T05:31:56Z",
        "started   2023-11-07T05:31:58.123456Z",
    ]


def test_the_text_tells_the_vendors_word_where_it_is_another() -> None:
    result = run("mintlify/agent-v2/p/1", str(SAMPLES / "mintlify-agent-v2.json"))

    assert "state         succeeded (the vendor says completed)" in result.stdout
    assert "pull request  https://github.com/acme/docs/pull/43" in result.stdout


def test_the_text_cannot_steer_a_terminal() -> None:
    result = run("oration/job/w/1", "-", answer=changed("oration-job", error="a\x1b[2Jb\u202ec\nd"))

    assert "error    a [2Jb c d" in result.stdout.splitlines()


SAMPLE = str(SAMPLES / "oration-job.json")


@pytest.mark.parametrize(
    ("job", "file", "mistake"),
    [
        ("oration/job/1", SAMPLE, "'oration/job/1' is no job key: it has 3 parts, not the four of"),
        ("oration/job/w/", SAMPLE, "'oration/job/w/' is no job key: its id is ''"),
        ("oration/task/w/1", SAMPLE, "oration has no kind 'task': it has job"),
        ("acme/job/w/1", SAMPLE, "'acme' is no vendor: let the key begin with mentionlab, oration, scale, mintlify"),
        ("acme/task/w/1", SAMPLE, "'acme' is no vendor"),
        ("oration/job/w/1", "nowhere.json", "nowhere.json cannot be read: No such file or directory"),
        ("oration/job/w/1", str(SAMPLES), "cannot be read: Is a directory"),
        ("oration/job/w/1", "a\0b", "cannot be read"),
        ("oration/job/w/1", "-", "standard input is not what oration answers to GET /jobs/1: Invalid JSON"),
        ("mentionlab/execution/p/1", SAMPLE, "to GET /api/v1/job-executions/1: no jobExecutionId in it"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_mend(job: str, file: str, mistake: str) -> None:
    result = run(job, file, "--json", answer=b"<html>")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("pollbridge: ")
    assert mistake in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["oration/job/w/1"], ["oration/job/w/1", "-", "--xml"]])
def test_wrong_use_exits_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_it_needs_no_aws_and_no_network_client() -> None:
    heavy = "{'boto3', 'botocore', 'aiohttp', 'httpcore'}"
    check = f"import sys, pollbridge.cli.parse; sys.exit(bool({heavy} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", check], check=False, cwd=Path(__file__).parent).returncode == 0


def test_a_disk_that_is_full_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "pollbridge", "parse", "scale/job/p/j", str(SAMPLES / "scale-job.json")]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr == "pollbridge: the output could not be written: No space left on device\n"
