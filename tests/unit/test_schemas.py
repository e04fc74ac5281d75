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
from pollbridge.model.event import (
    Changes,
    ConnectionEvent,
    Event,
    JobEvent,
    Trouble,
    detail_type,
    job_event,
    webhook_type,
)
from pollbridge.model.job import JobKey, Link, Progress, Snapshot, State
from pollbridge.notifying.webhook import body
from pollbridge.routing import CONNECTION_TYPES
from pollbridge.schemas import FOLDER, JOB_TYPES, SCHEMAS, main, texts
from tests.kit.events import notice, recovered, unreachable

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
    Reason.UNARCHIVED: detect(Snapshot(state=State.ARCHIVED), FAILED, outcome=State.FAILED),
    Reason.LINK_ADDED: detect(RUNNING, PULL_REQUEST),
    Reason.ERROR_CHANGED: detect(RUNNING, Snapshot(state=State.RUNNING, error="boom")),
    Reason.PROGRESSED: detect(RUNNING, HALF_DONE),
    # What only a poller can tell, since no snapshot says it.
    Reason.LOST: Change(RUNNING, RUNNING, (Reason.LOST,)),
    Reason.FOUND: Change(RUNNING, RUNNING, (Reason.FOUND,)),
    Reason.EXPIRED: Change(RUNNING, RUNNING, (Reason.EXPIRED,)),
}
VENDOR_EVENTS = {
    **{f"unreachable: {trouble}": unreachable(reason=trouble) for trouble in Trouble},
    "unreachable: a scope": unreachable(scope="p"),
    "recovered": recovered(),
    "recovered, no change": recovered(changes=Changes()),
    "recovered, jobs in every state": recovered(changes=Changes(total=10, states=dict.fromkeys(State, 1))),
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
    )


def webhook(told: Event) -> dict[str, Any]:
    """The body that is sent about it."""
    sent: dict[str, Any] = json.loads(body(notice(told)))
    return sent


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

    Draft202012Validator(schema("webhook-job")).validate(webhook(event(change)))


@pytest.mark.promise(27)
@pytest.mark.parametrize("case", VENDOR_EVENTS)
def test_an_event_about_a_vendor_and_its_webhook_validate(case: str) -> None:
    told = VENDOR_EVENTS[case]
    of_its_type = schema(told.detail_type.lower().replace(" ", "-"))

    Draft202012Validator(of_its_type).validate(json.loads(told.json_text()))
    Draft202012Validator(schema("webhook-vendor")).validate(webhook(told))


def test_every_type_of_vendor_event_has_its_webhook_type() -> None:
    kinds = schema("webhook-vendor")["discriminator"]["mapping"]

    assert set(kinds) == {webhook_type(name) for name in CONNECTION_TYPES}
    assert {told.detail_type for told in VENDOR_EVENTS.values()} == set(CONNECTION_TYPES)


@pytest.mark.parametrize(
    ("told", "lacks"), [(recovered(), "changes"), (recovered(), "since"), (unreachable(), "reason")]
)
def test_no_webhook_about_a_vendor_lacks_what_its_type_promises(told: ConnectionEvent, lacks: str) -> None:
    sent = webhook(told)
    del sent["data"][lacks]

    assert not Draft202012Validator(schema("webhook-vendor")).is_valid(sent)


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
