"""Bursts: when one sweep has much news for a destination, one message tells all of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pollbridge.history.connections import Connections
from pollbridge.history.timeline import Timeline, Told
from pollbridge.matching import mismatch
from pollbridge.model.instant import epoch_minute, from_minute, read_iso
from pollbridge.notifying.notice import Notice, NotYet
from pollbridge.routing import SOURCE

FEW = 10
"""Up to so many changes of one sweep are told one by one."""

MANY = 500
"""What one message tells at most; a reader sees the worst of them and how many there are. More are told in several."""

TOGETHER = 3
"""Attempts that are made of a burst as one. Then each event goes alone: Slack may just not like the list."""

PROMPT = timedelta(seconds=10)
"""A change waits no longer than that to see how many others its sweep finds."""

WHOLE = timedelta(seconds=75)
"""A sweep that found many is surely over after that."""

LOOK_AGAIN = timedelta(seconds=2)
MINUTE = timedelta(seconds=59, milliseconds=999)


@dataclass(frozen=True, slots=True)
class Bursts:
    """Looks in the history what else a notice's sweep found for this destination."""

    timeline: Timeline
    connections: Connections
    pattern: Mapping[str, Any]
    """What the destination hears of."""

    def around(self, notice: Notice, age: timedelta, tries: int) -> Sequence[Notice]:
        """The notice alone, or all of its burst in the order of their moments. Raises NotYet while it can't be told.

        A sweep stands for a minute, and its changes are observed in it: those of one connection in one minute count
        as one sweep's.
        """
        alone = notice.resent or tries >= TOGETHER
        match notice.about, alone, notice.detail:
            case "job", False, {"connection": str(connection), "observed_at": str(observed_at)}:
                return self._together(notice, connection, epoch_minute(read_iso(observed_at)), age)
        return [notice]

    def _together(self, notice: Notice, connection: str, minute: int, age: timedelta) -> Sequence[Notice]:
        over = (self.connections.get(connection).completed or 0) >= minute
        if not over and age < PROMPT:
            raise NotYet(LOOK_AGAIN)
        burst = self._found_in(from_minute(minute), connection)
        if len(burst) <= FEW:
            return [notice]
        if not over and age < WHOLE:
            raise NotYet(LOOK_AGAIN)
        ids = [each.event_id for each in burst]
        if notice.event_id not in ids:
            return [notice, *burst[: MANY - 1]]
        first = ids.index(notice.event_id) // MANY * MANY
        return burst[first : first + MANY]

    def _found_in(self, minute: datetime, connection: str) -> list[Notice]:
        told = map(_notice, self.timeline.oldest_first(minute, minute + MINUTE))
        return [
            notice
            for notice in told
            if notice.about == "job" and notice.detail["connection"] == connection and self._hears_of(notice)
        ]

    def _hears_of(self, notice: Notice) -> bool:
        event = {"source": SOURCE, "detail-type": notice.detail_type, "detail": notice.detail}
        return mismatch(self.pattern, event) is None


def _notice(told: Told) -> Notice:
    return Notice(told.detail_type, json.loads(told.event))
