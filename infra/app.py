"""The CDK app: `npx cdk synth|diff|deploy` run it from the repository's root.

Context, each given with `-c name=value`:
`config` is the configuration file (default `pollbridge.toml`); `target` is `aws` (default) or `local`, the
emulator on this machine; `schedules` is `on` (default) or `off`; `hurry`, in the emulator only, is how many times as
fast the retry clock runs (default 1). The stack's name is POLLBRIDGE_STACK's value.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from aws_cdk import App, CliCredentialsStackSynthesizer, Validations
from aws_cdk import aws_lambda as lambda_
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

from infra.bundling import AWS, LOCAL, Bundler, CannotBundle
from infra.stack import Pollbridge
from pollbridge.config import InvalidConfig, load

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_STACK = "Pollbridge"


class InvalidContext(Exception):
    """A context value is none of those it may be; the message is one line."""


def build(app: App) -> Pollbridge:
    """Add the stack that the context asks for. Raises InvalidConfig, InvalidContext or CannotBundle."""
    local = _choice(app, "target", "aws", "local") == "local"
    scheduled = _choice(app, "schedules", "on", "off") == "on"
    configuration = load(ROOT / (app.node.try_get_context("config") or "pollbridge.toml"))
    bundler = Bundler(
        root=ROOT, platform=LOCAL if local else AWS, configuration=configuration.model_dump_json(indent=1)
    )
    if not local:
        Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    return Pollbridge(
        app,
        os.environ.get("POLLBRIDGE_STACK") or DEFAULT_STACK,
        configuration=configuration,
        code=lambda function: lambda_.Code.from_asset(str(bundler.folder(function))),
        runtime=lambda_.Runtime.PYTHON_3_14,
        architecture=_host_architecture() if local else lambda_.Architecture.ARM_64,
        scheduled=scheduled,
        emulated=local,
        hurry=str(app.node.try_get_context("hurry") or 1) if local else "1",
        # The emulator refuses the roles that a bootstrap makes for publishing.
        synthesizer=CliCredentialsStackSynthesizer() if local else None,
    )


def main() -> int:
    app = App()
    try:
        build(app)
    except (InvalidConfig, InvalidContext, CannotBundle) as mistake:
        sys.stderr.write(f"pollbridge: {mistake}\n")
        return 1
    app.synth()
    return 0


def _choice(app: App, name: str, default: str, *others: str) -> str:
    value = app.node.try_get_context(name) or default
    if value not in (default, *others):
        raise InvalidContext(f"-c {name}={value}: {name} is one of {', '.join((default, *others))}")
    return str(value)


def _host_architecture() -> lambda_.Architecture:
    arm = os.uname().machine in {"aarch64", "arm64"}
    return lambda_.Architecture.ARM_64 if arm else lambda_.Architecture.X86_64


if __name__ == "__main__":
    sys.exit(main())
