"""Whether the capacities of a project fit the disk of this machine."""

from __future__ import annotations

import contextlib

from mfgroute import _core
from mfgroute.cli.node import data_dir
from mfgroute.config.load import Project
from mfgroute.errors import Problem
from mfgroute.runtime.room import room_of


def small_disk(project: Project) -> list[Problem]:
    """A warning at ``streams`` if they may take more than the disk of the data folder has for them.

    Only on the machine where the node runs, which is where the data folder is there: a project is checked
    elsewhere, too.
    """
    where = data_dir()
    if not where.is_dir():
        return []
    found = None
    with contextlib.suppress(OSError):
        found = room_of(project, where).shortage
    if found is None:
        return []
    _, places, _ = _core.parse_yaml(project.file.read_bytes(), project.file.name)
    line, column = places.get("/streams#key") or places.get("/streams", (0, 0))
    hint = "lower `capacity`, or use a larger disk"
    return [
        Problem(
            severity="warning", file=project.file.name, line=line, column=column, message=found, hint=hint
        )
    ]
