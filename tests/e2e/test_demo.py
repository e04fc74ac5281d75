"""The demo as a newcomer runs it: to its end, interrupted, and on a machine that lacks something."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.kit.documents import ROOT, agrees, blocks

pytestmark = pytest.mark.e2e

KINDS = ("mentionlab job", "mentionlab execution", "oration job", "scale job", "mintlify agent-v1", "mintlify agent-v2")
ENDED = {"partially_failed", "succeeded", "failed"}
FOUND = ["mentionlab job (found)", "scale job (found)"]
OUTAGE = (
    r"scale +· → unreachable +HTTP 503 since \d\d:\d\d",
    r"scale +unreachable → recovered +after 4 minutes  changed: 1 partially_failed, 1 succeeded",
)
"""Told after three ticks, and that it is over with all that changed meanwhile."""


class Demo:
    """One run of the demo, whose processes can be told by a mark in their environment."""

    def __init__(self, **environment: str) -> None:
        self.mark = f"DEMO_TEST_MARK={uuid.uuid4()}"
        name, _, value = self.mark.partition("=")
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "POLLBRIDGE_"))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pollbridge", "demo"],
            env={**plain, name: value, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def rest(self) -> str:
        """What it still says until it ends."""
        told, _ = self.process.communicate(timeout=200)
        return str(told)

    def until(self, text: str) -> None:
        assert self.process.stdout
        assert any(text in line for line in self.process.stdout)

    def left(self) -> list[str]:
        """Processes of this run that still live."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (place / "environ").read_bytes():
                    found.append((place / "cmdline").read_text("utf-8"))
            except OSError:
                continue
        return found


def test_every_job_lives_to_its_end_and_everyone_hears_of_it() -> None:
    demo = Demo()
    told = demo.rest()

    assert demo.process.wait() == 0, told
    lived, _, history = told.partition("History")
    assert all(f"  {kind} " in history for kind in KINDS)
    assert set(re.findall(r"→ (\w+)  \(\d+ versions\)", history)) == ENDED
    assert re.findall(r"(\w+ \w+ \(found\)) .*· → running .*found in the list", lived) == FOUND
    assert all(re.search(line, lived) for line in OUTAGE)
    assert "[3 finished jobs were there before: recorded, nobody is bothered]" in lived
    shown = len(re.findall("^  .* → ", lived, re.MULTILINE))
    assert f"Slack got {shown} messages, the webhook {shown}; {shown + 3} signatures verified" in told
    assert re.search(r"flaky, .+ answers 503:.+\n(?s:.+)\[flaky answered 503, 503, then took it: 3 attempts", lived)
    assert re.findall(r"updated (\d) times in place, (\d) replies", lived) == [("3", "4")] * 2
    assert "partly failed: 92 of 100 succeeded, 8 failed" in lived
    assert agrees(_by_chance(_shown()), _by_chance(told), any_order=True)
    assert demo.left() == []


def _shown() -> str:
    """What the README shows of it."""
    [block] = [block for block in blocks(ROOT / "README.md") if block.text.startswith("$ make demo\n")]
    [step] = block.steps()
    assert step.printed
    return step.printed


def _by_chance(told: str) -> str:
    """Without the counts that hang on which sweep comes first."""
    return re.sub(r"\d+ (requests|times)", r"N \1", told)


@pytest.mark.parametrize("moment", ["start the AWS emulator", "start simulated vendors", "Ticking", "unreachable"])
def test_an_interrupted_demo_leaves_nothing_running(moment: str) -> None:
    demo = Demo()
    demo.until(moment)
    demo.process.send_signal(signal.SIGINT)
    told = demo.rest()

    assert demo.process.wait(timeout=30) == 130, told
    assert "Traceback" not in told
    assert demo.left() == []


def test_a_machine_without_node_is_told_in_one_line(tmp_path: Path) -> None:
    demo = Demo(PATH=str(tmp_path))
    told = demo.rest()

    assert demo.process.wait() == 1
    assert [line for line in told.splitlines() if line.startswith("pollbridge: Node.js is missing")]
    assert "Traceback" not in told
