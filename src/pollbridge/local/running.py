"""Bringing the local deployment up: emulator, the real stack by the real CDK, simulated vendors, inbox."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pollbridge import config
from pollbridge.aws import client
from pollbridge.local.place import (
    LocalError,
    Place,
    State,
    alive,
    free_port,
    identity,
    need,
    start,
    stop,
    tail,
    uninterrupted,
)
from pollbridge.local.receivers import RECEIVERS
from pollbridge.local.stories import SCOPES
from pollbridge.vendors import VENDORS

READY_PATIENCE = 30.0
"""Seconds the emulator and the servers get to answer for the first time."""

ACCOUNT = "000000000000"

Step = Callable[[str], AbstractContextManager[None]]
"""Shows one step of the way, with its time."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be deployed. Without a configuration file the vendors and receivers are simulated."""

    config_file: Path | None = None
    schedules: bool = False
    hurry: int = 1
    """How many times as fast the retry clock runs."""


def up(place: Place, wish: Wish, step: Step) -> State:
    """Bring everything up, or what is missing of it. Raises LocalError, and then leaves nothing half-made.

    A second call with the same wish finds everything running; with another one it deploys that.
    """
    _check_machine(place)
    if wish.config_file:
        config.load(wish.config_file)
    place.prepare()
    before = place.read()
    running = before if before and all(alive(process) for process in before.processes.values()) else None
    wanted = os.environ.get("POLLBRIDGE_STACK")
    if running and wanted and wanted != running.stack:
        raise LocalError(f"{running.stack} runs here: `pollbridge local down` first, or unset POLLBRIDGE_STACK")
    if before and not running:
        stop(before.processes)
    state = running or State(stack=os.environ.get("POLLBRIDGE_STACK") or "Pollbridge")
    fresh = not running
    try:
        _bring_up(place, state, wish, step)
    except BaseException:
        if fresh:
            stop(state.processes)
            place.forget()
        raise
    return state


def down(place: Place) -> bool:
    """End everything that was started here. False when nothing ran."""
    state = place.read()
    if state is None:
        return False
    stop(state.processes)
    place.forget()
    return True


def _bring_up(place: Place, state: State, wish: Wish, step: Step) -> None:
    if "emulator" not in state.processes:
        with step("start the AWS emulator"):
            _start_emulator(place, state)
    if wish.config_file is None and "vendors" not in state.processes:
        with step("start simulated vendors and an inbox"):
            _start_simulation(place, state)
    state.config = str(wish.config_file) if wish.config_file else None
    context = _context(wish, wish.config_file or _simulated_config(place, state))
    fingerprint = _fingerprint(place, context)
    if state.deployed != fingerprint:
        _deploy(place, state, context, step)
        state.deployed = fingerprint
        place.write(state)


def _check_machine(place: Place) -> None:
    need("node", "Node.js is missing: install version 20 or later; the CDK command line needs it")
    if not _cdk_program(place).exists():
        raise LocalError("the CDK command line is not installed: run `make install`")
    if not _emulator(place).exists():
        raise LocalError("the AWS emulator is not installed: run `make install`")


def _cdk_program(place: Place) -> Path:
    return place.root / "node_modules" / ".bin" / "cdk"


def _emulator(place: Place) -> Path:
    return place.root / ".venv-emulator" / "bin" / "ministack"


def _start_emulator(place: Place, state: State) -> None:
    port = free_port()
    environment = {
        **_plain_environment(),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": state.region,
        "MINISTACK_HOST": "127.0.0.1",
        "TMPDIR": str(place.folder / "tmp"),
        "LOG_LEVEL": "WARNING",
        # IAM is enforced: whatever a function may not do in AWS fails here too.
        "AUTH": "true",
    }
    with uninterrupted():
        state.processes["emulator"] = start(place, "emulator", [str(_emulator(place))], environment)
        state.ports["emulator"] = port
        place.write(state)
    _until_ready(place, state, "emulator", lambda: bool(_answer(f"{state.endpoint}/_ministack/health")))


def _start_simulation(place: Place, state: State) -> None:
    files = {}
    for name in ("vendors", "inbox"):
        files[name] = place.folder / "tmp" / f"{name}.port"
        command = [sys.executable, "-m", f"pollbridge.local.{name}", "--port", "0", "--port-file", str(files[name])]
        with uninterrupted():
            state.processes[name] = start(place, name, command, {**_plain_environment(), "PYTHONUNBUFFERED": "1"})
            place.write(state)
    for name, file in files.items():
        _until_ready(place, state, name, file.exists)
        state.ports[name] = int(file.read_text("utf-8"))
    place.write(state)


def _until_ready(place: Place, state: State, name: str, ready: Callable[[], bool]) -> None:
    until = time.monotonic() + READY_PATIENCE
    while not ready():
        if not alive(state.processes[name]):
            raise LocalError(f"the {name} did not start: {tail(place.logs / f'{name}.log') or 'it said nothing'}")
        if time.monotonic() > until:
            raise LocalError(f"the {name} did not answer within {READY_PATIENCE:g} s: see {place.logs / f'{name}.log'}")
        time.sleep(0.05)


def _plain_environment() -> dict[str, str]:
    """The environment without anything that would lead AWS calls, or the CDK, elsewhere."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "CDK_", "POLLBRIDGE_", "MINISTACK_", "PYTEST_"))
        and name.upper() not in {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "PYTHONPATH", "VIRTUAL_ENV"}
    }


def _simulated_config(place: Place, state: State) -> Path:
    vendors = f"http://127.0.0.1:{state.ports['vendors']}"
    lines = []
    for name, vendor in VENDORS.items():
        lines += [
            f"[vendors.{name}]",
            f'base_url = "{vendors}/{name}"',
            f'secret = "pollbridge/{name}"',
            "allow_private = true",
        ]
        if any(kind.listing for kind in vendor.kinds.values()):
            # At every tick: what is found does not depend on the minute it is.
            lines += [f'scopes = ["{SCOPES[name]}"]', 'cadence = {discovery = "1m"}']
    for name, receiver in RECEIVERS.items():
        lines += [
            f"[destinations.{name}]",
            f'type = "{receiver.type}"',
            f'secret = "pollbridge/{name}"',
            "allow_private = true",
            f"[destinations.{name}.match]",
            *(f"{key} = {json.dumps(values)}" for key, values in receiver.match.items()),
        ]
    lines += ["[api]", "enabled = true"]
    path = place.folder / "simulated.toml"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def _context(wish: Wish, path: Path) -> dict[str, str]:
    """What the CDK app is told."""
    schedules = "on" if wish.schedules else "off"
    return {"config": str(path), "target": "local", "schedules": schedules, "hurry": str(wish.hurry)}


def _deploy(place: Place, state: State, context: Mapping[str, str], step: Step) -> None:
    assembly = str(place.folder / "cdk.out")
    told = [word for name, value in context.items() for word in ("-c", f"{name}={value}")]
    with step("synthesize the stack (cdk synth)"):
        _cdk(place, state, "synth", "--quiet", "--output", assembly, *told)
    with step(f"deploy {state.stack} into the emulator (cdk deploy)"):
        _make_staging_bucket(state)
        quick = ("--require-approval=never", "--method=direct", "--progress=events")
        _cdk(place, state, "deploy", "--app", assembly, state.stack, *quick)


def _make_staging_bucket(state: State) -> None:
    """All that this deployment needs of `cdk bootstrap`: the bucket that assets are uploaded to."""
    os.environ.update(state.environment())
    s3 = client("s3")
    name = f"cdk-hnb659fds-assets-{ACCOUNT}-{state.region}"
    if name not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": state.region})


def _cdk(place: Place, state: State, command: str, *arguments: str) -> None:
    """Run the CDK command line, in a session of its own: nobody's Ctrl-C but ours reaches it.

    Raises LocalError with the line that says what is wrong.
    """
    log = place.logs / f"cdk-{command}.log"
    environment = {**_plain_environment(), **state.environment(), "AWS_EC2_METADATA_DISABLED": "true"}
    started: dict[str, list[int]] = {}
    try:
        with uninterrupted(), log.open("wb") as sink:
            process = subprocess.Popen(
                [str(_cdk_program(place)), command, *arguments, "--ci", "--no-notices"],
                cwd=place.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            started[command] = identity(process.pid)
        code = process.wait()
    except BaseException:
        stop(started)
        raise
    if code:
        raise LocalError(_reason(log) or f"cdk {command} failed: see {log}")


def _reason(log: Path) -> str:
    """The line in which our own app, or else the CDK, says what is wrong."""
    said = log.read_text("utf-8", "replace").splitlines()
    ours = [line.removeprefix("pollbridge: ") for line in said if line.startswith("pollbridge: ")]
    theirs = [line.strip() for line in said if "failed:" in line.lower() or "error" in line.lower()]
    return (ours or theirs or [""])[-1]


def _fingerprint(place: Place, context: Mapping[str, str]) -> str:
    """Of all that a deployment is made from: the app's context with its configuration, and our own sources."""
    whole = hashlib.sha256(json.dumps(context).encode() + Path(context["config"]).read_bytes())
    for folder in ("functions", "infra", "requirements", "src"):
        for source in sorted((place.root / folder).rglob("*")):
            if source.suffix in {".py", ".txt"}:
                whole.update(f"{source}\n".encode() + source.read_bytes())
    return whole.hexdigest()


def control(state: State, server: str, method: str, path: str, body: Any = None) -> Any:
    """Ask a simulated server's control API."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{state.ports[server]}/_control/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        raw = answer.read()
    return json.loads(raw) if raw else None


def _answer(url: str) -> Mapping[str, Any] | None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as answer:
            told: Mapping[str, Any] = json.loads(answer.read())
            return told
    except (urllib.error.URLError, OSError, ValueError):
        return None


@contextmanager
def silent(_: str) -> Iterator[None]:
    """A step nobody watches."""
    yield
