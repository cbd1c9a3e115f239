"""Questions to a plan that its outcomes do not answer, asked by compiling the project a little differently.

What answers is always the engine itself: which routes take an event is seen by giving each route a sink of
its own, and whether a condition holds by making it the filter of a source of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mfgroute import _core
from mfgroute.config import packs
from mfgroute.config.convert import Notes
from mfgroute.config.load import Project
from mfgroute.errors import ConfigError, Problem

_ROUTE = "route-"
_CONDITION = "condition-"
_RULE = "holds"


def by_route(project: Project) -> Project:
    """The project with each route going to a sink of its own; see `routes_of`."""
    document = dict(project.raw)
    sinks = project.raw.get("sinks", {})
    routes = project.raw.get("routes", [])
    document["sinks"] = {f"{_ROUTE}{index}": _any_sink(sinks, route) for index, route in enumerate(routes)}
    document["routes"] = [{**route, "to": f"{_ROUTE}{index}"} for index, route in enumerate(routes)]
    return msgspec.structs.replace(project, plan=compiled(project, document))


def routes_of(outcome: Mapping[str, Any]) -> list[int]:
    """Which routes took an event of a project from `by_route`, by their place in the file."""
    return sorted(int(name.removeprefix(_ROUTE)) for name in outcome.get("sinks", ()))


class Conditions:
    """Whether conditions on a message hold, said by the engine.

    Args:
        project: the project.
        asked: conditions, each with the mapping whose `from` reads the message, and the source.

    Raises:
        ConfigError: a condition does not compile.
    """

    def __init__(self, project: Project, asked: Sequence[tuple[Any, str, str]]) -> None:
        sources = dict(project.raw.get("sources", {}))
        for index, (when, mapping, source) in enumerate(asked):
            one = {key: value for key, value in sources[source].items() if key != "uri"}
            rule = {"name": _RULE, "when": when}
            sources[f"{_CONDITION}{index}"] = {**one, "mappings": [mapping], "filter": rule}
        self._plan = compiled(project, {**project.raw, "sources": sources}) if asked else project.plan

    def holds(self, index: int, message: bytes, meta: Mapping[str, str]) -> bool:
        """Whether the condition with this place in `asked` holds for a message."""
        lines = _core.explain(self._plan, f"{_CONDITION}{index}", message, dict(meta)).splitlines()
        return any(msgspec.json.decode(line).get("filtered") == _RULE for line in lines)


def compiled(project: Project, document: Mapping[str, Any], root: Path | None = None) -> Any:
    """The plan of a changed ``mfgroute.yaml`` in the folder of the project, or in another.

    Raises:
        ConfigError: with every problem; those of the main file have no place.
    """
    notes = Notes(project.file.name, {}, frozenset())
    resolved = packs.resolve(dict(document), project.root, notes)
    try:
        return _core.Plan.compile(
            str(root or project.root),
            msgspec.json.encode({**document, "packs": packs.for_core(resolved)}),
            {},
        )
    except ConfigError as error:
        problems = [
            one if isinstance(one, Problem) else msgspec.convert(one, Problem) for one in error.problems
        ]
        raise ConfigError(problems) from None


def _any_sink(sinks: Mapping[str, Any], route: Mapping[str, Any]) -> Any:
    """The section of one of the sinks of a route."""
    to = route.get("to", [])
    names = [to] if isinstance(to, str) else to
    return next((sinks[name] for name in names if name in sinks), {})
