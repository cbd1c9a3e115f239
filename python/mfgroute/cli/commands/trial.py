"""``mfgroute try``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mfgroute.cli import show
from mfgroute.cli.app import Command, session
from mfgroute.cli.failures import DATA, OK, USAGE, Failure

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_META = click.option(
    "--meta", multiple=True, metavar="NAME=VALUE", help="An attribute of the message; may be repeated."
)


@click.command("try", cls=Command)
@click.argument("file", type=_FILE)
@click.option("--source", help="The source that receives it; may be left out if there is only one.")
@_META
def command(*, file: Path, source: str | None, meta: tuple[str, ...]) -> int:
    """Show what would become of a message: which mapping takes it, its events, what each sink is sent.

    Nothing is sent. Ends with 65 if anything is rejected.

    Examples:
      mfgroute try samples/completion.json --source mes
    """
    return _try(file, source, meta)


def _try(file: Path, source: str | None, meta: tuple[str, ...]) -> int:
    from mfgroute.cli import dryrun  # noqa: PLC0415 - not for --help

    given = {"file.name": file.name, **dryrun.meta_of(meta)}
    project = dryrun.project()
    names = list(project.model.sources)
    if source is None:
        if len(names) != 1:
            raise Failure("which source receives it?", code=USAGE, hint=f"add --source {' | '.join(names)}")
        source = names[0]
    content = file.read_bytes()
    outcomes = dryrun.received(project, source, content, given)
    sinks = _by_sink(outcomes)
    if session().json:
        show.document({"file": str(file), "source": source, "outcomes": outcomes, "sinks": sinks})
    else:
        mappings = sorted({one["mapping"] for one in outcomes if "mapping" in one})
        takes = f"taken by mapping {', '.join(mappings)}" if mappings else "taken by no mapping"
        show.line(f"{file.name} at source {source}: {takes}")
        dryrun.print_outcomes(outcomes, with_sinks=False)
        for name, events in sinks.items():
            show.line(f"sink {name} is sent:")
            for event in events:
                by = f"  converted by {', '.join(event['by'])}" if "by" in event else ""
                show.line(f"  {event['to']}  {event['key']}  id {event['id']}{by}")
        unwanted = [one for one in outcomes if "to" in one and not one["sinks"]]
        if unwanted:
            show.line("no route wants:")
            for event in unwanted:
                show.line(f"  {event['to']}  {event['key']}")
    return DATA if any("reject" in one for one in outcomes) else OK


def _by_sink(outcomes: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for outcome in outcomes:
        for sink in outcome.get("sinks", ()):
            event = {name: outcome[name] for name in ("to", "key", "id")}
            form = outcome.get("converted", {}).get(sink)
            if form is not None:
                event |= {**form, "by": outcome["conversions"][form["to"]]}
            found.setdefault(sink, []).append(event)
    return found
