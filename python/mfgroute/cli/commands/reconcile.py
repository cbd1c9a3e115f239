"""``mfgroute reconcile``."""

from __future__ import annotations

from typing import Any

import click

from mfgroute.cli import show
from mfgroute.cli.app import Command, session
from mfgroute.cli.failures import FAILED, OK, UNAVAILABLE, USAGE, Failure

#: Orders in one request, and how long that may take: each target has a time limit of its own for each.
_ORDERS, _TIMEOUT_S = 5, 600.0

Document = dict[str, Any]


@click.command("reconcile", cls=Command)
@click.option("--order", help="Of this order: a number, or a key such as order/DE04/4711.")
@click.option("--since", help="Of all orders of which something came since: a moment, or so long ago as 24h.")
@click.option("--sink", "sinks", multiple=True, help="Compare only this sink; may be given several times.")
def command(*, order: str | None, since: str | None, sinks: tuple[str, ...]) -> int:
    """Compare orders: what plants reported, what was posted, and what the targets say that they hold.

    Targets that can be read are asked; others count by what was delivered to them. Ends with 0 if all agrees,
    with 1 if something differs, and with 69 if a target could not be asked.

    Examples:
      mfgroute reconcile --order 4711
      mfgroute reconcile --since 24h --output json
    """
    from mfgroute.cli.moments import moment  # noqa: PLC0415 - not for --help

    if (order is None) == (since is None):
        raise Failure("give either `--order` or `--since`", code=USAGE)
    since_ms = None if since is None else moment("since", since)
    asked = _ask("orders", order=order, since_ms=since_ms, sinks=list(sinks) or None)
    if order is not None and not asked["orders"]:
        raise Failure(
            f"no order is known as `{order}`", hint="give a key such as order/DE04/4711; see `mfgroute trace`"
        )
    orders: list[Document] = []
    unread: dict[str, str] = {}
    for first in range(0, len(asked["orders"]), _ORDERS):
        some = asked["orders"][first : first + _ORDERS]
        answer = _ask("compare", orders=some, sinks=asked["sinks"])
        orders += answer["orders"]
        unread |= answer["unread"]
    differences = sum(one["differences"] for one in orders)
    if session().json:
        show.document(
            {"orders": orders, "differences": differences, "unread": unread, "sinks": asked["sinks"]}
        )
    else:
        for one in orders:
            if order is not None or one["differences"] or session().verbose:
                _tell(one)
        for sink, why in unread.items():
            show.line(f"{sink} could not be asked, and counts by what was delivered to it: {why}", error=True)
        if not session().quiet:
            wrong = sum(one["differences"] > 0 for one in orders)
            count = f"{len(orders)} order{'s' * (len(orders) != 1)} compared"
            show.line(f"{count}, {wrong} with differences" if wrong else f"{count}, no difference")
    if unread:
        return UNAVAILABLE
    return FAILED if differences else OK


def _tell(one: Document) -> None:
    """Say how one order stands, for people."""
    show.line(one["order"])
    columns = [
        (sink, column)
        for sink in sorted({sink for row in one["rows"] for sink in row["sinks"]})
        for column in ("posted", "held")
        if column == "posted" or any(_of(row, sink).get("held") is not None for row in one["rows"])
    ]
    rows = [
        (f"  {row['name']}", row["reported"], *(_of(row, sink).get(column) for sink, column in columns))
        for row in one["rows"]
    ]
    words = {"posted": "posted", "held": "says"}
    header = ("  what", "reported", *(f"{sink} {words[column]}" for sink, column in columns))
    if rows:
        show.table(rows, header=header)
    for row in one["rows"]:
        for sink, side in row["sinks"].items():
            if side["by_target"]:
                show.line(f"  {sink}: {row['name']} is moved by the target itself")
            if side["difference"] is not None:
                _explain(sink, row["name"], side)
    for note in one["notes"]:
        show.line(f"  {note}")


def _explain(sink: str, name: str, side: Document) -> None:
    """Say what is behind a difference."""
    amount: str = side["difference"]
    less = amount.startswith("-")
    if amount == "0":
        show.line(f"  {sink}: {name} is what was reported, and not all of it was posted from here")
    else:
        show.line(f"  {sink}: {name} is {amount.lstrip('-')} {'less' if less else 'more'} than was reported")
    for event in side["open"]:
        said = f": {event['said']}" if event["said"] else ""
        show.line(
            f"    {event['report']} of {event['amount']} is {event['state']}{said}  (event {event['id']})"
        )
    for document in side.get("unknown_documents", ()):
        show.line(f"    document {document} was not posted from here")
    for event in side.get("missing_documents", ()):
        show.line(
            f"    {event['report']} of {event['amount']} was posted as {event['document']}, "
            f"which does not count there  (event {event['id']})"
        )


def _of(row: Document, sink: str) -> Document:
    found: Document = row["sinks"].get(sink, {})
    return found


def _ask(verb: str, **request: Any) -> Any:
    from mfgroute.cli.node import ask  # noqa: PLC0415 - not for --help

    given = {name: value for name, value in request.items() if value is not None}
    return ask("reconcile", timeout_s=_TIMEOUT_S, request={"verb": verb, **given})
