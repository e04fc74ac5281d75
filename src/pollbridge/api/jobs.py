"""Following jobs, and reading how they stand and what they went through."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Body

from pollbridge.api.means import Means
from pollbridge.api.paging import DEFAULT, Question, is_moment, is_version
from pollbridge.api.parameters import (
    STATES,
    ConnectionAsked,
    CursorAsked,
    KeyAsked,
    Limit,
    SinceAsked,
    StatesAsked,
    VendorAsked,
    moment,
)
from pollbridge.api.problems import Mistake, Wrong, bad_cursor, refused, unknown
from pollbridge.api.shapes import Changes, Jobs, JobStanding, Registered, Unwatched, WatchWish
from pollbridge.history.heads import Head
from pollbridge.model.cadence import Slot, ladder
from pollbridge.model.job import InvalidJobKey, JobKey
from pollbridge.observability import logger
from pollbridge.views import change_json, job_json
from pollbridge.watches import Registration, WatchRefused, check_labels


@dataclass(frozen=True, slots=True)
class Watching:
    """Which jobs are followed."""

    means: Means

    def register(self, wish: Annotated[WatchWish, Body()]) -> Registered:
        """Follow jobs.

        All keys are checked before the first job is followed: when one of them is refused, none is. The first poll
        of a job comes with the next tick. Doing it again is safe.
        """
        registration = Registration(self.means.watches, self._checked(wish.keys), self._labels(wish.labels))
        registration.check(lambda: None)
        if registration.refused:
            raise _refused(registration.refused.items(), "None of the jobs is followed.")
        registration.follow(self.means.wall, lambda: None)
        for key in registration.followed:
            logger().info("watched", extra={"job": str(key)})
        if registration.refused:
            raise _refused(registration.refused.items(), "The others are followed; doing it again is safe.")
        items = [{"key": str(key), "new": registration.followed[key]} for key in registration.keys]
        return Registered.model_validate({"items": items})

    def watched(self, connection: ConnectionAsked = None, limit: Limit = DEFAULT, cursor: CursorAsked = None) -> Jobs:
        """List the jobs that are followed.

        They come by connection, there by how often they are looked at, and there by key. A job that changes while
        you page may be passed over: `GET /v1/jobs?since=` has those.
        """
        slots = [slot for name in self.means.narrowed(connection) for slot in ladder(name)]
        question = Question("watches", (connection,))
        after = None
        if place := question.place(cursor, 2):
            slots, after = _from(slots, place)
        found = list(itertools.islice(self.means.heads.followed(slots, after), limit + 1))
        heads = self.means.heads.many([key for _, key in found[:limit]])
        last = found[limit - 1] if len(found) > limit else None
        shown = [job_json(heads[key]) for _, key in found[:limit] if key in heads]
        return _jobs(shown, question.cursor(*map(str, last)) if last else None)

    def unregister(self, key: KeyAsked) -> Unwatched:
        """Stop following a job.

        Its history stays, and discovery does not begin with it again.
        """
        job = self.means.key(key, "query.key")
        if not self.means.heads.unfollow(job, self.means.wall()):
            raise unknown("job", f"{job} is not known here: there is nothing to stop.")
        return Unwatched(key=str(job), watched=False)

    def _checked(self, texts: Sequence[str]) -> list[JobKey]:
        keys: dict[JobKey, None] = {}
        mistakes = []
        for number, text in enumerate(texts):
            try:
                keys[self.means.watches.key(text)] = None
            except WatchRefused as error:
                mistakes.append(Mistake(where=f"body.keys.{number}", what=str(error)))
        if mistakes:
            raise refused(
                "watch-refused",
                "Jobs cannot be followed here",
                f"{len(mistakes)} of {len(texts)} keys are refused; none of the jobs is followed.",
                mistakes,
            )
        return list(keys)

    def _labels(self, labels: dict[str, str]) -> dict[str, str]:
        try:
            check_labels(labels)
        except WatchRefused as error:
            mistake = Mistake(where="body.labels", what=str(error))
            raise refused("watch-refused", "Jobs cannot be followed so", "None of them is.", [mistake]) from None
        return labels


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of jobs."""

    means: Means

    def jobs(  # noqa: PLR0917 - Powertools passes them by name
        self,
        connection: ConnectionAsked = None,
        vendor: VendorAsked = None,
        state: StatesAsked = None,
        since: SinceAsked = None,
        limit: Limit = DEFAULT,
        cursor: CursorAsked = None,
    ) -> Jobs:
        """List the jobs that are known, the last changed first.

        A job that changes while you page moves to the top, before what you have read.
        """
        states = sorted(set(state or STATES))
        question = Question("jobs", (connection, vendor, states, since))
        place = question.place(cursor, 2)
        if place:
            is_moment(place[0])
        begin = moment(since, self.means.wall()) if since else None
        connections = self.means.narrowed(connection, vendor)
        heads = self.means.heads.newest(connections, states, begin, place[0] if place else None)
        found = list(itertools.islice(_behind(heads, place), limit + 1))
        last = found[limit - 1] if len(found) > limit else None
        following = question.cursor(last.changed_at, str(last.key)) if last else None
        return _jobs([job_json(head) for head in self.means.heads.whole(found[:limit])], following)

    def job(self, key: KeyAsked) -> JobStanding:
        """Show how a job stands."""
        return JobStanding.model_validate(job_json(self.means.head(key, "query.key")))

    def history(self, key: KeyAsked, limit: Limit = DEFAULT, cursor: CursorAsked = None) -> Changes:
        """List every change a job was seen in, oldest first."""
        head = self.means.head(key, "query.key")
        question = Question("history", (str(head.key),))
        place = question.place(cursor, 1)
        entries = self.means.entries.of(head.key, is_version(place[0]) if place else 0)
        found = list(itertools.islice(entries, limit + 1))
        following = question.cursor(str(found[limit - 1].version)) if len(found) > limit else None
        return Changes.model_validate({"items": [change_json(entry) for entry in found[:limit]], "next": following})


def _jobs(items: list[dict[str, object]], following: str | None) -> Jobs:
    return Jobs.model_validate({"items": items, "next": following})


def _from(slots: list[Slot], place: Sequence[str]) -> tuple[list[Slot], JobKey]:
    """What is left of the slots from a place on, and the job behind which it goes on."""
    try:
        slot, key = Slot.read(place[0]), JobKey.parse(place[1])
        return slots[slots.index(slot) :], key
    except (ValueError, InvalidJobKey):
        raise bad_cursor("The connection it leads to is no longer configured.") from None


def _behind(heads: Iterable[Head], place: Sequence[str] | None) -> Iterator[Head]:
    """Heads of one moment by their keys; those behind the place only."""
    for changed_at, together in itertools.groupby(heads, key=lambda head: head.changed_at):
        for head in sorted(together, key=lambda head: str(head.key)):
            if not place or changed_at != place[0] or str(head.key) > place[1]:
                yield head


def _refused(items: Iterable[tuple[JobKey, WatchRefused]], so: str) -> Wrong:
    mistakes = [Mistake(where="body.keys", what=str(error)) for _, error in items]
    return refused("watch-refused", "Jobs cannot be followed so", f"{len(mistakes)} are refused. {so}", mistakes)
