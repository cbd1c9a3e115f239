"""The folder that a demo works in and leaves behind: two projects, their data, logs, samples and ledgers."""

from __future__ import annotations

import fcntl
import os
import random
import re
import shutil
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from mfgroute.adapters.zeromq.keys import create_keypair
from mfgroute.config.packs import SHIPPED

__all__ = ["Folder", "Occupied", "free_ports"]

NAME = "mfgroute-demo"
_MARK = ".mfgroute-demo"
_VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::-[^}]*)?\}")
#: Below the ports that the system gives to connections, so that nobody takes one in the meantime.
_PORTS = range(20_000, 32_000)


class Occupied(Exception):  # noqa: N818 - says what was found
    """The folder holds something else, or another demo runs in it.

    Attributes:
        held: whether a demo runs there.
    """

    def __init__(self, message: str, *, held: bool) -> None:
        self.held = held
        super().__init__(message)


class Folder:
    """A folder for one demo, held until it is closed.

    Args:
        directory: where; a folder of an earlier demo is replaced. By default ``mfgroute-demo`` here, or a
            temporary folder where nothing can be written.

    Raises:
        Occupied: it holds something else, or another demo runs in it.
        OSError: it cannot be made.
    """

    def __init__(self, directory: Path | None) -> None:
        if directory is None:
            here = Path.cwd()
            directory = here / NAME if os.access(here, os.W_OK) else Path(tempfile.mkdtemp(prefix=f"{NAME}-"))
        self.root = directory.resolve()
        self._held = _hold(self.root)
        for entry in self.root.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != _MARK:
                entry.unlink()
        for made in (self.logs, self.samples):
            made.mkdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._held)

    @property
    def edge(self) -> Path:
        """The project of the edge."""
        return self.root / "edge"

    @property
    def core(self) -> Path:
        """The project of the core."""
        return self.root / "core"

    @property
    def logs(self) -> Path:
        """A log file for each process."""
        return self.root / "logs"

    @property
    def samples(self) -> Path:
        """Every message of the story."""
        return self.root / "samples"

    def write_projects(self, values: Mapping[str, str], *, link_of_edge: int) -> None:
        """Copy both projects, with new keys and with `values` where they have variables.

        What stands in the folder then needs no environment, so commands work on it as it is.

        Args:
            values: of the variables.
            link_of_edge: the port to which the edge connects.
        """
        public = {}
        for project, name in ((self.edge, "edge-1"), (self.core, "core-1")):
            shutil.copytree(SHIPPED / "demo" / project.name, project)
            for made in project.rglob("*"):
                made.chmod(0o755 if made.is_dir() else 0o644)
            public[name] = create_keypair(project / "keys", name)[1].read_text("ascii").strip()
        known = {
            **values,
            "MFGROUTE_EDGE_PUBLIC": public["edge-1"],
            "MFGROUTE_CORE_PUBLIC": public["core-1"],
        }
        for project in (self.edge, self.core):
            file = project / "mfgroute.yaml"
            own = {"MFGROUTE_LINK_PORT": str(link_of_edge)} if project == self.edge else {}
            text = _filled(file.read_text("utf-8"), {**known, **own})
            file.write_text(text, "utf-8")
        (self.edge / "inbox").mkdir()


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: values.get(found[1], found[0]), text)


def _hold(root: Path) -> int:
    """Make the folder ours."""
    found = {entry.name for entry in root.iterdir()} if root.is_dir() else set()
    if found and _MARK not in found:
        raise Occupied(
            f"{root} holds other files, expected an empty folder or one of an earlier demo", held=False
        )
    root.mkdir(parents=True, exist_ok=True)
    held = os.open(root / _MARK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise Occupied(f"another demo runs in {root}", held=True) from None
    return held


def free_ports(count: int) -> list[int]:
    """TCP ports on loopback that nobody uses now, all different."""
    ports = random.SystemRandom().sample(_PORTS, len(_PORTS))
    free: list[int] = []
    for port in ports:
        if len(free) == count:
            break
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        free.append(port)
    return free
