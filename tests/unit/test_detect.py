"""What counts as a change, and why; and the fingerprint, which is exactly what that judgement reads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollbridge.model.change import Fingerprint, Reason, detect, withholds_outcome
from pollbridge.model.event import detail_type
from pollbridge.model.job import Link, Progress, Snapshot, State

LINK = Link(rel="pull_request", href="https://x.test/1")
LINKS = (LINK, Link(rel="pull_request", href="https://x.test/2"), Link(rel="preview", href="https://x.test/1"))
COUNTS = st.none() | st.integers(0, 12)
TIMES = st.none() | st.sampled_from(["2026-06-08T12:00:00Z", "1970-01-01T00:00:00Z", "rubbish"])
SNAPSHOTS = st.builds(
    Snapshot,
    state=st.sampled_from(State),
    vendor_status=st.sampled_from([None, "", "new", "newer"]),
    name=st.sampled_from([None, "a", "b"]),
    progress=st.none()
    | st.builds(Progress, total=COUNTS, succeeded=COUNTS, failed=COUNTS, cancelled=COUNTS, pending=COUNTS),
    links=st.lists(st.sampled_from(LINKS), max_size=4).map(tuple),
    error=st.sampled_from([None, "", "boom", "bang"]),
    message=st.sampled_from([None, "hello"]),
    created_at=TIMES,
    updated_at=TIMES,
    finished_at=TIMES,
)


def snapshot(state: State = State.RUNNING, **fields: Any) -> Snapshot:
    return Snapshot(state=state, **fields)


def done(succeeded: int, failed: int = 0, total: int = 100) -> Snapshot:
    return snapshot(progress=Progress(total=total, succeeded=succeeded, failed=failed))


def why(previous: Snapshot | None, current: Snapshot) -> list[str]:
    change = detect(previous, current)
    return [] if change is None else [str(reason) for reason in change.reasons]


def tenths(one: Snapshot) -> int:
    p = one.progress
    return (
        0
        if p is None or not p.total
        else min(10, 10 * sum(n or 0 for n in (p.succeeded, p.failed, p.cancelled)) // p.total)
    )


def is_news(a: Snapshot, b: Snapshot) -> bool:
    """The judgement in the words of DESIGN 4, without a fingerprint."""
    another_word = a.state is State.UNKNOWN and a.vendor_status != b.vendor_status
    another_link = not set(b.links) <= set(a.links)
    first_failure = bool(b.progress and b.progress.failed) and not (a.progress and a.progress.failed)
    further = tenths(b) > tenths(a) or first_failure
    return a.state is not b.state or another_word or another_link or a.error != b.error or further


@given(SNAPSHOTS, SNAPSHOTS)
def test_equal_fingerprints_are_exactly_no_change(a: Snapshot, b: Snapshot) -> None:
    unchanged = Fingerprint.of(b).since(Fingerprint.of(a)) == Fingerprint.of(a)

    assert unchanged == (detect(a, b) is None)


@given(SNAPSHOTS, SNAPSHOTS)
def test_news_is_detected_and_nothing_else(a: Snapshot, b: Snapshot) -> None:
    assert (detect(a, b) is not None) == is_news(a, b)


@given(SNAPSHOTS)
def test_the_same_answer_again_is_no_change(a: Snapshot) -> None:
    assert detect(a, a) is None


@given(SNAPSHOTS)
def test_a_fingerprint_reads_back_as_itself(a: Snapshot) -> None:
    fingerprint = Fingerprint.of(a)

    assert Fingerprint.read(str(fingerprint)) == fingerprint


@given(st.none() | SNAPSHOTS, SNAPSHOTS)
def test_a_change_has_reasons_each_told_once(a: Snapshot | None, b: Snapshot) -> None:
    change = detect(a, b)

    assert change is None or (change.previous, change.current) == (a, b)
    assert change is None or len(set(change.reasons)) == len(change.reasons) > 0


@given(SNAPSHOTS, SNAPSHOTS)
def test_strongest_reason_comes_first(a: Snapshot, b: Snapshot) -> None:
    change = detect(a, b)
    strength = [
        Reason.STATE_CHANGED,
        Reason.REOPENED,
        Reason.ARCHIVED,
        Reason.UNARCHIVED,
        Reason.LINK_ADDED,
        Reason.ERROR_CHANGED,
        Reason.PROGRESSED,
    ]

    assert change is None or list(change.reasons) == sorted(change.reasons, key=strength.index)


# Each reason


@pytest.mark.parametrize("state", State)
def test_a_first_sight_that_is_terminal_is_a_state_change_too(state: State) -> None:
    assert why(None, snapshot(state)) == (["first_seen", "state_changed"] if state.terminal else ["first_seen"])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (State.PENDING, State.RUNNING),
        (State.RUNNING, State.RETRYING),
        (State.RUNNING, State.UNKNOWN),
        (State.UNKNOWN, State.RUNNING),
        (State.RUNNING, State.PENDING),
        (State.RUNNING, State.SUCCEEDED),
        (State.RUNNING, State.ARCHIVED),
        (State.FAILED, State.SUCCEEDED),
        (State.ARCHIVED, State.SUCCEEDED),
    ],
)
def test_another_state_is_a_state_change(before: State, after: State) -> None:
    assert why(snapshot(before), snapshot(after)) == ["state_changed"]


@pytest.mark.promise(7)
@pytest.mark.parametrize("before", [state for state in State if state.terminal])
@pytest.mark.parametrize("after", [state for state in State if not state.terminal and state is not State.UNKNOWN])
def test_terminal_to_not_is_reopened(before: State, after: State) -> None:
    assert why(snapshot(before), snapshot(after)) == ["state_changed", "reopened"]


@pytest.mark.parametrize("before", [state for state in State if state.terminal and state is not State.ARCHIVED])
def test_filing_away_what_had_ended_is_no_second_end(before: State) -> None:
    assert why(snapshot(before), snapshot(State.ARCHIVED)) == ["archived"]


@pytest.mark.parametrize("outcome", [state for state in State if state.terminal and state is not State.ARCHIVED])
def test_taking_back_from_the_archive_what_had_ended_is_no_second_end(outcome: State) -> None:
    archived = detect(snapshot(outcome), snapshot(State.ARCHIVED))
    assert archived
    with_a_link = detect(snapshot(State.ARCHIVED), snapshot(State.ARCHIVED, links=(LINK,)), outcome=archived.outcome)
    assert with_a_link
    back = detect(snapshot(State.ARCHIVED), snapshot(outcome), outcome=with_a_link.outcome)
    assert back

    assert back.reasons == (Reason.UNARCHIVED,)
    assert detail_type(back.reasons) == "Job Updated"
    assert back.outcome is None


@pytest.mark.parametrize("outcome", [None, State.FAILED])
def test_another_outcome_than_before_the_archive_is_a_state_change(outcome: State | None) -> None:
    change = detect(snapshot(State.ARCHIVED), snapshot(State.SUCCEEDED), outcome=outcome)

    assert change
    assert change.reasons == (Reason.STATE_CHANGED,)


@pytest.mark.promise(6)
@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize(("after", "word"), [(State.UNKNOWN, None), (State.UNKNOWN, "new"), (State.HALTED, None)])
def test_an_answer_without_an_outcome_withholds_it_from_a_job_that_had_ended(
    before: State, after: State, word: str | None
) -> None:
    withheld = withholds_outcome(snapshot(before), snapshot(after, vendor_status=word))

    assert withheld == (before.terminal and before is not after)


def test_a_halt_for_an_unrecognised_reason_withholds_nothing() -> None:
    assert not withholds_outcome(snapshot(State.SUCCEEDED), snapshot(State.HALTED, vendor_status="new"))


def test_another_word_for_the_same_state_is_no_change() -> None:
    before, after = (snapshot(State.PENDING, vendor_status=word) for word in ("created", "queued"))

    assert why(before, after) == []


@pytest.mark.promise(6)
@pytest.mark.parametrize(("before", "after"), [("new", "newer"), (None, "new"), ("new", None), (None, "")])
def test_another_word_among_the_unknown_is_a_change(before: str | None, after: str | None) -> None:
    assert why(snapshot(State.UNKNOWN, vendor_status=before), snapshot(State.UNKNOWN, vendor_status=after)) == [
        "state_changed"
    ]


def test_a_new_link_is_told_once() -> None:
    assert why(snapshot(), snapshot(links=LINKS[:1])) == ["link_added"]
    assert why(snapshot(links=LINKS[:1]), snapshot(links=LINKS[:2])) == ["link_added"]
    assert why(snapshot(links=LINKS[:2]), snapshot(links=LINKS[1::-1])) == []
    assert why(snapshot(links=LINKS[:2]), snapshot()) == []


def test_the_same_address_for_something_else_is_a_new_link() -> None:
    assert why(snapshot(links=LINKS[:1]), snapshot(links=LINKS[2:])) == ["link_added"]


@pytest.mark.parametrize(("before", "after"), [(None, "boom"), ("boom", "bang"), ("boom", None)])
def test_another_error_is_a_change(before: str | None, after: str | None) -> None:
    assert why(snapshot(error=before), snapshot(error=after)) == ["error_changed"]


@pytest.mark.parametrize(
    ("before", "after", "told"), [(0, 9, False), (9, 10, True), (10, 19, False), (19, 20, True), (99, 100, True)]
)
def test_progress_is_told_by_whole_tenths(before: int, after: int, told: bool) -> None:
    assert why(done(before), done(after)) == (["progressed"] if told else [])


def test_failed_and_cancelled_parts_are_done_too() -> None:
    cancelled = snapshot(progress=Progress(total=10, succeeded=3, failed=3, cancelled=4))

    assert Fingerprint.of(cancelled).tenth == 10


def test_the_first_failure_is_told_and_no_later_one() -> None:
    assert why(done(50), done(50, failed=1)) == ["progressed"]
    assert why(done(50, failed=1), done(50, failed=9)) == []


@pytest.mark.parametrize("current", [done(10), done(50, total=1000), snapshot(progress=None), done(0, total=0)])
def test_progress_that_falls_is_no_change(current: Snapshot) -> None:
    assert why(done(50, failed=1), current) == []


def test_counting_on_after_a_fall_is_told_only_beyond_what_was_recorded() -> None:
    recorded = Fingerprint.of(done(50))
    fallen = Fingerprint.of(done(10)).since(recorded)

    assert fallen == recorded
    assert Fingerprint.of(done(59)).since(fallen) == recorded
    assert Fingerprint.of(done(60)).since(fallen) != recorded


def test_more_done_than_there_is_counts_as_all() -> None:
    assert Fingerprint.of(done(5000)).tenth == 10


def test_everything_at_once_is_told_at_once() -> None:
    after = snapshot(State.FAILED, error="boom", links=(LINK,), progress=Progress(total=2, failed=1))

    assert why(snapshot(), after) == ["state_changed", "link_added", "error_changed", "progressed"]


# Clocks

CLOCKS = ("created_at", "started_at", "updated_at", "finished_at")


@given(st.fixed_dictionaries(dict.fromkeys(CLOCKS, TIMES)), st.fixed_dictionaries(dict.fromkeys(CLOCKS, TIMES)))
def test_timestamps_alone_are_no_change(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert why(snapshot(**before), snapshot(**after)) == []


@pytest.mark.promise(8)
@pytest.mark.parametrize(
    "updated_at", ["2026-06-07T12:00:00Z", "2026-06-08T12:00:00Z", "2026-06-09T12:00:00Z", "rubbish", None]
)
def test_a_vendors_clock_never_hides_a_change(updated_at: str | None) -> None:
    before = snapshot(State.RUNNING, updated_at="2026-06-08T12:00:00Z")
    after = snapshot(State.FAILED, updated_at=updated_at)

    assert why(before, after) == ["state_changed"]


@pytest.mark.parametrize("field", ["name", "message"])
def test_another_name_or_message_is_no_change(field: str) -> None:
    assert why(snapshot(), snapshot().model_copy(update={field: "x"})) == []
