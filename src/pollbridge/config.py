"""`pollbridge.toml`, read and checked: connections, destinations, and how long history is kept.

The deployment carries the checked configuration with it: functions find it in their bundle, commands in
the stack. Only synth reads the file.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    model_validator,
)

from pollbridge.model.change import Reason
from pollbridge.model.job import InvalidJobKey, JobKey, State, clip
from pollbridge.routing import InvalidPattern, pattern
from pollbridge.vendors import VENDORS, answer
from pollbridge.vendors.answer import Vendor

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
"""Of connections, which open job keys, and of destinations."""

RESERVED_HEADERS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "user-agent"}
)


class InvalidConfig(ValueError):
    """The configuration cannot be used; the message is one line that names the mistake."""


SCOPE_TOLD = 64
"""Bytes of a wrong scope that an error shows."""

LONGEST = 3650 * 86400
"""Seconds of the longest duration."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"([1-9]\d{0,8})([smhd])", value, re.ASCII) if isinstance(value, str) else None
    if not match:
        raise ValueError('wants a duration such as "90s", "15m", "24h" or "400d"')
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds > LONGEST:
        raise ValueError(f"is longer than ten years ({LONGEST // 86400}d)")
    return timedelta(seconds=seconds)


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(lambda span: f"{int(span.total_seconds())}s", return_type=str),
]
Word = Annotated[str, StringConstraints(min_length=1)]
DetailType = Literal[
    "Job State Changed",
    "Job First Seen",
    "Job Lost",
    "Job Updated",
    "Job Progressed",
    "Vendor Unreachable",
    "Vendor Recovered",
    "Destination Disabled",
]
T = TypeVar("T")


def _some(values: tuple[T, ...]) -> tuple[T, ...]:
    # EventBridge refuses a pattern with an empty list.
    if not values:
        raise ValueError("is empty: leave the key out to match all")
    return values


Some = Annotated[tuple[T, ...], AfterValidator(_some)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[\t\x20-\x7e]*$")]


# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
_SECRET_ID = re.compile(
    r"[A-Za-z0-9/_+=.@-]{1,512}|arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:\S+", re.ASCII
)


def _secret_id(value: str) -> str:
    if not _SECRET_ID.fullmatch(value):
        raise ValueError("is neither a name that Secrets Manager takes nor an ARN of it")
    return value


SecretId = Annotated[Word, AfterValidator(_secret_id)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cadence(Section):
    """How eagerly a connection's jobs are looked at."""

    fresh: Duration = timedelta(minutes=15)
    settle: Duration = timedelta(hours=24)
    discovery: Duration = timedelta(minutes=5)
    expire: Duration = timedelta(days=30)


class Limits(Section):
    """How hard the vendor may be asked; what is left out is the vendor's own limit."""

    per_second: Rate | None = None
    per_minute: Rate | None = None
    concurrency: Annotated[int, Field(ge=1, le=200)] | None = None


class Connection(Section):
    """A configured vendor. Its name opens the keys of its jobs."""

    type: str
    base_url: Annotated[str, AfterValidator(lambda url: url.rstrip("/"))]
    secret: SecretId
    scopes: tuple[Word, ...] = ()
    scope_secrets: Mapping[Word, SecretId] = {}
    allow_private: bool = False
    cadence: Cadence = Cadence()
    limits: Limits = Limits()

    @property
    def vendor(self) -> Vendor:
        return VENDORS[self.type]

    @property
    def pace(self) -> answer.Limits:
        """How hard the vendor may be asked: as configured, else as the vendor's own limits say."""
        theirs, ours = self.vendor.limits, self.limits
        return answer.Limits(
            per_second=ours.per_second or theirs.per_second,
            per_minute=ours.per_minute or theirs.per_minute,
            concurrency=ours.concurrency or theirs.concurrency,
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.secret, *self.scope_secrets.values())))

    @model_validator(mode="before")
    @classmethod
    def _vendor_defaults(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("type"), str):
            if values["type"] not in VENDORS:
                raise ValueError(f"unknown vendor {values['type']!r}: type is one of {', '.join(VENDORS)}")
            values = {"base_url": VENDORS[values["type"]].base_url, **values}
        return values

    @model_validator(mode="before")
    @classmethod
    def _one_spelling(cls, values: Any) -> Any:
        if not (isinstance(values, dict) and values.get("type") in VENDORS):
            return values
        scope = VENDORS[values["type"]].scope
        told: dict[str, Any] = {}
        if isinstance(values.get("scopes"), list | tuple):
            told["scopes"] = [scope(name) if isinstance(name, str) else name for name in values["scopes"]]
        if isinstance(values.get("scope_secrets"), Mapping):
            told["scope_secrets"] = {scope(name): secret for name, secret in values["scope_secrets"].items()}
            if len(told["scope_secrets"]) < len(values["scope_secrets"]):
                raise ValueError("scope_secrets names a scope twice, in two spellings")
        return {**values, **told}

    @model_validator(mode="after")
    def _reachable(self) -> Connection:
        scheme = self.base_url.partition("://")[0]
        if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", self.base_url):
            raise ValueError(f"base_url {self.base_url!r} is no http(s) address without query, fragment or user")
        if scheme == "http" and not self.allow_private:
            raise ValueError("base_url is plain http, which would show your key: use https, or allow_private = true")
        return self


def _all_of(field: str, values: Iterable[str] | None, known: Collection[str]) -> None:
    for value in values or ():
        if value not in known:
            raise ValueError(f"{field} {value!r} is none of {', '.join(dict.fromkeys(known))}")


class Match(Section):
    """Which events a destination hears of. A key concerns only events that have the field."""

    vendor: Some[Word] | None = None
    connection: Some[Word] | None = None
    kind: Some[Word] | None = None
    scope: Some[Word] | None = None
    state: Some[State] | None = None
    reasons: Some[Reason] | None = None
    detail_type: Some[DetailType] | None = None
    labels: Mapping[Word, Some[Word]] | None = None
    pattern: Mapping[str, Any] | None = None

    @model_validator(mode="after")
    def _known(self) -> Match:
        _all_of("vendor", self.vendor, VENDORS)
        _all_of("kind", self.kind, [kind for vendor in VENDORS.values() for kind in vendor.kinds])
        return self

    @model_validator(mode="after")
    def _one_way(self) -> Match:
        if self.pattern is not None and len(self.model_dump(exclude_none=True)) > 1:
            raise ValueError("pattern stands alone: leave the other keys out, or write them into the pattern")
        return self


class Destination(Section):
    """A configured receiver."""

    type: Literal["slack", "webhook"]
    secret: SecretId
    enabled: bool = True
    allow_private: bool = False
    headers: Mapping[HeaderName, HeaderValue] = {}
    match: Match = Match()

    @model_validator(mode="after")
    def _headers(self) -> Destination:
        if self.headers and self.type != "webhook":
            raise ValueError("headers are for webhooks only")
        for name in self.headers:
            if name.lower() in RESERVED_HEADERS or name.lower().startswith("webhook-"):
                raise ValueError(f"headers may not set {name}: pollbridge sets it")
        return self


class History(Section):
    retain: Duration = timedelta(days=400)
    raw: Duration = timedelta(days=30)


class Alarms(Section):
    email: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    topic_arn: Annotated[str, StringConstraints(pattern=r"^arn:[^:]+:sns:[^:]+:\d{12}:.+$")] | None = None

    @model_validator(mode="after")
    def _one_reader(self) -> Alarms:
        if self.email and self.topic_arn:
            raise ValueError("set email or topic_arn, not both")
        return self


class Api(Section):
    enabled: bool = False


class Configuration(Section):
    """The whole of `pollbridge.toml`."""

    vendors: Mapping[str, Connection]
    destinations: Mapping[str, Destination] = {}
    history: History = History()
    alarms: Alarms = Alarms()
    api: Api = Api()

    @model_validator(mode="before")
    @classmethod
    def _names(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        tables = {table: values[table] for table in ("vendors", "destinations") if isinstance(values.get(table), dict)}
        for table, entries in tables.items():
            for name in entries:
                if not NAME.fullmatch(name):
                    raise ValueError(f"{table}.{name}: a name is at most 40 letters, digits, dashes and underscores")
        if "vendors" in tables:
            named = {name: {"type": name, **c} if isinstance(c, dict) else c for name, c in tables["vendors"].items()}
            values = {**values, "vendors": named}
        return values

    @model_validator(mode="after")
    def _a_secret_serves_one_kind(self) -> Configuration:
        kinds: dict[str, str] = {}
        named = [(secret, "a connection") for c in self.vendors.values() for secret in c.secrets]
        for secret, kind in [*named, *((d.secret, d.type) for d in self.destinations.values())]:
            if kinds.setdefault(secret, kind) != kind:
                raise ValueError(f"secret {secret!r} would have to serve {kinds[secret]} and {kind}: name one for each")
        return self

    @model_validator(mode="after")
    def _something_to_do(self) -> Configuration:
        if not self.vendors:
            raise ValueError("no connection: add a [vendors.<name>] table")
        for name, destination in self.destinations.items():
            _all_of(f"destinations.{name}.match: connection", destination.match.connection, self.vendors)
        return self

    @model_validator(mode="after")
    def _scopes_of_keys(self) -> Configuration:
        for name, connection in self.vendors.items():
            kind = min(connection.vendor.kinds, key=len)
            for field, scopes in {"scopes": connection.scopes, "scope_secrets": connection.scope_secrets}.items():
                for scope in scopes:
                    try:
                        JobKey(name, kind, scope, "1").askable()
                    except InvalidJobKey as error:
                        told = f"vendors.{name}.{field}: {clip(scope, SCOPE_TOLD)!r} opens no job key: {error}"
                        raise ValueError(told) from None
        return self

    @model_validator(mode="after")
    def _routable(self) -> Configuration:
        for name, destination in self.destinations.items():
            try:
                pattern(destination.match, name)
            except InvalidPattern as error:
                key = "match" if destination.match.pattern is None else "match.pattern"
                raise ValueError(f"destinations.{name}.{key}: {error}") from None
        return self

    @property
    def secrets(self) -> dict[str, Connection | Destination]:
        """Every secret's name (or ARN), with what it is for."""
        of_connections = {secret: c for c in self.vendors.values() for secret in c.secrets}
        return of_connections | {d.secret: d for d in self.destinations.values()}


def load(path: Path) -> Configuration:
    """Read a configuration file. Raises InvalidConfig in one line that names file and mistake."""
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InvalidConfig(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfig(f"{path}: is not valid TOML: {error}") from None
    return check(values, str(path))


def bundled() -> Configuration:
    """The configuration a function was deployed with: the file in its bundle that POLLBRIDGE_CONFIG names."""
    return Configuration.model_validate_json(Path(os.environ["POLLBRIDGE_CONFIG"]).read_bytes())


def check(values: Mapping[str, Any], source: str) -> Configuration:
    """Values as a configuration. Raises InvalidConfig."""
    try:
        return Configuration.model_validate(dict(values))
    except ValidationError as error:
        raise InvalidConfig(" ".join(f"{source}: {_mistake(error)}".splitlines())) from None


_PLAINLY = {
    "extra_forbidden": "is no key pollbridge knows",
    "missing": "is missing",
    "string_too_short": "is empty",
    "string_type": "wants a text",
    "tuple_type": "wants a list",
    "mapping_type": "wants a table",
    "dict_type": "wants a table",
    "model_type": "wants a table",
    "model_attributes_type": "wants a table",
}


def _mistake(error: ValidationError) -> str:
    first, *others = error.errors(include_url=False)
    where = ".".join(str(step) for step in first["loc"])
    what = _PLAINLY.get(first["type"], first["msg"].removeprefix("Value error, "))
    more = f" (and {len(others)} more)" if others else ""
    return f"{where}: {what}{more}" if where else f"{what}{more}"
