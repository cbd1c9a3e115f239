"""The database: opened, brought to this version, and filled from lines, each of which counts once.

How far the lines of a sink are taken stands in the same transaction as what was made of them, so taking may
end anywhere and begin again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import (
    Connection,
    Engine,
    and_,
    bindparam,
    create_engine,
    delete,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from mfgroute.effects import retention, tables
from mfgroute.effects.files import FILE_NAME
from mfgroute.effects.lines import Line, add, clean, counts, is_booking, text
from mfgroute.effects.server import postgresql
from mfgroute.effects.tables import AMOUNTS, BOOKED, CHANGES, EFFECTS, TAKEN, portions
from mfgroute.errors import DatabaseDown

#: How long SQLite waits for another process, and PostgreSQL for a connection and for one statement.
_BUSY_S, _CONNECT_S, _STATEMENT_S = 10, 5, 60

Row = dict[str, Any]


class Taken(msgspec.Struct, frozen=True):
    """How far the lines of a sink are taken.

    Attributes:
        number: of the last line that was taken; 0 before the first.
        missing: lines that were never seen.
    """

    number: int = 0
    missing: int = 0


class Database:
    """The effects of one node in SQL. One thread at a time may use it.

    Args:
        folder: the node's data folder; SQLite lives in it.
        url: of a PostgreSQL database instead, as ``postgresql://user:password@host/name``.
        node: id of the node.

    Raises:
        DatabaseUnfit: the URL cannot be used.
    """

    def __init__(self, folder: Path, *, url: str | None = None, node: str) -> None:
        self._node = node
        self._file = None if url else folder / FILE_NAME
        self._engine = _postgresql(url) if url else _sqlite(folder / FILE_NAME)
        self._fit = False

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @property
    def where(self) -> str:
        """Where it is, without its password."""
        return str(self._file) if self._file else self._engine.url.render_as_string(hide_password=True)

    def open(self) -> None:
        """Bring it to this version, unless that was done.

        Raises:
            SchemaNewer: a later version wrote it, or it belongs to another node.
            DatabaseDown: it cannot be used now.
        """
        if self._fit:
            return
        if self._file is not None:
            _make_private(self._file)
        with self._translated(), self._engine.begin() as connection:
            tables.migrate(connection, self._node)
        self._fit = True

    def close(self) -> None:
        """Let go of its connections."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction for questions.

        Raises:
            DatabaseDown: it cannot be used now.
        """
        self.open()
        with self._translated(), self._engine.begin() as connection:
            yield connection

    def taken(self, sink: str, life: str) -> Taken:
        """How far the lines of a sink are taken; number 0 in a new life of the data folder.

        Raises:
            DatabaseDown: it cannot be used now.
        """
        with self.reading() as connection:
            row = connection.execute(select(TAKEN).where(TAKEN.c.sink == sink)).one_or_none()
        if row is None:
            return Taken()
        return Taken(row.number if row.life == life else 0, row.missing)

    def take(self, sink: str, life: str, lines: Sequence[Line]) -> Taken:
        """Take lines in, oldest first; those that were taken before change nothing.

        Args:
            sink: whose lines they are.
            life: of the data folder: a restored one numbers its lines anew.
            lines: oldest first.

        Returns:
            How far they are taken now.

        Raises:
            DatabaseDown: it cannot be used now; nothing was taken.
        """
        self.open()
        with self._translated(), self._engine.begin() as connection:
            before = connection.execute(
                select(TAKEN).where(TAKEN.c.sink == sink).with_for_update()
            ).one_or_none()
            number = before.number if before is not None and before.life == life else 0
            new = [line for line in lines if line.number > number]
            missing = before.missing if before is not None else 0
            if not new:
                return Taken(number, missing)
            # A restored folder goes on where its backup was made, with numbers that may have been used since.
            last = before.number if before is not None else 0
            for line in new:
                missing += max(0, line.number - last - 1)
                last = line.number
            about_effects = [line for line in new if not is_booking(line)]
            if about_effects:
                _write_changes(connection, sink, life, about_effects)
                _write_effects(connection, sink, about_effects)
            _write_bookings(connection, sink, life, [line for line in new if is_booking(line)])
            row = {"life": life, "number": last, "at_ms": new[-1].at_ms, "missing": missing}
            if before is None:
                connection.execute(insert(TAKEN), [{"sink": sink, **row}])
            else:
                connection.execute(update(TAKEN).where(TAKEN.c.sink == sink).values(**row))
            return Taken(last, missing)

    def forget(self, until_ms: int) -> retention.Forgotten:
        """Let go of some effects that ended before a time in milliseconds since 1970; see `retention.forget`.

        Raises:
            DatabaseDown: it cannot be used now; nothing was let go of.
        """
        with self.reading() as connection:
            return retention.forget(connection, until_ms)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            why = str(getattr(error, "orig", None) or error).strip()
            raise DatabaseDown(
                f"the effects database `{self.where}` cannot be used: {' '.join(why.split())}"
            ) from error


def _sqlite(file: Path) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(file)), connect_args={"timeout": _BUSY_S})

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _: Any) -> None:
        # The driver would begin transactions by itself, and only before some statements.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def _began(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgresql(url: str) -> Engine:
    engine = postgresql(url, connect_args={"connect_timeout": _CONNECT_S})

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _: Any) -> None:
        # A server may be set to lose what it has confirmed; lines that it confirmed are forgotten here.
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = on")
            cursor.execute(f"SET statement_timeout = {_STATEMENT_S * 1000}")
        connection.commit()

    return engine


def _make_private(file: Path) -> None:
    """Make the file of SQLite, for its owner only; its journals get the same permissions."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise DatabaseDown(f"the effects database `{file}` cannot be used: {error.strerror}") from error


def _write_changes(connection: Connection, sink: str, life: str, lines: Sequence[Line]) -> None:
    rows = [
        {
            "sink": sink,
            "life": life,
            "number": line.number,
            "id": line.id,
            "at_ms": line.at_ms,
            "state": line.state,
            "request_key": clean(line.key or None),
            "attempt": line.attempt,
            "reference": clean(line.reference),
            "code": clean(line.code),
            "reason": clean(line.reason),
        }
        for line in lines
    ]
    connection.execute(insert(CHANGES), rows)


def _write_bookings(connection: Connection, sink: str, life: str, lines: Sequence[Line]) -> None:
    """What people have booked while its event waits: the last word about each."""
    last = {line.id: line for line in lines}
    for some in portions(sorted(last)):
        connection.execute(delete(BOOKED).where(BOOKED.c.sink == sink, BOOKED.c.id.in_(some)))
    rows = [
        {
            "sink": sink,
            "id": line.id,
            "reference": clean(line.reference),
            "who": clean(line.who) or "",
            "why": clean(line.reason) or "",
            "at_ms": line.at_ms,
            "life": life,
        }
        for line in last.values()
        if line.reference is not None
    ]
    if rows:
        connection.execute(insert(BOOKED), rows)


def _write_effects(connection: Connection, sink: str, lines: Sequence[Line]) -> None:
    """Fold lines into the rows of their effects, and into the sums."""
    old = _effects(connection, sink, sorted({line.id for line in lines}))
    rows: dict[str, Row] = {name: dict(row) for name, row in old.items()}
    for line in lines:
        rows[line.id] = _folded(rows.get(line.id), line, sink)
    added = _added(old, rows, _taken_back(connection, sink, rows.values()))
    new = [row for name, row in rows.items() if name not in old]
    if new:
        connection.execute(insert(EFFECTS), new)
    changed = [{f"_{name}": value for name, value in row.items()} for key, row in rows.items() if key in old]
    if changed:
        values: dict[str, Any] = {column.name: bindparam(f"_{column.name}") for column in EFFECTS.c}
        this = and_(EFFECTS.c.sink == bindparam("_sink"), EFFECTS.c.id == bindparam("_id"))
        connection.execute(update(EFFECTS).where(this).values(values), changed)
    for (thing, name), amount in sorted(added.items()):
        _add(connection, {"sink": sink, "object": thing, "name": name}, amount)


def _effects(connection: Connection, sink: str, ids: Sequence[str]) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for some in portions(ids):
        query = select(EFFECTS).where(EFFECTS.c.sink == sink, EFFECTS.c.id.in_(some))
        found |= {row["id"]: dict(row) for row in connection.execute(query).mappings()}
    return found | retention.recall(connection, sink, [one for one in ids if one not in found])


def _folded(row: Row | None, line: Line, sink: str) -> Row:
    """An effect after one more change.

    What was posted stays posted: a restored log may be older than this database, and begin it once more.
    """
    if row is not None and counts(row["state"], row["reference"]) and not counts(line.state, line.reference):
        return row
    if row is None:
        row = dict.fromkeys((column.name for column in EFFECTS.c), None) | {
            "sink": sink, "id": line.id, "type": "", "key": "", "object": "", "attempts": 0,
            "first_ms": line.at_ms, "amounts": "{}",
        }  # fmt: skip
    row = row | {
        "state": "intent" if line.state == "again" else line.state,
        "last_ms": line.at_ms,
        "attempts": max(row["attempts"], line.attempt),
        "code": clean(line.code),
        "reason": clean(line.reason),
    }
    # What a target has accepted and did not do is no document of what a person skips.
    if line.reference is not None or line.state in ("planned", "intent", "again", "skipped"):
        row["reference"] = clean(line.reference)
    if line.key:
        row["request_key"] = clean(line.key)
    if line.about is not None:
        about = line.about
        document = msgspec.json.decode(about.event)
        head = document if isinstance(document, dict) else {}
        data = head.get("data")
        report = data.get("report") if isinstance(data, dict) else about.report
        row |= {
            "object": clean(about.object),
            "amounts": msgspec.json.encode(
                {name: text(value) for name, value in about.amounts.items()}
            ).decode(),
            "sha256": about.sha256,
            "event": bytes(about.event).decode(),
            "request": about.request,
            "reverses": clean(about.reverses),
            "report": clean(report) if isinstance(report, str) else None,
            "type": clean(str(head.get("type", ""))),
            "key": clean(str(head.get("subject", ""))),
        }
    return row


def _added(
    old: Mapping[str, Row], new: Mapping[str, Row], taken_back: Iterable[str]
) -> dict[tuple[str, str], Decimal]:
    """What rows that came to count add to the sums; what counts once does so for ever.

    Args:
        old: the rows before.
        new: and now.
        taken_back: ids of events that were taken back before; each is taken off the sums once, however many
            have asked for it.
    """
    added: dict[tuple[str, str], Decimal] = {}
    gone = set(taken_back)
    for name, row in new.items():
        before = name in old and counts(old[name]["state"], old[name]["reference"])
        amounts = msgspec.json.decode(row["amounts"]) if row["object"] else {}
        if before or not amounts or not counts(row["state"], row["reference"]):
            continue
        if row["reverses"] is not None:
            if row["reverses"] in gone:
                continue
            gone.add(row["reverses"])
        for what, value in amounts.items():
            place = (row["object"], what)
            added[place] = add(added.get(place, Decimal()), Decimal(value))
    return added


def _taken_back(connection: Connection, sink: str, rows: Iterable[Row]) -> set[str]:
    """Events that were taken back before, among those that rows take back."""
    wanted = sorted({row["reverses"] for row in rows if row["reverses"] is not None})
    columns = (EFFECTS.c.reverses, EFFECTS.c.state, EFFECTS.c.reference)
    found: set[str] = set()
    for some in portions(wanted):
        told = and_(EFFECTS.c.object != "", EFFECTS.c.amounts != "{}")
        query = select(*columns).where(EFFECTS.c.sink == sink, EFFECTS.c.reverses.in_(some), told)
        found |= {row.reverses for row in connection.execute(query) if counts(row.state, row.reference)}
    return found


def _add(connection: Connection, place: dict[str, str], amount: Decimal) -> None:
    this = and_(*(AMOUNTS.c[name] == value for name, value in place.items()))
    before = connection.execute(select(AMOUNTS.c.amount).where(this)).scalar_one_or_none()
    connection.execute(delete(AMOUNTS).where(this))
    total = add(Decimal(before or 0), amount)
    connection.execute(insert(AMOUNTS), [{**place, "amount": text(total)}])
