"""The running node of a project: where its control socket is, and questions to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mfgroute.api.client import Control, Refused
from mfgroute.cli.app import session


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
    document, _, _ = _core.parse_yaml(file.read_bytes(), file.name)
    node = document.get("node") if isinstance(document, dict) else None
    written = node.get("data_dir", "data") if isinstance(node, dict) else "data"
    text = str(written)
    if "${" in text:
        small = _core.parse_yaml(
            f"value: {text!r}".encode(), file.name, Substitution(os.environ, file.parent)
        )
        text = str(small[0]["value"])
    return file.parent / text


def project_file() -> Path:
    """The ``mfgroute.yaml`` that the options mean.

    Raises:
        ConfigError: there is none.
    """
    from mfgroute.config.load import find_project  # noqa: PLC0415 - not for --help

    return find_project(session().project)


def ask(verb: str, **arguments: Any) -> Any:
    """Ask the running node.

    Raises:
        NotRunning: there is none.
        Refused: it refuses.
    """
    with Control(data_dir()) as control:
        return control.ask(verb, **arguments)


def letters(kind: str, verb: str, **arguments: Any) -> Any:
    """Ask about dead letters; arguments that are `None` are left out."""
    request = {name: value for name, value in arguments.items() if value is not None}
    return ask("dead_letters", request={"kind": kind, "verb": verb, **request})


__all__ = ["Refused", "ask", "data_dir", "letters", "project_file"]
