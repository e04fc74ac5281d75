"""What Slack's incoming webhooks object to, for the blocks that pollbridge sends.

Limits are characters, and entries of a list: https://docs.slack.dev/reference/block-kit/blocks and the pages below it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator


def _text(limit: int) -> Any:
    return Field(min_length=1, max_length=limit)


class HeaderText(BaseModel):
    type: Literal["plain_text"]
    text: Annotated[str, _text(150)]


class ButtonText(BaseModel):
    type: Literal["plain_text"]
    text: Annotated[str, _text(75)]


class Text(BaseModel):
    type: Literal["plain_text", "mrkdwn"]
    text: Annotated[str, _text(3000)]


class FieldText(BaseModel):
    type: Literal["plain_text", "mrkdwn"]
    text: Annotated[str, _text(2000)]


class Button(BaseModel):
    type: Literal["button"]
    text: ButtonText
    url: Annotated[str, Field(max_length=3000)] | None = None
    value: Annotated[str, Field(max_length=2000)] | None = None
    action_id: Annotated[str, Field(max_length=255)] | None = None


class Header(BaseModel):
    type: Literal["header"]
    text: HeaderText


class Section(BaseModel):
    type: Literal["section"]
    text: Text | None = None
    fields_: Annotated[tuple[FieldText, ...], Field(alias="fields", max_length=10)] = ()
    accessory: Button | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.text or self.fields_):
            raise ValueError("a section wants text or fields")
        return self


class Actions(BaseModel):
    type: Literal["actions"]
    elements: Annotated[list[Button], Field(min_length=1, max_length=25)]


class Context(BaseModel):
    type: Literal["context"]
    elements: Annotated[list[Text], Field(min_length=1, max_length=10)]


class Divider(BaseModel):
    type: Literal["divider"]


Block = Annotated[Header | Section | Actions | Context | Divider, Field(discriminator="type")]


class Blocks(BaseModel):
    blocks: Annotated[list[Block], Field(max_length=50)]


def objection(payload: Any) -> str | None:
    """Slack's word for what is wrong with a message, or none."""
    if not isinstance(payload, dict):
        return "invalid_payload"
    if not payload.get("blocks") and not (isinstance(payload.get("text"), str) and payload["text"]):
        return "no_text"
    try:
        Blocks.model_validate({"blocks": payload.get("blocks") or []})
    except ValidationError:
        return "invalid_blocks"
    return None
