"""Reading a page of a vendor's list: entry by entry, so that one that cannot be read costs no other."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationError

from pollbridge.vendors.answer import A, Listed, NoAnswer, Page, Seen, no_answer

ENTRIES_LIMIT = 50_000
"""Entries of a page: the 5 MB of an answer hold fewer jobs than that."""

TOKENS_LIMIT = 1_000_000
"""Strings, brackets and commas of a page that is read entry by entry, which takes about a second for so many."""

TOO_MANY = "more on one page than can be read"


def read_list(model: type[A], body: bytes, *, bare: str | None = None) -> A:
    """The page as the vendor's model, its entries as they came; None for one that is no JSON we can read.

    `bare` names the field that an array with nothing around it stands for, where a vendor sends one.
    Raises NoAnswer in one line that shows none of the page.
    """
    try:
        # pydantic's own parser would refuse the page for one entry nested over 200 deep or cut within an emoji.
        page = json.loads(body.decode())
    except (ValueError, RecursionError):
        page = _entry_by_entry(body)
    if bare and isinstance(page, list):
        page = {bare: page}
    try:
        return model.model_validate(page)
    except ValidationError as error:
        raise no_answer(error) from None


def page_of(entries: list[Any], parse: Callable[[bytes], Seen], next_token: str | None) -> Page:
    """The page with those entries, each read as if it were the answer for its job. Raises NoAnswer if too many."""
    if len(entries) > ENTRIES_LIMIT:
        raise NoAnswer(TOO_MANY)
    jobs = []
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        try:
            body = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
            seen = parse(body)
        except (NoAnswer, RecursionError):
            continue
        jobs.append(Listed(seen.id, seen.snapshot, body))
    return Page(tuple(jobs), next_token, unreadable=len(entries) - len(jobs))


def _entry_by_entry(body: bytes) -> Any:
    """A page that cannot be read as a whole: what stands around its entries, and each entry by itself."""
    around: list[bytes] = []
    entries: list[Any] = []
    end = 0
    for number, (start, stop) in enumerate(_spans(body)):
        if number >= ENTRIES_LIMIT:
            raise NoAnswer(TOO_MANY)
        around += [body[end:start], b"%d" % number]
        entries.append(_entry(body[start:stop].strip()))
        end = stop
    try:
        page = json.loads(b"".join([*around, body[end:]]).decode())
    except (ValueError, RecursionError):
        raise NoAnswer("not a list in JSON that can be read") from None
    if isinstance(page, list):
        return [entries[number] for number in page]
    if isinstance(page, dict):
        fields = page.items()
        return {name: [entries[n] for n in value] if isinstance(value, list) else value for name, value in fields}
    return page


def _entry(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode())
    except (ValueError, RecursionError):
        return None


_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]', re.DOTALL)
"""A string, also one that never ends, or what nests and separates values. No two ways to match: linear time."""


def _spans(body: bytes) -> Iterator[tuple[int, int]]:
    """Where the entries stand: what is in an array that is the whole page, or a field of it."""
    level = 1 if body.lstrip()[:1] == b"[" else 2
    depth, start = 0, None
    for number, token in enumerate(_TOKEN.finditer(body)):
        if number >= TOKENS_LIMIT:
            raise NoAnswer(TOO_MANY)
        mark = token[0]
        if mark in b"[{":
            depth += 1
            if depth == level:
                start = token.end() if mark == b"[" else None
        elif mark in b",]}":
            if depth == level and start is not None:
                if body[start : token.start()].strip():
                    yield start, token.start()
                start = token.end() if mark == b"," else None
            depth -= mark != b","
