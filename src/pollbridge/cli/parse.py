"""`pollbridge parse`: a vendor's answer, read as the poller would read it. Needs no deployment and no network."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pollbridge.cli.output import fail, print_json, snapshot_text
from pollbridge.model.job import InvalidJobKey, JobKey
from pollbridge.vendors import VENDORS
from pollbridge.vendors.answer import Kind, NoAnswer
from pollbridge.views import snapshot_json


@click.command()
@click.argument("key")
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def parse(key: str, file: str, as_json: bool) -> None:
    """Read the vendor's answer in FILE (- is standard input) for the job KEY, and print how the job stands.

    KEY says which vendor and kind the answer is of; its id isn't compared with the answer's.
    """
    try:
        job = JobKey.parse(key)
    except InvalidJobKey as error:
        fail(f"{key!r} is no job key: {error}")
    kind = _kind(job)
    body = _body(file)
    try:
        snapshot = kind.parse(body).snapshot
    except NoAnswer as error:
        asked = kind.request(job)
        fail(f"{_called(file)} is not what {job.connection} answers to {asked.method} {asked.path}: {error}")
    if as_json:
        print_json(snapshot_json(kind.key(job), snapshot, {}))
    else:
        click.echo(snapshot_text(kind.key(job), snapshot, {}))


def _kind(job: JobKey) -> Kind:
    """The kind the key names; a connection that isn't named like a vendor is told by a kind only one vendor has."""
    if vendor := VENDORS.get(job.connection):
        if job.kind not in vendor.kinds:
            fail(f"{vendor.name} has no kind {job.kind!r}: it has {', '.join(vendor.kinds)}")
        return vendor.kinds[job.kind]
    kinds = [vendor.kinds[job.kind] for vendor in VENDORS.values() if job.kind in vendor.kinds]
    if len(kinds) != 1:
        fail(f"{job.connection!r} is no vendor: let the key begin with {', '.join(VENDORS)}")
    return kinds[0]


def _body(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except (OSError, ValueError) as error:
        fail(f"{_called(file)} cannot be read: {getattr(error, 'strerror', None) or error}")


def _called(file: str) -> str:
    return "standard input" if file == "-" else file
