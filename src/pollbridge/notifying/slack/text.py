"""Others' words made fit to be shown: rid of what hides or reorders, shortened, escaped; and moments and spans."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from itertools import accumulate, groupby
from typing import Any

PROSE_LIMIT = 1000
PROSE_LINES = 12
"""Characters and lines: ours, for what a person should take in at a glance. Whole texts are in the history."""

MARKS = 4
"""Combining marks on one letter: no script needs more, and a hundred of them paint over the lines around."""

UNITS = (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1), ("s", 1, "s", 1))

ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
"""https://docs.slack.dev/messaging/formatting-message-text#escaping"""

LOOKALIKES = str.maketrans("*_~`@#", "∗ˍ∼ˋ＠＃")
"""For the characters that format, or may mention: Slack knows no way to escape them."""

ACTIVE = re.compile(r"(?<![\w:])(\d\d:\d\d)(?![\w:])|:(?=\S)|(?<=\w)\.(?=[^\W\d])")
"""What makes an emoji of `:a:`, and a link of `https://a` or `a.b`; the colon of a time of day makes nothing."""

SHAPERS = "\u200c\u200d"
"""Zero-width non-joiner and joiner shape Persian words and emoji, and move nothing."""

BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that show nothing: fillers of Hangul, and Braille without a dot."""


def line(text: str) -> str:
    """The text on one line; empty when nothing of it would be seen."""
    shown = " ".join(" ".join(_lines(text)).split())
    return shown if any(map(_visible, shown)) else ""


def prose(text: str) -> str:
    """A text of several lines, without blank ones, escaped, and short enough to read."""
    lines = [shown for shown in _lines(text) if any(map(_visible, shown))]
    more = ["…"] if len(lines) > PROSE_LINES else []
    return fit("\n".join(lines[:PROSE_LINES] + more), PROSE_LIMIT)


def short(text: str, limit: int) -> str:
    """The text on one line of at most `limit` characters, escaped."""
    return fit(line(text), limit)


def fit(text: str, limit: int) -> str:
    """The text, escaped, in at most `limit` characters; no escape is ever cut in two."""
    pieces = [ESCAPES.get(character, character) for character in text[: limit + 1]]
    if length("".join(pieces)) <= limit:
        return "".join(pieces)
    kept = sum(size < limit for size in accumulate(map(length, pieces)))
    return "".join(pieces[:kept]).rstrip(" " + SHAPERS) + "…"


def length(text: str) -> int:
    """In UTF-16 units: whatever Slack counts, there are no more of it."""
    return len(text) + sum(character > "\uffff" for character in text)


def inactive(text: str) -> str:
    """For where Slack formats and links: the same to the eye, and nothing in it does anything."""
    return ACTIVE.sub(lambda found: found[1] or ("∶" if found[0] == ":" else "․"), text.translate(LOOKALIKES))


def moment(instant: str) -> str:
    """`2026-06-08 12:31 UTC`, from ISO-8601."""
    return f"{instant[:16].replace('T', ' ')} UTC"


def since(event: Mapping[str, Any]) -> str:
    """Since when, without the date when it is that of `observed_at`."""
    told = moment(event["since"])
    return told[11:] if event["since"][:10] == event["observed_at"][:10] else told


def span(seconds: int) -> str:
    """In its largest unit and the next: `1 h 12 min`."""
    unit, size, below, least = next(row for row in UNITS if seconds >= row[1] or row[0] == "s")
    rest = seconds % size // least
    return f"{seconds // size} {unit}" + (f" {rest} {below}" if rest else "")


def _lines(text: str) -> list[str]:
    """The lines as they will be seen: controls of the direction or the terminal are gone."""
    return [_bare("".join(filter(_shows, one.expandtabs(1)))).rstrip() for one in text.splitlines()]


def _shows(character: str) -> bool:
    return character in SHAPERS or unicodedata.category(character) not in {"Cc", "Cf", "Cs"}


def _bare(text: str) -> str:
    """With no more marks on a letter than a script needs."""
    if text.isascii():
        return text
    runs = groupby(text, key=lambda character: unicodedata.category(character) in {"Mn", "Me"})
    return "".join("".join(run)[: MARKS if marks else None] for marks, run in runs)


def _visible(character: str) -> bool:
    return unicodedata.category(character)[0] not in "ZMC" and character not in BLANKS
