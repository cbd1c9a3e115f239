"""What hangs on a contract: who makes its events and who takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from mfgroute.config.documents import Document, Documents

__all__ = ["Links", "Producer", "Route", "converted", "delivered", "emitted", "links", "matches"]

_MAX_DEPTH = 64


class Producer(msgspec.Struct, frozen=True):
    """A source that makes events of a contract.

    Attributes:
        source: its name.
        mapping: the mapping that makes them; `None` for a source of canonical events, which may carry any.
    """

    source: str
    mapping: str | None


class Route(msgspec.Struct, frozen=True):
    """A route that may take events of a contract.

    Attributes:
        name: its name.
        sinks: where it sends them.
        sources: whose events it takes; none means everyone's.
        where: its condition, or `None`.
        form: the version in which it sends them, such as ``production.order.completed/2``.
    """

    name: str
    sinks: list[str]
    sources: list[str]
    where: str | None
    form: str


class Links(msgspec.Struct, frozen=True):
    """What hangs on one contract.

    Attributes:
        producers: sources with the mappings that make its events.
        mappings: mappings that make its events, used by a source or not.
        conversions: mappings that make another version of its events.
        routes: routes that may take them.
        lookups: tables that those mappings ask.
        tests: tests of those mappings, or that expect its events, as ``file: name``.
    """

    producers: list[Producer]
    mappings: list[str]
    conversions: list[str]
    routes: list[Route]
    lookups: list[str]
    tests: list[str]

    @property
    def sinks(self) -> list[str]:
        """Sinks that may get its events, in the order of the routes."""
        return list(dict.fromkeys(sink for route in self.routes for sink in route.sinks))

    def takes(self, route: Route) -> bool:
        """Whether any source makes events that the route takes; a route may also name a source's URI."""
        names = {one.source for one in self.producers}
        wanted = {one.rpartition("/")[2] for one in route.sources}
        anyone = not wanted or any(one.mapping is None for one in self.producers)
        return bool(names) if anyone else bool(names & wanted)


def links(documents: Documents, label: str) -> Links:
    """What hangs on the contract `label`, such as ``production.operation.completed/1``."""
    mappings = [name for name, one in documents.mappings.items() if label in emitted(one)]
    conversions = [name for name, one in documents.mappings.items() if converted(one) == label]
    return Links(
        producers=list(_producers(documents, mappings)),
        mappings=mappings,
        conversions=conversions,
        routes=list(_routes(documents, label)),
        lookups=sorted({table for name in [*mappings, *conversions] for table in _lookups(documents, name)}),
        tests=list(_tests(documents, [*mappings, *conversions], label)),
    )


def converted(mapping: Document) -> str | None:
    """The contract whose events a mapping converts; `None` for one that reads messages."""
    reads = mapping.content.get("from")
    label = reads.get("contract") if isinstance(reads, dict) else None
    return None if label is None else str(label)


def delivered(documents: Documents, patterns: list[str], label: str) -> str | None:
    """The version in which a route with these type patterns sends events of a contract.

    Returns:
        The contract itself, another version that conversions lead to, or `None` if it does not take them.
    """
    type_ = label.partition("/")[0]
    versions = [one for one in documents.contracts if one.partition("/")[0] == type_]
    named = [one for one in patterns if "/" in one or not _is_wild(one)]
    wanted = [one for one in versions if any(matches(pattern, one, versions) for pattern in named)]
    if label in wanted or (not wanted and any(matches(one, label) for one in patterns if one not in named)):
        return label
    ways = _reached(documents, label)
    return next((one for one in wanted if one in ways), None)


def _reached(documents: Documents, label: str) -> set[str]:
    """The versions that conversions lead to."""
    steps = [(converted(one), to) for one in documents.mappings.values() for to in emitted(one)]
    found = {label}
    for _ in steps:
        found |= {to for start, to in steps if start in found}
    return found


def _is_wild(pattern: str) -> bool:
    return any(part in {"*", ">"} for part in pattern.partition("/")[0].split("."))


def emitted(mapping: Document) -> list[str]:
    """The contracts that a mapping names in its entries."""
    entries = mapping.content.get("emit")
    listed = entries if isinstance(entries, list) else []
    return list(dict.fromkeys(str(one["to"]) for one in listed if isinstance(one, dict) and "to" in one))


def matches(pattern: str, label: str, known: Iterable[str] = ()) -> bool:
    """Whether a type pattern of a route asks for a contract.

    ``*`` is one level, a last ``>`` everything below. Without ``/major`` a type means the newest version of
    it among the `known` labels, and a wildcard every version.
    """
    name, _, major = pattern.partition("/")
    type_, _, version = label.partition("/")
    if major and major != version:
        return False
    majors = [int(one.partition("/")[2]) for one in known if one.partition("/")[0] == type_]
    if not major and not _is_wild(pattern) and int(version) < max(majors, default=0):
        return False
    wanted, found = name.split("."), type_.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(found) <= len(wanted):
            return False
        found = found[: len(wanted)]
    return len(wanted) == len(found) and all(
        one in {"*", other} for one, other in zip(wanted, found, strict=True)
    )


def texts(value: Any) -> list[str]:
    """A text or a list of texts as a list."""
    listed = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [str(one) for one in listed]


def _producers(documents: Documents, mappings: list[str]) -> Iterator[Producer]:
    for name, source in _named(documents.main, "sources"):
        used = texts(source.get("mappings"))
        if not used:
            yield Producer(name, None)
        for mapping in used:
            if mapping in mappings:
                yield Producer(name, mapping)


def _routes(documents: Documents, label: str) -> Iterator[Route]:
    listed = documents.main.get("routes")
    for one in listed if isinstance(listed, list) else []:
        match = one.get("match") if isinstance(one, dict) else None
        if not isinstance(match, dict):
            continue
        form = delivered(documents, texts(match.get("type")), label)
        if form is None:
            continue
        where = one.get("where")
        yield Route(
            name=str(one.get("name", "")),
            sinks=texts(one.get("to")),
            sources=texts(match.get("source")),
            where=None if where is None else str(where),
            form=form,
        )


def _lookups(documents: Documents, mapping: str) -> Iterator[str]:
    """Tables that a mapping asks, also through shared rules."""
    yield from _tables(documents, documents.mappings[mapping].content, 0)


def _tables(documents: Documents, value: Any, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for one in value:
            yield from _tables(documents, one, depth + 1)
    if not isinstance(value, dict):
        return
    for key, child in value.items():
        if key in ("lookup", "table") and isinstance(child, str):
            yield child
        elif key == "use" and isinstance(child, str) and child in documents.rules:
            yield from _tables(documents, documents.rules[child].content, depth + 1)
        else:
            yield from _tables(documents, child, depth + 1)


def _tests(documents: Documents, mappings: list[str], label: str) -> Iterator[str]:
    sources = {
        name
        for name, source in _named(documents.main, "sources")
        if set(texts(source.get("mappings"))) & set(mappings)
    }
    for document in documents.tests.values():
        listed = document.content.get("tests")
        for number, one in enumerate(listed if isinstance(listed, list) else []):
            if not isinstance(one, dict):
                continue
            expected = one.get("expect")
            named = [event.get("to") for event in expected or [] if isinstance(event, dict)]
            if label in named or one.get("mapping") in mappings or one.get("source") in sources:
                yield f"{document.file}: {one.get('name', f'test {number + 1}')}"


def _named(main: dict[str, Any], section: str) -> Iterator[tuple[str, dict[str, Any]]]:
    found = main.get(section)
    for name, one in (found if isinstance(found, dict) else {}).items():
        if isinstance(one, dict):
            yield str(name), one
