"""Which events a destination hears of. The patterns are judged by a small EventBridge of our own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pollbridge.config import Match
from pollbridge.model.event import ConnectionEvent
from pollbridge.model.job import State
from pollbridge.routing import CONNECTION_TYPES, DESTINATION_TYPES, JOB_TYPES, SOURCE, WATCH_REQUESTED, pattern
from tests.kit.events import recovered, unreachable

LOUD = {"Job State Changed", "Job Lost", "Vendor Unreachable", "Vendor Recovered", "Destination Disabled"}
OPERATORS = {*CONNECTION_TYPES, *DESTINATION_TYPES}
REASONS = {
    "Job State Changed": ["state_changed"],
    "Job First Seen": ["first_seen"],
    "Job Lost": ["lost"],
    "Job Updated": ["link_added"],
    "Job Progressed": ["progressed"],
}


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """EventBridge: all fields of a pattern, any value of a list, any branch of `$or`."""
    return all(
        any(matches(branch, event) for branch in wanted) if field == "$or" else _field(wanted, event.get(field))
        for field, wanted in pattern.items()
    )


def _field(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(found, dict) and matches(wanted, found)
    assert isinstance(wanted, list) and wanted, "EventBridge refuses a pattern whose leaf is no list, or an empty one"
    values = found if isinstance(found, list) else [found]
    return any(value == want for value in values for want in wanted)


def event(detail_type: str, *, state: str = "running", source: str = SOURCE, **detail: Any) -> dict[str, Any]:
    """An event as it lies on the bus, with the fields that its type has."""
    fields: dict[str, Any] = {"id": "e", "version": 1}
    if detail_type not in DESTINATION_TYPES:
        fields |= {"vendor": "oration", "connection": "labs"}
    if detail_type in JOB_TYPES:
        job = {"kind": "job", "scope": "p", "labels": detail.pop("labels", {})}
        fields |= {"job": job, "to": {"state": state}, "reasons": REASONS[detail_type]}
    return {"source": source, "detail-type": detail_type, "detail": {**fields, **detail}}


def hears(match: dict[str, Any], detail_type: str, **fields: Any) -> bool:
    return matches(pattern(Match.model_validate(match)), event(detail_type, **fields))


def heard(match: dict[str, Any], **fields: Any) -> set[str]:
    """The types of event, of those whose fields are these, that a destination hears of."""
    return {name for name in (*JOB_TYPES, *CONNECTION_TYPES, *DESTINATION_TYPES) if hears(match, name, **fields)}


def test_by_default_everything_but_the_quiet_is_heard() -> None:
    assert heard({}) == LOUD | {"Job Updated"}


def test_an_update_is_heard_only_when_it_brings_a_link() -> None:
    assert hears({}, "Job Updated", reasons=["link_added", "error_changed"])
    assert not hears({}, "Job Updated", reasons=["error_changed"])
    assert not hears({}, "Job Updated", reasons=["archived"])
    assert hears({"detail_type": ["Job Updated"]}, "Job Updated", reasons=["archived"])


@pytest.mark.parametrize("name", [*JOB_TYPES, *CONNECTION_TYPES, *DESTINATION_TYPES])
def test_a_destination_hears_of_the_type_it_asks_for_and_no_other(name: str) -> None:
    assert heard({"detail_type": [name]}) == {name}


@pytest.mark.parametrize("state", State)
def test_a_state_narrows_jobs_and_leaves_operators_events(state: State) -> None:
    wanted = {"state": ["failed", "halted"]}

    assert heard(wanted, state=state) == (LOUD | {"Job Updated"} if state in wanted["state"] else OPERATORS)


@pytest.mark.parametrize(
    ("match", "heard_of"),
    [
        ({"vendor": ["oration"]}, LOUD | {"Job Updated"}),
        ({"vendor": ["scale", "oration"]}, LOUD | {"Job Updated"}),
        ({"vendor": ["scale"]}, {"Destination Disabled"}),
        ({"connection": ["labs"]}, LOUD | {"Job Updated"}),
        ({"connection": ["oration"]}, {"Destination Disabled"}),
        ({"kind": ["job"]}, LOUD | {"Job Updated"}),
        ({"kind": ["execution"]}, OPERATORS),
        ({"scope": ["p"]}, LOUD | {"Job Updated"}),
        ({"scope": ["q"]}, OPERATORS),
        ({"reasons": ["link_added"]}, OPERATORS | {"Job Updated"}),
        ({"reasons": ["state_changed", "lost"]}, LOUD),
        ({"reasons": ["first_seen"], "detail_type": ["Job First Seen"]}, {"Job First Seen"}),
        ({"kind": ["job"], "scope": ["q"]}, OPERATORS),
        ({"vendor": ["oration"], "state": ["failed"]}, OPERATORS),
        ({"vendor": ["scale"], "state": ["running"]}, {"Destination Disabled"}),
    ],
)
def test_a_key_concerns_only_events_that_have_the_field(match: dict[str, Any], heard_of: set[str]) -> None:
    assert heard(match) == heard_of


@pytest.mark.parametrize("told", [unreachable(scope="q"), recovered(scope="q"), unreachable(), recovered()])
@pytest.mark.parametrize(
    ("match", "heard_of"),
    [
        ({}, True),
        ({"state": ["failed"]}, True),
        ({"reasons": ["state_changed"]}, True),
        ({"kind": ["execution"]}, True),
        ({"scope": ["p"]}, True),
        ({"labels": {"team": ["docs"]}}, True),
        ({"connection": ["mentionlab"], "vendor": ["mentionlab"], "state": ["failed"]}, True),
        ({"connection": ["labs"]}, False),
        ({"vendor": ["oration"]}, False),
        ({"detail_type": ["Job Lost"]}, False),
        ({"detail_type": ["Vendor Unreachable", "Vendor Recovered"], "state": ["failed"]}, True),
    ],
)
def test_of_a_vendors_trouble_all_hear_but_who_asks_for_other_vendors_or_types(
    told: ConnectionEvent, match: dict[str, Any], heard_of: bool
) -> None:
    lies = {"source": SOURCE, "detail-type": told.detail_type, "detail": json.loads(told.json_text())}

    assert matches(pattern(Match.model_validate(match)), lies) is heard_of


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({"team": "docs"}, True),
        ({"team": "web", "env": "prod"}, True),
        ({"team": "ops"}, False),
        ({"env": "docs"}, False),
        ({}, False),
    ],
)
def test_labels_are_met_by_jobs_that_carry_them(labels: dict[str, str], told: bool) -> None:
    assert hears({"labels": {"team": ["docs", "web"]}}, "Job State Changed", labels=labels) is told


def test_every_label_must_be_met() -> None:
    both = {"labels": {"team": ["docs"], "env": ["prod"]}}

    assert hears(both, "Job Lost", labels={"team": "docs", "env": "prod", "more": "x"})
    assert not hears(both, "Job Lost", labels={"team": "docs"})


@pytest.mark.promise(28)
@pytest.mark.parametrize("match", [{}, {"state": ["failed"]}, {"pattern": {}}, {"pattern": {"source": ["them"]}}])
def test_only_our_own_events_are_heard(match: dict[str, Any]) -> None:
    ours = pattern(Match.model_validate(match))

    assert ours["source"] == [SOURCE]
    assert not matches(ours, event("Job State Changed", state="failed", source="them"))


@pytest.mark.promise(28)
@pytest.mark.parametrize("match", [{}, {"vendor": ["oration"]}, {"state": ["running"]}])
def test_a_request_to_watch_is_told_to_nobody(match: dict[str, Any]) -> None:
    request = {"source": SOURCE, "detail-type": WATCH_REQUESTED, "detail": {"key": "oration/job/p/1", "labels": {}}}

    assert not matches(pattern(Match.model_validate(match)), request)


def test_a_raw_pattern_stays_as_written() -> None:
    raw = {"detail-type": ["Job Lost"], "detail": {"job": {"id": ["7"]}}}

    assert pattern(Match.model_validate({"pattern": raw})) == {"source": [SOURCE], **raw}


@pytest.mark.parametrize("match", [{}, {"state": ["failed"], "reasons": ["lost"]}, {"detail_type": ["Job Lost"]}])
def test_a_pattern_is_plain_json(match: dict[str, Any]) -> None:
    made = pattern(Match.model_validate(match))

    assert json.loads(json.dumps(made)) == made
    assert "$or" not in made or len(made["$or"]) > 1
    assert len(json.dumps(made)) < 2048
