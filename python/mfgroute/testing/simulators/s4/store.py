"""Tables in memory that change in units: all of a unit or nothing, and on disk before anybody hears of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

__all__ = ["Row", "Store", "Tables", "Unit"]

#: A row is replaced, never changed: what somebody has read stays as it was.
Row = dict[str, Any]
_CHANGES = msgspec.json.Decoder(list[tuple[str, str, Row]])


class Tables:
    """Rows by key, by table, and by the values of some of their properties.

    Args:
        defaults: of tables whose rows are kept without the values that are empty.
        indexed: properties to find rows of a table by.
    """

    def __init__(self, defaults: Mapping[str, Row], indexed: Mapping[str, Sequence[str]]) -> None:
        self._defaults = defaults
        self._rows: dict[str, dict[str, Row]] = {}
        self._indexes: dict[str, dict[str, dict[Any, dict[str, None]]]] = {
            table: {name: {} for name in names} for table, names in indexed.items()
        }

    def kept(self, table: str, key: str) -> Row | None:
        """A row as it is kept, or `None`."""
        return self._rows.get(table, {}).get(key)

    def get(self, table: str, key: str) -> Row | None:
        """A row with all its values, or `None`."""
        row = self.kept(table, key)
        return None if row is None else {**self._defaults.get(table, {}), **row}

    def rows(self, table: str, where: Mapping[str, Any] | None = None) -> Iterator[Row]:
        """Rows with all their values, in the order they were first put.

        Args:
            table: of the rows.
            where: values that they have.
        """
        wanted = where or {}
        rows = self._rows.get(table, {})
        index = next((name for name in wanted if name in self._indexes.get(table, {})), None)
        keys = list(rows) if index is None else list(self._indexes[table][index].get(wanted[index], ()))
        defaults = self._defaults.get(table, {})
        for key in keys:
            row = {**defaults, **rows[key]}
            if all(row[name] == value for name, value in wanted.items()):
                yield row

    def set(self, table: str, key: str, row: Row | None) -> None:
        """Add, replace or, with `None`, remove a row that is given as it is kept."""
        rows = self._rows.setdefault(table, {})
        before = rows.get(key)
        if row is None:
            del rows[key]
        else:
            rows[key] = row
        for name, index in self._indexes.get(table, {}).items():
            empty = self._defaults[table][name]
            old, new = (None if one is None else (one.get(name, empty),) for one in (before, row))
            if old == new:
                continue
            if old is not None:
                del index[old[0]][key]
            if new is not None:
                index.setdefault(new[0], {})[key] = None

    def spare(self, table: str, row: Row) -> Row:
        """A row as it is kept."""
        defaults = self._defaults.get(table)
        if defaults is None:
            return row
        return {name: value for name, value in row.items() if name not in defaults or value != defaults[name]}


class Unit:
    """A unit of work: what it puts is seen at once by itself, and by others when it is committed.

    There is one unit at a time, and no other work happens while it lasts, so nobody sees half of it.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._before: list[tuple[str, str, Row | None]] = []
        self.changes: list[tuple[str, str, Row]] = []

    def get(self, table: str, key: str) -> Row | None:
        """A row with all its values, or `None`."""
        return self._tables.get(table, key)

    def rows(self, table: str, **where: Any) -> list[Row]:
        """Rows that have these values, in the order they were first put."""
        return list(self._tables.rows(table, where))

    def put(self, table: str, key: str, row: Row) -> Row:
        """Add or replace a row."""
        kept = self._tables.spare(table, row)
        self._before.append((table, key, self._tables.kept(table, key)))
        self.changes.append((table, key, kept))
        self._tables.set(table, key, kept)
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
            self._tables.set(table, key, row)
        del self._before[to:], self.changes[to:]


class Store:
    """The tables, and the journal they are read from after a crash.

    Args:
        tables: empty.
        journal: file that every committed unit is appended to before its answer. It survives the end of
            the process, whatever ended it; it is not synced, so it does not survive a power cut.

    Attributes:
        tables: what there is.
        restored: whether the journal held anything.
    """

    def __init__(self, tables: Tables, journal: Path | None = None) -> None:
        self.tables = tables
        self.restored = False
        self._path = journal
        self._journal: BinaryIO | None = None
        if journal is not None:
            self._restore(journal)

    def _restore(self, path: Path) -> None:
        """Read what is there; a last line that is not whole was never committed, and goes."""
        if not path.exists():
            return
        whole = 0
        with path.open("rb+") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                for table, key, row in _CHANGES.decode(line):
                    self.tables.set(table, key, row)
                whole += len(line)
                self.restored = True
            file.truncate(whole)

    def _write(self, line: bytes) -> None:
        if self._path is None:
            return
        if self._journal is None:
            self._journal = self._path.open("ab", buffering=0)
        self._journal.write(line)

    @contextmanager
    def unit(self, *, keep: bool = True) -> Iterator[Unit]:
        """A unit of work: committed when the block ends, rolled back when it raises.

        Args:
            keep: ``False`` rolls back at the end too.
        """
        unit = Unit(self.tables)
        try:
            yield unit
        except BaseException:
            unit.roll_back()
            raise
        if not keep:
            unit.roll_back()
        elif unit.changes:
            self._write(msgspec.json.encode(unit.changes) + b"\n")

    def close(self) -> None:
        """Close the journal; the next unit opens it again."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
