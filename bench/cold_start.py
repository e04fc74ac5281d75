"""What a function's first invocation pays before it works, over `boto3.client("dynamodb")` alone.

Run `.venv/bin/python bench/cold_start.py`. Fresh interpreters, in alternating rounds, each building what the
handler builds once, from its bundle and nothing else; CPU of the child.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import boto3

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from infra.bundling import LOCAL, Bundler

ROUNDS = 7

BASE = "boto3.client('dynamodb')"
BUILDS = {
    "poller": "poller",
    "publisher": "publisher",
    "registrar": "watches",
    "auditor": "auditor",
    "webhook_notifier": "worker",
    "slack_notifier": "worker",
}
"""What each handler builds once."""

CONFIG = """{"vendors": {"oration": {"type": "oration", "base_url": "https://o.test", "secret": "s"}},
"destinations": {"webhook": {"type": "webhook", "secret": "w"}, "slack": {"type": "slack", "secret": "c"}}}"""


def cost(code: str, folder: str, environment: dict[str, str]) -> float:
    """CPU milliseconds of a fresh interpreter that finds nothing but that folder."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    isolated = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {folder!r}); {code}"]
    subprocess.run(isolated, env=environment, cwd=folder, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def main() -> None:
    environment = {
        **os.environ,
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "t",
        "AWS_SECRET_ACCESS_KEY": "t",
        "POLLBRIDGE_CONFIG": "pollbridge.json",
        "CONNECTION": "oration",
        "TABLE": "t",
        "BUS": "b",
        "QUEUE_URL": "q",
        "DEAD_LETTER_QUEUE_URL": "d",
    }
    bundler = Bundler(root=ROOT, platform=LOCAL, configuration=CONFIG)
    packages = str(Path(boto3.__file__).parents[1])
    runs = {BASE: (f"import boto3; {BASE}", packages)}
    runs |= {name: (f"import handler; handler.{made}()", str(bundler.folder(name))) for name, made in BUILDS.items()}
    costs: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(ROUNDS + 1):
        for name, (code, folder) in runs.items():
            measured = cost(code, folder, {**environment, "DESTINATION": name.removesuffix("_notifier")})
            if round_:
                costs[name].append(measured)
    bare = cost("pass", packages, environment)
    base = statistics.median(costs[BASE]) - bare
    for name, measured in costs.items():
        own = statistics.median(measured) - bare
        print(f"{name:<28} {own:7.0f} ms of CPU   ratio {own / base:.2f}")


if __name__ == "__main__":
    main()
