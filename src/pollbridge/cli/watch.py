"""`watch` and `unwatch`: which jobs are followed."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import BinaryIO, NoReturn

import click
from botocore.exceptions import BotoCoreError, ClientError

from pollbridge.cli.deployment import find, refused, unreachable
from pollbridge.cli.names import KEY
from pollbridge.cli.output import fail, plain, print_json
from pollbridge.cli.progress import progress
from pollbridge.model.job import JobKey
from pollbridge.watches import Registration, Watches, WatchRefused, check_labels

MISTAKES_NAMED = 10


@click.command()
@click.argument("keys", nargs=-1, metavar="KEY...")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Told with every event of these jobs.")
@click.option("--file", type=click.File("rb"), metavar="FILE", help="Read keys from a file (- is stdin), one a line.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def watch(keys: tuple[str, ...], labels: tuple[str, ...], file: BinaryIO | None, as_json: bool) -> None:
    """Follow jobs. The first poll comes with the next tick.

    A job key is <connection>/<kind>/<scope>/<id>, each part percent-encoded. All keys are checked before the first
    job is followed: when one of them is wrong, none is. Running the same command again is safe.
    """
    if not keys and file is None:
        raise click.UsageError("name a job key, or a --file of them")
    told = _labels(labels)
    deployment = find()
    wanted = _checked(deployment.watches, _lines(keys, file))
    registration = Registration(deployment.watches, wanted, told)
    _register(registration, quiet=as_json)
    results = [{"key": str(key), "new": registration.followed[key]} for key in wanted if key in registration.followed]
    if as_json:
        print_json(results)
    else:
        for result in results:
            click.echo(f"{'watching' if result['new'] else 'already watched'}  {result['key']}")
    if registration.refused:
        _refuse(registration.refused.values(), of=len(wanted), so="the others are followed")


@click.command()
@click.argument("key", type=KEY)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def unwatch(key: str, as_json: bool) -> None:
    """Stop following a job. Its history stays, and discovery does not begin it again."""
    deployment = find()
    try:
        job = deployment.watches.known(key)
    except WatchRefused as error:
        fail(str(error))
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


def _lines(keys: tuple[str, ...], file: BinaryIO | None) -> Iterator[tuple[str, str]]:
    """Each key with the place it stands in. What is no UTF-8 comes with surrogates, which no key may hold."""
    yield from (("", key) for key in keys)
    for number, line in enumerate(file or (), start=1):
        # Files that were put together may hold a byte order mark at the head of any line.
        text = line.decode("utf-8", "surrogateescape").removeprefix("\ufeff").strip()
        if text and not text.startswith("#"):
            yield f"{getattr(file, 'name', '<stdin>')}:{number}: ", text


def _checked(watches: Watches, lines: Iterable[tuple[str, str]]) -> list[JobKey]:
    """The keys, without repetitions; exits when one is wrong, naming the first of those that are."""
    keys: dict[JobKey, None] = {}
    mistakes, given = [], list(lines)
    for place, text in given:
        try:
            keys[watches.key(text)] = None
        except WatchRefused as error:
            mistakes.append(f"{place}{error}")
    if mistakes:
        _refuse(mistakes, of=len(given), so="none is followed")
    if not keys:
        fail("the file holds no job key")
    return list(keys)


def _register(registration: Registration, *, quiet: bool) -> None:
    """Follow the jobs; exits saying how far it came when it could not go on."""
    count = len(registration.keys)
    try:
        with _stopped_by_interrupt(registration):
            if registration.labels:
                with progress("looking at their labels", count, quiet=quiet) as step:
                    registration.check(lambda: step(1))
            if registration.refused:
                _refuse(registration.refused.values(), of=count, so="none is followed")
            with progress("registering", count, quiet=quiet) as step:
                registration.follow(lambda: datetime.now(UTC), lambda: step(1))
    except KeyboardInterrupt:
        click.echo(f"\npollbridge: interrupted{_so_far(registration)}", err=True)
        raise SystemExit(130) from None
    except ClientError as error:
        fail(f"{refused(error)}{_so_far(registration)}")
    except BotoCoreError as error:
        fail(f"{unreachable(error)}{_so_far(registration)}")


@contextmanager
def _stopped_by_interrupt(registration: Registration) -> Iterator[None]:
    """Ctrl-C ends it once the jobs that were begun are finished; a second one does not wait for them."""

    def stop(*_: object) -> None:
        registration.stop()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if registration.stopped:
        raise KeyboardInterrupt


def _so_far(registration: Registration) -> str:
    followed, count = len(registration.followed), len(registration.keys)
    return f"; {followed} of {count} jobs are registered, and running the same command again is safe"


def _refuse(mistakes: Iterable[object], *, of: int, so: str) -> NoReturn:
    """Name the first mistakes on stderr, a line each, count them all, and exit 1."""
    told: Sequence[str] = [str(mistake) for mistake in mistakes]
    for mistake in told[:MISTAKES_NAMED]:
        click.echo(f"pollbridge: {plain(mistake)}", err=True)
    if of > 1:
        named = f" (the first {MISTAKES_NAMED} are named)" if len(told) > MISTAKES_NAMED else ""
        click.echo(f"pollbridge: {len(told)} of {of} keys refused{named}; {so}", err=True)
    raise SystemExit(1)
