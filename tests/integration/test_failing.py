"""A job whose polls fail while others are answered: after the third in a row every reader says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pollbridge.cli import doctor, explain, main, read, waiting
from pollbridge.cli.clock import Clock
from pollbridge.cli.doctor.finding import Subject
from pollbridge.cli.doctor.history import HISTORY
from pollbridge.config import Connection
from pollbridge.model.job import JobKey
from pollbridge.polling.client import Refused
from pollbridge.vendors import mentionlab, mintlify, oration, scale
from tests.kit.asking import Asked
from tests.kit.explaining import JOB, KEY, Desk, opened, page, remark
from tests.kit.sweeping import UNLIMITED, Answer, Bench, in_memory, oration_body, oration_key

VENDORS = {each.name: each for each in (mentionlab.MENTIONLAB, mintlify.MINTLIFY, oration.ORATION, scale.SCALE)}
KINDS = [(name, kind) for name, vendor in VENDORS.items() for kind in vendor.kinds]
IDS = {"execution": "jobExecutionId", "agent-v1": "sessionId"}
NO_ID = "no answer for this job: no id in it"
ANSWERS: dict[str, tuple[Answer, str]] = {
    "400": (Refused(400), "HTTP 400"),
    "404": (Refused(404), "HTTP 404"),
    "500": (Refused(500), "HTTP 500"),
    "an error": ({"error": "no such workspace"}, NO_ID),
    "another job": (oration_body("other"), "no answer for this job: it is about another job"),
    "no object": (b"[]", "no answer for this job: Input should be an object"),
}

FOLLOWED = Subject("followed", "all well", lambda look: [q for q in HISTORY.questions(look) if q.check == "orphans"])
"""Without what is published: doctor goes by the wall clock, and the bench does not."""


def surrounded(bench: Bench, answer: Answer) -> Bench:
    """One job of three answers so; its polls fall into the first, the second and the fourth tick."""
    for name in ("well", "too"):
        bench.watch(oration_key(name), oration_body(name))
    bench.watch(KEY, answer)
    return bench


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A job that was answered once, and then failed three times; two others are answered."""
    with opened() as desk:
        for command in (read, waiting, doctor, explain):
            monkeypatch.setattr(command, "find", lambda: desk.deployment)
        monkeypatch.setattr(doctor, "SUBJECTS", (FOLLOWED,))
        surrounded(desk.bench, oration_body())
        desk.tick()
        desk.bench.answer(KEY, Refused(400))
        desk.tick(4)
        yield desk


def run(desk: Desk, *words: str, code: int = 0) -> Result:
    clock = Clock(now=lambda: 0.0, wall=lambda: desk.now)
    result = CliRunner().invoke(main, words, obj=clock)
    assert result.exit_code == code, result.output
    return result


def told(desk: Desk, *words: str, code: int = 0) -> Any:
    return json.loads(run(desk, *words, "--json", code=code).stdout)


def listed(desk: Desk) -> dict[str, Any]:
    return {each["job"]["id"]: each for each in told(desk, "jobs")}


# When a job is failing


@pytest.mark.parametrize("case", ANSWERS)
def test_a_job_is_failing_after_its_third_failed_poll_in_a_row_and_not_before(case: str) -> None:
    answer, error = ANSWERS[case]
    bench = surrounded(in_memory(), answer)

    bench.tick(3)
    assert (bench.head(KEY).failing, bench.head(KEY).poll_error) == (None, error)
    bench.tick()
    assert bench.head(KEY).failing == error


@pytest.mark.parametrize(("vendor", "kind"), KINDS)
def test_a_job_of_any_kind_is_failing_when_its_answers_say_nothing_of_it(vendor: str, kind: str) -> None:
    connection = Connection(type=vendor, base_url="https://v.test", secret="s", limits=UNLIMITED)
    bench = in_memory(name=vendor, connection=connection)
    said: dict[str, Answer] = {"bad": {"error": "quota"}}
    for name in ("bad", "well", "too"):
        bench.heads.follow(job := JobKey(vendor, kind, "p", name), {}, bench.now)
        well = dict.fromkeys(("id", "jobExecutionId", "sessionId"), name)
        bench.answers[VENDORS[vendor].kinds[kind].request(job).path] = partial(said.get, name, well)
    bench.tick(4)

    failing = {name: bench.head(JobKey(vendor, kind, "p", name)).failing for name in ("bad", "well")}
    assert failing == {"bad": NO_ID.replace(" id ", f" {IDS.get(kind, 'id')} "), "well": None}


def test_a_job_that_answers_again_is_not_failing(desk: Desk) -> None:
    assert desk.bench.head(KEY).failing == "HTTP 400"

    desk.bench.answer(KEY, oration_body())
    desk.tick(4)

    assert desk.bench.head(KEY).failing is None


def test_a_job_that_changes_after_failing_is_not_failing(desk: Desk) -> None:
    desk.bench.answer(KEY, oration_body(status="failed"))
    desk.tick(4)

    assert listed(desk)["j1"].items() >= {"state": "failed", "failing": None}.items()


def test_a_lost_job_is_lost_and_not_failing(desk: Desk) -> None:
    desk.bench.answer(KEY, Refused(404))
    desk.tick(60)

    assert listed(desk)["j1"].items() >= {"lost": True, "failing": None}.items()
    assert "running, lost " in run(desk, "jobs").stdout
    assert "lost     the vendor no longer knows the job\n" in run(desk, "show", JOB).stdout


def test_an_unwatched_job_is_not_failing(desk: Desk) -> None:
    desk.bench.heads.unfollow(KEY, desk.now)

    assert listed(desk)["j1"].items() >= {"watched": False, "failing": None}.items()
    assert told(desk, "show", JOB)["failing"] is None


def test_what_failed_before_somebody_watched_a_job_again_is_forgotten(desk: Desk) -> None:
    desk.bench.heads.unfollow(KEY, desk.now)
    desk.bench.heads.follow(KEY, {}, desk.now)
    desk.bench.answer(KEY, oration_body())
    desk.tick(4)

    assert told(desk, "explain", JOB)["polls"].items() >= {"failures": 0, "error": None}.items()
    assert "failed" not in run(desk, "show", JOB).stdout


# Who says so


def test_jobs_and_show_have_the_last_error_in_their_json(desk: Desk) -> None:
    assert {name: each["failing"] for name, each in listed(desk).items()} == {
        "j1": "HTTP 400",
        "well": None,
        "too": None,
    }
    assert told(desk, "show", JOB)["failing"] == "HTTP 400"
    assert told(desk, "show", JOB) == listed(desk)["j1"]


def test_jobs_marks_a_failing_job(desk: Desk) -> None:
    lines = {line.split()[-1]: line for line in run(desk, "jobs").stdout.splitlines()}

    assert lines[JOB].startswith("running, failing  ")
    assert lines[str(oration_key("well"))].startswith("running           ")


def test_a_failing_job_that_was_never_answered_is_marked_too() -> None:
    with opened() as desk, pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "find", lambda: desk.deployment)
        surrounded(desk.bench, Refused(400))
        desk.tick(4)

        assert "not seen yet, failing  " in run(desk, "jobs").stdout
        assert "failing  the last 3 polls failed, never answered: HTTP 400" in run(desk, "show", JOB).stdout


def test_jobs_looks_up_what_is_watched_only_and_all_of_that_at_once(desk: Desk) -> None:
    desk.bench.heads.unfollow(oration_key("too"), desk.now)
    desk.aws.calls.clear()

    run(desk, "jobs")

    [looked] = [call.arguments for call in desk.aws.calls if call.operation == "batch_get_item"]
    assert len(looked["RequestItems"]["history"]["Keys"]) == 2


def test_a_head_of_a_version_before_stays_as_the_index_has_it() -> None:
    bench = surrounded(in_memory(), oration_body())
    bench.tick()
    old = bench.head(KEY)
    bench.answer(KEY, oration_body(status="failed"))
    bench.tick()

    assert bench.heads.whole([old, old]) == [old, old]
    assert len(bench.aws.calls[-1].arguments["RequestItems"]["history"]["Keys"]) == 1


def test_show_says_how_many_polls_failed_since_when_and_how(desk: Desk) -> None:
    lines = dict(line.split(maxsplit=1) for line in run(desk, "show", JOB).stdout.splitlines())

    assert lines["failing"] == "the last 3 polls failed, last answered at 2026-06-08 12:01:00 UTC: HTTP 400"
    assert "last" not in lines


def test_of_many_failed_polls_it_is_said_that_they_are_not_counted(desk: Desk) -> None:
    desk.tick(120)

    assert "the last 5 or more polls failed, last answered at 2026-06-08 12:01:00 UTC" in run(desk, "show", JOB).stdout


def test_one_failed_poll_is_the_last_poll_and_no_failing(desk: Desk) -> None:
    desk.bench.answer(oration_key("well"), Refused(400))
    desk.tick()

    shown = run(desk, "show", str(oration_key("well"))).stdout
    assert "last poll  failed: HTTP 400" in shown
    assert "failing" not in shown


def test_wait_says_so_when_its_time_is_over(desk: Desk) -> None:
    result = run(desk, "wait", JOB, "--timeout", "0", code=waiting.TIMED_OUT)

    assert "failing  the last 3 polls failed" in result.stdout
    assert told(desk, "wait", JOB, "--timeout", "0", code=waiting.TIMED_OUT)["failing"] == "HTTP 400"


def test_explain_names_the_failing_polls_as_what_keeps_news_away(desk: Desk) -> None:
    found = told(desk, "explain", JOB)
    says = "the last 3 polls failed, last answered at 2026-06-08T12:01:00Z: HTTP 400"

    assert found["verdict"].endswith(f"Newer news may be missing: {says}.")
    assert (found["job"]["failing"], found["polls"]["failures"]) == ("HTTP 400", 3)
    assert remark(desk, "failing")["says"] == says
    assert remark(desk, "failing")["do"] == (
        "ask the vendor about this job; it expires at 2026-07-08T12:01:00Z (cadence.expire);"
        f" if you no longer need it: pollbridge unwatch {JOB}"
    )
    assert f"! {says[:22]}" in page(desk)


def test_explain_says_it_of_a_job_that_was_never_answered() -> None:
    with opened() as desk, pytest.MonkeyPatch.context() as patch:
        patch.setattr(explain, "find", lambda: desk.deployment)
        surrounded(desk.bench, {"error": "quota"})
        desk.tick(4)

        verdict = told(desk, "explain", JOB)["verdict"]

    assert verdict == f"There is nothing to hear of yet: the last 3 polls failed, never answered: {NO_ID}."


def test_an_ended_job_does_not_expire(desk: Desk) -> None:
    desk.bench.answer(KEY, oration_body(status="success"))
    desk.tick(4)
    desk.bench.answer(KEY, Refused(400))
    desk.tick(30)

    assert remark(desk, "failing")["do"].startswith("ask the vendor about this job; if you no longer need it:")


def test_the_api_says_what_the_commands_do(desk: Desk) -> None:
    ask = Asked(desk)

    [in_jobs] = [each for each in ask("GET", "/v1/jobs").json["items"] if each["job"]["id"] == "j1"]
    [in_watches] = [each for each in ask("GET", "/v1/watches").json["items"] if each["job"]["id"] == "j1"]

    assert in_jobs == in_watches == ask("GET", "/v1/job", key=JOB).json == told(desk, "show", JOB)


# What doctor says


def test_doctor_names_the_jobs_with_their_error_and_what_to_do(desk: Desk) -> None:
    [found] = [each for each in told(desk, "doctor") if each["check"] == "failing_polls"]

    assert (found["about"], found["level"]) == (f"job {JOB}", "warn")
    assert found["says"] == "three or more polls in a row failed: HTTP 400"
    assert "pollbridge explain KEY" in found["do"]


def test_doctor_names_some_of_many_and_counts_the_others(desk: Desk) -> None:
    for number in range(9):
        desk.bench.watch(oration_key(f"bad{number}"), Refused(400))
    desk.tick(4)

    found = [each for each in told(desk, "doctor") if each["check"] == "failing_polls"]

    assert [each["about"].split("/")[0] for each in found] == ["job oration"] * 5 + ["followed jobs"]
    assert found[-1]["says"] == "5 jobs more of which three or more polls in a row failed"
    assert "pollbridge jobs --limit 50000 --json | jq" in found[-1]["do"]


def test_doctor_has_nothing_to_say_where_all_are_answered(desk: Desk) -> None:
    desk.bench.answer(KEY, oration_body())
    desk.tick(4)

    assert [each["level"] for each in told(desk, "doctor") if each["check"] == "failing_polls"] == ["ok"]


def test_doctor_leaves_a_job_of_a_former_connection_to_another_check(desk: Desk) -> None:
    desk.vendors = {"scale": {"secret": "s"}}

    found = {each["check"]: each for each in told(desk, "doctor", code=1) if each["level"] == "bad"}

    assert found.keys() == {"orphans"}


def test_doctor_reads_the_calendar_once_and_a_head_for_each_that_it_names(desk: Desk) -> None:
    desk.aws.calls.clear()

    run(desk, "doctor")

    assert sorted(call.operation for call in desk.aws.calls) == ["get_item", "scan"]
