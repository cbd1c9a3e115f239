"""The rules of a mapping as its file writes them: one for each field of each entry of `emit`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mfgroute import _core
from mfgroute.cli import show
from mfgroute.config.convert import escape
from mfgroute.config.load import Project
from mfgroute.config.packs import SHIPPED


class MappingFile(NamedTuple):
    """A mapping file as it was read.

    Attributes:
        name: of the mapping.
        path: the file.
        document: what it says.
        places: pointer into `document` -> line and column.
    """

    name: str
    path: Path
    document: dict[str, Any]
    places: dict[str, tuple[int, int]]

    def at(self, pointer: str, shown: str | None = None) -> str:
        """Where a value stands, such as ``mappings/done.yaml:7``."""
        line = self.places.get(f"{pointer}#key", self.places.get(pointer, (0, 0)))[0]
        shown = shown or f"mappings/{self.path.name}"
        return f"{shown}:{line}" if line else shown


class Rule(NamedTuple):
    """How one field of an event is made.

    Attributes:
        mapping: name of the mapping.
        entry: place of the entry in `emit`, from 0.
        to: the contract of the entry, such as ``material.consumed/1``.
        field: where the value goes: ``quantity.good``, ``readings[].value``.
        spec: what is written of it.
        place: where, such as ``mappings/done.yaml:7``.
    """

    mapping: str
    entry: int
    to: str
    field: str
    spec: Any
    place: str

    @property
    def text(self) -> str:
        """What is written, in one line; the fields of a list are rules of their own."""
        if isinstance(self.spec, dict):
            return show.compact({key: value for key, value in self.spec.items() if key != "fields"})
        return show.compact(self.spec)

    def made(self, data: Any) -> bool:
        """Whether `data` holds a value of this field."""
        return any(True for _ in values(data, self.field.split(".")))


def values(data: Any, parts: list[str]) -> Iterator[Any]:
    """The values at a dotted name; a part that ends in ``[]`` goes through all items."""
    if not parts:
        yield data
        return
    name = parts[0].removesuffix("[]")
    if not isinstance(data, dict) or name not in data:
        return
    inner = data[name]
    if parts[0].endswith("[]"):
        for item in inner if isinstance(inner, list) else ():
            yield from values(item, parts[1:])
    else:
        yield from values(inner, parts[1:])


def mapping_file(project: Project, name: str) -> MappingFile | None:
    """The file of a mapping, in the project or the first of its packs that has it."""
    packs = [str(pack) for pack in project.raw.get("packs", [])]
    # A bare name is a pack that ships; a path starts at the project.
    folders = [SHIPPED / pack if "/" not in pack else project.root / pack for pack in packs]
    for folder in (project.root, *folders):
        file = folder / "mappings" / f"{name}.yaml"
        if file.is_file():
            return read(file)
    return None


def read(file: Path) -> MappingFile | None:
    """Read a mapping file; `None` if it holds no map.

    Raises:
        ConfigError: it is not YAML.
        OSError: it cannot be read.
    """
    document, places, _ = _core.parse_yaml(file.read_bytes(), f"mappings/{file.name}")
    return MappingFile(file.stem, file, document, places) if isinstance(document, dict) else None


def rules(mapping: MappingFile, shown: str | None = None) -> list[Rule]:
    """Every rule of a mapping, in the order of its file; those of `common` once for each entry.

    Args:
        mapping: the file.
        shown: its name for people; ``mappings/<name>.yaml`` if not given.
    """
    found: list[Rule] = []
    emit = mapping.document.get("emit")
    common = mapping.document.get("common")
    common = common if isinstance(common, dict) else {}
    for index, entry in enumerate(emit if isinstance(emit, list) else ()):
        if not isinstance(entry, dict) or "to" not in entry:
            continue
        own = entry.get("fields")
        own = own if isinstance(own, dict) else {}
        base = Rule(mapping.name, index, str(entry["to"]), "", None, "")
        for fields, pointer in (
            ({key: spec for key, spec in common.items() if key not in own}, "/common"),
            (own, f"/emit/{index}/fields"),
        ):
            for field, spec, at in _block(fields, pointer, ""):
                found.append(base._replace(field=field, spec=spec, place=mapping.at(at, shown)))
    return found


def _block(fields: dict[str, Any], pointer: str, prefix: str) -> Iterator[tuple[str, Any, str]]:
    """Field, specification and pointer of each rule of a block and of the lists in it."""
    for key, spec in fields.items():
        here = f"{pointer}/{escape(str(key))}"
        yield f"{prefix}{key}", spec, here
        inner = spec.get("fields") if isinstance(spec, dict) else None
        if isinstance(inner, dict):
            yield from _block(inner, f"{here}/fields", f"{prefix}{key}[].")
