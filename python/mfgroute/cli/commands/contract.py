"""``mfgroute contract``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mfgroute.cli import show
from mfgroute.cli.app import Group, session
from mfgroute.cli.failures import USAGE, Failure

if TYPE_CHECKING:
    from mfgroute.config.documents import Documents
    from mfgroute.config.load import Project


@click.group("contract", cls=Group)
def command() -> None:
    """List, show, export and check contracts."""


def _contracts() -> list[dict[str, Any]]:
    from mfgroute.cli.dryrun import project  # noqa: PLC0415 - not for --help

    found: list[dict[str, Any]] = project().plan.summary["contracts"]
    return sorted(found, key=lambda one: (one["type"], str(one["version"])))


@command.command("list")
def list_() -> int:
    """List the contracts of the project and its packs.

    Examples:
      mfgroute contract list
    """
    found = _contracts()
    if session().json:
        show.document(found)
        return 0
    rows = [(one["type"], one["version"], one["kind"], one["stream"], one["owner"]) for one in found]
    show.table(rows, header=("type", "version", "kind", "stream", "owner"))
    return 0


@command.command("show")
@click.argument("type_", metavar="TYPE")
def show_(*, type_: str) -> int:
    """Show a contract, named as in a route: production.operation.completed/1.

    Examples:
      mfgroute contract show production.operation.completed/1
    """
    name, _, major = type_.partition("/")
    found = [
        one
        for one in _contracts()
        if one["type"] == name and (not major or str(one["version"]).split(".")[0] == major)
    ]
    if not found:
        raise Failure(f"no contract is called `{type_}`", code=USAGE, hint="see `mfgroute contract list`")
    for one in found:
        one["mappings"] = _ways(f"{one['type']}/{str(one['version']).split('.')[0]}")
    if session().json:
        show.document(found)
        return 0
    for one in found:
        made = one.pop("mappings")
        show.table([(f"{key}:", value) for key, value in one.items() if value is not None])
        for mapping in made:
            way = "runs flat" if mapping["flat"] else f"runs on trees: {mapping['on_trees']}"
            show.line(f"mapping {mapping['name']} {way}")
    return 0


def _ways(label: str) -> list[dict[str, Any]]:
    """The mappings that make events of a contract, and whether they run flat."""
    from mfgroute.cli.dryrun import project  # noqa: PLC0415 - not for --help

    mappings = project().plan.summary["mappings"]
    return [
        {"name": one["name"], "flat": one["flat"], "on_trees": one["on_trees"]}
        for one in mappings
        if label in one["to"]
    ]


@command.group("export", cls=Group)
def export() -> None:
    """Write contracts for other tools.

    Examples:
      mfgroute contract export asyncapi --to asyncapi.yaml
    """


@export.command("asyncapi")
@click.option(
    "--to",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write this file, as JSON if it ends in .json; default: print.",
)
def asyncapi_(*, file: Path | None) -> int:
    """Write an AsyncAPI 3 document: a channel for each contract, what sources bring, what sinks get.

    It is YAML, or JSON with --output json.

    Examples:
      mfgroute contract export asyncapi --to asyncapi.yaml
      mfgroute contract export asyncapi --output json
    """
    from mfgroute.contracts import asyncapi  # noqa: PLC0415 - not for --help

    document = asyncapi.document(*_documents())
    if file is None and session().json:
        show.document(document)
        return 0
    as_json = session().json or (file is not None and file.suffix == ".json")
    text = json.dumps(document, ensure_ascii=False, indent=2) if as_json else "\n".join(show.yaml(document))
    _write(text.splitlines(), file, f"{len(document['channels'])} channels")
    return 0


@command.command("catalogue")
@click.option(
    "--to", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write this file; default: print."
)
def catalogue_(*, file: Path | None) -> int:
    """Write a page of Markdown: each contract with its owner, version, lifecycle, producers and consumers.

    Examples:
      mfgroute contract catalogue --to contracts.md
    """
    from mfgroute.contracts import catalogue  # noqa: PLC0415 - not for --help

    _, documents = _documents()
    _write(catalogue.page(documents), file, f"{len(documents.contracts)} contracts")
    return 0


def _write(lines: list[str], file: Path | None, what: str) -> None:
    """Print lines, or write them to a file and say so."""
    if file is None:
        for one in lines:
            show.line(one)
        return
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if session().json:
        show.document({"written": str(file)})
    elif not session().quiet:
        show.line(f"{what} written to {file}")


def _documents() -> tuple[Project, Documents]:
    """The project, compiled, and its files as they stand."""
    from mfgroute.cli.dryrun import project  # noqa: PLC0415 - not for --help
    from mfgroute.config import documents  # noqa: PLC0415
    from mfgroute.registry import Registry  # noqa: PLC0415

    found = project()
    return found, documents.read(documents.Folder(found.root), Registry())


@command.command("check")
@click.option("--against", metavar="GIT-REF", help="Compare with the project as it stood in this commit.")
@click.option("--pin", is_flag=True, help="Pin the versions that are not pinned yet in registry.lock.")
@click.option("--allow-undecided", is_flag=True, help="Accept changes that cannot be decided.")
def check(*, against: str | None, pin: bool, allow_undecided: bool) -> int:
    """Hold contracts to what was released: to contracts/registry.lock, and to an older commit.

    Says for each contract that changed whether the promise that it declares still holds (backward, forward or
    full), with a document that shows where not, and which mappings, routes, lookups and tests it touches.
    Ends with 1 if a released version was changed, or a promise is broken without a new major version.

    Examples:
      mfgroute contract check
      mfgroute contract check --against main
      mfgroute contract check --against v1.4.0 --output json
      mfgroute contract check --pin
      mfgroute contract check --pin -c plants/shared
    """
    from mfgroute.cli.contracts import check as judge  # noqa: PLC0415 - not for --help

    return judge(against=against, pin=pin, allow_undecided=allow_undecided)
