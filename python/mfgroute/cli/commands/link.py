"""``mfgroute link``."""

from __future__ import annotations

import time
from typing import Any

import click

from mfgroute.cli import show
from mfgroute.cli.app import Group, session
from mfgroute.cli.failures import FAILED, OK, USAGE, Failure

#: An edge that was silent for so long is not there: three heartbeats.
_SILENT_S = 15.0
_LOOK_S = 0.25


@click.group("link", cls=Group)
def command() -> None:
    """Look at the edge link, on an edge or in the core; let an edge go on after a fork."""


@command.command("status")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(0, 86_400), default=0.0, metavar="SECONDS",
    help="Wait up to so long until all is well and, on an edge, nothing waits any more.",
)  # fmt: skip
def status(*, wait_s: float) -> int:
    """Say how the edge links of the running node stand, in words.

    On an edge: whether it is connected, what waits and for how long, and how fast the core takes it. In the
    core: each edge, when it was heard last, and how far it is. Ends with 1 when a link is down, an edge is
    silent, or a stream has forked.

    Examples:
      mfgroute link status
      mfgroute link status --output json
      mfgroute link status --wait 600
    """
    node, links = _links()
    until = time.monotonic() + wait_s
    while time.monotonic() < until and not all(_done(link) for link in links):
        time.sleep(_LOOK_S)
        node, links = _links()
    if session().json:
        show.document({"node": node, "links": links})
    else:
        for link in links:
            for line in _words(link):
                show.line(line)
    return OK if all(_done(link) if wait_s else link["well"] for link in links) else FAILED


def _links() -> tuple[str, list[dict[str, Any]]]:
    """The id of the running node, and the ends of links that it has."""
    from mfgroute.cli.node import ask  # noqa: PLC0415 - not for --help

    found = ask("status")
    links = [_link(part, found["stats"]) for part in found["parts"] if part["adapter"] == "zeromq"]
    if not links:
        hint = "`mfgroute config show` shows its sources and sinks"
        raise Failure("this node has no edge link", code=FAILED, hint=hint)
    return found["node"], links


def _done(link: dict[str, Any]) -> bool:
    return bool(link["well"] and not (link.get("waiting") or {}).get("events"))


@command.command("renew")
@click.option("--yes", is_flag=True, help="I have looked, and this is the edge that goes on.")
@click.option("--reason", default="", help="Why; it is printed with the epochs, for your records.")
def renew(*, yes: bool, reason: str) -> int:
    """Begin a new epoch of this edge's data folder, so that the core takes its events again after a fork.

    First find out why both sides differ, and stop the other node if this folder was copied: from now on the
    core refuses every copy. What this edge still holds is sent; the core recognises by its id what it has.
    The node must not run.

    Examples:
      mfgroute link renew --yes --reason "the copy on the old machine is switched off"
    """
    from mfgroute.cli.node import data_dir  # noqa: PLC0415 - not for --help
    from mfgroute.runtime import epoch  # noqa: PLC0415
    from mfgroute.runtime.lock import DataLock  # noqa: PLC0415

    if not yes:
        hint = "`mfgroute link renew --help` says what to find out first"
        raise Failure("a new epoch needs --yes", code=USAGE, hint=hint)
    folder = data_dir()
    if not (folder / epoch.FILE).exists():
        raise Failure(f"`{folder}` has no epoch: no node with durable streams ran there", code=FAILED)
    lock = DataLock(folder)
    try:
        before, now = epoch.epoch_of(folder), epoch.renew(folder)
    finally:
        lock.release()
    if session().json:
        show.document({"before": f"{before:016x}", "epoch": f"{now:016x}", "reason": reason})
    elif not session().quiet:
        show.line(f"epoch {before:016x} ended, {now:016x} begins with the next start")
    return OK


def _link(part: dict[str, Any], stats: dict[str, Any]) -> dict[str, Any]:
    """One end of a link, as JSON."""
    ends = {name: part[name] for name in ("kind", "name", "state", "detail", "for_s")}
    details, counts = part["details"], part["counters"]
    forks = [lane for edge in details.get("edges", ()) for lane in edge["lanes"] if lane["forked"]]
    if part["kind"] == "sink":
        waits = stats["sinks"][part["name"]]
        well = part["state"] == "up" and details.get("connected_s") is not None
        events, age_s = waits["lag_events"], waits["lag_ms"] / 1000
        more = {
            "waiting": {"events": events, "oldest_s": age_s if events else None},
            "shed": waits["dropped"],
        }
    else:
        heard = all(_heard(edge) for edge in details.get("edges", ()))
        well = part["state"] == "up" and heard and not forks
        more = {}
    return {**ends, "well": well, **details, **more, "counters": counts}


def _heard(edge: dict[str, Any]) -> bool:
    return edge["heard_s"] is not None and edge["heard_s"] <= _SILENT_S


def _words(link: dict[str, Any]) -> list[str]:
    """One end of a link, in words."""
    if link["state"] != "up":
        why = f": {link['detail']}" if link["detail"] else ""
        lines = [f"{link['kind']} {link['name']} is {link['state']} for {_span(link['for_s'])}{why}"]
    elif link["kind"] == "sink":
        since = link["connected_s"]
        why = f": {link['why']}" if link["why"] else ""
        state = f"not connected{why}" if since is None else f"connected for {_span(since)}"
        lines = [f"sink {link['name']} to {link['endpoint']}: {state}"]
    else:
        lines = [f"source {link['name']} listens on {link['endpoint']}"]
    if link["kind"] == "sink":
        lines += _waits(link)
        if link["shed"]:
            count = "1 event was" if link["shed"] == 1 else f"{link['shed']:,} events were"
            lines.append(f"  {count} shed since the start, for room in streams that say `drop_oldest`")
        for lane in link.get("lanes", ()):
            has = f"the core has everything up to block {lane['acked']}{_level(lane)}"
            lines.append(f"  stream {lane['stream']}: {has}")
    for edge in link.get("edges", ()):
        lines += _edge(edge)
    return lines + _refused(link.get("refused"))


def _waits(link: dict[str, Any]) -> list[str]:
    waiting = link["waiting"]
    if not waiting["events"]:
        return ["  nothing waits"]
    count = "1 event waits" if waiting["events"] == 1 else f"{waiting['events']:,} events wait"
    rate = f"; {link['events_per_s']:,g} events/s go over" if link.get("events_per_s") else ""
    return [f"  {count} here, the oldest for {_span(waiting['oldest_s'])}{rate}"]


def _edge(edge: dict[str, Any]) -> list[str]:
    if edge["heard_s"] is None:
        heard = f"not heard since this node listens, for {_span(edge['silent_s'])}"
    else:
        by = {"key": ", still by its `key`", "next_key": ", by its `next_key`"}.get(edge["key"], "")
        heard = f"heard {_span(edge['heard_s'])} ago{by}" + ("" if _heard(edge) else ": it is silent")
    lines = [f"  edge {edge['id']}: {heard}"]
    if edge["clock"] is not None and edge["clock"]["off"]:
        lines.append(f"    {edge['clock']['words']}")
    for lane in edge["lanes"]:
        if lane["forked"]:
            text = "has forked: an edge was put back or copied; nothing is taken"
            lines.append(f"    stream {lane['stream']} {text}")
            lines.append("    hint: stop the copy, then `mfgroute link renew` on the edge that goes on")
        else:
            lines.append(
                f"    stream {lane['stream']}: everything up to block {lane['blocks']}{_level(lane)}"
            )
    return lines


def _refused(refused: dict[str, Any] | None) -> list[str]:
    """Keys with which somebody came and was not let in."""
    if refused is None:
        return []
    lines = [
        f"  refused {one['key']}: {_times(one['count'])} since the start, "
        f"the last {_span(one['last_s'])} ago, from {one['address']}"
        for one in refused["keys"]
    ]
    if refused["forgotten"]:
        lines.append(f"  refused other keys before: {_times(refused['forgotten'])}")
    return lines


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _level(lane: dict[str, Any]) -> str:
    return {"sealed": ", sealed on its disk", "durable": ", on its disk"}.get(lane["level"], ", in memory")


def _span(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
