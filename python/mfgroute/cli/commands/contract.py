"""``mfgroute contract``."""

from __future__ import annotations

from typing import Any

import click

from mfgroute.cli import show
from mfgroute.cli.app import Group, session
from mfgroute.cli.failures import USAGE, Failure


@click.group("contract", cls=Group)
def command() -> None:
    """List contracts and show one."""


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
    if session().json:
        show.document(found)
        return 0
    for one in found:
        show.table([(f"{key}:", value) for key, value in one.items() if value is not None])
    return 0


@command.command("check")
@click.option("--against", metavar="GIT-REF")
def check(*, against: str | None) -> int:
    """Compare contracts with an older version (not available in this version)."""
    del against
    raise Failure(
        "`contract check` is not available in this version", code=USAGE, hint="use `mfgroute check`"
    )
