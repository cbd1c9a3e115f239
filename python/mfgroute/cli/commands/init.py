"""``mfgroute init``."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import click

from mfgroute.cli import show
from mfgroute.cli.app import Command, session
from mfgroute.cli.failures import CANNOT_CREATE, Failure

TEMPLATES = ("confirmation-to-sap", "quality-hold", "receipt-to-wms", "csv-drop", "b2mml")


@click.command("init", cls=Command)
@click.option(
    "--template", type=click.Choice(TEMPLATES), default=TEMPLATES[0], show_default=True,
    help="What the project does.",
)  # fmt: skip
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
def command(*, template: str, folder: Path) -> int:
    """Write a small working project to DIR, with a sample and one failing test to mend.

    Examples:
      mfgroute init plant
      mfgroute init --template b2mml line-2
    """
    from mfgroute.config.packs import SHIPPED  # noqa: PLC0415 - not for --help

    if folder.exists() and any(folder.iterdir()):
        raise Failure(
            f"folder `{folder}` is not empty, expected a new or empty one",
            code=CANNOT_CREATE,
            hint="name another folder",
        )
    shutil.copytree(
        SHIPPED / "templates" / template, folder, dirs_exist_ok=True, copy_function=shutil.copyfile
    )
    inbox = template == "csv-drop"
    if inbox:
        (folder / "inbox").mkdir(exist_ok=True)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    commands = [f"cd {shlex.quote(str(folder))} && mfgroute check", "mfgroute test", "mfgroute run"]
    if session().json:
        show.document({"folder": str(folder), "template": template, "files": files, "next": commands})
    elif not session().quiet:
        show.line(f"wrote {len(files)} files to {folder} (README.md says what they do); next:")
        for one in commands:
            show.line(f"  {one}")
    return 0
