"""Every decision about one message, in the order in which they are taken.

What comes of the message is said by the engine; why, by asking it again with one thing changed (see `probe`)
and by the files of the project. What nobody knows any more is said, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mfgroute import _core
from mfgroute.cli import dryrun, probe
from mfgroute.cli.rules import MappingFile, Rule, mapping_file, rules, values
from mfgroute.config.load import Project

#: What a dry run does not tell.
NOT_KEPT = (
    "the keys that lookups were asked with, and the row that answered",
    "whether a value came from its source or from `default`, and which of several paths was present",
    "the value after each step of a rule (`text`, `number`, `codes`, `unit`, `round`)",
    "whether the event is a duplicate: that is known by a node alone",
)
#: A text in a condition, and a field of the event.
_TEXT = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""")
_FIELD = re.compile(r"\bdata(?:\.[A-Za-z_]\w*\b(?!\())+")
#: Rejects that say that mappings were asked.
_SELECTION = {"no_mapping", "mapping_ambiguous"}


def explained(project: Project, source: str, message: bytes, meta: Mapping[str, str]) -> dict[str, Any]:
    """Explain what becomes of a message that a source receives.

    Raises:
        UnknownName: the project has no such source.
    """
    outcomes = dryrun.received(project, source, message, meta)
    taken = _routes(project, source, message, meta)
    events = [one for one in outcomes if "to" in one]
    return {
        "source": source,
        "filters": _filters(project, source, message, meta),
        "mappings": _mappings(project, source, message, meta, outcomes),
        "outcomes": [
            _event(project, {**one, "from": source}, taken[events.index(one)])
            if "to" in one
            else _reject(project, one)
            if "reject" in one
            else one
            for one in outcomes
        ],
        "not_kept": list(NOT_KEPT),
    }


def event_rules(project: Project, mapping: str, to: str, data: Any) -> list[dict[str, Any]]:
    """Each rule of a mapping for a type, with what it made."""
    file = mapping_file(project, mapping)
    found = []
    for rule in rules(file) if file is not None else []:
        if rule.to != to:
            continue
        made = list(values(data, rule.field.split(".")))
        one: dict[str, Any] = {"field": rule.field, "place": rule.place, "rule": rule.text}
        if made:
            one["value"] = made if "[]" in rule.field else made[0]
        tables = _tables(project, rule)
        if tables:
            one["lookups"] = tables
        found.append(one)
    return found


def contract(project: Project, to: str) -> dict[str, Any]:
    """What the contract ``name/major`` says of validation and identity."""
    name, _, major = to.partition("/")
    one = next(
        (
            one
            for one in project.plan.summary["contracts"]
            if one["type"] == name and str(one["version"]).split(".")[0] == major
        ),
        None,
    )
    if one is None:
        return {}
    document = _contract_file(project, str(one["file"]))
    return {
        "version": one["version"],
        "file": one["file"],
        "rules": [rule["code"] for rule in document.get("rules", [])],
        "runs": "compiled" if one["compiled"] else f"by the fallback: {one['fallback']}",
        "key": document.get("key"),
        "idempotency": document.get("idempotency", []),
        "across_sources": bool(document.get("across_sources", False)),
    }


def _event(project: Project, outcome: dict[str, Any], taken: Sequence[int]) -> dict[str, Any]:
    to, data = outcome["to"], outcome["data"]
    says = contract(project, to)
    mapping = str(outcome.get("mapping", "")).partition("@")[0]
    fields = [str(one) for one in says.pop("idempotency", [])]
    identity = {
        "id": outcome["id"],
        "of": {name: next(iter(values({"data": data}, name.split("."))), None) for name in fields},
        "across_sources": says.pop("across_sources", False),
    }
    return {
        **outcome,
        "fields": event_rules(project, mapping, to, data),
        "validation": {"valid": True, **says},
        "identity": identity,
        "routes": routes(project, outcome, taken),
        "forms": _forms(project, outcome),
    }


def _forms(project: Project, outcome: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The other versions in which sinks get an event, each with the conversions that make it."""
    found: dict[str, dict[str, Any]] = {}
    for sink, one in outcome.get("converted", {}).items():
        to, by = one["to"], outcome["conversions"][one["to"]]
        fields = event_rules(project, by[-1].partition("@")[0], to, one["data"])
        form = found.setdefault(to, {"to": to, "by": by, "data": one["data"], "fields": fields, "sinks": []})
        form["sinks"].append(sink)
    return list(found.values())


def _reject(project: Project, outcome: dict[str, Any]) -> dict[str, Any]:
    """A reject with the rule of the field that it is about."""
    mapping = str(outcome.get("mapping", "")).partition("@")[0]
    field = outcome["reject"].get("field")
    file = mapping_file(project, mapping) if mapping and field else None
    made = [rule for rule in rules(file) if rule.field == field] if file is not None else []
    once = {rule.place: rule for rule in made}  # those of `common` stand for every entry
    told = [
        {"field": rule.field, "place": rule.place, "rule": rule.text, "lookups": _tables(project, rule)}
        for rule in once.values()
    ]
    return {**outcome, "fields": told}


def routes(project: Project, event: Mapping[str, Any], taken: Sequence[int]) -> list[dict[str, Any]]:
    """Each route, whether it took an event, and why not."""
    found = []
    for index, route in enumerate(project.model.routes):
        to = [route.to] if isinstance(route.to, str) else list(route.to)
        one: dict[str, Any] = {"route": route.name, "to": to, "taken": index in taken}
        form = project.plan.summary["routes"][index]["delivers"].get(event["to"])
        if form not in {None, event["to"]}:
            one["as"] = form
        if index not in taken:
            if form is None:
                one["because"] = f"its type is {_listed(route.match.type)}"
            elif route.where is not None and _source_fits(route, event):
                one["because"] = f"its `where` does not hold: {route.where}"
                if form == event["to"]:
                    one["found"] = _asked_for(route.where, event["data"])
            else:
                one["because"] = f"it takes events of {_listed(route.match.source)} alone"
        found.append(one)
    return found


def _asked_for(condition: str, data: Any) -> dict[str, Any]:
    """The fields that a condition names, with their values; `None` where there is none. Loops name others."""
    names = dict.fromkeys(_FIELD.findall(_TEXT.sub("", condition)))
    return {name: next(iter(values({"data": data}, name.split("."))), None) for name in names}


def _source_fits(route: Any, event: Mapping[str, Any]) -> bool:
    source = route.match.source
    return source is None or event.get("from") in ([source] if isinstance(source, str) else source)


def _listed(names: Any) -> str:
    return str(names) if isinstance(names, str) else ", ".join(map(str, names or []))


def _routes(project: Project, source: str, message: bytes, meta: Mapping[str, str]) -> list[list[int]]:
    """For each event, which routes took it."""
    probed = probe.by_route(project) if project.model.routes else project
    found = [one for one in dryrun.received(probed, source, message, meta) if "to" in one]
    return [probe.routes_of(one) if project.model.routes else [] for one in found]


def _filters(project: Project, source: str, message: bytes, meta: Mapping[str, str]) -> list[dict[str, Any]]:
    mappings = _names(project, source)
    written = project.raw["sources"][source].get("filter")
    found = written if isinstance(written, list) else [written] if written else []
    if not mappings:
        return []
    asked = probe.Conditions(project, [(one["when"], mappings[0], source) for one in found])
    return [
        {"name": one["name"], "when": one["when"], "holds": asked.holds(index, message, meta)}
        for index, one in enumerate(found)
    ]


def _mappings(
    project: Project,
    source: str,
    message: bytes,
    meta: Mapping[str, str],
    outcomes: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Each mapping of the source, whether it took the message, and the conditions of those that did not."""
    chosen = {str(one["mapping"]) for one in outcomes if "mapping" in one}
    codes = {one["reject"]["code"] for one in outcomes if "reject" in one}
    if not chosen and not codes & _SELECTION:
        return [{"mapping": name, "taken": False, "asked": False} for name in _names(project, source)]
    labels = {one["name"]: one["label"] for one in project.plan.summary["mappings"]}
    files = {name: mapping_file(project, name) for name in _names(project, source)}
    asked: list[tuple[str, str, Any]] = []
    for name, file in files.items():
        if labels[name] not in chosen and file is not None and "when" in file.document:
            asked += [(name, file.at(at), part) for part, at in _parts(file, file.document["when"], "/when")]
    conditions = probe.Conditions(project, [(part, name, source) for name, _, part in asked])
    found = []
    for name, file in files.items():
        one: dict[str, Any] = {"mapping": labels[name], "taken": labels[name] in chosen, "asked": True}
        if not one["taken"]:
            one["when"] = [
                {"place": place, "condition": part, "holds": conditions.holds(index, message, meta)}
                for index, (own, place, part) in enumerate(asked)
                if own == name
            ]
            guard = file.document.get("from", {}) if file is not None else {}
            one["from"] = {key: guard[key] for key in ("root", "namespace") if key in guard}
        found.append(one)
    return found


def _parts(file: MappingFile, when: Any, pointer: str) -> Iterator[tuple[Any, str]]:
    """The parts of a condition that are no combinations, each with its pointer."""
    if isinstance(when, dict):
        for name in ("all", "any"):
            if name in when:
                for index, part in enumerate(when[name]):
                    yield from _parts(file, part, f"{pointer}/{name}/{index}")
                return
        if "not" in when:
            yield from _parts(file, when["not"], f"{pointer}/not")
            return
    yield when, pointer


def _names(project: Project, source: str) -> list[str]:
    """The mappings of a source."""
    sources = project.plan.summary["sources"]
    return next((list(one["mappings"]) for one in sources if one["name"] == source), [])


def _tables(project: Project, rule: Rule) -> list[dict[str, Any]]:
    """The tables that a rule asks, with their versions."""
    versions = {one["name"]: one["version"] for one in project.plan.summary["lookups"]}
    names = dict.fromkeys(_asked(rule.spec))
    return [{"table": name, "version": versions[name]} for name in names if name in versions]


def _asked(spec: Any) -> Iterator[str]:
    if isinstance(spec, dict):
        for key, value in spec.items():
            if (key == "lookup" and isinstance(value, str)) or (key == "table" and isinstance(value, str)):
                yield value
            elif key != "fields":
                yield from _asked(value)
    elif isinstance(spec, list):
        for one in spec:
            yield from _asked(one)


def _contract_file(project: Project, shown: str) -> dict[str, Any]:
    """A contract as it is written; empty if its file is gone."""
    ours = next((one for one in project.packs if shown.startswith(f"{one.prefix}contracts/")), None)
    path = ours.path / shown.removeprefix(ours.prefix) if ours else project.root / shown
    if not path.is_file():
        return {}
    document, _, _ = _core.parse_yaml(path.read_bytes(), shown)
    return document if isinstance(document, dict) else {}


def same(one: Any, two: Any) -> bool:
    """Whether two documents are the same."""
    return json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
