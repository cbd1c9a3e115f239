"""Packs: contracts, mappings and lookups that ship with the product or lie in a folder.

``packs: [canonical, b2mml, ./plants/shared]`` in the main file: a bare name is one of ours, a path starts at
the project folder. Where several have a file of one name, that of the project counts, then that of the pack
that is named first.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from mfgroute.config.convert import Notes, close

#: The main file of a project.
FILE_NAME = "mfgroute.yaml"
SHIPPED = Path(__file__).resolve().parent.parent / "packs"
#: What a pack may hold: the folder, the ending of its files, and how one of them is called.
KINDS = {
    "contracts": (".yaml", "contract"),
    "mappings": (".yaml", "mapping"),
    "lookups": (".csv", "lookup"),
    "rules": (".yaml", "rule"),
    "schemas": (".json", "schema"),
}
_INTERNAL = ("demo", "templates")


class Pack(msgspec.Struct, frozen=True, kw_only=True):
    """A pack that a project uses.

    Attributes:
        name: as it is written in ``packs``.
        path: its folder.
        prefix: what comes before its files in messages: ``pack:canonical/``, or the path from the project.
    """

    name: str
    path: Path
    prefix: str


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One contract, mapping, lookup, shared rule or input schema that counts.

    Attributes:
        kind: ``contract``, ``mapping``, ``lookup``, ``rule`` or ``schema``.
        name: of the file, without its ending.
        file: for messages, relative to the project folder.
        path: the file.
        pack: the pack it comes from, as it is named; `None` for the project.
        overrides: packs with a file of this name, which therefore does not count.
    """

    kind: str
    name: str
    file: str
    path: Path
    pack: str | None
    overrides: list[str]

    @property
    def address(self) -> str:
        """``lookups/materials``: how `owners` names it."""
        return f"{self.path.parent.name}/{self.name}"


def shipped() -> list[str]:
    """Names of the packs that ship, sorted."""
    folders = (path for path in SHIPPED.iterdir() if path.is_dir()) if SHIPPED.is_dir() else ()
    return sorted(path.name for path in folders if path.name not in _INTERNAL and path.name[0] not in "._")


def is_path(name: str) -> bool:
    """Whether `packs` names a folder, not one of our packs."""
    return "/" in name


def prefix(name: str) -> str:
    """What comes before the files of a pack in messages."""
    return f"{os.path.normpath(name)}/" if is_path(name) else f"pack:{name}/"


def resolve(document: dict[str, Any], root: Path, notes: Notes) -> list[Pack]:
    """The packs of a document; those that cannot be used are noted with their place."""
    given = document.get("packs", [])
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        notes.error("/packs", "`packs` is not a list of names, expected for example [canonical]")
        return []
    found: list[Pack] = []
    for index, name in enumerate(given):
        pointer = f"/packs/{index}"
        path = _local(name, root, pointer, notes) if is_path(name) else _shipped(name, root, pointer, notes)
        if path is None:
            continue
        twice = next((pack for pack in found if pack.path == path), None)
        if twice is not None:
            notes.error(pointer, f"the pack `{name}` is there twice", f"it is `{twice.name}`, too")
            continue
        found.append(Pack(name=name, path=path, prefix=prefix(name)))
    return found


def for_core(packs: Sequence[Pack]) -> list[dict[str, str]]:
    """The packs as the core takes them."""
    return [{"prefix": pack.prefix, "path": str(pack.path)} for pack in packs]


def parts(root: Path, packs: Sequence[Pack]) -> list[Part]:
    """What counts of a project and its packs, sorted by kind and name."""
    places = [(None, "", root), *((pack.name, pack.prefix, pack.path) for pack in packs)]
    found: dict[tuple[str, str], Part] = {}
    for folder, (ending, kind) in KINDS.items():
        for pack, before, path in places:
            for name in _names(path / folder, ending):
                key = kind, name
                file = f"{folder}/{name}{ending}"
                if key in found:
                    # The same file of two packs takes nothing's place.
                    if found[key].path.read_bytes() != (path / file).read_bytes():
                        found[key].overrides.append(str(pack))
                    continue
                found[key] = Part(
                    kind=kind,
                    name=name,
                    file=f"{before}{file}",
                    path=path / file,
                    pack=pack,
                    overrides=[],
                )
    order = [kind for _, kind in KINDS.values()]
    return sorted(found.values(), key=lambda part: (order.index(part.kind), part.name))


def _names(folder: Path, ending: str) -> list[str]:
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir())
    return sorted(name.removesuffix(ending) for name in names if name.endswith(ending) and name[0] != ".")


def _shipped(name: str, root: Path, pointer: str, notes: Notes) -> Path | None:
    known = shipped()
    if name in known:
        return SHIPPED / name
    hint = f"a folder is named as `./{name}`" if (root / name).is_dir() else close(name, known)
    notes.error(pointer, f"there is no pack {notes.shown(pointer, name)}", hint)
    return None


def _local(name: str, root: Path, pointer: str, notes: Notes) -> Path | None:
    """The folder of a pack, without links on the way to it or out of it."""
    shown = notes.shown(pointer, name)
    inner = name.removesuffix("/").split("/")
    while inner and inner[0] in (".", ".."):
        inner.pop(0)
    if name.startswith(("/", "~")) or "\\" in name or "\0" in name:
        hint = "name it from the project folder, such as ./plants/shared or ../shared"
        notes.error(pointer, f"the pack {shown} is not a path relative to the project", hint)
        return None
    if any(step in ("", ".", "..") for step in inner):
        hint = "write `./` or `../` at its start only"
        notes.error(pointer, f"the path of pack {shown} does not go straight to its folder", hint)
        return None
    base = root.resolve()
    path = Path(os.path.normpath(base / name))
    if not path.is_dir():
        hint = f"the path starts at the folder of mfgroute.yaml; expected a folder at `{path}`"
        notes.error(pointer, f"there is no folder for the pack {shown}", hint)
        return None
    if path.resolve() != path:
        notes.error(
            pointer,
            f"the path of pack {shown} leads over a symbolic link",
            "name the folder that it leads to",
        )
        return None
    if path == base:
        notes.error(pointer, f"the pack {shown} is the project itself", "remove it from `packs`")
        return None
    return path if _is_whole(path, shown, pointer, notes) else None


def _is_whole(path: Path, shown: str, pointer: str, notes: Notes) -> bool:
    """Whether a folder holds parts of a pack, each of which is a file within the folder."""
    if not any((path / folder).is_dir() for folder in KINDS):
        hint = f"a pack has {', '.join(f'{folder}/' for folder in KINDS)}"
        notes.error(pointer, f"the pack {shown} holds nothing that a project can use", hint)
        return False
    whole = True
    for folder, (ending, _) in KINDS.items():
        for one in _names(path / folder, ending):
            file = path / folder / f"{one}{ending}"
            real = file.resolve()
            if not real.is_relative_to(path):
                message, hint = "leads out of the pack", "copy the file, or name its folder as a pack"
            elif not real.is_file():
                message, hint = "is not a file", "remove it"
            else:
                continue
            whole = False
            notes.error(pointer, f"`{folder}/{one}{ending}` of the pack {shown} {message}", hint)
    return whole
