"""What is printed after the story: what arrived, was done, was rejected and why, and the balance."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mfgroute.testing.demo.balance import Balance
from mfgroute.testing.demo.folder import Folder
from mfgroute.testing.demo.teller import Refused, Snapshot
from mfgroute.testing.story import SYSTEMS

__all__ = ["commands", "print_commands", "print_report"]

_MISCHIEF = {
    "too_many": "429",
    "error": "500",
    "slow": "slow",
    "cut": "cut",
    "refuse": "locked",
    "expired": "token expired",
    "twice": "posted twice",
    "lie": "forgot",
}
_ITEMS = ("received", "accepted", "rejected", "duplicates", "filtered", "dropped")


def print_report(
    console: Console,
    last: Snapshot,
    added: Balance,
    refused: Sequence[Refused],
    elapsed_s: float,
    *,
    outage: bool = False,
) -> None:
    """Print everything that a person wants to know about a run."""
    _arrived(console, last)
    _done(console, last, added)
    _refused(console, last)
    _rejected(console, refused)
    _balance(console, added)
    for difference in added.differences:
        console.print(Text(f"differs: {difference}", "red"), soft_wrap=True)
    verdict = (
        Text("every expected effect happened exactly once; nothing is unaccounted for", "bold green")
        if added.whole
        else Text("this is not what had to happen", "bold red")
    )
    if outage:
        found = f"{added.lost} lost, {added.double} double, {added.out_of_order} out of order"
        console.print(Text(f"after the outage: {found}"))
    console.print(verdict.append(f" ({elapsed_s:.0f} s)", "dim"))


def print_commands(console: Console, lines: Sequence[str], says: str) -> None:
    """Print commands to copy, each on a line of its own."""
    console.print()
    console.print(Text(says))
    for line in lines:
        console.print(Text(f"  {line}", "cyan"), soft_wrap=True)


def commands(
    folder: Folder, refused: Sequence[Refused], samples: dict[str, str], last: Snapshot, *, running: bool
) -> list[str]:
    """Commands that work now: against the running nodes, or on the folder they left."""
    core, edge = _path(folder.core), _path(folder.edge)

    def sample(name: str) -> str:
        return _path(folder.samples / name)

    bad = next((one for one in refused if one.sample.endswith(".xml")), None)
    if not running:
        return [
            f"mfgroute trace {_posted(last)} -c {core}",
            f"mfgroute try {sample(samples['mes-a'])} --source mes-a -c {edge}",
            f"mfgroute try {sample(bad.sample if bad else samples['mes-b'])} --source mes-b -c {edge}",
            f"mfgroute try {sample(samples['erp-orders'])} --source erp-orders -c {core}",
            f"mfgroute eval qms-raised -c {core} < {sample(samples['qms'])}",
        ]
    kept = next((one.number for one in refused if one.number is not None), 1)
    return [
        f"mfgroute trace order/DE04/1004733 -c {core}",
        f"mfgroute reconcile --order 1004733 -c {core}",
        f"mfgroute trace lot/DE07/L26-111901 -c {core}",
        f"mfgroute effects list -c {core}",
        f"mfgroute rejects show {kept} -c {edge}",
        f"mfgroute inbox -c {edge}",
        f"mfgroute try {sample(samples['mes-a'])} --source mes-a -c {edge}",
    ]


def _posted(last: Snapshot) -> str:
    """The number of the first confirmation (a lot's status has none), or an order where there is none."""
    effects = last.ledgers["erp"]["effects"]
    confirmed = (str(one["document"]) for one in effects if one["what"] == "confirmation")
    return next(confirmed, "order/DE04/1004733")


def _path(path: Path) -> str:
    """As short as it can be written from here, and safe in a shell."""
    here = Path(os.path.relpath(path))
    return shlex.quote(str(path if here.parts[0] == ".." else here))


def _table(*titles: str, numbers: int = 0) -> Table:
    """A table without a frame; the last `numbers` columns are numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for at, title in enumerate(titles):
        right = at >= len(titles) - numbers
        table.add_column(title, justify="right" if right else "left", overflow="fold")
    return table


def _arrived(console: Console, last: Snapshot) -> None:
    console.print(Text("\nWhat arrived, at the first node that it met", "bold"))
    table = _table("source", "node", *_ITEMS, numbers=len(_ITEMS))
    for node, stats in (("edge", last.edge), ("core", last.core)):
        for name, source in stats["sources"].items():
            if name != "edges":
                table.add_row(name, node, *(str(source[item]) for item in _ITEMS))
    console.print(table)


def _done(console: Console, last: Snapshot, added: Balance) -> None:
    console.print(Text("\nWhat each system did", "bold"))
    table = _table("system", "effects", "asked again", "misbehaved")
    for system in SYSTEMS:
        kinds = ", ".join(
            f"{count} {kind.replace('_', ' ')}" for kind, count in added.effects[system].items()
        )
        ledger = last.ledgers[system]
        mischief = ", ".join(f"{_MISCHIEF[kind]} {count}x" for kind, count in ledger["misbehaved"].items())
        table.add_row(system, kinds, str(ledger["duplicates"] or ""), mischief)
    console.print(table)


def _refused(console: Console, last: Snapshot) -> None:
    """What systems refused; all of it was done in the end, or the balance says so."""
    refused = Counter(
        (system, one["code"], one["message"])
        for system in SYSTEMS
        for one in last.ledgers[system]["refusals"]
    )
    if not refused:
        return
    console.print(Text("\nWhat a system refused at first", "bold"))
    table = _table("system", "times", "code", "message")
    for (system, code, message), times in refused.items():
        table.add_row(*(Text(_printable(cell)) for cell in (system, str(times), code, message)))
    console.print(table)


def _rejected(console: Console, refused: Sequence[Refused]) -> None:
    console.print(Text("\nWhat was rejected, and why", "bold"))
    table = _table("source", "code", "pointer", "found", "expected")
    for one in refused:
        row = (one.source, one.code, one.pointer, one.found, one.expected)
        table.add_row(*(Text(_printable(cell)) for cell in row))
    console.print(table)


def _balance(console: Console, added: Balance) -> None:
    totals, link = added.totals, added.link
    items = " + ".join(f"{totals[name]} {name}" for name in _ITEMS[1:])
    console.print(Text("\nThe balance", "bold"))
    console.print(Text(f"messages  {totals['received']} received = {items}"))
    names = ("delivered", "queued", "in_flight", "parked", "in_doubt", "skipped")
    console.print(
        Text("systems   " + ", ".join(f"{totals[name]} {name.replace('_', ' ')}" for name in names))
    )
    console.print(
        Text(
            f"link      {link['matched']} sent by the edge = {link['delivered']} acknowledged; "
            f"{link['accepted']} taken by the core"
        )
    )
    console.print(
        Text(f"missing   {totals['unaccounted']} unaccounted", "red" if totals["unaccounted"] else "")
    )
    console.print()


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
