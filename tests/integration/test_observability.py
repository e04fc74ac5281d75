"""What the functions tell of themselves: one id through all logs, numbers that somebody reads, and no secret."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pollbridge import metrics
from pollbridge.history.destinations import DestinationHead, Destinations, Disabled
from pollbridge.model.event import Cause
from pollbridge.model.job import JobKey
from pollbridge.observability import measure
from pollbridge.polling.poller import Poller
from pollbridge.polling.report import LINES, SWAMPED, Outcome, Report
from pollbridge.publishing.bus import Bus
from tests.integration.simulated import Receivers, Vendors
from tests.kit.events import event
from tests.kit.streaming import records
from tests.kit.sweeping import START, Bench, in_memory, oration_body, oration_key
from tests.kit.waking import SIGNING, Deployment, failures
from tests.kit.world import in_world, numbered

KEY = JobKey("mentionlab", "job", "p", "1")
DOCUMENT = (Path(__file__).parents[2] / "docs" / "observability.md").read_text("utf-8")
Log = list[dict[str, Any]]

NAMES = {"message", "level", "job", "event_id", "version", "destination", "outcome", "attempt", "code"}


def told(log: Log, **like: str) -> Log:
    """The lines that are like this, as far as they hold what follows an event."""
    found = [line for line in log if all(line.get(name) == value for name, value in like.items())]
    return [{name: value for name, value in line.items() if name in NAMES} for line in found]


def envelope(record: dict[str, Any]) -> dict[str, Any]:
    """What a rule puts into a queue once the publisher has put the entry's event on the bus."""
    item = record["dynamodb"]["NewImage"]
    return {"detail-type": item["detail_type"]["S"], "detail": json.loads(item["event"]["S"])}


def message(deployment: Deployment, body: object) -> dict[str, Any]:
    woken = event("webhook_notifier", "changed")
    woken["Records"][0] |= {"body": json.dumps(body), "receiptHandle": deployment.received()}
    return woken


def polled(deployment: Deployment, vendors: Vendors, **body: Any) -> dict[str, Any]:
    """A job's first poll, by the poller; its record in the stream."""
    deployment.keep_secret("vendor", **{"x-api-key": "canary-key"})
    deployment.heads.follow(KEY, {"team": "canary-label"}, START)
    vendors.script(str(KEY), {"body": {"status": "completed", **body}})
    deployment.wake("poller", event("poller", "by_hand"))
    [record] = records(deployment.table)
    return record


@pytest.mark.parametrize(("function", "destination"), [("slack_notifier", "team"), ("webhook_notifier", "service")])
def test_one_id_leads_from_the_poll_to_the_delivery(  # noqa: PLR0917
    deployment: Deployment, vendors: Vendors, receivers: Receivers, log: Log, function: str, destination: str
) -> None:
    deployment.env.setenv("DESTINATION", destination)

    record = polled(deployment, vendors)
    deployment.wake("publisher", {"Records": [record]})
    deployment.wake(function, message(deployment, envelope(record)))

    assert len(receivers.messages()) == 1
    same = {"event_id": record["dynamodb"]["NewImage"]["event_id"]["S"], "job": str(KEY), "version": 1, "level": "INFO"}
    assert told(log, event_id=same["event_id"]) == [
        {"message": "recorded", **same},
        {"message": "published", **same},
        {"message": "delivery", **same, "destination": destination, "outcome": "delivered", "attempt": 1, "code": 200},
    ]


@pytest.mark.promise(21)
@pytest.mark.promise(45)
@pytest.mark.parametrize("status", [200, 410, 429, 500])
def test_no_line_on_the_way_holds_a_secret_a_person_an_address_or_a_word_of_the_vendor(
    deployment: Deployment, vendors: Vendors, receivers: Receivers, log: Log, status: int
) -> None:
    deployment.env.setenv("DESTINATION", "service")
    if status != 200:
        receivers.faults("webhook/service", {"status": status, "content": "garbage"})
    person = {"id": "canary-person", "email": "canary@example.com"}

    record = polled(deployment, vendors, name="canary-name", createdBy=person, error="canary-error")
    deployment.wake("publisher", {"Records": [record]})
    deployment.wake("webhook_notifier", message(deployment, envelope(record)))

    assert [line["message"] for line in log] == ["recorded", "swept", "published", "delivery"]
    for canary in ("canary", SIGNING, "/webhook/", str(receivers.base_url), str(vendors.base_url)):
        assert canary not in str(log)


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (200, {"level": "INFO", "outcome": "delivered", "reason": "delivered", "attempt": 1, "code": 200}),
        (410, {"level": "ERROR", "outcome": "failed", "reason": "HTTP 410", "attempt": 1, "code": 410}),
        (500, {"level": "INFO", "outcome": "retried", "reason": "HTTP 500", "attempt": 1, "code": 500}),
    ],
)
def test_what_became_of_a_delivery_is_a_line(
    deployment: Deployment, receivers: Receivers, log: Log, status: int, line: dict[str, Any]
) -> None:
    deployment.env.setenv("DESTINATION", "service")
    if status != 200:
        receivers.faults("webhook/service", {"status": status})
    body = json.loads(event("webhook_notifier", "changed")["Records"][0]["body"])

    deployment.wake("webhook_notifier", message(deployment, body))

    [found] = log
    assert line.items() <= found.items()
    assert (found["job"], found["destination"]) == (body["detail"]["job"]["key"], "service")
    assert found["latency_ms"] >= 0
    assert ("wait_s" in found) == (line["outcome"] == "retried")


def test_what_needs_no_attempt_is_a_line_too(deployment: Deployment, receivers: Receivers, log: Log) -> None:
    deployment.env.setenv("DESTINATION", "service")
    body = json.loads(event("webhook_notifier", "changed")["Records"][0]["body"])
    for sent in (body, body, {"no": "event"}):
        deployment.wake("webhook_notifier", message(deployment, sent))

    assert [line["outcome"] for line in log] == ["delivered", "already_done", "unreadable"]
    assert log[1]["event_id"] == body["detail"]["id"]
    assert (log[2]["level"], log[2]["message_id"]) == ("ERROR", "059f36b4-87a3-44ab-83d2-661975723001")
    assert "attempt" not in log[1] and "event_id" not in log[2]


def test_what_the_bus_refuses_is_named(deployment: Deployment, log: Log) -> None:
    deployment.env.setattr(Bus, "publish", lambda _, entries: ([], entries))
    woken = event("publisher", "one_unreadable")

    assert len(failures(deployment.wake("publisher", woken))) == len(woken["Records"])

    assert {line["message"] for line in log} == {"not published"}
    assert sorted("sequence_number" if "sequence_number" in line else "event_id" for line in log) == [
        "event_id",
        "sequence_number",
    ]


def test_a_refused_request_names_the_job_and_why(deployment: Deployment, log: Log) -> None:
    deployment.wake("registrar", event("registrar", "one_refused"))

    refused, watched = log
    assert (refused["message"], refused["level"]) == ("not watched", "ERROR")
    assert refused["job"] in refused["reason"]
    assert (watched["message"], watched["job"]) == ("watched", "oration/job/acme/2")


# What a sweep tells


def test_a_change_is_told_by_where_it_led_and_why() -> None:
    bench = in_memory()
    bench.watch(oration_key(), oration_body(status="active"), oration_body(status="failed"))

    told = [line for report in (bench.tick(), bench.tick()) for line in report.recorded]

    ids = [event["id"] for event in bench.events(oration_key())]
    assert told[1] == {
        "job": str(oration_key()),
        "event_id": ids[1],
        "version": 2,
        "detail_type": "Job State Changed",
        "from": "running",
        "to": "failed",
        "reasons": ["state_changed"],
    }
    assert [line["event_id"] for line in told] == ids


@pytest.mark.long
def test_a_first_reading_of_a_thousand_jobs_writes_no_line_for_them() -> None:
    bench = in_world(scopes=["p"])
    bench.world.add(*numbered(1000))

    reports = [bench.tick() for _ in range(3)]

    assert sum(report.counts["discovered"] for report in reports) == 1000
    assert [line for report in reports for line in report.recorded] == []
    bench.world.add("new")
    assert [line["job"] for _ in range(6) for line in bench.tick().recorded] == [str(bench.world.key("new"))]


def test_an_outage_has_an_id_too() -> None:
    bench = in_world()
    bench.follow("a")
    bench.world.fail(TimeoutError())

    told = [line for _ in range(4) for line in bench.tick().recorded]

    [line] = told
    assert (line["connection"], line["detail_type"]) == ("mentionlab", "Vendor Unreachable")
    assert line["event_id"] == bench.troubles()[0]["id"]


@pytest.fixture
def swept(monkeypatch: pytest.MonkeyPatch) -> Report:
    """What the next sweep comes back with."""
    report = Report("mentionlab", START)

    async def sweep(*_: object) -> Report:
        return report

    monkeypatch.setattr(Poller, "sweep", sweep)
    return report


def test_the_lines_of_a_sweep_have_an_end_and_the_rest_is_counted(
    deployment: Deployment, swept: Report, log: Log
) -> None:
    swept.recorded = [{"job": f"oration/job/a/{n}"} for n in range(LINES + 7)]

    deployment.wake("poller", event("poller", "scheduled"))

    assert Counter(line["message"] for line in log) == {"recorded": LINES, "swept": 1}
    assert log[-1]["recorded"] == LINES + 7


# Numbers


class Written:
    """The metrics that functions wrote, by name with their dimensions."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self) -> dict[str, float]:
        """Those since the last time."""
        return {name: value for name, value, _ in self.all()}

    def all(self) -> Iterator[tuple[str, float, dict[str, str]]]:
        for line in self.capsys.readouterr().out.splitlines():
            if '"_aws"' in line:
                record = json.loads(line)
                [directive] = record["_aws"]["CloudWatchMetrics"]
                assert directive["Namespace"] == "pollbridge"
                [dimensions] = directive["Dimensions"]
                for metric in directive["Metrics"]:
                    yield metric["Name"], record[metric["Name"]][0], {name: record[name] for name in dimensions}


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Written:
    return Written(capsys)


def test_a_sweep_with_nothing_to_tell_writes_that_it_lives_and_no_more(
    deployment: Deployment, swept: Report, written: Written
) -> None:
    deployment.wake("poller", event("poller", "scheduled"))

    assert list(written.all()) == [("MinutesBehind", 0, {"connection": "mentionlab", "service": "test"})]


@pytest.mark.parametrize("outcome", Outcome)
def test_a_sweep_writes_what_its_alarms_and_the_dashboard_read(
    deployment: Deployment, swept: Report, written: Written, outcome: Outcome
) -> None:
    swept.outcome, swept.behind, swept.troubles, swept.polls = outcome, 16, 2, 9
    swept.counts["failed"] = 3
    swept.recorded = [{"job": "a"}]

    deployment.wake("poller", event("poller", "scheduled"))

    numbers = {"MinutesBehind": 16, "Troubles": 2, "Polls": 9, "PollsFailed": 3, "Changes": 1}
    assert written() == numbers | ({"Unfinished": 1} if outcome in SWAMPED else {})


def test_a_sweep_counts_each_request_for_a_job_once(deployment: Deployment, vendors: Vendors, written: Written) -> None:
    polled(deployment, vendors)

    assert written() == {"MinutesBehind": 0, "Polls": 1, "Changes": 1}


def test_a_vendor_that_is_away_has_its_polls_counted_as_failed(deployment: Deployment, written: Written) -> None:
    deployment.keep_secret("vendor", **{"x-api-key": "k"})
    deployment.heads.follow(KEY, {}, START)

    deployment.wake("poller", event("poller", "scheduled"))

    assert written() == {"MinutesBehind": 1, "Polls": 1, "PollsFailed": 1}


@pytest.mark.parametrize(("status", "name"), [(200, "Delivered"), (410, "NotDelivered"), (500, "Retried")])
def test_a_notifier_counts_what_became_of_events_by_destination(
    deployment: Deployment, receivers: Receivers, written: Written, status: int, name: str
) -> None:
    deployment.env.setenv("DESTINATION", "service")
    if status != 200:
        receivers.faults("webhook/service", {"status": status})
    body = json.loads(event("webhook_notifier", "changed")["Records"][0]["body"])

    deployment.wake("webhook_notifier", message(deployment, body))

    assert list(written.all()) == [(name, 1, {"destination": "service", "service": "test"})]


def test_the_publisher_counts_what_the_bus_took(deployment: Deployment, written: Written) -> None:
    deployment.wake("publisher", event("publisher", "recorded"))

    assert list(written.all()) == [("Published", 1, {"service": "test"})]


def test_an_audit_that_finds_nothing_writes_no_metric(deployment: Deployment, written: Written) -> None:
    deployment.wake("auditor", event("auditor", "scheduled"))

    assert written() == {}


def test_an_audit_tells_how_late_an_event_is_and_what_hears_nothing(
    deployment: Deployment, log: Log, written: Written
) -> None:
    bench = Bench(deployment.table)
    bench.watch(oration_key(), oration_body())
    bench.tick()
    gone = Disabled(START, Cause.GONE, "HTTP 410")
    put = bench.entries.put({"PK": {"S": "DESTINATION#team"}, "SK": {"S": "V#1"}})
    Destinations(deployment.table).disable("team", DestinationHead(), gone, 1, put)

    deployment.wake("auditor", event("auditor", "scheduled"))

    numbers = written()
    assert numbers.pop("OldestUnpublished") > timedelta(minutes=15).total_seconds()
    assert numbers == {"DisabledDestinations": 1}
    [disabled] = [line for line in log if line["message"] == "nothing is delivered"]
    assert (disabled["destination"], disabled["reason"], disabled["level"]) == ("team", "gone", "ERROR")


def test_no_metric_is_written_twice_in_one_record(written: Written) -> None:
    measure({metrics.POLLS: 3, metrics.CHANGES: 0}, connection="a")
    measure({metrics.POLLS: 4}, connection="b")
    measure({metrics.CHANGES: 0}, connection="c")

    assert [(value, dimensions["connection"]) for _, value, dimensions in written.all()] == [(3, "a"), (4, "b")]


# What is written down


def table(heading: str) -> list[list[str]]:
    """The rows of the first table below that heading of the document."""
    rows = [line for line in DOCUMENT.split(f"\n{heading}\n")[1].split("\n## ")[0].splitlines() if line[:1] == "|"]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_the_document_has_every_metric() -> None:
    rows = {name.strip("`"): (by.strip("`") or None, means) for name, _, by, means in table("## Metrics")}

    assert rows == {metric.name: (metric.by, metric.meaning) for metric in metrics.METRICS}
