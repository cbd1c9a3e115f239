"""The command ``mfgroute``.

* `app`: the group, which loads a command when it is used, and the global options.
* `failures`: errors as one sentence, a hint and an exit code.
* `show`: text that is safe to print; tables and JSON.
* `node`: the running node of a project.
* `dryrun`: messages through mappings and routes, without a node.
* `commands`: one file per command.
"""

from __future__ import annotations


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    from mfgroute.cli.app import run  # noqa: PLC0415 - the package itself stays light

    return run(arguments)
