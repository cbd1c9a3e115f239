"""The epoch of a data folder: a random number that says which history its logs continue.

It is written when the folder is made, and anew when a backup is restored into it. Whoever remembers what a
node has said, such as the other end of an edge link, remembers it under this number: two folders with the
same one are copies of each other.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from mfgroute.durable import write_whole
from mfgroute.errors import FolderUnfit

FILE = "epoch"
_DIGITS = 16
_EPOCH = re.compile(rb"([0-9a-f]{16})\n")


def epoch_of(data_dir: Path) -> int:
    """The epoch of a data folder, which is made if it has none. The caller holds the lock of the folder.

    Raises:
        FolderUnfit: its file holds something else.
        OSError: it cannot be read or written.
    """
    path = data_dir / FILE
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return renew(data_dir)
    found = _EPOCH.fullmatch(text)
    epoch = int(found[1], 16) if found else 0
    if not epoch:
        raise FolderUnfit(f"`{path}` holds no epoch, expected {_DIGITS} hex digits")
    return epoch


def renew(data_dir: Path) -> int:
    """Begin a new epoch: from now on this folder continues no other history. Returns it.

    Raises:
        OSError: it cannot be written.
    """
    epoch = secrets.randbits(64) or 1
    write_whole(data_dir / FILE, f"{epoch:0{_DIGITS}x}\n".encode())
    return epoch
