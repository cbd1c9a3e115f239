"""What people ask of an engine, whether its node runs or only its data folder was opened."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from mfgroute.config.model import Sink
from mfgroute.errors import MfgrouteError, UnknownName
from mfgroute.observe.stats import named, waiting


class BadRequest(MfgrouteError):  # noqa: N818 - as `Closed`
    """A request without what its verb needs."""


def text(request: Mapping[str, Any], name: str) -> str:
    """A text that the request needs.

    Raises:
        BadRequest: it has none.
    """
    value = request.get(name)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"`{request['verb']}` needs `{name}`, a text")
    return value


def find(engine: Any, request: Mapping[str, Any]) -> bytes:
    """Where the events of ``query`` are and were, as JSON."""
    found: bytes = engine.find(text(request, "query"))
    return found


def dead_letters(engine: Any, request: Mapping[str, Any]) -> bytes:
    """Look at rejects or parked events, or decide about them, as ``request`` says; JSON.

    Raises:
        BadRequest: there is no ``request`` in it, or it books what nobody has looked at yet.
        MfgrouteError: the engine refuses.
    """
    asked = request.get("request")
    if not isinstance(asked, dict):
        raise BadRequest("`dead_letters` needs a `request` with `kind` and `verb`")
    if asked.get("verb") == "skip" and asked.get("posted_as"):
        _refuse_behind(engine, asked)
    answer: bytes = engine.dead_letters(orjson.dumps({**asked, "who": request["by"]}))
    return answer


def _refuse_behind(engine: Any, asked: Mapping[str, Any]) -> None:
    """Refuse to book an event that waits behind another: its sender has not looked at it, so nothing counts.

    Raises:
        BadRequest: it waits behind another.
    """
    listed = {"kind": "parked", "verb": "list", "sink": asked.get("sink")}
    for one in orjson.loads(engine.dead_letters(orjson.dumps(listed))):
        if one.get("number") == asked.get("number") and one.get("cause") == "behind":
            sink, document = asked.get("sink"), asked.get("posted_as")
            raise BadRequest(
                f"event {one['number']} waits at {sink} behind an earlier event of {one['key']}, and is "
                f"booked after that: `mfgroute pause {sink}`, decide the earlier one, "
                f"`mfgroute effects resolve {one['id']} --sink {sink} --posted {document} --reason …`, "
                f"`mfgroute resume {sink}`"
            )


def replay(engine: Any, request: Mapping[str, Any], sinks: Mapping[str, Sink]) -> bytes:
    """Look at, start, read or stop a replay, as ``request`` says; JSON.

    Args:
        engine: of the node.
        request: with the ``request`` for the engine, and in it ``effects`` if a sink gets its own again.
        sinks: of the project, by name.

    Raises:
        BadRequest: there is no ``request``, effects were not asked for, or the target would have them twice.
        UnknownName: there is no such sink.
        MfgrouteError: the engine refuses.
    """
    asked = request.get("request")
    if not isinstance(asked, dict):
        raise BadRequest("`replay` needs a `request` with `verb`")
    asked = {**asked, "kind": "replay", "who": request["by"]}

    if asked.get("verb") == "start":
        sink = text(asked, "sink")
        to = asked.get("to") or sink
        if to not in sinks:
            raise UnknownName(f"no sink is called `{to}`")
        if to == sink and asked.get("effects") is not True:
            raise BadRequest(f"a replay to {to} itself has effects there, and `effects` is not set")
        effect = sinks[to].section.effect
        asked["repeats"] = effect is None or effect.by in ("key", "upsert")
    answer: bytes = engine.dead_letters(orjson.dumps(asked))
    return answer


def inbox(
    engine: Any, parts: Sequence[Any] = (), problems: Sequence[str] = (), notes: Sequence[str] = ()
) -> dict[str, Any]:
    """Everything that waits for a person, oldest first, and the sinks that are paused.

    Args:
        engine: of the node.
        parts: sources and sinks that do not work.
        problems: why the node is not ready.
        notes: what is no problem, and somebody should know.
    """
    found = engine.dead_letters(orjson.dumps({"kind": "inbox", "verb": "list"}))
    sinks = named(engine.stats(), "sinks")
    return {
        "waiting": orjson.Fragment(found),
        "paused": [
            {"sink": name, "waiting": waiting(one)} for name, one in sinks.items() if one.get("paused")
        ],
        "parts": list(parts),
        "problems": list(problems),
        "notes": list(notes),
    }


def turn(engine: Any, request: Mapping[str, Any], sinks: Collection[str], *, paused: bool) -> dict[str, Any]:
    """Pause ``sink``, or let it go on.

    Raises:
        UnknownName: it is none of `sinks`.
    """
    name = text(request, "sink")
    if name not in sinks:
        raise UnknownName(f"no sink is called `{name}`")
    act = engine.pause if paused else engine.resume
    act(name, who=request["by"], why=str(request.get("why", "")))
    return {"sink": name, "paused": paused}
