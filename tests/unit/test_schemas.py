"""The schemas others rely on are the models', and every event keeps to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator, ValidationError

from pollbridge.model.change import Change, Reason, detect
from pollbridge.model.event import JobEvent, detail_type, job_event, webhook_type
from pollbridge.model.job import JobKey, Link, Progress, Snapshot, State
from pollbridge.notifying.notice import Notice
from pollbridge.notifying.webhook import body
from pollbridge.schemas import FOLDER, JOB_TYPES, SCHEMAS, main, texts

from .test_detect import SNAPSHOTS

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 6, 8, 12, 31, tzinfo=UTC)
RUNNING = Snapshot(state=State.RUNNING, vendor_status="active")
FAILED = Snapshot(state=State.FAILED, vendor_status="failed", state_since="2026-06-08T12:30:59.118Z")
PULL_REQUEST = Snapshot(state=State.RUNNING, links=(Link(rel="pull_request", href="https://x.test/1"),))
HALF_DONE = Snapshot(state=State.RUNNING, progress=Progress(total=10, succeeded=5))

CHANGES = {
    Reason.FIRST_SEEN: detect(None, RUNNING),
    Reason.STATE_CHANGED: detect(RUNNING, FAILED),
    Reason.REOPENED: detect(FAILED, RUNNING),
    Reason.ARCHIVED: detect(FAILED, Snapshot(state=State.ARCHIVED)),
    Reason.LINK_ADDED: detect(RUNNING, PULL_REQUEST),
    Reason.ERROR_CHANGED: detect(RUNNING, Snapshot(state=State.RUNNING, error="boom")),
    Reason.PROGRESSED: detect(RUNNING, HALF_DONE),
    # What only a poller can tell, since no snapshot says it.
    Reason.LOST: Change(RUNNING, RUNNING, (Reason.LOST,)),
    Reason.FOUND: Change(RUNNING, RUNNING, (Reason.FOUND,)),
}


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / FOLDER / f"{name}.json").read_bytes())
    return loaded


def event(change: Change) -> JobEvent:
    return job_event(
        JobKey("oration", "job", "acme", "j 1"),
        change,
        vendor="oration",
        incarnation="i",
        version=3,
        labels={"team": "docs"},
        observed_at=NOW,
        last_seen_at=NOW - timedelta(minutes=1) if change.previous else None,
        lost=Reason.LOST in change.reasons,
    )


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(child)


@pytest.mark.promise(27)
@pytest.mark.parametrize(("file", "text"), [*texts()], ids=[*SCHEMAS])
def test_the_file_is_the_models(file: str, text: str) -> None:
    assert (ROOT / FOLDER / file).read_text("utf-8") == text, "run `python -m pollbridge.schemas`"


def test_there_is_no_other_file() -> None:
    assert {path.name for path in (ROOT / FOLDER).iterdir()} == {file for file, _ in texts()}


def test_checking_names_what_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / FOLDER).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    main([])
    (FOLDER / "job-event.json").write_text("{}")

    assert main(["--check"]) == 1
    assert "job-event.json;" in capsys.readouterr().err


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_is_a_schema_that_lets_new_fields_pass(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))

    assert not [node for node in nodes(schema(name)) if node.get("additionalProperties") is False]


@pytest.mark.promise(27)
@pytest.mark.parametrize("reason", Reason)
def test_an_event_of_every_reason_validates(reason: Reason) -> None:
    change = CHANGES[reason]
    assert change
    assert reason in change.reasons

    Draft202012Validator(schema("job-event")).validate(json.loads(event(change).json_text()))


@pytest.mark.promise(27)
@given(previous=SNAPSHOTS, current=SNAPSHOTS)
def test_whatever_changed_the_event_validates(previous: Snapshot, current: Snapshot) -> None:
    validator = Draft202012Validator(schema("job-event"))

    for change in filter(None, (detect(None, current), detect(previous, current))):
        validator.validate(json.loads(event(change).json_text()))


@pytest.mark.promise(27)
@pytest.mark.parametrize("reason", Reason)
def test_the_webhook_about_it_validates(reason: Reason) -> None:
    change = CHANGES[reason]
    assert change
    told = event(change)

    sent = json.loads(body(Notice(told.detail_type, json.loads(told.json_text()))))

    Draft202012Validator(schema("webhook-job")).validate(sent)


def test_every_type_of_job_event_has_its_webhook_type() -> None:
    types = schema("webhook-job")["properties"]["type"]["enum"]

    assert types == [webhook_type(name) for name in JOB_TYPES]
    assert {detail_type(change.reasons) for change in CHANGES.values() if change} == set(JOB_TYPES)


def test_an_event_with_a_new_field_validates_and_one_without_an_old_field_does_not() -> None:
    told = json.loads(event(CHANGES[Reason.STATE_CHANGED]).json_text())
    validator = Draft202012Validator(schema("job-event"))

    validator.validate(told | {"new": 1, "to": told["to"] | {"new": 1}})
    with pytest.raises(ValidationError):
        validator.validate({name: told[name] for name in told if name != "schema"})


@pytest.mark.parametrize(("detail", "valid"), [({"key": "o/job/s/1"}, True), ({"labels": {}}, False)])
def test_a_watch_request_needs_a_key(detail: dict[str, Any], valid: bool) -> None:
    assert Draft202012Validator(schema("job-watch-requested")).is_valid(detail) is valid
