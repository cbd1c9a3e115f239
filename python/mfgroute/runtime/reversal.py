"""Asking for a reversal of what was posted: what would be sent, and the event that has it sent.

The event goes through the log as any other, and the runtime of its sink makes the request when its turn
comes (`mfgroute.runtime.undoing`). Its id is made of the sink and the event that is reversed: asking twice
makes one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from mfgroute import _core
from mfgroute.adapter import Request
from mfgroute.config.load import Adapters, Project
from mfgroute.effects.lines import Sent, counts, ended_without, text
from mfgroute.errors import MfgrouteError, UnknownName
from mfgroute.events import Receipt, Refused
from mfgroute.runtime.parts import context_of
from mfgroute.runtime.requests import BadRequest
from mfgroute.runtime.requests import text as required
from mfgroute.runtime.undoing import REQUESTED, can_undo, original_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["NotReversible", "asks_for", "reverse"]

Document = dict[str, Any]
#: Awaits the answer of a question to the database of effects.
Asking = Callable[["Callable[[Connection], Any]"], Awaitable[Any]]
#: Hands a message to a source, and awaits what became of it.
Submitting = Callable[[str, bytes], Awaitable[Receipt]]

_ADAPTER = "effects"
_WAY = (
    "add the mapping `reversal-requested` of the pack `effects` to a source of the adapter `effects`, "
    "and a route with `match: {type: integration.reversal.requested/1}`"
)
#: What to do about an effect that is not posted, by its state.
_FIRST = {
    "in_doubt": "say first what became of it: `mfgroute effects resolve`",
    "refused": "it waits for a person, who can skip it: `mfgroute effects resolve`, `mfgroute parked skip`",
    "gave_up": "it waits for a person, who can skip it: `mfgroute effects resolve`, `mfgroute parked skip`",
    "accepted": "wait until the target has done it",
    "intent": "wait until it is known what became of it",
    "planned": "it was not sent yet",
    "superseded": "another event took its place; reverse that one",
    "skipped": "it never had an effect",
    "dropped": "it is gone with its sink; look into the target",
}


class NotReversible(MfgrouteError):  # noqa: N818 - as `Closed`
    """There is nothing to reverse, or nobody here can."""


def asks_for(request: Document) -> bool:
    """Whether a request to ``effects`` is about a reversal."""
    asked = request.get("request")
    return isinstance(asked, dict) and asked.get("verb") == "reverse"


async def reverse(
    request: Document,
    *,
    engine: Any,
    project: Project,
    adapters: Adapters,
    ask: Asking | None,
    submit: Submitting,
) -> Document:
    """Plan the reversal of what was posted for an event and, unless it is a ``dry`` run, have it posted.

    Args:
        request: of the control socket: its ``request`` has ``id`` and ``why``, and may have ``sink`` and
            ``dry``.
        engine: of the node.
        project: that runs.
        adapters: where adapters come from.
        ask: asks the database of effects; `None` if there is none.
        submit: hands a message to a source.

    Returns:
        The event that is reversed, its ``sink``, ``key``, ``object``, ``type`` and ``reference``;
        ``request``, ``amounts`` and ``does`` of the reversal; ``reversal``, the id of its event; and either
        ``before``, how one stands that was asked for before, or whether it is ``sent``.

    Raises:
        BadRequest: the request lacks something, or means several sinks.
        UnknownName: there is no such sink.
        NotReversible: nothing was posted, or its sink cannot undo it.
        DatabaseDown: the database of effects cannot be used now.
    """
    asked = {**request["request"], "verb": "effects reverse"}
    event_id, why = required(asked, "id"), required(asked, "why")
    if ask is None:
        raise NotReversible("no sink of this node records its effects")
    name, sent, others, posted = await _found(ask, project, event_id, asked.get("sink"))
    plan: Document = {"id": event_id, "sink": name, "sent": False, "before": None} | {
        field: getattr(sent, field) for field in ("key", "object", "type", "reference")
    }
    before = next((one for one in others if not ended_without(one["state"], one["reference"])), None)
    if before is not None:
        return plan | {"before": before, "reversal": before["id"]}
    plan |= _planned(project, adapters, name, sent, posted=posted, why=why)
    message = orjson.dumps(
        {
            "state": "reversal_requested",
            "sink": name,
            "event": event_id,
            "type": sent.type,
            "key": sent.key or event_id,
            **({"object": sent.object} if sent.object else {}),
            **({"reference": sent.reference} if sent.reference else {}),
            "revision": str(len(others)),
            "by": request["by"],
            "reason": why,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
    )
    source, reversal = _source(project, name, message)
    plan["reversal"] = reversal
    # One that was asked for and not looked at yet has no effect.
    plan["before"] = await asyncio.to_thread(_standing, engine, name, reversal)
    if plan["before"] or asked.get("dry"):
        return plan
    receipt = await submit(source, message)
    if receipt.accepted:
        return plan | {"sent": True}
    if receipt.duplicates:
        # After a start the log knows the ids of all events, and not yet where those stand that wait.
        before = await asyncio.to_thread(_standing, engine, name, reversal)
        return plan | {"before": before or {"id": reversal, "state": "queued", "reference": None}}
    reasons = "; ".join(f"{reject.code}: {reject.message}" for reject in receipt.rejects)
    raise NotReversible(f"the reversal was not admitted: {reasons or 'there is no room'}")


async def _found(
    ask: Asking, project: Project, event_id: str, wanted: str | None
) -> tuple[str, Sent, list[Document], Mapping[str, Decimal]]:
    """The sink that posted an event, what it was brought to do, reversals that there were, and its books."""
    from mfgroute.effects import questions  # noqa: PLC0415 - only where there are effects

    if wanted is not None and wanted not in project.model.sinks:
        raise UnknownName(f"no sink is called `{wanted}`")

    def question(connection: Connection) -> dict[str, tuple[Sent | None, list[Document]]]:
        names = [row["sink"] for row in questions.show(connection, event_id, wanted)]
        return {
            name: (
                questions.sent(connection, name, event_id),
                questions.reversals(connection, name, event_id),
            )
            for name in names
        }

    found = {name: (sent, others) for name, (sent, others) in (await ask(question)).items() if sent}
    at = f" at {wanted}" if wanted else ""
    if not found:
        raise NotReversible(f"event {event_id} has no effect{at}: nothing was posted for it")
    posted = {name: one for name, one in found.items() if counts(one[0].state, one[0].reference)}
    if len(posted) > 1:
        raise BadRequest(f"event {event_id} was posted at {', '.join(sorted(posted))}: say which `--sink`")
    if not posted:
        said = "; ".join(
            f"{one.state} at {name}: {_FIRST.get(one.state, 'it was not posted')}"
            for name, (one, _) in found.items()
        )
        raise NotReversible(f"event {event_id} is not posted but {said}")
    ((name, (sent, others)),) = posted.items()
    if name not in project.model.sinks:
        raise NotReversible(f"event {event_id} was posted at {name}, which is no sink of this node any more")
    books = await ask(lambda connection: questions.posted(connection, name, sent.object))
    return name, sent, others, books


def _planned(
    project: Project, adapters: Adapters, name: str, sent: Sent, *, posted: Mapping[str, Decimal], why: str
) -> Document:
    """What would be sent."""
    sink = project.model.sinks[name]
    kind = adapters.sink(sink.section.adapter)
    if not can_undo(kind):
        raise NotReversible(
            f"the adapter {sink.section.adapter} of {name} cannot undo what it posted: reverse "
            f"{sent.reference or 'it'} in the target"
        )
    # Nothing is sent by it, so it is not opened.
    reverser: Any = kind(sink.config, context_of(name, project))
    if not can_undo(reverser):
        raise NotReversible(
            f"no setting of {name} says how the adapter {sink.section.adapter} takes back what it posted: "
            f"reverse {sent.reference or 'it'} in the target"
        )
    original = original_of(sent)
    if isinstance(original, Refused):
        raise NotReversible(original.reason)
    made: Request | Refused = reverser.reverse(original, sent.reference or "", posted=posted, reason=why)
    if isinstance(made, Refused):
        raise NotReversible(f"{name} cannot reverse event: {made.reason}")
    return {
        "request": made.key,
        "amounts": {what: text(amount) for what, amount in made.amounts.items()},
        "does": reverser.describe(original, made),
    }


def _source(project: Project, sink: str, message: bytes) -> tuple[str, str]:
    """The source that takes requests for reversals at a sink, and the id of the event made of this one."""
    missed = ""
    for name, source in project.model.sources.items():
        if source.section.adapter != _ADAPTER:
            continue
        for line in _core.explain(project.plan, name, message, {}).splitlines():
            one = msgspec.json.decode(line)
            if str(one.get("to", "")).partition("/")[0] != REQUESTED:
                continue
            if sink in one["sinks"]:
                return name, str(one["id"])
            missed = f": no route leads `integration.reversal.requested/1` from {name} to {sink}"
    raise NotReversible(f"this node takes no reversals at {sink}{missed}\n{_WAY}")


def _standing(engine: Any, sink: str, event_id: str) -> Document | None:
    """How an event stands at a sink, as far as the log knows it."""
    for event in orjson.loads(engine.find(event_id))["events"]:
        for at in event["sinks"]:
            if (event["id"], at["sink"]) == (event_id, sink):
                return {"reference": None, **at, "id": event_id}
    return None
