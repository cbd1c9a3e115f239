"""``mfgroute pki``."""

from __future__ import annotations

from pathlib import Path

import click

from mfgroute.cli import show
from mfgroute.cli.app import Group, session
from mfgroute.cli.failures import CANNOT_CREATE, USAGE, Failure


@click.group("pki", cls=Group)
def command() -> None:
    """Make and show keys for the edge link."""


@command.command("create")
@click.argument("name")
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("keys"),
    show_default=True, help="Where the key files go.",
)  # fmt: skip
def create(*, name: str, folder: Path) -> int:
    """Make a key pair for the node NAME; an existing one is never overwritten.

    Examples:
      mfgroute pki create edge-1
    """
    from mfgroute.adapters.zeromq.keys import create_keypair  # noqa: PLC0415 - not for --help

    if (folder / f"{name}.secret").exists() or (folder / f"{name}.public").exists():
        raise Failure(
            f"`{folder / name}` has keys already, and a key is never overwritten",
            code=CANNOT_CREATE,
            hint=f"see them with `mfgroute pki show {folder / name}.public`",
        )
    try:
        secret, public = create_keypair(folder, name)
    except ValueError as error:
        raise Failure(str(error), code=USAGE) from error
    _tell(name, public.read_text(encoding="ascii").strip(), secret=secret, public=public)
    return 0


@command.command("show")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def show_(*, file: Path) -> int:
    """Show the public key of a key file, secret or public; a secret key is never printed.

    Examples:
      mfgroute pki show keys/edge-1.secret
    """
    from mfgroute.adapters.zeromq.keys import load_secret, parse_public, public_text  # noqa: PLC0415

    if file.suffix == ".secret":
        _tell(file.stem, public_text(load_secret(file).public), secret=file)
        return 0
    text = file.read_text(encoding="ascii", errors="replace").strip()
    parse_public(text)
    _tell(file.stem, text, public=file)
    return 0


def _tell(name: str, key: str, *, secret: Path | None = None, public: Path | None = None) -> None:
    """Print the public key and where it goes."""
    if session().json:
        document = {"name": name, "public_key": key}
        files = {"secret_file": secret, "public_file": public}
        document.update({what: str(path) for what, path in files.items() if path is not None})
        show.document(document)
        return
    show.line(key)
    if session().quiet:
        return
    own = secret or f"./keys/{name}.secret"
    show.line()
    show.line(f"if {name} is the edge, the core's source of adapter zeromq gets under `edges`:")
    show.line(f'  - {{id: {name}, key: "{key}"}}')
    show.line(f"if {name} is the core, the edge's sink of adapter zeromq gets:")
    show.line(f'  core_key: "{key}"')
    show.line(f"and {name} itself keeps its secret key, mode 0600, and names it (from the project folder):")
    show.line(f'  secret_key_file: "{own}"')
