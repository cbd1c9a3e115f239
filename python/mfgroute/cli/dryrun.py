"""Messages through mappings and routes of a project, without a node: exactly the hot path."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from mfgroute import _core
from mfgroute.cli import show
from mfgroute.cli.app import session
from mfgroute.cli.failures import USAGE, Failure
from mfgroute.config.convert import close
from mfgroute.config.load import Project
from mfgroute.project import load_project


def project(*, today: date | None = None) -> Project:
    """The project that the options mean, right on a day if one is given; raises `ConfigError`."""
    return load_project(session().project, today=today)


def mapped(project: Project, mapping: str, message: bytes, meta: Mapping[str, str]) -> list[dict[str, Any]]:
    """What one mapping makes of a message."""
    return _lines(_core.run_mapping(project.plan, mapping, message, dict(meta)))


def received(project: Project, source: str, message: bytes, meta: Mapping[str, str]) -> list[dict[str, Any]]:
    """What becomes of a message that a source receives."""
    if source not in project.model.sources:
        hint = close(source, set(project.model.sources))
        raise Failure(f"no source is called `{source}`", code=USAGE, hint=hint)
    return _lines(_core.explain(project.plan, source, message, dict(meta)))


def meta_of(given: Iterable[str]) -> dict[str, str]:
    """Attributes given as ``name=value``."""
    found = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise Failure(f"attribute `{one}`, expected NAME=VALUE such as file.name=a.csv", code=USAGE)
        found[name] = value
    return found


def print_outcomes(outcomes: list[dict[str, Any]], *, with_sinks: bool) -> None:
    """Print what became of a message, for people."""
    if not outcomes:
        show.line("nothing came of it")
    for outcome in outcomes:
        mapping = f"  (mapping {outcome['mapping']})" if "mapping" in outcome else ""
        if "reject" in outcome:
            show.line(f"rejected: {reject_text(outcome['reject'])}{mapping}")
        elif "filtered" in outcome:
            show.line(f"filtered by {outcome['filtered']}{mapping}")
        else:
            known = [outcome[name] for name in ("to", "key", "time") if outcome[name] is not None]
            show.line(f"event {'  '.join(known)}{mapping}")
            if outcome["id"] is not None:
                show.line(f"  id {outcome['id']}")
            show.pretty(outcome["data"], "  ")
            for to, by in outcome.get("conversions", {}).items():
                forms = {name: form for name, form in outcome["converted"].items() if form["to"] == to}
                show.line(f"  for {', '.join(forms)} it becomes {to}, converted by {', '.join(by)}")
                show.pretty(next(iter(forms.values()))["data"], "  ")
            if with_sinks:
                sinks = ", ".join(outcome["sinks"])
                show.line(f"  sent to: {sinks}" if sinks else "  sent to: nobody; no route wants it")


def reject_text(reject: Mapping[str, Any]) -> str:
    """A reject in one sentence."""
    where = reject.get("pointer") or reject.get("field") or ""
    place = f" at {where}" if where else ""
    field = reject.get("field")
    target = f" (for {field})" if field and field != where else ""
    item = f", item {reject['item']}" if "item" in reject else ""
    found, expected = reject.get("found") or "", reject.get("expected") or ""
    told = f": found {found}" if found else ""
    wanted = f"{',' if found else ':'} expected {expected}" if expected else ""
    row = f"{reject['place']}: " if reject.get("place") else ""
    return f"{row}{reject.get('code')}{place}{target}{item}{told}{wanted}"


def _lines(document: bytes) -> list[dict[str, Any]]:
    """The objects of a document with one in each line."""
    return [json.loads(line) for line in document.splitlines()]
