"""What ``mfgroute config show --origin`` and the notes of ``mfgroute check`` say of a project's parts."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from mfgroute.cli import show
from mfgroute.cli.app import session
from mfgroute.config import owners, packs
from mfgroute.config.load import Project
from mfgroute.config.origin import Setting, settings
from mfgroute.config.owners import Owned

_NOBODY = "nobody"
_PLURALS = {kind: folder for folder, (_, kind) in packs.KINDS.items()}


def parts(project: Project) -> list[Owned]:
    """The parts that count, with owners; of the mappings in packs those in use, and conversions."""
    compiled = {one["name"] for one in project.plan.summary["mappings"]}
    found = packs.parts(project.root, project.packs)
    wanted = [part for part in found if part.kind != "mapping" or part.name in compiled]
    return owners.owned(wanted, project.abouts)


def overrides(project: Project) -> list[dict[str, str]]:
    """What takes the place of something with its name: kind, name, file, and the pack that is overridden."""
    found = packs.parts(project.root, project.packs)
    return [
        {"kind": part.kind, "name": part.name, "file": part.file, "pack": pack}
        for part in found
        for pack in part.overrides
    ]


def notes(project: Project) -> list[str]:
    """What `check` says that is no problem: names that are overridden, and what nobody owns."""
    told = [
        f"note: {one['file']} takes the place of the {one['kind']} {one['name']} of pack {one['pack']}"
        for one in overrides(project)
    ]
    bare = owners.unowned(parts(project))
    if bare:
        names = ", ".join(f"{one.part.kind} {one.part.name}" for one in bare)
        told.append(
            f"note: nobody owns {names}; write `owner:` in mfgroute.yaml, pack.yaml or the file itself"
        )
    return told


def tell(project: Project) -> int:
    """Print every setting and every part with where it comes from."""
    given = settings(project, os.environ)
    found = parts(project)
    if session().json:
        show.document(_document(project, given, found))
        return 0
    show.line(f"# {project.file}, {_chosen()}")
    rows = [(one.name, show.compact(one.value), _from(one)) for one in given]
    data_dir = os.environ.get("MFGROUTE_DATA_DIR")
    if data_dir:
        rows.append(("data folder", show.compact(data_dir), "environment variable MFGROUTE_DATA_DIR"))
    show.table(rows, header=("setting", "value", "from"))
    show.line()
    lines = [
        (
            one.part.kind,
            f"{one.part.name} {one.version}" if one.version else one.part.name,
            one.owner or _NOBODY,
            f"pack {one.part.pack}" if one.part.pack else "project",
            f"{one.part.file}:{one.line}" + _instead(one),
        )
        for one in found
    ]
    show.table(lines, header=("part", "name", "owner", "of", "from"))
    return 0


def _document(project: Project, given: list[Setting], found: list[Owned]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "project": {"file": str(project.file), "from": _chosen()},
        "data_dir": os.environ.get("MFGROUTE_DATA_DIR"),
        "settings": msgspec.to_builtins(given),
    }
    for kind, plural in _PLURALS.items():
        made[plural] = [
            {
                "name": one.part.name,
                "version": one.version,
                "owner": one.owner,
                "pack": one.part.pack,
                "file": one.part.file,
                "line": one.line,
                "path": str(one.part.path),
                "overrides": one.part.overrides,
            }
            for one in found
            if one.part.kind == kind
        ]
    return made


def _chosen() -> str:
    """What says where the project is."""
    if session().config:
        return "named by --config"
    return (
        "named by environment variable MFGROUTE_CONFIG" if os.environ.get("MFGROUTE_CONFIG") else "found here"
    )


def _from(one: Setting) -> str:
    place = f"{one.file}:{one.line}:{one.column}"
    names = ", ".join(one.names)
    return {
        "default": "default",
        "file": place,
        "environment": f"environment variable {names}, {place}",
        "fallback": f"{place}, as {names} is not set",
        "secret": f"file {names}, {place}",
    }[one.origin]


def _instead(one: Owned) -> str:
    return f", in place of pack {', '.join(one.part.overrides)}" if one.part.overrides else ""
