"""Packs: contracts, mappings and lookups that ship with the product or lie beside a project.

``packs: [canonical, b2mml, ./shared/plant]`` in the main file: a bare name is one of ours, a path starts at
the project folder. A file of the project takes the place of one of a pack with the same name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mfgroute.config.convert import Notes

SHIPPED = Path(__file__).resolve().parent.parent / "packs"
_INTERNAL = ("demo", "templates")


def shipped() -> list[str]:
    """Names of the packs that ship, sorted."""
    folders = (path for path in SHIPPED.iterdir() if path.is_dir()) if SHIPPED.is_dir() else ()
    return sorted(path.name for path in folders if path.name not in _INTERNAL and path.name[0] not in "._")


def resolve(document: dict[str, Any], root: Path, notes: Notes) -> list[dict[str, str]]:
    """The packs of a document as the core takes them: a name for messages and a folder.

    Unknown packs are noted with their place.
    """
    given = document.get("packs", [])
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        notes.error("/packs", "`packs` is not a list of names, expected for example [canonical]")
        return []
    known = shipped()
    found: list[dict[str, str]] = []
    for index, name in enumerate(given):
        if name in known:
            found.append({"name": name, "path": str(SHIPPED / name)})
            continue
        folder = root / name
        if "/" in name and folder.is_dir():
            found.append({"name": Path(name).name, "path": str(folder)})
            continue
        notes.error(f"/packs/{index}", f"there is no pack `{name}`", f"known are {', '.join(known)}")
    return found
