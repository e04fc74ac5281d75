"""Which events a destination hears of, by our matcher; moto's has to agree."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pollbridge.config import Match
from pollbridge.matching import mismatch
from pollbridge.model.event import ConnectionEvent, Event
from pollbridge.model.job import State
from pollbridge.routing import (
    CONNECTION_TYPES,
    DESTINATION_TYPES,
    JOB_TYPES,
    LONGEST_PATTERN,
    SOURCE,
    WATCH_REQUESTED,
    InvalidPattern,
    pattern,
)
from tests.kit.envelopes import EVENTS, TYPES, disabled, envelope, moto_matches, of_type
from tests.kit.events import recovered, unreachable

LOUD = {"Job State Changed", "Job Lost", "Vendor Unreachable", "Vendor Recovered", "Destination Disabled"}
OPERATORS = {*CONNECTION_TYPES, *DESTINATION_TYPES}


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    verdict = mismatch(pattern, event) is None
    assert verdict == moto_matches(pattern, event)
    return verdict


def rule(match: dict[str, Any], destination: str = "me") -> dict[str, Any]:
    return pattern(Match.model_validate(match), destination)


def event(detail_type: str, **told: Any) -> dict[str, Any]:
    """An event of that type at the connection `labs`, of the vendor oration."""
    source = told.pop("source", SOURCE)
    asked = {} if detail_type in DESTINATION_TYPES else {"vendor": "oration", "connection": "labs"}
    fields = told if detail_type in JOB_TYPES else {}
    return {**envelope(of_type(detail_type, **asked, **fields)), "source": source}


def hears(match: dict[str, Any], detail_type: str, **fields: Any) -> bool:
    return matches(rule(match), event(detail_type, **fields))


def heard(match: dict[str, Any], **fields: Any) -> set[str]:
    """The types of event, of those whose fields are these, that a destination hears of."""
    return {name for name in TYPES if hears(match, name, **fields)}


def test_by_default_everything_but_the_quiet_is_heard() -> None:
    assert heard({}) == LOUD | {"Job Updated"}


def test_an_update_is_heard_only_when_it_brings_a_link() -> None:
    assert hears({}, "Job Updated", reasons=["link_added", "error_changed"])
    assert not hears({}, "Job Updated", reasons=["error_changed"])
    assert not hears({}, "Job Updated", reasons=["archived"])
    assert hears({"detail_type": ["Job Updated"]}, "Job Updated", reasons=["archived"])


@pytest.mark.parametrize("name", TYPES)
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
    assert matches(rule(match), envelope(told)) is heard_of


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
    ours = rule(match)

    assert ours["source"] == [SOURCE]
    assert not matches(ours, event("Job State Changed", state="failed", source="them"))


@pytest.mark.promise(28)
@pytest.mark.parametrize("match", [{}, {"vendor": ["oration"]}, {"state": ["running"]}])
def test_a_request_to_watch_is_told_to_nobody(match: dict[str, Any]) -> None:
    request = {"source": SOURCE, "detail-type": WATCH_REQUESTED, "detail": {"key": "oration/job/p/1", "labels": {}}}

    assert not matches(rule(match), request)


def test_a_raw_pattern_stays_as_written() -> None:
    raw = {"detail-type": ["Job Lost"], "detail": {"job": {"id": ["7"]}}}

    assert rule({"pattern": raw}) == {"source": [SOURCE], **raw}


@pytest.mark.parametrize("match", [{}, {"state": ["failed"], "reasons": ["lost"]}, {"detail_type": ["Job Lost"]}])
def test_a_pattern_is_plain_json(match: dict[str, Any]) -> None:
    made = rule(match)

    assert json.loads(json.dumps(made)) == made
    assert "$or" not in made or len(made["$or"]) > 1
    assert len(json.dumps(made)) < 2048


JOBS_AND_VENDORS, JOBS = {*JOB_TYPES, *CONNECTION_TYPES}, {*JOB_TYPES}

KEYS: dict[str, tuple[Any, Any, set[str]]] = {
    "vendor": (["oration"], ["scale"], JOBS_AND_VENDORS),
    "connection": (["labs"], ["oration"], JOBS_AND_VENDORS),
    "kind": (["job"], ["execution"], JOBS),
    "scope": (["p"], ["q"], JOBS),
    "state": (["running"], ["failed"], JOBS),
    "labels": ({"team": ["docs"]}, {"team": ["web"]}, JOBS),
}
"""Each key with what the event is like, what it is not like, and the types that have the field."""


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("key", KEYS)
def test_every_key_narrows_every_type_that_has_its_field_and_no_other(name: str, key: str) -> None:
    like, unlike, narrowed = KEYS[key]

    assert hears({"detail_type": [name], key: like}, name, labels={"team": "docs"})
    assert hears({"detail_type": [name], key: unlike}, name, labels={"team": "docs"}) is (name not in narrowed)


@pytest.mark.parametrize("name", JOB_TYPES)
@pytest.mark.parametrize("reason", ["reopened", "expired", "archived", "first_seen", "progressed"])
def test_a_reason_is_looked_for_among_all_of_an_event(name: str, reason: str) -> None:
    told = [*event(name)["detail"]["reasons"]]

    assert hears({"detail_type": [name], "reasons": [*told, "found"]}, name)
    assert hears({"detail_type": [name], "reasons": [reason]}, name) is (reason in told)


@pytest.mark.promise(28)
@pytest.mark.parametrize("match", [{}, {"state": ["failed"]}, {"detail_type": ["Destination Disabled"]}])
def test_a_destination_hears_of_the_others_disabling_and_not_of_its_own(match: dict[str, Any]) -> None:
    assert matches(rule(match, "team"), envelope(disabled("service")))
    assert not matches(rule(match, "team"), envelope(disabled("team")))


def test_a_destination_that_asks_for_no_such_event_has_no_branch_for_it() -> None:
    assert "destination" not in json.dumps(rule({"detail_type": ["Job Lost", "Vendor Unreachable"]}))


def test_a_source_in_the_branches_of_a_raw_pattern_cannot_stand_beside_ours() -> None:
    raw = {"$or": [{"source": ["them"]}, {"detail-type": ["Job Lost"]}]}

    with pytest.raises(InvalidPattern, match=r"^source is named twice"):
        rule({"pattern": raw})


@pytest.mark.parametrize("name", ["prefix", "exists", "$or", "regex"])
def test_a_label_that_eventbridge_keeps_for_itself_is_refused_where_it_stands_in_a_branch(name: str) -> None:
    with pytest.raises(InvalidPattern, match=r"^detail\.job\.labels\."):
        rule({"labels": {name: ["a"]}})


def test_a_label_with_dots_in_its_name_is_met() -> None:
    assert hears({"labels": {"team.name": ["docs"]}}, "Job Lost", labels={"team.name": "docs"})


@pytest.mark.parametrize("letter", ["x", "é", "🙂"])
def test_the_longest_pattern_is_what_eventbridge_takes(letter: str) -> None:
    """Beyond U+FFFF a character is two of Java's."""
    match = {"detail_type": ["Job Lost"], "scope": ["x"]}
    spare = LONGEST_PATTERN - len(json.dumps(rule(match), separators=(",", ":")))
    width = len(letter.encode("utf-16-le")) // 2
    full = "x" + letter * (spare // width) + "x" * (spare % width)

    assert rule({**match, "scope": [full]})["detail"]["job"]["scope"] == [full]

    with pytest.raises(InvalidPattern, match=r"^makes a pattern of 2049 characters; EventBridge takes 2048$"):
        rule({**match, "scope": [full + "x"]})


def some(*values: str) -> st.SearchStrategy[list[str] | None]:
    return st.none() | st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


MATCHES = st.fixed_dictionaries(
    {
        "vendor": some("oration", "scale"),
        "connection": some("oration", "docs"),
        "kind": some("job", "execution"),
        "scope": some("p", "q"),
        "state": some("failed", "running", "succeeded"),
        "reasons": some("lost", "link_added", "state_changed"),
        "detail_type": some(*TYPES),
        "labels": st.none() | st.dictionaries(st.sampled_from(["team", "env"]), st.just(["docs"])),
    }
)


@pytest.mark.long
@settings(max_examples=200, deadline=None)
@given(match=MATCHES, event=EVENTS)
def test_whatever_a_match_says_moto_hears_what_we_do(match: dict[str, Any], event: Event) -> None:
    matches(rule(match, "team"), envelope(event))
