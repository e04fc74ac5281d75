"""The local servers as the commands that `local up` starts."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from pollbridge.local.place import uninterrupted

from .simulated import simulated_receivers


@contextlib.contextmanager
def started(module: str, port_file: Path) -> Iterator[tuple["subprocess.Popen[bytes]", httpx.Client]]:
    """The server as a command, listening, and a client of it."""
    options = ["-m", f"pollbridge.local.{module}", "--port", "0", "--port-file", str(port_file)]
    with subprocess.Popen([sys.executable, *options]) as process:
        try:
            while not port_file.exists():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    pytest.fail(f"it ended with {process.wait(timeout=0.01)}")
            url = f"http://127.0.0.1:{int(port_file.read_text())}"
            with httpx.Client(base_url=url, trust_env=False) as client:
                yield process, client
        finally:
            process.kill()


@pytest.mark.parametrize("module", ["inbox", "vendors"])
@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_server_runs_until_told_to_go(module: str, told: int, tmp_path: Path) -> None:
    with started(module, tmp_path / "port") as (process, client):
        assert client.get("/nowhere").status_code == 404

        process.send_signal(told)

        assert process.wait(timeout=1) == 0


def test_a_server_goes_at_once_with_slow_requests_open(tmp_path: Path) -> None:
    with started("inbox", tmp_path / "port") as (process, client), ThreadPoolExecutor() as pool:
        client.put("/_control/faults/slack/x", json={"steps": [{"slow": 60}] * 3})
        waiting = [pool.submit(client.post, "/slack/x", json={"text": "x"}) for _ in range(3)]
        while len(client.get("/_control/messages").json()) < 3:
            pass

        process.terminate()

        assert process.wait(timeout=1) == 0
        assert all(isinstance(one.exception(), httpx.TransportError) for one in waiting)


@pytest.mark.parametrize("module", ["inbox", "vendors"])
def test_a_port_in_use_is_one_line(module: str) -> None:
    with simulated_receivers() as client:
        command = [sys.executable, "-m", f"pollbridge.local.{module}", "--port", str(client.base_url.port)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1


def test_an_interruption_waits_until_what_was_started_is_noted_down() -> None:
    noted = []

    def begin() -> None:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            noted.append("started")

    with pytest.raises(KeyboardInterrupt):
        begin()
    assert noted == ["started"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
