"""`route` and `render`: who would hear of an event, and what they would be sent. Nothing is sent."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click
from pydantic import BaseModel, ValidationError

from pollbridge.cli.deployment import find
from pollbridge.cli.names import DESTINATION
from pollbridge.cli.output import fail, harmless, plain, print_json
from pollbridge.config import Destination
from pollbridge.model.change import Reason
from pollbridge.model.event import (
    DISABLED,
    RECOVERED,
    UNREACHABLE,
    DestinationDisabled,
    JobEvent,
    VendorRecovered,
    VendorUnreachable,
    detail_type,
    webhook_type,
)
from pollbridge.model.job import clip
from pollbridge.notifying.notice import DeliveryError, Notice
from pollbridge.routing import JOB_TYPES, SOURCE
from pollbridge.story.hearing import hearing

WHY_LIMIT = 500
"""Bytes of a reason: a value of a file can be as long as it likes."""

MODELS: dict[str, type[BaseModel]] = {
    **dict.fromkeys(JOB_TYPES, JobEvent),
    UNREACHABLE: VendorUnreachable,
    RECOVERED: VendorRecovered,
    DISABLED: DestinationDisabled,
}

FORMS = (
    'an event as the bus has it ({"detail-type", "detail"}) or `tail --json` prints it, its detail alone, or the body'
    " of a webhook"
)


@click.command()
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def route(file: str, as_json: bool) -> None:
    """Say which destinations hear of the event in FILE (- is standard input), and why.

    FILE holds an event as the bus has it ({"detail-type", "detail"}), its detail alone, or the body of a webhook.
    The answer comes from the patterns that the deployment's rules have. A webhook's body that was too long has lost
    its labels: ask with the event itself.
    """
    event = _read(file).envelope
    answers: list[dict[str, Any]] = [
        {"destination": name, "matches": today.heard, "why": clip(plain(today.why), WHY_LIMIT)}
        for name, destination in find().configuration.destinations.items()
        for today in [hearing(name, destination, event)]
    ]
    if as_json:
        print_json(answers)
        return
    width = max((len(answer["destination"]) for answer in answers), default=0)
    for answer in answers:
        click.echo(f"{answer['destination']:<{width}}  {'yes' if answer['matches'] else 'no':<3}  {answer['why']}")
    if not answers:
        click.echo("no destination is configured")


@click.command()
@click.argument("file")
@click.option("--to", "name", required=True, type=DESTINATION, help="Whom it would be sent to.")
@click.option("--json", "as_json", is_flag=True, help="Print just the body, as it would be sent.")
def render(file: str, name: str, as_json: bool) -> None:
    """Print what DESTINATION would be sent for the event in FILE (- is standard input), as JSON to read.

    FILE holds an event as the bus has it ({"detail-type", "detail"}), its detail alone, or the body of a webhook.
    With --json it is the body itself, on one line without an end: a webhook's are the very bytes that are signed
    and posted. On a terminal, characters that could steer it are escaped as JSON does.
    """
    notice = _valid(_read(file), file)
    destinations = find().configuration.destinations
    if name not in destinations:
        fail(f"there is no destination {name!r} here: there is {', '.join(destinations) or 'none'}")
    try:
        body = _body(destinations[name], notice)
    except (DeliveryError, ValueError) as error:
        fail(f"{_called(file)} cannot be told: {error}")
    if as_json:
        click.echo(harmless(body) if _on_terminal() else body, nl=_on_terminal())
    else:
        click.echo(harmless(json.dumps(json.loads(body), ensure_ascii=False, indent=2)))


def _body(destination: Destination, notice: Notice) -> str:
    # The notifiers bring HTTP clients along, which `route` can do without.
    from pollbridge.notifying import webhook
    from pollbridge.notifying.slack.message import message

    if destination.type == "webhook":
        return webhook.body(notice)
    return json.dumps(message(notice), ensure_ascii=False, separators=(",", ":"))


def _on_terminal() -> bool:
    return sys.stdout.isatty()


# Reading the file


@dataclass(frozen=True, slots=True)
class _Told:
    """What a file tells, in whichever of the three forms."""

    envelope: dict[str, Any]

    @property
    def detail_type(self) -> str:
        name: str = self.envelope["detail-type"]
        return name

    @classmethod
    def of(cls, name: str, detail: Mapping[str, Any]) -> _Told:
        return cls({"source": SOURCE, "detail-type": name, "detail": detail})


def _read(file: str) -> _Told:
    """The event in the file; exits in one line when there is none."""
    event = _recognized(_of_tail(_value(file)), file)
    if event is None:
        _refuse(file, f"it is to be {FORMS}")
    return event


def _of_tail(value: Any) -> Any:
    """What `tail --json` prints of one event, as the bus has it; anything else as it is."""
    match value:
        case [{"detail_type": str(name), "detail": dict(detail)}] | {"detail_type": str(name), "detail": dict(detail)}:
            return {"detail-type": name, "detail": detail}
    return value


def _recognized(value: Any, file: str) -> _Told | None:
    match value:
        case {"detail-type": str(), "detail": dict()}:
            return _Told({"source": SOURCE, **value})
        case {"type": str(kind), "data": dict(detail)}:
            names = {webhook_type(name): name for name in MODELS}
            if kind not in names:
                _refuse(file, f"there is no type {kind!r}, it is one of {', '.join(names)}")
            return _Told.of(names[kind], detail)
        case {"job": dict(), "reasons": [_, *_] as reasons}:
            if unknown := [reason for reason in reasons if reason not in list(Reason)]:
                _refuse(file, f"there is no reason {unknown[0]!r}, it is one of {', '.join(Reason)}")
            return _Told.of(detail_type(tuple(map(Reason, reasons))), value)
        case {"destination": str(), "reason": _}:
            return _Told.of(DISABLED, value)
        case {"connection": str(), "reason": _}:
            return _Told.of(RECOVERED if value.keys() & {"changes", "duration_seconds"} else UNREACHABLE, value)
    return None


def _value(file: str) -> Any:
    try:
        text = (sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        fail(f"{_called(file)} cannot be read: {getattr(error, 'strerror', None) or error}")
    try:
        value = json.loads(text, parse_constant=_no_json)
        # Half a surrogate pair passes json.loads, and nothing after it.
        json.dumps(value, ensure_ascii=False).encode()
        return value
    except RecursionError:
        _refuse(file, "it is nested too deeply")
    except ValueError as error:
        _refuse(file, f"it is not JSON: {error}")


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


def _valid(event: _Told, file: str) -> Notice:
    """The event as a notifier gets it; exits in one line when pollbridge tells no such event."""
    name = event.detail_type
    if name not in MODELS:
        _refuse(file, f"there is no {name!r}, it is one of {', '.join(MODELS)}")
    try:
        valid: Any = MODELS[name].model_validate(event.envelope["detail"])
    except ValidationError as error:
        first, *others = error.errors(include_url=False, include_input=False)
        where = ".".join(str(step) for step in first["loc"])
        what = "is missing" if first["type"] == "missing" else first["msg"]
        _refuse(file, f"{where}: {what}{f' (and {len(others)} more)' if others else ''}")
    if valid.detail_type != name:
        _refuse(file, f"it says {name}, and its reasons make it {valid.detail_type}")
    return Notice(name, json.loads(valid.json_text()))


def _refuse(file: str, why: str) -> NoReturn:
    fail(clip(f"{_called(file)} holds no event of pollbridge: {why}", WHY_LIMIT))


def _called(file: str) -> str:
    return "standard input" if file == "-" else file
