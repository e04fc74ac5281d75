"""The command line. A command is imported when it is called, so that `--help` stays instant."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

import click

from pollbridge import __version__
from pollbridge.cli.ending import ending

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

NOBODY_READS = 141
"""128 and the number of SIGPIPE, as shells tell it."""

COMMANDS = {
    "watch": ("pollbridge.cli.watch:watch", "Follow jobs."),
    "unwatch": ("pollbridge.cli.watch:unwatch", "Stop following a job."),
    "jobs": ("pollbridge.cli.read:jobs", "List the jobs that are known."),
    "show": ("pollbridge.cli.read:show", "Show how a job stands."),
    "history": ("pollbridge.cli.read:history", "Show every change a job was seen in."),
    "explain": ("pollbridge.cli.explain:explain", "Say why somebody heard of a job, or didn't."),
    "tail": ("pollbridge.cli.following:tail", "Show the last events, and go on with new ones."),
    "wait": ("pollbridge.cli.waiting:wait", "Wait until a job has ended."),
    "route": ("pollbridge.cli.preview:route", "Say which destinations hear of an event, and why."),
    "render": ("pollbridge.cli.preview:render", "Print what a destination would be sent."),
    "deliveries": ("pollbridge.cli.delivering:deliveries", "List what became of events on their way."),
    "resend": ("pollbridge.cli.delivering:resend", "Have an event delivered once more."),
    "recover": ("pollbridge.cli.delivering:recover", "Send a destination what it missed."),
    "enable": ("pollbridge.cli.delivering:enable", "Deliver again to a disabled destination."),
    "test-notify": ("pollbridge.cli.delivering:test_notify", "Try whether a destination can be reached."),
    "doctor": ("pollbridge.cli.doctor:doctor", "Look for what needs a person."),
    "cost": ("pollbridge.cli.cost:cost", "Estimate what this deployment costs a month."),
    "parse": ("pollbridge.cli.parse:parse", "Read a vendor's answer from a file."),
    "api": ("pollbridge.cli.api:api", "Print the address of the HTTP API."),
    "secret": ("pollbridge.cli.secret:secret", "Store keys and addresses in Secrets Manager."),
    "local": ("pollbridge.cli.local:local", "Run the whole deployment on this machine."),
    "demo": ("pollbridge.cli.demo:demo", "Watch jobs of every vendor live through their states."),
    "completion": ("pollbridge.cli.completion:completion", "Print what lets a shell complete commands."),
}


class Commands(click.Group):
    """A group that knows its commands by name and help, and imports the one that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as unknown:
            raise click.NoSuchCommand(unknown.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        names = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        # Not a group's own way, which asks every command for its help.
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        # https://no-color.org; to what is no terminal, click writes no colours anyway.
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            ctx.color = False
        with ending(NOBODY_READS):
            return self._invoke(ctx)

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            # Everything of AWS that a command did not expect: one line, whichever command it was.
            if not type(error).__module__.startswith("botocore."):
                raise
            from botocore.exceptions import BotoCoreError, ClientError

            from pollbridge.cli.deployment import refused, unreachable
            from pollbridge.cli.output import fail

            if isinstance(error, ClientError):
                fail(refused(error))
            if isinstance(error, BotoCoreError):
                fail(unreachable(error))
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(version)s")
def main() -> None:
    """Ask vendors how their jobs are doing, so that you don't have to."""
