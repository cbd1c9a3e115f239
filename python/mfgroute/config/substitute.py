"""Replacement of ``${VAR}``, ``${VAR:-default}`` and ``${file:/run/secrets/x}`` in ``mfgroute.yaml``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mfgroute.config.convert import escape

_FILE_BYTES_MAX = 64 * 1024
_MASK = "********"
#: Shorter replacements are not masked in messages: they would garble them and are no secrets.
_MASKED_LENGTH_MIN = 4


class Substitution:
    """Answers for ``${...}``, and remembers what it gave away so that no message repeats it.

    Args:
        environ: the environment.
        root: the project folder, where relative file names start.
    """

    def __init__(self, environ: Mapping[str, str], root: Path) -> None:
        self._environ = environ
        self._root = root
        self._given: set[str] = set()

    def __call__(self, text: str) -> str | None:
        """The replacement of ``${text}``, or `None` when there is none."""
        value = self._find(text)
        if value is not None and len(value) >= _MASKED_LENGTH_MIN:
            self._given.add(value)
        return value

    @property
    def given(self) -> frozenset[str]:
        """Every replacement that is long enough to be a secret; for redaction in logs."""
        return frozenset(self._given)

    def masked(self, text: str) -> str:
        """`text` with every replacement that was given away as stars."""
        for value in sorted(self._given, key=len, reverse=True):
            text = text.replace(value, _MASK)
        return text

    def _find(self, text: str) -> str | None:
        if text.startswith("file:"):
            return self._read(text.removeprefix("file:"))
        name, marker, default = text.partition(":-")
        if marker:
            return self._environ.get(name) or default
        return self._environ.get(name)

    def _read(self, name: str) -> str | None:
        """The text of a secret file without its last line end; `None` when it cannot be read."""
        try:
            with (self._root / name).open("rb") as file:
                content = file.read(_FILE_BYTES_MAX + 1)
            text = content.decode()
        except (OSError, ValueError):
            return None
        if len(content) > _FILE_BYTES_MAX:
            return None
        return text.removesuffix("\n").removesuffix("\r")


def replaceable(value: Any, pointer: str) -> Iterator[str]:
    """Pointers of texts with ``${...}``."""
    if isinstance(value, str) and "${" in value:
        yield pointer
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from replaceable(child, f"{pointer}/{escape(str(key))}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from replaceable(child, f"{pointer}/{index}")
