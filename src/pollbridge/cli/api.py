"""`api`: where the deployed API answers."""

from __future__ import annotations

import os

import click

from pollbridge.cli.deployment import find
from pollbridge.cli.output import fail, print_json


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def api(as_json: bool) -> None:
    """Print the address of the HTTP API.

    Requests have to be signed: docs/api.md shows how.
    """
    told = find().parts.get("api")
    if not told:
        fail("the API is off: set enabled = true under [api] in pollbridge.toml, and deploy")
    # The emulator tells a path below its own address.
    beneath = os.environ.get("AWS_ENDPOINT_URL", "") if told["url"].startswith("/") else ""
    url = (beneath.rstrip("/") + told["url"]).rstrip("/")
    if as_json:
        print_json({"url": url, "function": told["function"], "callers": told.get("callers")})
        return
    click.echo(url)
