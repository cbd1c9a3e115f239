"""Reading: entities by key, sets with options, what belongs to an entity, counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from mfgroute.testing.simulators.s4.master import Switches
from mfgroute.testing.simulators.s4.messages import refusal
from mfgroute.testing.simulators.s4.model import SERVICES, Entity, metadata
from mfgroute.testing.simulators.s4.protocol import (
    ROOT,
    Answer,
    Call,
    entity_json,
    etag,
    json_answer,
    known_entity,
)
from mfgroute.testing.simulators.s4.query import key_of, ordered, parsed, segments
from mfgroute.testing.simulators.s4.store import Row, Store

__all__ = ["Reads"]

_OPTIONS = (
    "$filter",
    "$select",
    "$expand",
    "$orderby",
    "$top",
    "$skip",
    "$skiptoken",
    "$inlinecount",
    "$format",
)


class Reads:
    """Answers requests that change nothing."""

    def __init__(self, store: Store, switches: Switches) -> None:
        self._store = store
        self._switches = switches

    def answer(self, base: str, call: Call) -> Answer:
        """Answer a GET.

        Args:
            base: address of the system.
            call: the request.

        Raises:
            ODataError: there is nothing, or the request cannot be understood.
        """
        if call.path in ("", "/"):
            return json_answer(200, {"d": {"EntitySets": list(SERVICES[call.service].entities)}})
        if call.path == "$metadata":
            return Answer(
                status=200,
                headers={"Content-Type": "application/xml", "DataServiceVersion": "2.0"},
                body=metadata(call.service),
            )
        for name in call.query:
            if name.startswith("$") and name not in _OPTIONS:
                raise refusal("query", name, "unknown")
        first, *rest = segments(call.path)
        entity = known_entity(call.service, first.name)
        if first.key is None:
            return self._set(base, call, entity, {}, count=[one.name for one in rest] == ["$count"])
        row = self._store.tables.get(entity.table, key_of(entity, first.key))
        if row is None:
            raise refusal("not_found", call.path)
        if not rest:
            return self._one(base, call, entity, row)
        if len(rest) > 2 or rest[0].name not in entity.children:
            raise refusal("resource_unknown", rest[0].name)
        path, shared = entity.children[rest[0].name]
        child = known_entity(call.service, path)
        where = {name: row[name] for name in shared}
        return self._set(base, call, child, where, count=[one.name for one in rest[1:]] == ["$count"])

    def _children(self, child: Entity, row: Row, shared: tuple[str, ...]) -> Iterator[Row]:
        return self._store.tables.rows(child.table, {name: row[name] for name in shared})

    def _one(self, base: str, call: Call, entity: Entity, row: Row) -> Answer:
        version = etag(entity, row)
        headers = {"ETag": version} if version is not None else {}
        return json_answer(200, {"d": self._shown(base, call, entity, row)}, **headers)

    def _set(self, base: str, call: Call, entity: Entity, where: dict[str, Any], *, count: bool) -> Answer:
        query = call.query
        test, equal = parsed(entity, query.get("$filter"))
        rows = self._store.tables.rows(entity.table, {**equal, **where})
        found = ordered(entity, [row for row in rows if test(row)], query.get("$orderby"))
        if count:
            return Answer(status=200, headers={"Content-Type": "text/plain"}, body=str(len(found)).encode())
        start = _number(query, "$skip", 0) + _number(query, "$skiptoken", 0)
        wanted = _number(query, "$top", len(found))
        page = min(wanted, self._switches.page_max or wanted)
        shown = [self._shown(base, call, entity, row) for row in found[start : start + page]]
        document: dict[str, Any] = {"results": shown}
        if query.get("$inlinecount") == "allpages":
            document["__count"] = str(len(found))
        if page < wanted and start + page < len(found):
            options = {name: value for name, value in query.items() if name != "$skip"}
            options["$skiptoken"] = str(start + page)
            if "$top" in options:
                options["$top"] = str(wanted - page)
            kept = urlencode(options, safe="$'", quote_via=quote)
            document["__next"] = f"{base}{ROOT}{call.service}/{call.path}?{kept}"
        return json_answer(200, {"d": document})

    def _shown(self, base: str, call: Call, entity: Entity, row: Row) -> dict[str, Any]:
        select = call.query["$select"].split(",") if "$select" in call.query else None
        for name in select or ():
            if name not in entity.fields and name not in entity.children:
                raise refusal("property", name)
        expand = call.query["$expand"].split(",") if "$expand" in call.query else []
        expanded = {
            path.strip().partition("/")[0]: self._nested(base, call.service, entity, row, path)
            for path in expand
        }
        return entity_json(base, call.service, entity, row, select=select, expanded=expanded)

    def _nested(self, base: str, service: str, entity: Entity, row: Row, path: str) -> list[Any]:
        """What is to be expanded in an entity, such as ``to_MaterialDocumentItem/to_SerialNumbers``."""
        name, _, below = path.strip().partition("/")
        if name not in entity.children:
            raise refusal("query", "$expand", path)
        child_path, shared = entity.children[name]
        child = known_entity(service, child_path)
        return [
            entity_json(
                base,
                service,
                child,
                one,
                expanded={below.partition("/")[0]: self._nested(base, service, child, one, below)}
                if below
                else None,
            )
            for one in self._children(child, row, shared)
        ]


def _number(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isdigit():
        raise refusal("query", name, text)
    return int(text)
