"""``mfgroute log``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mfgroute.cli import show
from mfgroute.cli.app import Group, session
from mfgroute.cli.failures import CANNOT_CREATE, CONFIGURATION, DATA, IO, OK, USAGE, Failure

if TYPE_CHECKING:
    from mfgroute.runtime.folder import Log

#: States of segments of which every record is readable.
_READABLE = {"whole", "torn", "superseded", "half_head"}
_FOLDER = click.option(
    "--data-dir", "folder", type=click.Path(path_type=Path, file_okay=False),
    help="The data folder; default: $MFGROUTE_DATA_DIR, or node.data_dir of the project.",
)  # fmt: skip


@click.group("log", cls=Group)
def command() -> None:
    """Look into the logs of a data folder, whole or damaged; nothing in it is changed."""


@command.command("verify")
@_FOLDER
def verify(*, folder: Path | None) -> int:
    """Read every log and say whether it is whole.

    Ends with 0 when all are, 65 when one is damaged, 74 when the disk refuses, 78 when a later version wrote
    one. It may run beside a node; then it says what held while it read.

    Examples:
      mfgroute log verify
      mfgroute log verify --data-dir /srv/backup/data --output json
    """
    from mfgroute.runtime import folder as data  # noqa: PLC0415 - not for --help

    where, _ = _logs(folder)
    results = data.verify_all(where)
    refused = any(one["error"] for one in results)
    whole = not refused and all(one["damage"] is None for one in results)
    if session().json:
        show.document({"data_dir": str(where), "whole": whole, "logs": results})
    else:
        for one in results:
            show.line(f"{one['name']}: {_verdict(one)}")
        if not whole and not refused and not session().quiet:
            show.line("nothing was deleted; `mfgroute log salvage` reads what is whole", error=True)
    if whole:
        return OK
    if any(one["error"] and not one["newer"] for one in results):
        return IO
    return CONFIGURATION if refused else DATA


def _verdict(one: dict[str, Any]) -> str:
    if one["error"]:
        return f"cannot be read: {one['error']}"
    if one["damage"]:
        return str(one["damage"]["why"])
    records = f"records {one['first']} to {one['next'] - 1}" if one["next"] > one["first"] else "no records"
    torn = one["torn"]
    tail = f"; a write was under way in {torn['segment']} at byte {torn['offset']}" if torn else ""
    heads = "".join(f"; one of the two heads of {name} is damaged" for name in one["half_heads"])
    return f"whole, {records}{tail}{heads}"


@command.command("stat")
@_FOLDER
def stat(*, folder: Path | None) -> int:
    """Show what each log holds: segments, records, bytes, and how often it was opened (its life).

    It may run beside a node; then the numbers are those of a moment. ``--output json`` has every segment.

    Examples:
      mfgroute log stat
    """
    from mfgroute.runtime import folder as data  # noqa: PLC0415 - not for --help

    where, found = _logs(folder)
    results = [_summary(log.name, data.stat(log)) for log in found]
    if session().json:
        show.document({"data_dir": str(where), "logs": results})
        return OK
    names = ("name", "segments", "first", "next", "records", "bytes", "life", "state")
    rows = [[len(one[name]) if name == "segments" else one[name] for name in names] for one in results]
    show.table(rows, header=("log", *names[1:]))
    return OK


def _summary(name: str, segments: list[dict[str, Any]]) -> dict[str, Any]:
    own = [one for one in segments if one["head"] and one["state"] != "superseded"]
    bad = [one["state"] for one in segments if one["state"] not in _READABLE]
    return {
        "name": name,
        "segments": segments,
        "first": own[0]["head"]["first"] if own else 0,
        "next": own[-1]["head"]["first"] + own[-1]["records"] if own else 0,
        "records": sum(one["records"] for one in own),
        "bytes": sum(one["bytes"] for one in segments),
        "life": max((one["head"]["life"] for one in own), default=0),
        "state": bad[0] if bad else "whole",
    }


@command.command("salvage")
@_FOLDER
@click.option(
    "--to", "target", type=click.Path(path_type=Path, file_okay=False), required=True,
    help="A new or empty folder outside the data folder.",
)  # fmt: skip
@click.option("--all", "all_", is_flag=True, help="Whole logs too, not only damaged ones.")
@click.option("--raw", is_flag=True, help="Every record as it lies in the log, events too.")
def salvage(*, folder: Path | None, target: Path, all_: bool, raw: bool) -> int:
    """Copy every readable record of damaged logs to JSON lines, and name what could not be read.

    Events are written to NAME.events.jsonl, one CloudEvent a line; what is no event, and everything with
    --raw, to NAME.raw.jsonl with its number, its time and its bytes in base64. Nothing is deleted. Ends with
    75 while a node runs on the folder.

    Examples:
      mfgroute log salvage --to ./salvaged
    """
    from mfgroute.runtime import folder as data  # noqa: PLC0415 - not for --help
    from mfgroute.runtime.lock import DataLock  # noqa: PLC0415
    from mfgroute.runtime.salvage import salvage as read  # noqa: PLC0415

    where, found = _logs(folder)
    inside = target.resolve()
    if inside.is_relative_to(where.resolve()):
        raise Failure(f"`{target}` is in the data folder, expected one outside of it", code=USAGE)
    if target.exists() and any(target.iterdir()):
        raise Failure(f"`{target}` is not empty, expected a new folder", code=CANNOT_CREATE)
    lock = DataLock(where)
    try:
        chosen = [log for log in found if all_ or data.verify(log)["damage"] is not None]
        results = [read(log, target, raw=raw) for log in chosen]
    finally:
        lock.release()
    if session().json:
        show.document({"data_dir": str(where), "to": str(target), "logs": results})
        return OK
    if not results:
        show.line("no log is damaged; --all copies whole ones too")
    for one in results:
        files = " and ".join(f"{count} in {name}" for name, count in one["files"].items())
        show.line(f"{one['name']}: {one['records']} records read{': ' if files else ''}{files}")
        for damage in one["damaged"]:
            show.line(f"  {damage['why']}")
        for name in one["left_out"]:
            show.line(f"  {name} is not of this log, or unreadable from its start, and was left out")
    return OK


def _logs(folder: Path | None) -> tuple[Path, list[Log]]:
    """The data folder that is meant, and its logs; one at least."""
    from mfgroute.cli.node import data_dir  # noqa: PLC0415 - not for --help
    from mfgroute.runtime import folder as data  # noqa: PLC0415

    where = folder or data_dir()
    found = data.logs(where)
    if not found:
        raise Failure(
            f"`{where}` holds no logs", hint="they are made by streams with `durability: fsync`", code=IO
        )
    return where, found
