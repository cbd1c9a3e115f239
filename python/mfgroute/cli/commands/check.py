"""``mfgroute check``."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from mfgroute.cli import show
from mfgroute.cli.app import Command, session
from mfgroute.cli.failures import CONFIGURATION, FAILED, OK, USAGE, Failure, tell_problems


@click.command("check", cls=Command)
@click.option("--strict", is_flag=True, help="Warnings fail, too.")
@click.option("--online", is_flag=True, help="Ask the targets as well (not available in this version).")
def command(*, strict: bool, online: bool) -> int:
    """Name every problem of a project, with file, line and column.

    Mappings, contracts, lookups, routes and adapters are checked, and the examples of mappings are run.
    A mapping to a contract whose sunset has come is an error, and so is a released contract that differs from
    its pin in contracts/registry.lock. Notes name what takes the place of a pack's, and what nobody owns.
    Nothing is started.

    Examples:
      mfgroute check
      mfgroute check -c plant/ --strict --output json
    """
    if online:
        raise Failure("`check --online` is not available in this version", code=USAGE)
    import msgspec  # noqa: PLC0415 - not for --help

    from mfgroute.cli import origin  # noqa: PLC0415
    from mfgroute.cli.disk import small_disk  # noqa: PLC0415
    from mfgroute.cli.dryrun import project  # noqa: PLC0415
    from mfgroute.config import owners  # noqa: PLC0415
    from mfgroute.errors import ConfigError  # noqa: PLC0415

    one = session()
    try:
        found = project(today=datetime.now(UTC).date())
    except ConfigError as error:
        if not one.json:
            raise
        problems = msgspec.to_builtins(error.problems)
        show.document({"ok": False, "problems": problems})
        return CONFIGURATION
    warnings = [*found.warnings, *small_disk(found)]
    failed = strict and bool(warnings)
    summary = found.plan.summary
    counts = {name: len(summary[name]) for name in ("contracts", "mappings", "lookups", "routes")}
    if one.json:
        problems = msgspec.to_builtins(warnings)
        show.document({
            "ok": not failed,
            "problems": problems,
            **counts,
            "examples": summary["examples"],
            "overrides": origin.overrides(found),
            "unowned": [
                {"kind": one.part.kind, "name": one.part.name, "file": one.part.file}
                for one in owners.unowned(origin.parts(found))
            ],
        })  # fmt: skip
    else:
        if warnings:
            tell_problems(warnings)
        if not one.quiet:
            for note in origin.notes(found):
                show.line(note)
            told = ", ".join(f"{number} {name}" for name, number in counts.items())
            show.line(
                f"{'not ok (--strict)' if failed else 'ok'}: {told}; {summary['examples']} examples pass"
            )
    return FAILED if failed else OK
