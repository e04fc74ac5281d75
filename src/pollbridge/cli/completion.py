"""`completion`: what a shell needs to complete commands, options, and names of the deployment."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

VARIABLE = "_POLLBRIDGE_COMPLETE"
"""By which click's scripts ask for completions."""


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print the script that lets SHELL complete commands, options, states, names and job keys.

    \b
    bash:  eval "$(pollbridge completion bash)"      in ~/.bashrc
    zsh:   eval "$(pollbridge completion zsh)"       in ~/.zshrc, after compinit
    fish:  pollbridge completion fish > ~/.config/fish/completions/pollbridge.fish

    Names and keys come from the deployment that the environment points to, when it answers within a second.
    """  # noqa: D301 - click looks for the character itself
    from pollbridge.cli import main

    script = get_completion_class(shell)
    assert script  # click brings these three
    click.echo(script(main, {}, "pollbridge", VARIABLE).source(), nl=False)
