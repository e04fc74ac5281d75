"""One bash that a document's blocks are typed into: what one of them sets, the next one finds."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

RUNNER = """
set -o errtrace -o pipefail
__failed() {
    local code=$?
    [[ ${BASH_SOURCE[1]} == "$__step" ]] && echo "$code $BASH_LINENO $BASH_COMMAND" >>"$__step.failed"
}
__last=0
__type() {
    __step=$1
    trap __failed ERR
    (exit $__last) && :
    source "$__step" >"$__step.printed" 2>&1 </dev/null
    __last=$?
    trap - ERR
    echo $__last >&$__told
}
"""
"""A command that fails is written down and the block goes on, as it would at a reader's prompt."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A command that did not exit with 0, and the line of the script it ended on."""

    code: int
    line: int
    command: str


@dataclass(frozen=True, slots=True)
class Ran:
    """What a script printed, stderr and stdout as they came, and which of its commands failed."""

    output: str
    failed: list[Failed]


class Gone(Exception):
    """The shell ended, or a script took too long; `output` is what was printed by then."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


class Shell:
    """A bash in a folder. `scratch` is where its scripts lie, outside of the folder that the reader sees."""

    def __init__(self, folder: Path, scratch: Path, environment: Mapping[str, str]) -> None:
        self.scratch = scratch
        self.environment = environment
        self._count = 0
        self._told, told = os.pipe()
        bash = shutil.which("bash")
        assert bash
        self._process = subprocess.Popen(
            [bash, "--noprofile", "--norc"],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[told],
            start_new_session=True,
        )
        os.close(told)
        self._say(f"{RUNNER}__told={told}\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        os.close(self._told)

    def run(self, script: str, *, patience: float, until: str | None = None) -> Ran:
        """Type the script. With `until` it is interrupted as soon as it has printed that. Raises Gone."""
        self._count += 1
        step = self.scratch / f"step-{self._count}.sh"
        step.write_text(script, "utf-8")
        printed = step.with_name(f"{step.name}.printed")
        printed.touch()
        self._say(f"__type {step}\n")
        deadline = time.monotonic() + patience
        while not self._ended(0.05 if until else deadline - time.monotonic()):
            if until and until in printed.read_text("utf-8", "replace"):
                until = None
                self._interrupt()
            if time.monotonic() > deadline:
                raise Gone(f"took more than {patience:g} s", printed.read_text("utf-8", "replace"))
        output = printed.read_text("utf-8", "replace")
        if until and until not in output:
            raise Gone(f"ended without having printed {until!r}", output)
        return Ran(output, _failures(step))

    def _say(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()

    def _ended(self, patience: float) -> bool:
        ready, _, _ = select.select([self._told], [], [], max(patience, 0))
        if not ready:
            return False
        if not os.read(self._told, 64):
            raise Gone("ended the shell", "")
        return True

    def _interrupt(self) -> None:
        """As Ctrl-C does for all but the shell itself."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text("utf-8")
        for pid in children.split():
            os.kill(int(pid), signal.SIGINT)


def _failures(step: Path) -> list[Failed]:
    noted = step.with_name(f"{step.name}.failed")
    if not noted.exists():
        return []
    told = (line.split(" ", 2) for line in noted.read_text("utf-8").splitlines())
    return [Failed(int(words[0]), int(words[1]), words[2]) for words in told if len(words) == 3 and words[0].isdigit()]
