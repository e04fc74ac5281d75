"""Every cell of the table "their word → ours" (DESIGN, 4), written down a second time."""

import pytest

from pollbridge.model.job import State

from .answers import ABSENT, read, sample

pytestmark = pytest.mark.promise(6)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("pending", State.PENDING),
        ("processing", State.RUNNING),
        ("completed", State.SUCCEEDED),
        ("partial_failed", State.PARTIALLY_FAILED),
        ("failed", State.FAILED),
        ("success", State.UNKNOWN),
        ("retrying", State.UNKNOWN),
        ("cancelled", State.UNKNOWN),
        ("Completed", State.UNKNOWN),
        ("", State.UNKNOWN),
        (None, State.UNKNOWN),
        (ABSENT, State.UNKNOWN),
    ],
)
def test_a_mentionlab_job_stands_where_its_status_says(status: str | None, state: State) -> None:
    assert read("mentionlab-job", status=status).state is state


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("pending", State.PENDING),
        ("retrying", State.RETRYING),
        ("success", State.SUCCEEDED),
        ("failed", State.FAILED),
        ("completed", State.UNKNOWN),
        ("processing", State.UNKNOWN),
        ("partial_failed", State.UNKNOWN),
        ("", State.UNKNOWN),
        (None, State.UNKNOWN),
        (ABSENT, State.UNKNOWN),
    ],
)
def test_a_mentionlab_execution_stands_where_its_status_says(status: str | None, state: State) -> None:
    assert read("mentionlab-execution", status=status).state is state


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("created", State.PENDING),
        ("queued", State.PENDING),
        ("active", State.RUNNING),
        ("retrying", State.RETRYING),
        ("success", State.SUCCEEDED),
        ("failed", State.FAILED),
        ("completed", State.UNKNOWN),
        ("cancelled", State.UNKNOWN),
        ("", State.UNKNOWN),
        (None, State.UNKNOWN),
        (ABSENT, State.UNKNOWN),
    ],
)
def test_an_oration_job_stands_where_its_status_says(status: str | None, state: State) -> None:
    assert read("oration-job", status=status).state is state


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("pending", State.PENDING),
        ("running", State.RUNNING),
        ("succeeded", State.SUCCEEDED),
        ("partially_succeeded", State.PARTIALLY_FAILED),
        ("failed", State.FAILED),
        ("cancelled", State.CANCELLED),
        ("canceled", State.UNKNOWN),
        ("success", State.UNKNOWN),
        ("", State.UNKNOWN),
        (None, State.UNKNOWN),
        (ABSENT, State.UNKNOWN),
    ],
)
def test_a_scale_job_stands_where_its_status_says(status: str | None, state: State) -> None:
    assert read("scale-job", status=status).state is state


@pytest.mark.parametrize(
    ("haulted", "reason", "state"),
    [
        (False, ABSENT, State.RUNNING),
        (False, None, State.RUNNING),
        (ABSENT, ABSENT, State.RUNNING),
        (None, None, State.RUNNING),
        ("true", "completed", State.RUNNING),
        (1, "completed", State.RUNNING),
        (False, "completed", State.RUNNING),
        (ABSENT, "error", State.RUNNING),
        (False, "processing", State.RUNNING),
        (True, "processing", State.RUNNING),
        (ABSENT, "processing", State.RUNNING),
        (True, "completed", State.SUCCEEDED),
        (True, "error", State.FAILED),
        (True, "github_missconfigured", State.FAILED),
        (True, "github_misconfigured", State.HALTED),
        (True, "interrupted", State.CANCELLED),
        (True, "out_of_credits", State.HALTED),
        (True, "", State.HALTED),
        (True, None, State.HALTED),
        (True, ABSENT, State.HALTED),
    ],
)
def test_a_mintlify_v1_job_stands_where_haulted_and_its_reason_say(
    haulted: bool | None, reason: str | None, state: State
) -> None:
    assert read("mintlify-agent-v1", haulted=haulted, haultReason=reason).state is state


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("active", State.RUNNING),
        ("completed", State.SUCCEEDED),
        ("failed", State.FAILED),
        ("archived", State.ARCHIVED),
        ("interrupted", State.UNKNOWN),
        ("error", State.UNKNOWN),
        ("", State.UNKNOWN),
        (None, State.UNKNOWN),
        (ABSENT, State.UNKNOWN),
    ],
)
def test_a_mintlify_v2_job_stands_where_its_status_says(status: str | None, state: State) -> None:
    assert read("mintlify-agent-v2", status=status).state is state


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("mentionlab-job", "status"),
        ("mentionlab-execution", "status"),
        ("oration-job", "status"),
        ("scale-job", "status"),
        ("mintlify-agent-v1", "haultReason"),
        ("mintlify-agent-v2", "status"),
    ],
)
@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("Brand New!", "Brand New!"),
        (None, None),
        (ABSENT, None),
        (7, "7"),
        (False, "false"),
        ({"code": "x"}, '{"code":"x"}'),
        (["a"], '["a"]'),
    ],
)
def test_the_vendors_word_is_kept_verbatim(kind: str, field: str, told: object, kept: str | None) -> None:
    snapshot = read(kind, **{field: told})

    assert snapshot.vendor_status == kept
    assert snapshot.state in {State.UNKNOWN, State.HALTED}


def test_the_documented_execution_has_no_status_and_so_no_outcome() -> None:
    documented = sample("mentionlab-execution-as-documented")
    snapshot = read("mentionlab-execution", **documented, status=ABSENT)

    assert "status" not in documented
    assert (snapshot.state, snapshot.vendor_status) == (State.UNKNOWN, None)


@pytest.mark.parametrize(
    ("state", "terminal"),
    [
        (State.PENDING, False),
        (State.RUNNING, False),
        (State.RETRYING, False),
        (State.UNKNOWN, False),
        (State.SUCCEEDED, True),
        (State.PARTIALLY_FAILED, True),
        (State.FAILED, True),
        (State.CANCELLED, True),
        (State.HALTED, True),
        (State.ARCHIVED, True),
    ],
)
def test_a_state_is_terminal_or_not(state: State, terminal: bool) -> None:
    assert state.terminal is terminal
