"""The jobs of the simulation: their stories, the vendor's answers, and their heads in a table long in use."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pollbridge.config import Connection, Limits
from pollbridge.history.connections import connection_pk
from pollbridge.history.heads import DueRow, by_state, job_pk
from pollbridge.history.table import HEAD, Item, key
from pollbridge.model import cadence
from pollbridge.model.cadence import Slot
from pollbridge.model.change import Fingerprint
from pollbridge.model.instant import epoch_minute, from_minute, iso, sortable
from pollbridge.model.job import JobKey, State

START = epoch_minute(datetime(2026, 6, 8, 12, 0, tzinfo=UTC))

CONNECTION = Connection(
    type="oration",
    base_url="https://oration.test",
    secret="s",
    limits=Limits(per_second=1e6, per_minute=1e6, concurrency=20),
)
CONNECTION_HEAD = key(connection_pk("oration"), HEAD) | {
    "tick": {"N": str(START)},
    "completed_tick": {"N": str(START)},
}
KIND = CONNECTION.vendor.kinds["job"]


BODY = (
    '{"id": "%s", "status": "%s", "name": "customer.createBatch", "error": null, '
    '"createdAt": "%s", "updatedAt": "%s", "input": "' + 800 * "x" + '"}'
)

SETTLE = 24 * 60
"""Minutes that a job is followed after its end."""


@dataclass(frozen=True)
class Story:
    """How one sort of job lives: it changes so many minutes after its registration, and with the last it has ended.

    It is followed a day more. Then another takes its place.
    """

    name: str
    share: float
    changes: tuple[int, ...]

    @property
    def span(self) -> int:
        return self.changes[-1] + SETTLE

    def shared(self, share: float) -> Story:
        return replace(self, share=share)


STORIES = (
    Story("short", 0.3, (0, 1, 20)),
    Story("long", 0.2, (0, 2, 10, 30, 60, 120, 240, 600)),
    Story("idle", 0.5, (0, 1, 30 * 24 * 60)),
)


@dataclass(frozen=True, slots=True)
class Job:
    key: JobKey
    story: Story
    born: int

    def turn(self, minute: int) -> int:
        """How many of its changes an answer of that minute shows; what happens in a minute is seen from the next on."""
        return bisect_left(self.story.changes, minute - self.born)

    def changed(self, turn: int) -> int:
        return self.born + self.story.changes[turn - 1]

    def body(self, turn: int) -> bytes:
        ended = turn == len(self.story.changes)
        status = "success" if ended else "queued" if turn == 1 else ("active", "retrying")[turn % 2]
        body = BODY % (self.key.id, status, iso(from_minute(self.born)), iso(from_minute(self.changed(turn))))
        return body.encode()

    def head(self) -> Item | None:
        """The head at the start, of a deployment that has followed the job since its birth; None once it has left."""
        turn, seen = self._seen()
        body = self.body(turn)
        snapshot = KIND.answer(self.key, body)
        rung = _rung(snapshot.state, seen, START)
        slot = Slot.of(self.key, rung or cadence.RUNGS[-1])
        if rung is None and slot.last_due(seen + SETTLE + slot.rung - 1) <= START:
            return None
        row = DueRow(
            version=turn,
            since=from_minute(seen),
            seen=from_minute(seen),
            entered=seen,
            body_hash=hashlib.blake2b(body, digest_size=8, salt=KIND.version.to_bytes(2)).hexdigest(),
            fingerprint=Fingerprint.of(snapshot),
        )
        return key(job_pk(self.key), HEAD) | {
            "incarnation": {"S": hashlib.md5(self.key.id.encode()).hexdigest()},
            "version": {"N": str(turn)},
            "snapshot": {"S": snapshot.model_dump_json(exclude_none=True)},
            "labels": {"M": {}},
            "registered_at": {"S": iso(from_minute(self.born))},
            "changed_at": {"S": sortable(from_minute(seen))},
            "observed_at": {"S": iso(from_minute(seen))},
            "connection_state": by_state("oration", snapshot.state),
            "due_slot": {"S": str(slot)},
            "due_row": {"S": str(row)},
        }

    def _seen(self) -> tuple[int, int]:
        """The last change seen by the start, and the minute of the look that saw it."""
        turn, seen = 1, self.born + 1
        for later in range(2, self.turn(START) + 1):
            slot = Slot.of(self.key, _rung(State.RUNNING, seen, self.changed(later)) or 1)
            look = slot.last_due(self.changed(later) + slot.rung)
            if look > START:
                break
            turn, seen = later, look
        return turn, seen


def _rung(state: State, since: int, now: int) -> int | None:
    policy = CONNECTION.cadence
    return cadence.rung(state, from_minute(since), from_minute(now), fresh=policy.fresh, settle=policy.settle)


@dataclass(frozen=True)
class World:
    """So many seats, each always taken by a job somewhere in its story: evenly spread, and the same in every run."""

    seats: int
    stories: tuple[Story, ...]

    def job(self, seat: int, generation: int) -> Job:
        """Generation 1 holds the seat at the start."""
        # The R2 sequence: https://extremelearning.com.au/unreasonable-effectiveness-of-quasirandom-sequences
        story = self._story(seat * 0.7548776662466927 % 1)
        born = START + (generation - 1) * story.span - int(seat * 0.5698402909980532 % 1 * story.span)
        return Job(JobKey("oration", "job", "acme", f"{seat:08x}-0000-4000-8000-{generation:012x}"), story, born)

    def _story(self, dice: float) -> Story:
        for story in self.stories:
            dice -= story.share
            if dice < 0:
                return story
        return self.stories[-1]

    def named(self, identifier: str) -> Job:
        return self.job(int(identifier[:8], 16), int(identifier[-12:], 16))

    def heads(self) -> Iterator[Item]:
        for seat in range(self.seats):
            for generation in (0, 1):
                job = self.job(seat, generation)
                # One that has settled leaves with its next look, a quarter of an hour late at most.
                if START - job.story.span - 30 < job.born < START and (head := job.head()):
                    yield head

    def births(self) -> Mapping[int, list[Job]]:
        births = defaultdict(list)
        for seat in range(self.seats):
            for generation in (1, 2):
                job = self.job(seat, generation)
                if job.born >= START:
                    births[job.born].append(job)
        return births
