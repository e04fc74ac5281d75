"""History entries: every change a job was seen in, written together with its head or not at all."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pollbridge.history.connections import connection_pk
from pollbridge.history.destinations import destination_pk
from pollbridge.history.heads import LOST_AFTER, DueRow, Head, by_state, job_pk, labels_value, unborn
from pollbridge.history.table import HEAD, Item, Table, key, number, setting, text
from pollbridge.model.cadence import Slot
from pollbridge.model.change import Change, Fingerprint, detect
from pollbridge.model.event import Event, JobEvent, job_event
from pollbridge.model.instant import epoch_minute, iso, read_iso, sortable
from pollbridge.model.job import JobKey, Snapshot

RAW_LIMIT = 64 * 1024
"""Bytes of a compressed raw body that are kept; a longer one is cut and named by its SHA-256."""

UNPUBLISHED = {"S": "1"}

NEWEST = 10**10 - 1
"""The highest version that its ten digits hold."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One answer of a vendor, as far as it is recorded: when, and the bytes it was read from."""

    asked_at: datetime
    observed_at: datetime
    body: bytes | None
    """None where it is the absence of an answer that is recorded."""
    body_hash: str
    covered: bool = False
    """Whether the vendor's list shows the job."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A recorded change, with the event that tells it (its detail as JSON text)."""

    pk: str
    sk: str
    version: int
    event_id: str
    detail_type: str
    event: str
    observed_at: str
    unpublished: bool
    republished: int


def version_sk(version: int) -> str:
    return f"V#{version:010d}"


def entry_of(item: Item) -> Entry:
    return Entry(
        pk=item["PK"]["S"],
        sk=item["SK"]["S"],
        version=number(item, "version"),
        event_id=item["event_id"]["S"],
        detail_type=item["detail_type"]["S"],
        event=item["event"]["S"],
        observed_at=item["observed_at"]["S"],
        unpublished="unpublished" in item,
        republished=number(item, "republished"),
    )


@dataclass(frozen=True, slots=True)
class Entries:
    """Recording changes and reading them back."""

    table: Table
    retain: timedelta
    raw: timedelta

    def record(
        self,
        head: Head,
        change: Change,
        observation: Observation,
        *,
        vendor: str,
        slot: Slot | None,
        last_seen_at: datetime | None,
        recorded_at: datetime,
    ) -> JobEvent:
        """Head and entry in one transaction, from which the stream makes the event. Without a slot the job is no
        longer followed.

        Raises LostRace when the head is no longer at the version the change was detected against, or no longer
        followed: then the answer is dropped, for whoever was first has told the truth or the next tick will.
        """
        seen = "version = :seen AND incarnation = :incarnation AND attribute_exists(due_slot)"
        values = {":seen": {"N": str(head.version)}, ":incarnation": {"S": head.incarnation}}
        event = self._event(head, change, observation, vendor, last_seen_at)
        update = self._head_update(head, change, observation, slot, when=seen, values=values)
        self._write(head, event, observation, update, recorded_at, told=True)
        return event

    def discover(
        self,
        job: JobKey,
        snapshot: Snapshot,
        observation: Observation,
        *,
        vendor: str,
        slot: Slot | None,
        told: bool,
        since: datetime,
        recorded_at: datetime,
    ) -> JobEvent:
        """The first sight of a job that nobody registered: told, or recorded silently.

        `since` is what the cadence counts from. Raises LostRace when somebody registered it meanwhile.
        """
        head = unborn(job, since)
        change = detect(None, snapshot)
        assert change  # first sight is always one
        event = self._event(head, change, observation, vendor, None)
        born = {
            "incarnation": {"S": head.incarnation},
            "labels": labels_value({}),
            "registered_at": {"S": iso(observation.observed_at)},
            **({} if told else {"silent": {"BOOL": True}}),
        }
        update = self._head_update(head, change, observation, slot, when="attribute_not_exists(PK)", born=born)
        self._write(head, event, observation, update, recorded_at, told=told)
        return event

    def _event(
        self, head: Head, change: Change, observation: Observation, vendor: str, last_seen_at: datetime | None
    ) -> JobEvent:
        return job_event(
            head.key,
            change,
            vendor=vendor,
            incarnation=head.incarnation,
            version=head.version + 1,
            labels=head.labels,
            observed_at=observation.observed_at,
            last_seen_at=last_seen_at,
        )

    def _write(
        self,
        head: Head,
        event: JobEvent,
        observation: Observation,
        update: dict[str, Any],
        recorded_at: datetime,
        *,
        told: bool,
    ) -> None:
        if observation.body is not None:
            self._put_raw(head.key, event.version, observation.body, observation.body_hash, recorded_at)
        entry = self.entry(job_pk(head.key), str(head.key), event, recorded_at, told=told)
        self.table.transact(
            {"Update": update | {"TableName": self.table.name}},
            self.put(entry | {"body_hash": {"S": observation.body_hash}}),
        )

    def _head_update(
        self,
        head: Head,
        change: Change,
        observation: Observation,
        slot: Slot | None,
        *,
        when: str,
        values: Item | None = None,
        born: Item | None = None,
    ) -> dict[str, Any]:
        current = change.current
        row = DueRow(
            version=head.version + 1,
            since=head.row.since if born and head.row else observation.observed_at,
            seen=observation.asked_at,
            entered=epoch_minute(observation.observed_at),
            body_hash=observation.body_hash,
            fingerprint=Fingerprint.of(current),
            covered=observation.covered,
            missed=LOST_AFTER if change.lost else 0,
        )
        set_: dict[str, Any] = {
            "version": {"N": str(row.version)},
            "changed_at": {"S": sortable(observation.observed_at)},
            "observed_at": {"S": iso(observation.observed_at)},
            "due_row": {"S": str(row)},
            **(born or {}),
        }
        remove = {"poll_error"} if born else {"poll_error", "silent"}
        if change.seen:
            set_["snapshot"] = {"S": current.model_dump_json(exclude_none=True)}
            set_["connection_state"] = by_state(head.key.connection, current.state)
        told: dict[str, dict[str, Any] | None] = {
            "due_slot": {"S": str(slot)} if slot else None,
            "lost": {"BOOL": True} if change.lost else None,
        }
        if change.seen:
            told["outcome"] = {"S": change.outcome} if change.outcome else None
        for name, value in told.items():
            if value:
                set_[name] = value
            else:
                remove.add(name)
        return setting(job_pk(head.key), HEAD, when=when, set_=set_, remove=sorted(remove), values=values or {})

    def entry(self, pk: str, subject: str, event: Event, recorded_at: datetime, *, told: bool = True) -> Item:
        """The history entry of an event, to be put where there is none of that version yet.

        A silent one is in the history of its job only: nobody was told, and nobody is when others are told again.
        """
        observed_at = sortable(read_iso(event.observed_at))
        return key(pk, version_sk(event.version)) | {
            "version": {"N": str(event.version)},
            "event_id": {"S": event.id},
            "detail_type": {"S": event.detail_type},
            "event": {"S": event.json_text()},
            "observed_at": {"S": event.observed_at},
            "recorded_at": {"S": sortable(recorded_at)},
            "expires_at": expiry(recorded_at, self.retain),
            **(
                {
                    "day": {"S": event.observed_at[:10]},
                    "moment": {"S": f"{observed_at}#{subject}"},
                    "unpublished": UNPUBLISHED,
                }
                if told
                else {}
            ),
        }

    def put(self, entry: Item) -> dict[str, Any]:
        """The part of a transaction that writes the entry."""
        return {"Put": {"TableName": self.table.name, "Item": entry, "ConditionExpression": "attribute_not_exists(PK)"}}

    def _put_raw(self, job: JobKey, version: int, body: bytes, body_hash: str, recorded_at: datetime) -> None:
        packed = zlib.compress(without_persons(body), 6)
        item = key(job_pk(job), raw_sk(version)) | {
            "body": {"B": packed[:RAW_LIMIT]},
            "body_hash": {"S": body_hash},
            "sha256": {"S": hashlib.sha256(body).hexdigest()},
            "expires_at": expiry(recorded_at, self.raw),
        }
        if len(packed) > RAW_LIMIT:
            item["cut"] = {"BOOL": True}
        self.table.put(item)

    def of(self, job: JobKey, after: int = 0) -> Iterator[Entry]:
        """Every entry of a job after that version, oldest first."""
        if not after:
            return self._of(job_pk(job))
        return self._between(job_pk(job), version_sk(after + 1), version_sk(NEWEST))

    def newest_first(self, job: JobKey, until: int | None = None) -> Iterator[Entry]:
        """Every entry of a job up to that version, newest first."""
        until = NEWEST if until is None else until
        return self._between(job_pk(job), version_sk(0), version_sk(until), ScanIndexForward=False)

    def get(self, job: JobKey, version: int) -> Entry | None:
        item = self.table.get(job_pk(job), version_sk(version))
        return entry_of(item) if item else None

    def _between(self, pk: str, first: str, last: str, **options: Any) -> Iterator[Entry]:
        values = {":pk": {"S": pk}, ":first": {"S": first}, ":last": {"S": last}}
        for item in self.table.query("PK = :pk AND SK BETWEEN :first AND :last", values, **options):
            yield entry_of(item)

    def of_connection(self, connection: str) -> Iterator[Entry]:
        """Every entry of a connection, oldest first: its outages and recoveries."""
        return self._of(connection_pk(connection))

    def of_destination(self, destination: str) -> Iterator[Entry]:
        """Every entry of a destination, oldest first: when it was disabled."""
        return self._of(destination_pk(destination))

    def _of(self, pk: str) -> Iterator[Entry]:
        values = {":pk": {"S": pk}, ":v": {"S": "V#"}}
        for item in self.table.query("PK = :pk AND begins_with(SK, :v)", values):
            yield entry_of(item)

    def raw_body(self, job: JobKey, version: int) -> bytes | None:
        """The vendor's answer that this version was read from, without personal data; None once it has expired.

        A body over the limit comes as far as it was kept.
        """
        item = self.table.get(job_pk(job), raw_sk(version))
        entry = self.table.get(job_pk(job), version_sk(version))
        # A poller that lost the race for this version may have left its own answer here.
        if item is None or entry is None or text(item, "body_hash") != text(entry, "body_hash"):
            return None
        # Not zlib.decompress: a body over the limit was cut.
        return zlib.decompressobj().decompress(item["body"]["B"])


def raw_sk(version: int) -> str:
    return f"RAW#{version:010d}"


def expiry(moment: datetime, span: timedelta) -> dict[str, str]:
    return {"N": str(int((moment + span).timestamp()))}


_PERSON = re.compile(rb'"(?:createdBy|userId)"\s*:\s*')
"""MentionLab's creator of a job, Mintlify's user of a session."""


def without_persons(body: bytes) -> bytes:
    """The body with the value of every member that names a person replaced by null, byte for byte the same otherwise.

    Whatever cannot be cut out cleanly takes the rest of the body with it: better short than personal.
    """
    kept, position = [], 0
    while match := _PERSON.search(body, position):
        end = _value_end(body, match.end())
        kept += [body[position : match.end()], b"null"]
        position = end
    return b"".join([*kept, body[position:]])


def _value_end(body: bytes, start: int) -> int:
    depth, position, in_string = 0, start, False
    while position < len(body):
        byte = body[position : position + 1]
        if in_string:
            if byte == b"\\":
                position += 1
            elif byte == b'"':
                in_string = False
        elif byte == b'"':
            in_string = True
        elif byte in b"{[":
            depth += 1
        elif byte in b"}]" and depth == 0:
            return position
        elif byte in b"}]":
            depth -= 1
        elif byte == b"," and depth == 0:
            return position
        position += 1
    return len(body)
