"""``mfgroute config``."""

from __future__ import annotations

import click

from mfgroute.cli import show
from mfgroute.cli.app import Group, session


@click.group("config", cls=Group)
def command() -> None:
    """Show the configuration, without secrets, or its JSON Schema."""


@command.command("show")
def show_() -> int:
    """Show the checked configuration after replacements; secrets are stars.

    Examples:
      mfgroute config show
    """
    from mfgroute.cli.dryrun import project  # noqa: PLC0415 - not for --help

    found = project()
    document = found.redacted()
    if session().json:
        show.document(document)
    else:
        show.line(f"# {found.file}")
        for one in show.yaml(document):
            show.line(one)
    return 0


@command.command("schema")
def schema_() -> int:
    """Print the JSON Schema of mfgroute.yaml, with all installed adapters, for editors.

    Examples:
      mfgroute config schema > mfgroute.schema.json
    """
    from mfgroute.project import schema  # noqa: PLC0415 - not for --help

    if session().json:
        show.document(schema())
    else:
        show.pretty(schema())
    return 0
