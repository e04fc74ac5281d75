"""The JSON shapes that the command line and the API share."""

from __future__ import annotations

from pollbridge.model.event import Job
from pollbridge.model.job import JobKey, Snapshot, State
from pollbridge.views import snapshot_json

KEY = JobKey("scale", "job", "a b", "1/2")


def test_a_job_is_told_as_in_its_events() -> None:
    told = snapshot_json(KEY, Snapshot(state=State.RUNNING, name="nightly"), {"team": "docs"})

    assert told["job"] == Job.of(KEY, "nightly", {"team": "docs"}).model_dump()


def test_a_job_that_nobody_answered_for_has_the_shape_of_others() -> None:
    unseen = snapshot_json(KEY, None, {})

    assert list(unseen) == list(snapshot_json(KEY, Snapshot(state=State.RUNNING), {}))
    assert unseen["job"]["key"] == str(KEY)
    assert unseen["state"] is None
    assert unseen["terminal"] is False
    assert unseen["links"] == []
