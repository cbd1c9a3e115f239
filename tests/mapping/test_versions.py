"""Versions: a route takes one version of a type, and events of the others are converted when they are delivered."""

import json
from contextlib import closing

import pytest

import mfgroute
from mfgroute import _core
from mfgroute.project import load_project

from .conftest import MAIN, Project

V1 = """\
type: plant.order
version: 1.3.0
kind: event
stream: business
owner: tests
lifecycle: {status: deprecated, successor: plant.order/2}
key: {order: [data.number]}
idempotency: [data.number]
business: {process: orders, transaction: data.number, step: old-step}
schema:
  type: object
  required: [number, quantity, unit]
  additionalProperties: false
  properties:
    number: {type: string, minLength: 1}
    quantity: {type: string, format: decimal, x-decimal: {digits: 13, places: 3}}
    unit: {type: string}
"""
V2 = """\
type: plant.order
version: 2.0.1
kind: event
stream: business
owner: tests
lifecycle: {status: active}
key: {order: [data.order]}
idempotency: [data.order]
business: {process: orders, transaction: data.order, step: new-step}
schema:
  type: object
  required: [order, amount]
  additionalProperties: false
  properties:
    order: {type: string, minLength: 1}
    amount:
      type: object
      required: [value, unit]
      additionalProperties: false
      properties:
        value: {type: string, format: decimal, x-decimal: {min: "0", digits: 13, places: 3}}
        unit: {type: string, enum: [KGM, GRM]}
"""
V3 = V2.replace("version: 2.0.1", "version: 3.0.0").replace("amount", "total")

UP = """\
from: {contract: plant.order/1}
emit:
  - to: plant.order/2
    fields:
      order: {path: number}
      amount.value: {path: quantity}
      amount.unit: {path: unit, codes: {kg: KGM, g: GRM}}
"""
DOWN = """\
from: {contract: plant.order/2}
emit:
  - to: plant.order/1
    fields:
      number: {path: order}
      quantity: {path: amount.value}
      unit: {path: amount.unit, codes: {KGM: kg, GRM: g}}
"""
NEXT = """\
from: {contract: plant.order/2}
emit:
  - to: plant.order/3
    fields: {order: {path: order}, total.value: {path: amount.value}, total.unit: {path: amount.unit}}
"""
MAKES_1 = """\
from: {decode: json}
time: {path: at}
emit:
  - to: plant.order/1
    fields: {number: {path: no}, quantity: {path: qty}, unit: {path: uom}}
"""
MAKES_2 = """\
from: {decode: json}
emit:
  - to: plant.order/2
    fields: {order: {path: no}, amount.value: {path: qty}, amount.unit: {path: uom}}
"""
MESSAGE = {"no": "4711", "qty": "2.5", "uom": "kg", "at": "2026-03-01T06:00:00Z"}
OLD = {"number": "4711", "quantity": "2.5", "unit": "kg"}
NEW = {"order": "4711", "amount": {"value": "2.5", "unit": "KGM"}}


class Versions(Project):
    """A project with three sinks, whose files are those that a test names."""

    def __init__(self, root):
        super().__init__(root)
        self.files(v1=V1, v2=V2)

    def files(self, **texts):
        for name, text in texts.items():
            contract = name.startswith("v") and name[1:].isdigit()
            folder = (
                f"contracts/plant.order.{name}.yaml"
                if contract
                else f"mappings/{name.replace('_', '-')}.yaml"
            )
            self.write(folder, text)
        return self

    def main(self, *routes, sources=("src",), mappings="m"):
        text = MAIN[: MAIN.index("sources:")] + "sources:\n"
        for index, name in enumerate(sources):
            used = mappings if isinstance(mappings, str) else mappings[index]
            used = f", mappings: [{used}]" if used else ""
            text += f"  {name}: {{adapter: files, path: ./{name}/*.jsonl{used}}}\n"
        text += "sinks:\n" + "".join(
            f"  {name}: {{adapter: console, owner: tests}}\n" for name in ("erp", "wms", "log")
        )
        text += "routes:\n" + "".join(f"  - {{{route}}}\n" for route in routes)
        self.write("mfgroute.yaml", text)
        return self

    def refused(self):
        with pytest.raises(mfgroute.ConfigError) as info:
            self.load()
        return [
            (p.file, p.line, p.column, p.message, p.hint)
            for p in info.value.problems
            if p.severity == "error"
        ]


@pytest.fixture
def project(tmp_path):
    return Versions(tmp_path)


def delivered(engine, sink):
    batch = engine.poll(sink)
    found = [json.loads(event.json) for event in batch.events]
    assert [event.type for event in batch.events] == [one["type"] for one in found]
    batch.done_all()
    return found


def submitted(plan, message=None, source="src", sinks=("erp", "wms", "log")):
    """The receipt of one message, and the envelopes that each sink gets."""
    with closing(_core.Engine(plan)) as engine:
        receipt = engine.submit(source, [json.dumps(MESSAGE if message is None else message).encode()])
        found = {sink: delivered(engine, sink) for sink in sinks}
        assert engine.stats()["unaccounted"] == 0
        return receipt, found


def as_route(name, pattern, to, **more):
    extra = "".join(f", {key}: {value}" for key, value in more.items())
    return f'name: {name}, match: {{type: "{pattern}"}}, to: {to}{extra}'


def test_a_sink_gets_the_version_that_its_route_names_and_the_stream_keeps_what_was_produced(project):
    project.files(m=MAKES_1, up=UP).main(
        as_route("new", "plant.order/2", "erp"),
        as_route("old", "plant.order/1", "wms"),
        as_route("all", ">", "log"),
    )
    receipt, found = submitted(project.load())
    assert receipt.accepted == 1
    [erp], [wms], [log] = found["erp"], found["wms"], found["log"]
    assert (erp["type"], erp["dataschema"], erp["data"]) == (
        "com.example.plant.order.v2", "mfgroute:contract:plant.order:2.0.1", NEW,
    )  # fmt: skip
    for one in (wms, log):
        assert (one["type"], one["dataschema"], one["data"]) == (
            "com.example.plant.order.v1", "mfgroute:contract:plant.order:1.3.0", OLD,
        )  # fmt: skip
    same = (
        "id",
        "source",
        "time",
        "subject",
        "partitionkey",
        "correlationid",
        "bamtxid",
        "recordedtime",
        "mfgmapping",
    )
    assert {name: erp[name] for name in same} == {name: wms[name] for name in same}
    assert (erp["subject"], erp["time"]) == ("order/4711", "2026-03-01T06:00:00Z")
    # What a contract says of itself is that of the version which is delivered.
    assert (wms["bamptxsid"], wms["deprecated"]) == ("old-step", True)
    assert (erp["bamptxsid"], "deprecated" in erp) == ("new-step", False)
    assert erp["mfgconversion"].startswith("up@")
    assert "mfgconversion" not in wms


def test_a_type_without_version_means_the_newest_that_the_project_knows(project):
    project.files(m=MAKES_1, up=UP).main(as_route("r", "plant.order", "erp"))
    assert [one["data"] for one in submitted(project.load())[1]["erp"]] == [NEW]
    project.files(v3=V3, next=NEXT)
    [event] = submitted(project.load())[1]["erp"]
    assert (event["type"], event["data"]) == (
        "com.example.plant.order.v3",
        {"order": "4711", "total": NEW["amount"]},
    )
    assert [one.partition("@")[0] for one in event["mfgconversion"].split()] == ["up", "next"]


def test_versions_are_converted_in_either_direction(project):
    project.files(m=MAKES_1, n=MAKES_2, up=UP, down=DOWN).main(
        as_route("new", "plant.order/2", "erp"),
        as_route("old", "plant.order/1", "wms"),
        sources=("src", "other"),
        mappings=("m", "n"),
    )
    plan = project.load()
    for source, message in (("src", MESSAGE), ("other", {**MESSAGE, "uom": "KGM"})):
        _, found = submitted(plan, message, source)
        assert [one["data"] for one in found["erp"]] == [NEW]
        assert [one["data"] for one in found["wms"]] == [OLD]


@pytest.mark.parametrize(("where", "expected"), [
    ('data.amount.unit == "KGM" && type == "com.example.plant.order.v2"', 1), ('data.amount.unit == "GRM"', 0),
])  # fmt: skip
def test_where_sees_the_version_that_is_delivered(project, where, expected):
    project.files(m=MAKES_1, up=UP).main(as_route("r", "plant.order/2", "erp", where=f"'{where}'"))
    assert len(submitted(project.load())[1]["erp"]) == expected


def test_a_where_over_the_produced_version_is_refused(project):
    project.files(m=MAKES_1, up=UP).main(
        as_route("r", "plant.order/2", "erp", where="'data.quantity == \"1\"'")
    )
    [(file, line, _, message, _)] = project.refused()
    assert (file, line) == ("mfgroute.yaml", 12)
    assert message == "the contract plant.order/2 has no field quantity"


def test_what_cannot_be_converted_is_refused_when_it_is_submitted(project):
    project.files(m=MAKES_1, up=UP).main(
        as_route("new", "plant.order/2", "erp"), as_route("all", "plant.*", "log")
    )
    receipt, found = submitted(project.load(), {**MESSAGE, "uom": "lb"})
    [reject] = receipt.rejects
    assert (receipt.accepted, found) == (0, {"erp": [], "wms": [], "log": []})
    assert (reject.code, reject.pointer, reject.found) == ("conversion_failed", "/uom", "lb (code_unknown)")
    assert reject.expected == "amount.unit: one of kg, g, to make plant.order/2 by up"


def test_a_conversion_must_satisfy_the_contract_it_leads_to(project):
    project.files(m=MAKES_1, up=UP).main(as_route("new", "plant.order/2", "erp"))
    [reject] = submitted(project.load(), {**MESSAGE, "qty": "-1"})[0].rejects
    assert (reject.code, reject.pointer) == ("conversion_failed", "/qty")
    assert "contract_invalid" in reject.found
    assert "plant.order/2" in reject.expected


def envelope(major, data, **more):
    return {
        "specversion": "1.0", "id": "e-1", "source": "//x/y", "type": f"com.other.plant.order.v{major}",
        "time": "2026-03-01T06:00:00Z", **more, "data": data,
    }  # fmt: skip


def test_a_canonical_event_is_converted_and_keeps_its_attributes(project):
    project.files(up=UP).main(as_route("new", "plant.order/2", "erp"), mappings="")
    more = {"mfgmapping": "m@1", "mfgconversion": "older@2", "deprecated": True, "colour": "red"}
    receipt, found = submitted(project.load(), envelope(1, OLD, **more))
    assert receipt.accepted == 1
    [event] = found["erp"]
    assert (event["id"], event["data"], event["mfgmapping"], event["colour"]) == ("e-1", NEW, "m@1", "red")
    assert [one.partition("@")[0] for one in event["mfgconversion"].split()] == ["older", "up"]
    assert "deprecated" not in event
    receipt, _ = submitted(project.load(), envelope(1, {**OLD, "unit": "lb"}))
    assert [(one.code, one.pointer) for one in receipt.rejects] == [("conversion_failed", "/data/unit")]


def test_a_list_that_names_both_versions_takes_events_as_they_are(project):
    project.files(m=MAKES_1, up=UP).main("name: r, match: {type: [plant.order/1, plant.order/2]}, to: erp")
    [event] = submitted(project.load())[1]["erp"]
    assert event["data"] == OLD


def test_a_version_that_cannot_be_reached_is_refused_with_the_way_out(project):
    project.files(m=MAKES_1).main(as_route("new", "plant.order/2", "erp"))
    assert project.refused() == [(
        "mfgroute.yaml", 12, 31,
        "the route new takes plant.order/2, but src makes plant.order/1 and no conversion leads from there",
        "write a mapping with from: {contract: plant.order/1} and to: plant.order/2, or take plant.order/1 as well",
    )]  # fmt: skip


def test_a_route_needs_no_way_from_what_its_sources_do_not_make(project):
    project.files(m=MAKES_1, n=MAKES_2).main(
        "name: new, match: {type: plant.order/2, source: other}, to: erp",
        "name: old, match: {type: plant.order/1, source: src}, to: wms",
        sources=("src", "other"),
        mappings=("m", "n"),
    )
    plan = project.load()
    assert [one["data"] for one in submitted(plan)[1]["wms"]] == [OLD]
    assert submitted(plan)[1]["erp"] == []


def test_what_a_canonical_source_may_bring_and_no_way_leads_from_is_a_warning(project):
    project.main(as_route("new", "plant.order", "erp"), mappings="")
    [problem] = project.load().problems
    assert (problem["line"], problem["severity"]) == (12, "warning")
    assert problem["message"] == (
        "the route new takes plant.order/2; plant.order/1, which src may bring, does not reach it without a conversion"
    )


def test_two_routes_cannot_send_two_versions_of_an_event_to_one_sink(project):
    project.files(m=MAKES_1, up=UP).main(
        as_route("new", "plant.order/2", "erp"), as_route("all", ">", "[log, erp]")
    )
    [(file, line, _, message, hint)] = project.refused()
    assert (file, line) == ("mfgroute.yaml", 13)
    assert message == (
        "the routes new and all send plant.order/1 to the sink erp as plant.order/2 and as plant.order/1, "
        "expected one version"
    )
    assert hint == "take the same version in both routes, or send to another sink"


CIRCLE = """\
from: {contract: plant.order/3}
emit:
  - to: plant.order/1
    fields: {number: {path: order}, quantity: {path: total.value}, unit: {path: total.unit}}
"""


def test_a_circle_of_conversions_is_refused_at_the_last_of_them(project):
    project.files(m=MAKES_1, v3=V3, up=UP, next=NEXT, round=CIRCLE).main(
        as_route("r", "plant.order/3", "erp")
    )
    assert project.refused() == [(
        "mappings/up.yaml", 1, 18,
        "the conversions are circular: plant.order/1 → plant.order/2 → plant.order/3 → plant.order/1",
        "remove one of next, round, up",
    )]  # fmt: skip


def test_a_conversion_of_a_version_to_itself_is_circular(project):
    same = UP.replace("order/1", "order/2").replace("number", "order").replace("quantity", "amount.value")
    project.files(m=MAKES_2, same=same).main(as_route("r", "plant.order/2", "erp"))
    [(file, line, column, message, hint)] = project.refused()
    assert (file, line, column) == ("mappings/same.yaml", 1, 18)
    assert message == "the conversion is circular: it makes plant.order/2 of plant.order/2"
    assert hint == "emit another version of plant.order"


def test_two_ways_to_one_version_are_refused(project):
    direct = UP.replace("to: plant.order/2", "to: plant.order/3").replace("amount", "total")
    project.files(m=MAKES_1, v3=V3, up=UP, next=NEXT, direct=direct).main(
        as_route("r", "plant.order/3", "erp")
    )
    [(file, _, _, message, hint)] = project.refused()
    assert file == "mappings/up.yaml"
    assert message.startswith("the conversions go two ways to one version: plant.order/1 → ")
    assert hint == "remove one of direct, next, up"
    project.files(direct=UP)
    [(file, _, _, message, hint)] = project.refused()
    assert (file, message) == (
        "mappings/up.yaml",
        "two conversions do the same: plant.order/1 → plant.order/2",
    )
    assert hint == "remove one of direct, up"


WRONG = [
    (UP.replace("plant.order/1}", "plant.order/7}"), 1, "there is no contract plant.order/7"),
    (UP.replace("/1}", "/1, decode: json}"), 1, "decode has no meaning in the `from` of a conversion"),
    (UP + "when: {path: unit, equals: kg}\n", 8, "a conversion has when, expected none: it converts every event of its contract"),
    (UP + "time: {path: at}\n", 8, "a conversion has time, expected none: the event keeps its time"),
    (UP.replace("    fields:", "    each: list\n    fields:"), 4, "a conversion has each, expected none: one event becomes one event"),
    (UP + UP[UP.index("  - to") :], 8, "a conversion has several entries in emit, expected one"),
    (UP.replace("to: plant.order/2", "to: thing/1"), 3, "a conversion of plant.order/1 makes thing/1, expected the same type"),
    (UP.replace("{path: number}", "{meta: source.name}"), 5, "a conversion has no meta, expected values of data"),
    (UP.replace("{path: number}", "{cel: 'meta.source.name'}"), 5, "meta does not exist here"),
    (UP.replace("{path: number}", "{cel: 'source'}"), 5, "source does not exist here"),
    (UP.replace("      order: {path: number}\n", ""), 3, "the contract plant.order/2 requires order, which no field makes"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "said"), WRONG)
def test_what_is_no_conversion_is_refused_at_its_place(project, text, line, said):
    project.files(m=MAKES_1, up=text).main(as_route("r", "plant.order/2", "erp"))
    found = [(at, message) for file, at, _, message, _ in project.refused() if file == "mappings/up.yaml"]
    assert any(at == line and said in message for at, message in found), found
    # That the version cannot be reached without it is no further problem.
    assert not any(file == "mfgroute.yaml" for file, *_ in project.refused())


def test_a_source_cannot_use_a_conversion(project):
    project.files(m=MAKES_1, up=UP).main(as_route("r", "plant.order/2", "erp"), mappings="m, up")
    [(file, line, _, message, hint)] = project.refused()
    assert (file, line) == ("mfgroute.yaml", 6)
    assert message == "the mapping up is a conversion, expected one that reads messages"
    assert hint == "remove it; routes find conversions by themselves"


def test_examples_of_a_conversion_are_run(project):
    good = (
        UP
        + 'examples:\n  - {name: kg, given: {number: "1", quantity: "2", unit: kg}, expect: [{data: {order: "1", amount: {value: "VALUE", unit: KGM}}}]}\n  - {name: lb, given: {number: "1", quantity: "2", unit: lb}, reject: {code: code_unknown, pointer: /unit}}\n'
    )
    project.files(m=MAKES_1, up=good.replace("VALUE", "2")).main(as_route("r", "plant.order/2", "erp"))
    assert project.load().summary["examples"] == 2
    project.files(up=good.replace("VALUE", "3"))
    assert "kg" in str(project.refused())


def test_a_conversion_that_is_gone_after_a_reload_sets_the_event_aside_by_name(project):
    project.files(m=MAKES_1, up=UP).main(as_route("r", "plant.order/2", "erp"))
    plan = project.load()
    [message] = [json.dumps(MESSAGE).encode()]
    (project.root / "mappings/up.yaml").unlink()
    project.main(as_route("r", "plant.order/1", "erp"))
    without = project.load()
    with closing(_core.Engine(plan)) as engine:
        engine.submit("src", [message])
        engine.install(without)
        assert delivered(engine, "erp") == []
        [parked] = json.loads(engine.dead_letters(json.dumps({"kind": "parked", "verb": "export"}).encode()))
        assert (parked["sink"], parked["code"], parked["key"]) == ("erp", "conversion_failed", "order/4711")
        assert parked["event"]["data"] == OLD
        assert engine.stats()["unaccounted"] == 0
        # With the conversion back, it goes out as it was promised.
        engine.install(plan)
        [parked] = json.loads(engine.dead_letters(json.dumps({"kind": "parked", "verb": "export"}).encode()))
        assert parked["event"]["data"] == NEW
        request = {
            "kind": "parked",
            "verb": "retry",
            "sink": "erp",
            "number": parked["number"],
            "who": "test",
        }
        engine.dead_letters(json.dumps(request).encode())
        assert [one["data"] for one in delivered(engine, "erp")] == [NEW]


def test_a_reload_does_not_change_the_version_that_was_promised(project):
    project.files(m=MAKES_1, up=UP).main(as_route("r", "plant.order/2", "erp"))
    plan = project.load()
    project.main(as_route("r", "plant.order/1", "erp"))
    with closing(_core.Engine(plan)) as engine:
        engine.submit("src", [json.dumps(MESSAGE).encode()])
        engine.install(project.load())
        engine.submit("src", [json.dumps({**MESSAGE, "no": "2"}).encode()])
        assert [one["data"] for one in delivered(engine, "erp")] == [NEW, {**OLD, "number": "2"}]


def test_the_summary_names_conversions_and_what_runs_flat(project):
    project.files(m=MAKES_1, up=UP).main(as_route("r", "plant.order/2", "erp"))
    found = {one["name"]: one for one in load_project(project.root).plan.summary["mappings"]}
    assert (found["up"]["converts"], found["up"]["to"]) == ("plant.order/1", ["plant.order/2"])
    assert (found["m"]["converts"], found["m"]["flat"]) == (None, False)
    assert found["m"]["on_trees"] == "the route r takes its events in another version"
    project.main(as_route("r", "plant.order/1", "erp"))
    found = {one["name"]: one for one in load_project(project.root).plan.summary["mappings"]}
    assert found["m"]["flat"], found["m"]
