"""Versions: a route takes one version of a type, and events of the others are converted when they are delivered."""

import json
from contextlib import closing

import pytest

import mfgroute
from mfgroute import _core
from mfgroute.project import load_project

from .version_project import DOWN, MAKES_1, MAKES_2, MESSAGE, NEW, NEXT, OLD, UP, V3, Versions, as_route


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


def test_a_parked_event_is_edited_in_the_version_that_its_sink_gets(project):
    project.files(m=MAKES_1, up=UP).main(as_route("r", "plant.order/2", "erp"))
    engine = mfgroute.Engine(project.load())
    engine.submit("src", [json.dumps(MESSAGE).encode()])
    with engine.poll("erp") as batch:
        batch.refused(batch.events[0], "M7", "closed")
    ask = {"kind": "parked", "verb": "edit", "sink": "erp", "number": 0, "who": "uid 7", "why": "x"}
    old = json.loads(engine.dead_letters(json.dumps({**ask, "set": [["/quantity", "3"]]}).encode()))
    assert (old["rejected"][0]["code"], old["rejected"][0]["pointer"]) == ("contract_invalid", "/quantity")
    key = json.loads(engine.dead_letters(json.dumps({**ask, "set": [["/order", "1"]]}).encode()))
    assert (key["rejected"][0]["code"], key["rejected"][0]["pointer"]) == ("key_changed", "/order")
    new = json.loads(engine.dead_letters(json.dumps({**ask, "set": [["/amount/value", "3.0"]]}).encode()))
    with engine.poll("erp") as batch:
        event = json.loads(batch.events[0].json)
        batch.done_all()
    assert event["id"] == new["id"]
    assert event["data"] == {"order": "4711", "amount": {"value": "3.0", "unit": "KGM"}}
    assert event["dataschema"] == "mfgroute:contract:plant.order:2.0.1"
    assert event["bamptxsid"] == "new-step"
    assert event["subject"] == "order/4711"
    assert event["mfgmapping"].startswith("m@")
    assert event["mfgconversion"].startswith("up@")
    engine.close()
