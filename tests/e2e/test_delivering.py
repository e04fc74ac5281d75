"""Receivers that fail, hang, and want no more, in the really deployed stack."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Local
from tests.kit.stranger import Post, Reply

pytestmark = pytest.mark.e2e

LOOKS = 60
"""At the ledger, by a command each: what is waited for comes within a few."""


def _oration(job: str, status: str) -> Reply:
    return Reply.json(id=job, status=status, name="a job", error=None)


def _until(ask: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    for _ in range(LOOKS):
        if wanted(told := ask()):
            return told
    raise TimeoutError(told)


def _ids(posts: list[Post]) -> list[str]:
    return [post.headers["webhook-id"] for post in posts]


@pytest.mark.promise(36)
@pytest.mark.promise(37)
@pytest.mark.promise(38)
def test_a_receiver_that_is_gone_is_disabled_told_of_and_given_what_it_missed_once_it_is_back(local: Local) -> None:
    key = "acme/job/ws/gone"
    local.stranger.refusals["/other"] = [410]
    local.stranger.scripts["/v2/jobs/gone"] = [_oration("gone", status) for status in ("created", "active", "success")]
    before = len(local.stranger.to("/slack"))
    local.run("watch", key, "--label", "for=other")
    local.run("local", "tick")
    told = local.stranger.wait_for("/slack", before + 1)[before:]
    local.run("local", "tick", "2")

    def delivered() -> list[dict[str, Any]]:
        return local.json("deliveries", "--job", key, "--to", "other")

    ended = _until(delivered, lambda found: len(found) == 3 and all(d["status"] != "pending" for d in found))
    refused = local.run("resend", ended[0]["event_id"], "--to", "other", code=1)
    sick = [finding for finding in json.loads(local.run("doctor", "--json", code=1, output=True)) if not finding["ok"]]
    local.run("enable", "other")
    recovered = local.json("recover", "--to", "other", "--since", "1d")
    posts = local.stranger.wait_for("/other", 3)
    healed = _until(delivered, lambda found: {d["status"] for d in found} == {"delivered"})

    assert "other" in json.loads(told[0].body)["text"]
    assert [(d["version"], d["status"]) for d in ended] == [(3, "disabled"), (2, "disabled"), (1, "failed")]
    assert "pollbridge enable other" in refused
    found = {finding["check"]: finding["says"] for finding in sick if finding["about"] == "destination other"}
    assert "HTTP 410" in found["disabled"]
    assert found["dead_letters"] == "1 dead letter"
    assert recovered["sent"] == {"failed": 1, "disabled": 2}
    assert recovered["dead_letters"] == 1
    assert set(_ids(posts)) == {d["event_id"] for d in ended}
    assert [len(d["attempts"]) for d in healed] == [1, 1, 2]


@pytest.mark.promise(39)
def test_a_receiver_that_hangs_slows_no_other(local: Local) -> None:
    hold = local.stranger.held["/other"] = threading.Event()
    key = "acme/job/ws/hangs"
    local.stranger.scripts["/v2/jobs/hangs"] = [_oration("hangs", status) for status in ("created", "active", "failed")]
    try:
        hooks, slacks = len(local.stranger.to("/hook")), len(local.stranger.to("/slack"))
        others = len(local.stranger.to("/other"))
        local.run("watch", key, "--label", "for=other")
        local.run("local", "tick", "3")
        local.stranger.wait_for("/hook", hooks + 3)
        local.stranger.wait_for("/slack", slacks + 1)

        assert len(local.stranger.to("/other")) == others
    finally:
        hold.set()
        del local.stranger.held["/other"]


def test_what_one_sweep_has_much_news_of_is_one_message(local: Local, tmp_path: Path) -> None:
    jobs = [f"burst-{number}" for number in range(25)]
    local.stranger.scripts |= {f"/v2/jobs/{job}": [_oration(job, "failed")] for job in jobs}
    keys = tmp_path / "keys.txt"
    keys.write_text("\n".join(f"acme/job/ws/{job}" for job in jobs), "utf-8")
    before = len(local.stranger.to("/slack"))
    local.run("watch", "--file", str(keys))
    local.run("local", "tick")

    def told() -> list[dict[str, Any]]:
        found = local.json("deliveries", "--to", "chat", "--limit", "100")
        return [d for d in found if "/burst-" in (d["job_key"] or "")]

    done = _until(told, lambda found: [d["status"] for d in found] == ["delivered"] * 25)

    assert len({d["attempts"][0]["at"] for d in done}) == 1
    [post] = local.stranger.to("/slack")[before:]
    assert "25" in json.loads(post.body)["text"]


@pytest.mark.promise(43)
def test_an_address_inside_is_never_reached_without_leave(local: Local) -> None:
    refused = local.run("test-notify", "inside", code=1)

    assert "not public" in refused
    assert local.stranger.to("/inside") == []
