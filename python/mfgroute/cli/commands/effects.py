"""``mfgroute effects``."""

from __future__ import annotations

import sys
from typing import Any

import click

from mfgroute.cli import show
from mfgroute.cli.app import Group, session
from mfgroute.cli.failures import FAILED, USAGE, Failure
from mfgroute.cli.outcomes import STATES, outcome, requested, stands, state

_COUNT = 1000
#: How a reversal stands that has no effect yet.
_QUEUED = {
    "queued": "waiting to be sent",
    "in_flight": "being sent",
    "delivered": "posted",
    "parked": "parked",
}


@click.group("effects", cls=Group)
def command() -> None:
    """Look at what sinks have posted; say what became of an effect in doubt; have one reversed."""


@command.command("list")
@click.option("--sink", help="Only those of this sink.")
@click.option(
    "--state", "states", multiple=True, type=click.Choice([*STATES]),
    help="Only those in this state; may be given several times.",
)  # fmt: skip
@click.option("--object", "thing", help="Only those of this object, such as order/DE04/4711.")
@click.option("--since", help="Only those that changed since: a moment with its zone, or so long ago as 24h.")
@click.option(
    "--count", type=click.IntRange(1, 10_000), default=_COUNT, show_default=True, help="Most that are shown."
)
def list_(
    *, sink: str | None, states: tuple[str, ...], thing: str | None, since: str | None, count: int
) -> int:
    """List effects, the one that changed last first.

    Examples:
      mfgroute effects list --sink sap --state in_doubt
      mfgroute effects list --object order/DE04/4711 --since 24h
    """
    from mfgroute.cli.moments import moment  # noqa: PLC0415 - not for --help

    since_ms = None if since is None else moment("since", since)
    answer = _ask("list", sink=sink, states=list(states), object=thing, since_ms=since_ms, count=count)
    if session().json:
        show.document(answer)
        return 0
    for name, lost in answer["missing"].items():
        show.line(
            f"{lost} changes of {name} never came to the database: what they said is missing", error=True
        )
    found = answer["effects"]
    if not found:
        show.line("no effects")
        return 0
    rows = [
        (show.age(one["last"]), one["sink"], one["object"] or one["key"], stands(one), one["reference"],
         one["id"], _said(one))
        for one in found
    ]  # fmt: skip
    show.table(rows, header=("age", "sink", "object", "state", "document", "event", "the target's message"))
    if len(found) == count:
        show.line(
            f"the newest {count} are shown; `--count`, `--since` and `--object` show others", error=True
        )
    return 0


@command.command("show")
@click.argument("event_id", metavar="EVENT-ID")
@click.option("--sink", help="Only at this sink.")
def show_(*, event_id: str, sink: str | None) -> int:
    """Show the effects of an event: every attempt and answer, and the event itself.

    Examples:
      mfgroute effects show 0f7e1a2b-3c4d-8e5f-9a6b-7c8d9e0f1a2b
    """
    found = _ask("show", id=event_id, sink=sink)["effects"]
    if session().json:
        show.document(found)
        return 0 if found else FAILED
    if not found:
        at = f" at {sink}" if sink else ""
        raise Failure(f"event {event_id} has no effect{at}", hint="see `mfgroute trace` for where it is")
    for one in found:
        show.line(f"{one['sink']}: {outcome(one)}")
        show.line(f"  {requested(one)}")
        show.table(
            [
                (
                    f"  {change['at']}",
                    change["attempt"] or "",
                    state(change),
                    change["reference"],
                    _said(change),
                )
                for change in one["history"]
            ]
        )
        if booked := one["booked"]:
            show.line(f"  booked by {booked['who']} at {booked['at']}: {booked['why']}")
        if by := one.get("reversed_by"):
            show.line(f"  reversed by event {by['id']}: {_standing(by)}")
        if one["reverses"]:
            show.line(f"  takes back what was posted for event {one['reverses']}")
        if one["state"] in ("in_doubt", "refused", "gave_up"):
            way = "--posted DOC|--not-posted --reason …"
            show.line(f"next: mfgroute effects resolve {event_id} --sink {one['sink']} {way}")
    show.pretty(found[0]["event"])
    return 0


@command.command("resolve")
@click.argument("event_id", metavar="EVENT-ID")
@click.option("--sink", required=True, help="At this sink.")
@click.option("--posted", metavar="DOC", help="It was posted, as this document: it is not sent again.")
@click.option("--not-posted", is_flag=True, help="It was not posted: it is sent again, the same bytes.")
@click.option("--reason", required=True, help="Why; it is recorded with who did it.")
def resolve(*, event_id: str, sink: str, posted: str | None, not_posted: bool, reason: str) -> int:
    """Say what became of an event that is in doubt or was refused, after a look into the target.

    Of one that still waits to be sent it can be said that it was booked by hand; `--not-posted` takes that
    back.

    Examples:
      mfgroute effects resolve 0f7e1a2b-3c4d-8e5f-9a6b-7c8d9e0f1a2b --sink sap --posted 49001 --reason "seen"
    """
    if bool(posted) == not_posted:
        raise Failure("give either `--posted DOC` or `--not-posted`", code=USAGE)
    if not reason.strip():
        raise Failure("the reason is empty, expected a sentence for those who ask later", code=USAGE)
    answer = _ask("resolve", id=event_id, sink=sink, posted=posted, not_posted=not_posted or None, why=reason)
    if session().json:
        show.document(answer)
        return 0
    if not session().quiet:
        then = f"counts as posted as {posted} and is not sent again" if posted else f"is sent to {sink} again"
        show.line(f"event {event_id} of {answer['key']} {then}; later events of the key go on after it")
    return 0


@command.command("reverse")
@click.argument("event_id", metavar="EVENT-ID")
@click.option("--sink", help="At this sink; may be left out where one alone has posted it.")
@click.option("--reason", required=True, help="Why; it is recorded with who did it, and told to the target.")
@click.option("--dry-run", is_flag=True, help="Show what would be posted, and post nothing.")
@click.option("--yes", is_flag=True, help="Do not ask whether it is meant.")
def reverse(*, event_id: str, sink: str | None, reason: str, dry_run: bool, yes: bool) -> int:
    """Have what was posted for an event taken back by its target, once however often it is asked for.

    A confirmation is cancelled, which takes back the movements that it made; a document that was posted alone
    is cancelled by the opposite movement. It is an effect of its own, with an event of its own.

    Examples:
      mfgroute effects reverse 0f7e1a2b-3c4d-8e5f-9a6b-7c8d9e0f1a2b --reason "counted twice" --dry-run
      mfgroute effects reverse 0f7e1a2b-3c4d-8e5f-9a6b-7c8d9e0f1a2b --reason "counted twice" --yes
    """
    if not reason.strip():
        raise Failure("the reason is empty, expected a sentence for those who ask later", code=USAGE)
    asked = {"id": event_id, "sink": sink, "why": reason}
    if dry_run or not yes:
        plan = _ask("reverse", dry=True, **asked)
        if dry_run or plan["before"]:
            return _reversal(plan)
        _tell_plan(plan)
        if not sys.stdin.isatty():
            raise Failure("nobody can be asked whether this is meant", code=USAGE, hint="add `--yes`")
        if not click.confirm("post this reversal?", err=True):
            show.line("nothing was posted", error=True)
            return FAILED
    return _reversal(_ask("reverse", **asked))


def _reversal(plan: dict[str, Any]) -> int:
    """Print what is or would be reversed."""
    if session().json:
        show.document(plan)
        return 0
    before = plan["before"]
    if before:
        known = f" as {before['reference']}" if before["reference"] else ""
        how = state(before) if before["state"] in STATES else _QUEUED.get(before["state"], before["state"])
        show.line(f"event {plan['id']} has a reversal already, {before['id']}: {how}{known}")
        show.line(f"see `mfgroute trace {before['id']}`")
        return 0
    if not plan["sent"]:
        _tell_plan(plan)
        show.line("nothing was posted")
    elif not session().quiet:
        show.line(f"{plan['sink']} {plan['does']}")
        show.line(f"its event is {plan['reversal']}; see `mfgroute effects show {plan['reversal']}`")
    return 0


def _tell_plan(plan: dict[str, Any]) -> None:
    """Print what a reversal would do."""
    if session().json:
        return
    posted = f"{plan['sink']} has posted it as {plan['reference']}" if plan["reference"] else "it was posted"
    show.line(f"event {plan['id']} of {plan['key']}: {posted}")
    show.line(f"  {plan['does']}")
    show.line(f"  {requested({**plan, 'request_key': plan['request']})}")


def _ask(verb: str, **request: Any) -> Any:
    from mfgroute.cli.node import ask  # noqa: PLC0415 - not for --help

    given = {name: value for name, value in request.items() if value is not None}
    return ask("effects", request={"verb": verb, **given})


def _standing(one: dict[str, Any]) -> str:
    return state(one) + (f" as {one['reference']}" if one["reference"] else "")


def _said(one: dict[str, Any]) -> str:
    return " ".join(filter(None, (one["code"], one["reason"])))
