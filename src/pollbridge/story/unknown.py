"""Why a job is not known: nobody registered it, and no list has shown it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

from pollbridge.config import Configuration
from pollbridge.history.connections import Connections
from pollbridge.history.discoveries import Discoveries
from pollbridge.history.heads import job_key, job_pk
from pollbridge.history.table import BATCH, HEAD, Table, key
from pollbridge.model.instant import from_minute, read_iso
from pollbridge.model.job import InvalidJobKey, JobKey
from pollbridge.story.polls import Remark, When


@dataclass(frozen=True, slots=True)
class Unknown:
    """A job that there is no head of."""

    key: JobKey
    remarks: tuple[Remark, ...]
    like: tuple[JobKey, ...]
    """Known jobs of that id, in another scope or of another kind."""

    @property
    def verdict(self) -> str:
        return f"{self.key} is not known here: nobody registered it, and no list has shown it."


@dataclass(frozen=True, slots=True)
class Unknowns:
    """Looks for why a job is not known."""

    table: Table
    configuration: Configuration
    refused: Callable[[], int | None]
    """How many requests to watch a job the registrar could not follow; None where its queue cannot be asked."""
    when: When

    def of(self, job: JobKey) -> Unknown:
        like = self._like(job)
        return Unknown(job, (*_instead(like), *self._remarks(job)), like)

    def _remarks(self, job: JobKey) -> Iterator[Remark]:
        yield Remark(
            "not_registered", "nobody registered it by command, API or event", f"to follow it: pollbridge watch {job}"
        )
        if refused := self.refused():
            many = "a request to watch a job lies" if refused == 1 else f"{refused} requests to watch jobs lie"
            do = "the registrar's log says why each was refused; pollbridge doctor"
            yield Remark("refused", f"{many} among what the registrar could not follow: this one may be there", do)
        yield self._listed(job)
        ailment = Connections(self.table).get(job.connection).health.of(job.scope)
        if ailment:
            says = f"{job.connection} brings no answers since {self.when(read_iso(ailment.since))}: {ailment.error}"
            yield Remark(ailment.reason.value, says, "pollbridge doctor")

    def _listed(self, job: JobKey) -> Remark:
        settings = self.configuration.vendors[job.connection]
        if settings.vendor.kinds[job.kind].listing is None:
            says = f"{settings.type} lists no jobs of the kind {job.kind}: each has to be registered"
            return Remark("not_listed", says)
        if job.scope not in settings.scopes:
            known = f"it reads {', '.join(settings.scopes)}" if settings.scopes else "none is configured"
            says = f"the lists of its scope are not read: {known}"
            return Remark("scope", says, f'add "{job.scope}" to scopes in [vendors.{job.connection}] and deploy')
        found = Discoveries(self.table).get(job.connection, job.scope)
        if found is None:
            return Remark("list_unread", "the list of its scope was not read yet", "if it stays so: pollbridge doctor")
        if not found.baseline_done:
            says = "the first reading of its scope's list is not at its end: it may stand there"
            return Remark("list_unfinished", says, "if it stays so: pollbridge doctor")
        ended = f" to its end at {self.when(from_minute(found.full_at))}" if found.full_at is not None else ""
        every = int(settings.cadence.discovery.total_seconds()) // 60
        says = f"the list of its scope is read every {every} min, last{ended}, and has not shown it"
        return Remark("list_read", says, "is the id right? The vendor may show it to other keys only")

    def _like(self, job: JobKey) -> tuple[JobKey, ...]:
        """By a batch of their heads: the same id in the other kinds and configured scopes of such connections."""
        vendors = self.configuration.vendors
        type_ = vendors[job.connection].type
        keys = [
            key(job_pk(near), HEAD)
            for name, settings in vendors.items()
            if settings.type == type_
            for kind, scope in product(settings.vendor.kinds, dict.fromkeys((job.scope, *settings.scopes)))
            for near in _near(name, kind, scope, job)
        ]
        found = self.table.batch(keys[:BATCH], ("PK",)) if keys else ()
        return tuple(sorted(job_key(item["PK"]["S"]) for item in found))


def _near(connection: str, kind: str, scope: str, job: JobKey) -> Iterator[JobKey]:
    try:
        near = JobKey(connection, kind, scope, job.id)
        str(near)
    except InvalidJobKey:
        return
    if near != job:
        yield near


def _instead(like: tuple[JobKey, ...]) -> Iterator[Remark]:
    if like:
        yield Remark("like", f"known is {', '.join(map(str, like))}", f"pollbridge explain {like[0]}")
