"""``mfgroute contract export asyncapi``: a document that tools read, held to the official schema where npm is."""

import functools
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

import mfgroute
from mfgroute import _core
from mfgroute.cli import main
from mfgroute.config import documents
from mfgroute.contracts import asyncapi
from mfgroute.project import load_project
from mfgroute.registry import Registry
from mfgroute.testing import check_schema

ROOT = Path(__file__).parents[2]
PACKS = Path(mfgroute.__file__).parent / "packs"
PROJECTS = {one.name: one for one in sorted((PACKS / "templates").iterdir())} | {
    f"demo-{node}": PACKS / "demo" / node for node in ("edge", "core")
}
NO_KEY = "public:" + "0" * 64
SPECS = "@asyncapi/specs@6.11.1"

MAIN = """\
apiVersion: mfgroute/v1
node: {id: test, site: DE04, namespace: com.example}
streams:
  business: {durability: memory, capacity: 64MiB, when_full: block}
sources:
  mes: {adapter: http, mappings: [done], token: "${TOKEN}"}
  drops: {adapter: files, path: ./in/*.csv, mappings: [rows]}
  idle: {adapter: files, path: ./idle/*.csv, mappings: [rows]}
sinks:
  sap: {adapter: console, owner: erp-team}
  log: {adapter: console, owner: tests}
routes:
  - {name: big, match: {type: thing/1, source: mes}, where: 'data.n == "1"', to: sap}
  - {name: never, match: {type: other/1, source: idle}, to: sap}
  - {name: all, match: {type: ">"}, to: [log]}
"""
MAPPING = """\
from: {decode: %s}
emit:
  - to: thing/1
    fields: {id: {path: id}, n: {const: "1"}, part: {path: id}}
"""
CONTRACT = """\
type: thing
version: 1.2.0
kind: event
stream: business
owner: tests
lifecycle: {status: deprecated, since: "2026-01-01"}
key: {thing: [data.id]}
idempotency: [data.id]
schema:
  title: Thing
  type: object
  required: [id, n]
  properties:
    id: {$ref: "#/$defs/text"}
    n: {type: string, format: decimal, x-decimal: {min: "0"}}
    part: {$ref: "#named"}
    either: {const: {$ref: "#/no/reference"}}
  $defs:
    text: {type: string, minLength: 1}
    parts: {$anchor: named, type: string, maxLength: 3}
examples:
  - {id: "1", n: "2.5", part: abc}
  - {name: called, data: {id: "2", n: "1"}}
"""
PLAIN = CONTRACT.replace("thing", "other").replace("#named", "#/properties/n").split("  $defs:")[0].replace(
    '{$ref: "#/$defs/text"}', "{type: string, minLength: 1}"
)  # fmt: skip


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKEN", "a-secret-of-the-tests")
    for name, text in {
        "mfgroute.yaml": MAIN,
        "mappings/done.yaml": MAPPING % "json, schema: schemas/done.json",
        "mappings/rows.yaml": MAPPING % "csv",
        "contracts/thing.v1.yaml": CONTRACT,
        "contracts/other.v1.yaml": PLAIN,
        "schemas/done.json": json.dumps({"type": "object", "required": ["id"]}),
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.fixture
def keys(monkeypatch):
    monkeypatch.setenv("MFGROUTE_CORE_PUBLIC", NO_KEY)
    monkeypatch.setenv("MFGROUTE_EDGE_PUBLIC", NO_KEY)


def made(folder):
    return asyncapi.document(load_project(folder), documents.read(documents.Folder(folder), Registry()))


@functools.cache
def shipped(name):
    """The document of a project that ships, and the project."""
    loaded = load_project(PROJECTS[name])
    return asyncapi.document(loaded, documents.read(documents.Folder(PROJECTS[name]), Registry())), loaded


def resolved(document, pointer):
    at = document
    for step in pointer.removeprefix("#/").split("/"):
        at = at[int(step) if isinstance(at, list) else step.replace("~1", "/").replace("~0", "~")]
    return at


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for key, child in value.items():
            if key not in ("const", "enum", "examples"):
                yield from references(child)
    elif isinstance(value, list):
        for child in value:
            yield from references(child)


@pytest.mark.parametrize("name", PROJECTS)
def test_every_reference_of_a_document_reaches_its_target(name, keys):
    document = shipped(name)[0]
    found = set(references(document))
    assert len(found) > 80
    for one in found:
        assert resolved(document, one)


@pytest.mark.parametrize("name", PROJECTS)
def test_a_channel_is_there_for_each_contract_with_its_message(name, keys):
    document = shipped(name)[0]
    summary = shipped(name)[1].plan.summary
    labels = {f"{one['type']}.v{one['version'].split('.')[0]}" for one in summary["contracts"]}
    assert {one for one in document["channels"] if not one.startswith("sources.")} == labels
    for label in labels:
        channel, message = document["channels"][label], document["components"]["messages"][label]
        assert channel["address"] == f"com.example.{label}"
        assert list(channel["messages"]) == [label]
        assert message["headers"]["properties"]["type"] == {"const": channel["address"]}
        assert message["x-mfgroute"]["owner"]
        assert message["examples"]


@pytest.mark.parametrize("name", PROJECTS)
def test_an_operation_names_messages_of_its_channel_and_a_name_that_is_there(name, keys):
    document, loaded = shipped(name)
    seen = {"send": set(), "receive": set()}
    for operation in document["operations"].values():
        channel = operation["channel"]["$ref"]
        for message in operation["messages"]:
            assert message["$ref"].startswith(f"{channel}/messages/")
        told = operation["x-mfgroute"]
        seen[operation["action"]].add(told["sink"] if operation["action"] == "send" else told["source"])
    assert seen["receive"] == set(loaded.model.sources)
    assert seen["send"] == {to for route in loaded.plan.summary["routes"] for to in route["to"]}


@pytest.mark.parametrize("name", PROJECTS)
def test_names_are_those_that_asyncapi_allows(name, keys):
    for part in shipped(name)[0]["components"].values():
        assert [one for one in part if not re.fullmatch(r"[\w.\-]+", one)] == []


@pytest.mark.parametrize("name", PROJECTS)
def test_the_payload_of_a_message_accepts_its_examples(name, keys):
    document = shipped(name)[0]
    for message in document["components"]["messages"].values():
        for example in message.get("examples", []):
            schema = resolved(document, message["payload"]["$ref"])["schema"]
            assert check_schema(schema, example["payload"], formats=True) == []


def test_references_of_a_schema_are_moved_with_it_and_data_is_left_alone(project):
    document = made(project)
    schema = document["components"]["schemas"]["thing.v1"]["schema"]
    assert schema["properties"]["id"] == {"$ref": "#/components/schemas/thing.v1/schema/$defs/text"}
    assert resolved(document, schema["properties"]["part"]["$ref"])["maxLength"] == 3
    assert schema["properties"]["either"] == {"const": {"$ref": "#/no/reference"}}


def test_a_schema_is_called_draft_7_only_where_it_means_the_same_there(project):
    schemas = made(project)["components"]["schemas"]
    assert schemas["thing.v1"]["schemaFormat"] == "application/schema+json;version=2020-12"
    assert schemas["other.v1"]["schemaFormat"] == "application/schema+json;version=draft-07"


def test_what_a_contract_says_is_in_its_message(project):
    message = made(project)["components"]["messages"]["thing.v1"]
    assert message["deprecated"] is True
    assert [one["payload"] for one in message["examples"]] == [
        {"id": "1", "n": "2.5", "part": "abc"},
        {"id": "2", "n": "1"},
    ]
    assert message["x-mfgroute"] == {
        "owner": "tests", "version": "1.2.0", "kind": "event", "stream": "business", "key": {"thing": ["id"]},
        "idempotency": ["id"], "lifecycle": {"status": "deprecated", "since": "2026-01-01"},
    }  # fmt: skip


def test_a_source_is_a_channel_of_raw_messages_and_a_sink_gets_what_routes_give_it(project):
    document = made(project)
    assert document["channels"]["sources.mes"]["address"] == "/v1/sources/mes"
    assert document["channels"]["sources.drops"]["address"] is None
    assert document["components"]["messages"]["sources.drops.rows"]["contentType"] == "text/csv"
    done = document["components"]["messages"]["sources.mes.done"]
    assert done["x-mfgroute"] == {"mapping": "done", "emits": ["thing/1"]}
    assert resolved(document, done["payload"]["$ref"])["schema"] == {"type": "object", "required": ["id"]}
    operations = document["operations"]
    assert operations["receive.mes"]["security"] == [{"$ref": "#/components/securitySchemes/token"}]
    assert "security" not in operations["receive.drops"]
    assert operations["send.sap.thing.v1"]["x-mfgroute"] == {
        "sink": "sap", "owner": "erp-team", "routes": [{"name": "big", "where": 'data.n == "1"', "source": ["mes"]}],
    }  # fmt: skip
    # Nobody makes `other/1`: it has a channel, but nothing sends it.
    assert "other.v1" in document["channels"]
    assert {one for one in operations if one.startswith("send.")} == {
        "send.sap.thing.v1",
        "send.log.thing.v1",
    }


def test_the_version_changes_with_a_contract_and_with_nothing_else(project):
    before = made(project)["info"]["version"]
    (project / "mfgroute.yaml").write_text(MAIN.replace("id: test", "id: other"))
    assert made(project)["info"]["version"] == before
    (project / "contracts/thing.v1.yaml").write_text(CONTRACT.replace("1.2.0", "1.2.1"))
    assert made(project)["info"]["version"] != before


def test_the_command_writes_yaml_and_json_that_say_the_same_and_no_secret(project, capsys, monkeypatch):
    monkeypatch.chdir(project)
    assert main(["contract", "export", "asyncapi"]) == 0
    printed = capsys.readouterr().out
    assert main(["contract", "export", "asyncapi", "--output", "json"]) == 0
    as_json = json.loads(capsys.readouterr().out)
    assert main(["contract", "export", "asyncapi", "--to", "out.yaml"]) == 0
    assert capsys.readouterr().out == "4 channels written to out.yaml\n".replace(
        "4", str(len(as_json["channels"]))
    )
    assert main(["contract", "export", "asyncapi", "--to", "out.json"]) == 0
    assert Path("out.yaml").read_text() == printed
    assert json.loads(Path("out.json").read_text()) == as_json
    assert _core.parse_yaml(printed.encode(), "asyncapi.yaml")[0] == as_json
    assert as_json["asyncapi"] == "3.0.0"
    assert "a-secret-of-the-tests" not in printed


# The official schema.


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """The schema of AsyncAPI 3, from its npm package by the npm client."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("the npm client is not installed: the official schema cannot be had")
    folder = tmp_path_factory.mktemp("npm")
    try:
        packed = subprocess.run(
            [npm, "pack", SPECS, "--pack-destination", str(folder), "--silent"],
            cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not answer within a minute: the official schema cannot be had")
    archives = list(folder.glob("*.tgz"))
    if packed.returncode != 0 or not archives:
        reason = packed.stderr.strip().splitlines()[-1:] or ["no archive"]
        pytest.skip(f"npm could not get {SPECS}: {reason[0][:100]}")
    with tarfile.open(archives[0]) as archive:
        member = archive.extractfile("package/schemas/3.0.0.json")
        assert member is not None
        return member.read()


@pytest.mark.timeout(300)
def test_the_official_schema_accepts_what_is_exported(official, project, keys):
    for document in (made(project), shipped("b2mml")[0], shipped("demo-core")[0]):
        assert check_schema(official, document, formats=True) == []


@pytest.mark.parametrize(("pointer", "value"), [
    ("channels/thing.v1", {"adress": "a"}),
    ("operations/receive.mes/action", "publish"),
    ("components/messages/thing.v1/payload", {"schemaFormat": "application/schema+json;version=draft-07", "schema": {"type": "objekt"}}),
    ("asyncapi", "2.6.0"),
])  # fmt: skip
def test_the_official_schema_refuses_what_is_wrong(official, project, pointer, value):
    document = made(project)
    *steps, last = pointer.split("/")
    at = document
    for step in steps:
        at = at[step]
    at[last] = value
    assert check_schema(official, document)
