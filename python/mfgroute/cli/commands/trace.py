"""``mfgroute trace``."""

from __future__ import annotations

from typing import Any

import click

from mfgroute.cli import show
from mfgroute.cli.app import Command, session
from mfgroute.cli.failures import FAILED, Failure
from mfgroute.cli.outcomes import outcome, requested, taken_back


@click.command("trace", cls=Command)
@click.argument("key")
def command(*, key: str) -> int:
    """Show where the events of KEY are and were: an order, lot, report, event id or document number.

    This node alone is asked, no other system. Of sinks whose effects are recorded it knows also what the log
    has forgotten.

    Examples:
      mfgroute trace order/DE04/4711
      mfgroute trace 4900012345
    """
    from mfgroute.cli.node import ask  # noqa: PLC0415 - not for --help

    found = ask("find", query=key)
    if "note" in found and not session().json:
        show.line(f"what the log has forgotten is not shown: {found['note']}", error=True)
    if session().json:
        show.document(found)
        return 0 if found["events"] else FAILED
    if not found["events"]:
        raise Failure(
            f"nothing is known of `{key}`",
            hint="give the whole key such as order/DE04/4711, or a value that stands alone in an event; "
            "rejected messages have no key: mfgroute rejects list",
        )
    for event in found["events"]:
        if session().quiet:
            head = f"{event.get('type', '')}  {event.get('key', '')}"
        else:
            head = f"{event.get('type', 'event')}  {event.get('key', '')}  from {event.get('source', '?')}"
        show.line(head)
        at = f"{event['stream']}/{event['offset']}" if event["stream"] else "in the log no more"
        show.line(f"  admitted {event['admitted'] or '?'}  {at}  id {event['id']}")
        if session().verbose and "data" in event:
            show.line(f"  data {show.compact(event['data'])}")
        for sink in event["sinks"]:
            show.line(f"  {sink['sink']}: {standing(sink)}{version(sink)}{reversal(sink)}")
            if session().verbose and "effect" in sink:
                show.line(f"    {requested(sink['effect'])}")
        if not event["sinks"]:
            show.line("  no route wants it")
    return 0


def reversal(sink: dict[str, Any]) -> str:
    """By what the effect of an event was taken back, for people; nothing where it was not."""
    said = sink["state"] in ("forgotten", "finished")  # Then `outcome` has said it.
    return "" if said or "effect" not in sink else taken_back(sink["effect"])


def version(sink: dict[str, Any]) -> str:
    """The version in which a sink gets an event, for people; nothing where it is the event's own."""
    return f", as {sink['as']}" if "as" in sink else ""


def standing(sink: dict[str, Any]) -> str:  # noqa: PLR0911 - one for each state
    """Where an event stands at a sink, for people."""
    state: str = sink["state"]
    if state in ("forgotten", "finished") and "effect" in sink:
        return outcome(sink["effect"])
    at = f" at {sink['at']}" if sink.get("at") else ""
    tries = f", {sink['tries']} tries" if sink.get("tries", 0) > 1 else ""
    if state == "delivered":
        reference = f" as {sink['reference']}" if sink.get("reference") else ""
        return f"delivered{reference}{at}{tries}"
    if state == "skipped":
        if sink.get("posted_as"):
            return f"posted by hand as {sink['posted_as']}{at}: {sink['reason']}"
        return f"skipped{at}: {sink['reason']}"
    if state == "in_doubt":
        return f"sent, no answer{at}: {sink['reason']}"
    if state == "parked":
        if sink.get("cause") == "behind":
            return f"waiting behind an earlier event of its key{at}"
        code = f" {sink['code']}" if sink.get("code") else ""
        return f"parked{at}, {sink['cause']}{code}: {sink['reason']}"
    words: dict[str, str] = {
        "queued": "waiting to be sent",
        "in_flight": "being sent",
        "dropped": f"dropped{at}",
        "superseded": f"superseded by {sink.get('by')}{at}",
    }
    return words.get(state, state) + tries
