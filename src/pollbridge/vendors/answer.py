"""The shape every vendor module has, and the lenient field types their models are made of.

A vendor's answer is read for the few fields we need. A field of an unexpected type is worth less than
the state beside it: it becomes null (or its own text) instead of failing the poll.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from pollbridge.model.job import HREF_LIMIT, JobKey, Link, Snapshot, State


class NoAnswer(ValueError):
    """The body says nothing of this job: not JSON, no object, no id, or another job's. Nothing is recorded."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a vendor; `path` is already percent-encoded and goes behind the connection's base URL."""

    path: str
    headers: Mapping[str, str]
    method: str = "GET"
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard a vendor may be asked: requests per second and per minute, and requests open at once."""

    per_second: float
    per_minute: float
    concurrency: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What one body says: the id of the job it is about, as the vendor wrote it, and its snapshot."""

    id: str
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Listed(Seen):
    """One entry of a list. `body` is the entry as JSON, personal data and all, to be recorded like any answer."""

    body: bytes

    @property
    def updated_at(self) -> str | None:
        """When the vendor says the job last changed; as the vendor wrote it where it can't be read."""
        return self.snapshot.updated_at


@dataclass(frozen=True, slots=True)
class Page:
    """What one answer of a list says: its jobs in the vendor's order, and how to ask for the rest."""

    jobs: tuple[Listed, ...]
    next: str | None
    """The token of the next page, None after the last; as the vendor says, even where it goes in a circle."""
    unreadable: int = 0
    """Entries passed over because they are no job with an id."""


@dataclass(frozen=True, slots=True)
class Listing:
    """How a vendor lists the jobs of a scope, page by page. Pure: no I/O, no clock.

    An entry says all that the job's own answer does, and so counts as its poll.
    """

    request: Callable[[str, str | None], Request]
    """For a scope and the token that the page before it gave; None for the first page."""
    parse: Callable[[bytes, str | None], Page]
    """Reads the page that was asked for with that token. Raises NoAnswer if the body is no list."""
    by_update: bool = False
    """Whether the jobs that changed last come first."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job of a vendor. Pure: no I/O, no clock."""

    request: Callable[[JobKey], Request]
    parse: Callable[[bytes], Seen]
    """Raises NoAnswer."""
    canonical: Callable[[str], str] = str
    """One spelling for the ids and scopes that the vendor treats as equal."""
    version: int = 1
    """Raised when `parse` reads more out of the same bytes, so that unchanged bodies are read again."""
    listing: Listing | None = None
    """None where the vendor lists no jobs of this kind."""

    def key(self, key: JobKey) -> JobKey:
        """The key with scope and id in their one spelling."""
        return JobKey(key.connection, key.kind, self.canonical(key.scope), self.canonical(key.id))

    def body_hash(self, body: bytes) -> str:
        """The same as long as the same bytes are read the same way."""
        return hashlib.blake2b(body, digest_size=8, salt=self.version.to_bytes(2)).hexdigest()

    def answer(self, key: JobKey, body: bytes) -> Snapshot:
        """The snapshot, if the body is about that job. Raises NoAnswer."""
        seen = self.parse(body)
        if self.canonical(seen.id) != key.id:
            raise NoAnswer("it is about another job")
        return seen.snapshot


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor: where it lives, how hard it may be asked, which kinds of job it has."""

    name: str
    base_url: str
    limits: Limits
    kinds: Mapping[str, Kind]
    headers: tuple[str, ...]
    """The request headers its documentation asks for: what its secret holds."""

    def scope(self, text: str) -> str:
        """A scope in its one spelling, which is the same for all kinds."""
        [canonical] = {kind.canonical for kind in self.kinds.values()}
        return canonical(text)


class Answer(BaseModel):
    """Base of the vendors' models: reads the documented fields, ignores all others."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


A = TypeVar("A", bound=Answer)


def read(model: type[A], body: bytes) -> A:
    """The body as the vendor's model. Raises NoAnswer in one line that shows none of the body."""
    try:
        return model.model_validate_json(_whole(body))
    except ValidationError as error:
        raise no_answer(error) from None


def no_answer(error: ValidationError) -> NoAnswer:
    """The first thing that is wrong, in one line that shows none of the body."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(step) for step in first["loc"])
    return NoAnswer(f"{where}: {first['msg']}" if where else first["msg"])


def _whole(body: bytes) -> bytes:
    """The body with `?` for lone surrogates: what JavaScript's JSON.stringify writes of a text cut within an emoji."""
    if not re.search(rb"\\u[dD][89a-fA-F]", body):
        return body
    try:
        return json.dumps(json.loads(body), ensure_ascii=False).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return body


def segment(text: str) -> str:
    """One segment of a URL path."""
    return quote(text, safe="")


UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def lower_uuid(text: str) -> str:
    """UUIDs are equal whatever their case (RFC 9562, 4); what is no UUID stays as it is."""
    return text.lower() if UUID.fullmatch(text) else text


_WHEN = re.compile(
    r"(?P<seconds>\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:[.,](?P<fraction>\d{0,9}))?\s*(?P<offset>[Zz]|[+-]\d\d:?\d\d)?",
    re.ASCII,
)


def _when(value: Any) -> str | None:
    """ISO-8601 with 0 to 9 fraction digits; no offset means UTC. What can't be read stays as it is written."""
    if not isinstance(value, str) or not value:
        return None
    match = _WHEN.fullmatch(value.strip())
    if not match:
        return value
    try:
        moment = datetime.fromisoformat(match["seconds"].replace("t", "T")).replace(tzinfo=_offset(match["offset"]))
        utc = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return value
    fraction = (match["fraction"] or "").rstrip("0")
    return f"{utc.replace(tzinfo=None).isoformat()}{'.' + fraction if fraction else ''}Z"


def _offset(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _identifier(value: Any) -> str | None:
    if type(value) is int:
        return str(value)
    return value if isinstance(value, str) and value else None


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _list_of(kind: type) -> Callable[[Any], list[Any]]:
    return lambda value: [entry for entry in value if isinstance(entry, kind)] if isinstance(value, list) else []


Identifier = Annotated[str | None, BeforeValidator(_identifier)]
"""An id; a number is its digits."""
Status = Annotated[str | None, BeforeValidator(_text)]
"""The vendor's word, verbatim; null when there is none; anything else is its JSON text."""
Prose = Annotated[str | None, BeforeValidator(lambda value: _text(value) or None)]
"""An error or message: text, or the JSON text of whatever the vendor sent instead; an empty text is none."""
String = Annotated[str | None, BeforeValidator(_string)]
Moment = Annotated[str | None, BeforeValidator(_when)]
Flag = Annotated[bool, BeforeValidator(lambda value: value is True)]
Objects = BeforeValidator(_list_of(dict))
"""A list of objects; anything else in it, or in its place, is passed over."""
Object = BeforeValidator(lambda value: value if isinstance(value, dict) else None)


def named(identifier: str | None, field: str) -> str:
    """The id the body gives. Raises NoAnswer when there is none: such a body could be any job's."""
    if identifier is None:
        raise NoAnswer(f"no {field} in it")
    return identifier


def states(table: Mapping[str, State], status: str | None) -> State:
    """Our state for a vendor's word; a word not in the table, or none, is `unknown` and never an outcome."""
    return table.get(status, State.UNKNOWN) if status is not None else State.UNKNOWN


def link(rel: str, href: str | None) -> tuple[Link, ...]:
    """The link if it is a web address short enough to show, else none."""
    if not href or len(href.encode()) > HREF_LIMIT or not re.fullmatch(r"https?://[^\s<>\"\\\x00-\x20\x7f]+", href):
        return ()
    return (Link(rel=rel, href=href),)
