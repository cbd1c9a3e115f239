"""Contracts that are to go: what their events say, when they are refused, and what `check` says before."""

import json
from contextlib import closing
from datetime import date

import pytest

import mfgroute
from mfgroute import _core
from mfgroute.project import load_project

from .conftest import CONTRACT, MAIN, mapping

NAME = "contracts/thing.v1.yaml"
IDS = mapping("n: {path: n}").replace('{const: "1"}', "{path: id}")
FROM_CANONICAL = MAIN.replace(", mappings: [m]", "")


def contract(lifecycle):
    return CONTRACT.replace("TYPE", "thing").replace("{status: active}", lifecycle)


def going(**texts):
    return contract("{" + ", ".join(["status: deprecated", *(f"{k}: {v}" for k, v in texts.items())]) + "}")


def delivered(plan, raw):
    """The receipt of one message and the envelopes that the sink gets."""
    with closing(_core.Engine(plan)) as engine:
        receipt = engine.submit("src", [raw])
        return receipt, [json.loads(event.json) for event in engine.poll("log").events]


def canonical(**more):
    envelope = {"specversion": "1.0", "id": "7", "source": "//x/y", "type": "com.example.thing.v1"}
    return json.dumps({**envelope, **more, "data": {"id": "1"}}).encode()


def deprecation(envelope):
    return {name: value for name, value in envelope.items() if name.startswith("deprecat")}


SAID = [
    ({}, {"deprecated": True}),
    ({"since": "2026-01-31"}, {"deprecated": True, "deprecationfrom": "2026-01-31T00:00:00Z"}),
    ({"since": "2026-01-31", "sunset": "2999-12-31", "successor": "thing/2"}, {
        "deprecated": True, "deprecationfrom": "2026-01-31T00:00:00Z",
        "deprecationsunset": "2999-12-31T00:00:00Z", "deprecationmigration": "mfgroute:contract:thing:2",
    }),
]  # fmt: skip


@pytest.mark.parametrize(("texts", "attributes"), SAID)
def test_events_of_a_deprecated_contract_say_so(project, texts, attributes):
    plan = project.load(IDS, **{NAME: going(**texts)})
    [one] = plan.summary["mappings"]
    assert one["flat"], one
    receipt, [envelope] = delivered(plan, b'{"id":"1","n":"2"}')
    assert receipt.accepted == 1
    assert deprecation(envelope) == attributes
    assert envelope["data"] == {"id": "1", "n": "2"}
    # A list of one item where one value is meant runs on trees, with the same envelope.
    _, [other] = delivered(plan, b'{"id":["1"],"n":"2"}')
    assert deprecation(other) == attributes


def test_events_of_an_active_contract_say_nothing(project):
    _, [envelope] = delivered(project.load(IDS, **{NAME: contract("{status: active}")}), b'{"id":"1"}')
    assert deprecation(envelope) == {}


@pytest.mark.parametrize(("ours", "theirs", "found"), [
    ("{status: active}", {}, {}),
    ("{status: active}", {"deprecated": True}, {"deprecated": True}),
    ("{status: deprecated}", {}, {"deprecated": True}),
    ("{status: deprecated}", {"deprecated": False, "deprecationfrom": "2020-01-01T00:00:00Z"}, {"deprecated": True}),
])  # fmt: skip
def test_a_canonical_event_says_what_this_node_knows(project, ours, theirs, found):
    plan = project.load(**{NAME: contract(ours), "mfgroute.yaml": FROM_CANONICAL})
    _, [envelope] = delivered(plan, canonical(**theirs, mfgmapping="m@1"))
    assert (deprecation(envelope), envelope["mfgmapping"]) == (found, "m@1")


@pytest.mark.parametrize(("successor", "expected"), [
    ({"successor": "thing/2"}, "its successor thing/2"),
    ({}, "an event of a contract that is in use; ask tests"),
])  # fmt: skip
def test_from_its_sunset_on_events_are_refused_and_their_successor_is_named(project, successor, expected):
    files = {NAME: going(sunset="2020-03-01", **successor)}
    receipt, events = delivered(project.load(IDS, **files), b'{"id":"1"}')
    [reject] = receipt.rejects
    assert (receipt.accepted, events, reject.code, reject.pointer) == (0, [], "contract_sunset", "")
    assert (reject.found, reject.expected) == ("thing/1, which ended on 2020-03-01", expected)
    receipt, events = delivered(project.load(**files, **{"mfgroute.yaml": FROM_CANONICAL}), canonical())
    [reject] = receipt.rejects
    assert (events, reject.code, reject.pointer) == ([], "contract_sunset", "/type")


def warnings(project, **files):
    plan = project.load(IDS, **files)
    return [(p["file"], p["line"], p["severity"], p["message"], p["hint"]) for p in plan.problems]


TO_LINE = next(n for n, line in enumerate(IDS.splitlines(), 1) if "thing/1" in line)


@pytest.mark.parametrize(("texts", "message", "hint"), [
    ({}, "thing/1 is deprecated", "ask tests what takes its place"),
    ({"sunset": "2999-01-01"}, "thing/1 is deprecated, its events are rejected from 2999-01-01 on",
     "ask tests what takes its place"),
    ({"successor": "thing/2"}, "thing/1 is deprecated", "emit its successor thing/2"),
])  # fmt: skip
def test_a_mapping_to_a_deprecated_contract_is_a_warning(project, texts, message, hint):
    assert warnings(project, **{NAME: going(**texts)}) == [
        ("mappings/m.yaml", TO_LINE, "warning", message, hint)
    ]
    assert warnings(project, **{NAME: contract("{status: active}")}) == []


@pytest.mark.parametrize(("day", "is_error"), [
    (None, False), (date(2026, 6, 30), False), (date(2026, 7, 1), True), (date(2026, 7, 2), True),
])  # fmt: skip
def test_for_who_asks_on_a_day_a_mapping_past_the_sunset_is_an_error(project, day, is_error):
    project.write("mappings/m.yaml", IDS).write(NAME, going(sunset="2026-07-01", successor="thing/2"))
    if not is_error:
        [problem] = load_project(project.root, today=day).warnings
        assert problem.message == "thing/1 is deprecated, its events are rejected from 2026-07-01 on"
        return
    with pytest.raises(mfgroute.ConfigError) as info:
        load_project(project.root, today=day)
    [problem] = info.value.problems
    assert (problem.file, problem.line) == ("mappings/m.yaml", TO_LINE)
    assert problem.message == "thing/1 ended on 2026-07-01, its events are rejected"
    assert problem.hint == "emit its successor thing/2"


NEXT = contract("{status: active}").replace("version: 1.0.0", "version: 2.0.0")


@pytest.mark.parametrize(("pattern", "warned"), [
    ("thing/1", True), ("thing", False), (">", False), ("[thing/2, thing/1]", True), ("thing.>", None), ("other", False),
])  # fmt: skip
def test_a_route_that_takes_only_deprecated_contracts_is_a_warning(project, pattern, warned):
    main = FROM_CANONICAL.replace('type: ">"', f"type: {pattern}")
    files = {"mfgroute.yaml": main, NAME: going(successor="thing/2"), "contracts/thing.v2.yaml": NEXT}
    if warned is None:
        assert "no contract matches" in str(project.problems(**files))
        return
    told = [p for p in project.load(**files).problems if "without a conversion" not in p["message"]]
    found = [(p["line"], p["message"], p["hint"]) for p in told]
    line = next(n for n, text in enumerate(main.splitlines(), 1) if "match:" in text)
    assert found == ([(line, "thing/1 is deprecated", "take its successor thing/2")] if warned else [])


def test_the_summary_says_how_long_a_contract_is_to_be_used(project):
    plan = project.load(IDS, **{NAME: going(since="2026-01-31", sunset="2999-12-31", successor="thing/2")})
    found = {one["type"]: one for one in plan.summary["contracts"]}
    keys = ("status", "since", "sunset", "successor")
    assert [found["thing"][key] for key in keys] == ["deprecated", "2026-01-31", "2999-12-31", "thing/2"]
    assert [found["other"][key] for key in keys] == ["active", None, None, None]


def test_a_day_that_is_none_is_refused(project):
    with pytest.raises(ValueError, match="no day"):
        _core.Plan.compile(str(project.root), b"{}", {}, today=(2026, 2, 29))
