"""Registering jobs: which keys may be watched in this deployment, and following them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from pollbridge.config import Configuration
from pollbridge.history.connections import Connections
from pollbridge.history.heads import LABELS_LIMIT, Heads, TooManyLabels
from pollbridge.history.table import LostRace
from pollbridge.model.job import InvalidJobKey, JobKey, clip

LABEL_NAME_LIMIT = 64
LABEL_VALUE_LIMIT = 256
"""Bytes."""

KEY_TOLD = 200
"""Bytes of a refused key that an error shows."""

LABEL_TOLD = 16
"""Bytes of a refused label's name that an error shows."""

AT_ONCE = 16
"""Jobs that are registered at a time: half of what the client's pool of connections holds."""


class WatchRefused(ValueError):
    """The job cannot be watched here; the message is one line that names what to mend."""


class WatchRequest(BaseModel):
    """The detail of a `Job Watch Requested` event."""

    model_config = ConfigDict(extra="ignore", strict=True)

    key: str
    labels: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Watches:
    """The jobs this deployment follows."""

    configuration: Configuration
    heads: Heads
    connections: Connections

    def key(self, text: str) -> JobKey:
        """A printed key as the job it names, in its one spelling, which can be asked for. Raises WatchRefused."""
        try:
            return self._spelled(text).askable()
        except InvalidJobKey as error:
            raise WatchRefused(f"{clip(text, KEY_TOLD)!r} is no job key: {error}") from None

    def _spelled(self, text: str) -> JobKey:
        """Raises InvalidJobKey, or WatchRefused."""
        key = JobKey.parse(text)
        connection = self.configuration.vendors.get(key.connection)
        if connection is None:
            known = ", ".join(self.configuration.vendors)
            raise WatchRefused(f"{text!r}: there is no connection {key.connection!r} here; configured: {known}")
        kind = connection.vendor.kinds.get(key.kind)
        if kind is None:
            known = ", ".join(connection.vendor.kinds)
            raise WatchRefused(f"{text!r}: {connection.type} has no kind {key.kind!r}; it has: {known}")
        return kind.key(key)

    def known(self, text: str) -> JobKey:
        """The same for what is only read or ended: also a job that is followed and could not be watched any more."""
        try:
            return self.key(text)
        except WatchRefused as refused:
            try:
                key = JobKey.parse(text)
                with suppress(WatchRefused):
                    key = self._spelled(text)
            except InvalidJobKey:
                raise refused from None
            if self.heads.get(key) is None:
                raise
            return key

    def watch(self, key: JobKey, labels: Mapping[str, str], wall: datetime) -> bool:
        """Follow a job; True if it was not followed before. Raises WatchRefused."""
        check_labels(labels)
        return self.follow(key, labels, self.connections.clock([key.connection], wall))

    def follow(self, key: JobKey, labels: Mapping[str, str], now: datetime) -> bool:
        """The same for labels that were checked, and by a clock that was asked. Raises WatchRefused."""
        try:
            return self.heads.follow(key, labels, now)
        except TooManyLabels as error:
            raise WatchRefused(f"{key}: {error}") from None

    def request(self, detail: object, wall: datetime) -> JobKey:
        """Follow the job that an event's detail asks for. Raises WatchRefused."""
        try:
            wanted = WatchRequest.model_validate(detail)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(step) for step in first["loc"])
            raise WatchRefused(f"detail.{where}: {first['msg']}" if where else f"detail: {first['msg']}") from None
        key = self.key(wanted.key)
        self.watch(key, wanted.labels, wall)
        return key


@dataclass(slots=True)
class Registration:
    """Many jobs to be followed with the same labels, some at a time.

    What became of each stays told here, however it ends. Following a job twice changes nothing, so one that was
    cut short can be made again as a whole.
    """

    watches: Watches
    keys: Sequence[JobKey]
    labels: Mapping[str, str]
    followed: dict[JobKey, bool] = field(default_factory=dict)
    """True for those that were not followed before."""
    refused: dict[JobKey, WatchRefused] = field(default_factory=dict)
    stopped: bool = False

    def stop(self) -> None:
        """Begin no other job. Made for a signal's handler: a KeyboardInterrupt amid a lock would leave it locked."""
        self.stopped = True

    def check(self, done: Callable[[], object]) -> None:
        """Refuse the jobs that have labels already and no room for these. `done` is called for each; writes nothing."""
        check_labels(self.labels)
        if self.labels:
            self._each(self._check, done)

    def follow(self, wall: Callable[[], datetime], done: Callable[[], object]) -> None:
        """Follow them, and call `done` for each. One that is refused does not stop the others.

        Whatever else goes wrong stops it, as `stop` does; the jobs that were begun are then finished first.
        """
        names = dict.fromkeys(key.connection for key in self.keys)
        begun = {name: self.watches.connections.clock([name], wall()) for name in names}

        def follow(key: JobKey) -> None:
            # The minutes go by while we register: a slot must not vouch for one in which nobody looked yet.
            now = max(wall(), begun[key.connection])
            try:
                self.followed[key] = self.watches.follow(key, self.labels, now)
            except WatchRefused as refused:
                self.refused[key] = refused
            except LostRace:
                self.refused[key] = WatchRefused(f"{key}: others keep writing to it; try again")

        self._each(follow, done)

    def _check(self, key: JobKey) -> None:
        head = self.watches.heads.get(key)
        count = len({**head.labels, **self.labels}) if head else 0
        if count > LABELS_LIMIT:
            told = f"{key}: the job would have {count} labels; {LABELS_LIMIT} is the most"
            self.refused[key] = WatchRefused(told)

    def _each(self, work: Callable[[JobKey], None], done: Callable[[], object]) -> None:
        def begin(key: JobKey) -> bool:
            if self.stopped:
                return False
            try:
                work(key)
            except BaseException:
                self.stopped = True
                raise
            return True

        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                for future in as_completed([pool.submit(begin, key) for key in self.keys]):
                    if future.result():
                        done()
            except BaseException:
                self.stopped = True
                raise


def check_labels(labels: Mapping[str, str]) -> None:
    """Raises WatchRefused. Labels are nobody's but the user's: at most the beginning of a name is told."""
    if len(labels) > LABELS_LIMIT:
        raise WatchRefused(f"{len(labels)} labels: a job has at most {LABELS_LIMIT}")
    for name, value in labels.items():
        told = f"label {clip(name, LABEL_TOLD)!r}"
        if not _encodes(name + value):
            raise WatchRefused(f"{told}: is not valid UTF-8")
        if not name or len(name.encode()) > LABEL_NAME_LIMIT:
            raise WatchRefused(f"{told}: a name has 1 to {LABEL_NAME_LIMIT} bytes")
        if len(value.encode()) > LABEL_VALUE_LIMIT:
            raise WatchRefused(f"{told}: a value has at most {LABEL_VALUE_LIMIT} bytes")


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
