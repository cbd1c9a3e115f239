"""``mfgroute doctor``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mfgroute.cli import show
from mfgroute.cli.app import Command, session
from mfgroute.cli.failures import FAILED, OK

if TYPE_CHECKING:
    from mfgroute.cli.doctor import Finding


@click.command("doctor", cls=Command)
@click.option(
    "--data-dir", "folder", type=click.Path(path_type=Path),
    help="The data folder; default: $MFGROUTE_DATA_DIR, or node.data_dir of the project.",
)  # fmt: skip
def command(*, folder: Path | None) -> int:
    """Look at everything that a node needs: project, data folder, disk, clock, ports, logs.

    One line for each thing that was looked at, and a hint for each that is not right. Ends with 1 when
    something is wrong; warnings do not count. Nothing is changed, and a node may run meanwhile. The disk is
    probed with 50 synced writes in a file without a name.

    Examples:
      mfgroute doctor
      mfgroute doctor -c plant/ --output json
    """
    import msgspec  # noqa: PLC0415 - not for --help

    found = list(_examine(folder))
    wrong = [one for one in found if one.state == "wrong"]
    if session().json:
        findings = [msgspec.to_builtins(one) for one in found]
        show.document({"ok": not wrong, "findings": findings})
        return FAILED if wrong else OK
    shown = [one for one in found if one.state != "ok"] if session().quiet else found
    width = max((len(one.check) for one in shown), default=0)
    for one in shown:
        show.line(f"{one.state:<7}  {one.check:<{width}}  {one.message}")
        if one.hint:
            show.line(f"{'':<7}  {'':<{width}}  hint: {one.hint}")
    if not session().quiet:
        warnings = sum(one.state == "warning" for one in found)
        show.line(f"{len(wrong)} wrong, {warnings} warning{'s' * (warnings != 1)}")
    return FAILED if wrong else OK


def _examine(given: Path | None) -> Iterator[Finding]:
    from datetime import UTC, datetime  # noqa: PLC0415 - not for --help

    from mfgroute.cli import doctor  # noqa: PLC0415
    from mfgroute.cli.dryrun import project  # noqa: PLC0415
    from mfgroute.cli.node import data_dir  # noqa: PLC0415
    from mfgroute.config.load import Project  # noqa: PLC0415
    from mfgroute.errors import ConfigError  # noqa: PLC0415

    yield from doctor.build()
    found: Project | ConfigError
    try:
        found = project(today=datetime.now(UTC).date())
    except ConfigError as error:
        found = error
    yield from doctor.problems(found)
    yield from doctor.files()
    try:
        where = given or data_dir()
    except ConfigError:
        return  # Said above: there is no project, or it cannot be read.
    # Without a project nobody knows whether streams are durable; what is kept there says it.
    durable = (
        any(one.durability == "fsync" for one in found.model.streams.values())
        if isinstance(found, Project)
        else (where / "node").is_dir()
    )
    yield from doctor.data_folder(where, durable=durable)
    if isinstance(found, Project):
        yield from doctor.room(found, where)
    yield from doctor.syncs(where)
    held = doctor.held(where)
    yield from doctor.lock(held)
    if isinstance(found, Project) and held.who is None:
        yield from doctor.ports(found)
    yield from doctor.streams(where, held)
    yield from doctor.servers(where, found if isinstance(found, Project) else None)
    yield from doctor.clock(doctor.newest_ms(where))
