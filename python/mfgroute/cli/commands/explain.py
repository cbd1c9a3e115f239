"""``mfgroute explain``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mfgroute.cli import show
from mfgroute.cli.app import Command, session
from mfgroute.cli.failures import DATA, FAILED, OK, USAGE, Failure

if TYPE_CHECKING:
    from mfgroute.config.load import Project

_ID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")


@click.command("explain", cls=Command)
@click.argument("what", metavar="FILE|EVENT-ID")
@click.option("--source", help="The source that receives the file; may be left out if there is only one.")
@click.option(
    "--meta", multiple=True, metavar="NAME=VALUE", help="An attribute of the message; may be repeated."
)
def command(*, what: str, source: str | None, meta: tuple[str, ...]) -> int:
    """Say every decision about a message in a file, or about an event, in the order they are taken.

    Filters, mappings and why others do not take it, where each field comes from, tables and their versions,
    validation, identity, routes and why others do not take it; at last what was not kept. An event is
    explained by the message that made it, if its source has `record`. Ends with 65 if anything is rejected.

    Examples:
      mfgroute explain samples/completion.json --source mes
      mfgroute explain 0e3f8a52-7d1c-8b66-9c40-5a2f1e7d9b13
    """
    from mfgroute.cli import dryrun, explanation  # noqa: PLC0415 - not for --help

    file = Path(what)
    if not file.is_file() and _ID.fullmatch(what.lower()) is None:
        raise Failure(
            f"`{what}` is neither a file nor the id of an event",
            code=USAGE,
            hint="`mfgroute trace KEY` shows the ids of an order",
        )
    project = dryrun.project()
    if not file.is_file():
        return _event(project, what.lower())
    names = list(project.model.sources)
    if source is None:
        if len(names) != 1:
            raise Failure("which source receives it?", code=USAGE, hint=f"add --source {' | '.join(names)}")
        source = names[0]
    given = {"file.name": file.name, **dryrun.meta_of(meta)}
    found = explanation.explained(project, source, file.read_bytes(), given)
    if session().json:
        show.document({"file": str(file), **found})
    else:
        show.line(f"{file.name} at source {source}")
        _print(found)
    return DATA if any("reject" in one for one in found["outcomes"]) else OK


def _event(project: Project, wanted: str) -> int:
    """Explain an event by what the node and the recording of its source know."""
    from mfgroute.api.client import NotRunning  # noqa: PLC0415 - not for --help
    from mfgroute.cli import explanation  # noqa: PLC0415
    from mfgroute.cli.node import ask  # noqa: PLC0415

    known: dict[str, Any] | None = None
    silent: NotRunning | None = None
    try:
        known = next(iter(ask("find", query=wanted)["events"]), None)
    except NotRunning as error:
        silent = error
    made = _made(project, wanted, known)
    if made is None and silent is not None:
        raise silent
    if made is None and known is None:
        raise Failure(f"nothing is known of event {wanted}", code=FAILED, hint="is it an event of this node?")
    document: dict[str, Any] = {"id": wanted, "event": known}
    if made is None:
        document["not_kept"] = ["the message that made it: its source has no `record`, or it was dropped"]
    else:
        place, one = made
        found = explanation.explained(project, one.source, one.message, one.meta)
        found["outcomes"] = [own for own in found["outcomes"] if _same_id(own, wanted)]
        document |= {"message": place, "received": one.at, **found}
        document["not_kept"].append("the project of that time: rules, tables and routes are those of now")
        if known is not None and "data" in known:
            document["changed_since"] = not explanation.same(found["outcomes"][0]["data"], known["data"])
    if session().json:
        show.document(document)
    else:
        _print_event(document)
    return OK


def _made(project: Project, wanted: str, known: dict[str, Any] | None) -> Any:
    """The recorded message that makes an event, with its place."""
    from mfgroute.cli import dryrun, recorded  # noqa: PLC0415 - not for --help
    from mfgroute.cli.node import data_dir  # noqa: PLC0415
    from mfgroute.runtime.recording import FOLDER  # noqa: PLC0415

    for one in project.plan.summary["sources"]:
        own = known is None or known.get("source") in {None, one["uri"]}
        if not own or not (data_dir() / FOLDER / one["name"]).is_dir():
            continue
        for place, message in recorded.messages(project, one["name"], None):
            outcomes = dryrun.received(project, message.source, message.message, message.meta)
            if any(_same_id(outcome, wanted) for outcome in outcomes):
                return place, message
    return None


def _same_id(outcome: dict[str, Any], wanted: str) -> bool:
    return str(outcome.get("id", "")).replace("-", "") == wanted.replace("-", "")


def _print_event(document: dict[str, Any]) -> None:
    from mfgroute.cli.commands.trace import standing, version  # noqa: PLC0415 - not for --help

    known = document["event"]
    if known is not None:
        show.line(f"event {known.get('type', '')}  {known.get('key', '')}  id {known['id']}")
        show.line(f"  admitted {known.get('admitted') or '?'} from {known.get('source', '?')}")
        for sink in known["sinks"]:
            show.line(f"  {sink['sink']}: {standing(sink)}{version(sink)}")
        if not known["sinks"]:
            show.line("  no route wants it")
    if "message" not in document:
        _print_not_kept(document)
        return
    show.line(f"made of {document['message']}, received {document['received']} by {document['source']}")
    if document.get("changed_since"):
        show.line("the project was changed since: today the message makes other data")
    _print(document)


def _print(found: dict[str, Any]) -> None:
    for one in found["filters"]:
        verb = "drops it" if one["holds"] else "does not drop it"
        show.line(f"filter {one['name']} {verb}: {show.compact(one['when'])}")
    for one in found["mappings"]:
        if not one["asked"]:
            show.line(f"mapping {one['mapping']} was not asked")
            continue
        show.line(f"mapping {one['mapping']} {'takes it' if one['taken'] else 'does not take it'}")
        for part in one.get("when", ()):
            verb = "holds" if part["holds"] else "does not hold"
            show.line(f"  {part['place']} {verb}: {show.compact(part['condition'])}")
        if one.get("from"):
            show.line(f"  it takes only {show.compact(one['from'])}")
    for one in found["outcomes"]:
        if "to" in one:
            _print_outcome(one)
        elif "reject" in one:
            from mfgroute.cli.dryrun import reject_text  # noqa: PLC0415 - not for --help

            show.line(f"rejected: {reject_text(one['reject'])}")
            _print_fields(one["fields"])
        else:
            show.line(f"filtered by {one['filtered']}")
    _print_not_kept(found)


def _print_outcome(one: dict[str, Any]) -> None:
    show.line(f"event {one['to']}  {one['key']}  {one['time']}")
    _print_fields(one["fields"])
    validation, identity = one["validation"], one["identity"]
    if "version" in validation:
        runs = validation["runs"]
        show.line(f"  valid by {validation['file']}, version {validation['version']}, checked {runs}")
        if validation["rules"]:
            show.line(f"  its rules hold: {', '.join(validation['rules'])}")
    made = ", ".join(f"{name} {show.compact(value)}" for name, value in identity["of"].items())
    alone = "" if identity["across_sources"] else " and the source"
    show.line(f"  id {identity['id']} of {made}{alone}")
    for route in one["routes"]:
        sinks = ", ".join(route["to"])
        if route["taken"]:
            form = f" as {route['as']}" if "as" in route else ""
            show.line(f"  route {route['route']} sends it to {sinks}{form}")
        else:
            show.line(f"  route {route['route']} does not take it: {route['because']}")
            for name, value in route.get("found", {}).items():
                show.line(f"    {name} {'has no value' if value is None else f'is {show.compact(value)}'}")
    for form in one["forms"]:
        show.line(f"  for {', '.join(form['sinks'])} it becomes {form['to']} by {', '.join(form['by'])}")
        _print_fields(form["fields"])


def _print_fields(fields: list[dict[str, Any]]) -> None:
    for one in fields:
        value = show.compact(one["value"]) if "value" in one else "nothing"
        show.line(f"  {one['field']} = {value}")
        show.line(f"    {one['place']}: {one['rule']}")
        for table in one.get("lookups", ()):
            show.line(f"    table {table['table']}, version {table['version']}")


def _print_not_kept(found: dict[str, Any]) -> None:
    show.line("not kept:")
    for one in found["not_kept"]:
        show.line(f"  {one}")
