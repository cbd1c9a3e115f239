"""``mfgroute config``."""

from __future__ import annotations

import click

from mfgroute.cli import show
from mfgroute.cli.app import Group, session


@click.group("config", cls=Group)
def command() -> None:
    """Show the configuration, without secrets, or its JSON Schema."""


@command.command("show")
@click.option("--origin", is_flag=True, help="Say of each setting and each part where it comes from.")
def show_(*, origin: bool) -> int:
    """Show the checked configuration after replacements; secrets are stars.

    With --origin: every setting with its place, environment variable or default, and every contract, mapping,
    lookup, rule and schema with its file, its pack, its owner, and what it overrides.

    Examples:
      mfgroute config show
      mfgroute config show --origin
      mfgroute config show --origin --output json
    """
    from mfgroute.cli.dryrun import project  # noqa: PLC0415 - not for --help

    found = project()
    if origin:
        from mfgroute.cli.origin import tell  # noqa: PLC0415

        return tell(found)
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
