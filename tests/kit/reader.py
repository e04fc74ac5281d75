"""A reader: somebody with a checkout, a running local deployment, a shell, and one document to work through."""

from __future__ import annotations

import base64
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.kit.documents import ROOT, Block, Step, agrees, blocks
from tests.kit.shell import Gone, Ran, Shell

PATIENCE = 300.0
"""Seconds for what a reader types at once; a deployment takes the longest."""

SHOWN = 25
"""Lines at the beginning and at the end of an output that a failure quotes."""

PROGRAMS = {"python": ("py", "python {}"), "js": ("mjs", "node {}")}

ABROAD = re.compile(r"\bhttps?://(?!127\.0\.0\.1[:/])[^\s'\"]+")
"""An address that no test reaches: its reader's `instead` has to have another one for it."""

CONTROL = f"""#!{sys.executable}
import os, sys, urllib.request
server, method, path, *body = sys.argv[1:]
request = urllib.request.Request(
    os.environ[server.upper()] + "/_control/" + path, method=method, data=body[0].encode() if body else None,
    headers={{"Content-Type": "application/json"}},
)
with urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open(request, timeout=10) as answer:
    sys.stdout.buffer.write(answer.read())
"""
"""What setups tell the simulated servers with: `control inbox PUT faults/webhook/service '{"steps": […]}'`."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A shell in a folder that looks like a fresh checkout; `instead` replaces what only stands for something."""

    shell: Shell
    folder: Path
    instead: Mapping[str, str]
    root: Path
    """Where documents' names begin."""

    def work_through(self, document: Path) -> Iterator[str]:
        """Run the blocks of the document in order, and tell what is not as it says."""
        for block in blocks(document, self.root):
            if name := block.marks.get("file"):
                (self.folder / name).write_text(self._real(block.text), "utf-8")
            if not block.runs:
                continue
            try:
                yield from self._try(block)
            except Gone as gone:
                told = _quoted("the output", gone.output)
                yield f"{block.where}: {gone}; the rest of the document was not tried{told}"
                return

    def _try(self, block: Block) -> Iterator[str]:
        setup = block.marks.get("setup")
        if setup and block.language not in PROGRAMS:
            ran = self._run(setup + "\n")
            for failed in ran.failed:
                told = _quoted("the output", ran.output)
                yield f"{block.where}: the setup failed, with {failed.code}: {failed.command}{told}"
        with self._beside(block):
            for step in block.steps():
                yield from self._type(block, step)

    def _type(self, block: Block, step: Step) -> Iterator[str]:
        if abroad := ABROAD.search(self._real(step.script)):
            yield f"{step.where}: leads to {abroad[0]}, which is not on this machine"
            return
        until = block.marks.get("until")
        script = self._script(block, step)
        ran = self._run(script, until)
        # What a command exits with at Ctrl-C is its own business.
        accepted = [int(block.marks["exit"])] if "exit" in block.marks else [130] if until else []
        wrong = [failed for failed in ran.failed if failed.code not in accepted]
        if wrong:
            lines = script.splitlines()
            told = "".join(f"\n    {step.line + one.line - 1}: {lines[one.line - 1]}  # {one.code}" for one in wrong)
            yield f"{step.where}: ended with an error:{told}{_quoted('the output', ran.output)}"
        elif len(ran.failed) != 1 and "exit" in block.marks and step.printed is None:
            yield f"{step.where}: one command was to exit with {accepted[0]}{_quoted('the output', ran.output)}"
        if step.printed is not None:
            printed = self._real(step.printed)
            if not agrees(printed, ran.output, any_order="any order" in block.marks):
                yield (
                    f"{step.where}: prints something else{_quoted('the command', step.script)}"
                    f"{_quoted('the document', printed)}{_quoted('the output', ran.output)}"
                )

    def _script(self, block: Block, step: Step) -> str:
        if block.language not in PROGRAMS:
            return step.script
        suffix, command = PROGRAMS[block.language]
        program = self.folder / f"block-{block.line}.{suffix}"
        setup = f"{block.marks['setup']}\n" if "setup" in block.marks else ""
        program.write_text(self._real(setup + step.script), "utf-8")
        return command.format(program.name) + "\n"

    def _run(self, script: str, until: str | None = None) -> Ran:
        return self.shell.run(self._real(script), patience=PATIENCE, until=until)

    def _real(self, text: str) -> str:
        for stands, real in self.instead.items():
            text = text.replace(stands, real)
        return text

    @contextmanager
    def _beside(self, block: Block) -> Iterator[None]:
        """Run what the block's `meanwhile` says beside it, in a shell of its own."""
        command = block.marks.get("meanwhile")
        if command is None:
            yield
            return
        beside = Shell(self.folder, self.shell.scratch / "beside", self.shell.environment)
        with beside:
            thread = threading.Thread(target=lambda: beside.run(self._real(command) + "\n", patience=PATIENCE))
            thread.start()
            try:
                yield
            finally:
                thread.join()


@contextmanager
def reader(
    folder: Path, environment: Mapping[str, str], instead: Mapping[str, str] | None = None, root: Path = ROOT
) -> Iterator[Reader]:
    """A reader whose home, checkout and scripts lie in the folder, and whose environment leads to the deployment."""
    checkout, programs, scratch = folder / "checkout", folder / "bin", folder / "scratch"
    for made in (checkout, programs, scratch / "beside", folder / "home"):
        made.mkdir(parents=True)
    for entry in sorted(ROOT.iterdir()):
        if entry.is_dir() and entry.name not in {".git", ".pollbridge", "cdk.out"}:
            (checkout / entry.name).symlink_to(entry)
        elif entry.is_file():
            shutil.copy2(entry, checkout)
    (programs / "aws").symlink_to(ROOT / ".venv-emulator" / "bin" / "aws")
    (programs / "control").write_text(CONTROL, "utf-8")
    (programs / "control").chmod(0o755)
    path = os.pathsep.join([str(ROOT / ".venv" / "bin"), str(programs), os.environ["PATH"]])
    whole = {**harmless(), **environment, "HOME": str(folder / "home"), "PATH": path}
    with Shell(checkout, scratch, whole) as shell:
        yield Reader(shell, checkout, instead or {}, root)


def harmless() -> dict[str, str]:
    """The environment without anything that leads to an account or off this machine."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "CDK_", "POLLBRIDGE_", "PYTEST_", "POWERTOOLS_"))
        and name.upper() not in {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "PYTHONPATH", "VIRTUAL_ENV"}
    }
    plain = {"TZ": "UTC", "LC_ALL": "C.UTF-8", "COLUMNS": "200", "AWS_EC2_METADATA_DISABLED": "true"}
    return {**kept, **plain, "WEBHOOK_SECRET": f"whsec_{base64.b64encode(os.urandom(32)).decode()}"}


def _quoted(title: str, text: str) -> str:
    lines = text.rstrip().splitlines() or ["(nothing)"]
    shown = lines if len(lines) <= 2 * SHOWN else [*lines[:SHOWN], "[…]", *lines[-SHOWN:]]
    return f"\n  {title}:\n" + "\n".join(f"    {line}" for line in shown)
