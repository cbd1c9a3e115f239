"""Versions on the command line: what `check` refuses, and how a conversion is shown."""

import json

import pytest

MAIN = """\
apiVersion: mfgroute/v1
node: {id: core-1, site: DE04, namespace: com.example, data_dir: ./data}
streams:
  business: {durability: memory, capacity: 16MiB}
sources:
  scales: {adapter: files, path: "./inbox/*.jsonl", mappings: [scales]}
sinks:
  erp: {adapter: console, owner: erp-team}
  wms: {adapter: console, owner: logistics}
routes:
  - {name: to-wms, match: {type: plant.weighed/1}, to: wms}
  - {name: to-erp, match: {type: plant.weighed}, where: 'data.net.unit == "KGM"', to: erp}
"""
CONTRACT = """\
type: plant.weighed
version: 1.0.0
owner: tests
key: {lot: [data.lot]}
idempotency: [data.lot]
schema:
  type: object
  required: [lot, weight]
  additionalProperties: false
  properties:
    lot: {type: string}
    weight: {type: string, format: decimal}
"""
NET = (
    "net: {type: object, required: [value, unit], properties: {value: {type: string}, unit: {type: string}}}"
)
NEXT = CONTRACT.replace("version: 1", "version: 2").replace("lot, weight", "lot, net")
NEXT = NEXT.replace("weight: {type: string, format: decimal}", NET)
SCALES = """\
from: {decode: json}
emit:
  - {to: plant.weighed/1, fields: {lot: {path: lot}, weight: {path: kg}}}
"""
UP = """\
from: {contract: plant.weighed/1}
emit:
  - to: plant.weighed/2
    fields:
      lot: {path: lot}
      net.value: {path: weight}
      net.unit: {const: KGM}
"""
MESSAGE = {"lot": "L-7", "kg": "12.5"}
TESTS = """\
tests:
  - name: the erp gets version 2
    source: scales
    given: {lot: L-7, kg: "12.5"}
    expect:
      - to: plant.weighed/1
        converted: {erp: {to: plant.weighed/2, data: {lot: L-7, net: {value: "12.5", unit: UNIT}}}}
"""


@pytest.fixture
def plant(project):
    """A project with both versions, where the command runs."""
    for folder in ("mappings", "tests"):
        for file in (project / folder).iterdir():
            file.unlink()
    files = {
        "mfgroute.yaml": MAIN,
        "contracts/plant.weighed.v1.yaml": CONTRACT,
        "contracts/plant.weighed.v2.yaml": NEXT,
        "mappings/scales.yaml": SCALES,
        "mappings/up.yaml": UP,
        "tests/weights.yaml": TESTS.replace("UNIT", "KGM"),
        "one.json": json.dumps(MESSAGE),
    }
    for name, text in files.items():
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return project


def test_a_version_that_cannot_be_reached_is_refused_with_place_and_hint(plant, mfgroute):
    assert mfgroute("check").code == 0
    (plant / "mappings/up.yaml").unlink()
    found = mfgroute("check")
    assert found.code == 78
    assert (
        "mfgroute.yaml:12:34: the route to-erp takes plant.weighed/2, but scales makes plant.weighed/1 "
        "and no conversion leads from there\n"
        "  hint: write a mapping with from: {contract: plant.weighed/1} and to: plant.weighed/2, "
        "or take plant.weighed/1 as well\n"
    ) in found.err


def test_circular_conversions_are_refused_with_place_and_hint(plant, mfgroute):
    third = NEXT.replace("version: 2", "version: 3")
    (plant / "contracts/plant.weighed.v3.yaml").write_text(third)
    fields = "fields: {lot: {path: lot}, net.value: {path: net.value}, net.unit: {path: net.unit}}"
    (plant / "mappings/on.yaml").write_text(
        f"from: {{contract: plant.weighed/2}}\nemit:\n  - {{to: plant.weighed/3, {fields}}}\n"
    )
    assert mfgroute("check").code == 0
    (plant / "mappings/round.yaml").write_text(
        "from:\n  contract: plant.weighed/3\nemit:\n"
        "  - {to: plant.weighed/1, fields: {lot: {path: lot}, weight: {path: net.value}}}\n"
    )
    found = mfgroute("check")
    assert found.code == 78
    assert (
        "mappings/up.yaml:1:18: the conversions are circular: "
        "plant.weighed/1 → plant.weighed/2 → plant.weighed/3 → plant.weighed/1\n"
        "  hint: remove one of on, round, up\n"
    ) in found.err
    assert found.err.count("circular") == 1


def test_explain_says_which_route_converts_and_which_rule_makes_each_field(plant, mfgroute):
    found = mfgroute("explain", "one.json", "--source", "scales")
    assert (found.code, found.err) == (0, "")
    for line in (
        "  route to-wms sends it to wms\n",
        "  route to-erp sends it to erp as plant.weighed/2\n",
        "  for erp it becomes plant.weighed/2 by up@",
        '  net.value = "12.5"\n    mappings/up.yaml:6: {"path": "weight"}\n',
    ):
        assert line in found.out, found.out
    (event,) = mfgroute("explain", "one.json", "--source", "scales", "--output", "json").json["outcomes"]
    (form,) = event["forms"]
    assert (form["to"], form["sinks"]) == ("plant.weighed/2", ["erp"])
    assert form["data"] == {"lot": "L-7", "net": {"value": "12.5", "unit": "KGM"}}
    assert [route.get("as") for route in event["routes"]] == [None, "plant.weighed/2"]


def test_explain_says_of_a_route_without_a_way_that_it_does_not_take_the_event(plant, mfgroute):
    canonical = MAIN.replace(", mappings: [scales]", "").replace("where: 'data.net.unit == \"KGM\"', ", "")
    (plant / "mfgroute.yaml").write_text(canonical)
    (plant / "mappings/up.yaml").unlink()
    event = {"specversion": "1.0", "id": "1", "source": "//x/y", "type": "com.example.plant.weighed.v1"}
    (plant / "one.json").write_text(json.dumps({**event, "data": {"lot": "L-7", "weight": "1"}}))
    assert (
        "plant.weighed/1, which scales may bring, does not reach it without a conversion"
        in mfgroute("check").err
    )
    assert mfgroute("check", "--strict").code == 1
    found = mfgroute("explain", "one.json", "--source", "scales")
    assert "  route to-erp does not take it: its type is plant.weighed\n" in found.out


def test_try_shows_what_each_sink_is_sent(plant, mfgroute):
    found = mfgroute("try", "one.json")
    assert found.code == 0
    wms, erp = found.out.partition("sink wms is sent:\n")[2].split("sink erp is sent:\n")
    assert wms.startswith("  plant.weighed/1  lot/L-7  id ")
    assert "converted" not in wms
    assert erp.startswith("  plant.weighed/2  lot/L-7  id ")
    assert "converted by up@" in erp
    sinks = mfgroute("try", "one.json", "--output", "json").json["sinks"]
    assert sinks["erp"][0]["data"] == {"lot": "L-7", "net": {"value": "12.5", "unit": "KGM"}}
    assert sinks["erp"][0]["id"] == sinks["wms"][0]["id"]


def test_a_test_expects_what_a_sink_gets_and_touches_the_conversion(plant, mfgroute):
    found = mfgroute("test", "--coverage")
    assert found.code == 0, found.out
    assert "tests touch 2 of 2 mappings, 2 of 2 entries, 5 of 5 fields, 2 of 2 routes" in found.out
    (plant / "tests/weights.yaml").write_text(TESTS.replace("UNIT", "GRM"))
    found = mfgroute("test")
    assert found.code == 1
    assert 'event 1 converted.erp.data.net.unit is "KGM", expected "GRM"' in found.out


def test_eval_runs_a_conversion_on_data(plant, mfgroute):
    found = mfgroute("eval", "up", stdin=b'{"lot": "L-7", "weight": "3"}')
    assert found.code == 0, found.err
    assert found.out.startswith("event plant.weighed/2  (mapping up@")
    assert '"unit": "KGM"' in found.out
    found = mfgroute("eval", "up", stdin=b'{"lot": "L-7"}')
    assert found.code == 65
    assert "contract_invalid" in found.out


def test_the_exports_say_who_gets_which_version(plant, mfgroute):
    page = mfgroute("contract", "catalogue").out
    assert "* route `to-erp` to `erp` (erp-team), as plant.weighed/2, where" in page
    assert "* conversion `up` of plant.weighed/1" in page
    rows = [line.split(" | ")[-2:] for line in page.splitlines() if line.startswith("| [plant.weighed/")]
    assert rows == [["`scales`", "`wms`, `erp` |"], ["`up` (conversion)", "`erp` |"]]
    operations = mfgroute("contract", "export", "asyncapi", "--output", "json").out
    assert "send.erp.plant.weighed.v2" in operations
    assert "send.wms.plant.weighed.v1" in operations
    assert "send.erp.plant.weighed.v1" not in operations


@pytest.fixture
def changed(plant, mfgroute):
    """Change the conversion, and compare what it makes of recorded messages."""

    def of(text, *messages):
        (plant / "new").mkdir()
        (plant / "new/up.yaml").write_text(text)
        kept = [
            {"at": "2026-11-24T06:10:00Z", "source": "scales", "text": json.dumps(one)} for one in messages
        ]
        (plant / "kept.jsonl").write_text("".join(json.dumps(one) + "\n" for one in kept))
        return mfgroute("diff", "--mapping", "new", "--recorded", "kept.jsonl", "--fail-on-change")

    return of


def test_a_changed_conversion_is_compared_by_what_sinks_get_of_it(changed):
    found = changed(UP.replace("{path: weight}", "{path: weight, scale: 1000}"), MESSAGE)
    assert (found.code, found.err) == (1, "")
    assert found.out.splitlines() == [
        "1 of 1 plant.weighed/2 changes: `net.value` (scale), mapping up",
        '  was  mappings/up.yaml:6: {"path": "weight"}',
        '  is   new/up.yaml:6: {"path": "weight", "scale": 1000}',
        '  kept.jsonl:1: "12.5" becomes "12500"',
        "1 of 1 messages change",
    ]


def test_a_conversion_after_which_a_route_takes_no_event_changes_its_sinks(changed):
    found = changed(UP.replace("KGM", "LBR"), MESSAGE)
    assert found.code == 1
    assert "1 event disappears: plant.weighed/2" in found.out
    assert '["wms","erp"] becomes ["wms"]' in found.out.replace(", ", ",")


def test_a_conversion_that_no_recorded_event_needed_is_said_not_to_be_compared(plant, changed):
    main = MAIN.replace("match: {type: plant.weighed}", "match: {type: plant.weighed, source: scales-2}")
    main = main.replace("sinks:", "  scales-2: {adapter: http, mappings: [scales]}\nsinks:", 1)
    (plant / "mfgroute.yaml").write_text(main)
    found = changed(UP.replace("{path: weight}", "{path: weight, scale: 1000}"), MESSAGE)
    assert found.code == 0
    assert found.out.splitlines() == [
        "nothing changes in 1 messages",
        "not compared: no event of these messages was converted by up",
    ]
