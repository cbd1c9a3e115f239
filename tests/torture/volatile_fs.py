"""A file system that forgets what was not synced, for power cuts.

Run as ``volatile_fs.py STORE MOUNTPOINT FAULTS``. What was synced stands in the folder STORE: contents of a file after
its ``fsync`` or ``fdatasync``, names of a folder after that folder's ``fsync``. Everything else is in the memory of this
process, whose end is the power cut. FAULTS is a JSON object; each of its members may be missing:

* ``cut_at``: the power is cut before so manyth call that changes something or makes it durable; writes in a row are one;
* ``keep``: with this seed, a cut leaves some of what was not synced: of each file any of its 512-byte sectors, of each
  folder the first few changes of its names;
* ``eio_at``: the so manyth sync of a segment in use fails; its pages count as written, but the disk does not have them;
* ``eio_on``: from then on all syncs of such files fail;
* ``short``: each write takes half of what it is given.

It writes ``ready`` to standard output once it is mounted.
"""

from __future__ import annotations

import errno
import json
import os
import random
import stat
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mfusepy

SECTOR = 512


@dataclass
class File:
    """Contents in memory, and which sectors of them the disk does not have."""

    number: int
    mode: int
    data: bytearray = field(default_factory=bytearray)
    dirty: set[int] = field(default_factory=set)


@dataclass
class Folder:
    """Names in memory, and the changes that the disk does not have: a name and what it stands for, or `None`."""

    number: int
    mode: int
    names: dict[str, File | Folder] = field(default_factory=dict)
    changes: list[dict[str, File | Folder | None]] = field(default_factory=list)

    def apply(self, changed: dict[str, File | Folder | None]) -> None:
        """Change names together."""
        self.changes.append(changed)
        for name, what in changed.items():
            if what is None:
                self.names.pop(name, None)
            else:
                self.names[name] = what


class Store:
    """What the disk has: `N.bytes` for a file, `N.names` for a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.next = 0

    def number(self) -> int:
        """Of a new file or folder."""
        self.next += 1
        return self.next

    def sync(self, file: File, sectors: set[int] | None = None) -> None:
        """Take sectors of a file, and its length with all of them."""
        path = self.folder / f"{file.number}.bytes"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        chosen = file.dirty if sectors is None else sectors
        for sector in sorted(chosen):
            os.pwrite(descriptor, file.data[sector * SECTOR : (sector + 1) * SECTOR], sector * SECTOR)
        if sectors is None:
            os.ftruncate(descriptor, len(file.data))
            file.dirty.clear()
        os.close(descriptor)

    def sync_names(self, folder: Folder, count: int | None = None) -> None:
        """Take changes of names, the first so many or all."""
        names = self._durable(folder)
        for changed in folder.changes[:count]:
            for name, what in changed.items():
                names.pop(name, None)
                if what is not None:
                    names[name] = [what.number, isinstance(what, Folder), what.mode]
        path = self.folder / f"{folder.number}.names"
        path.with_suffix(".new").write_text(json.dumps(names))
        path.with_suffix(".new").rename(path)
        folder.changes.clear()

    def tidy(self, root: Folder) -> None:
        """Remove what no name leads to any more; its number is given out again."""
        waiting: list[File | Folder] = [root]
        reached = set()
        while waiting:
            found = waiting.pop()
            reached.add(found.number)
            waiting += found.names.values() if isinstance(found, Folder) else []
        for path in self.folder.iterdir():
            if int(path.stem) not in reached:
                path.unlink()

    def _durable(self, folder: Folder) -> dict[str, Any]:
        path = self.folder / f"{folder.number}.names"
        return json.loads(path.read_text()) if path.exists() else {}

    def load(self, number: int, mode: int) -> Folder:
        """A folder and all below it, as the disk has them."""
        folder = Folder(number, mode)
        self.next = max(self.next, number)
        for name, (below, is_folder, its_mode) in self._durable(folder).items():
            if is_folder:
                folder.names[name] = self.load(below, its_mode)
            else:
                self.next = max(self.next, below)
                path = self.folder / f"{below}.bytes"
                data = bytearray(path.read_bytes()) if path.exists() else bytearray()
                folder.names[name] = File(below, its_mode, data)
        return folder


class Volatile(mfusepy.Operations):
    """The calls of the kernel, one at a time."""

    use_ns = True

    def __init__(self, store: Store, faults: dict[str, int]) -> None:
        self.store, self.faults = store, faults
        self.root = store.load(0, stat.S_IFDIR | 0o700)
        store.tidy(self.root)
        self.held: dict[int, File] = {}
        self.calls, self.syncs, self.writing = 0, 0, False

    def init(self, path: str) -> None:
        """It is mounted."""
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    def _count(self, *, writes: bool = False) -> None:
        """One more call that matters; the power may be cut instead."""
        if writes and self.writing:
            return
        self.writing = writes
        self.calls += 1
        if self.calls == self.faults.get("cut_at"):
            if "keep" in self.faults:
                self._keep_some(random.Random(self.faults["keep"]))
            os._exit(0)

    def _find(self, path: str) -> File | Folder:
        found: File | Folder = self.root
        for name in filter(None, path.split("/")):
            below = found.names.get(name) if isinstance(found, Folder) else None
            if below is None:
                raise mfusepy.FuseOSError(errno.ENOENT)
            found = below
        return found

    def _above(self, path: str) -> tuple[Folder, str]:
        above, _, name = path.rpartition("/")
        folder = self._find(above)
        assert isinstance(folder, Folder)
        return folder, name

    def _hold(self, file: File) -> int:
        handle = self.store.number()
        self.held[handle] = file
        return handle

    def _file(self, path: str | None, handle: int | None) -> File:
        found = self.held.get(handle or 0) or self._find(path or "/")
        assert isinstance(found, File)
        return found

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        """Kind, mode and length."""
        found = self.held.get(fh or 0) or self._find(path)
        size, now = len(found.data) if isinstance(found, File) else 0, time.time_ns()
        times = dict.fromkeys(("st_atime", "st_mtime", "st_ctime"), now)
        return {"st_mode": found.mode, "st_nlink": 1, "st_size": size, "st_uid": os.geteuid(), **times}

    def readdir(self, path: str, fh: int) -> list[str]:
        """Names of a folder."""
        found = self._find(path)
        assert isinstance(found, Folder)
        return [".", "..", *found.names]

    def mkdir(self, path: str, mode: int) -> int:
        """Make a folder."""
        self._count()
        above, name = self._above(path)
        above.apply({name: Folder(self.store.number(), stat.S_IFDIR | mode)})
        return 0

    def mknod(self, path: str, mode: int, dev: int) -> int:
        """Make a file or a socket."""
        above, name = self._above(path)
        above.apply({name: File(self.store.number(), mode)})
        return 0

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        """Make a file and hold it."""
        self._count()
        above, name = self._above(path)
        file = File(self.store.number(), stat.S_IFREG | mode)
        above.apply({name: file})
        return self._hold(file)

    def open(self, path: str, flags: int) -> int:
        """Hold a file."""
        return self._hold(self._file(path, None))

    def release(self, path: str, fh: int) -> int:
        """Let a file go."""
        self.held.pop(fh, None)
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """Read what was written, synced or not."""
        return bytes(self._file(path, fh).data[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        """Write into memory."""
        file = self._file(path, fh)
        self._count(writes=True)
        if self.faults.get("short") and len(data) > 1:
            data = data[: len(data) // 2]
        if len(file.data) < offset:
            self.truncate(path, offset, fh)
        file.data[offset : offset + len(data)] = data
        file.dirty.update(range(offset // SECTOR, (offset + len(data) - 1) // SECTOR + 1))
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        """Change the length."""
        file = self._file(path, fh)
        old = len(file.data)
        del file.data[length:]
        file.data.extend(bytes(length - len(file.data)))
        file.dirty = {sector for sector in file.dirty if sector * SECTOR < length}
        file.dirty.update(range(old // SECTOR, -(-length // SECTOR)))
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        """Make the contents durable."""
        file = self._file(path, fh)
        self._count()
        in_use = path.endswith(".log")
        self.syncs += in_use
        first = self.faults.get("eio_at", self.syncs + 1)
        if in_use and (self.syncs == first or (self.syncs > first and self.faults.get("eio_on"))):
            file.dirty.clear()
            raise mfusepy.FuseOSError(errno.EIO)
        self.store.sync(file)
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        """Make the names durable."""
        self._count()
        found = self._find(path)
        assert isinstance(found, Folder)
        self.store.sync_names(found)
        return 0

    def rename(self, old: str, new: str) -> int:
        """Give another name."""
        self._count()
        (source, name), (to, other) = self._above(old), self._above(new)
        found = self._find(old)
        if source is to:
            source.apply({name: None, other: found})
        else:
            source.apply({name: None})
            to.apply({other: found})
        return 0

    def unlink(self, path: str) -> int:
        """Take a name away."""
        self._count()
        above, name = self._above(path)
        above.apply({name: None})
        return 0

    rmdir = unlink

    def chmod(self, path: str, mode: int) -> int:
        """Change the mode."""
        self._find(path).mode = mode
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        """Everything belongs to whoever runs this."""
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        """Times are not kept."""
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        """A disk with room."""
        return {
            "f_bsize": 4096,
            "f_frsize": 4096,
            "f_blocks": 1 << 20,
            "f_bfree": 1 << 20,
            "f_bavail": 1 << 20,
        }

    def _keep_some(self, dice: random.Random) -> None:
        """Sync a part of what was not synced."""
        waiting: list[File | Folder] = [self.root, *self.held.values()]
        seen: set[int] = set()
        while waiting:
            found = waiting.pop()
            if found.number in seen:
                continue
            seen.add(found.number)
            if isinstance(found, File):
                self.store.sync(found, {sector for sector in sorted(found.dirty) if dice.random() < 0.5})
            else:
                waiting += found.names.values()
                self.store.sync_names(found, dice.randint(0, len(found.changes)))


def main() -> None:
    """Serve until unmounted or killed."""
    store, mountpoint, faults = sys.argv[1:]
    mfusepy.FUSE(
        Volatile(Store(Path(store)), json.loads(faults)),
        mountpoint,
        foreground=True,
        nothreads=True,
        hard_remove=True,
        default_permissions=True,
    )


if __name__ == "__main__":
    main()
