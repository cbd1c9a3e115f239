"""The folder a files source reads: what waits there, how it is claimed, and where it goes afterwards.

Every function here blocks on the disk; the source calls them in a thread. A file moves by `rename` only,
so at any instant it is in exactly one place::

    inbox/report.csv                                   waits
    inbox/.work/<node>.<source>/<claim>/report.csv     claimed by one node
    inbox/done/report.csv                              acknowledged
    inbox/failed/report.csv + report.csv.reason.json   could not be taken apart
"""

from __future__ import annotations

import fcntl
import fnmatch
import json
import os
import re
import secrets
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from mfgroute.errors import AdapterError

__all__ = ["Claim", "Inbox", "Stamp", "TooLarge", "Unsafe"]

_UNFINISHED = (".tmp", ".part", "~")


class Stamp(NamedTuple):
    """What tells a file that is still written from one that is complete."""

    mtime_ns: int
    size: int
    inode: int


class Claim(NamedTuple):
    """A file that is ours: a folder with nothing else in it.

    Attributes:
        folder: made for this claim; its name starts with the file's time, so names sort by age.
        name: of the file, as it was dropped.
    """

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """Where the file is now."""
        return self.folder / self.name


class TooLarge(Exception):  # noqa: N818 - says what the file is
    """The file has more bytes than allowed."""


class Unsafe(Exception):  # noqa: N818 - says what the file is
    """The name is a symlink, a device or a pipe; it was not opened."""


class Inbox:
    """One inbox folder, seen by one source of one node."""

    def __init__(self, path: Path, owner: str) -> None:
        self.folder = path.parent
        self._pattern = path.name
        self._work = self.folder / ".work" / re.sub(r"[^A-Za-z0-9._-]", "_", owner).lstrip(".")
        self._lock: int | None = None

    def open(self) -> list[Claim]:
        """Lock our own work folder and return what an earlier run left there, oldest first.

        Raises:
            FileNotFoundError: the inbox is not there (a mount that is missing, for instance).
            AdapterError: another process works with the same node and source names.
        """
        if not self.folder.is_dir():
            raise FileNotFoundError(f"no folder {self.folder}")
        self._work.mkdir(parents=True, exist_ok=True, mode=0o750)
        lock = os.open(self._work / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise AdapterError(f"{self._work} is in use by another process") from error
        self._lock = lock
        return self._left_over()

    def close(self) -> None:
        """Give the work folder free. May be called at any time."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def waiting(self, *, finished_names_only: bool) -> tuple[dict[str, Stamp], list[str]]:
        """What the folder holds: files by name, and names that are refused because they are not files."""
        files: dict[str, Stamp] = {}
        refused: list[str] = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(".") or not fnmatch.fnmatchcase(name, self._pattern):
                    continue
                if finished_names_only and name.endswith(_UNFINISHED):
                    continue
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(found.st_mode):
                    files[name] = Stamp(found.st_mtime_ns, found.st_size, found.st_ino)
                elif not stat.S_ISDIR(found.st_mode):
                    refused.append(name)
        return files, refused

    def claim(self, name: str, stamp: Stamp) -> Claim | None:
        """Take a file, or `None` if another node was faster."""
        folder = self._work / f"{max(stamp.mtime_ns, 0):020d}-{secrets.token_hex(6)}"
        folder.mkdir(mode=0o750)
        try:
            (self.folder / name).rename(folder / name)
        except FileNotFoundError:
            folder.rmdir()
            return None
        return Claim(folder, name)

    def load(self, claim: Claim, size_max: int) -> tuple[bytes, Stamp] | None:
        """Read a claimed file whole; `None` if it changed meanwhile, that is, somebody still writes it.

        Raises:
            TooLarge: it has more than `size_max` bytes.
            Unsafe: it is not a regular file.
        """
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            handle = os.open(claim.path, flags)
        except OSError as error:
            if claim.path.is_symlink():
                raise Unsafe("a symbolic link") from error
            raise
        with os.fdopen(handle, "rb") as file:
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                raise Unsafe("not a regular file")
            if before.st_size > size_max:
                raise TooLarge(f"{before.st_size} bytes, at most {size_max} are allowed")
            content = file.read(size_max + 1)
            after = os.fstat(handle)
        stamp = Stamp(after.st_mtime_ns, after.st_size, after.st_ino)
        if (before.st_mtime_ns, before.st_size) != stamp[:2] or len(content) != stamp.size:
            return None
        return content, stamp

    def unchanged(self, claim: Claim, stamp: Stamp) -> bool:
        """Whether the file is still the one that was read."""
        found = claim.path.stat(follow_symlinks=False)
        return Stamp(found.st_mtime_ns, found.st_size, found.st_ino) == stamp

    def finish(self, claim: Claim, *, keep: bool) -> None:
        """Move an acknowledged file to ``done/``, or delete it."""
        if keep:
            self._move(claim, self.folder / "done")
        else:
            claim.path.unlink(missing_ok=True)
        claim.folder.rmdir()

    def fail(self, claim: Claim, code: str, reason: str) -> Path:
        """Move a file to ``failed/`` with the reason beside it; returns where it is now."""
        target = self._move(claim, self.folder / "failed")
        text = json.dumps({"file": claim.name, "code": code, "reason": reason}, indent=1) + "\n"
        target.with_name(target.name + ".reason.json").write_text(text, encoding="utf-8")
        claim.folder.rmdir()
        return target

    def _move(self, claim: Claim, folder: Path) -> Path:
        folder.mkdir(exist_ok=True, mode=0o750)
        target = folder / claim.name
        while True:
            # `link` fails where `rename` would replace, so two files of one name are both kept.
            try:
                os.link(claim.path, target, follow_symlinks=False)
            except FileExistsError:
                now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
                suffix = f".{now}-{secrets.token_hex(2)}"
                target = folder / (claim.name.encode()[:200].decode(errors="ignore") + suffix)
                continue
            except OSError:
                # A file system without hard links (SMB, FAT): a name nobody else can have.
                target = folder / f"{claim.folder.name}-{claim.name}"
                claim.path.rename(target)
                return target
            claim.path.unlink()
            return target

    def _left_over(self) -> list[Claim]:
        claims = []
        for folder in sorted(entry for entry in self._work.iterdir() if entry.name != ".lock"):
            names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
            if names:
                claims.append(Claim(folder, names[0]))
            elif folder.is_dir():
                folder.rmdir()
        return claims
