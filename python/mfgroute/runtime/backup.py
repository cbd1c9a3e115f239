"""A copy of a data folder that opens, made while its node runs or not, and the way back.

The order of copying is what makes the copy consistent. What the node's own log says is about events that
were durable before, so its copy comes before those of the streams: whatever it refers to is in them. Other
files, such as positions of adapters, come before both: an older position reads something again, a newer one
would lose it. Of each log the newest segment is copied first, page by page from its end: each page is then at
least as new as those behind it, so that the copy ends like a log whose machine lost its power. The caller
makes sure that no segment goes away meanwhile. The database of effects comes last: one that knows more
than the log keeps what was posted from being posted again, one that knows less would lack it.

::

    TO/manifest.json    what is in the copy, with the SHA-256 of each file; written last
    TO/data/...         the files
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from mfgroute import _core
from mfgroute.effects.files import FILE_NAME, LIFE_FILE
from mfgroute.errors import LogDamaged, MfgrouteError
from mfgroute.runtime.epoch import renew
from mfgroute.runtime.folder import logs, verify

MANIFEST = "manifest.json"
DATA = "data"
FORMAT = 1
_PAGE = 4096
_ZERO = bytes(_PAGE)
_TICK = 256
_READINGS = 20
_SQLITE_S = 30.0
#: Files of a process, not of the node.
_LEFT_OUT = {"router.lock", "control.sock"}
#: Files of effects: the database is copied by its own means, the id of the folder is not the copy's.
_OF_EFFECTS = {FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm", LIFE_FILE}


class BackupFailed(MfgrouteError):  # noqa: N818 - as `Closed`
    """No consistent copy could be made; trying again may help."""


class BackupDamaged(MfgrouteError):  # noqa: N818 - as `Closed`
    """A backup is not what was written."""


class File(msgspec.Struct, frozen=True):
    """One file of a backup.

    Attributes:
        path: in the data folder, with ``/``.
        size: in bytes.
        sha256: of its content, in hexadecimal.
    """

    path: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds.

    Attributes:
        format: of this file.
        version: of the program that wrote it.
        made: when it was begun, RFC 3339 in UTC.
        running: whether the node ran.
        files: all of them.
        effects: where effects were: ``sqlite``, and they are in the copy; ``postgresql``, and they are not;
            or ``none``.
    """

    format: int
    version: str
    made: str
    running: bool
    files: list[File]
    effects: str = "none"

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def backup(data_dir: Path, target: Path, *, running: bool, still_held: Callable[[], None]) -> Manifest:
    """Copy a data folder. No segment may go away meanwhile; `still_held` is called often to see to that.

    Args:
        data_dir: what is copied.
        target: a folder that is empty or not there.
        running: whether its node runs, for the manifest.
        still_held: keeps the hold on segments, and raises when it was lost.

    Raises:
        FileExistsError: the target is not empty.
        BackupFailed: the node changed its folder faster than it could be copied.
        LogDamaged: a log is damaged; there is no manifest then.
        OSError: a file cannot be read or written.
    """
    made = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise FileExistsError(17, "it is not empty", str(target))
    to = target / DATA
    to.mkdir(mode=0o700)
    found = logs(data_dir)
    own = [log.path for log in found]
    for path in _others(data_dir, own):
        _copy_other(data_dir, to, path, still_held)
    for log in found:
        _copy_log(log.path, to / log.path.relative_to(data_dir), still_held)
    if [log.path for log in logs(data_dir)] != own:
        raise BackupFailed("a stream came to the data folder while it was copied")
    still_held()
    effects = _copy_effects(data_dir, to)
    for log in logs(to):
        if damage := verify(log)["damage"]:
            raise LogDamaged(f"the log of {log.name} is damaged, and so is its copy: {damage['why']}")
    files = [_entry(to, path) for path in _files(to)]
    manifest = Manifest(FORMAT, _core.__version__, made, running, files, effects)
    _write(target / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
    _sync_folders(target)
    return manifest


def check(source: Path) -> Manifest:
    """Read a backup and compare every file with its manifest.

    Raises:
        BackupDamaged: it is not what was written; with the name of the file.
        OSError: a file cannot be read.
    """
    path = source / MANIFEST
    if not path.exists():
        raise BackupDamaged(
            f"`{source}` has no {MANIFEST}: it is no backup, or one that did not come to its end"
        )
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackupDamaged(f"`{path}` is not readable: {error}") from None
    if manifest.format != FORMAT:
        raise BackupDamaged(f"`{path}` has format {manifest.format}, and this version reads {FORMAT}")
    root = source / DATA
    there = {str(file.relative_to(root)) for file in _files(root)} if root.is_dir() else set()
    listed = {file.path for file in manifest.files}
    for name in sorted(there ^ listed):
        state = "is missing" if name in listed else "is not in the manifest"
        raise BackupDamaged(f"`{name}` {state}")
    for file in manifest.files:
        now = _entry(root, root / file.path)
        if now != file:
            raise BackupDamaged(
                f"`{file.path}` is not what was written: its SHA-256 is {now.sha256}, expected {file.sha256}"
            )
    return manifest


def restore(source: Path, data_dir: Path) -> Manifest:
    """Put a backup into an empty folder, of which the caller holds the lock.

    The node's own log gets its name last: a folder that was restored in part is refused by the engine.

    Raises:
        BackupDamaged: the backup is not what was written; nothing was restored.
        FileExistsError: the folder is not empty.
        LogDamaged: a restored log is damaged.
        OSError: a file cannot be read or written.
    """
    manifest = check(source)
    if any(one.name not in {*_LEFT_OUT, "lost+found"} for one in data_dir.iterdir()):
        raise FileExistsError(17, "it is not empty", str(data_dir))
    unfinished = data_dir / "node.restoring"
    for file in sorted(manifest.files, key=lambda file: file.path.startswith("node/")):
        path = Path(file.path)
        to = unfinished.joinpath(*path.parts[1:]) if path.parts[0] == "node" else data_dir / path
        _make_folders(data_dir, to.parent)
        with (source / DATA / path).open("rb") as read:
            _copy_pages(read.fileno(), file.size, to, lambda: None)
    _sync_folders(data_dir)
    if unfinished.exists():
        unfinished.rename(data_dir / "node")
    _sync_folders(data_dir)
    # Others remember what the node said after the backup was made; it must not be taken for the same history.
    renew(data_dir)
    for log in logs(data_dir):
        if damage := verify(log)["damage"]:
            raise LogDamaged(f"the restored log of {log.name} is damaged: {damage['why']}")
    return manifest


def _files(root: Path) -> Iterator[Path]:
    """All files under a folder, in order; no links, sockets and files of a process."""
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if name not in _LEFT_OUT and path.is_file() and not path.is_symlink():
                yield path


def _others(data_dir: Path, own: list[Path]) -> list[Path]:
    found = (path for path in _files(data_dir) if str(path.relative_to(data_dir)) not in _OF_EFFECTS)
    return [path for path in found if not any(path.is_relative_to(log) for log in own)]


def _copy_effects(data_dir: Path, to: Path) -> str:
    """Copy the database of effects as one of its transactions left it; says where it is."""
    with contextlib.suppress(FileNotFoundError):
        kind = (data_dir / LIFE_FILE).read_text(encoding="ascii").strip().partition(" ")[2]
        if kind != "sqlite":
            return kind
    if not (data_dir / FILE_NAME).exists():
        return "none"
    copy = to / FILE_NAME
    os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with (
            contextlib.closing(sqlite3.connect(data_dir / FILE_NAME, timeout=_SQLITE_S)) as read,
            contextlib.closing(sqlite3.connect(copy)) as write,
        ):
            read.backup(write)
            write.execute("PRAGMA journal_mode = DELETE")
            found = write.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise BackupFailed(f"the effects database cannot be copied: {error}") from error
    if found != "ok":
        raise BackupFailed(f"the effects database is damaged: {found}")
    _sync(copy)
    return "sqlite"


def _copy_other(data_dir: Path, to: Path, path: Path, still_held: Callable[[], None]) -> None:
    """Copy a file that is no log; one that went away meanwhile is not needed any more."""
    copy = to / path.relative_to(data_dir)
    _make_folders(to, copy.parent)
    still_held()
    try:
        shutil.copyfile(path, copy)
    except FileNotFoundError:
        copy.unlink(missing_ok=True)
        return
    copy.chmod(0o600)
    _sync(copy)


def _copy_log(log: Path, to: Path, still_held: Callable[[], None]) -> None:
    """Copy one log: its newest segment until no newer one came meanwhile, then those before it."""
    _make_folders(to.parent, to)
    for _ in range(_READINGS):
        names = _segments(log)
        if not names:
            break
        newest = names.pop()
        _copy_file(log / newest, to / newest, still_held)
        if _segments(log) == [*names, newest]:
            for name in names:
                _copy_file(log / name, to / name, still_held)
            break
        (to / newest).unlink()
    else:
        raise BackupFailed(f"`{log}` grows faster than it can be copied")
    for path in _files(log):
        if path.parent != log:
            copy = to / path.relative_to(log)
            _make_folders(to, copy.parent)
            _copy_file(path, copy, still_held)


def _segments(log: Path) -> list[str]:
    return sorted(path.name for path in log.iterdir() if path.suffix == ".log")


def _copy_file(path: Path, to: Path, still_held: Callable[[], None]) -> None:
    with path.open("rb") as read:
        _copy_pages(read.fileno(), os.fstat(read.fileno()).st_size, to, still_held)


def _copy_pages(read: int, size: int, to: Path, still_held: Callable[[], None]) -> None:
    """Copy from the last page to the first; pages of zeros take no room."""
    write = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(write, size)
        for number in reversed(range((size + _PAGE - 1) // _PAGE)):
            if number % _TICK == 0:
                still_held()
            page = os.pread(read, _PAGE, number * _PAGE)
            if page != _ZERO and os.pwrite(write, page, number * _PAGE) != len(page):
                raise OSError(28, "No space left on device", str(to))
        os.fsync(write)
    finally:
        os.close(write)


def _entry(root: Path, path: Path) -> File:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return File(str(path.relative_to(root)), os.fstat(file.fileno()).st_size, digest)


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _make_folders(root: Path, folder: Path) -> None:
    """Make a folder and those between it and `root`, for their owner only."""
    for one in [*reversed(folder.relative_to(root).parents), folder.relative_to(root)]:
        (root / one).mkdir(mode=0o700, exist_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folders(root: Path) -> None:
    for folder, _, _ in os.walk(root):
        _sync(Path(folder))
