"""`mfgroute explain`: why a message becomes what it becomes."""

import json
import signal
from importlib import resources

from cli_projects import MAPPING, PROJECT, report, write_project  # isort: skip
import pytest

TYPE = "production.operation.completed/1"
OTHER = MAPPING.replace("when: {path: evt, equals: DONE}", "when:\n  all:\n    - {path: id, prefix: A-}\n"
                        "    - not: {path: evt, in: [DONE, PING]}")  # fmt: skip
TWO = PROJECT.replace(
    "mes: {adapter: http, mappings: [done],",
    "mes: {adapter: http, filter: {name: heartbeat, when: {path: evt, equals: PING}}, mappings: [done, dropped],",
).replace(
    '  - {name: to-log, match: {type: ">"}, to: log}',
    '  - {name: to-log, match: {type: ">"}, to: log}\n'
    '  - {name: holds, match: {type: "quality.>"}, to: log}\n'
    '  - {name: by-drops, match: {type: ">", source: drops}, to: sap}\n'
    f"  - {{name: one-order, match: {{type: {TYPE}}}, where: 'data.order == \"1\"', to: sap}}",
)


@pytest.fixture
def explain(project, mfgroute):
    """Explain a message at the source `mes` of a project with two mappings, a filter and five routes."""
    write_project(project, TWO)
    (project / "mappings" / "dropped.yaml").write_text(OTHER)

    def of(message, *arguments):
        text = message if isinstance(message, str) else json.dumps(message)
        (project / "m.json").write_text(text)
        return mfgroute("explain", "m.json", "--source", "mes", *arguments)

    return of


def test_every_decision_is_said_in_its_order(explain):
    ended = explain(report(1))
    assert (ended.code, ended.err) == (0, "")
    said = ended.out.splitlines()
    wanted = [
        "m.json at source mes",
        'filter heartbeat does not drop it: {"path": "evt", "equals": "PING"}',
        "mapping done@",
        "mapping dropped@",
        '  mappings/dropped.yaml:4 holds: {"path": "id", "prefix": "A-"}',
        '  mappings/dropped.yaml:5 holds: {"path": "evt", "in": ["DONE", "PING"]}',
        f"event {TYPE}  order/DE04/4711  2026-11-24T06:10:00Z",
        '  work_center = "20-P1"',
        "    mappings/done.yaml:14: {",
        "    table centers, version ",
        "  valid by pack:canonical/contracts/production.operation.completed.v1.yaml, version 1.",
        "  id ",
        "  route to-sap sends it to sap",
        "  route to-log sends it to log",
        "  route holds does not take it: its type is quality.>",
        "  route by-drops does not take it: it takes events of drops alone",
        '  route one-order does not take it: its `where` does not hold: data.order == "1"',
        '    data.order is "4711"',
        "not kept:",
    ]
    at = 0
    for line in wanted:
        at = next((number for number in range(at, len(said)) if said[number].startswith(line)), -1)
        assert at >= 0, (line, ended.out)
    assert said[2].endswith("takes it")
    assert said[3].endswith("does not take it")


def test_a_condition_that_does_not_hold_is_said_with_the_values_of_its_fields(project, explain):
    file = project / "mfgroute.yaml"
    condition = 'has(data.batch) && data.batch == "data.site" && data.site.startsWith("D")'
    text = file.read_text()
    assert 'data.order == "1"' in text
    file.write_text(text.replace('data.order == "1"', condition))
    ended = explain(report(1))
    found = ended.out.split(condition)[1].splitlines()[1:3]
    assert found == ["    data.batch has no value", '    data.site is "DE04"']
    (one,) = [
        one for one in explain(report(1), "--output", "json").json["outcomes"][0]["routes"] if "found" in one
    ]
    assert (one["route"], one["found"]) == ("one-order", {"data.batch": None, "data.site": "DE04"})


def test_the_rules_of_the_contract_that_hold_are_named(project, explain):
    own = project / "contracts" / "production.operation.completed.v1.yaml"
    own.parent.mkdir(exist_ok=True)
    packed = resources.files("mfgroute") / "packs/canonical/contracts" / own.name
    rules = "rules:\n  - {code: of_an_order, check: 'data.order != \"0\"', message: no order}\n"
    own.write_text(packed.read_text().replace("version: 1.", "version: 1.9", 1) + rules)
    ended = explain(report(1))
    assert "  its rules hold: of_an_order\n" in ended.out, ended.err


def test_a_program_gets_fields_identity_and_routes(explain):
    (found,) = explain(report(1), "--output", "json").json["outcomes"]
    fields = {one["field"]: one for one in found["fields"]}
    assert fields["quantity.good"]["value"] == "5"
    assert fields["quantity.good"]["place"] == "mappings/done.yaml:16"
    assert [table["table"] for table in fields["work_center"]["lookups"]] == ["centers"]
    assert found["identity"]["of"] == {
        "data.site": "DE04", "data.order": "4711", "data.operation": "0010", "data.report": "A-1"
    }  # fmt: skip
    assert found["identity"]["id"] == found["id"]
    assert [one["taken"] for one in found["routes"]] == [True, True, False, False, False]


def test_a_reject_names_the_rule_of_its_field_and_its_table(explain):
    ended = explain(report(1, center="P9"))
    assert ended.code == 65
    assert "lookup_missing at /wc (for work_center)" in ended.out
    assert "    mappings/done.yaml:14: {" in ended.out
    assert "    table centers, version " in ended.out


def test_a_message_that_no_mapping_takes_is_told_by_condition(explain):
    ended = explain(report(1, evt="OTHER", id="B-1"))
    assert ended.code == 65
    assert 'mappings/done.yaml:2 does not hold: {"path": "evt", "equals": "DONE"}' in ended.out
    assert 'mappings/dropped.yaml:4 does not hold: {"path": "id", "prefix": "A-"}' in ended.out
    assert 'mappings/dropped.yaml:5 does not hold: {"path": "evt", "in": ["DONE", "PING"]}' in ended.out
    assert "no_mapping: found a message that none takes" in ended.out


def test_mappings_are_not_asked_about_what_a_filter_drops_or_what_is_no_json(explain):
    ended = explain(report(1, evt="PING"))
    assert ended.code == 0
    assert "filter heartbeat drops it" in ended.out
    assert "mapping done was not asked" in ended.out
    ended = explain("{")
    assert (ended.code, "mapping done was not asked" in ended.out, "bad_json" in ended.out) == (
        65,
        True,
        True,
    )


def test_an_event_is_explained_by_the_message_that_its_source_kept(project, start, mfgroute):
    record = "adapter: http, record: {keep: 7d, size: 1MiB}, mappings: [done],"
    write_project(project, PROJECT.replace("adapter: http, mappings: [done],", record, 1))
    node = start()
    node.post(report(1), report(2))
    wanted = mfgroute("trace", "order/DE04/4711", "--output", "json").json["events"][1]["id"]
    ended = mfgroute("explain", wanted)
    assert (ended.code, ended.err) == (0, "")
    assert f"id {wanted}" in ended.out
    assert "  report = " in ended.out
    assert "changed since" not in ended.out
    found = mfgroute("explain", wanted, "--output", "json").json
    assert [one["id"] for one in found["outcomes"]] == [wanted]
    (project / "lookups" / "centers.csv").write_text("wc,erp\nP1,21-P1\n")
    assert "the project was changed since" in mfgroute("explain", wanted).out
    node.stop(signal.SIGKILL)
    alone = mfgroute("explain", wanted)
    assert (alone.code, "made of 00000001-" in alone.out) == (0, True)


def test_an_event_whose_message_was_not_kept_says_so(start, mfgroute):
    node = start()
    node.post(report(1))
    wanted = mfgroute("trace", "order/DE04/4711", "--output", "json").json["events"][0]["id"]
    ended = mfgroute("explain", wanted)
    assert ended.code == 0
    assert "not kept:\n  the message that made it: its source has no `record`" in ended.out
    unknown = mfgroute("explain", "00000000-0000-8000-8000-000000000000")
    assert (unknown.code, "nothing is known of event" in unknown.err) == (1, True)
    node.stop(signal.SIGKILL)
    assert mfgroute("explain", wanted).code == 69


def test_what_is_neither_a_file_nor_an_id_is_a_usage_error(mfgroute):
    ended = mfgroute("explain", "nothing.json")
    assert (ended.code, "neither a file nor the id of an event" in ended.err) == (2, True)
    ended = mfgroute("explain", "mfgroute.yaml")
    assert (ended.code, "add --source mes | drops" in ended.err) == (2, True)
