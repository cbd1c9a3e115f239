"""``mfgroute eval``."""

from __future__ import annotations

import sys

import click

from mfgroute.cli import show
from mfgroute.cli.app import Command, session
from mfgroute.cli.failures import DATA, OK, Failure

_BYTES_MAX = 64 << 20


@click.command("eval", cls=Command)
@click.argument("mapping")
@click.option(
    "--meta", multiple=True, metavar="NAME=VALUE", help="An attribute of the message; may be repeated."
)
def command(*, mapping: str, meta: tuple[str, ...]) -> int:
    """Run one message from standard input through MAPPING and print its events.

    Ends with 65 if anything is rejected.

    Examples:
      mfgroute eval mes-completion < samples/completion.json
      mfgroute eval line-3 --meta file.name=a.csv --output json < a.csv
    """
    from mfgroute.cli import dryrun  # noqa: PLC0415 - not for --help

    given = dryrun.meta_of(meta)
    project = dryrun.project()
    message = sys.stdin.buffer.read(_BYTES_MAX + 1)
    if len(message) > _BYTES_MAX:
        raise Failure(f"the message has more than {_BYTES_MAX} bytes", code=DATA)
    name = mapping.removesuffix(".yaml").rpartition("/")[2]
    outcomes = dryrun.mapped(project, name, message, given)
    if session().json:
        show.document({"mapping": name, "outcomes": outcomes})
    else:
        dryrun.print_outcomes(outcomes, with_sinks=False)
    return DATA if any("reject" in one for one in outcomes) else OK
