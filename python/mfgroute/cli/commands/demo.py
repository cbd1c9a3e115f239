"""``mfgroute demo``."""

from __future__ import annotations

from pathlib import Path

import click

from mfgroute.cli.app import Command, session


@click.command("demo", cls=Command)
@click.option("--once", is_flag=True, help="Play the story once, check every effect and end.")
@click.option(
    "--outage",
    is_flag=True,
    help="Cut the line between edge and core during the shift, and kill the core meanwhile.",
)
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path, file_okay=False),
    help="Where to keep the data; default: ./mfgroute-demo.",
)  # fmt: skip
def command(*, once: bool, outage: bool, folder: Path | None) -> int:
    """Show a simulated plant, its edge and core nodes and its business systems at work.

    Examples:
      mfgroute demo
      mfgroute demo --once --output json
      mfgroute demo --outage --once
    """
    import importlib  # noqa: PLC0415 - only needed here

    demo = importlib.import_module("mfgroute.testing.demo")
    code: int = demo.main(once=once, output=session().output, directory=folder, outage=outage)
    return code
