"""The table of changes, read in order. Nothing is written: that is the follower's part."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, RowMapping, and_, create_engine, func, or_, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from mfgroute.effects.questions import when
from mfgroute.effects.server import postgresql
from mfgroute.effects.tables import ABOUT, CHANGES, EFFECTS, VERSION
from mfgroute.errors import DatabaseDown, SchemaNewer

__all__ = ["Changes", "Found"]

_BUSY_S, _CONNECT_S, _STATEMENT_S = 5, 5, 30
#: How often it is looked whether a transaction of PostgreSQL has ended, and how long.
_LOOK_S, _LOOKS_MAX = 0.02, 250
#: Confirmations of confirmations would never end. Whatever the namespace is, and the version.
_OWN = re.compile(r"(^|\.)integration\.effect\.(posted|refused)\.v[0-9]+$")
#: Who may be inserting rows now. A table is locked before the number of its next row is taken.
_WRITERS = text(
    "SELECT DISTINCT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND granted "
    "AND relation = to_regclass('changes') AND mode = 'RowExclusiveLock' AND pid <> pg_backend_pid()"
)


class Position(msgspec.Struct, frozen=True):
    """The last row that was read, with what tells it from the same row of another database."""

    row: int
    sink: str
    life: str
    number: int


class Found(msgspec.Struct, frozen=True):
    """What was read.

    Attributes:
        messages: one for each change that is to be confirmed, oldest first.
        position: of the last of them.
        own: how many changes were left out, since they are of confirmations.
        more: whether there may be more behind them.
    """

    messages: Sequence[bytes] = ()
    position: bytes | None = None
    own: int = 0
    more: bool = False


class Changes:
    """Reads the changes of effects that have ended. One thread at a time may use it.

    Args:
        file: of SQLite.
        url: of a PostgreSQL database instead.
        sinks: whose changes are read; all if it is empty.

    Raises:
        DatabaseUnfit: the URL cannot be used.
    """

    def __init__(self, file: Path, *, url: str | None = None, sinks: Sequence[str] = ()) -> None:
        self._file = None if url else file
        self._engine = _postgresql(url) if url else _sqlite(file)
        self._after = 0
        self._sinks = sinks

    def begin(self, resume: bytes | None) -> bool:
        """Go on behind a position, or with the first row.

        Returns:
            Whether the database knows the position.

        Raises:
            DatabaseDown: it is not there yet, or cannot be used now.
            SchemaNewer: a later version wrote it.
        """
        if self._file is not None and not self._file.exists():
            raise DatabaseDown(
                f"there is no effects database `{self._file}`: no sink has posted anything yet"
            )
        with self._reading() as connection:
            self._check(connection)
            self._after = 0
            if resume is None:
                return True
            try:
                position = msgspec.json.decode(resume, type=Position)
            except msgspec.DecodeError:
                return False
            this = (CHANGES.c.sink, CHANGES.c.life, CHANGES.c.number)
            row = connection.execute(select(*this).where(CHANGES.c.row == position.row)).one_or_none()
            if row is None or tuple(row) != (position.sink, position.life, position.number):
                return False
            self._after = position.row
            return True

    def next(self, count_max: int) -> Found:
        """Read at most `count_max` changes.

        Raises:
            DatabaseDown: the database cannot be used now.
        """
        with self._reading() as connection:
            upto = self._whole(connection)
            if upto <= self._after:
                return Found()
            rows = list(connection.execute(self._query(upto, count_max)).mappings())
        more = len(rows) == count_max
        self._after = rows[-1]["row"] if more else upto
        wanted = [row for row in rows if not _OWN.search(row["type"] or "")]
        if not wanted:
            return Found(own=len(rows), more=more)
        last = wanted[-1]
        position = Position(last["row"], last["sink"], last["life"], last["number"])
        return Found(
            messages=[_message(row) for row in wanted],
            position=msgspec.json.encode(position),
            own=len(rows) - len(wanted),
            more=more,
        )

    def close(self) -> None:
        """Let go of its connection."""
        self._engine.dispose()

    def _query(self, upto: int, count_max: int) -> Any:
        """Changes after which an effect is there, or was refused."""
        effect = and_(EFFECTS.c.sink == CHANGES.c.sink, EFFECTS.c.id == CHANGES.c.id)
        ended = or_(
            CHANGES.c.state.in_(("posted", "refused")),
            and_(CHANGES.c.state == "skipped", CHANGES.c.reference.is_not(None)),
        )
        query = (
            select(CHANGES, EFFECTS.c.type, EFFECTS.c.key, EFFECTS.c.object)
            .join(EFFECTS, effect, isouter=True)
            .where(CHANGES.c.row > self._after, CHANGES.c.row <= upto, ended)
            .order_by(CHANGES.c.row)
            .limit(count_max)
        )
        return query.where(CHANGES.c.sink.in_(self._sinks)) if self._sinks else query

    def _whole(self, connection: Connection) -> int:
        """The newest row before which none can appear any more; 0 if that is not known now.

        PostgreSQL numbers rows when they are inserted. A transaction of a node that was killed may end after
        those of its next life, with lower numbers; so all that were inserting at this moment have to end.
        """
        newest = connection.execute(select(func.max(CHANGES.c.row))).scalar_one() or 0
        if self._engine.dialect.name == "sqlite" or newest <= self._after:
            return newest
        writers = set(connection.execute(_WRITERS).scalars())
        for _ in range(_LOOKS_MAX):
            if not writers:
                return newest
            time.sleep(_LOOK_S)
            writers &= set(connection.execute(_WRITERS).scalars())
        return 0

    def _check(self, connection: Connection) -> None:
        """Refuse tables that are not of this version."""
        version = connection.execute(
            select(ABOUT.c.value).where(ABOUT.c.name == "version")
        ).scalar_one_or_none()
        if version is None or int(version) < VERSION:
            raise DatabaseDown("the effects database is not of this version yet: its node brings it there")
        if int(version) > VERSION:
            raise SchemaNewer(
                f"the effects database has tables of version {version}, expected at most {VERSION}: "
                "a later version of mfgroute wrote it"
            )

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        where = self._file or self._engine.url.render_as_string(hide_password=True)
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            why = " ".join(str(getattr(error, "orig", None) or error).split())
            raise DatabaseDown(f"the effects database `{where}` cannot be read: {why}") from error


def _message(row: RowMapping) -> bytes:
    """One change as a message; what is not known is left out."""
    said = {
        "sink": row["sink"],
        "event": row["id"],
        "state": row["state"],
        "type": row["type"],
        "key": row["key"],
        "object": row["object"],
        "request": row["request_key"],
        "reference": row["reference"],
        "code": row["code"],
        "reason": row["reason"],
        "attempt": row["attempt"],
        "at": when(row["at_ms"]),
    }
    return msgspec.json.encode({name: value for name, value in said.items() if value not in (None, "")})


def _sqlite(file: Path) -> Engine:
    """Never made by a reader, and never written."""
    url = URL.create("sqlite", database=f"file:{file.resolve()}", query={"mode": "ro", "uri": "true"})
    return create_engine(url, connect_args={"timeout": _BUSY_S}, isolation_level="AUTOCOMMIT")


def _postgresql(url: str) -> Engine:
    options = f"-c default_transaction_read_only=on -c statement_timeout={_STATEMENT_S * 1000}"
    return postgresql(
        url,
        connect_args={"connect_timeout": _CONNECT_S, "options": options},
        # Each statement sees what was committed before it, which `_whole` relies on.
        isolation_level="AUTOCOMMIT",
    )
