"""The parts of Slack's messages that we use, within its limits: https://docs.slack.dev/reference/block-kit/blocks.

Vendors' words stand only where Slack formats nothing, in `plain_text`. What Slack does format is ours to the last
character.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pollbridge.notifying.slack.text import fit, inactive, length, line, short

HEADER_LIMIT = 150
BUTTON_LIMIT = 75
ADDRESS_LIMIT = 3000
SECTION_LIMIT = 3000
"""Characters: …/blocks/header-block, …/block-elements/button-element and …/blocks/section-block."""

REL_LIMIT = 40
ADDRESSES_LIMIT = 3000
"""Characters: ours. The addresses of all buttons count towards the whole message, whose limit Slack doesn't publish:
https://github.com/slackapi/bolt-js/issues/2867."""

BUTTONS_LIMIT = 10
"""Buttons: ours. Slack takes 25 in a block, and a snapshot has four links at most."""

LINK_NAMES = {"pull_request": "pull request"}

Block = dict[str, Any]


def posted(text: str, *blocks: Block) -> dict[str, Any]:
    """The whole message. Its `text` is for notifications and screen readers; Slack would format that too."""
    return {"text": inactive(text), "blocks": list(blocks)}


def header(text: str) -> Block:
    return {"type": "header", "text": plain(text)}


def section(text: dict[str, Any]) -> Block:
    return {"type": "section", "text": text}


def context(*notes: str) -> Block:
    return {"type": "context", "elements": [plain(note) for note in notes if note]}


def links(given: Iterable[Mapping[str, str]]) -> list[Block]:
    """A button for each; in words those that Slack takes no button for, and those there is no room for."""
    buttons: list[dict[str, Any]] = []
    told: list[Block] = []
    room = ADDRESSES_LIMIT
    for link in given:
        size = length(link["href"])
        if opens(link) and size <= room and len(buttons) < BUTTONS_LIMIT:
            buttons.append(button(link))
            room -= size
        else:
            told.append(section(plain(_unopened(link))))
    return ([{"type": "actions", "elements": buttons}] if buttons else []) + told[:BUTTONS_LIMIT]


def button(link: Mapping[str, str]) -> dict[str, Any]:
    """Opens the address, unaltered."""
    return {"type": "button", "text": plain(fit(f"Open {_leads_to(link)}", BUTTON_LIMIT)), "url": link["href"]}


def opens(link: Mapping[str, str]) -> bool:
    """Whether Slack takes a button for it."""
    return _is_of_the_web(link["href"]) and length(link["href"]) <= ADDRESS_LIMIT


def plain(text: str) -> dict[str, Any]:
    """For others' words, which have to be escaped here too: nothing is formatted, linked or mentioned."""
    return {"type": "plain_text", "text": text, "emoji": False}


def mrkdwn(text: str) -> dict[str, Any]:
    """For our own words, formatted; nothing is linked that isn't told to be."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _is_of_the_web(address: str) -> bool:
    odd = any("\ud800" <= character <= "\udfff" or character.isspace() for character in address)
    return address.startswith(("https://", "http://")) and not odd


def _leads_to(link: Mapping[str, str]) -> str:
    return LINK_NAMES.get(link["rel"]) or line(link["rel"].replace("_", " ")) or "link"


def _unopened(link: Mapping[str, str]) -> str:
    name, size = short(_leads_to(link), REL_LIMIT), length(link["href"])
    too_long = f"has {size:,} characters, too many for a button"
    why = too_long if _is_of_the_web(link["href"]) else "is none that a button opens"
    return f"The address of its {name} {why}. It is told by: pollbridge show, with the key below"
