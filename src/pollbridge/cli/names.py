"""Names that a shell completes from the deployment: job keys, connections, destinations."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable
from contextlib import redirect_stderr, suppress
from io import StringIO
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from pollbridge.cli.deployment import Deployment

PATIENCE = 1.0
"""Seconds that somebody who pressed Tab waits for a deployment's answer."""

MOST = 100
"""Job keys that are offered: the last that changed."""


class Name(click.ParamType[str]):
    """A text as it is given, whose completions a deployment knows."""

    def known(self, deployment: Deployment) -> Iterable[str]:
        raise NotImplementedError

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        # Loaded here, as it takes no thought of AWS's: only the asking is to be quick.
        from pollbridge import aws  # noqa: F401

        found: list[str] = []

        def ask() -> None:
            from pollbridge.cli.deployment import find

            # Whatever is wrong, somebody is in the middle of a line: the command itself will say it.
            with suppress(SystemExit, Exception):
                found.extend(name for name in self.known(find()) if name.startswith(incomplete))

        with redirect_stderr(StringIO()):
            asking = threading.Thread(target=ask, daemon=True)
            asking.start()
            asking.join(PATIENCE)
        return [CompletionItem(name) for name in list(found)]


class Key(Name):
    name = "KEY"

    def known(self, deployment: Deployment) -> Iterable[str]:
        from pollbridge.model.state import UNSEEN, State

        states = [*(state.value for state in State), UNSEEN]
        heads = deployment.heads.newest(list(deployment.vendors), states, None)
        return (str(head.key) for head in itertools.islice(heads, MOST))


class Connection(Name):
    name = "NAME"

    def known(self, deployment: Deployment) -> Iterable[str]:
        return dict.fromkeys([*deployment.vendors, *deployment.vendors.values()])


class Destination(Name):
    name = "DESTINATION"

    def known(self, deployment: Deployment) -> Iterable[str]:
        return deployment.destinations


KEY, CONNECTION, DESTINATION = Key(), Connection(), Destination()
