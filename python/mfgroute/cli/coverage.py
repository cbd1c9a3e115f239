"""What no test of a project touches: mappings, entries of mappings, routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mfgroute.cli import dryrun
from mfgroute.cli.cases import Result
from mfgroute.config.load import Project
from mfgroute.contracts.links import matches


def uncovered(project: Project, results: Sequence[Result]) -> dict[str, list[str]]:
    """Names of what was not touched.

    An entry is told by its mapping and type. A route counts as touched when an event of its types and sources
    was sent to all its sinks, although another route may have sent it there.
    """
    summary = project.plan.summary
    used = [name for source in summary["sources"] for name in source["mappings"]]
    touched = {(one["mapping"].partition("@")[0], one["to"]) for one in _events(results)}
    names = {name for name, _ in touched}
    return {
        "mappings": [name for name in dict.fromkeys(used) if name not in names],
        "entries": [
            f"{name}: {to}"
            for name in dict.fromkeys(used)
            for to in dict.fromkeys(_entries(project, name))
            if name in names and (name, to) not in touched
        ],
        "routes": [
            route.name
            for route in project.model.routes
            if not any(_takes(project, route, one) for one in _events(results))
        ],
    }


def _events(results: Sequence[Result]) -> list[dict[str, Any]]:
    return [one for result in results for one in result.outcomes if "to" in one]


def _entries(project: Project, name: str) -> list[str]:
    """The types that a mapping emits, as its file says."""
    return [
        str(entry["to"]) for entry in dryrun.mapping_document(project, name).get("emit", []) if "to" in entry
    ]


def _takes(project: Project, route: Any, event: dict[str, Any]) -> bool:
    raw: dict[str, Any] = next(
        (one for one in project.raw.get("routes", []) if one.get("name") == route.name), {}
    )
    match, to = raw.get("match", {}), raw.get("to", [])
    sinks = [to] if isinstance(to, str) else to
    patterns = match.get("type", ">")
    if not set(sinks) <= set(event["sinks"]):
        return False
    return any(
        matches(pattern, event["to"]) for pattern in ([patterns] if isinstance(patterns, str) else patterns)
    )
