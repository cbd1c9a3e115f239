"""What people ask and decide about effects, whether a node runs or only its data folder was opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from mfgroute.errors import MfgrouteError
from mfgroute.runtime.requests import BadRequest, text

if TYPE_CHECKING:
    from sqlalchemy import Connection

Document: TypeAlias = dict[str, Any]
#: Gets a connection to the database of effects and gives a document.
Question: TypeAlias = "Callable[[Connection], Any]"

#: Causes of parking that a person can end for one event: `behind` ends with the event before it.
_DECIDABLE = frozenset({"in_doubt", "refused", "tries"})
#: Most events that a trace asks the engine about one by one.
_LOOKED_UP_MAX = 50


class NotOpen(MfgrouteError):  # noqa: N818 - as `Closed`
    """An effect is neither in doubt nor parked, so there is nothing to decide."""


class NotParked(NotOpen):
    """The event is not even parked there: perhaps it waits to be sent (`mfgroute.runtime.booking`)."""


def question(request: Document) -> Question:
    """The question of a request to ``effects``.

    Raises:
        BadRequest: it is none.
    """
    from mfgroute.effects import questions  # noqa: PLC0415 - only where there are effects

    asked = _asked(request)
    match asked.get("verb"):
        case "list":
            wanted: Document = {
                "sink": asked.get("sink"),
                "states": asked.get("states") or (),
                "thing": asked.get("object"),
                "since_ms": asked.get("since_ms"),
                "count_max": asked.get("count") or questions.ROWS_MAX,
            }
            return lambda connection: {
                "effects": questions.effects(connection, **wanted),
                "missing": questions.missing(connection),
            }
        case "show":
            event_id = text({**asked, "verb": "effects show"}, "id")
            return lambda connection: {"effects": questions.show(connection, event_id, asked.get("sink"))}
        case verb:
            raise BadRequest(f"effects knows list, show, resolve, reverse, not {verb}")


def nothing(request: Document) -> Document:
    """The answer of a node that has no database of effects, since no sink of it is a poster.

    Raises:
        BadRequest: the request is none.
    """
    question(request)
    return {"effects": [], "missing": {}}


def resolves(request: Document) -> bool:
    """Whether a request to ``effects`` decides about one, which is up to the engine alone."""
    return _asked(request).get("verb") == "resolve"


def resolve(engine: Any, request: Document, **more: Any) -> Document:
    """Say what became of an event that is in doubt or was refused: posted as a document, or not.

    Args:
        engine: of the node.
        request: with a ``request`` that has ``id``, ``sink``, ``why``, and ``posted`` or ``not_posted``.
        more: for the engine.

    Raises:
        BadRequest: the request lacks something.
        NotParked: the event is neither in doubt nor parked there.
        NotOpen: another one comes first.
        MfgrouteError: the engine refuses.
    """
    asked = {**_asked(request), "verb": "effects resolve"}
    event_id, sink, why = text(asked, "id"), text(asked, "sink"), text(asked, "why")
    document = asked.get("posted")
    if bool(document) == bool(asked.get("not_posted")):
        raise BadRequest("`effects resolve` needs either `posted`, a document, or `not_posted`")
    parked = _ask(engine, kind="parked", verb="list", sink=sink)
    one = next((one for one in parked if one.get("id") == event_id), None)
    if one is None:
        raise NotParked(
            f"event {event_id} is neither in doubt nor parked at {sink}{_standing(engine, asked)}"
        )
    if one["cause"] not in _DECIDABLE:
        raise NotOpen(
            f"event {event_id} waits at {sink} behind an earlier event of {one['key']}: decide that one"
        )
    decided = {
        "kind": "parked",
        "number": one["number"],
        "sink": sink,
        "why": why,
        "who": request["by"],
        **more,
    }
    if document:
        _ask(engine, verb="skip", posted_as=document, **decided)
    else:
        _ask(engine, verb="retry", **decided)
    return {
        "id": event_id,
        "sink": sink,
        "key": one["key"],
        "was": one["cause"],
        "posted_as": document or None,
        "sent_again": not document,
    }


def rows(query: str, ids: Sequence[str]) -> Question:
    """The effects that belong to a trace: those of events that it has found, and those that `query` finds."""
    from mfgroute.effects import questions  # noqa: PLC0415 - only where there are effects

    return lambda connection: [*questions.find(connection, query), *questions.of_events(connection, ids)]


def joined(engine: Any, found: Document, effects: Sequence[Document]) -> Document:
    """A trace with the effects of its events, and with the events that only the effects name.

    Args:
        engine: of the node.
        found: what it has found by itself.
        effects: see `rows`.
    """
    events: list[Document] = found["events"]
    known = {event["id"] for event in events}
    others = list(dict.fromkeys(row["id"] for row in effects if row["id"] not in known))
    for event_id in others[:_LOOKED_UP_MAX]:
        events += orjson.loads(engine.find(event_id))["events"]
    return {**found, "events": _joined(events, effects)}


def _joined(events: list[Document], rows: Iterable[Document]) -> list[Document]:
    """Events with their effects; those that the log has forgotten come first."""
    effects: dict[str, dict[str, Document]] = {}
    documents: dict[str, Any] = {}
    for row in rows:
        event = row.pop("event", None)
        effects.setdefault(row["id"], {})[row["sink"]] = row
        documents[row["id"]] = documents.get(row["id"]) or event
    known = {event["id"] for event in events}
    for event in events:
        if "data" not in event and (document := documents.get(event["id"])):
            # The log knows what became of it, and no more what it was.
            some = next(iter(effects[event["id"]].values()))
            event |= {"type": some["type"], "key": some["key"], "source": document.get("source")}
            event |= {"time": document.get("time"), "data": document.get("data")}
            event["admitted"] = event.get("admitted") or document.get("recordedtime")
        there = effects.get(event["id"], {})
        for sink in event["sinks"]:
            if found := there.get(sink["sink"]):
                sink["effect"] = found
        named = {sink["sink"] for sink in event["sinks"]}
        event["sinks"] += [_at(one) for name, one in there.items() if name not in named]
    forgotten = [
        _forgotten(event_id, documents[event_id] or {}, list(of.values()))
        for event_id, of in effects.items()
        if event_id not in known
    ]
    return forgotten + events


def _forgotten(event_id: str, document: Document, effects: list[Document]) -> Document:
    """An event that is in the database alone."""
    return {
        "id": event_id,
        "stream": None,
        "offset": None,
        "admitted": document.get("recordedtime"),
        "type": effects[0]["type"],
        "key": effects[0]["key"],
        "source": document.get("source"),
        "time": document.get("time"),
        "data": document.get("data"),
        "sinks": [_at(one) for one in effects],
    }


def _at(effect: Document) -> Document:
    """A sink of which the database alone knows how an event stands there."""
    return {"sink": effect["sink"], "state": "forgotten", "effect": effect}


def _asked(request: Document) -> Document:
    asked = request.get("request")
    if not isinstance(asked, dict):
        raise BadRequest("`effects` needs a `request` with `verb`")
    return asked


def _ask(engine: Any, **request: Any) -> Any:
    return orjson.loads(engine.dead_letters(orjson.dumps(request)))


def _standing(engine: Any, asked: Document) -> str:
    """Where the event stands at the sink instead, for a message."""
    for event in orjson.loads(engine.find(asked["id"]))["events"]:
        for sink in event["sinks"]:
            if sink["sink"] == asked["sink"]:
                reference = sink.get("reference") or sink.get("posted_as")
                return f": it is {sink['state']} there{f' as {reference}' if reference else ''}"
    return ""
