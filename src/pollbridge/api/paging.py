"""Pages: a list is read on from where the page before it ended, by a cursor that only its own question takes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from pollbridge.api.problems import bad_cursor
from pollbridge.model.instant import EARLIEST, LATEST, read_iso, sortable
from pollbridge.model.job import KEY_LIMIT

DEFAULT, MOST = 50, 100
"""Items of a page. A hundred of the largest are well below the 6 MB that a function may answer:
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""


STRANGE = "It is none that was given out here."


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for page by page: the list, and whatever narrows it down."""

    of: str
    told: tuple[object, ...] = ()

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr((self.of, self.told)).encode("utf-8", "backslashreplace")).hexdigest()[:12]

    def cursor(self, *place: str) -> str:
        """The text that leads to what comes behind that place."""
        return Cursor(self.digest, place).text

    def place(self, cursor: str | None, parts: int) -> Sequence[str] | None:
        """The place that a cursor leads to; None without one. Raises Wrong if it is not one of this question's."""
        if cursor is None:
            return None
        read = Cursor.read(cursor)
        if read.digest != self.digest or len(read.place) != parts:
            raise bad_cursor("It belongs to another question: a page is asked for just as the one before it.")
        return read.place


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended. Nothing in it is trusted: it says only where a reading begins."""

    digest: str
    place: tuple[str, ...]

    @property
    def text(self) -> str:
        packed = json.dumps([self.digest, *self.place], ensure_ascii=False, separators=(",", ":"))
        return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> Self:
        """The inverse of `text`. Raises Wrong."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            told = json.loads(raw)
        except (binascii.Error, ValueError, RecursionError):
            raise bad_cursor(STRANGE) from None
        if not isinstance(told, list) or not told or not all(isinstance(part, str) for part in told):
            raise bad_cursor(STRANGE)
        cursor = cls(told[0], tuple(told[1:]))
        # A place that was given out can be printed: half of a character cannot, and no index takes it.
        if not _printable(told) or cursor.text != text:
            raise bad_cursor(STRANGE)
        return cursor


def _printable(place: Sequence[str]) -> bool:
    try:
        return all(part == part.encode().decode() for part in place)
    except UnicodeEncodeError:
        return False


def is_moment(text: str) -> str:
    """The moment, if it is one as the table keeps it, alone or with its subject. Raises Wrong."""
    moment, mark, subject = text[:24], text[24:25], text[25:]
    with suppress(ValueError, OverflowError):
        told = read_iso(moment)
        whole = len(subject.encode()) <= KEY_LIMIT and mark == ("#" if subject else "")
        if whole and sortable(told) == moment and EARLIEST <= told <= LATEST:
            return text
    raise bad_cursor(STRANGE)


def is_version(text: str) -> int:
    """The number of a version. Raises Wrong."""
    if not re.fullmatch(r"[1-9][0-9]{0,9}", text, re.ASCII):
        raise bad_cursor(STRANGE)
    return int(text)
