"""What a deployment is warned of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.infra.conftest import CONFIGURATION, Synthesize, Template


def warnings(template: Template) -> list[tuple[str, str]]:
    """What the CDK's command line will print at synth and deploy, and of which construct."""
    manifest = json.loads((template.folder / "manifest.json").read_text())["artifacts"]["Pollbridge"]
    metadata = manifest.get("metadata", {})
    if file := manifest.get("additionalMetadataFile"):
        metadata |= json.loads((template.folder / file).read_text())
    return sorted(
        (path, entry["data"])
        for path, entries in metadata.items()
        for entry in entries
        if entry["type"] == "aws:cdk:warning"
    )


def allowing(*names: str) -> dict[str, Any]:
    """The configuration, with private addresses allowed to these."""
    return {
        section: {
            name: {**settings, "allow_private": name in names} if isinstance(settings, dict) else settings
            for name, settings in CONFIGURATION[section].items()
        }
        for section in ("vendors", "destinations")
    }


@pytest.mark.promise(43)
@pytest.mark.parametrize("emulated", [False, True])
def test_whoever_may_reach_private_addresses_is_announced(synthesize: Synthesize, emulated: bool) -> None:
    template = synthesize(allowing("mentionlab", "team"), checked=not emulated, emulated=emulated)
    told = "may reach private addresses, and plain http: allow_private = true in pollbridge.toml"

    assert warnings(template) == [
        ("/Pollbridge/Notifying/team", f"destination team {told} [ack: pollbridge:allow-private]"),
        ("/Pollbridge/Polling/mentionlab", f"connection mentionlab {told} [ack: pollbridge:allow-private]"),
    ]


def test_nothing_is_announced_where_only_public_addresses_are_reached(template: Template) -> None:
    assert warnings(template) == []
