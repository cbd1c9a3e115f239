"""``mfgroute inbox``."""

from __future__ import annotations

import shlex
from typing import Any

import click

from mfgroute.cli import show
from mfgroute.cli.app import Command, session

#: Causes in the words of the people who read them.
CAUSES = {
    "refused": "refused",
    "tries": "gave up after its tries",
    "in_doubt": "sent, no answer",
    "behind": "waiting behind",
}


@click.command("inbox", cls=Command)
def command() -> int:
    """List everything that waits for a person, grouped by cause, oldest first, with the next command.

    Examples:
      mfgroute inbox
      mfgroute inbox --output json
    """
    from mfgroute.cli.node import ask  # noqa: PLC0415 - not for --help

    # A node of an earlier version says less.
    found = {"notes": [], **ask("inbox")}
    groups = grouped(found["waiting"])
    if session().json:
        parts = {name: found[name] for name in ("paused", "parts", "problems", "notes")}
        show.document({"groups": groups, **parts})
        return 0
    if not any((groups, found["paused"], found["parts"], found["problems"], found["notes"])):
        show.line("nothing waits for a person")
    for group in groups:
        show.line(f"{group['cause']} ({len(group['items'])})")
        for item in group["items"]:
            behind = f", {item['behind']} waiting behind" if item.get("behind") else ""
            reason = f": {item['reason']}" if item.get("reason") else ""
            show.line(f"  {show.age(item['since']):>6}  {item['what']}{behind}{reason}")
            show.line(f"          {item['next']}")
    for sink in found["paused"]:
        waits = f"{sink['waiting']} event{'s' * (sink['waiting'] != 1)}"
        show.line(f"sink {sink['sink']} is paused; {waits} waiting")
        show.line(f"          mfgroute resume {shlex.quote(sink['sink'])}")
    for part in found["parts"]:
        detail = f": {part['detail']}" if part.get("detail") else ""
        show.line(f"{part['kind']} {part['name']} is {part['state']}{detail}")
    for problem in found["problems"]:
        show.line(f"problem: {problem}")
    for note in found["notes"]:
        show.line(note)
    return 0


def grouped(waiting: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lines of the inbox by cause; the group with the oldest line first."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in waiting:
        cause, item = _line(one)
        groups.setdefault(cause, []).append(item)
    return [{"cause": cause, "items": items} for cause, items in groups.items()]


def _line(one: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The cause of a line, and what is shown of it."""
    if one["kind"] == "reject":
        source, number = one["source"], one["number"]
        item = {"what": f"message {number} of {source}", "next": f"mfgroute rejects show {number}"}
        return f"{source}: rejected, {one['code'] or 'no code'}", {**one, **item}
    if one["kind"] == "stopped":
        item = {
            "what": f"sink {one['sink']} has stopped: its bound on parked events is reached",
            "next": f"mfgroute parked list --sink {shlex.quote(one['sink'])}",
        }
        return f"{one['sink']}: stopped", {**one, **item}
    code = f" {one['code']}" if one.get("code") else ""
    item = {
        "what": one["key"],
        "next": f"mfgroute parked show {one['number']} --sink {shlex.quote(one['sink'])}",
    }
    return f"{one['sink']}: {CAUSES.get(one['cause'], one['cause'])}{code}", {**one, **item}
