"""``mfgroute pause`` and ``mfgroute resume``."""

from __future__ import annotations

import click

from mfgroute.cli import show
from mfgroute.cli.app import Command, session


@click.command("pause", cls=Command)
@click.argument("sink")
@click.option("--reason", default="", help="Why; goes to the node's log.")
def pause(*, sink: str, reason: str) -> int:
    """Stop sending to SINK; its events wait, those of other sinks go on.

    Examples:
      mfgroute pause sap --reason "posting period is closed"
    """
    return _turn("pause", sink, reason)


@click.command("resume", cls=Command)
@click.argument("sink")
@click.option("--reason", default="", help="Why; goes to the node's log.")
def resume(*, sink: str, reason: str) -> int:
    """Go on sending to SINK.

    Examples:
      mfgroute resume sap
    """
    return _turn("resume", sink, reason)


def _turn(verb: str, sink: str, reason: str) -> int:
    from mfgroute.cli.node import ask  # noqa: PLC0415 - not for --help

    answer = ask(verb, sink=sink, why=reason)
    if session().json:
        show.document(answer)
    elif not session().quiet:
        show.line(f"{sink} is paused; its events wait" if verb == "pause" else f"{sink} goes on")
    return 0
