"""``mfgroute pki``."""

from __future__ import annotations

from pathlib import Path

import click

from mfgroute.cli import show
from mfgroute.cli.app import Group, session
from mfgroute.cli.failures import CANNOT_CREATE, USAGE, Failure

_FOLDER = click.option(
    "--data-dir", "folder", type=click.Path(path_type=Path),
    help="The data folder; default: $MFGROUTE_DATA_DIR, or node.data_dir of the project.",
)  # fmt: skip


@click.group("pki", cls=Group)
def command() -> None:
    """Keys of the edge link, and the certificates of OPC UA servers."""


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


@command.command("list")
@_FOLDER
@click.option("--source", help="Only what this source was shown.")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(0, 3600), default=0.0, metavar="SECONDS",
    help="How long to wait for a certificate that waits for approval, if there is none.",
)  # fmt: skip
def list_(*, folder: Path | None, source: str | None, wait_s: float) -> int:
    """List the certificates of OPC UA servers: approved, waiting for approval, refused, rejected.

    `refused` is what a check said, and no approval mends it. A node may run meanwhile.

    Examples:
      mfgroute pki list
      mfgroute pki list --source press-7 --output json
    """
    from mfgroute.cli import servers  # noqa: PLC0415 - not for --help

    rows = servers.rows(servers.where(folder, there=False), source, wait_s=wait_s)
    if session().json:
        show.document({"certificates": rows})
    elif rows:
        header = ("source", "state", "sha256", "subject", "until", "why")
        shown = [[row["source"], row["state"], row["sha256"], row["subject"], row["not_after"], row["why"]]
                 for row in rows]  # fmt: skip
        show.table(shown, header=header)
    elif not session().quiet:
        show.line("no server has shown a certificate yet")
    return 0


@command.command("trust")
@click.argument("source")
@click.argument("fingerprint", required=False)
@click.option(
    "--certificate", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Approve the certificate of this file (PEM or DER), before the server has shown it.",
)  # fmt: skip
@click.option("--reason", required=True, help="Why; it is recorded with who approved it.")
@_FOLDER
def trust(
    *, source: str, fingerprint: str | None, file: Path | None, reason: str, folder: Path | None
) -> int:
    """Approve the certificate with this SHA-256 for the server of SOURCE; the one before it ends.

    FINGERPRINT is the SHA-256 in hex, or its first 16 digits or more, with or without colons. Compare it
    with what the machine itself shows, not with what came over the network. The source connects at its next
    attempt, within about half a minute. A certificate that a check refused cannot be approved.

    Examples:
      mfgroute pki trust press-7 3f5c0e9d1b7a4c2e --reason "read from the panel of the press"
      mfgroute pki trust press-7 --certificate press-7.der --reason "exported by the machine builder"
    """
    from mfgroute.cli import servers  # noqa: PLC0415 - not for --help

    servers.sentence(reason)
    row = servers.trust(servers.where(folder), source, fingerprint, file, reason)
    if session().json:
        show.document(row)
    else:
        show.line(f"{source}: approved sha256 {row['sha256']} ({row['subject']}), by {row['by']}")
    return 0


@command.command("reject")
@click.argument("source")
@click.argument("fingerprint")
@click.option("--reason", required=True, help="Why; it is recorded with who rejected it.")
@_FOLDER
def reject(*, source: str, fingerprint: str, reason: str, folder: Path | None) -> int:
    """Never believe the certificate with this SHA-256; a connection that uses it ends at once.

    Examples:
      mfgroute pki reject press-7 3f5c0e9d1b7a4c2e --reason "not the one of the panel"
    """
    from mfgroute.cli import servers  # noqa: PLC0415 - not for --help

    servers.sentence(reason)
    row = servers.reject(servers.where(folder), source, fingerprint, reason)
    if session().json:
        show.document(row)
    else:
        show.line(f"{source}: rejected sha256 {row['sha256']} ({row['subject']}), by {row['by']}")
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
