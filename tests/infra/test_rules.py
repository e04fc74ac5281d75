"""What two sets of rules and AWS's own schemas think of the template."""

from __future__ import annotations

import json

import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs

from tests.infra.conftest import Template

pytestmark = pytest.mark.promise(51)


def test_no_finding_of_cdk_nag_is_unacknowledged(template: Template) -> None:
    report = template.folder / "validation-report.json"
    findings = json.loads(report.read_text())["pluginReports"] if report.exists() else []

    assert [v["ruleName"] for plugin in findings for v in plugin["violations"]] == []


def test_every_acknowledgement_is_on_one_resource_and_says_why(template: Template) -> None:
    tree = json.loads((template.folder / "Pollbridge.metadata.json").read_text())
    found = [
        (path, entry["data"])
        for path, entries in tree.items()
        for entry in entries
        if entry["type"] == "aws:cdk:acknowledged-rules"
    ]

    assert found
    assert all(path.count("/") >= 3 for path, _ in found)


@pytest.mark.long
def test_cfn_lint_finds_no_error(template: Template) -> None:
    found = lint(template.text, config=ManualArgs(regions=["us-east-1", "eu-west-1"]))

    assert [str(match) for match in found if match.rule.severity == "error"] == []
