"""Schemas and mappings as tests of a project use them."""

from pathlib import Path

import pytest

import mfgroute
from mfgroute.errors import UnknownName
from mfgroute.project import load_project
from mfgroute.testing import Filtered, check_schema, run_mapping

TEMPLATE = Path(mfgroute.__file__).parent / "packs" / "templates" / "confirmation-to-sap"
MESSAGE = {
    "evt": "OP_COMPLETE", "id": "A-1", "ts": "2026-11-24T07:20:00+01:00", "order": {"no": "4711", "op": 20},
    "wc": "PRESS-7", "state": "DONE", "qty": {"good": 100, "bad": 0, "uom": "ST"},
}  # fmt: skip


@pytest.fixture(scope="module")
def project():
    return load_project(TEMPLATE)


def test_a_mapping_gives_the_event_that_a_node_would_admit(project, tmp_path):
    [event] = run_mapping(project, "mes-completion", MESSAGE)
    assert event.type == "com.example.production.operation.completed.v1"
    assert event.key == "order/DE04/4711"
    assert b'"specversion":"1.0"' in event.json
    assert b'"good":"100"' in event.json
    engine = mfgroute.Engine(project.plan, data_dir=str(tmp_path))
    engine.submit("mes", [mfgroute.testing.mapping._bytes(MESSAGE)])
    with engine.poll("log", wait_s=5.0) as batch:
        assert batch.events[0].id == event.id
        batch.done_all()
    engine.close()


def test_a_mapping_gives_rejects_with_their_place(project):
    [reject] = run_mapping(project, "mes-completion", {**MESSAGE, "wc": "PRESS-9"})
    assert (reject.code, reject.pointer, reject.field) == ("lookup_missing", "/wc", "work_center")
    [reject] = run_mapping(project, "mes-completion", b'{"evt"')
    assert reject.code == "bad_json"


def test_a_folder_will_do_and_an_unknown_mapping_is_an_error():
    assert run_mapping(TEMPLATE, "mes-completion", MESSAGE)
    with pytest.raises(UnknownName):
        run_mapping(TEMPLATE, "nope", MESSAGE)


def test_a_schema_is_checked_with_objects_or_bytes_and_other_schemas():
    schema = {"type": "object", "properties": {"n": {"$ref": "https://x.example/n"}}}
    resources = {"https://x.example/n": {"type": "integer"}}
    assert check_schema(schema, {"n": 1}, resources=resources) == []
    [reject] = check_schema(schema, b'{"n": "1"}', resources=resources)
    assert reject.pointer == "/n"
    dated = {"type": "string", "format": "date"}
    assert check_schema(dated, "no date") == []
    assert len(check_schema(dated, "no date", formats=True)) == 1


def test_a_filter_is_named():
    assert Filtered("idle").rule == "idle"
