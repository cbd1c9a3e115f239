"""Raw messages of a source, kept in the data folder for tools: ``recorded/<source>/*.jsonl``.

A line holds one message as it came::

    {"at": "2026-11-24T06:10:00.120Z", "source": "mes", "meta": {"file.name": "a.csv"}, "text": "…"}

``base64`` takes the place of ``text`` where the message is no UTF-8. ``slab`` is true where one text holds
the lines of a file. A file that is written ends in ``.part``; it gets its name when it is whole.
"""

from __future__ import annotations

import base64
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from mfgroute.config.model import Record
from mfgroute.observe.health import RecordCounts
from mfgroute.observe.logs import get_logger

FOLDER = "recorded"
_PART = ".part"
_ENDING = ".jsonl"
#: A recording is made of at least this many files, so that bounds drop little at once.
_FILES_MIN = 8
_FILE_BYTES_MAX = 64 << 20
_FILE_AGE_MAX_S = 3600.0

_log = get_logger()


class Recorded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A message as it came.

    Attributes:
        at: when it was admitted or refused, RFC 3339 in UTC.
        source: which source received it.
        meta: its attributes.
        text: the message, if it is UTF-8.
        base64: the message, if it is not.
        slab: whether it is the lines of a file together, with the header row of a CSV file.
    """

    at: str
    source: str
    meta: dict[str, str] = {}
    text: str | None = None
    base64: str | None = None
    slab: bool = False

    @property
    def message(self) -> bytes:
        """The bytes as they came."""
        return base64.b64decode(self.base64 or "") if self.text is None else self.text.encode()


class Recording:
    """Writes messages of one source, bounded by size and age. Blocks; thread-safe.

    It never raises for a disk: what cannot be kept is counted and told once, and the source goes on.

    Args:
        folder: for this source alone.
        source: its name.
        bounds: most bytes of all files together, and how long a message stays. Files are dropped whole, the
            oldest first; a file spans at most an eighth of either bound, so a message may stay that much
            longer than `keep`.
        clock: seconds since the epoch.
    """

    def __init__(
        self, folder: Path, source: str, bounds: Record, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.counts = RecordCounts()
        self._folder = folder
        self._source = source
        self._bytes_max = int(bounds.size)
        self._keep_s = float(bounds.keep)
        self._file_bytes = max(1, min(self._bytes_max // _FILES_MIN, _FILE_BYTES_MAX))
        #: How often to call `tick`, in seconds.
        self.tick_s = max(min(self._keep_s / _FILES_MIN, _FILE_AGE_MAX_S), 1.0)
        self._lock = threading.Lock()
        self._closed = False
        self._clock = clock
        self._handle: int | None = None
        self._part = folder
        self._part_bytes = 0
        self._part_began = 0.0
        self._number = 0
        self._told = False
        #: Whole files, oldest first: path, bytes, time of the last message.
        self._files: list[tuple[Path, int, float]] = []
        self._guard(self._adopt)

    def add(self, messages: Sequence[bytes], meta: Mapping[str, str], metas: Any, *, slab: bool) -> None:
        """Keep messages that were received.

        Args:
            messages: as they came.
            meta: attributes that all share.
            metas: attributes of each, over `meta`, or `None`.
            slab: whether each is the lines of a file.
        """
        at = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
        at = at.removesuffix("+00:00") + "Z"
        own: Sequence[Mapping[str, str]] = metas if metas is not None else [{}] * len(messages)
        lines = [
            _line(at, self._source, {**meta, **more}, message, slab=slab)
            for message, more in zip(messages, own, strict=True)
        ]
        with self._lock:
            if not self._closed:
                self._add(lines)

    def tick(self) -> None:
        """Finish a file that is old enough, and drop what is too old."""
        with self._lock:
            if self._handle is not None and self._clock() - self._part_began >= self.tick_s:
                self._guard(self._finish)
            self._guard(lambda: self._drop(0))

    def close(self) -> None:
        """Finish the file that is written; nothing is kept any more."""
        with self._lock:
            self._closed = True
            self._guard(self._finish)

    def _add(self, lines: list[bytes]) -> None:
        """Write lines, as many at once as a file may hold."""
        pending: list[bytes] = []
        size = 0
        for line in lines:
            if len(line) > self._bytes_max // 2:
                self._lose("too_big", 1)
                continue
            if pending and size + len(line) > self._file_bytes:
                self._write(pending, size)
                pending, size = [], 0
            pending.append(line)
            size += len(line)
        if pending:
            self._write(pending, size)

    def _write(self, lines: list[bytes], size: int) -> None:
        if self._guard(lambda: self._append(b"".join(lines), size)):
            self.counts.kept += len(lines)
            self._told = False
        else:
            self._lose("failed", len(lines))
        self.counts.size = sum(one[1] for one in self._files) + self._part_bytes

    def _append(self, data: bytes, size: int) -> None:
        now = self._clock()
        full = self._part_bytes and self._part_bytes + size > self._file_bytes
        if self._handle is not None and (full or now - self._part_began >= self.tick_s):
            self._finish()
        self._drop(size)
        if self._handle is None:
            self._begin(now)
        assert self._handle is not None
        try:
            _write_all(self._handle, data)
        except OSError:
            # A line that is cut off would hide the next one.
            os.ftruncate(self._handle, self._part_bytes)
            raise
        self._part_bytes += size

    def _begin(self, now: float) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._number += 1
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        path = self._folder / f"{self._number:08}-{stamp}{_ENDING}{_PART}"
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._part, self._part_bytes, self._part_began = path, 0, now

    def _finish(self) -> None:
        """Give the file that is written its name."""
        if self._handle is None:
            return
        os.close(self._handle)
        self._handle = None
        size, self._part_bytes = self._part_bytes, 0
        if size:
            self._files.append((_named(self._part), size, self._clock()))
        else:
            self._part.unlink()

    def _drop(self, room: int) -> None:
        """Drop files that are too old, and as many more as `room` bytes need."""
        total = sum(size for _, size, _ in self._files) + self._part_bytes
        oldest = self._clock() - self._keep_s
        while self._files and (self._files[0][2] < oldest or total + room > self._bytes_max):
            path, size, _ = self._files[0]
            path.unlink(missing_ok=True)
            self._files.pop(0)
            total -= size
        self.counts.size = total

    def _adopt(self) -> None:
        """Take over what an earlier process left; a line that it did not finish is cut off."""
        if not self._folder.is_dir():
            return
        for path in sorted(self._folder.glob(f"*{_ENDING}{_PART}")):
            whole = path.read_bytes().rpartition(b"\n")
            if whole[1]:
                written = path.stat().st_mtime
                os.truncate(path, len(whole[0]) + 1)
                # The time of the last message, by which the file will be dropped.
                os.utime(path, (written, written))
                _named(path)
            else:
                path.unlink()
        for path in sorted(self._folder.glob(f"*{_ENDING}")):
            found = path.stat()
            self._files.append((path, found.st_size, found.st_mtime))
            number = path.name.partition("-")[0]
            self._number = max(self._number, int(number) if number.isdigit() else 0)
        self._drop(0)

    def _guard(self, call: Callable[[], None]) -> bool:
        """Call something that needs the disk; whether it could be done."""
        try:
            call()
        except OSError as error:
            if not self._told:
                _log.error("messages cannot be recorded", source=self._source, error=str(error))
                self._told = True
            return False
        return True

    def _lose(self, cause: str, number: int) -> None:
        self.counts.lost[cause] = self.counts.lost.get(cause, 0) + number


class NotRecorded(ValueError):  # noqa: N818 - says what is wrong
    """A file holds something that is no recorded message.

    Args:
        place: file and line.
        found: what is wrong there.
    """

    def __init__(self, place: str, found: str) -> None:
        self.place = place
        super().__init__(f"{place}: {found}")


def read(path: Path) -> Iterator[tuple[str, Recorded]]:
    """The messages of a recording, oldest first, each with its place ``file:line``.

    Args:
        path: a file, or a folder of files. The end of a file that is being written may be missing a line.

    Raises:
        NotRecorded: a line is no recorded message.
        OSError: a file cannot be read.
    """
    decoder = msgspec.json.Decoder(Recorded)
    files = (
        [path] if path.is_file() else sorted([*path.glob(f"*{_ENDING}"), *path.glob(f"*{_ENDING}{_PART}")])
    )
    for file in files:
        lines = _opened(file)
        if lines is None:
            continue
        with lines:
            for number, line in enumerate(lines, 1):
                if file.suffix == _PART and not line.endswith(b"\n"):
                    break
                yield f"{file.name}:{number}", _decoded(decoder, line, f"{file.name}:{number}")


def _decoded(decoder: msgspec.json.Decoder[Recorded], line: bytes, place: str) -> Recorded:
    try:
        found = decoder.decode(line)
        if (found.text is None) == (found.base64 is None):
            raise ValueError("it has neither `text` nor `base64`, or both")
        base64.b64decode(found.base64 or "", validate=True)
    except ValueError as error:
        raise NotRecorded(place, f"this is no recorded message: {error}") from error
    return found


def _opened(file: Path) -> Any:
    """A file of a recording; one that just got its name is found under it, one that was dropped is `None`."""
    for path in (file, file.with_name(file.name.removesuffix(_PART))):
        try:
            return path.open("rb")
        except FileNotFoundError:
            continue
    return None


def recorded_as(message: bytes, like: Recorded, meta: dict[str, str]) -> Recorded:
    """A part of a recorded message as a message of its own."""
    return _recorded(like.at, like.source, meta, message, slab=False)


def _recorded(at: str, source: str, meta: dict[str, str], message: bytes, *, slab: bool) -> Recorded:
    try:
        return Recorded(at=at, source=source, meta=meta, text=message.decode(), slab=slab)
    except UnicodeDecodeError:
        text = base64.b64encode(message).decode()
        return Recorded(at=at, source=source, meta=meta, base64=text, slab=slab)


def _line(at: str, source: str, meta: dict[str, str], message: bytes, *, slab: bool) -> bytes:
    return msgspec.json.encode(_recorded(at, source, meta, message, slab=slab)) + b"\n"


def _named(part: Path) -> Path:
    """Give a whole file its name."""
    path = part.with_name(part.name.removesuffix(_PART))
    part.rename(path)
    return path


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
