"""The YAML files of a project and its packs as they stand.

Nothing is compiled and nothing replaced: a project that `check` refuses, or that stood in a commit of last
year, can be read all the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from mfgroute import _core
from mfgroute.config import own
from mfgroute.config.packs import FILE_NAME, SHIPPED, Pack, is_path, prefix, shipped
from mfgroute.errors import ConfigError, Problem

if TYPE_CHECKING:
    from mfgroute.config.load import Adapters

__all__ = ["Contract", "Document", "Documents", "Folder", "Place", "read", "read_contracts", "released"]

_ENDING = ".yaml"


class Place(Protocol):
    """Where files of a project are: a folder on disk, or a commit."""

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted; none if there is no such folder."""

    def content(self, file: str) -> bytes | None:
        """A file's bytes, or `None` if there is no such file."""

    def beside(self, folder: str) -> Place:
        """The place of a folder that is named from here, such as ``../shared``."""


class Folder(Place):
    """A folder on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder."""
        path = self.root / folder
        return sorted(one.name for one in path.iterdir() if one.is_file()) if path.is_dir() else []

    def content(self, file: str) -> bytes | None:
        """A file's bytes."""
        path = self.root / file
        return path.read_bytes() if path.is_file() else None

    def beside(self, folder: str) -> Place:
        """A folder that is named from here."""
        return Folder(self.root / folder)


class Document(msgspec.Struct, frozen=True):
    """One file.

    Attributes:
        name: without folder and ending.
        file: path for messages; of a pack that ships with the prefix ``pack:NAME/``.
        pack: the pack it comes from, or `None` for the project.
        content: what is written there.
        places: line and column of each value by its pointer.
    """

    name: str
    file: str
    pack: str | None
    content: dict[str, Any]
    places: dict[str, tuple[int, int]]


class Contract(msgspec.Struct, frozen=True):
    """A contract as it is written.

    Attributes:
        document: its file.
    """

    document: Document

    @property
    def content(self) -> dict[str, Any]:
        """What is written in its file."""
        return self.document.content

    @property
    def type(self) -> str:
        """Type without namespace and version."""
        return str(self.content.get("type", self.document.name))

    @property
    def version(self) -> str:
        """Full version."""
        return str(self.content.get("version", ""))

    @property
    def major(self) -> int:
        """Major version; 0 when the version is none."""
        first = self.version.partition(".")[0]
        return int(first) if first.isdecimal() else 0

    @property
    def label(self) -> str:
        """``production.operation.completed/1``, as mappings and routes name it."""
        return f"{self.type}/{self.major}"

    @property
    def schema(self) -> Any:
        """Schema of ``data``."""
        return self.content.get("schema", True)

    @property
    def owner(self) -> str:
        """Whom to ask."""
        return str(self.content.get("owner", ""))

    @property
    def stream(self) -> str:
        """The stream that keeps it."""
        return str(self.content.get("stream", "business"))

    @property
    def kind(self) -> str:
        """``event``, ``command`` or ``telemetry``."""
        return str(self.content.get("kind", "event"))

    @property
    def lifecycle(self) -> dict[str, Any]:
        """Status, and for a deprecated contract since, sunset and successor."""
        found = self.content.get("lifecycle")
        return {"status": "active", **(found if isinstance(found, dict) else {})}

    @property
    def key(self) -> tuple[str, list[str]]:
        """Name of the key and its fields, without ``data.``."""
        for name, fields in (self.content.get("key") or {}).items():
            return str(name), _fields(fields)
        return "", []

    @property
    def identity(self) -> list[str]:
        """Fields that tell one fact from another, without ``data.``."""
        return _fields(self.content.get("idempotency"))

    @property
    def volatile(self) -> list[str]:
        """Fields that do not count when a repetition is compared, without ``data.``."""
        return _fields(self.content.get("volatile"))

    @property
    def title(self) -> str:
        """What it is called."""
        schema = self.schema if isinstance(self.schema, dict) else {}
        return str(self.content.get("title") or schema.get("title") or self.type)

    @property
    def description(self) -> str:
        """What it means."""
        schema = self.schema if isinstance(self.schema, dict) else {}
        return str(self.content.get("description") or schema.get("description") or "").strip()

    @property
    def examples(self) -> list[Any]:
        """Examples of ``data``; an example may also be written as ``{name, data}``."""
        listed = self.content.get("examples") or []
        return [
            one["data"] if isinstance(one, dict) and len(one) <= 2 and "data" in one else one
            for one in (listed if isinstance(listed, list) else [])
        ]


class Documents(msgspec.Struct, frozen=True):
    """Every file of a project that speaks of contracts.

    Attributes:
        main: ``mfgroute.yaml``; the mappings that adapters bring stand among those of their sources.
        contracts: by label, sorted.
        mappings: by name; those of packs only where a source uses them, or if they are conversions.
        rules: shared rules of mappings by name.
        schemas: input schemas of mappings by their path, such as ``schemas/mes-a.json``.
        tests: files of ``tests/`` by name.
        folders: where contracts of the project's own lie, with the prefix of their files in messages: the
            project and the packs that are named by a path.
        shipped: the same of packs that ship with mfgroute.
    """

    main: dict[str, Any]
    contracts: dict[str, Contract]
    mappings: dict[str, Document]
    rules: dict[str, Document]
    schemas: dict[str, Any]
    tests: dict[str, Document]
    folders: list[tuple[str, Place]]
    shipped: list[tuple[str, Place]] = []


def read(place: Place, adapters: Adapters) -> Documents:
    """Read the files of a project, with the mappings and packs that adapters bring to its sources.

    Raises:
        ConfigError: a file is no YAML.
    """
    problems: list[Problem] = []
    content = place.content(FILE_NAME)
    # A pack has no main file; it is read as a project that has nothing but its files.
    if content is None and not place.names("contracts"):
        raise ConfigError([_problem(FILE_NAME, f"there is no `{FILE_NAME}`")])
    main = None if content is None else _parse(FILE_NAME, FILE_NAME, None, content, problems)
    document = own.brought(main.content, adapters, "mappings") if main else {}
    folders = _folders(document, place)
    known = {name for _, name, _ in folders}
    brought = [pack for pack in own.packs(document, adapters) if pack.name not in known]
    folders += [(pack.prefix, pack.name, Folder(pack.path)) for pack in brought]
    found = Documents(
        main=document,
        contracts=_contracts(_files(folders, "contracts", problems)),
        mappings=_used(_files(folders, "mappings", problems), document),
        rules=_files(folders, "rules", problems),
        schemas=_schemas(folders, problems),
        tests=_files(folders[:1], "tests", problems),
        folders=[(before, one) for before, pack, one in folders if pack is None or is_path(pack)],
        shipped=[(before, one) for before, pack, one in folders if pack is not None and not is_path(pack)],
    )
    if problems:
        raise ConfigError(problems)
    return found


def released(root: Path, packs: Sequence[Pack]) -> tuple[list[Contract], list[tuple[str, Place]]]:
    """The contracts that count in a project, and every folder whose lock may pin them, with its prefix.

    Raises:
        ConfigError: a file is no YAML.
    """
    problems: list[Problem] = []
    folders: list[tuple[str, str | None, Place]] = [
        ("", None, Folder(root)),
        *((pack.prefix, pack.name, Folder(pack.path)) for pack in packs),
    ]
    found = _contracts(_files(folders, "contracts", problems))
    if problems:
        raise ConfigError(problems)
    return list(found.values()), [(before, place) for before, _, place in folders]


def read_contracts(folder: Path) -> dict[str, Contract]:
    """The contracts of one folder that holds ``contracts/``, such as a pack, by label.

    Raises:
        ConfigError: a file is no YAML.
    """
    problems: list[Problem] = []
    found = _contracts(_files([("", None, Folder(folder))], "contracts", problems))
    if problems:
        raise ConfigError(problems)
    return found


def _folders(main: dict[str, Any], place: Place) -> list[tuple[str, str | None, Place]]:
    """The project and its packs: prefix of the files in messages, pack as it is named, place."""
    found: list[tuple[str, str | None, Place]] = [("", None, place)]
    known = shipped()
    packs = main.get("packs", [])
    for name in packs if isinstance(packs, list) else []:
        if name in known:
            found.append((prefix(name), name, Folder(SHIPPED / name)))
        elif isinstance(name, str) and is_path(name):
            found.append((prefix(name), name, place.beside(name)))
    return found


def _files(
    folders: list[tuple[str, str | None, Place]], sub: str, problems: list[Problem]
) -> dict[str, Document]:
    """The files of a subfolder by name; one of the project takes the place of a pack's with the same name."""
    found: dict[str, Document] = {}
    for before, pack, place in folders:
        for full in place.names(sub):
            name = full.removesuffix(_ENDING)
            if not full.endswith(_ENDING) or full.startswith(".") or name in found:
                continue
            content = place.content(f"{sub}/{full}") or b""
            made = _parse(name, f"{before}{sub}/{full}", pack, content, problems)
            if made is not None:
                found[name] = made
    return found


def _schemas(folders: list[tuple[str, str | None, Place]], problems: list[Problem]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for before, _, place in folders:
        for full in place.names("schemas"):
            path = f"schemas/{full}"
            if not full.endswith(".json") or full.startswith(".") or path in found:
                continue
            try:
                found[path] = json.loads(place.content(path) or b"")
            except ValueError as error:
                problems.append(_problem(f"{before}{path}", f"the schema is not JSON: {error}"))
    return found


def _parse(
    name: str, file: str, pack: str | None, content: bytes, problems: list[Problem]
) -> Document | None:
    try:
        document, places, _ = _core.parse_yaml(content, file)
    except ConfigError as error:
        problems += error.problems
        return None
    if not isinstance(document, dict):
        problems.append(_problem(file, "the file is no map"))
        return None
    return Document(name, file, pack, document, places)


def _contracts(files: dict[str, Document]) -> dict[str, Contract]:
    made = [Contract(document) for document in files.values()]
    return {one.label: one for one in sorted(made, key=lambda one: (one.type, one.major))}


def _used(mappings: dict[str, Document], main: dict[str, Any]) -> dict[str, Document]:
    sources = main.get("sources")
    used = {
        name
        for source in (sources.values() if isinstance(sources, dict) else ())
        if isinstance(source, dict)
        for name in source.get("mappings") or []
    }
    # No source names a conversion: it is there when its file is.
    return {
        name: one for name, one in mappings.items() if one.pack is None or name in used or _is_conversion(one)
    }


def _is_conversion(mapping: Document) -> bool:
    reads = mapping.content.get("from")
    return isinstance(reads, dict) and "contract" in reads


def _fields(listed: Any) -> list[str]:
    return [str(one).removeprefix("data.") for one in (listed if isinstance(listed, list) else [])]


def _problem(file: str, message: str) -> Problem:
    return Problem(severity="error", file=file, line=0, column=0, message=message)
