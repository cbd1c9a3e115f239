"""The logs of a data folder: where they are, and what is in them.

``node/`` holds the node's own log, ``streams/<name>/`` one log for each stream that was ever durable.
Everything here only reads, and may run while a node writes there. Then a reading can meet a file that is
being written or taken away. Damage is what two readings find alike: what is damaged stays so, what is under
way moves on.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote

from mfgroute import _core
from mfgroute.errors import FolderUnfit, LogFailed
from mfgroute.observe.logs import get_logger

NODE = "_node"
_log = get_logger()
_READINGS = 6
_T = TypeVar("_T")


class Log(NamedTuple):
    """One log.

    Attributes:
        name: of the stream; ``_node`` for the node's own log.
        path: its folder.
    """

    name: str
    path: Path


def logs(data_dir: Path) -> list[Log]:
    """The logs of a data folder, the node's own first; none where no stream was ever durable.

    Raises:
        OSError: the folder is not there or cannot be read.
    """
    if not data_dir.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(data_dir))
    own, streams = data_dir / "node", data_dir / "streams"
    found = [Log(NODE, own)] if own.is_dir() else []
    folders = sorted(one for one in streams.iterdir() if one.is_dir()) if streams.is_dir() else []
    return [*found, *(Log(unquote(one.name), one) for one in folders)]


def verify(log: Log) -> dict[str, Any]:
    """Read a whole log; see `_core.log_verify`.

    Raises:
        LogFailed: the disk refuses, or a later version wrote the log.
    """
    return _steady(lambda: _core.log_verify(log.path), lambda found: found["damage"] is None)


def refuse_unfit(data_dir: Path) -> None:
    """Refuse what no log may be written to.

    Raises:
        FolderUnfit: it is a symbolic link or no folder.
    """
    if data_dir.is_symlink():
        raise FolderUnfit(f"data folder `{data_dir}` is a symbolic link, expected a folder")
    if data_dir.exists() and not data_dir.is_dir():
        raise FolderUnfit(f"data folder `{data_dir}` is no folder")


def quarantined(data_dir: Path) -> dict[str, int]:
    """For each log with torn tails in its ``quarantine``, how many bytes these have.

    Raises:
        OSError: the folder cannot be read.
    """
    found: dict[str, int] = {}
    for log in logs(data_dir):
        kept = log.path / "quarantine"
        size = sum(one.lstat().st_size for one in kept.iterdir()) if kept.is_dir() else 0
        if size:
            found[log.name] = size
    return found


def verify_all(data_dir: Path) -> list[dict[str, Any]]:
    """Read every log of a data folder, and name those that are missing.

    Returns:
        For each log ``name``, what `verify` says, ``error``: why it cannot be read, else `None`, and
        ``newer``: whether that is because a later version wrote it.

    Raises:
        OSError: the folder is not there or cannot be read.
    """
    known: list[dict[str, str]] = []
    own = data_dir / "node"
    if own.is_dir():
        # Before the folders are listed: the folder of a stream is there before the node's log knows it.
        with contextlib.suppress(LogFailed):
            known = _core.log_known(own)
    found = logs(data_dir)
    results: list[dict[str, Any]] = []
    for log in found:
        try:
            results.append({"name": log.name, **verify(log), "error": None, "newer": False})
        except LogFailed as error:
            results.append({"name": log.name, "error": str(error), "newer": _is_newer(log)})
    there = {log.name for log in found}
    return results + [_missing(one["name"]) for one in known if one["name"] not in there]


def _is_newer(log: Log) -> bool:
    """Whether a later version wrote a segment of a log."""
    with contextlib.suppress(LogFailed):
        return any(one["state"] == "newer" for one in stat(log))
    return False


def _missing(name: str) -> dict[str, Any]:
    why = "its folder is missing, and the node's own log knows this stream"
    damage = {"segment": None, "offset": None, "first": None, "next": None, "why": why}
    return {
        "name": name,
        **dict.fromkeys(("first", "next", "sealed", "torn")),
        "half_heads": [],
        "damage": damage,
        "error": None,
        "newer": False,
    }


def stat(log: Log) -> list[dict[str, Any]]:
    """What is in each segment of a log; see `_core.log_stat`.

    Raises:
        LogFailed: the disk refuses.
    """
    whole = {"whole", "torn", "superseded", "half_head"}
    return _steady(
        lambda: _core.log_stat(log.path), lambda found: all(one["state"] in whole for one in found)
    )


def _steady(read: Callable[[], _T], good: Callable[[_T], bool]) -> _T:
    """The first good reading, or a bad one that came twice."""
    before: _T | str | None = None
    for left in reversed(range(_READINGS)):
        now: _T | str
        try:
            now = read()
        except LogFailed as error:
            if left == 0 or before == str(error):
                raise
            now = str(error)
        else:
            if left == 0 or good(now) or now == before:
                return now
        before = now
    raise AssertionError  # The last reading returned or raised.


def tell_opened(log: Mapping[str, Any]) -> None:
    """Say what was found in a log that was not closed."""
    torn = log.get("torn")
    if torn:
        _log.warning(
            "a log had a torn tail, of which nothing was acknowledged; it is kept",
            stream=log["stream"],
            segment=torn["segment"],
            offset=torn["offset"],
            bytes=torn["bytes"],
            file=f"quarantine/{torn['kept']}",
        )
    for name in log.get("half_heads", []):
        _log.warning(
            "one copy of the head of a segment is damaged; the other one is used",
            stream=log["stream"],
            segment=name,
        )
