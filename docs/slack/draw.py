"""Draws the messages that pollbridge posts, as Slack shows them: `make pictures` writes one SVG for each sample."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from docs.slack.samples import PICTURES, Drawn

FOLDER = Path(__file__).parent

WIDTH = 720
MARGIN = 20
GAP = 8
"""Pixels, as all lengths here."""

SANS = "Lato, 'Helvetica Neue', Helvetica, Arial, sans-serif"
MONO = "Monaco, Menlo, Consolas, monospace"
INK, GREY, RULE, TINT, PAPER = "#1d1c1d", "#616061", "#dddddd", "#e8e8e8", "#f8f8f8"
CODE, BLUE, AUBERGINE = "#e01e5a", "#1264a3", "#4a154b"

WIDTHS = {"ijl'|": 0.23, " !,./:;fIt[]\\": 0.29, '()-r`"{}·': 0.35, "Jckszvxy": 0.51, "mMW@%": 0.9}
CAPITALS, WIDE, USUAL = 0.72, 1.38, 0.57
"""Of the height of the letters: close to those of Helvetica, never less than those of Lato."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a text is set. `height` is that of its letters, `leading` that of its lines."""

    height: int = 15
    leading: int = 22
    colour: str = INK
    bold: bool = False
    mono: bool = False

    def attributes(self) -> str:
        weight = ' font-weight="bold"' if self.bold else ""
        return f'font-family="{MONO if self.mono else SANS}" font-size="{self.height}" fill="{self.colour}"{weight}'


BODY = Style()
HEADER = Style(height=18, leading=26, bold=True)
NOTE = Style(height=12, leading=18, colour=GREY)
LABEL = Style(height=13, leading=18, bold=True)
LISTING = Style(height=12, leading=18, mono=True)

Place = tuple[float, float, float, float]
"""x, y, width and height."""

Run = tuple[str, Style]
"""A piece of text that is set in one style."""


def width(text: str, style: Style) -> float:
    """About how many pixels the text takes."""
    if style.mono:
        return len(text) * style.height * 0.61
    return sum(map(_advance, text)) * style.height * (1.06 if style.bold else 1)


def _advance(character: str) -> float:
    for characters, advance in WIDTHS.items():
        if character in characters:
            return advance
    if unicodedata.combining(character) or character == "\ufe0f":
        return 0
    if unicodedata.east_asian_width(character) in "WF" or unicodedata.category(character) == "So":
        return WIDE
    return CAPITALS if character.isupper() or character in "&→" else USUAL


def runs(text: dict[str, Any], style: Style) -> list[Run]:
    """What Slack makes of a text object: of `plain_text` nothing, of `mrkdwn` bold and code."""
    if text["type"] == "plain_text":
        return [(unescape(text["text"]), style)]
    return list(_formatted(text["text"], style))


def _formatted(text: str, style: Style) -> Iterator[Run]:
    code = replace(style, height=style.height - 2, mono=True, colour=CODE)
    for piece in re.split(r"(\*[^*\n]+\*|`[^`\n]+`)", text):
        if piece[:1] == "*" and piece[-1:] == "*":
            yield unescape(piece[1:-1]), replace(style, bold=True)
        elif piece[:1] == "`":
            yield unescape(piece[1:-1]), code
        elif piece:
            yield unescape(piece), style


def wrapped(given: Sequence[Run], room: float) -> list[list[Run]]:
    """The lines in which the runs fit the room; a word too long for a line is broken."""
    lines: list[list[Run]] = [[]]
    used = 0.0
    for text, style in given:
        for word in re.findall(r"\n| +|[^ \n]+", text):
            for part in _broken(word, style, room):
                taken = width(part, style)
                if part == "\n" or used + taken > room:
                    lines.append([])
                    used = 0.0
                if part != "\n" and (used or part.strip()):
                    lines[-1].append((part, style))
                    used += taken
    return lines


def _broken(word: str, style: Style, room: float) -> Iterator[str]:
    while width(word, style) > room:
        kept = next(n for n in range(len(word), 0, -1) if n == 1 or width(word[:n], style) <= room)
        yield word[:kept]
        word = word[kept:]
    yield word


class Canvas:
    """An SVG that grows downwards."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.y = MARGIN

    def text(self, lines: Sequence[Sequence[Run]], x: float, leading: int) -> None:
        """Sets the lines below what is there."""
        for line in lines:
            spans = "".join(f"<tspan {style.attributes()}>{escape(text)}</tspan>" for text, style in _joined(line))
            if spans:
                baseline = self.y + round(leading * 0.72)
                self.parts.append(f'<text x="{x:g}" y="{baseline}" xml:space="preserve">{spans}</text>')
            self.y += leading

    def box(self, place: Place, *, radius: int, fill: str, edge: str) -> None:
        x, y, wide, high = place
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="{high:g}" rx="{radius}" '
            f'fill="{fill}" stroke="{edge}"/>'
        )

    def word(self, text: str, x: float, y: float, style: Style, *, anchor: str = "start") -> None:
        """Sets a word at a place of its own."""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" {style.attributes()}>{escape(text)}</text>'
        )

    def button(self, label: str, x: float, y: float) -> float:
        """Draws a button and tells how wide it is."""
        wide = round(width(label, LABEL)) + 26
        self.box((x + 0.5, y + 0.5, wide, 28), radius=6, fill="#ffffff", edge="#bbbbbb")
        self.word(label, x + wide / 2, y + 19, LABEL, anchor="middle")
        return wide

    def svg(self, title: str) -> str:
        high = self.y + MARGIN
        frame = Canvas()
        frame.box((0.5, 0.5, WIDTH - 1, high - 1), radius=8, fill="#ffffff", edge=RULE)
        opening = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{high}" viewBox="0 0 {WIDTH} {high}" '
            f'role="img" aria-label={quoteattr(title)}>'
        )
        return "\n".join([opening, f"<title>{escape(title)}</title>", *frame.parts, *self.parts, "</svg>\n"])


def _joined(line: Sequence[Run]) -> Iterator[Run]:
    """Neighbours of one style in one piece."""
    piece: Run | None = None
    for text, style in line:
        if piece and piece[1] == style:
            piece = (piece[0] + text, style)
            continue
        if piece:
            yield piece
        piece = (text, style)
    if piece:
        yield piece


def picture(messages: Sequence[Drawn]) -> str:
    """The messages one below the other, replies indented."""
    canvas = Canvas()
    replies = sum(reply for _, _, reply in messages)
    for number, (shown, posted_at, reply) in enumerate(messages):
        if number and (not reply or not messages[number - 1][2]):
            canvas.y += GAP
        if replies and number == 1:
            canvas.text([[(f"{replies} replies", replace(LABEL, colour=BLUE))]], MARGIN + 46, 24)
            canvas.y += GAP // 2
        _message(canvas, shown, posted_at, indent=46 if reply else 0)
        canvas.y += GAP
    canvas.y -= GAP
    return canvas.svg(unescape(messages[0][0]["text"]))


def _message(canvas: Canvas, shown: dict[str, Any], posted_at: str, indent: int) -> None:
    side = 28 if indent else 36
    left, top = MARGIN + indent, canvas.y
    x = left + side + 10
    _avatar(canvas, left, top + 2, side)
    canvas.text([[("pollbridge", replace(BODY, bold=True))]], x, 20)
    after = x + width("pollbridge", replace(BODY, bold=True)) + 8
    canvas.box((after, top + 2.5, 29, 14), radius=3, fill=TINT, edge=TINT)
    canvas.word("APP", after + 14.5, top + 13, replace(NOTE, height=10, bold=True), anchor="middle")
    canvas.word(posted_at, after + 38, top + 14, NOTE)
    for block in shown["blocks"]:
        canvas.y += 4
        DRAWN[block["type"]](canvas, block, x, WIDTH - MARGIN - x)
    canvas.y = max(canvas.y, top + side + 4)


def _avatar(canvas: Canvas, x: float, y: float, side: int) -> None:
    """A bridge."""
    canvas.box((x, y, side, side), radius=side // 5, fill=AUBERGINE, edge="none")
    scale = side / 36
    canvas.parts.append(
        f'<g transform="translate({x:g} {y:g}) scale({scale:g})" fill="none" stroke="#ffffff" stroke-width="2.4" '
        'stroke-linecap="round"><path d="M6 24h24M11 24V12M25 24V12M6 21Q9 13 11 12Q18 24 25 12Q27 13 30 21"/></g>'
    )


def _header(canvas: Canvas, block: dict[str, Any], x: float, room: float) -> None:
    canvas.text(wrapped(runs(block["text"], HEADER), room), x, HEADER.leading)


def _section(canvas: Canvas, block: dict[str, Any], x: float, room: float) -> None:
    accessory, top = block.get("accessory"), canvas.y
    if accessory:
        label = unescape(accessory["text"]["text"])
        wide = round(width(label, LABEL)) + 26
        canvas.button(label, x + room - wide, top)
        room -= wide + 16
        canvas.y += 3
    for number, part in enumerate(block["text"]["text"].split("```")):
        if number % 2:
            _code(canvas, part, x, room)
        elif part.strip("\n"):
            canvas.text(wrapped(runs(block["text"] | {"text": part.strip("\n")}, BODY), room), x, BODY.leading)
    if accessory:
        canvas.y = max(canvas.y, top + 32)


def _code(canvas: Canvas, text: str, x: float, room: float) -> None:
    lines = wrapped([(unescape(text), LISTING)], room - 16)
    canvas.y += 2
    high = len(lines) * LISTING.leading + 12
    canvas.box((x + 0.5, canvas.y + 0.5, room, high), radius=4, fill=PAPER, edge=RULE)
    canvas.y += 6
    canvas.text(lines, x + 8, LISTING.leading)
    canvas.y += 8


def _context(canvas: Canvas, block: dict[str, Any], x: float, room: float) -> None:
    """One after the other, each on a line of its own where it does not fit beside the last."""
    used = 0.0
    rows: list[list[Run]] = [[]]
    for element in block["elements"]:
        for row in wrapped(runs(element, NOTE), room):
            taken = sum(width(text, style) for text, style in row)
            if used and used + 12 + taken > room:
                rows.append([])
                used = 0.0
            rows[-1] += [("    ", NOTE), *row] if used else row
            used += taken + (12 if used else 0)
    canvas.text(rows, x, NOTE.leading)


def _actions(canvas: Canvas, block: dict[str, Any], x: float, room: float) -> None:
    start = x
    for element in block["elements"]:
        label = unescape(element["text"]["text"])
        if x > start and x + width(label, LABEL) + 26 > start + room:
            x = start
            canvas.y += 36
        x += canvas.button(label, x, canvas.y + 2) + 8
    canvas.y += 34


DRAWN = {"header": _header, "section": _section, "context": _context, "actions": _actions}


def pictures() -> dict[str, str]:
    """The text of each SVG, by the name of its file."""
    return {f"{name}.svg": picture(messages()) for name, messages in PICTURES.items()}


if __name__ == "__main__":
    for name, svg in pictures().items():
        (FOLDER / name).write_text(svg, "utf-8")
