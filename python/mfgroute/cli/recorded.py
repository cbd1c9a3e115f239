"""Messages that a node kept, for commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from mfgroute.cli.failures import DATA, USAGE, Failure
from mfgroute.cli.node import data_dir
from mfgroute.config.load import Project
from mfgroute.runtime.recording import FOLDER, NotRecorded, Recorded, read, recorded_as


def messages(project: Project, recorded: str, source: str | None) -> Iterator[tuple[str, Recorded]]:
    """The recorded messages, those of a slab of lines one by one, each with its place.

    Args:
        project: the project.
        recorded: a source of it, or a file or folder.
        source: read all messages as received by this source.

    Raises:
        Failure: nothing is recorded there, or something else is.
    """
    known = {one["name"]: one for one in project.plan.summary["sources"]}
    path = data_dir() / FOLDER / recorded if recorded in known else Path(recorded)
    if not path.exists():
        what = f"source {recorded}" if recorded in known else f"`{recorded}`"
        hint = "set `record: {keep: 7d, size: 1GiB}` at the source and let it receive messages"
        raise Failure(f"nothing is recorded of {what}", code=DATA if recorded in known else USAGE, hint=hint)
    try:
        for place, given in read(path):
            one = given if source is None else msgspec.structs.replace(given, source=source)
            if one.source not in known:
                hint = f"read it as another with --source {' | '.join(known)}"
                raise Failure(f"{place}: the project has no source {one.source}", code=DATA, hint=hint)
            if not one.slab or known[one.source]["decode"] == "csv":
                yield place, one
                continue
            for number, line in enumerate(one.message.split(b"\n"), 1):
                if line.strip():
                    meta = {**one.meta, "file.line": str(number)}
                    yield f"{place} line {number}", recorded_as(line, one, meta)
    except NotRecorded as error:
        raise Failure(str(error), code=DATA, hint="see `record` in the settings of a source") from error
