"""``mfgroute backup`` and ``mfgroute restore``."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mfgroute.cli import show
from mfgroute.cli.app import Command, session
from mfgroute.cli.failures import DATA, IO, OK, TRY_AGAIN, USAGE, Failure

if TYPE_CHECKING:
    from mfgroute.api.client import Control
    from mfgroute.runtime.backup import Manifest

#: How long a node holds its segments for a backup that says nothing more, and how often the backup does.
_HOLD_S, _RENEW_S = 120.0, 10.0
_DATA_DIR = click.option(
    "--data-dir", "folder", type=click.Path(path_type=Path, file_okay=False),
    help="The data folder; default: $MFGROUTE_DATA_DIR, or node.data_dir of the project.",
)  # fmt: skip


@click.command("backup", cls=Command)
@click.argument("to", type=click.Path(path_type=Path, file_okay=False))
@_DATA_DIR
def backup(*, to: Path, folder: Path | None) -> int:
    """Copy the data folder to TO, a new or empty folder, with the SHA-256 of each file; the node may run.

    A running node keeps its segments while they are copied, so its streams do not shrink meanwhile.

    Examples:
      mfgroute backup /srv/backup/2026-11-24
    """
    from mfgroute.cli.node import data_dir  # noqa: PLC0415 - not for --help
    from mfgroute.errors import LogDamaged  # noqa: PLC0415
    from mfgroute.runtime import backup as copies  # noqa: PLC0415

    where = folder or data_dir()
    if not where.is_dir():
        raise Failure(f"there is no data folder `{where}`", code=IO)
    if to.resolve().is_relative_to(where.resolve()):
        raise Failure(f"`{to}` is in the data folder, expected one outside of it", code=USAGE)
    with ExitStack() as stack:
        running, still_held = _hold(where, stack)
        try:
            manifest = copies.backup(where, to, running=running, still_held=still_held)
        except copies.BackupFailed as error:
            raise Failure(str(error), code=TRY_AGAIN, hint="try again, into another folder") from error
        except LogDamaged as error:
            hint = "there is no backup; nothing was deleted, and `mfgroute log salvage` reads what is whole"
            raise Failure(str(error), code=DATA, hint=hint) from error
    _told(manifest, f"copied to {to}", {"to": str(to)})
    return OK


@click.command("restore", cls=Command)
@click.argument("from_", metavar="FROM", type=click.Path(path_type=Path, file_okay=False, exists=True))
@_DATA_DIR
def restore(*, from_: Path, folder: Path | None) -> int:
    """Put the backup FROM into the data folder, which must be empty or missing. Every file is checked first.

    Events that the node delivered after the backup are delivered again, with the same ids.

    Examples:
      mfgroute restore /srv/backup/2026-11-24
    """
    from mfgroute.cli.node import data_dir  # noqa: PLC0415 - not for --help
    from mfgroute.runtime import backup as copies  # noqa: PLC0415
    from mfgroute.runtime.lock import DataLock  # noqa: PLC0415

    where = folder or data_dir()
    try:
        copies.check(from_)
        lock = DataLock(where)
        try:
            manifest = copies.restore(from_, where)
        finally:
            lock.release()
    except copies.BackupDamaged as error:
        raise Failure(str(error), code=DATA, hint="nothing was restored; take another backup") from error
    _told(manifest, f"restored to {where}; its logs are whole", {"data_dir": str(where)})
    return OK


def _hold(where: Path, stack: ExitStack) -> tuple[bool, Callable[[], None]]:
    """Keep segments where they are: by the lock of the folder, or by asking the node that has it.

    Returns:
        Whether a node runs, and what renews its hold and raises `BackupFailed` when that was lost.
    """
    from mfgroute.api.client import Control, NotRunning  # noqa: PLC0415 - not for --help
    from mfgroute.errors import Locked  # noqa: PLC0415
    from mfgroute.runtime.lock import DataLock  # noqa: PLC0415

    try:
        stack.callback(DataLock(where).release)
    except Locked as locked:
        try:
            control = stack.enter_context(Control(where))
        except NotRunning:
            raise locked from None
        return True, _renewing(control, stack)
    return False, lambda: None


def _renewing(control: Control, stack: ExitStack) -> Callable[[], None]:
    from mfgroute.runtime.backup import BackupFailed  # noqa: PLC0415 - not for --help

    asked = time.monotonic()
    if control.ask("hold", seconds=_HOLD_S)["held"]:
        raise Failure("another backup of this node is being made", code=TRY_AGAIN, hint="wait for its end")
    stack.callback(control.ask, "hold", seconds=0.0)

    def renew() -> None:
        nonlocal asked
        now = time.monotonic()
        if now - asked < _RENEW_S:
            return
        if not control.ask("hold", seconds=_HOLD_S)["held"]:
            raise BackupFailed(
                "the node held its segments no longer: the copy took too long between two files"
            )
        asked = now

    return renew


def _told(manifest: Manifest, text: str, document: dict[str, str]) -> None:
    if session().json:
        show.document(
            {**document, "made": manifest.made, "running": manifest.running, "files": len(manifest.files),
             "bytes": manifest.size, "effects": manifest.effects}
        )  # fmt: skip
    elif not session().quiet:
        show.line(f"{len(manifest.files)} files, {manifest.size} bytes, {text}")
        if manifest.effects == "postgresql":
            show.line("effects are in a PostgreSQL database, which is not in this backup: back it up as well")
