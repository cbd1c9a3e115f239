"""Routes: patterns of types, sources, several routes to one sink, and what nobody wants."""

import json
from contextlib import closing

import pytest

from mfgroute import _core

from .conftest import CONTRACT, MAIN, mapping

NAMES = ["production.operation.completed", "production.order", "production", "quality.hold.placed"]


def build(project, routes, names=NAMES, *, sources="src"):
    for name in names:
        project.write(f"contracts/{name}.v1.yaml", CONTRACT.replace("TYPE", name))
    main = MAIN[: MAIN.index("routes:")] + "  two: {adapter: console, owner: tests}\nroutes:\n"
    main = main.replace(
        "sinks:", "  other-src: {adapter: files, path: ./o/*.jsonl, mappings: [m]}\nsinks:", 1
    )
    main += "".join(f"  - {route}\n" for route in routes)
    entries = "".join(f"  - {{to: {name}/1, fields: {{id: {{const: '1'}}}}}}\n" for name in names)
    return project.load("from: {decode: json}\nemit:\n" + entries, **{"mfgroute.yaml": main})


def sinks(plan, source="src"):
    found = [json.loads(line) for line in _core.explain(plan, source, b"{}", {}).splitlines()]
    return {one["to"].removesuffix("/1"): one["sinks"] for one in found}


PATTERNS = [
    ('">"', NAMES),
    ("production.operation.completed/1", NAMES[:1]),
    ('"production.*"', ["production.order"]),
    ('"production.>"', ["production.operation.completed", "production.order"]),
    ('"*.hold.*"', ["quality.hold.placed"]),
    ('"*"', ["production"]),
    ("[production.order/1, quality.hold.placed/1]", ["production.order", "quality.hold.placed"]),
    ('["production.*", "quality.>"]', ["production.order", "quality.hold.placed"]),
]


@pytest.mark.parametrize(("pattern", "expected"), PATTERNS)
def test_a_pattern_chooses_types(project, pattern, expected):
    plan = build(project, [f"{{name: r, match: {{type: {pattern}}}, to: log}}"])
    found = sinks(plan)
    assert sorted(name for name, to in found.items() if to == ["log"]) == sorted(expected)


SOURCES = [("src", ["src"]), ("[src, other-src]", ["src", "other-src"]), ("other-src", ["other-src"])]


@pytest.mark.parametrize(("source", "expected"), SOURCES)
def test_a_route_may_choose_sources(project, source, expected):
    plan = build(project, [f'{{name: r, match: {{type: ">", source: {source}}}, to: log}}'])
    assert [one for one in ("src", "other-src") if sinks(plan, one)["production"] == ["log"]] == expected


def test_an_event_that_several_routes_send_to_one_sink_is_delivered_once(project):
    routes = ['{name: a, match: {type: ">"}, to: log}', '{name: b, match: {type: "production.>"}, to: log}']
    plan = build(project, [*routes, '{name: c, match: {type: ">"}, to: two}'])
    assert sinks(plan)["production.order"] == ["log", "two"]
    with closing(_core.Engine(plan)) as engine:
        engine.submit("src", [b"{}"])
        seen = []
        for _ in range(10):
            with engine.poll("log") as batch:
                seen += [event.id for event in batch]
                batch.done_all()
        assert len(seen) == len(set(seen)) == 4
        assert engine.stats()["sinks"]["log"]["matched"] == 4


def test_an_event_that_no_route_wants_is_counted_unrouted(project):
    plan = build(project, ["{name: r, match: {type: production/1}, to: log}"])
    with closing(_core.Engine(plan)) as engine:
        engine.submit("src", [b"{}"])
        stats = engine.stats()
        assert stats["sources"]["src"]["unrouted"] == 3
        assert stats["unaccounted"] == 0


def test_a_type_that_nobody_wants_is_a_warning(project):
    plan = build(project, ["{name: r, match: {type: production/1}, to: log}"])
    warned = " ".join(str(problem["message"]) for problem in plan.problems)
    for name in NAMES[:2] + NAMES[3:]:
        assert name in warned


REFUSED = [
    ('{name: r, match: {type: "production.>.x"}, to: log}', ""),
    ("{name: r, match: {type: production.ordr/1}, to: log}", "production.order"),
    ("{name: r, match: {type: production.order/2}, to: log}", "production.order"),
    ('{name: r, match: {type: ">", source: srcc}, to: log}', "src"),
    ('{name: r, match: {type: ">"}, to: logg}', "log"),
    ('{name: r, match: {typ: ">"}, to: log}', "type"),
    ('{name: r, match: {type: ">"}}', "to"),
    ("{name: r, to: log}", "match"),
    ('{match: {type: ">"}, to: log}', "name"),
    ("{name: r, match: {type: []}, to: log}", ""),
    ('{name: r, match: {type: "prodction.*"}, to: log}', ""),
    ('{name: r, match: {type: ""}, to: log}', ""),
    ('{name: r, match: {type: "production..order"}, to: log}', ""),
]


@pytest.mark.parametrize(("route", "word"), REFUSED)
def test_a_route_that_means_nothing_is_refused_at_its_line(project, route, word):
    import mfgroute

    with pytest.raises(mfgroute.ConfigError) as info:
        build(project, [route])
    found = [p for p in info.value.problems if (p.file, p.line) == ("mfgroute.yaml", 12)]
    assert any(word in f"{p.message} {p.hint}" for p in found), str(info.value)


def test_two_routes_of_one_name_are_refused(project):
    import mfgroute

    with pytest.raises(mfgroute.ConfigError):
        build(project, ['{name: r, match: {type: ">"}, to: log}', '{name: r, match: {type: ">"}, to: two}'])


def test_a_filter_drops_by_a_named_rule_and_is_counted(project):
    main = MAIN.replace(
        "mappings: [m]", "mappings: [m], filter: {when: {path: t, equals: test}, name: tests}"
    )
    plan = project.load(mapping("v: {const: 1}"), **{"mfgroute.yaml": main})
    with closing(_core.Engine(plan)) as engine:
        receipt = engine.submit("src", [b'{"t":"test"}', b'{"t":"real"}'])
        assert (receipt.filtered, receipt.accepted) == (1, 1)
        assert engine.stats()["sources"]["src"]["filtered_by_rule"] == {"tests": 1}
