"""`watch` and `unwatch`: which jobs are followed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TextIO

import click

from pollbridge.cli.deployment import find
from pollbridge.cli.output import fail, print_json
from pollbridge.model.job import JobKey
from pollbridge.watches import Watches, WatchRefused, check_labels

MISTAKES_SHOWN = 10


@click.command()
@click.argument("keys", nargs=-1, metavar="KEY...")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Told with every event of these jobs.")
@click.option(
    "--file", type=click.File("r", encoding="utf-8"), metavar="FILE", help="Read keys from a file, one a line."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def watch(keys: tuple[str, ...], labels: tuple[str, ...], file: TextIO | None, as_json: bool) -> None:
    """Follow jobs. The first poll comes with the next tick.

    A job key is <connection>/<kind>/<scope>/<id>, each part percent-encoded. Either all keys are followed or,
    when one of them is wrong, none.
    """
    if not keys and file is None:
        raise click.UsageError("name a job key, or a --file of them")
    told = _labels(labels)
    deployment = find()
    wanted = _checked(deployment.watches, _lines(keys, file))
    results = [{"key": str(key), "new": deployment.watches.watch(key, told, datetime.now(UTC))} for key in wanted]
    if as_json:
        print_json(results)
        return
    for result in results:
        click.echo(f"{'watching' if result['new'] else 'already watched'}  {result['key']}")


@click.command()
@click.argument("key")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def unwatch(key: str, as_json: bool) -> None:
    """Stop following a job. Its history stays, and discovery does not begin it again."""
    deployment = find()
    [job] = _checked(deployment.watches, iter([("", key)]))
    if not deployment.heads.unfollow(job, datetime.now(UTC)):
        fail(f"{job} is not known here: nothing to stop")
    if as_json:
        print_json({"key": str(job), "watched": False})
        return
    click.echo(f"no longer watched  {job}")


def _labels(options: tuple[str, ...]) -> dict[str, str]:
    labels = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise click.BadParameter(f"{option!r} is not NAME=VALUE", param_hint="--label")
        labels[name] = value
    try:
        check_labels(labels)
    except WatchRefused as error:
        raise click.BadParameter(str(error), param_hint="--label") from None
    return labels


def _lines(keys: tuple[str, ...], file: TextIO | None) -> Iterator[tuple[str, str]]:
    """Each key with the place it stands in."""
    yield from (("", key) for key in keys)
    if file is None:
        return
    try:
        for number, line in enumerate(file, start=1):
            if line.strip() and not line.lstrip().startswith("#"):
                yield f"{file.name}:{number}: ", line.strip()
    except UnicodeDecodeError:
        fail(f"{file.name} is not UTF-8 text")


def _checked(watches: Watches, lines: Iterator[tuple[str, str]]) -> list[JobKey]:
    """The keys, without repetitions; exits when one is wrong, naming them."""
    keys: dict[JobKey, None] = {}
    mistakes = []
    for place, text in lines:
        try:
            keys[watches.key(text)] = None
        except WatchRefused as error:
            mistakes.append(f"{place}{error}")
    if not mistakes and not keys:
        fail("the file holds no job key")
    if mistakes:
        for mistake in mistakes[1:MISTAKES_SHOWN]:
            click.echo(f"pollbridge: {mistake}", err=True)
        more = f" (and {len(mistakes) - MISTAKES_SHOWN} more)" if len(mistakes) > MISTAKES_SHOWN else ""
        fail(f"{mistakes[0]}{more}")
    return list(keys)
