"""What became of events on their way, and having them sent once more."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from aws_lambda_powertools.event_handler.openapi.params import Body

from pollbridge.api.means import Means
from pollbridge.api.paging import DEFAULT, Question, is_moment, is_version
from pollbridge.api.parameters import (
    CursorAsked,
    DestinationAsked,
    EventAsked,
    FailedAsked,
    JobAsked,
    Limit,
    SinceAsked,
    moment,
)
from pollbridge.api.problems import Mistake, Wrong, refused, unknown
from pollbridge.api.shapes import Deliveries, Resending, ResendWish
from pollbridge.history.heads import Head
from pollbridge.history.ledger import KEEP, Claimed, Delivery
from pollbridge.history.timeline import DAY, Timeline, Told
from pollbridge.model.event import event_id as id_of
from pollbridge.model.instant import iso
from pollbridge.notifying.outcomes import CHUNK, NOT_ARRIVED, RECENT, Outcome, Outcomes
from pollbridge.observability import logger
from pollbridge.views import delivery_json

BEHIND_ALL = "~"
"""Sorts behind every destination's name."""

LOOKED_THROUGH = 20_000
"""Events among which one is looked for by its id alone."""

AT_ONCE = 8
"""Destinations whose dead letters are looked through at a time."""

TIDYING = 5
"""Seconds after which nobody waits for them any longer, before the sending and after it: a function has thirty for
all."""

LOOKED_UP = 5000
"""Deliveries that are looked up for one page. What is rare may be far between: then a page is short."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Delivering:
    """Deliveries."""

    means: Means

    def deliveries(  # noqa: PLR0917 - Powertools passes them by name
        self,
        job: JobAsked = None,
        to: DestinationAsked = None,
        failed: FailedAsked = False,
        since: SinceAsked = None,
        limit: Limit = DEFAULT,
        cursor: CursorAsked = None,
    ) -> Deliveries:
        """List deliveries with their attempts, the newest events first.

        A delivery is listed from the moment it is first taken up. Without `job`, only a week is looked through
        unless `since` says more. A page may be short, even empty, while there are others.
        """
        names = self.means.destinations(to)
        question = Question("deliveries", (job, to, failed, since))
        place = question.place(cursor, 2)
        begin = place[0] if place else None
        outcomes = Outcomes(self.means.table, self.means.entries, names)
        # Older deliveries are on nobody's record.
        oldest = self.means.wall() - KEEP - DAY
        told = max(oldest, moment(since, self.means.wall())) if since else None
        if job is not None:
            head = self.means.head(job, "query.job")
            every = outcomes.of_job(head.key, told or oldest, str(is_version(begin)) if begin else None)
        else:
            now = self.means.now()
            every = outcomes.recent(told or now - RECENT, now, is_moment(begin) if begin else None)
        page = Page(limit, failed, after=(place[0], place[1]) if place else None)
        following = page.read(every, at_most=max(CHUNK, LOOKED_UP // max(len(names), 1)))
        items = [delivery_json(delivery) for delivery in page.items]
        return Deliveries.model_validate({"items": items, "next": question.cursor(*following) if following else None})

    def resend(self, event_id: EventAsked, wish: Annotated[ResendWish | None, Body()] = None) -> Resending:
        """Have an event delivered once more, also past a finished delivery, under the same id.

        It goes to every destination whose match lets it through, or to the one that is named. Name the job where
        you know it: without it the event is looked for from the newest on.
        """
        wish = wish or ResendWish()
        named = self.means.destinations(wish.to) if wish.to is not None else None
        told = self._found(event_id, wish.job)
        resending = self.means.resending
        configured = self.means.configuration.destinations
        names = named or [name for name in sorted(configured) if resending.hears_of(name)(told)]
        if not names:
            raise _not_sent("No destination's match lets it through: name one with `to`.")
        items = self._all_sent(told, names)
        if not any(item["resent"] for item in items):
            mistakes = [Mistake(where=str(item["destination"]), what=str(item["why"])) for item in items]
            raise _not_sent("`errors` says why, by destination.", mistakes)
        return Resending.model_validate({"event_id": event_id, "items": items})

    def _found(self, event_id: str, job: str | None) -> Told:
        if job is not None:
            head = self.means.head(job, "body.job")
            if told := self._of_job(head, event_id):
                return told
            raise unknown("event", f"{event_id} is not in the history of {head.key}.")
        now = self.means.now()
        recent = Timeline(self.means.table).newest_first(now - KEEP, now)
        for told in itertools.islice(recent, LOOKED_THROUGH):
            if told.event_id == event_id:
                return told
        raise unknown("event", f"{event_id} is not among the last {KEEP.days} days' events: name its `job`.")

    def _of_job(self, head: Head, event_id: str) -> Told | None:
        for version in range(head.version, 0, -1):
            if id_of(head.key, head.incarnation, version) == event_id:
                entry = self.means.entries.get(head.key, version)
                return Told(entry.pk, entry.event_id, entry.detail_type, entry.event) if entry else None
        return None

    def _all_sent(self, told: Told, names: Sequence[str]) -> list[dict[str, Any]]:
        """Send it to each, and take out of the dead letters what was there before."""
        letters = {name: self.means.resending.dead_letters(name) for name in names}
        held = self._at_once(told, names, lambda name: letters[name].hold_near(told.event_id))
        items = list[dict[str, Any]]()

        def settle(name: str) -> None:
            resent = any(item["destination"] == name and item["resent"] for item in items)
            (letters[name].delete_held if resent else letters[name].put_back)(held[name])

        try:
            for name in names:
                items.append({"destination": name, **self._sent(told, name)})
        finally:
            self._at_once(told, [name for name in held if held[name]], settle)
        return items

    def _sent(self, told: Told, name: str) -> dict[str, Any]:
        resending = self.means.resending
        if since := resending.disabled(name):
            return {"resent": False, "why": f"disabled since {iso(since)}: run `pollbridge enable {name}` first"}
        try:
            resending.send(told, name, self.means.wall())
        except Claimed:
            return {"resent": False, "why": "it is being delivered at this moment"}
        logger().info("resent", extra=_about(told, name))
        return {"resent": True, "why": None}

    def _at_once(self, told: Told, names: Sequence[str], do: Callable[[str], T]) -> dict[str, T]:
        """Do that with the dead letters of each, as far as it goes: the event is sent whatever becomes of them."""
        pool = ThreadPoolExecutor(AT_ONCE)
        begun = {name: pool.submit(do, name) for name in names}
        done, _ = wait(begun.values(), TIDYING)
        pool.shutdown(wait=False, cancel_futures=True)
        results: dict[str, T] = {}
        for name, future in begun.items():
            error = future.exception() if future in done else TimeoutError(f"not done within {TIDYING} seconds")
            if error:
                logger().warning("dead letters stay", exc_info=error, extra=_about(told, name))
            else:
                results[name] = future.result()
        return results


def _about(told: Told, destination: str) -> dict[str, str]:
    about = {"job": told.pk.removeprefix("JOB#")} if told.pk.startswith("JOB#") else {}
    return {**about, "event_id": told.event_id, "destination": destination}


def _not_sent(detail: str, mistakes: Iterable[Mistake] = ()) -> Wrong:
    return refused("not-resent", "The event was not sent again", detail, mistakes)


class Page:
    """A page of deliveries, filled from outcomes."""

    def __init__(self, limit: int, failed: bool, after: tuple[str, str] | None) -> None:
        self.limit, self.failed, self.after = limit, failed, after
        self.items: list[Delivery] = []

    def read(self, outcomes: Iterable[Outcome], at_most: int) -> tuple[str, str] | None:
        """Take what belongs on it from so many outcomes. Returns the place it ends at if there may be more."""
        last = None
        for number, outcome in enumerate(outcomes, 1):
            for delivery in filter(self._belongs, outcome.deliveries):
                place = (outcome.place, delivery.destination)
                if self.after and place[0] == self.after[0] and place[1] <= self.after[1]:
                    continue
                if len(self.items) == self.limit:
                    return last
                self.items.append(delivery)
                last = place
            if number == at_most:
                return (outcome.place, BEHIND_ALL)
        return None

    def _belongs(self, delivery: Delivery) -> bool:
        return not self.failed or delivery.status in NOT_ARRIVED
