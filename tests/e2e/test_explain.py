"""`explain` tells what really happened in the deployed stack: looks, changes, rules, deliveries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import Local
from tests.kit.stranger import Reply

pytestmark = pytest.mark.e2e

LOOKS = 60
"""At the story, by a command each: what is waited for comes within a few."""


def _answers(local: Local, job: str, *statuses: str) -> str:
    """A job that answers these, one per tick. Returns its key."""
    local.stranger.scripts[f"/v2/jobs/{job}"] = [
        Reply.json(id=job, status=status, name="a job", error=None) for status in statuses
    ]
    key = f"acme/job/ws/{job}"
    local.run("watch", key, "--label", "for=other")
    return key


def _outcomes(story: Any) -> list[dict[str, str]]:
    """Of each change: destination → what became of it there."""
    return [{one["destination"]: one["outcome"] for one in change["destinations"]} for change in story["changes"]]


def _until(local: Local, key: str, wanted: Callable[[Any], bool]) -> Any:
    for _ in range(LOOKS):
        if wanted(story := local.json("explain", key)):
            return story
    raise TimeoutError(story)


def test_who_heard_and_who_did_not_and_why(local: Local) -> None:
    local.stranger.refusals["/hook"] = [500]
    key = _answers(local, "explained", "created", "success")
    local.run("local", "tick", "2")

    def settled(story: Any) -> bool:
        return not {"queued", "maybe_queued", "unpublished"} & {
            way for change in _outcomes(story) for way in change.values()
        }

    def heard(story: Any) -> bool:
        return [_outcomes(story)[-1][name] for name in ("chat", "other")] == ["delivered", "delivered"]

    story = _until(local, key, lambda story: len(story["changes"]) == 2 and settled(story) and heard(story))
    first, second = _outcomes(story)
    page = local.run("explain", key)

    assert (first["chat"], first["inside"]) == ("no_match", "no_match")
    assert second == {"hook": second["hook"], "chat": "delivered", "other": "delivered", "inside": "no_match"}
    assert {first["hook"], second["hook"]} <= {"pending", "delivered"}
    assert story["job"]["state"] == "succeeded"
    assert story["polls"]["last_look_at"] == story["changes"][-1]["observed_at"]
    assert "chat heard of v2 at" in story["verdict"] or "hook heard of v2 at" in story["verdict"]
    assert "no: match.detail_type" in " ".join(page.split()) or "no: match.labels.for wants nobody" in page
    assert max(len(line) for line in page.splitlines() if "pollbridge resend" not in line) <= 80


def test_what_a_disabled_destination_missed_is_told_with_the_way_back(local: Local) -> None:
    local.stranger.refusals["/other"] = [410]
    key = _answers(local, "missed", "created", "success")
    local.run("local", "tick")
    _until(local, key, lambda story: [way["other"] for way in _outcomes(story)] == ["failed"])
    local.run("local", "tick")
    story = _until(local, key, lambda story: [way["other"] for way in _outcomes(story)] == ["failed", "disabled"])
    [missed] = [one for one in story["changes"][-1]["destinations"] if one["destination"] == "other"]

    for command in missed["do"].split("; "):
        local.run(*command.split()[1:])
    _until(local, key, lambda story: _outcomes(story)[-1]["other"] == "delivered")


def test_a_job_that_nobody_registered_is_said_to_be_so(local: Local) -> None:
    assert "nobody registered it" in local.run("explain", "acme/job/ws/nobodys", code=1)
    assert "lists no jobs of the kind job" in local.run("explain", "acme/job/ws/nobodys", code=1, output=True)
