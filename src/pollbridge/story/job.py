"""The story of one job: how it is looked at, what changed, and who heard of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

from pollbridge.config import Configuration
from pollbridge.history.connections import connection_of, connection_pk
from pollbridge.history.destinations import DestinationHead, destination_of, destination_pk
from pollbridge.history.entries import entry_of, version_sk
from pollbridge.history.heads import Head, head_of, job_pk
from pollbridge.history.ledger import Delivery, deliveries_in, deliveries_of
from pollbridge.history.table import HEAD, Item, Table, key, moment
from pollbridge.model.instant import from_minute, iso, read_iso
from pollbridge.model.job import JobKey
from pollbridge.story.arrivals import Arrival, Change, Clocks, Receiver, arrival
from pollbridge.story.polls import Looks, Remark, Watching, When, looks, unconfigured

FEW = 5
"""Changes that are told unless asked otherwise."""

LONG = 200
"""Changes of a job from which on only the deliveries to today's destinations are read, and not all there are."""

AUDITED = timedelta(minutes=15)
"""What is marked unpublished for longer is the auditor's."""

POISON = 5
"""Republications after which the auditor gives an entry up."""

WITH_HEADS = (
    *("PK", "SK", "tick", "completed_tick", "waits_until", "health"),
    *("failing_since", "failed_at", "disabled_since", "disabled_reason", "disabled_error"),
    "observed_at",
)


class NoSuchVersion(LookupError):
    """The job has no change of that version; the message is one line."""


@dataclass(frozen=True, slots=True)
class ToldChange:
    """A change, and what became of it at each destination."""

    change: Change
    arrivals: tuple[Arrival, ...]
    remark: Remark | None
    """What holds it back from all of them."""

    @property
    def version(self) -> int:
        return self.change.entry.version


@dataclass(frozen=True, slots=True)
class Story:
    """What there is to say of a job that is known."""

    head: Head
    looks: Looks
    remarks: tuple[Remark, ...]
    changes: tuple[ToldChange, ...]
    """Oldest first."""
    earlier: int
    """Changes before those."""
    found: bool
    """In a list, not registered; where its first entry has expired, nobody knows any more."""
    unwatched_at: datetime | None
    now: datetime
    when: When


@dataclass(frozen=True, slots=True)
class Stories:
    """Reads what there is to tell, in four calls to the table.

    They are more with a hundred destinations, whose heads come a hundred at a time, or where the job's deliveries fill
    more than a page of the table; of a LONG history a hundred deliveries come at a time.
    """

    table: Table
    configuration: Configuration
    queued: Callable[[str], int | None] = lambda _: None
    """How many messages wait in the queue of that destination; None where it cannot be asked."""
    scheduled: bool = True
    when: When = iso
    deployed_at: datetime | None = None

    def of(self, job: JobKey, wall: datetime, *, last: int = FEW, version: int | None = None) -> Story | None:
        """The story of a job, of its last changes or of one; None when the job is not known. Raises NoSuchVersion."""
        item = self.table.get(job_pk(job), HEAD)
        if item is None:
            return None
        head, unwatched_at = head_of(item), moment(item, "unwatched_at")
        beside = self._beside(job)
        connection = connection_of(beside.get(connection_pk(job.connection), {}))
        now = max([wall, *(from_minute(tick) for tick in (connection.tick,) if tick is not None)])
        clocks = Clocks(wall, now, self.when, self.deployed_at)
        changes = self._changes(head, last, version)
        looked = looks(head, connection, scheduled=self.scheduled)
        settings = self.configuration.vendors.get(job.connection)
        if settings and job.kind in settings.vendor.kinds:
            watching = Watching(head, unwatched_at, job.connection, settings, connection, looked, now, self.when)
            remarks = tuple(watching.remarks())
        else:
            looked = replace(looked, every=None, next_at=None, covered=False)
            remarks = unconfigured(head, unwatched_at, settings, self.when)
        first = beside.get(job_pk(job), {})
        return Story(
            head=head,
            looks=looked,
            remarks=remarks,
            changes=self._told(head, changes, beside, clocks),
            earlier=max(0, changes[0].entry.version - 1) if changes else 0,
            found=bool(first) and first["observed_at"]["S"] == head.registered_at,
            unwatched_at=unwatched_at,
            now=now,
            when=self.when,
        )

    def _beside(self, job: JobKey) -> dict[str, Item]:
        """By partition: the heads of the connection and of the destinations, and the job's first entry."""
        heads = [connection_pk(job.connection), *map(destination_pk, self.configuration.destinations)]
        wanted = [*(key(pk, HEAD) for pk in heads), key(job_pk(job), version_sk(1))]
        return {item["PK"]["S"]: item for item in self.table.batch(wanted, WITH_HEADS)}

    def _changes(self, head: Head, last: int, version: int | None) -> list[Change]:
        """Oldest first."""
        values = {":pk": {"S": job_pk(head.key)}, ":v": {"S": "V#" if version is None else version_sk(version)}}
        newest_first = self.table.query(
            "PK = :pk AND begins_with(SK, :v)", values, ScanIndexForward=False, ConsistentRead=True, Limit=last
        )
        found = [_change(item) for item in islice(newest_first, last)]
        if version is not None and not found:
            gone = 0 < version <= head.version
            told = "is no longer kept (history.retain)" if gone else f"is not there: the last one is v{head.version}"
            raise NoSuchVersion(f"v{version} of {head.key} {told}")
        return found[::-1]

    def _told(
        self, head: Head, changes: Sequence[Change], beside: Mapping[str, Item], clocks: Clocks
    ) -> tuple[ToldChange, ...]:
        found = self._deliveries(head, changes)
        configured = self.configuration.destinations
        names = [*configured, *sorted({name for _, name in found} - configured.keys())]
        waiting = [one for one in found.values() if not (one.status.finished or one.forsaken(clocks.wall))]
        pending = Counter(one.destination for one in waiting)
        receivers = [self._receiver(name, beside, pending[name]) for name in names]
        told = []
        for change in changes:
            ways = [(receiver, found.get((change.event_id, receiver.name))) for receiver in receivers]
            arrivals = [arrival(change, to, way, clocks) for to, way in ways if way or to.settings]
            told.append(ToldChange(change, tuple(arrivals), _held_back(change, head, arrivals, clocks)))
        return tuple(told)

    def _deliveries(self, head: Head, changes: Sequence[Change]) -> dict[tuple[str, str], Delivery]:
        """Of those changes, by event and destination; unless the history is LONG, of all there are."""
        pk, ids = job_pk(head.key), [change.event_id for change in changes]
        if not ids:
            return {}
        if head.version > LONG:
            return deliveries_of(self.table, [(pk, one) for one in ids], self.configuration.destinations)
        return {(one.event_id, one.destination): one for one in deliveries_in(self.table, pk)}

    def _receiver(self, name: str, beside: Mapping[str, Item], pending: int) -> Receiver:
        head = beside.get(destination_pk(name))
        return Receiver(
            name,
            self.configuration.destinations.get(name),
            destination_of(head) if head else DestinationHead(),
            lambda: self.queued(name),
            pending,
        )


def _change(item: Item) -> Change:
    entry = entry_of(item)
    return Change(entry, moment(item, "recorded_at") or read_iso(entry.observed_at), silent="day" not in item)


def _held_back(change: Change, head: Head, arrivals: Sequence[Arrival], clocks: Clocks) -> Remark | None:
    if change.silent:
        says = "it was there when its scope's list was read for the first time"
        do = f"to have it announced: pollbridge watch {head.key}" if head.silent else None
        return Remark("silent", says, do)
    # A publisher that died between the bus and the table leaves the mark on what went out.
    if not change.entry.unpublished or any(each.delivery for each in arrivals):
        return None
    since, tries = f"not on the bus since {clocks.when(change.recorded_at)}", change.entry.republished
    if tries >= POISON:
        do = "the logs of the publisher and the auditor say why the bus refuses it; pollbridge doctor"
        return Remark("poison", f"{since}: the auditor tried {tries} times and gave up", do)
    if clocks.now - change.recorded_at < AUDITED:
        return Remark("unpublished", f"{since}: the publisher takes seconds", "if it stays so: pollbridge doctor")
    says = f"{since}: the publisher does not get through, after {tries} tries of the auditor" if tries else since
    return Remark("unpublished", says, "the auditor publishes it within the hour; why it has to: pollbridge doctor")
