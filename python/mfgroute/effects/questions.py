"""What is asked of the effects database."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    and_,
    bindparam,
    func,
    not_,
    or_,
    select,
)

from mfgroute.effects.lines import TAKEN_BACK, Original, Sent, clean, counts, ended_without
from mfgroute.effects.tables import AMOUNTS, BOOKED, CHANGES, EFFECTS, PAST, TAKEN, portions

#: Most effects in one answer.
ROWS_MAX = 10_000
_OF_A_CHANGE = ("number", "state", "attempt", "request_key", "reference", "code", "reason")
_WHOLE = tuple(column for column in EFFECTS.c if column.name not in ("request", "report"))
#: Asked before every request: made once, so that no time goes into making them.
_STANDING = select(EFFECTS.c.id, EFFECTS.c.state, EFFECTS.c.reference, EFFECTS.c.last_ms).where(
    EFFECTS.c.sink == bindparam("sink"), EFFECTS.c.id.in_(bindparam("ids", expanding=True))
)
_GONE = select(PAST.c.id, PAST.c.reference, PAST.c.last_ms).where(
    PAST.c.sink == bindparam("sink"), PAST.c.id.in_(bindparam("ids", expanding=True))
)
#: States of an effect that may come to be there, or be there, without anybody knowing it.
_UNCERTAIN = ("intent", "accepted", "in_doubt", "gave_up")
_SHOWN = tuple(column for column in _WHOLE if column.name != "event")
#: What was posted without a request and without a word: a reversal that a person asked of another sink.
#: Before such rows were told apart, they named the event that is reversed there.
_ELSEWHERE = and_(EFFECTS.c.state == "posted", EFFECTS.c.request_key.is_(None), EFFECTS.c.reference.is_(None))


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
    for some in portions(ids):
        these = {"sink": sink, "ids": some}
        for row in connection.execute(_STANDING, these):
            if recent and recent[0] <= row.last_ms <= recent[1]:
                continue
            if counts(row.state, row.reference):
                found[row.id] = row.reference
        for old in connection.execute(_GONE, these):
            if not (recent and recent[0] <= old.last_ms <= recent[1]):
                found[old.id] = old.reference
    return found


def booked_before(connection: Connection, sink: str, life: str | None = None) -> dict[str, str]:
    """Documents by which people have booked what waited at a sink, by event.

    Args:
        connection: to the database.
        sink: its name.
        life: only what was said in other lives of the data folder than this.
    """
    query = select(BOOKED.c.id, BOOKED.c.reference).where(BOOKED.c.sink == sink)
    if life is not None:
        query = query.where(BOOKED.c.life != life)
    return {row.id: row.reference for row in connection.execute(query)}


def past(connection: Connection, key: str) -> int:
    """How many effects of the events of a key are there whose details were let go of."""
    return connection.execute(select(func.count()).select_from(PAST).where(PAST.c.key == key)).scalar_one()


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
    return _with_reversals(connection, [_shown(row) for row in rows])


def show(connection: Connection, event_id: str, sink: str | None = None) -> list[dict[str, Any]]:
    """The effects of an event, each with the event and its history."""
    query = select(*_WHOLE).where(EFFECTS.c.id == event_id).order_by(EFFECTS.c.sink)
    if sink is not None:
        query = query.where(EFFECTS.c.sink == sink)
    found = _with_reversals(connection, [_shown(row) for row in connection.execute(query).mappings()])
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
        one["booked"] = _booking(connection, one)
    return found


def _booking(connection: Connection, effect: dict[str, Any]) -> dict[str, Any] | None:
    """Who has booked an effect by hand while its event waited, and why; `None` if nobody has."""
    this = and_(BOOKED.c.sink == effect["sink"], BOOKED.c.id == effect["id"])
    row = connection.execute(select(BOOKED).where(this)).mappings().first()
    if row is None or row["reference"] != effect["reference"]:
        return None
    return {"who": row["who"], "why": row["why"], "at": when(row["at_ms"])}


def find(connection: Connection, query: str, *, count_max: int = 200) -> list[dict[str, Any]]:
    """Effects that a person may mean: by id, key, object, reference, request, or a value in the event.

    The oldest first, with their events.
    """
    exact = or_(
        *(EFFECTS.c[name] == query for name in ("id", "key", "object", "reference", "request_key")),
    )
    order = (EFFECTS.c.first_ms, EFFECTS.c.sink, EFFECTS.c.id)
    rows = list(connection.execute(select(*_WHOLE).where(exact).order_by(*order).limit(count_max)).mappings())
    if not rows and query:
        # A reference such as `4900012345/2026` is found by its parts, an event by a value that stands alone.
        quoted = msgspec.json.encode(query).decode()
        inside = or_(
            EFFECTS.c.reference.contains(query, autoescape=True),
            EFFECTS.c.event.contains(quoted, autoescape=True),
        )
        part = re.compile(rf"(?<!\w){re.escape(query)}(?!\w)")
        near = select(*_WHOLE).where(inside).order_by(*order).limit(count_max)
        rows = [
            row
            for row in connection.execute(near).mappings()
            if part.search(row["reference"] or "") or quoted in (row["event"] or "")
        ]
    found = _with_reversals(connection, [_shown(row) for row in rows])
    wanted = [PAST.c.key == query]
    if not rows and query:
        parts = PAST.c.reference.startswith(f"{query}/", autoescape=True)
        wanted += [PAST.c.id == query, PAST.c.reference == query, parts]
    return _past(connection, wanted, count_max) + found


def _past(
    connection: Connection, wanted: Sequence[ColumnElement[bool]], count_max: int
) -> list[dict[str, Any]]:
    """Effects whose details were let go of; that they are there is known for ever."""
    rows = connection.execute(select(PAST).where(or_(*wanted)).order_by(PAST.c.last_ms).limit(count_max))
    empty = dict.fromkeys(column.name for column in _WHOLE if column.name not in ("first_ms", "last_ms"))
    return [
        empty
        | {name: row[name] for name in ("sink", "id", "key", "state", "reference")}
        | {"type": "", "object": "", "attempts": 0, "amounts": {}, "reversed_by": None}
        | {"first": when(row["last_ms"]), "last": when(row["last_ms"])}
        for row in rows.mappings()
    ]


def of_events(connection: Connection, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The effects of some events, without the events."""
    found = []
    for some in portions(ids):
        query = select(*_SHOWN).where(EFFECTS.c.id.in_(some))
        found += [_shown(row) for row in connection.execute(query).mappings()]
    return _with_reversals(connection, found)


def of_key(connection: Connection, key: str) -> list[dict[str, Any]]:
    """All effects of the events of a key, with the events, the oldest first."""
    query = select(*_WHOLE).where(EFFECTS.c.key == key).order_by(EFFECTS.c.first_ms, EFFECTS.c.id)
    return [_shown(row) for row in connection.execute(query).mappings()]


def sent(connection: Connection, sink: str, event_id: str) -> Sent | None:
    """What a sink was brought to do by an event, and with which request; `None` if nothing is known."""
    query = select(EFFECTS).where(EFFECTS.c.sink == sink, EFFECTS.c.id == event_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    amounts = {name: Decimal(value) for name, value in msgspec.json.decode(row["amounts"]).items()}
    names = ("state", "type", "key", "object", "reference", "request_key", "request")
    return Sent(**{name: row[name] for name in names}, amounts=amounts)


def originals(connection: Connection, sink: str, key: str, report: str) -> list[Original]:
    """The effects at a sink of the events of a key that have reported something, the oldest first.

    Of an event that another took the place of, the other is there alone.
    """
    quoted = msgspec.json.encode(report).decode()
    # Rows that an earlier version wrote have it in their events only.
    said = and_(EFFECTS.c.report.is_(None), EFFECTS.c.event.contains(quoted, autoescape=True))
    names = ("id", "state", "reference", "attempts", "code", "report", "event")
    query = (
        select(*(EFFECTS.c[name] for name in names))
        .where(EFFECTS.c.sink == sink, EFFECTS.c.key == key, EFFECTS.c.state != "superseded")
        .where(or_(EFFECTS.c.report == clean(report), said))
        .order_by(EFFECTS.c.first_ms, EFFECTS.c.id)
    )
    found = []
    for row in connection.execute(query):
        data = {} if row.report is not None else msgspec.json.decode(row.event).get("data")
        if row.report is not None or (isinstance(data, dict) and data.get("report") == report):
            refused = _was_refused(connection, sink, row.id)
            found.append(
                Original(
                    id=row.id,
                    state=row.state,
                    reference=row.reference,
                    tries=row.attempts,
                    refused=refused,
                    taken_back=row.code == TAKEN_BACK,
                )
            )
    return found


def under_way(connection: Connection, sink: str, thing: str, event_id: str, life: str) -> str | None:
    """Another event whose request for an object was written down, and about which nothing is certain.

    What another life of the data folder has left unsaid is not waited for: perhaps nobody says it any more.
    """
    query = (
        select(EFFECTS.c.id)
        .where(EFFECTS.c.sink == sink, EFFECTS.c.object == thing, EFFECTS.c.id != event_id)
        .where(EFFECTS.c.state.in_(_UNCERTAIN))
        .order_by(EFFECTS.c.first_ms)
    )
    for other in connection.execute(query).scalars():
        if connection.execute(_newest_change(sink, other)).one().life == life:
            return str(other)
    return None


def is_denied(connection: Connection, sink: str, event_id: str, life: str) -> bool:
    """Whether an event that comes again was in doubt: a person says that it was not posted.

    What is in doubt is parked, and nobody else lets it go. A change of another life of the data folder says
    nothing: what is in doubt there may not have been decided here.
    """
    newest = connection.execute(_newest_change(sink, event_id)).one_or_none()
    return newest is not None and (newest.state, newest.life) == ("in_doubt", life)


def taken_back(connection: Connection, sink: str) -> list[tuple[Original, str]]:
    """Events that a sink was refused, each with one (its id) that takes it back and waits for it."""
    original, reversal = EFFECTS.alias(), EFFECTS.alias()
    both = and_(original.c.sink == reversal.c.sink, original.c.id == reversal.c.reverses)
    query = (
        select(original.c.id, original.c.attempts, reversal.c.id.label("by"))
        .join(reversal, both)
        .where(reversal.c.sink == sink, reversal.c.state == "planned", original.c.state == "refused")
    )
    return [
        (Original(id=row.id, state="refused", reference=None, tries=row.attempts, refused=True), row.by)
        for row in connection.execute(query)
    ]


def _was_refused(connection: Connection, sink: str, event_id: str) -> bool:
    """Whether the last that was heard of a target about an event was that it refuses it."""
    heard = _newest_change(sink, event_id).where(CHANGES.c.state != "skipped")
    newest = connection.execute(heard).one_or_none()
    return newest is not None and newest.state == "refused"


def _newest_change(sink: str, event_id: str) -> Select[Any]:
    this = and_(CHANGES.c.sink == sink, CHANGES.c.id == event_id)
    return select(CHANGES.c.state, CHANGES.c.life).where(this).order_by(CHANGES.c.row.desc()).limit(1)


def reversals(connection: Connection, sink: str, event_id: str) -> list[dict[str, Any]]:
    """Effects at a sink that take back the effect of an event, or were to, without their events."""
    query = select(*_SHOWN).where(EFFECTS.c.sink == sink, EFFECTS.c.reverses == event_id, not_(_ELSEWHERE))
    return [_shown(row) for row in connection.execute(query.order_by(EFFECTS.c.first_ms)).mappings()]


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


def _with_reversals(connection: Connection, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that say by what they were reversed, if they were: the newest reversal that is not given up."""
    ids = [row["id"] for row in rows]
    names = ("sink", "reverses", "id", "state", "reference")
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for some in portions(ids):
        query = (
            select(*(EFFECTS.c[name] for name in names))
            .where(EFFECTS.c.reverses.in_(some), not_(_ELSEWHERE))
            .order_by(EFFECTS.c.first_ms)
        )
        for row in connection.execute(query).mappings():
            if not ended_without(row["state"], row["reference"]):
                one = {name: row[name] for name in ("id", "state", "reference")}
                found[row["sink"], row["reverses"]] = one
    return [{**row, "reversed_by": found.get((row["sink"], row["id"]))} for row in rows]


def _shown(row: RowMapping) -> dict[str, Any]:
    # A name of SQLAlchemy is a text of its own kind, which some encoders do not take.
    shown: dict[str, Any] = {str(name): value for name, value in row.items()}
    for name in ("first", "last"):
        shown[name] = when(shown.pop(f"{name}_ms"))
    shown["amounts"] = msgspec.json.decode(row["amounts"])
    if "event" in shown:
        shown["event"] = None if row["event"] is None else msgspec.json.decode(row["event"])
    return shown
