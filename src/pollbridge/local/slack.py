"""What Slack objects to in a message, for the blocks that pollbridge sends, and whom a message would ping.

Limits are characters, and entries of a list: https://docs.slack.dev/reference/block-kit/blocks and the pages below it.
A property that Slack doesn't know is an error there, and so it is here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

TEXT_LIMIT = 40_000
"""What is longer is cut when it is posted: https://docs.slack.dev/reference/methods/chat.postMessage#truncating.

A cut would pass unseen, so here it is an error.
"""

UPDATE_LIMIT = 4_000
"""The `text` of an update: msg_too_long in https://docs.slack.dev/reference/methods/chat.update#errors."""

BLOCKS_LIMIT = 13_000
"""All blocks as JSON. Slack tells no number for msg_blocks_too_long; it was met at 13,172 and at 13,297 characters:
https://github.com/slackapi/bolt-js/issues/2509.
"""

MENTION = re.compile(r"<(?:[@!][^>|]+)(?:\|[^>]*)?>")
NAMED = re.compile(r"(?<![\w<!])@(?:channel|here|everyone)\b")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


def _text(limit: int) -> Any:
    return Field(min_length=1, max_length=limit)


Id = Annotated[str, Field(min_length=1, max_length=255)] | None


class HeaderText(_Part):
    type: Literal["plain_text"]
    text: Annotated[str, _text(150)]
    emoji: bool | None = None


class ButtonText(_Part):
    type: Literal["plain_text"]
    text: Annotated[str, _text(75)]
    emoji: bool | None = None


class Plain(_Part):
    type: Literal["plain_text"]
    text: Annotated[str, _text(3000)]
    emoji: bool | None = None


class Mrkdwn(_Part):
    type: Literal["mrkdwn"]
    text: Annotated[str, _text(3000)]
    verbatim: bool | None = None


class PlainField(Plain):
    text: Annotated[str, _text(2000)]


class MrkdwnField(Mrkdwn):
    text: Annotated[str, _text(2000)]


Text = Annotated[Plain | Mrkdwn, Field(discriminator="type")]
FieldText = Annotated[PlainField | MrkdwnField, Field(discriminator="type")]


class Button(_Part):
    type: Literal["button"]
    text: ButtonText
    url: Annotated[str, Field(min_length=1, max_length=3000)] | None = None
    value: Annotated[str, Field(max_length=2000)] | None = None
    action_id: Id = None
    style: Literal["primary", "danger"] | None = None
    accessibility_label: Annotated[str, Field(max_length=75)] | None = None


class Header(_Part):
    type: Literal["header"]
    text: HeaderText
    block_id: Id = None


class Section(_Part):
    type: Literal["section"]
    text: Text | None = None
    fields_: list[FieldText] | None = Field(None, alias="fields", min_length=1, max_length=10)
    accessory: Button | None = None
    expand: bool | None = None
    block_id: Id = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.text or self.fields_):
            raise ValueError("a section wants text or fields")
        return self


class Actions(_Part):
    type: Literal["actions"]
    elements: Annotated[list[Button], Field(min_length=1, max_length=25)]
    block_id: Id = None

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        ids = [element.action_id for element in self.elements if element.action_id]
        if len(ids) != len(set(ids)):
            raise ValueError("an action_id is unique in its block")
        return self


class Context(_Part):
    type: Literal["context"]
    elements: Annotated[list[Text], Field(min_length=1, max_length=10)]
    block_id: Id = None


class Divider(_Part):
    type: Literal["divider"]
    block_id: Id = None


Block = Annotated[Header | Section | Actions | Context | Divider, Field(discriminator="type")]


class Blocks(_Part):
    blocks: Annotated[list[Block], Field(max_length=50)]

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        ids = [block.block_id for block in self.blocks if block.block_id]
        if len(ids) != len(set(ids)):
            raise ValueError("a block_id is unique in its message")
        return self


class Options(BaseModel):
    """What a message may say beside its blocks. Slack overlooks arguments that it doesn't know."""

    model_config = ConfigDict(strict=True)

    text: str | None = None
    unfurl_links: bool | None = None
    unfurl_media: bool | None = None
    link_names: bool | None = None
    mrkdwn: bool | None = None
    reply_broadcast: bool | None = None
    parse: Literal["none", "full", "client"] | None = None


def objection(payload: Any, limit: int = TEXT_LIMIT) -> str | None:
    """Slack's word for what is wrong with a message, or none. `limit` is how long its `text` may be."""
    if not isinstance(payload, dict):
        return "invalid_payload"
    text, blocks = payload.get("text"), payload.get("blocks")
    if not blocks and not (isinstance(text, str) and text):
        return "no_text"
    if not _fits(Options, payload):
        return "invalid_arguments"
    return "msg_too_long" if len(text or "") > limit else _wrong_with(blocks or [])


def _wrong_with(blocks: Any) -> str | None:
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        return "invalid_blocks_format"
    if not _fits(Blocks, {"blocks": blocks}):
        return "invalid_blocks"
    whole = json.dumps(blocks, ensure_ascii=False, separators=(",", ":"))
    return "msg_blocks_too_long" if len(whole) > BLOCKS_LIMIT else None


def _fits(model: type[BaseModel], values: Any) -> bool:
    try:
        model.model_validate(values)
    except ValidationError:
        return False
    return True


def pings(payload: Mapping[str, Any]) -> list[str]:
    """Who would be notified: `<!channel>`, `<@U1>`, `<!subteam^S1>`, and a bare `@channel` where Slack looks for names.

    It reads nothing in `plain_text`; in the `text` of an update it looks for names, unless `parse` is none:
    https://docs.slack.dev/messaging/formatting-message-text and https://docs.slack.dev/reference/methods/chat.update.
    """
    text = str(payload.get("text") or "")
    parse = payload.get("parse") or ("client" if "ts" in payload else "none")
    found = _mentions(text, named=bool(payload.get("link_names")) or parse != "none")
    for part in _formatted(payload.get("blocks")):
        found += _mentions(str(part.get("text")), named=not part.get("verbatim"))
    return list(dict.fromkeys(found))


def _mentions(text: str, *, named: bool) -> list[str]:
    marked = [mention for mention in MENTION.findall(text) if not mention.startswith("<!date^")]
    return marked + (NAMED.findall(text) if named else [])


def _formatted(part: Any) -> Iterator[Mapping[str, Any]]:
    """The text objects that Slack formats, wherever they stand."""
    if isinstance(part, Mapping):
        if part.get("type") == "mrkdwn":
            yield part
        for below in part.values():
            yield from _formatted(below)
    elif isinstance(part, list):
        for below in part:
            yield from _formatted(below)
