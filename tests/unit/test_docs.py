"""What the documents say is so: links, commands, configuration keys, defaults and tables are compared with the code."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import click
import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from pollbridge import config
from pollbridge.cli import main
from pollbridge.model.change import Reason
from pollbridge.model.event import Trouble, webhook_type
from pollbridge.notifying.retries import STEPS
from pollbridge.polling.client import Refused
from pollbridge.polling.report import Outcome
from pollbridge.routing import JOB_TYPES
from pollbridge.schemas import schema
from pollbridge.vendors import VENDORS
from tests.kit.table import KEYS
from tests.kit.world import in_world, numbered

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]
README = (ROOT / "README.md").read_text("utf-8")
OPERATING = (ROOT / "docs" / "operating.md").read_text("utf-8")
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)

SECTIONS: dict[str, type[BaseModel]] = {
    "[vendors.<name>]": config.Connection,
    "[vendors.<name>.cadence]": config.Cadence,
    "[vendors.<name>.limits]": config.Limits,
    "[destinations.<name>]": config.Destination,
    "[destinations.<name>.match]": config.Match,
    "[history]": config.History,
    "[alarms]": config.Alarms,
    "[api]": config.Api,
}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(text: str, *languages: str) -> list[str]:
    return [body for language, body in FENCE.findall(text) if language in languages]


def prose(text: str) -> str:
    return FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ +(.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table(heading: str) -> list[list[str]]:
    """The rows of the first table below that heading of the README, without its title row."""
    below = re.split(rf"^#+ +{re.escape(heading)}$", README, flags=re.MULTILINE)[1]
    rows = next(part for part in re.split(r"\n\n+", below) if part.startswith("|")).splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def commands(text: str) -> Iterator[list[str]]:
    """The words behind `pollbridge` in shell blocks and in inline code."""
    shell = [block.replace("\\\n", " ") for block in blocks(text, "sh", "bash", "console")]
    inline = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(text))]
    for line in "\n".join([*shell, *inline]).splitlines():
        for words in re.findall(r"(?<![\w/.-])pollbridge +([^|;)]+)", re.split(r" <<<| # |  +#", line)[0]):
            yield shlex.split(words.replace('"', ""))


COMMANDS = [(named(path), words) for path in DOCUMENTS for words in commands(path.read_text("utf-8"))]


def links(path: Path) -> list[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", prose(path.read_text("utf-8")))
    return [link for link in found if not link.startswith(("https://", "http://"))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_its_links_lead_somewhere(path: Path) -> None:
    for link in links(path):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path

        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text("utf-8")), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_it_is_about_the_project_only(path: Path) -> None:
    assert not re.search(r"/(home|root|work|tmp|usr)/|:\d{5}\b", path.read_text("utf-8"))


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 20


@pytest.mark.parametrize(("document", "words"), COMMANDS, ids=[f"{name}: {' '.join(w)}" for name, w in COMMANDS])
def test_the_command_exists_and_takes_these_options(document: str, words: list[str]) -> None:
    command: click.Command = main
    ctx = click.Context(main)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(ctx, words[0])
        assert found, f"{document}: pollbridge {' '.join(words)}"
        command, words = found, words[1:]

    given, _, _ = command.make_parser(ctx).parse_args(words)

    for parameter in command.params:
        if isinstance(parameter.type, click.Choice) and parameter.name in given:
            parameter.type_cast_value(ctx, given[parameter.name])


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_its_make_targets_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]\w*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    text = path.read_text("utf-8")

    # `make lock install` names two.
    told = re.findall(r"`make ((?:[a-z]+ ?)+)`", text) + re.findall(r"^\$ make (.+)$", text, re.MULTILINE)
    assert {target for words in told for target in words.split()} <= targets


def default(field: FieldInfo, cell: str) -> Any:
    """The default that a cell tells, as the field reads it."""
    if not cell.startswith("`"):
        return None
    value = tomllib.loads(f"value = {code(cell)[0]}")["value"]
    return TypeAdapter(Annotated[field.annotation, "", *field.metadata]).validate_python(value)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_reference_has_every_key_with_its_default(section: str) -> None:
    rows = {code(key)[0]: cell for key, cell, _ in table(f"`{section}`")}
    fields = SECTIONS[section].model_fields

    assert list(rows) == list(fields)
    for key, cell in rows.items():
        if cell.startswith("the ") and fields[key].is_required():
            continue  # filled in by the connection's name, see below
        assert fields[key].is_required() == (cell == "required"), key
        if cell != "required":
            assert fields[key].get_default() == default(fields[key], cell), key


def test_every_section_is_in_the_reference() -> None:
    assert set(config.Configuration.model_fields) == {re.findall(r"\w+", section)[0] for section in SECTIONS}


@pytest.mark.parametrize("name", VENDORS)
def test_a_connection_needs_but_its_name_and_a_secret(name: str) -> None:
    connection = config.check({"vendors": {name: {"secret": "s"}}}, "here").vendors[name]

    assert (connection.type, connection.base_url) == (name, VENDORS[name].base_url)


def test_the_vendors_defaults_are_the_registrys() -> None:
    told = {
        code(row[0])[0]: (code(row[1]), [float(cell) for cell in row[2:5]], code(row[5]))
        for row in table("Vendors' defaults")
    }

    assert told == {
        name: (
            [vendor.base_url],
            [vendor.limits.per_second, vendor.limits.per_minute, vendor.limits.concurrency],
            list(vendor.headers),
        )
        for name, vendor in VENDORS.items()
    }


def test_every_kind_of_job_has_its_key() -> None:
    told = [code(row[1])[0].split("/")[:2] for row in table("Job keys")]

    assert told == [[name, kind] for name, vendor in VENDORS.items() for kind in vendor.kinds]


def test_every_kind_of_job_event_is_told_of() -> None:
    told = {row[0]: code(row[2])[0] for row in table("Events")}

    assert told == {name: webhook_type(name) for name in JOB_TYPES}


def test_every_reason_is_told_of_strongest_first() -> None:
    table = README.split("`reasons` says why")[1].split("\n\n")[1]

    told = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert told == list(Reason)


@pytest.mark.parametrize("trouble", Trouble)
def test_every_trouble_of_a_vendor_is_told_of(trouble: str) -> None:
    [row] = re.findall(r"^\| Vendor Unreachable \|.+$", README, re.MULTILINE)

    assert f"`{trouble}`" in row
    assert f"| `{trouble}` |" in OPERATING


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_of_a_sweep_is_told_of(outcome: str) -> None:
    told = OPERATING.split("| `outcome` |")[1].split("\n\n")[0]

    assert f"`{outcome}`" in told


def test_the_example_of_an_event_validates() -> None:
    [example] = blocks(README, "json")

    Draft202012Validator(schema("job-event")).validate(json.loads(example))


def test_the_examples_of_configuration_are_valid() -> None:
    for example in blocks(README, "toml"):
        config.check(tomllib.loads(example), "README.md")
    config.load(ROOT / "pollbridge.toml")


def test_the_secrets_to_store_are_those_of_the_configuration() -> None:
    stored = re.findall(r"secret set (pollbridge/\S+)", README)

    assert stored == list(config.load(ROOT / "pollbridge.toml").secrets)


def test_the_retries_are_the_retry_clock() -> None:
    units = {"s": 1, "min": 60, "h": 3600}
    told = re.search(r"sent again after (.+?), give or take", " ".join(README.split()))
    assert told

    waits = [int(n) * units[unit] for n, unit in re.findall(r"(\d+) (s|min|h)\b", told[1])]
    assert waits == [step.total_seconds() for step in STEPS]


def test_the_data_model_names_every_index() -> None:
    text = (ROOT / "docs" / "data-model.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)`[^|,]*, `(\w+)`", text, re.MULTILINE)

    assert {name: (partition, sort) for name, partition, sort in rows} == KEYS


def test_the_data_model_names_every_attribute_that_sweeps_write() -> None:
    """Of a connection that lost a job, found others in a list longer than a sweep holds, and was down."""
    text = (ROOT / "docs" / "data-model.md").read_text("utf-8")
    bench = in_world()
    bench.follow("gone", scope="q")
    bench.tick()
    bench.world.delete("gone", scope="q")
    bench.tick(30)
    bench.world.add(*numbered(250))
    bench.set(scopes=("p",))
    bench.budget(3)
    bench.tick()
    bench.world.fail(Refused(500))
    bench.tick(4)

    written = {name for item in bench.aws.client.items.values() for name in item}
    assert {"silent", "lost", "pages", "health"} <= written
    assert {name for name in written - {"PK", "SK"} if f"`{name}`" not in text} == set()


def test_the_example_of_a_vendor_is_the_tested_one() -> None:
    [example] = blocks((ROOT / "docs" / "adding-a-vendor.md").read_text("utf-8"), "python")

    assert example == (ROOT / "tests" / "unit" / "fictional_vendor.py").read_text("utf-8")
