"""The node of a project, and questions to it or, where none runs, to its data folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mfgroute.api.client import Control, NotRunning, Refused
from mfgroute.cli import show
from mfgroute.cli.app import session
from mfgroute.cli.failures import PERMISSION, TRY_AGAIN, Failure

#: Requests about dead letters that decide nothing.
_LOOKS = frozenset({"list", "show", "export"})


def data_dir() -> Path:
    """Folder of the node's own files: `$MFGROUTE_DATA_DIR`, or ``node.data_dir`` of the project.

    Only that one value is read, so that an operator needs none of the project's secrets.

    Raises:
        ConfigError: there is no project, or it cannot be read.
    """
    given = os.environ.get("MFGROUTE_DATA_DIR")
    if given:
        return Path(given)
    from mfgroute import _core  # noqa: PLC0415 - not for --help
    from mfgroute.config.substitute import Substitution  # noqa: PLC0415

    file = project_file()
    node = _document().get("node")
    written = node.get("data_dir", "data") if isinstance(node, dict) else "data"
    text = str(written)
    if "${" in text:
        small = _core.parse_yaml(
            f"value: {text!r}".encode(), file.name, Substitution(os.environ, file.parent)
        )
        text = str(small[0]["value"])
    return file.parent / text


def _document() -> dict[str, Any]:
    """The ``mfgroute.yaml`` as it is written, without replacements; empty if it is no map."""
    from mfgroute import _core  # noqa: PLC0415 - not for --help

    file = project_file()
    document, _, _ = _core.parse_yaml(file.read_bytes(), file.name)
    return document if isinstance(document, dict) else {}


def project_file() -> Path:
    """The ``mfgroute.yaml`` that the options mean.

    Raises:
        ConfigError: there is none.
    """
    from mfgroute.config.load import find_project  # noqa: PLC0415 - not for --help

    return find_project(session().project)


def ask(verb: str, *, timeout_s: float = 30.0, **arguments: Any) -> Any:
    """Ask the running node, or open its data folder where none runs.

    Args:
        verb: of the request.
        timeout_s: longest wait for a node's answer.
        arguments: of the request.

    Raises:
        NotRunning: there is none, and nothing is kept without one.
        Refused: it refuses.
        Failure: a process holds the data folder and does not answer, or it is another user's.
    """
    folder = data_dir()
    try:
        control = Control(folder, timeout_s=timeout_s)
    except NotRunning as gone:
        return _offline(folder, verb, arguments, gone)
    try:
        with control:
            return control.ask(verb, **arguments)
    except TimeoutError:
        _refuse_held(folder)
        raise


def _offline(folder: Path, verb: str, arguments: dict[str, Any], gone: NotRunning) -> Any:
    """Answer from the data folder itself."""
    from mfgroute.errors import Locked  # noqa: PLC0415 - only where no node runs
    from mfgroute.runtime import offline  # noqa: PLC0415

    if verb not in offline.VERBS:
        raise gone
    try:
        offline.check(folder)
    except offline.NothingKept:
        _refuse_held(folder)
        raise NotRunning(f"{gone}, and {_why_nothing()}") from None
    except offline.OtherOwner as error:
        hint = "run it as that user, as with `sudo -u`, or start the node"
        raise Failure(str(error), code=PERMISSION, hint=hint) from None
    from mfgroute.project import load_project  # noqa: PLC0415

    project = load_project(project_file())
    try:
        node = offline.Offline(project, folder)
    except Locked:
        _refuse_held(folder)
        raise
    with node:
        _tell(folder, verb, arguments, node.opened)
        return node.ask(verb, **arguments)


def _refuse_held(folder: Path) -> None:
    """End with 75 if a process holds the folder: it does not answer."""
    from mfgroute.runtime.lock import holder  # noqa: PLC0415 - only where no node answers

    who = holder(folder)
    if who is not None:
        message = f"data folder `{folder}` is in use by {who}, which does not answer on its control socket"
        raise Failure(message, code=TRY_AGAIN, hint="it starts, stops or hangs: try again, and see its log")


def _why_nothing() -> str:
    """Why a data folder holds nothing, as far as the project says."""
    streams = _document().get("streams")
    durable = isinstance(streams, dict) and any(
        isinstance(one, dict) and one.get("durability") == "fsync" for one in streams.values()
    )
    if durable:
        return "nothing is kept there yet"
    return "its streams are in memory: nothing is kept without a node"


def _tell(folder: Path, verb: str, arguments: dict[str, Any], opened: list[dict[str, Any]]) -> None:
    """Say to people that no node does what they ask for."""
    one = session()
    if one.json or one.quiet:
        return
    request = arguments.get("request", {})
    looks = verb in {"find", "inbox", "reconcile"} or request.get("verb") in _LOOKS or request.get("dry")
    then = "this is what it has kept" if looks else "this is recorded, and done when one starts"
    show.line(f"no node runs on `{folder}`; {then}", error=True)
    for log in opened:
        if log["torn"]:
            kept = f"quarantine/{log['torn']['kept']}"
            show.line(f"the log of {log['stream']} had a torn tail, kept in {kept}", error=True)


def letters(kind: str, verb: str, **arguments: Any) -> Any:
    """Ask about dead letters; arguments that are `None` are left out."""
    request = {name: value for name, value in arguments.items() if value is not None}
    return ask("dead_letters", request={"kind": kind, "verb": verb, **request})


__all__ = ["Refused", "ask", "data_dir", "letters", "project_file"]
