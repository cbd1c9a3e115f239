"""Tables in memory that change in units: all of a unit or nothing, and on disk before anybody hears of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

__all__ = ["Row", "Store", "Unit"]

#: A row is replaced, never changed: what somebody has read stays as it was.
Row = dict[str, Any]
_CHANGES = msgspec.json.Decoder(list[tuple[str, str, Row | None]])


class Unit:
    """A unit of work: what it puts is seen at once by itself, and by others when it is committed.

    There is one unit at a time, and no other work happens while it lasts, so nobody sees half of it.
    """

    def __init__(self, tables: dict[str, dict[str, Row]], defaults: Mapping[str, Row]) -> None:
        self._tables = tables
        self._defaults = defaults
        self._before: list[tuple[str, str, Row | None]] = []
        self.changes: list[tuple[str, str, Row | None]] = []

    def get(self, table: str, key: str) -> Row | None:
        """A row with all its values, or `None`."""
        row = self._tables.get(table, {}).get(key)
        return None if row is None else {**self._defaults.get(table, {}), **row}

    def rows(self, table: str) -> list[Row]:
        """All rows of a table, in the order they were first put."""
        defaults = self._defaults.get(table, {})
        return [{**defaults, **row} for row in self._tables.get(table, {}).values()]

    def put(self, table: str, key: str, row: Row) -> Row:
        """Add or replace a row; only what differs from the defaults is kept."""
        defaults = self._defaults.get(table)
        kept = row if defaults is None else {name: row[name] for name in row if _says(row, defaults, name)}
        rows = self._tables.setdefault(table, {})
        self._before.append((table, key, rows.get(key)))
        self.changes.append((table, key, kept))
        rows[key] = kept
        return row

    def next_number(self, name: str, first: int) -> int:
        """Draw a number from a range. A unit that is rolled back gives it back."""
        row = self.get("numbers", name)
        number = first if row is None else row["next"]
        self.put("numbers", name, {"next": number + 1})
        return int(number)

    def mark(self) -> int:
        """A place to roll back to."""
        return len(self._before)

    def roll_back(self, to: int = 0) -> None:
        """Undo everything since a mark."""
        for table, key, row in reversed(self._before[to:]):
            if row is None:
                del self._tables[table][key]
            else:
                self._tables[table][key] = row
        del self._before[to:], self.changes[to:]


def _says(row: Row, defaults: Row, name: str) -> bool:
    return name not in defaults or row[name] != defaults[name]


class Store:
    """The tables, and the journal they are read from after a crash.

    Args:
        defaults: of tables whose rows are kept without the values that are empty.
        journal: file that every committed unit is appended to before its answer. It survives the end of
            the process, whatever ended it; it is not synced, so it does not survive a power cut.

    Attributes:
        tables: rows by key, by table; those with defaults without the values that are empty.
        restored: whether the journal held anything.
    """

    def __init__(self, defaults: Mapping[str, Row], journal: Path | None = None) -> None:
        self.tables: dict[str, dict[str, Row]] = {}
        self._defaults = defaults
        self._journal: BinaryIO | None = None
        self.restored = False
        if journal is not None:
            self._journal = self._open(journal)

    def _open(self, path: Path) -> BinaryIO:
        """Read what is there; a last line that is not whole was never committed, and goes."""
        whole = 0
        if path.exists():
            for line in path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                for table, key, row in _CHANGES.decode(line):
                    self._load(table, key, row)
                whole += len(line)
                self.restored = True
            with path.open("rb+") as file:
                file.truncate(whole)
        return path.open("ab", buffering=0)

    def _load(self, table: str, key: str, row: Row | None) -> None:
        if row is not None:
            self.tables.setdefault(table, {})[key] = row

    @contextmanager
    def unit(self, *, keep: bool = True) -> Iterator[Unit]:
        """A unit of work: committed when the block ends, rolled back when it raises.

        Args:
            keep: ``False`` rolls back at the end too.
        """
        unit = Unit(self.tables, self._defaults)
        try:
            yield unit
        except BaseException:
            unit.roll_back()
            raise
        if not keep:
            unit.roll_back()
        elif unit.changes and self._journal is not None:
            self._journal.write(msgspec.json.encode(unit.changes) + b"\n")

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
