"""What an edge has durably taken note of, for each stream: how far the core's acknowledgements went.

One small file for each sink, in the data folder. It is written before the core is told, so a folder in which
it says less than the core was told is one that was put back to an older state.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from mfgroute.adapters.zeromq.frames import LEVELS
from mfgroute.adapters.zeromq.lane import Point
from mfgroute.durable import write_whole
from mfgroute.errors import AdapterError

__all__ = ["LEAP", "Book"]

_FORMAT = 2
#: By how much the count of sessions goes on when the core has heard of a higher one; a folder that was put
#: back to what it was a day before is some thousand sessions behind.
LEAP = 4096


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    """How far one stream is acknowledged."""

    number: int
    hash: str
    level: str


class _Page(msgspec.Struct, forbid_unknown_fields=True):
    """The file."""

    format: int
    epoch: str
    lives: int
    streams: dict[str, _Entry]


class Book:
    """The points of one sink's lanes.

    Args:
        path: of its file.
        epoch: of the data folder; what was noted under another one is of no use.

    Raises:
        AdapterError: the file is not one of ours.
    """

    def __init__(self, path: Path, epoch: int) -> None:
        self._path = path
        self._epoch = f"{epoch:016x}"
        self.points: dict[str, Point] = {}
        self._lives = 0
        try:
            page = msgspec.json.decode(path.read_bytes(), type=_Page)
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError) as error:
            raise AdapterError(f"cannot read {path}: {error}") from error
        if page.format != _FORMAT:
            raise AdapterError(f"{path} has format {page.format}, this version reads {_FORMAT}")
        if page.epoch == self._epoch:
            self._lives = page.lives
            self.points = {name: _point(path, entry) for name, entry in page.streams.items()}

    def begin(self) -> int:
        """A new session: how often this folder began one, and something random, by which copies differ.

        Raises:
            OSError: the disk refuses.
        """
        self._lives += 1
        self.write({})
        return self._lives << 32 | secrets.randbits(32)

    def leap(self) -> None:
        """The core has heard of a later session of this folder: it was copied, or put back to an older state.

        Counting on one by one would hide that for hours. Whether it is a fork is seen by what both have.

        Raises:
            OSError: the disk refuses.
        """
        self._lives += LEAP
        self.write({})

    def write(self, points: dict[str, Point]) -> None:
        """Make points durable, beside those of other streams.

        Raises:
            OSError: the disk refuses.
        """
        self.points.update(points)
        entries = {
            name: _Entry(point.number, point.hash.hex(), point.level) for name, point in self.points.items()
        }
        page = msgspec.json.encode(_Page(_FORMAT, self._epoch, self._lives, entries)) + b"\n"
        write_whole(self._path, page)


def _point(path: Path, entry: _Entry) -> Point:
    try:
        digest = bytes.fromhex(entry.hash)
    except ValueError:
        digest = b""
    if entry.number < 1 or len(digest) != 16 or entry.level not in LEVELS:
        raise AdapterError(f"{path} holds an impossible entry")
    return Point(entry.number, digest, entry.level)
