"""The random id of a data folder, by which a database of effects tells a restored folder from its own."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from mfgroute.effects.files import LIFE_FILE
from mfgroute.errors import DatabaseDown

__all__ = ["life_of"]


def life_of(folder: Path, kind: str, *, new: bool = False) -> str:
    """The random id of a data folder, made if there is none. Behind it stands the kind of its database.

    Raises:
        DatabaseDown: it cannot be read or written.
    """
    file = folder / LIFE_FILE
    try:
        life = ""
        with contextlib.suppress(FileNotFoundError):
            life, _, before = file.read_text(encoding="ascii").strip().partition(" ")
            if life and before == kind and not new:
                return life
        if new or not life:
            life = secrets.token_hex(16)
        part = file.with_name(f".{LIFE_FILE}.part")
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as out:
            out.write(f"{life} {kind}\n")
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
        above = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(above)
        finally:
            os.close(above)
    except (OSError, UnicodeDecodeError) as error:
        raise DatabaseDown(f"`{file}` cannot be used: {error}") from error
    return life
