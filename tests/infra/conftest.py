"""One synthesis for all, and a way to ask every resource of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "18,20,21,22,23,24,25")

from aws_cdk import App, Validations
from aws_cdk import aws_lambda as lambda_
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

from infra.stack import Pollbridge
from pollbridge.config import Configuration, check

CONFIGURATION: dict[str, Any] = {
    "vendors": {
        "scale": {"secret": "canary/scale"},
        "mentionlab": {"secret": "canary/mentionlab", "scope_secrets": {"project-b": "canary/mentionlab-b"}},
        "docs": {
            "type": "mintlify",
            "secret": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:canary/docs-AbCdEf",
        },
    },
    "destinations": {
        "team": {"type": "slack", "secret": "canary/team", "match": {"vendor": ["scale"], "state": ["failed"]}},
        "service": {"type": "webhook", "secret": "canary/service", "enabled": False},
        "raw": {
            "type": "webhook",
            "secret": "canary/raw",
            "match": {"pattern": {"detail": {"version": [{"numeric": [">", 1]}]}}},
        },
    },
    "alarms": {"email": "oncall@example.com"},
}


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource of the template; references in it are their targets' logical ids, attributes `id.Attribute`."""

    id: str
    type: str
    properties: Mapping[str, Any]
    rest: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.properties[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self.properties.get(name, default)


@dataclass(frozen=True, kw_only=True)
class Template:
    text: str
    folder: Path

    @property
    def resources(self) -> dict[str, Resource]:
        found = json.loads(self.text)["Resources"]
        return {
            name: Resource(id=name, type=raw["Type"], properties=_plain(raw.get("Properties", {})), rest=raw)
            for name, raw in found.items()
        }

    def all(self, kind: str) -> list[Resource]:
        """Every resource of a kind such as `SQS::Queue`; there is at least one."""
        found = [resource for resource in self.resources.values() if resource.type == f"AWS::{kind}"]
        assert found, f"the template has no {kind}"
        return found

    def statements(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every statement of every role, with the role's id."""
        for policy in self.all("IAM::Policy"):
            for statement in policy["PolicyDocument"]["Statement"]:
                for role in policy["Roles"]:
                    yield (
                        role,
                        {**statement, "Action": _list(statement["Action"]), "Resource": _list(statement["Resource"])},
                    )


Synthesize = Callable[..., Template]


@pytest.fixture(scope="session")
def synthesize(tmp_path_factory: pytest.TempPathFactory) -> Synthesize:
    """Makes each template once; `checked` ones are made apart from those that are not."""
    made: dict[str, Template] = {}

    def synthesize(
        values: Mapping[str, Any] = CONFIGURATION, *, checked: bool = False, name: str = "Pollbridge", **options: Any
    ) -> Template:
        asked = json.dumps([values, checked, name, options], default=repr)
        if asked not in made:
            made[asked] = synthesized(values, checked=checked, name=name, **options)
        return made[asked]

    def synthesized(values: Mapping[str, Any], *, checked: bool, name: str, **options: Any) -> Template:
        configuration: Configuration = check(values, "test")
        app = App(outdir=str(tmp_path_factory.mktemp("cdk.out")))
        if checked:
            Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
        stack = Pollbridge(
            app,
            name,
            configuration=configuration,
            code=lambda function: lambda_.Code.from_inline(f"# {function}"),
            runtime=lambda_.Runtime.PYTHON_3_14,
            architecture=lambda_.Architecture.ARM_64,
            **options,
        )
        folder = Path(app.synth().directory)
        return Template(text=(folder / stack.template_file).read_text(), folder=folder)

    return synthesize


@pytest.fixture(scope="session")
def template(synthesize: Synthesize) -> Template:
    return synthesize(checked=True)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _plain(value: Any) -> Any:
    match value:
        case {"Ref": str(name)}:
            return name
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{name}.{attribute}"
        case {"Fn::Join": [separator, parts]}:
            return separator.join(str(_plain(part)) for part in parts)
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
    return value
