"""The calendar: every slot comes up, whatever minutes are missed; and when to look more seldom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollbridge.history.heads import DueRow
from pollbridge.model.cadence import BACKOFF, RUNGS, Slot, backoff, rung, slots_due
from pollbridge.model.change import Fingerprint
from pollbridge.model.instant import from_minute
from pollbridge.model.job import JobKey, State

NOW = datetime(2026, 6, 8, 12, 0, tzinfo=UTC)
FRESH, SETTLE = timedelta(minutes=15), timedelta(hours=24)
MINUTE = 29_682_000

keys = (
    st.text(min_size=1, max_size=20)
    .filter(lambda text: text not in {".", ".."})
    .map(lambda text: JobKey("oration", "job", "acme", text))
)
rungs = st.sampled_from(RUNGS)
minutes = st.integers(MINUTE, MINUTE + 10_000)


def policy(state: State | None, silence: timedelta) -> int | None:
    return rung(state, NOW - silence, NOW, fresh=FRESH, settle=SETTLE)


@pytest.mark.promise(12)
@given(rung=rungs, phase=st.integers(0, 14), start=minutes, steps=st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_every_slot_is_read_as_soon_as_a_sweep_comes_whatever_minutes_are_missed(
    rung: int, phase: int, start: int, steps: list[int]
) -> None:
    slot, completed = Slot("oration", rung, phase % rung), start
    for step in steps:
        until = completed + step
        was_due = slot.last_due(until) > completed

        assert (slot in set(slots_due("oration", completed, until))) is was_due
        completed = until


@given(minute=minutes, step=st.integers(1, 100))
def test_no_slot_is_read_twice_in_a_sweep(minute: int, step: int) -> None:
    due = list(slots_due("oration", minute, minute + step))

    assert len(due) == len(set(due)) <= sum(RUNGS)


def test_a_first_sweep_reads_the_whole_calendar() -> None:
    every = {Slot("oration", rung, phase) for rung in RUNGS for phase in range(rung)}

    assert set(slots_due("oration", None, MINUTE)) == every
    assert set(slots_due("oration", MINUTE, MINUTE + 15)) == every


@given(key=keys, rung=rungs, minute=minutes)
def test_a_slot_comes_up_once_in_its_rung(key: JobKey, rung: int, minute: int) -> None:
    slot = Slot.of(key, rung)

    due = [m for m in range(minute, minute + rung) if slot in slots_due("oration", m - 1, m)]

    assert due == [slot.last_due(minute + rung - 1)]


@given(key=keys, rung=rungs)
def test_a_slot_reads_back(key: JobKey, rung: int) -> None:
    assert Slot.read(str(Slot.of(key, rung))) == Slot.of(key, rung)


@pytest.mark.parametrize(
    "text", ["", "oration", "oration#0#3m#0", "oration#0#5m#5", "oration#1#5m#0", "oration#0#5m#-1"]
)
def test_what_is_no_slot_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"slot|unpack|int"):
        Slot.read(text)


def test_a_thousand_jobs_do_not_fall_due_at_once() -> None:
    phases = [Slot.of(JobKey("oration", "job", "acme", f"job-{n}"), 15).phase for n in range(1000)]

    assert all(30 < phases.count(phase) < 110 for phase in range(15))


@given(key=keys, minute=minutes, ticks=st.sampled_from(BACKOFF))
def test_a_job_put_off_falls_due_after_exactly_that_many_ticks(key: JobKey, minute: int, ticks: int) -> None:
    slot = Slot.at(key, minute, ticks)

    due = [m - minute for m in range(minute + 1, minute + 16) if slot in slots_due("oration", m - 1, m)]

    assert due[0] == ticks


def test_failures_back_off_to_fifteen_ticks_and_stay() -> None:
    assert [backoff(failures) for failures in range(1, 9)] == [1, 2, 4, 8, 15, 15, 15, 15]


@pytest.mark.parametrize("state", [None, State.PENDING, State.RUNNING, State.RETRYING, State.UNKNOWN])
@pytest.mark.parametrize(
    ("silence", "wanted"),
    [("0", 1), ("14.9", 1), ("15", 2), ("59.9", 2), ("60", 5), ("359.9", 5), ("360", 15), ("99999", 15)],
)
def test_the_longer_the_silence_the_slower_the_rung(state: State | None, silence: str, wanted: int) -> None:
    assert policy(state, timedelta(minutes=float(silence))) == wanted


@pytest.mark.parametrize("state", [state for state in State if state.terminal])
def test_a_job_that_ended_settles_and_is_followed_no_more(state: State) -> None:
    assert policy(state, timedelta(0)) == 15
    assert policy(state, SETTLE - timedelta(seconds=1)) == 15
    assert policy(state, SETTLE) is None


@given(state=st.sampled_from(State), minutes=st.floats(-1e6, 1e6))
def test_a_job_that_has_not_ended_is_always_looked_at(state: State, minutes: float) -> None:
    chosen = policy(state, timedelta(minutes=minutes))

    assert chosen in RUNGS or (chosen is None and state.terminal)


moments = st.integers(0, 4_000_000_000_000).map(
    lambda ms: datetime.fromtimestamp(ms // 1000, UTC) + timedelta(milliseconds=ms % 1000)
)
fingerprints = st.builds(
    Fingerprint,
    state=st.sampled_from(State),
    tenth=st.integers(0, 10),
    failing=st.booleans(),
    error=st.sampled_from(["", "0a1b"]),
    links=st.frozensets(st.sampled_from(["aa", "bb"])),
)
rows = st.builds(
    DueRow,
    version=st.integers(0, 10**9),
    since=moments,
    seen=st.none() | moments,
    entered=minutes,
    failures=st.integers(0, 5),
    body_hash=st.sampled_from(["", "89974d6fe2523d68"]),
    fingerprint=st.none() | fingerprints,
)


@given(row=rows)
def test_a_row_of_the_calendar_is_written_again_as_it_was_read(row: DueRow) -> None:
    """A move is conditional on the row's text: one that changed by being read could never move again."""
    read = DueRow.read(str(row))

    assert str(read) == str(row)
    assert read == row


@given(row=rows, rung=rungs, phase=st.integers(0, 14), completed=st.none() | minutes)
def test_nothing_is_vouched_for_beyond_the_completed_tick(
    row: DueRow, rung: int, phase: int, completed: int | None
) -> None:
    vouched = row.last_seen(Slot("oration", rung, phase % rung), completed)

    assert vouched == row.seen or (
        completed is not None and vouched is not None and vouched <= max(from_minute(completed), row.seen or vouched)
    )
    assert not row.failures or vouched == row.seen
