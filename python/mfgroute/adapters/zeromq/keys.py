"""CURVE key pairs in files: made, read, and refused when others could read the secret.

A key is written as ``public:`` or ``secret:`` and 64 hex digits: safe in YAML and shells, and nobody can
put the one where the other belongs. ``mfgroute pki`` is built on these functions.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

import zmq
from zmq.utils import z85

from mfgroute.errors import AdapterError

__all__ = [
    "PUBLIC_PATTERN",
    "KeyPair",
    "create_keypair",
    "fingerprint",
    "load_secret",
    "parse_public",
    "public_text",
]

PUBLIC_PATTERN = "^public:[0-9a-f]{64}$"
_SECRET = re.compile(r"secret:([0-9a-f]{64})")
_FILE_MAX = 4096
_FINGERPRINT_DIGITS = 16


class KeyPair(NamedTuple):
    """Both keys as libzmq wants them, in Z85. The secret one is never printed."""

    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"KeyPair({public_text(self.public)})"


def create_keypair(folder: Path, name: str) -> tuple[Path, Path]:
    """Make ``<name>.secret`` (0600) and ``<name>.public`` in `folder`, which is made when missing (0700).

    Returns:
        The paths of the secret and the public file.

    Raises:
        FileExistsError: one of them exists; a key is never overwritten.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ValueError(f"key name {name!r}, expected letters, digits, `.`, `_` or `-`")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    public, secret = zmq.curve_keypair()
    secret_path, public_path = folder / f"{name}.secret", folder / f"{name}.public"
    if public_path.exists():
        raise FileExistsError(f"{public_path} exists")
    _write_new(secret_path, f"secret:{z85.decode(secret).hex()}\n", 0o600)
    _write_new(public_path, public_text(public) + "\n", 0o644)
    return secret_path, public_path


def load_secret(path: Path) -> KeyPair:
    """Read a secret key file and derive its public key.

    Raises:
        AdapterError: it is missing, not a regular file, readable for others, or not a secret key.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise AdapterError(f"cannot read the secret key {path}: {error.strerror}") from error
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise AdapterError(f"the secret key {path} is not a regular file")
        if found.st_mode & 0o077:
            mode = stat.S_IMODE(found.st_mode)
            raise AdapterError(f"the secret key {path} has mode {mode:04o}, expected 0600: others can use it")
        text = file.read(_FILE_MAX).decode("ascii", "replace").strip()
    match = _SECRET.fullmatch(text)
    if match is None:
        raise AdapterError(f"{path} holds no secret key, expected `secret:` and 64 hex digits")
    secret = z85.encode(bytes.fromhex(match[1]))
    return KeyPair(zmq.curve_public(secret), secret)


def parse_public(text: str) -> bytes:
    """A public key in Z85.

    Raises:
        AdapterError: `text` is not ``public:`` and 64 hex digits.
    """
    if not re.fullmatch(PUBLIC_PATTERN.strip("^$"), text.strip()):
        raise AdapterError("not a public key, expected `public:` and 64 hex digits")
    return z85.encode(bytes.fromhex(text.strip().removeprefix("public:")))


def public_text(public: bytes) -> str:
    """A public key (Z85) as it is written in a configuration."""
    return f"public:{z85.decode(public).hex()}"


def fingerprint(public: bytes) -> str:
    """How a public key (its 32 bytes) is told from others, short: it begins as in a configuration."""
    return f"public:{public.hex()[:_FINGERPRINT_DIGITS]}"


def _write_new(path: Path, text: str, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(handle)
