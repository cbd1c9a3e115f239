"""``mfgroute parked``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mfgroute.cli import show
from mfgroute.cli.app import Group, session
from mfgroute.cli.failures import DATA, FAILED, OK, USAGE, Failure

_SINK = click.option("--sink", help="Of this sink; may be left out where the number is enough.")
_NUMBER = click.argument("number", type=click.IntRange(min=0))


@click.group("parked", cls=Group)
def command() -> None:
    """Look at parked events; retry, edit or skip them."""


@command.command("list")
@click.option("--sink", help="Only those of this sink.")
def list_(*, sink: str | None) -> int:
    """List parked events, oldest first.

    Examples:
      mfgroute parked list --sink sap
    """
    from mfgroute.cli.commands.inbox import CAUSES  # noqa: PLC0415 - not for --help
    from mfgroute.cli.node import letters  # noqa: PLC0415

    found = sorted(letters("parked", "list", sink=sink), key=lambda one: (one["since"], one["number"]))
    if session().json:
        show.document(found)
        return 0
    if not found:
        show.line("nothing is parked")
        return 0
    rows = [
        (
            one["number"],
            one["sink"],
            show.age(one["since"]),
            one["key"],
            _short(one.get("type", "")),
            " ".join(filter(None, (CAUSES.get(one["cause"], one["cause"]), one["code"]))),
            "" if one["cause"] == "behind" else one["reason"],
        )
        for one in found
    ]
    show.table(rows, header=("number", "sink", "age", "order", "what", "cause", "the target's message"))
    return 0


@command.command("show")
@_NUMBER
@_SINK
def show_(*, number: int, sink: str | None) -> int:
    """Show a parked event: why, since when, and the event itself.

    Examples:
      mfgroute parked show 3 --sink sap
    """
    from mfgroute.cli.commands.inbox import CAUSES  # noqa: PLC0415 - not for --help
    from mfgroute.cli.node import letters  # noqa: PLC0415

    one = letters("parked", "show", number=number, sink=_sink(number, sink))
    if session().json:
        show.document(one)
        return 0
    cause = f"{CAUSES.get(one['cause'], one['cause'])} {one['code'] or ''}".rstrip()
    show.line(f"{one['sink']} {one['number']}: {cause}")
    show.table(
        [
            ("  order", one["key"]),
            ("  what", one.get("type", "")),
            (
                "  parked",
                f"{one['since']} ({show.age(one['since'])} ago), after {one['tries']} counted tries",
            ),
            ("  admitted", one["admitted"]),
            ("  message", one["reason"]),
        ]
    )
    show.pretty(one.get("event"), "  ")
    for verb in ("retry", "skip"):
        reason = " --reason …" if verb == "skip" else ""
        show.line(f"next: mfgroute parked {verb} {one['number']} --sink {one['sink']}{reason}")
    return 0


@command.command("edit")
@_NUMBER
@_SINK
@click.option(
    "--file", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The new `data` as JSON, whole.",
)  # fmt: skip
@click.option(
    "--set", "values", multiple=True, metavar="POINTER=VALUE",
    help="Change one value of `data`: RFC 6901 pointer and text; may be given several times.",
)  # fmt: skip
@click.option("--reason", required=True, help="Why; it is recorded with who did it.")
def edit(*, number: int, sink: str | None, file: Path | None, values: tuple[str, ...], reason: str) -> int:
    """Send another event in the place of a parked one.

    The new event has an id of its own and names the old one, which is superseded at this sink. The contract
    must allow its data, and what makes its key must stay as it is; if not, nothing changes (exit code 65).

    Examples:
      mfgroute parked edit 3 --sink sap --set /posting_date=2026-10-01 --reason "September is closed"
      mfgroute parked edit 3 --sink sap --file corrected.json --reason "wrong unit, see ticket 4711"
    """
    from mfgroute.cli.dryrun import reject_text  # noqa: PLC0415 - not for --help
    from mfgroute.cli.node import letters  # noqa: PLC0415

    if (file is None) == (not values):
        raise Failure("give either --file or --set", code=USAGE)
    if not reason.strip():
        raise Failure("the reason is empty, expected a sentence for those who ask later", code=USAGE)
    change: dict[str, Any] = {"set": [_pair(value) for value in values]}
    if file is not None:
        try:
            change = {"data": file.read_bytes().decode()}
        except UnicodeDecodeError as error:
            raise Failure(f"`{file}` is not UTF-8 at byte {error.start}", code=DATA) from error
    name = _sink(number, sink)
    answer = letters("parked", "edit", number=number, sink=name, why=reason, **change)
    if session().json:
        show.document({**answer, "number": number, "sink": name})
        return DATA if answer["rejected"] else OK
    if answer["rejected"]:
        show.line(f"event {number} stays as it is:")
        for reject in answer["rejected"]:
            show.line(f"  {reject_text(reject)}")
        return DATA
    if not session().quiet:
        show.line(f"event {number} of {name} is superseded by {answer['id']}, which goes in its place")
    return OK


def _pair(text: str) -> list[str]:
    """Pointer and value of `--set`."""
    pointer, equals, value = text.partition("=")
    if not equals or not pointer.startswith("/"):
        raise Failure(
            f"`--set {text}` is not POINTER=VALUE", code=USAGE, hint="for example --set /quantity/good=12"
        )
    return [pointer, value]


@command.command("retry")
@_NUMBER
@_SINK
def retry(*, number: int, sink: str | None) -> int:
    """Send a parked event again.

    Examples:
      mfgroute parked retry 3 --sink sap
    """
    from mfgroute.cli.node import letters  # noqa: PLC0415 - not for --help

    name = _sink(number, sink)
    answer = letters("parked", "retry", number=number, sink=name)
    _done({**answer, "sink": name}, f"event {number} is sent to {name} again; see `mfgroute parked list`")
    return 0


@command.command("retry-key")
@click.argument("key")
@_SINK
def retry_key(*, key: str, sink: str | None) -> int:
    """Send all parked events of KEY again, in order.

    Examples:
      mfgroute parked retry-key order/DE04/4711 --sink sap
    """
    from mfgroute.cli.node import letters  # noqa: PLC0415 - not for --help

    if sink is None:
        sinks = sorted({one["sink"] for one in letters("parked", "list") if one["key"] == key})
        if not sinks:
            raise Failure(f"nothing of `{key}` is parked", code=FAILED, hint="see `mfgroute parked list`")
        sink = _only(sinks, f"`{key}` is parked at several sinks")
    answer = letters("parked", "retry-key", key=key, sink=sink)
    number = answer["retried"]
    _done(
        {**answer, "sink": sink, "key": key},
        f"{number} event{'s' * (number != 1)} of {key} go to {sink} again, in order",
    )
    return 0


@command.command("skip")
@_NUMBER
@_SINK
@click.option("--reason", required=True, help="Why; it stays with the event.")
@click.option("--posted-as", metavar="DOC", help="The document by which a person has booked it by hand.")
def skip(*, number: int, sink: str | None, reason: str, posted_as: str | None) -> int:
    """Never send a parked event to its sink; what waits behind it goes on.

    Examples:
      mfgroute parked skip 3 --sink sap --reason "order was cancelled"
      mfgroute parked skip 3 --sink sap --reason "booked in the morning" --posted-as 4900012345
    """
    from mfgroute.cli.node import letters  # noqa: PLC0415 - not for --help

    if not reason.strip():
        raise Failure("the reason is empty, expected a sentence for those who ask later", code=USAGE)
    name = _sink(number, sink)
    one = letters("parked", "show", number=number, sink=name)
    answer = letters("parked", "skip", number=number, sink=name, why=reason, posted_as=posted_as)
    how = f"it counts as posted by hand as {posted_as}" if posted_as else f"{name} never gets it"
    _done(
        {**answer, "sink": name, "key": one["key"], "id": one.get("id"), "posted_as": posted_as},
        f"event {number} of {one['key']} is skipped: {how}; later events of the key go on",
    )
    return 0


@command.command("export")
@click.option("--sink", help="Only those of this sink.")
@click.option(
    "--to", "file", type=click.Path(path_type=Path, dir_okay=False), help="A new file; default: print."
)
def export(*, sink: str | None, file: Path | None) -> int:
    """Write parked events with their CloudEvents as JSON lines.

    Examples:
      mfgroute parked export --sink sap --to parked.jsonl
    """
    from mfgroute.cli.node import letters  # noqa: PLC0415 - not for --help

    export_lines(letters("parked", "export", sink=sink), file)
    return 0


def export_lines(found: list[dict[str, Any]], file: Path | None) -> None:
    """Write JSON lines to a new file that only its owner may read, or print them."""
    if file is None:
        for one in found:
            show.document(one)
        return
    import os  # noqa: PLC0415 - only needed here

    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in found)
    _done({"exported": len(found), "file": str(file)}, f"{len(found)} written to {file}")


def _sink(number: int, sink: str | None) -> str:
    """The sink that is meant: the one given, or the only one with this number."""
    from mfgroute.cli.node import letters  # noqa: PLC0415 - not for --help

    if sink is not None:
        return sink
    sinks = sorted({one["sink"] for one in letters("parked", "list") if one["number"] == number})
    if not sinks:
        raise Failure(f"there is no parked event {number}", hint="see `mfgroute parked list`")
    return _only(sinks, f"several sinks have a parked event {number}")


def _only(sinks: list[str], message: str) -> str:
    if len(sinks) > 1:
        raise Failure(message, code=USAGE, hint=f"add --sink {' | '.join(sinks)}")
    return sinks[0]


def _done(document: dict[str, Any], text: str) -> None:
    if session().json:
        show.document(document)
    elif not session().quiet:
        show.line(text)


def _short(type_: str) -> str:
    """A type without its namespace's first parts, for a narrow column."""
    return ".".join(type_.split(".")[-4:])
