"""``mfgroute completion``."""

from __future__ import annotations

import click

from mfgroute.cli.app import Command, app, session


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(*, shell: str) -> int:
    """Print the completion script of SHELL.

    Examples:
      eval "$(mfgroute completion bash)"
      mfgroute completion fish > ~/.config/fish/completions/mfgroute.fish
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - only needed here

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(app, {}, "mfgroute", "_MFGROUTE_COMPLETE").source()
    if session().json:
        from mfgroute.cli import show  # noqa: PLC0415

        show.document({"shell": shell, "script": script})
    else:
        click.echo(script)
    return 0
