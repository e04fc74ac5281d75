"""The published document is kept, whatever is asked: schemathesis generates the questions."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import schemathesis
from hypothesis import strategies as st
from moto import mock_aws
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from pollbridge.api.document import document
from tests.kit.asking import Asked, life
from tests.kit.offices import Office, breaking, refusing
from tests.kit.sweeping import oration_key

NOW = datetime.now(UTC).replace(microsecond=0)

KEYS = [str(oration_key(name)) for name in ("j1", "j 2/%", "ü", "j4", "nobody")]


LEADS_NOWHERE = {"expected-statuses": ["2xx", "400", "404"]}
"""A cursor that was not given out is well-formed, and leads nowhere."""


@dataclass
class Report:
    """What a run found."""

    cases: Counter[str] = field(default_factory=Counter)
    """By operation."""
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    seconds: float = 0
    phases: Counter[str] = field(default_factory=Counter)

    def take(self, event: Any) -> None:
        if isinstance(event, events.ScenarioFinished):
            self.phases[event.phase.name] += len(event.recorder.cases)
            for case_id, node in event.recorder.cases.items():
                operation = node.value.operation.label
                self.cases[operation] += 1
                checks = event.recorder.checks.get(case_id, ())
                failed = [check.failure_info for check in checks if check.failure_info]
                self.failures += [
                    f"{operation}: {one.failure.title}: {one.failure.message}\n{one.code_sample}" for one in failed
                ]
                exchanged = event.recorder.interactions.get(case_id)
                if exchanged and exchanged.response:
                    self.statuses[exchanged.response.status_code] += 1
        elif isinstance(event, events.NonFatalError):
            self.errors.append(str(event.value))
        elif isinstance(event, events.FatalError):
            raise event.exception

    def __str__(self) -> str:
        told = f"{len(self.cases)} operations, {self.cases.total()} cases in {self.seconds:.1f} s"
        wrong = "\n".join([*self.failures, *self.errors])
        return f"{told}; {dict(self.phases)}; answers: {dict(sorted(self.statuses.items()))}\n{wrong}"


@pytest.fixture
def asked() -> Iterator[Asked]:
    with mock_aws():
        office = Office()
        yesterday = NOW - timedelta(days=1)
        life(office, oration_key("j1"), "pending", "running", "failed", at=yesterday, labels={"team": "docs"})
        office.does["service"] = refusing
        office.work("service")
        life(office, oration_key("j 2/%"), "running", "succeeded", "running", at=yesterday)
        office.does["service"] = breaking
        office.work("service")
        life(office, oration_key("ü"), *["running", "failed"] * 20, at=yesterday)
        office.work("team")
        life(office, oration_key("j4"), at=NOW)
        yield Asked(office)


@pytest.fixture
def formats(asked: Asked) -> None:
    pages = [asked("GET", "/v1/jobs", limit=1), asked("GET", "/v1/history", key=KEYS[2], limit=2)]
    schemathesis.openapi.format("job-key", st.sampled_from(KEYS))
    schemathesis.openapi.format("cursor", st.sampled_from([page.json["next"] for page in pages]))


def run(asked: Asked, **generation: Any) -> Report:
    described = document()
    # Who may ask is AWS's to judge, in front of the function: tests/e2e/test_api.py.
    del described["security"], described["components"]["securitySchemes"]
    with asked.served() as address:
        config = SchemathesisConfig.from_dict(
            {
                "seed": 1,
                "base-url": address,
                "generation": generation,
                "operations": [{"include-method": "GET", "checks": {"positive_data_acceptance": LEADS_NOWHERE}}],
            }
        )
        schema = schemathesis.openapi.from_dict(described, config=config)
        report, started = Report(), time.monotonic()
        for event in from_schema(schema).execute():
            report.take(event)
        report.seconds = time.monotonic() - started
    return report


def check(report: Report) -> None:
    assert not report.failures and not report.errors, str(report)
    assert len(report.cases) == 8
    assert {"EXAMPLES", "COVERAGE", "FUZZING", "STATEFUL_TESTING"} <= set(report.phases)
    assert max(report.statuses) < 500 and report.statuses[200] > 20, str(report)


@pytest.mark.usefixtures("formats")
def test_no_question_breaks_the_api_or_gets_an_answer_that_is_not_described(asked: Asked) -> None:
    report = run(asked, **{"max-examples": 5, "no-shrink": True, "deterministic": True})

    check(report)


@pytest.mark.long
@pytest.mark.usefixtures("formats")
def test_no_more_do_thousands_of_questions(asked: Asked) -> None:
    report = run(asked, **{"max-examples": 300})
    print(report)

    check(report)
