"""A project as it stood in a commit, read with the git that is installed; nothing is checked out."""

from __future__ import annotations

import posixpath
import subprocess
from pathlib import Path

from mfgroute.config.documents import Folder, Place
from mfgroute.errors import UnknownName

__all__ = ["Commit", "at"]

_REGULAR = ("100644", "100755")


def at(root: Path, ref: str) -> Commit:
    """The project folder `root` as it stood in the commit that `ref` names.

    Raises:
        UnknownName: the folder is in no repository, or nothing has this name.
        OSError: git cannot be run.
    """
    found = _git(root, "rev-parse", "--show-toplevel", "--show-prefix")
    if found is None:
        raise UnknownName(f"`{root}` is in no git repository")
    top, prefix = found.decode().split("\n")[:2]
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if commit is None:
        raise UnknownName(f"git knows no commit `{ref}`\nname a branch, a tag or a commit, such as main")
    return Commit(Path(top), commit.decode().strip(), prefix.rstrip("/"))


class Commit(Place):
    """A folder in a commit.

    Args:
        top: where the repository lies.
        commit: the commit's hash.
        folder: path from the top; empty for the top itself.
    """

    def __init__(self, top: Path, commit: str, folder: str) -> None:
        self._top = top
        self._commit = commit
        self._folder = folder

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder; links are left out."""
        path = posixpath.join(self._folder, folder)
        listed = _git(self._top, "ls-tree", "-z", self._commit, "--", f"{path}/") or b""
        found = []
        for line in listed.decode("utf-8", "surrogateescape").split("\0"):
            told, _, name = line.partition("\t")
            if told.startswith(_REGULAR):
                found.append(posixpath.basename(name))
        return sorted(found)

    def content(self, file: str) -> bytes | None:
        """A file's bytes."""
        path = posixpath.join(self._folder, file)
        return _git(self._top, "cat-file", "blob", f"{self._commit}:{path}")

    def beside(self, folder: str) -> Place:
        """A folder that is named from here; outside of the repository it is as it is now."""
        path = posixpath.normpath(posixpath.join(self._folder, folder))
        if path.startswith(("..", "/")):
            return Folder(self._top / path)
        return Commit(self._top, self._commit, "" if path == "." else path)


def _git(folder: Path, *arguments: str) -> bytes | None:
    """What git prints, or `None` when it fails."""
    done = subprocess.run(  # noqa: S603 - fixed commands; names follow `--` or `--end-of-options`
        ["git", "-C", str(folder), *arguments],  # noqa: S607 - the git of the person who asks
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return done.stdout if done.returncode == 0 else None
