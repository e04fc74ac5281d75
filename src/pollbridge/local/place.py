"""Where the local deployment lives: its folder, what it started, and how that is found and ended again."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

TERM_PATIENCE = 5.0
"""Seconds a process gets to end by itself."""


class LocalError(Exception):
    """The local deployment cannot do that; the message is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder for one local deployment of the checkout at `root`."""

    root: Path
    folder: Path

    @classmethod
    def of_checkout(cls, folder: Path | None = None) -> Place:
        """The checkout this package was installed from. Raises LocalError."""
        root = Path(__file__).resolve().parents[3]
        if not (root / "cdk.json").is_file():
            raise LocalError("the local deployment needs a checkout: clone pollbridge and run `make install` in it")
        return cls(root, folder or Path(os.environ.get("POLLBRIDGE_LOCAL") or root / ".pollbridge"))

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def state_file(self) -> Path:
        return self.folder / "state.json"

    def prepare(self) -> None:
        for path in (self.folder, self.logs, self.folder / "tmp"):
            path.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One command at a time may start or stop things here. Raises LocalError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LocalError("another `pollbridge local` command is at work here: wait for it") from None
            yield

    def read(self) -> State | None:
        try:
            return State(**json.loads(self.state_file.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, state: State) -> None:
        self.state_file.write_text(json.dumps(asdict(state), indent=1), "utf-8")

    def forget(self) -> None:
        """Remove what a deployment left behind, but for its logs."""
        self.state_file.unlink(missing_ok=True)
        for leftover in ("tmp", "secrets", "cdk.out"):
            shutil.rmtree(self.folder / leftover, ignore_errors=True)


@dataclass(slots=True)
class State:
    """What is running: processes by name with what tells them from a later one of the same id, ports, settings."""

    processes: dict[str, list[int]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    stack: str = "Pollbridge"
    region: str = "eu-central-1"
    config: str | None = None
    """The configuration file it was deployed with; None: the simulated vendors."""
    deployed: str | None = None
    """Fingerprint of what was deployed; None until the first deployment succeeded."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports['emulator']}"

    def environment(self) -> dict[str, str]:
        """What a program needs to reach this deployment: the emulator takes any credentials."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "POLLBRIDGE_STACK": self.stack,
        }


def alive(process: Sequence[int]) -> bool:
    """Whether the process we started still runs: same id and same start time."""
    pid, started = process
    return _started(pid) == started


def start(place: Place, name: str, command: Sequence[str], environment: Mapping[str, str]) -> list[int]:
    """Start a process that outlives this command and holds none of its descriptors."""
    with (place.logs / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=place.folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            close_fds=True,
        )
    return identity(process.pid)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off Ctrl-C and its like to the end: what was started is noted down before anything makes us stop."""
    came: list[int] = []
    before: dict[int, Any] = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before[number] = signal.getsignal(number)
            signal.signal(number, lambda told, _: came.append(told))
        yield
    finally:
        for handled, handler in before.items():
            signal.signal(handled, handler)
        if came:
            signal.raise_signal(came[0])


def identity(pid: int) -> list[int]:
    """What tells a process from a later one of the same id."""
    return [pid, _started(pid) or 0]


def stop(processes: Mapping[str, Sequence[int]]) -> None:
    """End the processes and whatever they started in their sessions."""
    running = [process for process in processes.values() if alive(process)]
    for pid, _ in running:
        _signal(pid, signal.SIGTERM)
    until = time.monotonic() + TERM_PATIENCE
    while any(alive(process) for process in running) and time.monotonic() < until:
        time.sleep(0.05)
    for pid, _ in running:
        # The session's other members are ours too, also when its leader went first.
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _started(pid: int) -> int | None:
    """The process's start time, None when it is gone. A zombie of ours is reaped and gone."""
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return None
    except ChildProcessError:
        pass
    if not Path("/proc").is_dir():
        return _started_by_ps(pid)
    try:
        told = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if told[0] == "Z" else int(told[19])


def _started_by_ps(pid: int) -> int | None:
    told = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return zlib.crc32(told.stdout.encode()) if told.returncode == 0 and told.stdout.strip() else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tail(path: Path, lines: int = 1) -> str:
    """The last lines of a log that say something."""
    try:
        said = [line for line in path.read_text("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return "\n".join(said[-lines:])


def need(program: str, hint: str) -> str:
    """The path of a program. Raises LocalError with what to do where it is missing."""
    found = shutil.which(program)
    if found is None:
        raise LocalError(hint)
    return found
