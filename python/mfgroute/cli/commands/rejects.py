"""``mfgroute rejects``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mfgroute.cli import show
from mfgroute.cli.app import Group, session
from mfgroute.cli.failures import DATA, OK, TRY_AGAIN, USAGE, Failure

_SHOWN = 20

_NUMBER = click.argument("number", type=click.IntRange(min=0))
_SOURCE = click.option("--source", help="Only those of this source.")
_CODE = click.option("--code", help="Only those with this reject code.")
_REASON = click.option("--reason", help="Why; it is recorded with who did it.")
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
        if one["behind"] is not None and all(why["code"] == "key_held" for why in one["rejects"]):
            first = f"waiting behind {one['behind']}"
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
@_REASON
def retry(*, number: int | None, source: str | None, code: str | None, reason: str | None) -> int:
    """Submit a rejected message again, or all of a code or source, oldest first.

    What is rejected again stays where it is. Ends with 65 if anything does.

    Examples:
      mfgroute rejects retry 3
      mfgroute rejects retry --code lookup_missing --source mes --reason "work centers are complete"
    """
    from mfgroute.cli.node import letters  # noqa: PLC0415 - not for --help

    if number is None and source is None and code is None:
        raise Failure("which messages?", code=USAGE, hint="give a number, or --code and/or --source")
    if number is not None and (source or code):
        raise Failure("a number excludes --code and --source", code=USAGE)
    if number is None:
        return _retry_all(source=source, code=code, reason=reason)
    return _tell(letters("rejects", "retry", number=number, why=reason))


@command.command("edit")
@_NUMBER
@_REASON
@click.option(
    "--message", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Take the corrected message from this file instead of opening $EDITOR.",
)  # fmt: skip
def edit(*, number: int, file: Path | None, reason: str | None) -> int:
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
    return _tell(letters("rejects", "edit", number=number, message=text, why=reason))


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


def _retry_all(*, source: str | None, code: str | None, reason: str | None) -> int:
    """Submit all messages again that the node had of a cause when this began, and print what came of them."""
    from mfgroute.cli.node import letters  # noqa: PLC0415 - not for --help

    counts = dict.fromkeys(("admitted", "accepted", "duplicates", "filtered", "refused"), 0)
    codes: dict[str, int] = {}
    again: list[dict[str, Any]] = []
    place: dict[str, Any] = {}
    while True:
        answer = letters("rejects", "retry", source=source, code=code, why=reason, **place)
        for name in counts:
            counts[name] += answer[name]
        for name, number in answer["codes"].items():
            codes[name] = codes.get(name, 0) + number
        again = (again + answer["again"])[:_SHOWN]
        place = {"from": answer["next"], "until": answer["until"]}
        if answer["next"] is None:
            break
    stopped = answer["stopped"]
    if session().json:
        still = {"still_rejected": answer["left"], "stopped": stopped, "again": again}
        show.document({**counts, "codes": codes, **still})
    else:
        _tell_all(counts, codes, again, answer["left"])
    if stopped is not None:
        raise Failure(stopped, code=TRY_AGAIN, hint="what was not reached is still rejected; retry later")
    return DATA if counts["refused"] else OK


def _tell_all(counts: dict[str, int], codes: dict[str, int], again: list[dict[str, Any]], left: int) -> None:
    if not counts["admitted"] and not counts["refused"]:
        show.line("no rejected message matches" if not left else "nothing was admitted")
        return
    show.line(f"{_messages(counts['admitted'])} admitted: {_counted(counts)}")
    if counts["refused"]:
        causes = ", ".join(f"{name} {number}" for name, number in sorted(codes.items()))
        show.line(f"{_messages(counts['refused'])} rejected again: {causes}")
    for one in again:
        _tell_refused(one)
    if counts["refused"] > len(again):
        show.line(f"and {counts['refused'] - len(again)} more")
    show.line(f"{_messages(left)} still rejected")


def _messages(number: int) -> str:
    return f"{number} message{'s' * (number != 1)}"


def _counted(counts: dict[str, Any]) -> str:
    some = [f"{counts[name]} {name}" for name in ("accepted", "duplicates", "filtered") if counts.get(name)]
    return ", ".join(some) or "nothing came of it"


def _tell_refused(one: dict[str, Any]) -> None:
    from mfgroute.cli.dryrun import reject_text  # noqa: PLC0415 - not for --help

    show.line(f"message {one['number']} of {one['source']} is rejected again and stays:")
    for reject in one["rejected"]:
        show.line(f"  {reject_text(reject)}")


def _tell(one: dict[str, Any]) -> int:
    """Print what became of a message that was submitted again."""
    if session().json:
        show.document(one)
    elif one["rejected"]:
        _tell_refused(one)
    else:
        show.line(f"message {one['number']} of {one['source']}: {_counted(one)}")
    return DATA if one["rejected"] else OK
