"""Orders compared with the targets: gathers events, what became of them, and what the targets say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from mfgroute.adapter import Held, Poster, Reader
from mfgroute.config.load import Adapters, Project
from mfgroute.errors import AdapterError, Disconnected, MfgrouteError, UnknownName
from mfgroute.runtime.parts import context_of
from mfgroute.runtime.requests import BadRequest
from mfgroute.runtime.undoing import is_request
from mfgroute.runtime.waiting import waiting

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from mfgroute.effects.comparison import Seen, Standing

Document = dict[str, Any]
#: Awaits the answer of a question to the database of effects.
Asking = Callable[["Callable[[Connection], Any]"], Awaitable[Any]]

#: Most orders in one answer, and in one list of them.
ORDERS_MAX = 20
LISTED_MAX = 10_000
_ORDER = "order/"
_POSTED = frozenset({"delivered", "finished"})


def compared(project: Project, adapters: Adapters) -> list[str]:
    """Sinks that are compared: those whose effects are recorded or that say how one event has one effect."""
    sinks = project.model.sinks.items()
    return [
        name
        for name, sink in sinks
        if sink.section.effect is not None or issubclass(adapters.sink(sink.section.adapter), Poster)
    ]


class Gathering:
    """What this node knows of orders.

    Args:
        engine: of the node.
        sinks: that are compared.
        who: asks.
    """

    def __init__(self, engine: Any, sinks: Iterable[str], who: str) -> None:
        self._engine = engine
        self._sinks = list(sinks)
        self._who = who

    def orders(self, request: Document, recorded: Iterable[str]) -> list[str]:
        """Keys of the orders that a request means: ``order``, a number or a key, or ``since_ms``.

        Args:
            request: what is asked.
            recorded: keys that the database of effects has for it.

        Raises:
            BadRequest: it says neither, or means too many.
        """
        order, since_ms = request.get("order"), request.get("since_ms")
        if isinstance(order, str) and order:
            keys = {order} if order.startswith(_ORDER) else self._called(order, recorded)
        elif isinstance(since_ms, int):
            read = (self._read(sink, from_ms=since_ms) for sink in self._sinks)
            keys = {str(event.get("subject", "")) for events in read for event in events} | set(recorded)
        else:
            raise BadRequest("`reconcile` needs `order` or `since_ms`")
        if len(keys) > LISTED_MAX:
            raise BadRequest(f"{len(keys)} orders changed since, at most {LISTED_MAX} are compared at once")
        return sorted(key for key in keys if key.startswith(_ORDER))

    def _called(self, number: str, recorded: Iterable[str]) -> set[str]:
        """Keys that end with the number of an order."""
        keys = {event.get("key", "") for event in orjson.loads(self._engine.find(number))["events"]}
        return {key for key in keys | set(recorded) if key.rpartition("/")[2] == number}

    def seen(self, order: str, recorded: Iterable[Document]) -> list[Seen]:
        """The events of an order in the order of their admission; first those that the log has forgotten.

        Args:
            order: its key.
            recorded: its effects, from their database.
        """
        from mfgroute.effects.comparison import Seen, Standing  # noqa: PLC0415 - only where it is asked for

        events: dict[str, Document] = {}
        sinks: dict[str, dict[str, Standing]] = {}
        for row in recorded:
            if row["event"] is not None:
                events[row["id"]] = row["event"]
                sinks.setdefault(row["id"], {})[row["sink"]] = _recorded(row)
        traced = {one["id"]: one for one in orjson.loads(self._engine.find(order))["events"]}
        asked_for = _requests_key(order)
        traced |= {one["id"]: one for one in orjson.loads(self._engine.find(asked_for))["events"]}
        for sink in self._sinks:
            unknown = False
            for event in (*self._read(sink, key=order), *self._requests(sink, asked_for)):
                name = event["id"]
                events.setdefault(name, event)
                known = sinks.setdefault(name, {})
                standing = _standing(traced.get(name), sink)
                if standing is not None and not (standing.state == "finished" and sink in known):
                    known[sink] = standing
                unknown = unknown or sink not in known
            for event in waiting(self._engine, sink, order) if unknown else ():
                sinks[event["id"]].setdefault(sink, Standing(state="queued", posted=False))
        place = {name: index for index, name in enumerate(traced)}
        names = sorted(events, key=lambda name: place.get(name, -1))
        wanted = set(self._sinks)
        return [
            Seen(event=events[name], sinks={at: one for at, one in sinks[name].items() if at in wanted})
            for name in names
            if wanted & sinks[name].keys()
        ]

    def _requests(self, sink: str, key: str) -> Iterable[Document]:
        """Reversals at a sink that people asked for."""
        return (one for one in self._read(sink, key=key) if is_request(str(one.get("type", ""))))

    def _read(self, sink: str, **chosen: Any) -> Iterable[Document]:
        """Events that a sink was given or would be given today, from the log."""
        after = None
        while True:
            request = {"kind": "replay", "verb": "read", "sink": sink, "who": self._who, **chosen}
            if after is not None:
                request["after"] = after
            page = orjson.loads(self._engine.dead_letters(orjson.dumps(request)))
            yield from map(orjson.loads, page["events"])
            after = page["after"]
            if after is None:
                return


def _standing(traced: Document | None, sink: str) -> Standing | None:
    """Where an event stands at a sink, as the engine says; `None` if it was never given there."""
    from mfgroute.effects.comparison import Standing  # noqa: PLC0415 - only where it is asked for

    for at in (traced or {"sinks": []})["sinks"]:
        if at["sink"] == sink:
            by_hand = at.get("posted_as")
            said = (
                ""
                if at.get("cause") == "behind"
                else " ".join(filter(None, (at.get("code"), at.get("reason"))))
            )
            return Standing(
                state="waiting behind" if at.get("cause") == "behind" else at["state"],
                posted=at["state"] in _POSTED or bool(by_hand),
                reference=by_hand or at.get("reference"),
                said=said,
            )
    return None


def _recorded(row: Document) -> Standing:
    """Where an event stands at a sink, as its database says."""
    from mfgroute.effects.comparison import Standing  # noqa: PLC0415 - only where it is asked for
    from mfgroute.effects.lines import counts  # noqa: PLC0415

    return Standing(
        state=row["state"],
        posted=counts(row["state"], row["reference"]),
        reference=row["reference"],
        said=" ".join(filter(None, (row["code"], row["reason"]))),
    )


class Targets:
    """Asks targets what they hold, over connections of its own.

    Args:
        project: with the configurations.
        adapters: where adapters come from.
        sinks: those whose targets are asked, if they can be read.
    """

    def __init__(self, project: Project, adapters: Adapters, sinks: Iterable[str]) -> None:
        self._project = project
        self._adapters = adapters
        self._sinks = list(sinks)

    async def held(
        self, orders: Iterable[str]
    ) -> tuple[dict[str, dict[str, Mapping[str, Held]]], dict[str, str]]:
        """What each target that can be read holds of some orders, by sink and order.

        Returns:
            That, and for each sink whose target did not answer, why.
        """
        found: dict[str, dict[str, Mapping[str, Held]]] = {}
        unread: dict[str, str] = {}
        for name in self._sinks:
            sink = self._project.model.sinks[name]
            kind = self._adapters.sink(sink.section.adapter)
            if not (issubclass(kind, Poster) and callable(getattr(kind, "read", None))):
                continue
            reader: Any = kind(sink.config, context_of(name, self._project))
            if not getattr(reader, "readable", True):
                continue  # It can read, and its configuration does not say how.
            timeout_s = sink.section.limits.timeout
            try:
                async with asyncio.timeout(timeout_s):
                    await reader.open()
                found[name] = await _read(reader, orders, timeout_s)
            except TimeoutError:
                unread[name] = f"no answer within {timeout_s:g} s"
            except (Disconnected, AdapterError, OSError) as error:
                unread[name] = str(error) or type(error).__name__
            finally:
                await reader.close()
        return found, unread


async def _read(reader: Reader, orders: Iterable[str], timeout_s: float) -> dict[str, Mapping[str, Held]]:
    found = {}
    for order in orders:
        async with asyncio.timeout(timeout_s):
            found[order] = await reader.read(order)
    return found


def _recorded_keys(asked: Document) -> Callable[[Connection], list[str]]:
    """The question for keys that a request may mean."""
    from mfgroute.effects import questions  # noqa: PLC0415 - only where there are effects

    order, since_ms = asked.get("order"), asked.get("since_ms")
    if isinstance(order, str):
        return lambda connection: [row["key"] for row in questions.find(connection, order)]
    if isinstance(since_ms, int):
        return lambda connection: questions.keys(connection, since_ms=since_ms)
    return lambda _: []


def _recorded_rows(orders: Iterable[str]) -> Callable[[Connection], dict[str, list[Document]]]:
    """The question for the effects of orders."""
    from mfgroute.effects import questions  # noqa: PLC0415 - only where there are effects

    def rows(connection: Connection, order: str) -> list[Document]:
        asked_for = questions.of_key(connection, _requests_key(order))
        return questions.of_key(connection, order) + [one for one in asked_for if is_request(one["type"])]

    return lambda connection: {order: rows(connection, order) for order in orders}


def _requests_key(order: str) -> str:
    """The key of reversals that people asked for, of what was posted for an order."""
    return f"effect/{order.replace('%', '%25').replace('/', '%2F')}"


def _past(orders: Iterable[str]) -> Callable[[Connection], dict[str, int]]:
    """The question for how many effects of orders are known by their documents only."""
    from mfgroute.effects import questions  # noqa: PLC0415 - only where there are effects

    return lambda connection: {order: questions.past(connection, order) for order in orders}


def _compared(
    gathering: Gathering,
    orders: Iterable[str],
    held: Mapping[str, Mapping[str, Mapping[str, Held]]],
    recorded: Mapping[str, list[Document]],
) -> list[Document]:
    """Compare orders.

    Raises:
        MfgrouteError: an event cannot be counted.
    """
    from mfgroute.effects.comparison import compare  # noqa: PLC0415 - only where it is asked for

    done = []
    for order in orders:
        there = {sink: of[order] for sink, of in held.items() if order in of}
        try:
            done.append(compare(order, gathering.seen(order, recorded.get(order, [])), there))
        except ValueError as error:
            raise MfgrouteError(f"an event of {order} cannot be counted: {error}") from error
    return done


async def reconcile(
    request: Document, *, engine: Any, project: Project, adapters: Adapters, ask: Asking | None
) -> Any:
    """Answer a request to ``reconcile``: its ``request`` has ``verb`` ``orders`` or ``compare``.

    Args:
        request: of the control socket.
        engine: of the node.
        project: that runs.
        adapters: where adapters come from.
        ask: asks the database of effects; `None` if there is none.

    Raises:
        BadRequest: the request is none.
        UnknownName: there is no such sink.
        DatabaseDown: the database of effects cannot be used now.
    """
    asked = request.get("request")
    if not isinstance(asked, dict):
        raise BadRequest("`reconcile` needs a `request` with `verb`")
    for name in asked.get("sinks") or []:
        if name not in project.model.sinks:
            raise UnknownName(f"no sink is called `{name}`")
    sinks = asked.get("sinks") or compared(project, adapters)
    gathering = Gathering(engine, sinks, request["by"])
    if asked.get("verb") == "orders":
        keys = await ask(_recorded_keys(asked)) if ask else []
        return {"orders": await asyncio.to_thread(gathering.orders, asked, keys), "sinks": sinks}
    orders = asked.get("orders")
    if asked.get("verb") != "compare" or not isinstance(orders, list) or len(orders) > ORDERS_MAX:
        raise BadRequest(f"reconcile knows orders, and compare with at most {ORDERS_MAX} `orders`")
    # What is posted while targets are read would be a difference, so that is looked at afterwards.
    held, unread = await Targets(project, adapters, sinks).held(orders)
    recorded = await ask(_recorded_rows(orders)) if ask else {}
    documents = await asyncio.to_thread(_compared, gathering, orders, held, recorded)
    past = await ask(_past(orders)) if ask else {}
    for document in documents:
        if count := past.get(document["order"]):
            document["notes"].append(
                f"{count} effects are too old to be compared (`effects.keep`): only their documents are known"
            )
    return {"orders": documents, "unread": unread}
