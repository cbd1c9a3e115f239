"""A PostgreSQL server of the tests' own: a new cluster in a folder, over a Unix socket, as a user who is not root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

_NOBODY = 65534


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`; Debian keeps it out of `PATH`."""
    found = shutil.which("pg_ctl")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists()), None)


def why_not() -> str | None:
    """Why no server can be started here."""
    if programs() is None:
        return "PostgreSQL is not installed here"
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL does not run as root, and there is no setpriv"
    return None


class Server:
    """A server that can be stopped as in a crash, and started again."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mfgroute-pg-"))
        self._prefix: list[str] = []
        if os.geteuid() == 0:
            os.chown(self.folder, _NOBODY, _NOBODY)
            self._prefix = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
        self._databases = 0
        small = ("--no-sync", "--wal-segsize=1")
        self._run("initdb", "-A", "trust", "-U", "mfgroute", "--no-locale", "-E", "UTF8", *small)

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-c listen_addresses='' -c fsync=off -k {self.folder}"
        self._run("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def crash(self) -> None:
        """End it at once; its clients lose their connections."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def database(self) -> str:
        """The URL of a new database."""
        self._databases += 1
        name = f"test{self._databases}"
        self._run("createdb", "-U", "mfgroute", "-h", str(self.folder), name, cluster=False)
        return f"postgresql://mfgroute@/{name}?host={self.folder}"

    def close(self) -> None:
        """Stop it and delete everything."""
        if (self.folder / "data" / "postmaster.pid").exists():
            self.crash()
        shutil.rmtree(self.folder)

    def _run(self, program: str, *arguments: str, cluster: bool = True) -> None:
        place = programs()
        assert place is not None
        where = ["-D", str(self.folder / "data")] if cluster else []
        done = subprocess.run(
            [*self._prefix, str(place / program), *where, *arguments],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program != "pg_ctl" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT if program != "pg_ctl" else subprocess.DEVNULL,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{program}: {done.stdout}"
