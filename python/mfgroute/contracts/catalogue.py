"""A page of Markdown about contracts: whose they are, who makes their events and who takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mfgroute.config.documents import Contract, Documents
from mfgroute.contracts.links import Links, converted, links

__all__ = ["overview", "page"]

_HEAD = ("contract", "version", "kind", "owner", "lifecycle", "made by", "taken by")


def page(documents: Documents) -> list[str]:
    """The catalogue of a project: a table, then a section for each contract."""
    node = documents.main.get("node")
    name = str(node.get("id", "")) if isinstance(node, dict) else ""
    lines = [f"# Contracts of {_plain(name)}" if name else "# Contracts", "", *overview({"": documents})]
    for label, contract in documents.contracts.items():
        lines += ["", *_section(documents, contract, links(documents, label))]
    return lines


def overview(projects: Mapping[str, Documents]) -> list[str]:
    """A table of the contracts of projects; who makes and takes them follows the project's name.

    A source of canonical events, which may carry any, is marked ``(any)``. The names are Markdown.
    """
    found: dict[str, Contract] = {}
    made: dict[str, list[str]] = {}
    taken: dict[str, list[str]] = {}
    for name, documents in projects.items():
        prefix = f"{name} " if name else ""
        for label, contract in documents.contracts.items():
            found.setdefault(label, contract)
            one = links(documents, label)
            others = _conversions(documents, one)
            for who, names in ((made, _sources(one, others)), (taken, _sinks(one, others))):
                who.setdefault(label, []).extend([prefix + ", ".join(names)] if names else [])
    rows = [
        (
            f"[{_plain(label)}](#{_anchor(label)})" if len(projects) == 1 else _code(label),
            contract.version,
            contract.kind,
            contract.owner,
            _lifecycle(contract),
            "; ".join(made[label]) or "nobody",
            "; ".join(taken[label]) or "nobody",
        )
        for label, contract in sorted(found.items())
    ]
    return [_row(_HEAD), _row(["---"] * len(_HEAD)), *(_row(row) for row in rows)]


def _section(documents: Documents, contract: Contract, found: Links) -> Iterator[str]:
    key, fields = contract.key
    yield f"## {_plain(contract.label)}"
    yield ""
    yield _sentence(contract)
    yield ""
    yield (
        f"Version {contract.version}, {contract.kind} of stream {_code(contract.stream)}, "
        f"owner {_plain(contract.owner) or 'nobody'}, {_lifecycle(contract)}. "
        f"Written in {_code(contract.document.file)}."
    )
    across = ", across sources" if contract.content.get("across_sources") else ""
    yield f"Key {_code(key)} of {_codes(fields)}. Identity: {_codes(contract.identity)}{across}."
    yield ""
    yield "Made by:"
    yield ""
    for producer in found.producers:
        how = f"mapping {_code(producer.mapping)}" if producer.mapping else "canonical events"
        yield f"* source {_code(producer.source)}, {how}"
    others = _conversions(documents, found)
    for name, label in others.items():
        yield f"* conversion {_code(name)} of {_plain(label)}"
    if not found.producers and not others:
        yield "* nobody"
    yield ""
    yield "Taken by:"
    yield ""
    for route in found.routes:
        where = f", where {_code(route.where)}" if route.where else ""
        source = f", of {_codes(route.sources)}" if route.sources else ""
        sinks = ", ".join(f"{_code(sink)} ({_owner(documents.main, sink)})" for sink in route.sinks)
        form = f", as {_plain(route.form)}" if route.form != contract.label else ""
        yield f"* route {_code(route.name)} to {sinks}{form}{source}{where}"
    if not found.routes:
        yield "* nobody"
    if found.lookups:
        yield ""
        yield f"Lookups: {_codes(found.lookups)}."
    if found.tests:
        yield ""
        yield f"Tests: {len(found.tests)}."


def _conversions(documents: Documents, found: Links) -> dict[str, str]:
    """The conversions that make events of a contract, with what they make them of."""
    makers = {name: converted(documents.mappings[name]) for name in found.mappings}
    return {name: label for name, label in makers.items() if label is not None}


def _sources(found: Links, conversions: Mapping[str, str]) -> list[str]:
    marks = {one.source: " (any)" if one.mapping is None else "" for one in found.producers}
    named = [_code(source) + mark for source, mark in marks.items()]
    return [*named, *(f"{_code(name)} (conversion)" for name in conversions)]


def _sinks(found: Links, conversions: Mapping[str, str]) -> list[str]:
    sinks = [sink for route in found.routes if found.takes(route) or conversions for sink in route.sinks]
    return [_code(sink) for sink in dict.fromkeys(sinks)]


def _owner(main: dict[str, Any], sink: str) -> str:
    sinks = main.get("sinks")
    section = sinks.get(sink) if isinstance(sinks, dict) else None
    owner = section.get("owner") if isinstance(section, dict) else None
    return _plain(str(owner)) if owner else "no owner"


def _lifecycle(contract: Contract) -> str:
    """``deprecated since 2026-01-01, sunset 2026-06-30, use x/2``."""
    told = contract.lifecycle
    parts = [
        f"{word} {told[key]}" for key, word in (("sunset", "sunset"), ("successor", "use")) if key in told
    ]
    since = f" since {told['since']}" if "since" in told else ""
    return _plain(", ".join([f"{told['status']}{since}", *parts]))


def _sentence(contract: Contract) -> str:
    text = _plain(" ".join((contract.description or contract.title).split()))
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _anchor(label: str) -> str:
    """The anchor that Markdown makes of a heading: lower case, without punctuation."""
    return "".join(one for one in label.lower().replace(" ", "-") if one.isalnum() or one in "-_")


def _row(cells: Any) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _codes(names: list[str]) -> str:
    return ", ".join(map(_code, names)) or "nothing"


def _code(text: str | None) -> str:
    """A text as code, whatever backticks are in it."""
    plain = " ".join((text or "").split())
    fence = "`"
    while fence in plain:
        fence += "`"
    space = " " if len(fence) > 1 else ""
    return f"{fence}{space}{plain}{space}{fence}"


def _plain(text: str) -> str:
    """A text in which nothing is markup."""
    for sign in "\\`*_[]<>#":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
