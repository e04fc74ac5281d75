"""Commands that go on while the really deployed stack sweeps: `wait` and `tail --follow`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import Local
from tests.kit.stranger import Reply

pytestmark = pytest.mark.e2e

PATIENCE = 60
"""Seconds; a look is made every two."""


@contextmanager
def beside(local: Local, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on while others run."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pollbridge", *arguments],
        env=local.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def lives(local: Local, job: str, *statuses: str) -> str:
    """A job that is watched, and says these words one after the other. Returns its key."""
    replies = [Reply.json(id=job, status=status, name="a job", error=None) for status in statuses]
    local.stranger.scripts[f"/v2/jobs/{job}"] = replies
    local.run("watch", f"acme/job/ws/{job}")
    return f"acme/job/ws/{job}"


@pytest.mark.parametrize(("end", "code"), [("success", 0), ("failed", 10)])
def test_waiting_ends_with_the_job_and_says_how(local: Local, end: str, code: int) -> None:
    key = lives(local, f"awaited-{end}", "created", "active", end)

    with beside(local, "wait", key, "--timeout", "3m") as process:
        assert process.stderr
        assert "not seen yet" in process.stderr.readline()
        local.run("local", "tick", "3")
        printed, said = process.communicate(timeout=PATIENCE)

    assert process.returncode == code
    assert printed.splitlines()[0].split() == ["job", key]
    assert said.splitlines()[-1].endswith({"success": "succeeded", "failed": "failed"}[end])
    assert local.run("wait", key, "--json", code=code, output=True)


def test_following_shows_an_event_within_seconds_of_its_tick(local: Local) -> None:
    key = lives(local, "followed", "created", "active", "failed")

    with beside(local, "tail", "--follow", "--json", "--job", key) as process:
        assert process.stdout and process.stderr
        assert process.stderr.readline() == "no such event\n"
        local.run("local", "tick")
        ticked = time.monotonic()
        first = json.loads(process.stdout.readline())
        took = time.monotonic() - ticked
        local.run("local", "tick", "2")
        more = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=PATIENCE)

    assert took < 10
    assert [event["detail"]["to"]["state"] for event in (first, *more)] == ["pending", "running", "failed"]
    assert (process.returncode, rest, said) == (130, "", "")
