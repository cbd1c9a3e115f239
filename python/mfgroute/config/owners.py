"""Who owns the contracts, mappings and lookups of a project and of a pack.

A contract and a mapping may say it themselves with ``owner``. For all others the folder says it:
``mfgroute.yaml`` for a project, ``pack.yaml`` for a pack::

    owner: plant-it
    owners: {lookups/materials: master-data}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from mfgroute import _core
from mfgroute.config.convert import Notes, close, convert_struct, escape
from mfgroute.config.model import Name, Section
from mfgroute.config.packs import Pack, Part
from mfgroute.errors import ConfigError, Problem

FILE = "pack.yaml"
_FILE_BYTES_MAX = 1 << 20


class About(Section, frozen=True, kw_only=True):
    """What ``pack.yaml`` says."""

    title: Annotated[str, Meta(description="What the pack is called")] = ""
    description: Annotated[str, Meta(description="What it is for")] = ""
    owner: Annotated[Name | None, Meta(description="Who owns what names no other owner")] = None
    owners: Annotated[
        dict[str, Name], Meta(description="Owners of single files, such as `lookups/materials: master-data`")
    ] = msgspec.field(default_factory=dict)


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """A part with its owner.

    Attributes:
        part: the part.
        owner: whom to ask; `None` when nobody is named.
        line: where its file begins to say something; 1 for a table.
        version: of a contract.
    """

    part: Part
    owner: str | None
    line: int
    version: str | None


def read(
    document: Mapping[str, Any], packs: Sequence[Pack], found: Sequence[Part], notes: Notes
) -> tuple[dict[str | None, About], list[Problem]]:
    """What the project and its packs say of owners, by the name of the pack.

    Returns:
        That, and the problems of ``pack.yaml`` files; those of the main file are noted.
    """
    given = {key: document[key] for key in ("owner", "owners") if key in document}
    own = convert_struct(About, given, "", notes)
    _known(own, None, found, notes)
    made: dict[str | None, About] = {None: own or About()}
    problems: list[Problem] = []
    for pack in packs:
        about, more = _pack(pack, found)
        made[pack.name] = about
        problems += more
    return made, problems


def owned(found: Sequence[Part], abouts: Mapping[str | None, About]) -> list[Owned]:
    """Each part with its owner: it says so itself, else the folder that it lies in."""
    made = []
    for part in found:
        content: Any = None
        places: dict[str, tuple[int, int]] = {}
        if part.kind in ("contract", "mapping"):
            content, places, _ = _core.parse_yaml(part.path.read_bytes(), part.file)
        said = content if isinstance(content, dict) else {}
        about = abouts.get(part.pack, About())
        owner = about.owners.get(part.address) or said.get("owner") or about.owner
        line = min((line for line, _ in places.values()), default=1)
        version = str(said["version"]) if part.kind == "contract" and "version" in said else None
        made.append(Owned(part=part, owner=str(owner) if owner else None, line=line, version=version))
    return made


def _pack(pack: Pack, found: Sequence[Part]) -> tuple[About, list[Problem]]:
    file = pack.path / FILE
    shown = f"{pack.prefix}{FILE}"
    if not file.is_file():
        return About(), []
    if not file.resolve().is_relative_to(pack.path):
        return About(), [_problem(shown, "leads out of the pack", "copy the file")]
    if file.stat().st_size > _FILE_BYTES_MAX:
        return About(), [_problem(shown, f"has more than {_FILE_BYTES_MAX} bytes", None)]
    try:
        document, places, _ = _core.parse_yaml(file.read_bytes(), shown)
    except ConfigError as error:
        return About(), list(error.problems)
    notes = Notes(shown, places, frozenset())
    about = convert_struct(About, document, "", notes)
    _known(about, pack.name, found, notes)
    return about or About(), notes.problems


def _known(about: About | None, pack: str | None, found: Sequence[Part], notes: Notes) -> None:
    """Note owners of what is not there."""
    here = {part.address for part in found if part.pack == pack or str(pack) in part.overrides}
    for address in about.owners if about else ():
        if address not in here:
            hint = close(address, here) or "name a file as `lookups/materials`"
            notes.error(f"/owners/{escape(address)}#key", f"there is no `{address}` to own here", hint)


def _problem(file: str, message: str, hint: str | None) -> Problem:
    return Problem(severity="error", file=file, line=1, column=1, message=f"`{file}` {message}", hint=hint)


def unowned(found: Sequence[Owned]) -> list[Owned]:
    """Contracts, mappings and lookups without an owner."""
    return [one for one in found if one.owner is None and one.part.kind in ("contract", "mapping", "lookup")]
