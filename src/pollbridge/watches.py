"""Registering jobs: which keys may be watched in this deployment, and following them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from pollbridge.config import Configuration
from pollbridge.history.connections import Connections
from pollbridge.history.heads import LABELS_LIMIT, Heads, TooManyLabels
from pollbridge.model.job import InvalidJobKey, JobKey

LABEL_NAME_LIMIT = 64
LABEL_VALUE_LIMIT = 256
"""Bytes."""


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
        """A printed key as the job it names, in its one spelling. Raises WatchRefused."""
        try:
            key = JobKey.parse(text)
        except InvalidJobKey as error:
            raise WatchRefused(f"{text!r} is no job key: {error}") from None
        connection = self.configuration.vendors.get(key.connection)
        if connection is None:
            known = ", ".join(self.configuration.vendors)
            raise WatchRefused(f"{text!r}: there is no connection {key.connection!r} here; configured: {known}")
        kind = connection.vendor.kinds.get(key.kind)
        if kind is None:
            known = ", ".join(connection.vendor.kinds)
            raise WatchRefused(f"{text!r}: {connection.type} has no kind {key.kind!r}; it has: {known}")
        return kind.key(key)

    def watch(self, key: JobKey, labels: Mapping[str, str], wall: datetime) -> bool:
        """Follow a job; True if it was not followed before. Raises WatchRefused."""
        check_labels(labels)
        try:
            return self.heads.follow(key, labels, self.connections.clock([key.connection], wall))
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


def check_labels(labels: Mapping[str, str]) -> None:
    """Raises WatchRefused."""
    if len(labels) > LABELS_LIMIT:
        raise WatchRefused(f"{len(labels)} labels: a job has at most {LABELS_LIMIT}")
    for name, value in labels.items():
        if not _encodes(name + value):
            raise WatchRefused(f"label {name!r}: is not valid UTF-8")
        if not name or len(name.encode()) > LABEL_NAME_LIMIT:
            raise WatchRefused(f"label {name!r}: a name has 1 to {LABEL_NAME_LIMIT} bytes")
        if len(value.encode()) > LABEL_VALUE_LIMIT:
            raise WatchRefused(f"label {name!r}: a value has at most {LABEL_VALUE_LIMIT} bytes")


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
