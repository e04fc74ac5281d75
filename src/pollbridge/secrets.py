"""Keys and addresses, read from Secrets Manager when they are needed and kept nowhere else."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from pollbridge.config import RESERVED_HEADERS, Connection, Destination, HeaderName, HeaderValue


class UnusableSecret(Exception):
    """The secret is missing, may not be read, or does not hold what it should. The message shows none of it."""


class _Secret(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)


SLACK_API = "https://slack.com/api"
"""Where Slack's methods are, but for GovSlack: `https://slack-gov.com/api`."""


class SlackSecret(_Secret):
    """An incoming webhook's address, or a bot's token, its channel and, where it isn't Slack's own, the API's address.

    `api_url` ends without a slash.
    """

    webhook_url: str | None = Field(None, pattern=r"^https?://\S+$")
    bot_token: str | None = Field(None, pattern=r"^[!-~]+$")
    channel: str | None = Field(None, min_length=1)
    api_url: str = Field(SLACK_API, pattern=r"^https?://[^\s/?#][^\s?#]*$")

    @field_validator("api_url")
    @classmethod
    def _bare(cls, value: str) -> str:
        return value.rstrip("/")

    @model_validator(mode="after")
    def _one_way(self) -> SlackSecret:
        if bool(self.webhook_url) == bool(self.bot_token) or bool(self.bot_token) != bool(self.channel):
            raise ValueError("wants webhook_url, or bot_token with channel")
        if self.webhook_url and "api_url" in self.model_fields_set:
            raise ValueError("wants api_url with a bot_token only")
        return self

    @property
    def address(self) -> str:
        return self.webhook_url or self.api_url


class WebhookSecret(_Secret):
    """A receiver's address and its signing secret, `whsec_` and base64 of 24 to 64 bytes (Standard Webhooks 1.0.0)."""

    url: str = Field(pattern=r"^https?://\S+$")
    signing_secret: str
    previous_signing_secret: str | None = None

    @field_validator("signing_secret", "previous_signing_secret")
    @classmethod
    def _signing(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            length = len(base64.b64decode(value.removeprefix("whsec_"), validate=True))
        except (binascii.Error, ValueError):
            length = 0
        if not value.startswith("whsec_") or not 24 <= length <= 64:
            raise ValueError("wants whsec_ and the base64 of 24 to 64 random bytes")
        return value


_HEADERS = TypeAdapter(dict[HeaderName, HeaderValue])


def headers(values: Any) -> dict[str, str]:
    """A connection's secret: the request headers the vendor wants. Raises UnusableSecret."""
    try:
        held = _HEADERS.validate_python(values, strict=True)
    except ValidationError:
        # Not even the name of a member is shown: people swap name and value.
        raise UnusableSecret("should hold a JSON object of request headers, names and values in plain ASCII") from None
    if any(name.lower() in RESERVED_HEADERS for name in held):
        raise UnusableSecret(f"may set none of the headers {', '.join(sorted(RESERVED_HEADERS))}")
    return held


def slack(values: Any) -> SlackSecret:
    """Raises UnusableSecret."""
    return _validated(SlackSecret, values, '{"webhook_url": …} or {"bot_token": …, "channel": …}')


def webhook(values: Any) -> WebhookSecret:
    """Raises UnusableSecret."""
    return _validated(WebhookSecret, values, '{"url": …, "signing_secret": "whsec_…"}')


def check(owner: Connection | Destination, values: Any) -> None:
    """Whether these values can serve their owner. Raises UnusableSecret."""
    if isinstance(owner, Connection):
        if not headers(values):
            wanted = ", ".join(owner.vendor.headers)
            raise UnusableSecret(f"holds no header; {owner.vendor.name} asks for {wanted}")
        return
    found = slack(values).address if owner.type == "slack" else webhook(values).url
    if found.startswith("http://") and not owner.allow_private:
        raise UnusableSecret("holds a plain http address: use https, or allow_private = true at the destination")


S = TypeVar("S", bound=_Secret)


def _validated(model: type[S], values: Any, wanted: str) -> S:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UnusableSecret(_mistake(error, wanted)) from None


def _mistake(error: ValidationError, wanted: str) -> str:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(step) for step in first["loc"] if step != "[key]")
    message = first["msg"].removeprefix("Value error, ")
    return " ".join(f"should hold {wanted}, but {where + ': ' if where else ''}{message}".splitlines())


@dataclass(frozen=True, slots=True)
class Secrets:
    """Reads secrets afresh at every call: a new value counts from the next tick or attempt."""

    client: Any

    def read(self, name: str) -> Mapping[str, Any]:
        """The secret's JSON object. Raises UnusableSecret; other errors of AWS pass through."""
        try:
            held = self.client.get_secret_value(SecretId=name)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ResourceNotFoundException":
                raise UnusableSecret(f"secret {name} is missing: set it with `pollbridge secret set {name}`") from None
            if code in {"AccessDeniedException", "DecryptionFailure", "InvalidRequestException"}:
                raise UnusableSecret(f"secret {name} may not be read: {code}") from None
            raise
        try:
            values = json.loads(held.get("SecretString") or "")
        except ValueError:
            values = None
        if not isinstance(values, dict):
            raise UnusableSecret(f"secret {name} holds no JSON object")
        return values
