"""``mfgroute rejects``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mfgroute.cli import show
from mfgroute.cli.app import Group, session
from mfgroute.cli.failures import DATA, OK, USAGE, Failure

_NUMBER = click.argument("number", type=click.IntRange(min=0))
_SOURCE = click.option("--source", help="Only those of this source.")
_CODE = click.option("--code", help="Only those with this reject code.")
_ANSWERED = click.option(
    "--answered", is_flag=True, help="Those whose sender was told at once; nobody has to answer them."
)


@click.group("rejects", cls=Group)
def command() -> None:
    """Look at rejected messages; retry, edit or skip them."""


@command.command("list")
@_SOURCE
@_CODE
@_ANSWERED
def list_(*, source: str | None, code: str | None, answered: bool) -> int:
    """List rejected messages, oldest first.

    Examples:
      mfgroute rejects list --source mes --code lookup_missing
    """
    from mfgroute.cli.dryrun import reject_text  # noqa: PLC0415 - not for --help
    from mfgroute.cli.node import letters  # noqa: PLC0415

    found = letters("rejects", "list", source=source, code=code, answered=answered)
    if session().json:
        show.document(found)
        return 0
    if not found:
        show.line("no rejected message waits" if not answered else "no rejected message is kept")
        return 0
    rows = []
    for one in found:
        first = reject_text(one["rejects"][0]) if one["rejects"] else ""
        more = f" (and {len(one['rejects']) - 1} more)" if len(one["rejects"]) > 1 else ""
        rows.append((one["number"], one["source"], show.age(one["since"]), first + more))
    show.table(rows, header=("number", "source", "age", "why"))
    return 0


@command.command("show")
@_NUMBER
def show_(*, number: int) -> int:
    """Show a rejected message: every reason, its attributes and its text.

    Examples:
      mfgroute rejects show 3
    """
    from mfgroute.cli.dryrun import reject_text  # noqa: PLC0415 - not for --help
    from mfgroute.cli.node import letters  # noqa: PLC0415

    one = letters("rejects", "show", number=number)
    if session().json:
        show.document(one)
        return 0
    show.line(f"message {one['number']} of {one['source']}, {one['since']} ({show.age(one['since'])} ago)")
    for reject in one["rejects"]:
        show.line(f"  {reject_text(reject)}")
    for name, value in sorted((one.get("meta") or {}).items()):
        show.line(f"  {name} = {value}")
    for text in one.get("message", f"(hex) {one.get('message_hex', '')}").splitlines():
        show.line(f"  | {text}")
    show.line(f"next: mend the mapping or lookup, reload, then mfgroute rejects retry {number}")
    return 0


@command.command("retry")
@click.argument("number", type=click.IntRange(min=0), required=False)
@_SOURCE
@_CODE
def retry(*, number: int | None, source: str | None, code: str | None) -> int:
    """Submit a rejected message again, or all of a code or source.

    What would be refused again stays where it is. Ends with 65 if anything does.

    Examples:
      mfgroute rejects retry 3
      mfgroute rejects retry --code lookup_missing --source mes
    """
    from mfgroute.cli.node import letters  # noqa: PLC0415 - not for --help

    if number is None and source is None and code is None:
        raise Failure("which messages?", code=USAGE, hint="give a number, or --code and/or --source")
    if number is not None and (source or code):
        raise Failure("a number excludes --code and --source", code=USAGE)
    answer = letters("rejects", "retry", number=number, source=source, code=code)
    return _tell(answer if isinstance(answer, list) else [answer])


@command.command("edit")
@_NUMBER
@click.option(
    "--message", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Take the corrected message from this file instead of opening $EDITOR.",
)  # fmt: skip
def edit(*, number: int, file: Path | None) -> int:
    """Correct a rejected message and submit it.

    Examples:
      mfgroute rejects edit 3
      mfgroute rejects edit 3 --message corrected.json
    """
    from mfgroute.cli.node import letters  # noqa: PLC0415 - not for --help

    if file is not None:
        try:
            text = file.read_bytes().decode()
        except UnicodeDecodeError as error:
            raise Failure(f"`{file}` is not UTF-8 at byte {error.start}", code=DATA) from error
    else:
        one = letters("rejects", "show", number=number)
        if "message" not in one:
            raise Failure(f"message {number} is not text", code=USAGE, hint="add --message FILE")
        edited = click.edit(one["message"], require_save=True)
        if edited is None or edited.rstrip("\n") == one["message"].rstrip("\n"):
            raise Failure(f"message {number} was not changed; nothing is submitted")
        text = edited if one["message"].endswith("\n") else edited.removesuffix("\n")
    return _tell([letters("rejects", "edit", number=number, message=text)])


@command.command("skip")
@_NUMBER
@click.option("--reason", required=True, help="Why; it goes to the node's log.")
def skip(*, number: int, reason: str) -> int:
    """Put a rejected message aside for good; no event comes of it.

    Examples:
      mfgroute rejects skip 3 --reason "a test message"
    """
    from mfgroute.cli.node import letters  # noqa: PLC0415 - not for --help

    if not reason.strip():
        raise Failure("the reason is empty, expected a sentence for those who ask later", code=USAGE)
    answer = letters("rejects", "skip", number=number, why=reason)
    if session().json:
        show.document({**answer, "number": number})
    elif not session().quiet:
        show.line(f"message {number} is put aside: no event ever comes of it")
    return 0


@command.command("export")
@_SOURCE
@_CODE
@_ANSWERED
@click.option(
    "--to", "file", type=click.Path(path_type=Path, dir_okay=False), help="A new file; default: print."
)
def export(*, source: str | None, code: str | None, answered: bool, file: Path | None) -> int:
    """Write rejected messages whole as JSON lines.

    Examples:
      mfgroute rejects export --source mes --to rejects.jsonl
    """
    from mfgroute.cli.commands.parked import export_lines  # noqa: PLC0415 - not for --help
    from mfgroute.cli.node import letters  # noqa: PLC0415

    export_lines(letters("rejects", "export", source=source, code=code, answered=answered), file)
    return 0


def _tell(answers: list[dict[str, Any]]) -> int:
    """Print what became of messages that were submitted again."""
    from mfgroute.cli.dryrun import reject_text  # noqa: PLC0415 - not for --help

    refused = [one for one in answers if one.get("rejected")]
    if session().json:
        show.document(answers)
        return DATA if refused else OK
    if not answers:
        show.line("no rejected message matches")
    for one in answers:
        if one.get("rejected"):
            show.line(f"message {one['number']} of {one['source']} is rejected again and stays:")
            for reject in one["rejected"]:
                show.line(f"  {reject_text(reject)}")
        else:
            counts = [
                f"{one[name]} {name}" for name in ("accepted", "duplicates", "filtered") if one.get(name)
            ]
            show.line(
                f"message {one['number']} of {one['source']}: {', '.join(counts) or 'nothing came of it'}"
            )
    return DATA if refused else OK
