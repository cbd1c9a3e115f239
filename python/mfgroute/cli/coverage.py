"""What no test of a project touches: mappings, their entries and fields, filters, routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mfgroute.cli import cases, probe
from mfgroute.cli.cases import Result
from mfgroute.cli.rules import Rule, mapping_file, rules
from mfgroute.config.load import Project


class Coverage(NamedTuple):
    """What tests touch and what they do not.

    Attributes:
        uncovered: names of what no test touches, by kind.
        total: how many there are, by kind.
    """

    uncovered: dict[str, list[str]]
    total: dict[str, int]


def measured(project: Project, results: Sequence[Result]) -> Coverage:
    """Find what the tests with these results did not touch.

    An entry is told by its mapping and type, and a field is touched when an event of its entry holds it. Two
    entries of one mapping with the same type count as one. A filter is touched when it dropped a message, a
    route when it took an event.
    """
    used = list(dict.fromkeys(name for one in project.plan.summary["sources"] for name in one["mappings"]))
    used += [one["name"] for one in project.plan.summary["mappings"] if one["converts"]]
    written: list[Rule] = []
    for name in used:
        file = mapping_file(project, name)
        written += rules(file) if file is not None else []
    made: dict[tuple[str, str], list[Any]] = {}
    for event in _events(results):
        made.setdefault((event["mapping"].partition("@")[0], event["to"]), []).append(event["data"])
        for form in event.get("converted", {}).values():
            name = event["conversions"][form["to"]][-1].partition("@")[0]
            made.setdefault((name, form["to"]), []).append(form["data"])
    names = {name for name, _ in made}
    entries = list(dict.fromkeys((rule.mapping, rule.to) for rule in written))
    filters = _filters(project)
    dropped = {
        (_source(project, result), one["filtered"])
        for result in results
        for one in result.outcomes
        if "filtered" in one
    }
    taken = _routes(project, results)
    routes = [route.name for route in project.model.routes]
    fields = _fields(written)
    uncovered = {
        "mappings": [name for name in used if name not in names],
        "entries": [f"{name}: {to}" for name, to in entries if name in names and (name, to) not in made],
        "fields": [
            f"{first.mapping}: {first.to} {first.field} ({first.place})"
            for first, *more in fields
            if (data := made.get((first.mapping, first.to)))
            and not any(rule.made(one) for rule in (first, *more) for one in data)
        ],
        "filters": [f"{source}: {rule}" for source, rule in filters if (source, rule) not in dropped],
        "routes": [name for index, name in enumerate(routes) if index not in taken],
    }
    total = {
        "mappings": len(used),
        "entries": len(entries),
        "fields": len(fields),
        "filters": len(filters),
        "routes": len(routes),
    }
    return Coverage(uncovered, total)


def _events(results: Sequence[Result]) -> list[dict[str, Any]]:
    return [one for result in results for one in result.outcomes if "to" in one]


def _source(project: Project, result: Result) -> str:
    """The source of a test: its own, or the first that uses its mapping, whose filters the engine asks."""
    mapping = result.case.spec.get("mapping")
    sources = project.plan.summary["sources"]
    return result.source or next((one["name"] for one in sources if mapping in one["mappings"]), "")


def _fields(written: Sequence[Rule]) -> list[list[Rule]]:
    """The rules that make the same field of the same type, together."""
    groups: dict[tuple[str, str, str], list[Rule]] = {}
    for rule in written:
        groups.setdefault((rule.mapping, rule.to, rule.field), []).append(rule)
    return list(groups.values())


def _filters(project: Project) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, source in project.model.sources.items():
        written = source.section.filter
        filters = written if isinstance(written, list) else [written]
        found += [(name, one.name) for one in filters if one is not None]
    return found


def _routes(project: Project, results: Sequence[Result]) -> set[int]:
    """Which routes took an event: the tests run again with a sink for each route."""
    if not project.model.routes or not any(True for _ in _events(results)):
        return set()
    probed = probe.by_route(project)
    return {
        route
        for result in results
        if any("to" in one for one in result.outcomes)
        for outcome in cases.outcomes(probed, result.case)
        for route in probe.routes_of(outcome)
    }
