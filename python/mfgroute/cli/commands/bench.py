"""``mfgroute bench``."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mfgroute.cli import show
from mfgroute.cli.app import Command, session
from mfgroute.cli.failures import CANNOT_CREATE, FAILED, IO, OK, Failure

if TYPE_CHECKING:
    from mfgroute.testing.load import Found, Group

#: Room on the disk for each event, several times over: its log, the next segments, the log of the node.
_BYTES_PER_EVENT = 8 * 1024
_BYTES_MIN = 512 << 20
_CURVE_S = 0.3


@click.command("bench", cls=Command)
@click.option(
    "--data-dir", "folder", type=click.Path(path_type=Path, file_okay=False),
    help="A folder on the disk to measure; default: that of the project's data folder, or this folder.",
)  # fmt: skip
@click.option(
    "--events", type=click.IntRange(1_000, 10_000_000), default=50_000, show_default=True,
    help="Events of each measurement.",
)  # fmt: skip
@click.option(
    "--rate", type=click.FloatRange(1, 1_000_000), default=10_000, show_default=True,
    help="Events per second of the measurement of latency.",
)  # fmt: skip
@click.option(
    "--senders", type=click.IntRange(1, 64), default=4, show_default=True, help="Threads that send."
)
def command(*, folder: Path | None, events: int, rate: float, senders: int) -> int:
    """Measure what a node can carry on this machine: in memory, durable, and what its disk allows.

    The load is the project of `mfgroute init` with generated messages, in a folder of its own that is
    removed afterwards; a project or its data is not touched. Each level is measured twice: as fast as
    possible, in batches of 100, and at a rate, where latency counts from the time at which a message should
    have been sent. Nothing else should run meanwhile. Ends with 1 if an event was lost.

    Examples:
      mfgroute bench
      mfgroute bench --data-dir /srv/mfgroute --rate 20000 --events 200000
      mfgroute bench --output json
    """
    from mfgroute.testing import load  # noqa: PLC0415 - not for --help

    where = _disk(folder, events)
    runs: list[dict[str, Any]] = []
    work = Path(tempfile.mkdtemp(prefix="mfgroute-bench-", dir=where))
    try:
        groups = load.curve(work, _CURVE_S)
        for level in load.LEVELS:
            with load.opened(work, level, 2 * events) as engine:
                fast = load.as_fast_as_possible(engine, events, senders)
                steady = load.at_a_rate(engine, events, rate, senders)
            runs += [_run(level, None, fast), _run(level, rate, steady)]
    except OSError as error:
        raise Failure(f"the disk of `{where}` refused: {error}", code=IO) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if session().json:
        disk = [asdict(group) for group in groups]
        options = {"events": events, "rate": rate, "senders": senders}
        show.document({"folder": str(where), "options": options, "disk": disk, "runs": runs})
    else:
        _print(where, groups, runs)
    whole = all(run["events"] == run["read"] == events for run in runs)
    if not whole:
        show.line("events were lost: the counts of events and read differ", error=True)
    return OK if whole else FAILED


def _disk(given: Path | None, events: int) -> Path:
    """The folder in which the load runs.

    Raises:
        Failure: it does not exist, or its disk has no room.
    """
    where = given or _of_project()
    if not where.is_dir():
        raise Failure(f"there is no folder `{where}`", code=CANNOT_CREATE, hint="make it, or name another")
    needed, free = max(_BYTES_MIN, events * _BYTES_PER_EVENT), shutil.disk_usage(where).free
    if free < needed:
        raise Failure(
            f"the disk of `{where}` has {free >> 20} MiB free, expected {needed >> 20} MiB",
            code=IO,
            hint="use fewer events, or another disk",
        )
    return where


def _of_project() -> Path:
    """The nearest folder that exists above the data folder of the project; this folder without a project."""
    from mfgroute.cli.node import data_dir  # noqa: PLC0415 - not for --help
    from mfgroute.errors import ConfigError  # noqa: PLC0415

    try:
        where = data_dir().absolute().parent
    except (ConfigError, OSError):
        return Path()
    return next((one for one in (where, *where.parents) if one.is_dir()), Path())


def _run(level: str, rate: float | None, found: Found) -> dict[str, Any]:
    return {
        "level": level,
        "rate": rate,
        "events": found.events,
        "read": found.read,
        "events_per_s": found.rate,
        "ack": asdict(found.ack),
        "poll": asdict(found.poll) if found.poll else None,
    }


def _print(where: Path, groups: list[Group], runs: list[dict[str, Any]]) -> None:
    show.line(f"disk of {where.absolute()}: one write and its fdatasync")
    rows = [[_size(one.bytes), f"{one.p50_us:,.0f}", f"{one.p99_us:,.0f}"] for one in groups]
    show.table(rows, header=("bytes", "p50 µs", "p99 µs"))
    show.line()
    show.line("latency in µs: until the receipt, and at a rate until the sink has the event")
    header = (
        "level",
        "offered/s",
        "taken/s",
        "p50",
        "p99",
        "p99.9",
        "max",
        "sink p50",
        "sink p99",
        "sink p99.9",
    )
    show.table([_row(run) for run in runs], header=header)


def _row(run: dict[str, Any]) -> list[str]:
    offered = f"{run['rate']:,.0f}" if run["rate"] else "all at once"
    ack = [f"{run['ack'][name]:,.0f}" for name in ("p50_us", "p99_us", "p99_9_us", "max_us")]
    names = ("p50_us", "p99_us", "p99_9_us")
    poll = [f"{run['poll'][name]:,.0f}" for name in names] if run["poll"] else ["-"] * len(names)
    return [run["level"], offered, f"{run['events_per_s']:,.0f}", *ack, *poll]


def _size(count: int) -> str:
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{count // unit} {name}"
    return f"{count} B"
