"""``mfgroute run``."""

from __future__ import annotations

import os
from typing import Any

import click

from mfgroute.cli import show
from mfgroute.cli.app import Command, session
from mfgroute.cli.failures import FAILED, Failure


@click.command("run", cls=Command)
@click.option("--watch", is_flag=True, help="Reload when a file of the project changes.")
@click.option(
    "--drain", default=30.0, type=click.FloatRange(0), metavar="SECONDS", show_default=True,
    help="How long sinks may go on after the first SIGTERM.",
)  # fmt: skip
def command(*, watch: bool, drain: float) -> int:
    """Run a node until it is told to stop.

    SIGTERM or Ctrl-C drains, a second one stops at once, SIGHUP reloads. The log goes to standard error,
    one JSON object per line.

    Examples:
      mfgroute run
      mfgroute run -c plant/ --watch
    """
    from mfgroute.api.node import run  # noqa: PLC0415 - not for --help
    from mfgroute.config.load import find_project  # noqa: PLC0415

    one = session()
    level = "debug" if one.verbose else "warning" if one.quiet else "info"
    left = run(
        find_project(one.project),
        data_dir=os.environ.get("MFGROUTE_DATA_DIR") or None,
        drain_timeout_s=drain,
        watch=watch,
        log_level=level,
        on_ready=_ready,
    )
    if left:
        raise Failure(
            f"{left} event{'s were' if left != 1 else ' was'} not delivered; "
            f"a memory stream loses {'them' if left != 1 else 'it'}",
            code=FAILED,
            hint="a longer --drain gives sinks more time; `mfgroute inbox` names what is set aside",
        )
    return 0


def _ready(router: Any) -> None:
    """Say where the node is, in one line; whoever started it waits for that."""
    import sys  # noqa: PLC0415 - only here

    url = None
    if router.address is not None:
        host, port = router.address[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    folder = str(router.data_dir.resolve())
    node = router.project.model.node.id
    if session().json:
        show.document({"ready": True, "node": node, "url": url, "data_dir": folder, "pid": os.getpid()})
    else:
        listens = f" listens on {url}," if url else ""
        show.line(f"ready: {node}{listens} data in {folder}")
    sys.stdout.flush()
