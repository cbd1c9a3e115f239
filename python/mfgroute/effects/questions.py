"""What is asked of the effects database."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, or_, select

from mfgroute.effects.lines import counts
from mfgroute.effects.tables import AMOUNTS, CHANGES, EFFECTS, TAKEN

#: Most effects in one answer.
ROWS_MAX = 10_000
_IN_MAX = 500
_OF_A_CHANGE = ("number", "state", "attempt", "request_key", "reference", "code", "reason")
_SHOWN = tuple(column for column in EFFECTS.c if column.name != "event")


def posted(connection: Connection, sink: str, thing: str) -> dict[str, Decimal]:
    """Sums of what a sink has posted to an object, by name."""
    query = select(AMOUNTS.c.name, AMOUNTS.c.amount).where(AMOUNTS.c.sink == sink, AMOUNTS.c.object == thing)
    return {row.name: Decimal(row.amount) for row in connection.execute(query)}


def was_posted(
    connection: Connection, sink: str, ids: Sequence[str], recent: tuple[int, int] | None = None
) -> dict[str, str | None]:
    """The events among `ids` that were posted or booked by hand at a sink, with their references.

    Those whose effect ended in `recent`, in milliseconds since 1970, do not count.
    """
    found: dict[str, str | None] = {}
    columns = (EFFECTS.c.id, EFFECTS.c.state, EFFECTS.c.reference, EFFECTS.c.last_ms)
    for first in range(0, len(ids), _IN_MAX):
        some = ids[first : first + _IN_MAX]
        query = select(*columns).where(EFFECTS.c.sink == sink, EFFECTS.c.id.in_(some))
        for row in connection.execute(query):
            if recent and recent[0] <= row.last_ms <= recent[1]:
                continue
            if counts(row.state, row.reference):
                found[row.id] = row.reference
    return found


def effects(
    connection: Connection,
    *,
    sink: str | None = None,
    states: Sequence[str] = (),
    thing: str | None = None,
    since_ms: int | None = None,
    count_max: int = ROWS_MAX,
) -> list[dict[str, Any]]:
    """Effects without their events, the one that changed last first.

    Args:
        connection: to the database.
        sink: only those of this sink.
        states: only those in one of these states.
        thing: only those of this object, or of events with this key.
        since_ms: only those that changed since, in milliseconds since 1970.
        count_max: most that are wanted.
    """
    query = select(*_SHOWN).order_by(EFFECTS.c.last_ms.desc(), EFFECTS.c.sink, EFFECTS.c.id)
    wanted: list[ColumnElement[bool]] = []
    if sink is not None:
        wanted.append(EFFECTS.c.sink == sink)
    if states:
        wanted.append(EFFECTS.c.state.in_(states))
    if thing is not None:
        wanted.append(or_(EFFECTS.c.object == thing, EFFECTS.c.key == thing))
    if since_ms is not None:
        wanted.append(EFFECTS.c.last_ms >= since_ms)
    rows = connection.execute(query.where(*wanted).limit(min(count_max, ROWS_MAX))).mappings()
    return [_shown(row) for row in rows]


def show(connection: Connection, event_id: str, sink: str | None = None) -> list[dict[str, Any]]:
    """The effects of an event, each with the event and its history."""
    query = select(EFFECTS).where(EFFECTS.c.id == event_id).order_by(EFFECTS.c.sink)
    if sink is not None:
        query = query.where(EFFECTS.c.sink == sink)
    found = [_shown(row) for row in connection.execute(query).mappings()]
    for one in found:
        changes = (
            select(CHANGES)
            .where(CHANGES.c.sink == one["sink"], CHANGES.c.id == event_id)
            .order_by(CHANGES.c.row)
        )
        one["history"] = [
            {"at": when(row["at_ms"]), **{name: row[name] for name in _OF_A_CHANGE}}
            for row in connection.execute(changes).mappings()
        ]
    return found


def find(connection: Connection, query: str, *, count_max: int = 200) -> list[dict[str, Any]]:
    """Effects that a person may mean: by id, key, object, reference, request, or a value in the event.

    The oldest first, with their events.
    """
    exact = or_(
        *(EFFECTS.c[name] == query for name in ("id", "key", "object", "reference", "request_key")),
    )
    order = (EFFECTS.c.first_ms, EFFECTS.c.sink, EFFECTS.c.id)
    rows = list(connection.execute(select(EFFECTS).where(exact).order_by(*order).limit(count_max)).mappings())
    if not rows and query:
        # A reference such as `4900012345/2026` is found by its parts, an event by a value that stands alone.
        quoted = msgspec.json.encode(query).decode()
        inside = or_(
            EFFECTS.c.reference.contains(query, autoescape=True),
            EFFECTS.c.event.contains(quoted, autoescape=True),
        )
        part = re.compile(rf"(?<!\w){re.escape(query)}(?!\w)")
        near = select(EFFECTS).where(inside).order_by(*order).limit(count_max)
        rows = [
            row
            for row in connection.execute(near).mappings()
            if part.search(row["reference"] or "") or quoted in (row["event"] or "")
        ]
    return [_shown(row) for row in rows]


def of_events(connection: Connection, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The effects of some events, without the events."""
    found = []
    for first in range(0, len(ids), _IN_MAX):
        query = select(*_SHOWN).where(EFFECTS.c.id.in_(ids[first : first + _IN_MAX]))
        found += [_shown(row) for row in connection.execute(query).mappings()]
    return found


def of_key(connection: Connection, key: str) -> list[dict[str, Any]]:
    """All effects of the events of a key, with the events, the oldest first."""
    query = select(EFFECTS).where(EFFECTS.c.key == key).order_by(EFFECTS.c.first_ms, EFFECTS.c.id)
    return [_shown(row) for row in connection.execute(query).mappings()]


def keys(connection: Connection, *, since_ms: int) -> list[str]:
    """Keys of events whose effects changed since, in milliseconds since 1970."""
    query = select(EFFECTS.c.key).where(EFFECTS.c.last_ms >= since_ms, EFFECTS.c.key != "").distinct()
    return sorted(connection.execute(query).scalars())


def missing(connection: Connection) -> dict[str, int]:
    """For each sink, how many changes never came here; only those with some."""
    query = select(TAKEN.c.sink, TAKEN.c.missing).where(TAKEN.c.missing > 0)
    return {row.sink: row.missing for row in connection.execute(query)}


def when(at_ms: int) -> str:
    """Milliseconds since 1970 as RFC 3339 in UTC."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown(row: RowMapping) -> dict[str, Any]:
    # A name of SQLAlchemy is a text of its own kind, which some encoders do not take.
    shown: dict[str, Any] = {str(name): value for name, value in row.items()}
    for name in ("first", "last"):
        shown[name] = when(shown.pop(f"{name}_ms"))
    shown["amounts"] = msgspec.json.decode(row["amounts"])
    if "event" in shown:
        shown["event"] = None if row["event"] is None else msgspec.json.decode(row["event"])
    return shown
