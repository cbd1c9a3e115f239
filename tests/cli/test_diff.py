"""`mfgroute diff`: a changed mapping over messages that a node kept."""

import json
import signal

from cli_projects import MAPPING, PROJECT, report, write_project  # isort: skip
import pytest

RECORD = "adapter: http, record: {keep: 7d, size: 1MiB}, mappings: [done],"


def lines(*messages, source="mes", **more):
    """Recorded messages as a node writes them."""
    one = {"at": "2026-11-24T06:10:00.000Z", "source": source, **more}
    return "".join(
        json.dumps({**one, "text": text if isinstance(text, str) else json.dumps(text)}) + "\n"
        for text in messages
    )


@pytest.fixture
def diff(project, mfgroute):
    """Change the mapping `done` and compare it over recorded messages."""

    def of(old, new, *messages, arguments=(), **more):
        assert old in MAPPING
        (project / "new").mkdir(exist_ok=True)
        (project / "new" / "done.yaml").write_text(MAPPING.replace(old, new))
        (project / "kept.jsonl").write_text(lines(*messages, **more))
        return mfgroute("diff", "--mapping", "new", "--recorded", "kept.jsonl", *arguments)

    return of


ROUND = ("good, number: {}}", "good, number: {}, round: {places: 0, mode: half_even}}")


def test_a_changed_rule_is_named_with_examples_from_what_a_node_recorded(project, start, mfgroute):
    write_project(project, PROJECT.replace("adapter: http, mappings: [done],", RECORD, 1))
    node = start()
    node.post(report(1), report(2, good=5.4), {**report(3), "good": 7.25})
    node.stop(signal.SIGKILL)  # What the sender was told of is recorded.
    (project / "done.yaml").write_text(MAPPING.replace(*ROUND))
    ended = mfgroute("diff", "--mapping", "done.yaml", "--recorded", "mes")
    assert (ended.code, ended.err) == (0, "")
    said = ended.out.splitlines()
    assert said[0] == "2 of 3 production.operation.completed/1 change: `quantity.good` (round), mapping done"
    assert said[1] == '  was  mappings/done.yaml:16: {"path": "good", "number": {}}'
    assert said[2].startswith('  is   done.yaml:16: {"path": "good", "number": {}, "round": {"places": 0,')
    assert said[3].endswith(': "5.4" becomes "5"')
    assert said[4].endswith(': "7.25" becomes "7"')
    assert said[5] == "2 of 3 messages change"
    again = mfgroute("diff", "--mapping", "mappings/done.yaml", "--recorded", "mes", "--fail-on-change")
    assert (again.code, again.out) == (0, "nothing changes in 3 messages\n")


def test_a_program_gets_every_change_and_the_exit_code_says_that_there_is_one(diff):
    arguments = ("--fail-on-change", "--output", "json", "--examples", "1")
    ended = diff(*ROUND, report(1, good=5.5), report(2, good=6.5), report(3), arguments=arguments)
    assert ended.code == 1
    found = ended.json
    assert (found["messages"], found["changed"]) == (3, 2)
    assert found["events"] == {"production.operation.completed/1": 3}
    (rule,) = found["rules"]
    assert (rule["kind"], rule["field"], rule["mapping"]) == ("field", "quantity.good", "done")
    assert (rule["events"], rule["messages"], rule["parts"]) == (2, 2, ["round"])
    assert rule["examples"] == [{"message": "kept.jsonl:1", "old": "5.5", "new": "6"}]
    assert rule["rule"]["old"]["place"] == "mappings/done.yaml:16"


def test_a_field_that_goes_and_one_that_comes_are_changes(diff):
    ended = diff(
        "      type: {const: final}\n",
        "      type: {const: final}\n      material: {path: mat}\n",
        report(1, mat="M-1"), report(2),
    )  # fmt: skip
    assert "1 of 2 production.operation.completed/1 changes: `material`, mapping done" in ended.out
    assert 'kept.jsonl:1: nothing becomes "M-1"' in ended.out
    assert "  was " not in ended.out


def test_an_event_that_becomes_a_reject_is_named_first(diff):
    ended = diff("take: erp, missing: reject", "take: erp, missing: keep", report(1), report(2, center="P9"))
    said = ended.out.splitlines()
    assert said[0] == "1 event appears: production.operation.completed/1"
    assert '"work_center": "P9"' in said[1]
    assert said[2] == "1 reject disappears: lookup_missing"
    assert said[3].startswith("  kept.jsonl:2: lookup_missing at /wc")


def test_a_changed_identity_is_told(diff):
    ended = diff("report: {path: id}", "report: {path: id, text: [lower]}", report(1))
    assert "`report` (text), mapping done" in ended.out
    assert "1 of 1 production.operation.completed/1 changes: `id`, mapping done" in ended.out


def test_the_lines_of_a_file_are_messages_of_their_own(diff):
    slab = json.dumps(report(1, good=1.5)) + "\n\n" + json.dumps(report(2)) + "\n"
    ended = diff(*ROUND, slab, slab=True, source="drops", meta={"file.name": "a.jsonl"},
                 arguments=("--source", "mes", "--output", "json"))  # fmt: skip
    assert (ended.json["messages"], ended.json["changed"]) == (2, 1)
    assert ended.json["rules"][0]["examples"][0]["message"] == "kept.jsonl:1 line 1"


def test_a_change_that_concerns_no_field_is_no_change(diff):
    ended = diff("from: {decode: json}", "# Said otherwise.\nfrom: {decode: json}", report(1))
    assert (ended.code, ended.out) == (0, "nothing changes in 1 messages\n")


def test_a_changed_mapping_with_problems_is_a_configuration_error_at_its_place(diff):
    ended = diff("quantity.scrap: {const:", "quantity.scrop: {const:", report(1))
    assert (ended.code, "new/done.yaml:17:7: " in ended.err) == (78, True)


def test_what_cannot_be_compared_says_so(project, mfgroute, diff):
    ended = mfgroute("diff", "--mapping", "mappings/done.yaml", "--recorded", "mes")
    assert (ended.code, "nothing is recorded of source mes" in ended.err) == (65, True)
    ended = mfgroute("diff", "--mapping", "mappings/done.yaml", "--recorded", "nope.jsonl")
    assert (ended.code, "nothing is recorded of `nope.jsonl`" in ended.err) == (2, True)
    (project / "other.yaml").write_text(MAPPING)
    ended = mfgroute("diff", "--mapping", "other.yaml", "--recorded", "mes")
    assert (ended.code, "no source uses a mapping called other" in ended.err) == (2, True)
    ended = mfgroute("diff", "--mapping", "nowhere", "--recorded", "mes")
    assert (ended.code, "there is no mapping at `nowhere`" in ended.err) == (2, True)
    ended = diff(*ROUND, report(1), source="gone")
    assert (ended.code, "kept.jsonl:1: the project has no source gone" in ended.err) == (65, True)
    (project / "kept.jsonl").write_text(lines(report(1)) + "{}\n")
    ended = mfgroute("diff", "--mapping", "new", "--recorded", "kept.jsonl")
    assert (ended.code, "kept.jsonl:2: this is no recorded message" in ended.err) == (65, True)
    (project / "kept.jsonl").write_text("")
    ended = mfgroute("diff", "--mapping", "new", "--recorded", "kept.jsonl")
    assert (ended.code, "no message is recorded" in ended.err) == (65, True)


def test_hostile_text_of_a_message_does_not_reach_the_terminal(diff):
    ended = diff(
        "order: {path: order}", "order: {path: order, text: [upper]}", report(1, order="a\x1b[31m\u202e")
    )
    assert "`order` (text)" in ended.out
    assert "\x1b" not in ended.out
    assert "\u202e" not in ended.out
