"""What is printed: always escaped, aligned for people, or one JSON document for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from mfgroute.adapters.plain import escaped

_COLUMN_MAX = 72
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def line(text: str = "", *, error: bool = False) -> None:
    """Print one line. Nothing in it can reach the terminal as a control."""
    out = sys.stderr if error else sys.stdout
    encoding = out.encoding or "utf-8"
    shown = escaped(text).encode(encoding, "backslashreplace").decode(encoding)
    out.write(shown + "\n")


def document(value: Any, *, error: bool = False) -> None:
    """Print one JSON document on one line."""
    import json  # noqa: PLC0415 - not for --help

    line(json.dumps(value, ensure_ascii=False, default=str), error=error)


def table(rows: Iterable[Sequence[object]], *, header: Sequence[str] | None = None) -> None:
    """Print rows with aligned columns; the last column is not cut."""
    cells = [[_cell(value, last=index == len(row) - 1) for index, value in enumerate(row)] for row in rows]
    if header is not None:
        cells.insert(0, list(header))
    if not cells:
        return
    widths = [max(len(row[index]) for row in cells if index < len(row)) for index in range(len(cells[0]))]
    for row in cells:
        line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip())


def age(since: str | None) -> str:
    """How long ago a time was, as ``3 h``."""
    from datetime import UTC, datetime  # noqa: PLC0415 - not for --help

    if not since:
        return "?"
    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()
    except ValueError:
        return "?"
    for unit, size in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def compact(value: Any) -> str:
    """A value as JSON in one line."""
    import json  # noqa: PLC0415 - not for --help

    return json.dumps(value, ensure_ascii=False)


def pretty(value: Any, indent: str = "") -> None:
    """Print a value as indented JSON."""
    import json  # noqa: PLC0415 - not for --help

    for one in json.dumps(value, ensure_ascii=False, indent=2).splitlines():
        line(indent + one)


def yaml(value: Any, indent: int = 0) -> list[str]:
    """A document as YAML lines; texts are quoted as in JSON, which YAML reads the same."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        lines = []
        for key, child in value.items():
            if isinstance(child, dict | list) and child:
                lines += [f"{pad}{_key(key)}:", *yaml(child, indent + 1)]
            else:
                lines.append(f"{pad}{_key(key)}: {compact(child)}")
        return lines
    if isinstance(value, list) and value:
        lines = []
        for child in value:
            if isinstance(child, dict | list) and child:
                first, *rest = yaml(child, indent + 1)
                lines += [f"{pad}- {first.lstrip()}", *rest]
            else:
                lines.append(f"{pad}- {compact(child)}")
        return lines
    return [pad + compact(value)]


def _key(key: Any) -> str:
    text = str(key)
    return text if text.replace("-", "").replace("_", "").isalnum() and text[:1].isalpha() else compact(text)


def _cell(value: object, *, last: bool) -> str:
    text = escaped("" if value is None else str(value))
    return text if last or len(text) <= _COLUMN_MAX else text[: _COLUMN_MAX - 1] + "…"
