"""`secret set`: store a key or an address."""

from __future__ import annotations

import json
import sys

import click
from botocore.exceptions import ClientError

from pollbridge import secrets
from pollbridge.aws import client
from pollbridge.cli.deployment import find
from pollbridge.cli.output import fail, print_json


@click.group()
def secret() -> None:
    """Store keys and addresses in Secrets Manager."""


@secret.command("set")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def set_(name: str, as_json: bool) -> None:
    r"""Store the JSON object on standard input as the secret NAME, the value of a `secret` key in pollbridge.toml.

    \b
    For a connection, the request headers:  {"x-api-key": "…"}
    For Slack:                              {"webhook_url": "https://…"}
    For Slack, with one card per job:       {"bot_token": "xoxb-…", "channel": "C…"}
    For a webhook:                          {"url": "https://…", "signing_secret": "whsec_…"}
    """
    owners = find().configuration.secrets
    if name not in owners:
        fail(f"no connection or destination of this deployment names a secret {name!r}; named are: {', '.join(owners)}")
    if sys.stdin is None:
        fail("standard input is closed; it should hold the JSON object")
    if sys.stdin.isatty():
        click.echo("Type or paste the JSON object, then Ctrl-D:", err=True)
    values = _read()
    try:
        secrets.check(owners[name], values)
    except secrets.UnusableSecret as error:
        fail(f"{name}: {error}")
    _store(name, json.dumps(values))
    if as_json:
        print_json({"secret": name, "stored": True})
        return
    click.echo(f"stored {name}; it counts from the next tick or attempt")


def _read() -> object:
    try:
        return json.loads(sys.stdin.buffer.read(64 * 1024))
    except (ValueError, RecursionError):
        fail("standard input holds no JSON object")


def _store(name: str, text: str) -> None:
    manager = client("secretsmanager")
    try:
        manager.put_secret_value(SecretId=name, SecretString=text)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException" or name.startswith("arn:"):
            raise
        manager.create_secret(Name=name, SecretString=text, Description="pollbridge")
