"""Write events to files, one JSON line each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

from mfgroute.adapter import Config, Context, Sink
from mfgroute.adapters.files.lines import LineFiles, NotWritten, PartlyWritten
from mfgroute.adapters.worker import Worker
from mfgroute.errors import Disconnected
from mfgroute.events import Done, Event, InDoubt, Outcome, Retry
from mfgroute.units import Size

__all__ = ["FilesSink", "FilesSinkConfig"]

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_PLACEHOLDERS = ("type", "stream", "date", "node")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_NAME_MAX = 120


class FilesSinkConfig(Config):
    """Where events are written."""

    path: Annotated[
        str,
        Meta(
            min_length=1,
            description="File to append to, relative to the project. {type}, {stream}, {node} and {date} (of "
            "writing, UTC) are replaced; what is no letter, digit, `.`, `_` or `-` in them becomes `_`",
        ),
    ]
    sync: Annotated[
        bool,
        Meta(
            description="Whether an event counts as written only after fdatasync; slower, survives power loss"
        ),
    ] = False
    rotate_size: Annotated[
        Size | None,
        Meta(
            description="Start a new file beyond this size, such as `100MiB`; all are kept",
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse placeholders that would be written literally."""
        for name in _PLACEHOLDER.findall(self.path):
            if name not in _PLACEHOLDERS:
                known = ", ".join(f"{{{known}}}" for known in _PLACEHOLDERS)
                raise ValueError(f"`path` has the placeholder {{{name}}}, expected one of {known}")


class FilesSink(Sink):
    """Append events to files.

    At least once: after a crash the events in flight are written again, with the same ids.
    """

    Config = FilesSinkConfig
    refuses_single = False
    writes_max = 1
    batch_max = 500

    def __init__(self, config: FilesSinkConfig, context: Context) -> None:
        self._config = config
        self._context = context
        self._files = LineFiles(sync=config.sync, rotate_bytes=config.rotate_size)
        # Its own: a disk or a network folder that hangs must not take the threads of others.
        self._worker = Worker(f"files sink {context.name}")

    async def open(self) -> None:
        """Make the folder that stands before the first placeholder.

        Raises:
            Disconnected: it cannot be made or written to.
        """
        fixed = _PLACEHOLDER.split(self._config.path)[0]
        folder = self._context.project_dir / fixed.rpartition("/")[0]
        try:
            await self._worker.call(folder.mkdir, parents=True, exist_ok=True)
        except OSError as error:
            raise Disconnected(f"cannot make {folder}: {error}", sent=False) from error

    async def write(self, events: Sequence[Event]) -> list[Outcome]:
        """Append the events, those of one file by one write.

        Raises:
            Disconnected: nothing of the batch was written.
        """
        return await self._worker.call(self._write, events)

    async def close(self) -> None:
        """Close all files."""
        try:
            await self._worker.call(self._files.close)
        finally:
            self._worker.end()

    def _write(self, events: Sequence[Event]) -> list[Outcome]:
        outcomes: list[Outcome] = [Done()] * len(events)
        groups: dict[str, list[int]] = {}
        for place, event in enumerate(events):
            groups.setdefault(self._name(event), []).append(place)
        failure: OSError | None = None
        changed = False
        for name, places in groups.items():
            data = b"".join(_line(events[place]) for place in places)
            try:
                self._files.append(self._context.project_dir / name, data)
                changed = True
            except NotWritten as error:
                failure = error
                outcomes = _mark(outcomes, places, Retry(reason=str(error)))
            except PartlyWritten as error:
                changed = True
                outcomes = _mark(outcomes, places, InDoubt(str(error)))
        if failure is not None and not changed:
            raise Disconnected(str(failure), sent=False) from failure
        return outcomes

    def _name(self, event: Event) -> str:
        values = {
            "type": event.type,
            "stream": event.stream,
            "node": self._context.node,
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        }
        return _PLACEHOLDER.sub(lambda found: _safe(values[found[1]]), self._config.path)


def _safe(value: str) -> str:
    """`value` as a part of a file name that cannot leave its folder or hide."""
    name = _UNSAFE.sub("_", value)[:_NAME_MAX]
    return "_" + name.lstrip(".") if name.startswith(".") or not name else name


def _line(event: Event) -> bytes:
    # Between the tokens of JSON a line break is space; inside of strings there is none.
    return event.json.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"


def _mark(outcomes: list[Outcome], places: list[int], outcome: Outcome) -> list[Outcome]:
    marked = list(outcomes)
    for place in places:
        marked[place] = outcome
    return marked
