"""The real stack in the local emulator, once for all e2e tests, with a stranger's vendor and receivers."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.kit.stranger import Stranger, stranger

SIGNING_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8G"

CONFIG = """
[vendors.acme]
type = "oration"
base_url = "{url}/v2"
secret = "e2e/acme"
allow_private = true
[vendors.ml]
type = "mentionlab"
base_url = "{url}/ml"
secret = "e2e/ml"
allow_private = true
[destinations.hook]
type = "webhook"
secret = "e2e/hook"
allow_private = true
headers = {{"x-team" = "docs"}}
[destinations.hook.match]
detail_type = ["Job State Changed", "Job First Seen", "Job Updated", "Job Progressed", "Job Lost",
               "Vendor Unreachable", "Vendor Recovered"]
[destinations.chat]
type = "slack"
secret = "e2e/chat"
allow_private = true
[destinations.chat.match]
state = ["succeeded", "failed"]
[destinations.other]
type = "webhook"
secret = "e2e/other"
allow_private = true
[destinations.other.match]
labels = {{"for" = ["other"]}}
detail_type = ["Job State Changed", "Job First Seen"]
[destinations.inside]
type = "webhook"
secret = "e2e/inside"
[destinations.inside.match]
labels = {{"for" = ["nobody"]}}
detail_type = ["Job State Changed"]
[api]
enabled = true
"""


@dataclass
class Local:
    """The command line over a deployment of its own."""

    environment: dict[str, str]
    stranger: Stranger

    def run(self, *arguments: str, stdin: str = "", code: int = 0, output: bool = False) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "pollbridge", *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout if code == 0 or output else done.stderr

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json"))

    def aws(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name=self.environment["AWS_REGION"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    folder = tmp_path_factory.mktemp("local")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "POLLBRIDGE_"))}
    environment |= {"POLLBRIDGE_LOCAL": str(folder / "state"), "AWS_EC2_METADATA_DISABLED": "true"}
    with stranger() as server:
        deployed = Local(environment, server)
        config = folder / "stranger.toml"
        config.write_text(CONFIG.format(url=server.url), "utf-8")
        try:
            deployed.run("local", "up", "--config", str(config))
            environment |= _exports(deployed.run("local", "env"))
            _store_secrets(deployed, server)
            yield deployed
        finally:
            deployed.run("local", "down")


def _store_secrets(deployed: Local, server: Stranger) -> None:
    for name, held in {
        "e2e/acme": {"x-api-key": "key-acme-canary"},
        "e2e/ml": {"x-api-key": "key-ml-canary"},
        "e2e/hook": {"url": f"{server.url}/hook", "signing_secret": SIGNING_SECRET},
        "e2e/chat": {"webhook_url": f"{server.url}/slack"},
        "e2e/other": {"url": f"{server.url}/other", "signing_secret": SIGNING_SECRET},
        "e2e/inside": {"url": f"https://127.0.0.1:{server.port}/inside", "signing_secret": SIGNING_SECRET},
    }.items():
        deployed.run("secret", "set", name, stdin=json.dumps(held))


def _exports(text: str) -> dict[str, str]:
    pairs = (shlex.split(line.removeprefix("export "))[0].partition("=") for line in text.splitlines())
    return {name: value for name, _, value in pairs}


@pytest.fixture
def root() -> Path:
    return Path(__file__).resolve().parents[2]
