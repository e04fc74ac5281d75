"""History entries: every change a job was seen in, written together with its head or not at all."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pollbridge.history.heads import DueRow, Head, by_state, job_pk
from pollbridge.history.table import HEAD, Item, Table, key, number, setting, text
from pollbridge.model.cadence import Slot
from pollbridge.model.change import Change, Fingerprint
from pollbridge.model.event import JobEvent, job_event
from pollbridge.model.instant import epoch_minute, iso, sortable
from pollbridge.model.job import JobKey

RAW_LIMIT = 64 * 1024
"""Bytes of a compressed raw body that are kept; a longer one is cut and named by its SHA-256."""

UNPUBLISHED = {"S": "1"}


@dataclass(frozen=True, slots=True)
class Observation:
    """One answer of a vendor, as far as it is recorded: when, and the bytes it was read from."""

    asked_at: datetime
    observed_at: datetime
    body: bytes
    body_hash: str


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
        slot: Slot,
        last_seen_at: datetime | None,
        recorded_at: datetime,
    ) -> JobEvent:
        """Head and entry in one transaction, from which the stream makes the event.

        Raises LostRace when the head is no longer at the version the change was detected against, or no longer
        followed: then the answer is dropped, for whoever was first has told the truth or the next tick will.
        """
        version = head.version + 1
        event = job_event(
            head.key,
            change,
            vendor=vendor,
            incarnation=head.incarnation,
            version=version,
            labels=head.labels,
            observed_at=observation.observed_at,
            last_seen_at=last_seen_at,
        )
        self._put_raw(head.key, version, observation, recorded_at)
        self.table.transact(
            {"Update": self._head_update(head, change, observation, version, slot) | {"TableName": self.table.name}},
            {
                "Put": {
                    "TableName": self.table.name,
                    "Item": self._entry(head, event, observation, recorded_at),
                    "ConditionExpression": "attribute_not_exists(PK)",
                }
            },
        )
        return event

    def _head_update(
        self, head: Head, change: Change, observation: Observation, version: int, slot: Slot
    ) -> dict[str, Any]:
        current = change.current
        row = DueRow(
            version=version,
            since=observation.observed_at,
            seen=observation.asked_at,
            entered=epoch_minute(observation.observed_at),
            body_hash=observation.body_hash,
            fingerprint=Fingerprint.of(current),
        )
        set_: dict[str, Any] = {
            "version": {"N": str(version)},
            "snapshot": {"S": current.model_dump_json(exclude_none=True)},
            "changed_at": {"S": sortable(observation.observed_at)},
            "observed_at": {"S": iso(observation.observed_at)},
            "connection_state": by_state(head.key.connection, current.state),
            "due_row": {"S": str(row)},
            "due_slot": {"S": str(slot)},
        }
        return setting(
            job_pk(head.key),
            HEAD,
            when="version = :seen AND incarnation = :incarnation AND attribute_exists(due_slot)",
            set_=set_,
            remove=("poll_error", "lost"),
            values={":seen": {"N": str(head.version)}, ":incarnation": {"S": head.incarnation}},
        )

    def _entry(self, head: Head, event: JobEvent, observation: Observation, recorded_at: datetime) -> Item:
        pk = job_pk(head.key)
        return key(pk, version_sk(event.version)) | {
            "version": {"N": str(event.version)},
            "event_id": {"S": event.id},
            "detail_type": {"S": event.detail_type},
            "event": {"S": event.json_text()},
            "observed_at": {"S": event.observed_at},
            "body_hash": {"S": observation.body_hash},
            "day": {"S": event.observed_at[:10]},
            "moment": {"S": f"{sortable(observation.observed_at)}#{head.key}"},
            "recorded_at": {"S": sortable(recorded_at)},
            "expires_at": expiry(recorded_at, self.retain),
            "unpublished": UNPUBLISHED,
        }

    def _put_raw(self, job: JobKey, version: int, observation: Observation, recorded_at: datetime) -> None:
        packed = zlib.compress(without_persons(observation.body), 6)
        item = key(job_pk(job), raw_sk(version)) | {
            "body": {"B": packed[:RAW_LIMIT]},
            "body_hash": {"S": observation.body_hash},
            "sha256": {"S": hashlib.sha256(observation.body).hexdigest()},
            "expires_at": expiry(recorded_at, self.raw),
        }
        if len(packed) > RAW_LIMIT:
            item["cut"] = {"BOOL": True}
        self.table.put(item)

    def of(self, job: JobKey) -> Iterator[Entry]:
        """Every entry of a job, oldest first."""
        values = {":pk": {"S": job_pk(job)}, ":v": {"S": "V#"}}
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
