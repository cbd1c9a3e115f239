"""A project with other mappings, compiled without touching it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mfgroute.cli import probe
from mfgroute.cli.failures import USAGE, Failure
from mfgroute.config.load import Project
from mfgroute.errors import ConfigError

_ENDING = ".yaml"


def mapping_files(new: Path) -> dict[str, Path]:
    """Mapping files by the name of their mapping: of a folder of them, or of a project, or one file.

    Raises:
        Failure: there is none.
    """
    if new.is_file():
        return {new.name.removesuffix(_ENDING): new}
    if new.is_dir():
        folder = new / "mappings" if (new / "mappings").is_dir() else new
        found = {file.name.removesuffix(_ENDING): file for file in sorted(folder.glob(f"*{_ENDING}"))}
        if found:
            return found
    raise Failure(
        f"there is no mapping at `{new}`",
        code=USAGE,
        hint="name a mapping file, or a folder with mapping files",
    )


def replaced(project: Project, files: Mapping[str, Path]) -> Project:
    """The project with the mappings of other files in place of its own of the same name.

    Contracts, lookups, schemas, shared rules, packs and routes are those of the project. Examples in the
    other files run, as in any compilation.

    Raises:
        Failure: no source uses a mapping of such a name, and it is no conversion, so that it would never run.
        ConfigError: the mappings do not compile.
    """
    used = {name for one in project.plan.summary["sources"] for name in one["mappings"]}
    used |= conversions(project)
    unknown = sorted(set(files) - used)
    if unknown:
        raise Failure(
            f"no source uses a mapping called {' or '.join(unknown)}, and no contract is converted by one",
            code=USAGE,
            hint=f"a changed mapping has the file name of the old one: {', '.join(sorted(used))}",
        )
    with tempfile.TemporaryDirectory(prefix="mfgroute-") as name:
        root = Path(name)
        for one in ("contracts", "lookups", "schemas", "rules"):
            if (project.root / one).is_dir():
                (root / one).symlink_to((project.root / one).resolve(), target_is_directory=True)
        mappings = root / "mappings"
        mappings.mkdir()
        own = {file.name: file for file in (project.root / "mappings").glob(f"*{_ENDING}")}
        for file, path in {**own, **{f"{key}{_ENDING}": path for key, path in files.items()}}.items():
            (mappings / file).symlink_to(path.resolve())
        try:
            plan = probe.compiled(project, project.raw, root)
        except ConfigError as error:
            raise ConfigError(_at(error.problems, files)) from None
    return msgspec.structs.replace(project, plan=plan)


def conversions(project: Project) -> set[str]:
    """The names of the mappings that make another version of an event."""
    return {str(one["name"]) for one in project.plan.summary["mappings"] if one.get("converts")}


def _at(problems: Sequence[Any], files: Mapping[str, Path]) -> list[Any]:
    """Problems of the other files with the names that the user gave them."""
    shown = {f"mappings/{name}{_ENDING}": str(path) for name, path in files.items()}
    return [msgspec.structs.replace(one, file=shown.get(one.file, one.file)) for one in problems]
