"""What a recorded change leaves in the table, and what it refuses to overwrite."""

from __future__ import annotations

import json
import random
import zlib
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollbridge.history.entries import RAW_LIMIT, raw_sk, version_sk, without_persons
from pollbridge.history.heads import job_pk
from pollbridge.history.table import Table
from pollbridge.model.instant import MINUTE, read_iso
from pollbridge.model.job import KEY_LIMIT, JobKey
from tests.kit.faults import Call, Fault, conflict, lost
from tests.kit.racing import recording
from tests.kit.sweeping import START, Bench, in_memory, oration_body, oration_key

KEY = oration_key()


@pytest.fixture
def bench() -> Bench:
    return in_memory()


def item(bench: Bench, sk: str) -> dict[str, Any]:
    return bench.table.get(job_pk(KEY), sk) or {}


def test_an_entry_holds_the_event_and_the_head_the_state_in_moto(table: Table) -> None:
    bench = Bench(table)
    bench.watch(KEY, oration_body(), oration_body(status="failed", error="no credit"))

    bench.tick(2)

    [first, second] = bench.history(KEY)
    event = json.loads(second.event)
    assert (first.version, second.version) == (1, 2)
    assert (second.event_id, second.detail_type, second.unpublished) == (event["id"], "Job State Changed", True)
    assert (event["from"]["state"], event["to"]["state"], event["error"]) == ("running", "failed", "no credit")
    assert (event["last_seen_at"], event["observed_at"]) == ("2026-06-08T12:01:00Z", "2026-06-08T12:02:00Z")
    head = bench.head(KEY)
    assert (head.version, head.state, head.observed_at) == (2, "failed", event["observed_at"])


def test_a_job_is_found_by_its_present_state_in_moto(table: Table) -> None:
    bench = Bench(table)
    bench.watch(KEY, oration_body(status="success"))
    assert [head.key for head in bench.heads.newest(["oration"], ["unseen"], None)] == [KEY]

    bench.tick()

    assert list(bench.heads.newest(["oration"], ["unseen"], None)) == []
    assert [head.key for head in bench.heads.newest(["oration", "scale"], ["running", "succeeded"], START)] == [KEY]


def test_the_newest_come_first_whatever_their_state(bench: Bench) -> None:
    for name, status in (("a", "active"), ("b", "success"), ("c", "active")):
        bench.watch(oration_key(name), oration_body(name, status=status))
        bench.tick()

    newest = bench.heads.newest(["oration"], ["running", "succeeded"], None)

    assert [head.key.id for head in newest] == ["c", "b", "a"]


def test_entries_expire_and_heads_do_not(bench: Bench) -> None:
    bench.watch(KEY, oration_body())
    bench.tick()

    recorded = int(bench.now.timestamp())
    assert "expires_at" not in item(bench, "HEAD")
    assert item(bench, version_sk(1))["expires_at"] == {"N": str(recorded + 400 * 86400)}
    assert item(bench, raw_sk(1))["expires_at"] == {"N": str(recorded + 30 * 86400)}


def test_the_raw_body_is_kept_byte_for_byte(bench: Bench) -> None:
    body = b'{ "id": "j1",\n "status": "active", "odd": "\\u00e9", "n": 1e400 }'
    bench.watch(KEY, body)

    bench.tick()

    assert bench.entries.raw_body(KEY, 1) == body
    assert bench.entries.raw_body(KEY, 2) is None


@pytest.mark.promise(20)
def test_a_body_of_five_megabytes_is_kept_as_far_as_it_goes(bench: Bench) -> None:
    noise = random.Random(1).randbytes(2_000_000).hex()
    bench.watch(KEY, oration_body(error=noise))

    bench.tick()

    kept = bench.entries.raw_body(KEY, 1)
    assert kept
    assert json.dumps(oration_body(error=noise)).encode().startswith(kept)
    assert (item(bench, raw_sk(1))["cut"], len(item(bench, raw_sk(1))["body"]["B"])) == ({"BOOL": True}, RAW_LIMIT)


@pytest.mark.promise(20)
@pytest.mark.parametrize(
    "odd",
    [
        "NaN",
        "Infinity",
        "9" * 39,
        "9" * 4000,
        '"\\ud800"',
        "[" * 600 + "]" * 600,
        '"' + "\\u0000" * 2000 + '"',
        '"' + "💥" * 9000 + '"',
    ],
    ids=lambda odd: odd[:12],
)
def test_odd_values_are_stored_without_exception_in_moto(table: Table, odd: str) -> None:
    bench = Bench(table)
    bench.watch(KEY, f'{{"id": "j1", "status": "active", "error": {odd}, "name": {odd}, "n": {odd}}}'.encode())

    report = bench.tick()

    stored = [len(json.dumps(page, default=repr)) for page in table.query("PK = :pk", {":pk": {"S": job_pk(KEY)}})]
    assert report.counts["changed"] + report.counts["failed"] == 1
    assert max(stored) < 400_000


@pytest.mark.promise(21)
@pytest.mark.parametrize(
    "person",
    [
        '{"email": "canary@example.com", "name": "Ca\\"na}ry"}',
        '"canary"',
        '["canary", {"createdBy": "canary"}]',
        "null",
        "4711",
        '"canary',
        '{"canary": [',
    ],
)
@pytest.mark.parametrize("behind", [', "x": {"createdBy" : "canary"}}', "}", ', "y": 1}'])
def test_no_person_is_kept_in_a_raw_body(person: str, behind: str) -> None:
    kept = without_persons(f'{{"id": "j1", "createdBy": {person}{behind}'.encode())

    assert b"canary" not in kept
    assert b"4711" not in kept
    assert kept.startswith(b'{"id": "j1", "createdBy": null')


@given(
    before=st.dictionaries(st.text(), st.integers() | st.text(), max_size=3),
    person=st.recursive(
        st.integers() | st.text() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    ),
    after=st.dictionaries(st.text(), st.integers() | st.text(), max_size=3),
)
def test_taking_persons_out_leaves_everything_else(
    before: dict[str, Any], person: object, after: dict[str, Any]
) -> None:
    body = before | {"createdBy": person} | after

    kept = json.loads(without_persons(json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")))

    assert kept == body | {"createdBy": None}


@pytest.mark.promise(1)
def test_the_raw_body_of_a_lost_race_is_not_shown_as_the_winners(bench: Bench) -> None:
    bench.watch(KEY, oration_body())
    loser = recording(bench, KEY, "retrying", START)

    def first(call: Call) -> Fault | None:
        if call.operation == "put_item":
            bench.aws.plan = lambda _: None
            recording(bench, KEY, "active", START)()
        return None

    bench.aws.plan = first
    assert loser() == "lost"

    assert bench.entries.raw_body(KEY, 1) is None
    assert bench.events(KEY)[0]["to"]["state"] == "running"


@pytest.mark.promise(1)
def test_a_late_answer_is_dropped_even_when_the_entry_it_raced_has_expired(bench: Bench) -> None:
    bench.watch(KEY, oration_body())
    late = recording(bench, KEY, "retrying", START)

    def in_between(call: Call) -> Fault | None:
        if call.operation == "transact_write_items":
            bench.aws.plan = lambda _: None
            recording(bench, KEY, "active", START)()
            del bench.aws.client.items[job_pk(KEY), version_sk(1)]
        return None

    bench.aws.plan = in_between

    assert late() == "lost"
    assert bench.head(KEY).state == "running"


def test_a_job_registered_anew_meanwhile_takes_no_answer_of_the_old(bench: Bench) -> None:
    """A deployment started anew counts from 0 again: only the incarnation tells the heads apart."""
    bench.watch(KEY, oration_body())
    late = recording(bench, KEY, "retrying", START)

    def in_between(call: Call) -> Fault | None:
        if call.operation == "transact_write_items":
            bench.aws.plan = lambda _: None
            bench.aws.client.items.clear()
            bench.heads.follow(KEY, {}, START)
        return None

    bench.aws.plan = in_between

    assert late() == "lost"
    assert bench.head(KEY).version == 0


@pytest.mark.promise(3)
def test_a_conflict_is_no_lost_race(bench: Bench) -> None:
    faults = [Fault(conflict()), Fault(conflict())]
    bench.watch(KEY, oration_body())
    bench.aws.plan = lambda call: faults.pop() if faults and call.operation == "transact_write_items" else None

    assert bench.tick().counts["changed"] == 1


@pytest.mark.promise(3)
def test_a_transaction_whose_answer_was_lost_is_found_done_by_the_next_look(bench: Bench) -> None:
    bench.watch(KEY, oration_body())
    bench.aws.plan = lambda call: Fault(lost(), after=True) if call.operation == "transact_write_items" else None
    assert bench.tick().counts["not_stored"] == 1

    bench.aws.plan = lambda _: None
    bench.tick(3)

    assert [entry.version for entry in bench.history(KEY)] == [1]


@pytest.mark.promise(3)
def test_the_sdk_sends_one_token_with_all_its_tries(table: Table) -> None:
    """On AWS the second try of a transaction that succeeded is a success, by that token; moto knows none."""
    bodies: list[dict[str, Any]] = []
    events = table.client.meta.events
    events.register(
        "before-send.dynamodb.TransactWriteItems", lambda request, **_: bodies.append(json.loads(request.body))
    )
    events.register_first("needs-retry.dynamodb.TransactWriteItems", lambda attempts, **_: 0 if attempts < 3 else None)
    bench = Bench(table)
    bench.watch(KEY, oration_body())

    bench.tick()

    assert len({body["ClientRequestToken"] for body in bodies}) == 1
    assert len(bodies) == 3


def test_a_job_is_registered_once_and_its_labels_add_up(bench: Bench) -> None:
    assert bench.heads.follow(KEY, {"team": "docs"}, START) is True
    assert bench.heads.follow(KEY, {"tier": "1"}, START + MINUTE) is False
    assert bench.heads.follow(KEY, {"team": "api"}, START + MINUTE) is False

    head = bench.head(KEY)
    assert head.labels == {"team": "api", "tier": "1"}
    assert read_iso(head.registered_at) == START


def test_labels_travel_with_every_event_in_moto(table: Table) -> None:
    bench = Bench(table)
    bench.watch(KEY, oration_body())
    bench.heads.follow(KEY, {"team": "docs", "é": "\u2028"}, START)

    bench.tick()

    assert bench.events(KEY)[0]["job"]["labels"] == {"team": "docs", "é": "\u2028"}


def test_an_unwatched_job_keeps_its_history_and_a_tombstone(bench: Bench) -> None:
    bench.watch(KEY, oration_body())
    bench.tick()

    assert bench.heads.unfollow(KEY, bench.now) is True
    assert bench.heads.unfollow(oration_key("nobody"), bench.now) is False

    assert not bench.head(KEY).watched
    assert item(bench, "HEAD")["unwatched_at"] == {"S": "2026-06-08T12:01:00Z"}
    assert len(bench.history(KEY)) == 1


def test_a_job_watched_again_goes_on_where_it_was(bench: Bench) -> None:
    bench.watch(KEY, oration_body())
    bench.tick()
    bench.heads.unfollow(KEY, bench.now)
    bench.tick(60)
    bench.answer(KEY, oration_body(status="success"))

    assert bench.heads.follow(KEY, {}, bench.now) is True
    bench.tick(2)

    [_, event] = bench.events(KEY)
    assert (event["version"], event["last_seen_at"]) == (2, "2026-06-08T12:01:00Z")
    assert "unwatched_at" not in item(bench, "HEAD")


def test_the_longest_key_fits_in_every_index(table: Table) -> None:
    key = JobKey("oration", "job", "acme", "x" * (KEY_LIMIT - len("oration/job/acme/")))
    bench = Bench(table)
    bench.watch(key, oration_body(key.id))

    bench.tick()

    assert len(bench.history(key)) == 1


def test_raw_bodies_are_kept_compressed(bench: Bench) -> None:
    bench.watch(KEY, oration_body(error="x" * 10_000))
    bench.tick()

    packed = item(bench, raw_sk(1))["body"]["B"]
    assert len(packed) < 1000
    assert zlib.decompress(packed).endswith(b"}")


def test_a_connections_clock_never_stands_behind_its_ticks(bench: Bench) -> None:
    bench.watch(KEY, oration_body())
    bench.tick(10)

    assert bench.connections.clock(["oration"], START) == bench.now
    assert bench.connections.clock(["oration", "scale"], START + timedelta(days=1)) == START + timedelta(days=1)
    assert bench.connections.clock(["scale"], START) == START
