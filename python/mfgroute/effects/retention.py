"""What the database lets go of effects that ended long ago, and the little that it keeps of them for ever.

An event that a source sends again after years has the same id, and the log and its window of duplicates may
have forgotten it. So of an effect that is there, id and document stay: with them it is never posted again. An
effect that ended without being there goes whole, since nothing would keep its event from being posted. Sums
stay, since what a target is sent may be a difference to them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, delete, func, insert, not_, or_, select, update

from mfgroute.effects.lines import counts
from mfgroute.effects.tables import ABOUT, CHANGES, EFFECTS, PAST, portions

#: Most effects that one transaction lets go of.
ROWS_MAX = 500
#: States after which nothing comes of an effect by itself or by a person. One that was refused, is in doubt
#: or was given up is not among them: its event is parked, and may be sent again.
_FINISHED = ("posted", "skipped", "superseded", "dropped")
#: Keys whose effects are compared with each other, and therefore go together.
_TOGETHER = "order/"
#: How far the horizon goes on at once, in milliseconds: a clock that jumps ahead by a year lets go of one day
#: each time.
_STEP_MS = 86_400_000
_HORIZON = "forgotten_ms"


class Forgotten(msgspec.Struct, frozen=True):
    """What a transaction has let go of.

    Attributes:
        count: effects.
        more: whether there may be more to let go of at once.
    """

    count: int
    more: bool


def forget(connection: Connection, until_ms: int, *, rows_max: int = ROWS_MAX) -> Forgotten:
    """Let go of effects that ended before a time; those of an order together, when the last has ended.

    Args:
        connection: in a transaction.
        until_ms: milliseconds since 1970. It is approached in steps of a day, one with each call that
            finds no more.
        rows_max: most effects, not counting others of their orders.
    """
    before_ms = _horizon(connection, until_ms)
    if before_ms is None:
        return Forgotten(0, more=False)
    rows = [dict(row) for row in connection.execute(_ended(before_ms).limit(rows_max)).mappings()]
    more = len(rows) == rows_max
    rows = _whole(connection, rows)
    _keep(connection, [row for row in rows if counts(row["state"], row["reference"])])
    for sink in sorted({row["sink"] for row in rows}):
        ids = [row["id"] for row in rows if row["sink"] == sink]
        for some in portions(ids):
            for table in (CHANGES, EFFECTS):
                connection.execute(delete(table).where(table.c.sink == sink, table.c.id.in_(some)))
    if not more:
        _advance(connection, before_ms, until_ms)
    return Forgotten(len(rows), more=more)


def recall(connection: Connection, sink: str, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Make rows again of effects that were let go of and of which something new is told.

    Without it they would count a second time. What they added is in the sums, and is not known any more.
    """
    wanted = list(ids)
    found: dict[str, dict[str, Any]] = {}
    for some in portions(wanted):
        these = and_(PAST.c.sink == sink, PAST.c.id.in_(some))
        for row in connection.execute(select(PAST).where(these)).mappings():
            blank: dict[str, Any] = dict.fromkeys(column.name for column in EFFECTS.c)
            blank |= {"type": "", "object": "", "attempts": 0, "first_ms": row["last_ms"], "amounts": "{}"}
            found[row["id"]] = blank | dict(row)
        connection.execute(delete(PAST).where(these))
    if found:
        connection.execute(insert(EFFECTS), list(found.values()))
    return found


def _horizon(connection: Connection, until_ms: int) -> int | None:
    """Before when effects go now; `None` if there is nothing. A clock that is set back lets go of nothing."""
    stored = connection.execute(select(ABOUT.c.value).where(ABOUT.c.name == _HORIZON)).scalar_one_or_none()
    if stored is not None:
        return int(stored) if int(stored) <= until_ms else None
    oldest: int | None = connection.execute(select(func.min(EFFECTS.c.last_ms))).scalar_one_or_none()
    if oldest is None or oldest >= until_ms:
        return None
    before_ms = min(until_ms, oldest + _STEP_MS)
    connection.execute(insert(ABOUT), [{"name": _HORIZON, "value": str(before_ms)}])
    return before_ms


def _advance(connection: Connection, before_ms: int, until_ms: int) -> None:
    value = str(min(until_ms, before_ms + _STEP_MS))
    connection.execute(update(ABOUT).where(ABOUT.c.name == _HORIZON).values(value=value))


def _ended(before_ms: int) -> Any:
    """The query for effects that may go, the oldest first."""
    other = EFFECTS.alias()
    alive = or_(other.c.last_ms >= before_ms, not_(other.c.state.in_(_FINISHED)))
    together = EFFECTS.c.key.startswith(_TOGETHER, autoescape=True)
    held = and_(together, select(other.c.id).where(other.c.key == EFFECTS.c.key, alive).exists())
    # A reversal says of its original, as long as that is there, that it was taken back.
    original = and_(other.c.sink == EFFECTS.c.sink, other.c.id == EFFECTS.c.reverses)
    told = select(other.c.id).where(original).exists()
    columns = (EFFECTS.c[column.name] for column in PAST.c)
    return (
        select(*columns)
        .where(EFFECTS.c.last_ms < before_ms, EFFECTS.c.state.in_(_FINISHED), not_(held), not_(told))
        .order_by(EFFECTS.c.last_ms)
    )


def _whole(connection: Connection, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows, and all others of their orders: half an order would say that a report was never posted."""
    keys = sorted({row["key"] for row in rows if row["key"].startswith(_TOGETHER)})
    found = {(row["sink"], row["id"]): row for row in rows}
    columns = [EFFECTS.c[column.name] for column in PAST.c]
    for some in portions(keys):
        these = select(*columns).where(EFFECTS.c.key.in_(some))
        found |= {(row["sink"], row["id"]): dict(row) for row in connection.execute(these).mappings()}
    return list(found.values())


def _keep(connection: Connection, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(PAST), rows)
