"""What adapters bring to the sources that use them: mappings of messages that they make themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mfgroute.config.convert import Notes, escape
from mfgroute.config.packs import SHIPPED, Pack
from mfgroute.errors import MfgrouteError

if TYPE_CHECKING:
    from mfgroute.adapter import Source
    from mfgroute.config.load import Adapters

__all__ = ["KEY", "brought", "check_site", "mappings", "packs"]

#: Where the core finds them in a source; nobody writes that.
KEY = "own_mappings"


def mappings(document: Mapping[str, Any], adapters: Adapters) -> dict[str, list[str]]:
    """The mappings that adapters bring, by the name of the source; sources without are left out."""
    return {name: list(kind.own_mappings(raw)) for name, kind, raw in _bringing(document, adapters)}


def packs(document: Mapping[str, Any], adapters: Adapters) -> list[Pack]:
    """The packs that those mappings and their contracts are in, in the order of the sources."""
    paths = dict.fromkeys(kind.own_pack for _, kind, _ in _bringing(document, adapters))
    return [
        Pack(name=path.name, path=path, prefix=f"pack:{path.name}/")
        if path.parent == SHIPPED
        else Pack(name=str(path), path=path, prefix=f"{path}/")
        for path in paths
        if path is not None
    ]


def brought(document: Mapping[str, Any], adapters: Adapters, key: str) -> dict[str, Any]:
    """A copy of the document in which each source has those mappings as well, behind what stands at `key`."""
    found = mappings(document, adapters)
    if not found:
        return dict(document)
    sources = {
        name: {**raw, key: [*(raw.get(key) or ()), *found[name]]} if name in found else raw
        for name, raw in document["sources"].items()
    }
    return {**document, "sources": sources}


def check_site(document: Mapping[str, Any], adapters: Adapters, notes: Notes) -> None:
    """Note sources whose own events cannot say of which plant they are."""
    node = document.get("node")
    if not isinstance(node, dict) or node.get("site"):
        return
    for name, found in mappings(document, adapters).items():
        notes.error(
            f"/sources/{escape(name)}",
            f"events of `{', '.join(found)}`, which source `{name}` makes itself, need a `site`",
            "write `node: {site: ...}`; or have the source make none, as the page of its adapter says",
        )


def _bringing(
    document: Mapping[str, Any], adapters: Adapters
) -> Iterator[tuple[str, type[Source], Mapping[str, Any]]]:
    sources = document.get("sources")
    for name, raw in sources.items() if isinstance(sources, dict) else ():
        adapter = raw.get("adapter") if isinstance(raw, dict) else None
        if not isinstance(adapter, str):
            continue
        try:
            kind = adapters.source(adapter)
        except MfgrouteError:
            continue  # Said where the source is read.
        if kind.own_mappings(raw):
            yield str(name), kind, raw
