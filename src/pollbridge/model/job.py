"""Jobs: their keys, the states they are seen in, and the normalized snapshot of one vendor answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, Self
from urllib.parse import quote, unquote

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

# By itself so that commands can name the states without loading pydantic; whoever knows jobs finds it here.
from pollbridge.model.state import State as State  # noqa: PLC0414

KEY_LIMIT = 960
"""Bytes of a printed job key. Behind a moment it is a sort key of the timeline, and DynamoDB's hold 1,024."""

TEXT_LIMIT = 4096
"""Bytes of JSON of `error` and of `message`; with the limits below a snapshot stays under 32 KB."""

NAME_LIMIT = 512
WORD_LIMIT = 200
TIME_LIMIT = 64
HREF_LIMIT = 2048
LINKS_LIMIT = 4
CHILD_TEXT_LIMIT = 96
CHILDREN_LIMIT = 100
CHILDREN_BYTES = 12 * 1024

INT64 = 2**63


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class InvalidJobKey(ValueError):
    """The text is no job key; the message names what to mend."""


@dataclass(frozen=True, slots=True, order=True)
class JobKey:
    """The printable name of a job: `<connection>/<kind>/<scope>/<id>`, parts percent-encoded.

    Scope and id are opaque: any non-empty text but `.` and `..`, which no URL path can carry.
    """

    connection: str
    kind: str
    scope: str
    id: str

    def __post_init__(self) -> None:
        named = {"connection": self.connection, "kind": self.kind, "scope": self.scope, "id": self.id}
        for part, value in named.items():
            if not value or value in {".", ".."}:
                raise InvalidJobKey(f"its {part} is {value!r}, which cannot name anything")
        parts = self.connection + self.kind + self.scope + self.id
        # An ASCII character takes at most three bytes, %XX: most keys need not be printed to be short enough.
        if not (parts.isascii() and 3 * len(parts) + 3 <= KEY_LIMIT) and len(str(self).encode()) > KEY_LIMIT:
            long = (f"its {part}" for part, value in named.items() if len(quote(value, safe="")) > KEY_LIMIT)
            raise InvalidJobKey(f"{next(long, 'it')} is longer than {KEY_LIMIT} bytes, percent-encoded")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a printed key. Raises InvalidJobKey."""
        parts = text.split("/")
        if len(parts) != 4:
            number = "1 part" if len(parts) == 1 else f"{len(parts)} parts"
            raise InvalidJobKey(f"it has {number}, not the four of <connection>/<kind>/<scope>/<id>")
        return cls(*(_decode(part) for part in parts))

    def askable(self) -> Self:
        """The key, if a request can carry it. Raises InvalidJobKey: no header holds control characters, nor any URL."""
        for part, value in (("scope", self.scope), ("id", self.id)):
            if _CONTROL.search(value):
                raise InvalidJobKey(f"its {part} holds a control character, which no request can carry")
        return self

    def __str__(self) -> str:
        try:
            return "/".join(quote(part, safe="") for part in (self.connection, self.kind, self.scope, self.id))
        except UnicodeEncodeError:
            raise InvalidJobKey("it is not valid UTF-8") from None


def _decode(part: str) -> str:
    if "%" not in part:
        return part
    if re.search(r"%(?![0-9A-Fa-f]{2})", part):
        raise InvalidJobKey(f"{part!r} holds a % that starts no percent-encoded byte")
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise InvalidJobKey(f"{part!r} does not decode to UTF-8") from None


def clip(text: str, limit: int) -> str:
    """The text, cut to `limit` bytes of UTF-8 with an ellipsis when it is longer."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return raw.decode()
    return raw[: limit - 3].decode("utf-8", "ignore") + "…"


def clipped(limit: int) -> BeforeValidator:
    """Cuts a text field to what takes `limit` bytes of JSON; anything else is left for the field's type to judge."""
    return BeforeValidator(lambda value: _fit(value, limit) if isinstance(value, str) else value)


_WHOLE = re.compile(r"(?:[^\\]|\\[^u]|\\u[0-9a-f]{4})*")
"""The inside of a JSON string, up to its last whole character."""


def _fit(text: str, limit: int) -> str:
    text = clip(text, limit)
    written = json.dumps(text, ensure_ascii=False)[1:-1].encode()
    if len(written) <= limit:
        return text
    whole = _WHOLE.match(written[: limit - 3].decode("utf-8", "ignore"))
    assert whole  # nothing at all matches too
    kept: str = json.loads(f'"{whole[0]}"')
    return kept + "…"


def _count(value: Any) -> int | None:
    """A vendor's counter: a whole number within 0 … 2^63-1 (more breaks PutEvents), else nothing."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < INT64 else None


Count = Annotated[int | None, BeforeValidator(_count)]
Text = Annotated[str, clipped(TEXT_LIMIT)]
Word = Annotated[str, clipped(WORD_LIMIT)]
When = Annotated[str, clipped(TIME_LIMIT)]


class Fact(BaseModel):
    """Base of what is recorded: unchangeable once made."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Progress(Fact):
    """How many parts of a job stand where; null where the vendor doesn't tell."""

    total: Count = None
    succeeded: Count = None
    failed: Count = None
    pending: Count = None
    retrying: Count = None
    cancelled: Count = None

    @property
    def done(self) -> int:
        return (self.succeeded or 0) + (self.failed or 0) + (self.cancelled or 0)

    @property
    def tenth(self) -> int:
        """0 … 10: how many whole tenths of `total` are done."""
        return min(10, self.done * 10 // self.total) if self.total else 0


class Link(Fact):
    """A web address the vendor gave, unaltered; `rel` says what it leads to (`pull_request`, …)."""

    rel: str
    href: str


class Child(Fact):
    """One part of a job, as far as the vendor names it: a child job of Scale, a to-do of Mintlify."""

    id: Annotated[str | None, clipped(CHILD_TEXT_LIMIT)] = None
    status: Annotated[str | None, clipped(CHILD_TEXT_LIMIT)] = None
    title: Annotated[str | None, clipped(CHILD_TEXT_LIMIT)] = None


class Children(Fact):
    """How many children stand under each vendor word, and the first of them: at most a hundred, and 12 KB."""

    counts: dict[str, int] = Field(default_factory=dict)
    entries: tuple[Child, ...] = ()

    @classmethod
    def of(cls, children: list[Child]) -> Children | None:
        if not children:
            return None
        counts: dict[str, int] = {}
        for child in children:
            word = child.status or "unknown"
            if word in counts or len(counts) < 16:
                counts[word] = counts.get(word, 0) + 1
        entries: list[Child] = []
        room = CHILDREN_BYTES
        for child in children[:CHILDREN_LIMIT]:
            room -= len(child.model_dump_json().encode()) + 1
            if room < 0:
                break
            entries.append(child)
        return cls(counts=counts, entries=tuple(entries))


class Snapshot(Fact):
    """What one vendor answer says of a job, in our words. At most 32 KB as JSON.

    Times are the vendor's, as ISO-8601 in UTC; one that could not be read stays as the vendor wrote it.
    """

    state: State
    vendor_status: Word | None = None
    name: Annotated[str | None, clipped(NAME_LIMIT)] = None
    progress: Progress | None = None
    links: Annotated[tuple[Link, ...], AfterValidator(lambda links: links[:LINKS_LIMIT])] = ()
    error: Text | None = None
    message: Text | None = None
    created_at: When | None = None
    started_at: When | None = None
    updated_at: When | None = None
    finished_at: When | None = None
    state_since: When | None = None
    """When the job came into this state, if the vendor says so."""
    children: Children | None = None
