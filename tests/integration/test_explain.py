"""`explain` says why somebody heard of a job, or didn't, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pollbridge.history.destinations import Destinations
from pollbridge.history.discoveries import Discoveries, Discovery
from pollbridge.history.ledger import KEEP, Ledger, Status
from pollbridge.history.publication import Publication
from pollbridge.model.instant import MINUTE, epoch_minute, iso, read_iso
from pollbridge.model.job import JobKey
from pollbridge.notifying.notice import DeliveryError, Notice, Receipt, Treatment
from pollbridge.notifying.worker import LEASE
from pollbridge.polling.client import Refused, Throttled
from pollbridge.publishing import auditor
from pollbridge.secrets import UnusableSecret
from pollbridge.story import job as story
from tests.kit.explaining import JOB, KEY, Desk, last, opened, page, remark, resend, run, told
from tests.kit.offices import breaking, closing, refusing, taking
from tests.kit.sweeping import START, oration_body, oration_key


@pytest.fixture
def desk() -> Iterator[Desk]:
    with opened() as desk:
        yield desk


# Who heard


def test_who_heard_is_told_with_the_time(desk: Desk) -> None:
    desk.watch("active")
    desk.tell("service", "team")

    found = last(desk)

    assert (found["outcome"], found["heard"], found["heard_at"]) == ("delivered", True, iso(desk.now))
    assert found["says"].startswith("took it: HTTP 200 after ")
    assert found["do"] is None
    assert told(desk)["verdict"] == f"team heard of v1 at {iso(desk.now)}, service at {iso(desk.now)}."


def test_who_heard_at_a_later_attempt_is_told_with_all_of_them(desk: Desk) -> None:
    desk.watch("active")
    desk.does["service"] = breaking
    desk.publish("service")
    desk.work("service")
    del desk.does["service"]
    desk.later(minutes=10)
    desk.route(desk.bench.history(KEY)[0], "service")
    desk.work("service")

    found = last(desk)

    assert found["says"].endswith("at attempt 2")
    assert [attempt["outcome"] for attempt in found["attempts"]] == ["HTTP 500", "delivered"]
    assert "HTTP 500, after" in page(desk)


def test_who_heard_and_is_no_longer_configured_is_told_too(desk: Desk) -> None:
    desk.watch("active")
    desk.tell("service")
    desk.destinations = {"team": desk.destinations["team"]}

    found = last(desk)

    assert (found["outcome"], found["type"], found["match"]) == ("delivered", None, None)
    assert "(no longer configured)" in page(desk)


# It was heard, and sent again


def heard(desk: Desk) -> tuple[str, str]:
    """One change that `service` took: when, and when it would be sent again."""
    desk.watch("active")
    desk.tell("service")
    return iso(desk.now), iso(desk.now + timedelta(minutes=20))


def test_what_was_heard_is_heard_while_it_waits_to_be_taken_again(desk: Desk) -> None:
    first, then = heard(desk)
    desk.again()

    found = last(desk)

    assert (found["outcome"], found["heard"], found["heard_at"]) == ("delivered", True, first)
    assert found["says"].startswith("took it: HTTP 200 after ")
    assert found["says"].endswith(f" ms; resent at {then}, not yet taken again")
    assert f"service at {first}" in told(desk)["verdict"] or f"heard of v1 at {first}" in told(desk)["verdict"]
    assert "✓ service" in page(desk)


def test_what_was_heard_again_was_heard_at_the_first_time(desk: Desk) -> None:
    first, then = heard(desk)
    desk.again(taking)

    found = last(desk)

    assert (found["heard_at"], found["do"]) == (first, None)
    assert found["says"].endswith(f" ms; again at {then} when it was resent")
    desk.again(taking)
    assert f"again 2 times, the last at {iso(desk.now)}, when it was resent" in last(desk)["says"]


def test_what_was_heard_is_heard_though_a_resend_failed(desk: Desk) -> None:
    first, _ = heard(desk)
    desk.again(refusing)
    [entry] = desk.bench.history(KEY)

    found = last(desk)

    assert (found["outcome"], found["heard"], found["heard_at"]) == ("delivered", True, first)
    assert found["says"].endswith(" ms; resent since, and that failed: HTTP 400 (1 attempt)")
    assert found["do"] == f"once it is mended: {resend(entry)}"
    assert f"heard of v1 at {first}" in told(desk)["verdict"]
    assert resend(entry) in page(desk)


def test_what_was_heard_is_heard_while_a_resend_is_tried_again(desk: Desk) -> None:
    first, _ = heard(desk)
    desk.again(breaking)

    found = last(desk)

    assert (found["heard_at"], len(found["attempts"])) == (first, 2)
    again = found["next_attempt_at"]
    assert found["says"].endswith(f"; resent since, not yet taken again: HTTP 500, tried again at {again}")


def test_what_was_heard_is_heard_though_its_destination_is_disabled_since(desk: Desk) -> None:
    first, _ = heard(desk)
    desk.disable()
    desk.again(taking)

    found = last(desk)

    assert (found["outcome"], found["heard_at"]) == ("delivered", first)
    assert "; resent since, and that was not attempted: the destination is disabled since" in found["says"]


def test_an_earlier_change_that_was_heard_and_failed_again_is_not_missing(desk: Desk) -> None:
    heard(desk)
    desk.again(refusing)
    del desk.does["service"]
    desk.watch("failed")
    desk.tell("service")

    assert "is not with" not in told(desk)["verdict"]


# The job is not known


def test_a_text_that_is_no_key_is_refused_in_the_usual_line(desk: Desk) -> None:
    for wrong, why in [("j1", "is no job key"), ("nobody/job/p/1", "no connection"), ("oration/x/p/1", "no kind")]:
        result = run(desk, wrong)

        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
        assert why in result.stderr


def test_nobody_registered_it(desk: Desk) -> None:
    result = run(desk, JOB)

    assert result.exit_code == 1
    assert result.stderr == f"pollbridge: {JOB} is not known here: nobody registered it, and no list has shown it.\n"
    assert f"pollbridge watch {JOB}" in result.stdout
    assert told(desk, code=1).items() >= {"known": False, "job": None, "polls": None, "changes": []}.items()


def test_its_kind_is_in_no_list(desk: Desk) -> None:
    assert "oration lists no jobs" in remark(desk, "not_listed", code=1)["says"]


LISTED = {"scale": {"secret": "s", "scopes": ["p"]}}


def test_its_scope_is_not_among_those_that_are_read(desk: Desk) -> None:
    desk.vendors = LISTED

    found = remark(desk, "scope", "scale/job/other/1", code=1)

    assert found["says"] == "the lists of its scope are not read: it reads p"
    assert found["do"] == 'add "other" to scopes in [vendors.scale] and deploy'


def test_the_list_of_its_scope_was_not_read_yet(desk: Desk) -> None:
    desk.vendors = LISTED

    assert "was not read yet" in remark(desk, "list_unread", "scale/job/p/1", code=1)["says"]


def test_the_first_reading_of_its_scope_is_not_at_its_end(desk: Desk) -> None:
    desk.vendors = LISTED
    Discoveries(desk.table).save("scale", "p", None, Discovery())

    assert "not at its end" in remark(desk, "list_unfinished", "scale/job/p/1", code=1)["says"]


def test_the_list_of_its_scope_has_not_shown_it(desk: Desk) -> None:
    desk.vendors = LISTED
    Discoveries(desk.table).save("scale", "p", None, Discovery(baseline_done=True, full_at=epoch_minute(START)))

    found = remark(desk, "list_read", "scale/job/p/1", code=1)

    assert f"last to its end at {iso(START)}, and has not shown it" in found["says"]


def test_the_request_to_watch_it_may_have_been_refused(desk: Desk) -> None:
    queue = desk.sqs.create_queue(QueueName="refused")["QueueUrl"]
    desk.more = {"failures": {"registrar": queue}}
    desk.sqs.send_message(QueueUrl=queue, MessageBody="{}")

    found = remark(desk, "refused", code=1)

    assert "a request to watch a job lies among what the registrar could not follow" in found["says"]


def test_a_job_of_that_id_is_known_elsewhere(desk: Desk) -> None:
    desk.vendors = {"scale": {"secret": "s", "scopes": ["p", "q"]}}
    there = JobKey("scale", "job", "q", "7")
    desk.bench.heads.follow(there, {}, START)

    found = told(desk, "scale/job/p/7", code=1)

    assert found["like"] == [str(there)]
    assert remark(desk, "like", "scale/job/p/7", code=1)["do"] == f"pollbridge explain {there}"


# Nobody could see it


def test_it_was_not_polled_yet(desk: Desk) -> None:
    desk.tick()
    desk.bench.heads.follow(KEY, {}, desk.now)

    assert "not been asked for it yet" in remark(desk, "unseen")["says"]
    assert told(desk)["verdict"].startswith("There is nothing to hear of yet: the vendor has not been asked")


def test_its_connection_is_no_longer_configured(desk: Desk) -> None:
    desk.watch("active", "failed")
    desk.tell("service")
    desk.vendors = LISTED

    found = told(desk)

    assert found["remarks"] == [
        {
            "about": "unconfigured",
            "says": "oration is no longer configured, so nobody looks at the job",
            "do": f"configure oration again and deploy; to let the job go: pollbridge unwatch {JOB}",
        }
    ]
    assert [change["destinations"][0]["heard"] for change in found["changes"]] == [False, False]
    assert last(desk)["heard"] is True
    assert found["polls"].items() >= {"every_minutes": None, "next_due_at": None, "listed": False}.items()
    assert "Nothing newer is told: oration is no longer configured" in found["verdict"]
    assert "watched yes, but nobody looks;" in page(desk)


def test_its_connection_is_no_longer_configured_and_somebody_unwatched_it(desk: Desk) -> None:
    desk.watch("active")
    desk.bench.heads.unfollow(KEY, desk.now)
    desk.vendors = LISTED

    remarks = told(desk)["remarks"]

    assert [each["about"] for each in remarks] == ["unconfigured", "unwatched"]
    assert remarks[0]["do"] == "configure oration again and deploy"


def test_its_connection_has_become_one_without_its_kind(desk: Desk) -> None:
    desk.watch("active")
    desk.vendors = {"oration": {"type": "mintlify", "secret": "s"}}

    says = remark(desk, "unconfigured")["says"]

    assert says == "oration is of the type mintlify now, which has no kind job, so nobody looks at the job"


def test_its_polls_fail(desk: Desk) -> None:
    desk.bench.watch(oration_key("well"), oration_body("well"))
    desk.watch("active", Refused(400), Refused(400))

    found = remark(desk, "poll_failed")

    assert found["says"] == "its last poll failed, 2 times in a row: HTTP 400"
    assert told(desk)["polls"].items() >= {"failures": 2, "error": "HTTP 400"}.items()
    assert "Newer news may be missing: its last poll failed" in told(desk)["verdict"]


def test_its_vendor_is_unreachable(desk: Desk) -> None:
    desk.watch("active", Refused(503), Refused(503), Refused(503))

    found = remark(desk, "unreachable")

    assert found["says"] == f"oration brings no answers since {iso(START + 2 * MINUTE)}: HTTP 503"
    assert "Newer news may be missing: oration brings no answers" in told(desk)["verdict"]


@pytest.mark.parametrize(("status", "about"), [(401, "unauthorized"), (403, "forbidden")])
def test_its_scope_is_refused(desk: Desk, status: int, about: str) -> None:
    desk.vendors = {"oration": {"secret": "s", "scope_secrets": {"acme": "of-acme"}}}
    desk.watch("active", Refused(status))

    found = remark(desk, about)

    assert found["says"].startswith("scope acme of oration ")
    assert found["says"].endswith(f"HTTP {status}")
    assert found["do"].endswith("pollbridge secret set of-acme")


def test_its_secret_is_missing(desk: Desk) -> None:
    desk.watch("active")

    def missing(_: str) -> dict[str, str]:
        raise UnusableSecret("secret s is missing")

    desk.bench.headers = missing
    desk.tick(3)

    assert remark(desk, "no_credentials")["do"] == "pollbridge secret set s"


def test_its_vendor_asked_to_be_left_alone(desk: Desk) -> None:
    desk.watch("active", Throttled(timedelta(minutes=20)))

    found = remark(desk, "waits")

    assert f"until {iso(START + 22 * MINUTE)}" in found["says"]


def test_no_tick_ever_began(desk: Desk) -> None:
    desk.bench.heads.follow(KEY, {}, START)

    assert remark(desk, "stopped")["says"] == "no tick of oration has ever begun, so nobody has looked"


def test_the_ticks_have_stopped(desk: Desk) -> None:
    desk.watch("active")
    desk.later(minutes=6)

    found = remark(desk, "stopped")

    assert f"has begun since {iso(START + MINUTE)}" in found["says"]
    assert "pollbridge doctor" in found["do"]
    assert "Newer news may be missing: no tick of oration" in told(desk)["verdict"]


def test_ticks_begin_and_are_not_completed(desk: Desk) -> None:
    desk.watch("active")
    desk.bench.time_left = lambda: 0.0
    desk.tick(20)

    assert f"is completed since {iso(START + MINUTE)}" in remark(desk, "behind")["says"]


def test_ticks_begin_and_none_was_ever_completed(desk: Desk) -> None:
    desk.bench.heads.follow(KEY, {}, desk.now)
    desk.bench.time_left = lambda: 0.0
    desk.tick(20)

    says = "no tick of oration was ever completed: its sweeps don't get through"
    assert remark(desk, "behind")["says"] == says
    assert told(desk)["verdict"] == f"There is nothing to hear of yet: {says}."
    assert remark(desk, "unseen")["says"] == "the vendor has not been asked for it yet"


def test_a_vendor_that_was_down_since_the_deploy_is_unreachable(desk: Desk) -> None:
    desk.bench.watch(KEY, Refused(503))
    desk.tick(600)

    says = f"oration brings no answers since {iso(START + MINUTE)}: HTTP 503"
    assert [each["about"] for each in told(desk)["remarks"]] == ["unreachable"]
    assert told(desk)["verdict"] == f"There is nothing to hear of yet: {says}."


def test_ticks_made_by_hand_that_are_not_completed_are_told(desk: Desk) -> None:
    desk.more = {"scheduled": False}
    desk.watch("active")
    desk.bench.time_left = lambda: 0.0
    desk.tick(20)

    assert f"is completed since {iso(START + MINUTE)}" in remark(desk, "behind")["says"]


def test_ticks_made_by_hand_are_never_late(desk: Desk) -> None:
    desk.more = {"scheduled": False}
    desk.watch("active")
    desk.later(days=1)

    assert told(desk)["remarks"] == []
    assert "made by hand" in page(desk)


def test_somebody_unwatched_it(desk: Desk) -> None:
    desk.watch("active")
    desk.bench.heads.unfollow(KEY, desk.now)

    found = remark(desk, "unwatched")

    assert (found["says"], found["do"]) == (f"somebody unwatched it at {iso(desk.now)}", f"pollbridge watch {JOB}")
    assert told(desk)["job"]["watched"] is False
    assert "Nothing newer is told: somebody unwatched it" in told(desk)["verdict"]


def test_it_ended_a_day_ago_and_nobody_looks_any_more(desk: Desk) -> None:
    desk.watch("success")
    desk.bench.miss(24 * 60)
    desk.tick(15)

    assert "it ended, and was looked at for 1 day (cadence.settle)" in remark(desk, "settled")["says"]
    assert "settle" not in told(desk)["verdict"]


def test_it_said_nothing_new_for_so_long_that_it_is_followed_no_more(desk: Desk) -> None:
    desk.watch("active")
    desk.bench.miss(30 * 24 * 60)
    desk.tick(15)

    assert "nothing new came for 30 days (cadence.expire)" in remark(desk, "expired")["says"]


def test_its_vendor_does_not_know_it_any_more(desk: Desk) -> None:
    desk.bench.watch(oration_key("well"), oration_body("well"))
    desk.watch("active", Refused(404))
    desk.tick(15)

    assert "three times it answered 404" in remark(desk, "lost")["says"]


# It was seen, and nobody was told


def test_it_was_found_in_a_first_reading_which_tells_nobody(desk: Desk) -> None:
    desk.find(told=False)

    [change] = told(desk)["changes"]

    assert (change["silent"], change["published"]) == (True, False)
    assert change["remark"]["do"] == f"to have it announced: pollbridge watch {JOB}"
    assert {each["outcome"] for each in change["destinations"]} == {"silent"}
    assert told(desk)["job"].items() >= {"found": True, "silent": True}.items()
    why = "it was there when its scope's list was read for the first time"
    assert told(desk)["verdict"] == f"Nobody was told of v1: {why}."


def test_that_it_was_found_in_a_list_and_told_is_said(desk: Desk) -> None:
    desk.find(told=True)
    desk.tell("service")

    assert told(desk)["job"].items() >= {"found": True, "silent": False}.items()
    assert last(desk)["heard"] is True
    assert "found in its scope's list at 12:01:00 UTC" in page(desk)


def test_it_is_not_on_the_bus_yet(desk: Desk) -> None:
    desk.watch("active")

    change = told(desk)["changes"][0]

    assert change["published"] is False
    assert "the publisher takes seconds" in change["remark"]["says"]
    assert last(desk)["outcome"] == "unpublished"


def test_it_is_not_on_the_bus_for_long(desk: Desk) -> None:
    desk.watch("active")
    desk.bench.tick(20)
    desk.now = desk.bench.now

    found = told(desk)

    assert found["changes"][0]["remark"]["says"] == f"not on the bus since {iso(START + MINUTE)}"
    assert "the auditor publishes it" in found["changes"][0]["remark"]["do"]
    assert found["verdict"] == f"Nobody has heard of v1: not on the bus since {iso(START + MINUTE)}."


def test_the_auditor_has_given_it_up(desk: Desk) -> None:
    desk.watch("active")
    for _ in range(auditor.TRIES):
        Publication(desk.table).count_try(desk.bench.history(KEY)[0])

    found = told(desk)["changes"][0]["remark"]

    assert (found["about"], "5 times and gave up" in found["says"]) == ("poison", True)


def test_what_arrived_was_on_the_bus_whatever_its_mark_says(desk: Desk) -> None:
    desk.watch("active")
    desk.route(desk.bench.history(KEY)[0], "service")
    desk.work("service")

    assert told(desk)["changes"][0]["remark"] is None
    assert last(desk)["outcome"] == "delivered"


def test_it_reckons_with_the_auditor_as_it_is() -> None:
    assert (story.AUDITED, story.POISON) == (auditor.GRACE, auditor.TRIES)


# Its rule keeps it out


def matching(**match: Any) -> dict[str, dict[str, Any]]:
    return {"service": {"type": "webhook", "secret": "w", "match": match}}


@pytest.mark.parametrize(
    ("match", "key", "says"),
    [
        (
            {"state": ["succeeded"], "detail_type": ["Job First Seen"]},
            "state",
            "no: match.state wants succeeded, and it is running",
        ),
        ({}, "detail_type", "no: Job First Seen is told only where match.detail_type asks for it"),
        (
            {"detail_type": ["Job Lost"]},
            "detail_type",
            "no: match.detail_type wants Job Lost, and it is Job First Seen",
        ),
        (
            {"labels": {"team": ["docs"]}, "detail_type": ["Job First Seen"]},
            "labels.team",
            "no: match.labels.team wants docs, and it has none",
        ),
        (
            {"scope": ["other"], "detail_type": ["Job First Seen"]},
            "scope",
            "no: match.scope wants other, and it is acme",
        ),
        (
            {"pattern": {"detail": {"version": [{"numeric": [">", 1]}]}}},
            "pattern",
            'no: match.pattern: version is 1; wanted {"numeric": [">", 1]}',
        ),
    ],
    ids=["state", "by default", "detail_type", "label", "scope", "pattern"],
)
def test_a_key_of_its_match_keeps_it_out(desk: Desk, match: dict[str, Any], key: str, says: str) -> None:
    desk.destinations = matching(**match)
    desk.watch("active")
    [entry] = desk.publish()

    found = last(desk)

    assert (found["outcome"], found["match"]["key"], found["says"]) == ("no_match", key, says)
    assert f"change match.{key} in [destinations.service.match]" in found["do"]
    assert resend(entry) in found["do"]
    assert resend(entry) in run(desk).stdout


def test_an_update_without_a_link_is_kept_out_by_default(desk: Desk) -> None:
    desk.destinations = matching()
    desk.bench.watch(KEY, oration_body(error=None), oration_body(error="one"))
    desk.tick(2)
    desk.publish()

    found = last(desk)

    assert found["match"]["key"] == "reasons"
    assert "an update without a new link is told only where" in found["says"]


def test_its_destination_is_switched_off(desk: Desk) -> None:
    desk.destinations = {"service": {"type": "webhook", "secret": "w", "enabled": False}}
    desk.watch("active")
    desk.publish()

    found = last(desk)

    assert (found["outcome"], found["match"]["key"]) == ("off", "enabled")
    assert "set enabled = true in [destinations.service]" in found["do"]


def test_no_destination_is_configured(desk: Desk) -> None:
    desk.destinations = {}
    desk.watch("active")
    desk.publish()

    assert told(desk)["verdict"] == "Nobody heard of v1: no destination is configured."


def test_what_a_rule_keeps_out_today_and_was_delivered_is_delivered(desk: Desk) -> None:
    desk.watch("active")
    desk.tell("service")
    desk.destinations = matching(state=["failed"])

    found = last(desk)

    assert (found["outcome"], found["match"]["matches"]) == ("delivered", False)


def test_what_its_queue_may_hold_since_before_its_rule_changed_is_not_said_to_be_kept_out(desk: Desk) -> None:
    desk.watch("active")
    [entry] = desk.publish("service")
    desk.destinations = matching(state=["failed"], detail_type=["Job First Seen"])

    found = last(desk)

    assert (found["outcome"], found["heard"], found["match"]["key"]) == ("maybe_queued", False, "state")
    assert found["says"] == (
        "today match.state wants failed, and it is running; if it was let in before the rule changed, it may still be"
        " in its queue (about 1 message there)"
    )
    assert found["do"].startswith("if it was kept out: change match.state in")
    assert found["do"].endswith(resend(entry))
    assert "service did not so far: match.state wants failed" in told(desk)["verdict"]
    assert "? service" in page(desk)


def test_what_its_queue_may_hold_since_before_it_was_switched_off_is_not_said_to_be_kept_out(desk: Desk) -> None:
    desk.watch("active")
    desk.publish("service")
    desk.destinations = {"service": {"type": "webhook", "secret": "w", "enabled": False}}

    found = last(desk)

    assert found["outcome"] == "maybe_queued"
    assert found["says"].startswith("today enabled = false; if it was let in before")


@pytest.mark.parametrize(("minutes", "outcome"), [(-11, "no_match"), (-9, "maybe_queued"), (1, "maybe_queued")])
def test_what_came_since_the_last_deploy_came_by_todays_rule(desk: Desk, minutes: int, outcome: str) -> None:
    desk.watch("active")
    [entry] = desk.publish("service")
    desk.destinations = matching(state=["failed"])
    desk.deployed_at = read_iso(entry.observed_at) + timedelta(minutes=minutes)

    assert last(desk)["outcome"] == outcome


def test_a_queue_that_holds_only_what_is_on_record_hides_nothing_that_a_rule_keeps_out(desk: Desk) -> None:
    desk.destinations = matching(detail_type=["Job State Changed"])
    desk.watch("created", "active")
    desk.does["service"] = breaking
    _, second = desk.publish()
    desk.route(second, "service")
    desk.work("service")

    outcomes = [change["destinations"][0]["outcome"] for change in told(desk)["changes"]]

    assert outcomes == ["no_match", "pending"]
    assert told(desk, JOB, "--version", "1")["changes"][0]["destinations"][0]["outcome"] == "no_match"


def test_what_is_older_than_any_message_is_kept_out_whatever_its_queue_holds(desk: Desk) -> None:
    desk.watch("active")
    desk.publish("service")
    desk.destinations = matching(state=["failed"])
    desk.now += timedelta(days=15)

    assert last(desk)["outcome"] == "no_match"


def test_the_ledger_has_forgotten_what_a_rule_keeps_out_by_now(desk: Desk) -> None:
    desk.watch("active")
    desk.publish()
    desk.destinations = matching(state=["failed"])
    desk.now += KEEP + timedelta(days=1)

    assert last(desk)["outcome"] == "forgotten"


def test_it_says_that_rules_are_those_of_today(desk: Desk) -> None:
    desk.destinations = matching(state=["failed"])
    desk.watch("active")
    desk.publish()

    assert "Rules are those of today" in page(desk)


# It is on its way, or got lost there


def test_it_waits_in_its_queue(desk: Desk) -> None:
    desk.watch("active")
    desk.publish("service")
    desk.later(minutes=3)

    found = last(desk)

    assert (found["outcome"], found["heard"]) == ("queued", False)
    assert found["says"] == "not taken up yet: about 1 message waits in its queue"
    assert "its notifier does not run: pollbridge doctor" in found["do"]
    assert "service not yet: it was not taken up." in told(desk)["verdict"]


def test_it_waits_in_the_queue_of_a_disabled_destination(desk: Desk) -> None:
    desk.watch("active")
    [entry] = desk.publish("service")
    desk.disable()

    found = last(desk)

    assert "the destination is disabled since" in found["says"]
    assert found["do"] == f"pollbridge enable service; {resend(entry)}"


def test_it_was_recorded_a_moment_ago(desk: Desk) -> None:
    desk.watch("active")
    desk.publish()

    found = last(desk)

    assert (found["outcome"], found["says"]) == ("queued", "on its way: it was recorded a moment ago")


def test_it_never_came_to_its_queue(desk: Desk) -> None:
    desk.watch("active")
    [entry] = desk.publish()
    desk.later(minutes=3)

    found = last(desk)

    assert (found["outcome"], found["do"]) == ("missed", resend(entry))
    assert "may be newer than the event" in found["says"]


def test_a_queue_that_cannot_be_asked_is_said_to_be_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetQueueAttributes")

    desk.watch("active")
    desk.publish("service")
    desk.later(minutes=3)
    monkeypatch.setattr(desk.sqs, "get_queue_attributes", denied, raising=False)

    assert "its queue cannot be asked" in last(desk)["says"]


def test_the_ledger_has_forgotten_it(desk: Desk) -> None:
    desk.watch("active")
    desk.publish()
    desk.now += KEEP + timedelta(days=1)

    found = last(desk)

    assert (found["outcome"], found["says"]) == ("forgotten", "no longer on record: the ledger keeps 60 days")


def test_it_is_tried_again(desk: Desk) -> None:
    desk.watch("active")
    desk.does["service"] = breaking
    desk.tell("service")

    found = last(desk)

    assert (found["outcome"], len(found["attempts"])) == ("pending", 1)
    assert found["says"] == f"not yet: HTTP 500, tried again at {found['next_attempt_at']}"
    assert "service not yet: HTTP 500, tried again at" in told(desk)["verdict"]


def test_it_was_due_and_nobody_has_come(desk: Desk) -> None:
    desk.watch("active")
    desk.does["service"] = breaking
    desk.tell("service")
    desk.later(minutes=5)

    found = last(desk)

    assert found["says"] == f"not yet: HTTP 500, due since {found['next_attempt_at']}"
    assert found["do"] == "if it stays so: pollbridge doctor"


def test_no_message_is_left_that_would_bring_it_back(desk: Desk) -> None:
    desk.watch("active")
    desk.does["service"] = breaking
    [entry] = desk.tell("service")
    desk.later(hours=13)

    found = last(desk)

    assert "no message is left" in found["says"]
    assert found["do"] == resend(entry)


def test_it_is_being_delivered(desk: Desk) -> None:
    desk.watch("active")
    [entry] = desk.publish()
    Ledger(desk.table, "service", LEASE).claim(entry.pk, entry.event_id, 1, desk.now)

    assert last(desk)["says"] == "being delivered at this moment"


def busy(notice: Notice) -> Receipt:
    raise DeliveryError("HTTP 429", Treatment.LATER, code=429, wait=timedelta(minutes=7))


def test_its_receiver_asked_to_be_left_alone(desk: Desk) -> None:
    desk.watch("active")
    desk.does["service"] = busy
    desk.tell("service")

    found = last(desk)

    assert found["attempts"] == []
    assert "asked to be left alone (HTTP 429), tried again at" in found["says"]


def test_it_was_put_off_while_its_destination_goes_on(desk: Desk) -> None:
    def busy(notice: Notice) -> Receipt:
        raise DeliveryError("HTTP 429", Treatment.LATER, code=429)

    desk.watch("active")
    desk.does["service"] = busy
    desk.tell("service")

    assert last(desk)["says"].startswith(f"not yet: put off without an attempt since {iso(desk.now)}, tried again at")


def test_its_destination_was_disabled_while_it_waited(desk: Desk) -> None:
    desk.watch("active")
    desk.does["service"] = breaking
    [entry] = desk.tell("service")
    desk.disable()

    found = last(desk)

    assert f"the destination is disabled since {iso(desk.now)}: HTTP 410" in found["says"]
    assert found["do"] == f"pollbridge enable service; {resend(entry)}"


def test_it_was_given_up(desk: Desk) -> None:
    desk.watch("active")
    desk.does["service"] = refusing
    [entry] = desk.tell("service")

    found = last(desk)

    assert (found["outcome"], found["says"]) == ("failed", "given up after 1 attempt: HTTP 400")
    assert found["do"] == f"once it is mended: {resend(entry)}"


def test_it_was_put_off_until_it_was_given_up(desk: Desk) -> None:
    desk.watch("active")
    [entry] = desk.publish()
    Ledger(desk.table, "service", LEASE).close(entry.pk, entry.event_id, 1, Status.FAILED, desk.now)

    assert last(desk)["says"] == "given up without an attempt: put off for too long"


def test_its_destination_was_disabled(desk: Desk) -> None:
    desk.watch("active", "success")
    desk.does["service"] = closing
    entries = desk.tell("service")

    found = last(desk)

    assert (found["outcome"], found["attempts"]) == ("disabled", [])
    assert found["says"] == f"not attempted: the destination is disabled since {iso(desk.now)}: HTTP 410"
    assert found["do"] == f"pollbridge enable service; {resend(entries[-1])}"


def test_its_destination_was_disabled_and_is_enabled_again(desk: Desk) -> None:
    desk.watch("active", "success")
    desk.does["service"] = closing
    entries = desk.tell("service")
    Destinations(desk.table).enable("service")

    found = last(desk)

    assert (found["says"], found["do"]) == ("not attempted: the destination was disabled then", resend(entries[-1]))


def hanging(notice: Notice) -> Receipt:
    raise DeliveryError("timed out", maybe_sent=True)


def test_nobody_knows_whether_slack_took_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.watch("active")
    [entry] = desk.publish()
    ledger = Ledger(desk.table, "team", LEASE)
    ledger.close(entry.pk, entry.event_id, 1, Status.MAYBE_SENT, desk.now)

    found = last(desk, "team")

    assert found["outcome"] == "maybe_sent"
    assert found["do"] == f"look there; if it is missing: {resend(entry, 'team')}"
