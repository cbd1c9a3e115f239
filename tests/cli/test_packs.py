"""Packs in folders: what they may be, what a project overrides, whose each part is, and where it comes from."""

import json
import os
import shutil

import pytest
from cli_projects import PROJECT, command

from mfgroute.config import packs
from mfgroute.config.packs import SHIPPED
from mfgroute.contracts import documents, lock
from mfgroute.errors import ConfigError
from mfgroute.project import load_project
from mfgroute.testing import run_mapping

NAME = "contracts/production.operation.completed.v1.yaml"
CANONICAL = SHIPPED / "canonical"


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def use(project, *names, more=""):
    listed = ", ".join(json.dumps(name) for name in names)
    (project / "mfgroute.yaml").write_text(PROJECT.replace("[canonical]", f"[{listed}]") + more)


def problems(project):
    with pytest.raises(ConfigError) as info:
        load_project(project)
    return [one for one in info.value.problems if one.severity == "error"]


@pytest.fixture
def pack(project):
    """A pack beside the project."""
    return write(project.parent / "shared", {"lookups/sites.csv": "site,name\nDE04,Nord\n"})


# What may be a pack.

WRONG = [
    (
        "./missing",
        "there is no folder for the pack `./missing`",
        "the path starts at the folder of mfgroute.yaml",
    ),
    ("{absolute}", "is not a path relative to the project", "such as ./plants/shared or ../shared"),
    ("~/shared", "is not a path relative to the project", "./plants/shared"),
    ("..\\shared/", "is not a path relative to the project", "./plants/shared"),
    ("./lookups/../../shared", "does not go straight to its folder", "at its start only"),
    ("..//shared", "does not go straight to its folder", "at its start only"),
    ("./", "is the project itself", "remove it from `packs`"),
    ("./inbox", "holds nothing that a project can use", "a pack has contracts/, mappings/, lookups/"),
    ("../shared/lookups/sites.csv", "there is no folder for the pack", "the path starts at"),
    ("canonicl", "there is no pack `canonicl`", "did you mean `canonical`?"),
    ("inbox", "there is no pack `inbox`", "a folder is named as `./inbox`"),
    ("demo", "there is no pack `demo`", "known: `b2mml`, `canonical`"),
]


@pytest.mark.parametrize(("name", "told", "advice"), WRONG, ids=range(len(WRONG)))
def test_what_is_no_pack_is_refused_at_its_place(project, pack, name, told, advice):
    use(project, "canonical", name.format(absolute=pack))
    [one] = problems(project)
    assert (one.file, one.line, one.column) == ("mfgroute.yaml", 2, len('packs: ["canonical", ') + 1)
    assert told in one.message
    assert advice in one.hint


def test_a_pack_is_used_once_whatever_its_name(project, pack):
    assert pack.is_dir()
    use(project, "canonical", "../shared", "./../shared/")
    [one] = problems(project)
    assert (one.line, one.message, one.hint) == (
        2,
        "the pack `./../shared/` is there twice",
        "it is `../shared`, too",
    )


def test_a_link_to_a_pack_or_on_the_way_to_it_is_refused(project, pack):
    (project / "link").symlink_to(pack)
    (project / "up").symlink_to(project.parent)
    for name in ("./link", "./up/shared"):
        use(project, "canonical", name)
        [one] = problems(project)
        assert "leads over a symbolic link" in one.message
        assert (one.line, one.hint) == (2, "name the folder that it leads to")


def test_a_project_that_is_itself_reached_over_a_link_has_its_packs(project, pack):
    assert pack.is_dir()
    use(project, "canonical", "../shared")
    other = project.parent / "elsewhere" / "deep"
    other.mkdir(parents=True)
    (other / "link").symlink_to(project)
    assert [one["name"] for one in load_project(other / "link").plan.summary["lookups"]] == [
        "centers",
        "sites",
    ]


def test_a_file_of_a_pack_does_not_lead_out_of_it(project, pack):
    secret = project.parent / "secret.csv"
    secret.write_text("user,password\nadmin,hunter2\n")
    (pack / "lookups" / "users.csv").symlink_to(secret)
    use(project, "canonical", "../shared")
    [one] = problems(project)
    assert one.message == "`lookups/users.csv` of the pack `../shared` leads out of the pack"
    assert "hunter2" not in str(one)


def test_a_folder_of_a_pack_does_not_lead_out_of_it(project, pack):
    outside = write(project.parent / "outside", {"users.yaml": "text: [strip]\n"})
    (pack / "rules").symlink_to(outside)
    use(project, "canonical", "../shared")
    [one] = problems(project)
    assert one.message == "`rules/users.yaml` of the pack `../shared` leads out of the pack"


def test_what_is_no_file_in_a_pack_is_refused_and_not_waited_for(project, pack):
    os.mkfifo(pack / "lookups" / "pipe.csv")
    use(project, "canonical", "../shared")
    [one] = problems(project)
    assert one.message == "`lookups/pipe.csv` of the pack `../shared` is not a file"


def test_a_link_within_a_pack_is_taken(project, pack):
    (pack / "lookups" / "places.csv").symlink_to("sites.csv")
    use(project, "canonical", "../shared")
    assert load_project(project).plan.summary["lookups"]


def test_a_mistake_in_a_pack_is_shown_by_its_path(project, pack):
    write(pack, {"lookups/sites.csv": "site,name\nDE04\n"})
    use(project, "canonical", "./../shared")
    [one] = problems(project)
    assert (one.file, one.line) == ("../shared/lookups/sites.csv", 2)


# Overrides.


def test_what_takes_the_place_of_a_pack_is_told_and_is_no_problem(mfgroute, project, pack):
    write(pack, {"lookups/centers.csv": "wc,erp\nP1,other\n", "mappings/done.yaml": "from: {}\n"})
    write(project.parent / "more", {"lookups/sites.csv": "site,name\n"})
    use(project, "canonical", "../shared", "../more", more="owner: plant-it\n")
    found = mfgroute("check", "--strict")
    assert (found.code, found.err) == (0, ""), found.err
    assert found.out.splitlines()[:-1] == [
        "note: mappings/done.yaml takes the place of the mapping done of pack ../shared",
        "note: lookups/centers.csv takes the place of the lookup centers of pack ../shared",
        "note: ../shared/lookups/sites.csv takes the place of the lookup sites of pack ../more",
        "note: nobody owns lookup sites; write `owner:` in mfgroute.yaml, pack.yaml or the file itself",
    ]
    found = mfgroute("check", "--output", "json").json
    assert found["ok"]
    assert {
        "kind": "lookup",
        "name": "sites",
        "file": "../shared/lookups/sites.csv",
        "pack": "../more",
    } in found["overrides"]
    assert found["unowned"] == [{"kind": "lookup", "name": "sites", "file": "../shared/lookups/sites.csv"}]
    assert mfgroute("check", "-q").out == ""


# Owners.


def test_the_owner_of_a_part_is_the_nearest_that_is_named(project, pack):
    write(pack, {
        "pack.yaml": "title: Shared\nowner: group-it\nowners: {lookups/sites: master-data}\n",
        "lookups/zones.csv": "a,b\n",
    })  # fmt: skip
    text = (project / "mappings/done.yaml").read_text()
    write(project, {"mappings/done.yaml": f"owner: line-3\n{text}"})
    use(project, "canonical", "../shared", more="owner: plant-it\nowners: {mappings/dropped: nights}\n")
    found = command("config", "show", "--origin", "--output", "json", folder=project).json
    owners = {one["name"]: one["owner"] for kind in ("mappings", "lookups") for one in found[kind]}
    assert owners == {
        "done": "line-3", "dropped": "nights", "centers": "plant-it", "sites": "master-data", "zones": "group-it",
    }  # fmt: skip
    assert {one["owner"] for one in found["contracts"]} > {"manufacturing-it", "quality-it"}


OWNERS = [
    ("owners: {lookups/centres: x}\n", None, ("mfgroute.yaml", "there is no `lookups/centres` to own here", "did you mean `lookups/centers`?")),
    ("owner: 5\n", None, ("mfgroute.yaml", "`owner` is `5`, expected a text", "quote it")),
    ("", "ownr: x\n", ("../shared/pack.yaml", "unknown key `ownr` in `the file`", "did you mean `owner`?")),
    ("", "owner: [\n", ("../shared/pack.yaml", "", None)),
    ("", "owners: {lookups/centers: x}\n", ("../shared/pack.yaml", "there is no `lookups/centers` to own here", "did you mean")),
]  # fmt: skip


@pytest.mark.parametrize(("more", "text", "expected"), OWNERS, ids=range(len(OWNERS)))
def test_an_owner_of_nothing_is_refused_at_its_place(project, pack, more, text, expected):
    if text is not None:
        write(pack, {"pack.yaml": text})
    use(project, "canonical", "../shared", more=more)
    one = problems(project)[0]
    file, message, hint = expected
    assert (one.file, one.line > 0) == (file, True), one
    assert message in one.message
    assert hint is None or hint in one.hint


# Where everything comes from.


def origin(project, **env):
    found = command("config", "show", "--origin", "--output", "json", folder=project, env=env)
    assert found.code == 0, found.err
    return found.json


def test_every_setting_says_where_it_comes_from(project, pack):
    assert pack.is_dir()
    secret = project / "token.txt"
    secret.write_text("token-of-the-origin-test\n")
    text = PROJECT.replace('"${MES_TOKEN}"', '"${file:token.txt}"').replace(
        "[canonical]", "[canonical, ../shared]"
    )
    (project / "mfgroute.yaml").write_text(text)
    found = origin(project, SAP_URL="http://127.0.0.1:10")
    by_name = {one["name"]: one for one in found["settings"]}
    assert len(by_name) == len(found["settings"])

    def said(name):
        one = by_name[name]
        return one["value"], one["origin"], one["line"], one["names"]

    assert said("node.site") == ("DE04", "file", 3, [])
    assert said("node.dedup_window") == (1_000_000, "default", None, [])
    assert said("streams.business.partitions") == (32, "default", None, [])
    assert said("sources.mes.token") == ("********", "secret", 8, ["token.txt"])
    assert said("sinks.sap.url") == ("********", "environment", 13, ["SAP_URL"])
    assert said("sinks.sap.limits.timeout") == ("30s", "default", None, [])
    assert said("sinks.sap.effect.kept") == ("24h", "file", 15, [])
    assert said("routes[1].match.type") == (">", "file", 20, [])
    assert "token-of-the-origin-test" not in json.dumps(found)
    again = {one["name"]: one for one in origin(project)["settings"]}
    assert (again["sinks.sap.url"]["origin"], again["sinks.sap.url"]["names"]) == ("fallback", ["SAP_URL"])
    # Nothing that is written is left out.
    lines = text.splitlines()
    told = {one["line"] for one in found["settings"] if one["origin"] != "default"}
    assert told == {number for number, line in enumerate(lines, 1) if not line.endswith(":") and line.strip()}


def test_every_part_says_where_it_comes_from(project, pack):
    write(pack, {"lookups/centers.csv": "wc,erp\n"})
    shutil.copytree(SHIPPED / "b2mml", project.parent / "b2mml")
    use(project, "canonical", "../shared", "../b2mml")
    found = origin(project)
    assert len(found["contracts"]) == len(list((CANONICAL / "contracts").glob("*.yaml")))
    assert {(one["pack"], one["file"].partition("/")[0]) for one in found["contracts"]} == {
        ("canonical", "pack:canonical")
    }
    # Mappings of packs that no source uses do nothing.
    assert [(one["name"], one["file"], one["line"], one["pack"]) for one in found["mappings"]] == [
        ("done", "mappings/done.yaml", 1, None), ("dropped", "mappings/dropped.yaml", 1, None),
    ]  # fmt: skip
    lookups = {one["name"]: (one["file"], one["pack"], one["overrides"]) for one in found["lookups"]}
    assert lookups["centers"] == ("lookups/centers.csv", None, ["../shared"])
    assert lookups["sites"] == ("../shared/lookups/sites.csv", "../shared", [])
    assert lookups["b2mml-units"] == ("../b2mml/lookups/b2mml-units.csv", "../b2mml", [])


def test_people_read_the_same(mfgroute, project, pack):
    write(pack, {"lookups/centers.csv": "wc,erp\n"})
    use(project, "canonical", "../shared", more="owner: plant-it\n")
    found = mfgroute(
        "config", "show", "--origin", MFGROUTE_DATA_DIR="elsewhere", SAP_URL="http://127.0.0.1:10"
    )
    lines = [line.split("  ") for line in found.out.splitlines()]
    rows = {cells[0]: [cell.strip() for cell in cells[1:] if cell.strip()] for cells in lines}
    assert rows["sources.mes.token"] == ['"********"', "environment variable MES_TOKEN, mfgroute.yaml:8:49"]
    assert rows["sinks.sap.on_refused"] == ['"park_key"', "default"]
    assert rows["data folder"] == ['"elsewhere"', "environment variable MFGROUTE_DATA_DIR"]
    told = [" ".join(line.split()) for line in found.out.splitlines()]
    assert "lookup centers plant-it project lookups/centers.csv:1, in place of pack ../shared" in told
    assert "lookup sites nobody pack ../shared ../shared/lookups/sites.csv:1" in told


# Released contracts.


def test_check_refuses_a_released_contract_that_is_not_as_it_was(mfgroute, project):
    text = (CANONICAL / NAME).read_text(encoding="utf-8").replace("1.0.0", "1.1.0", 1)
    write(project, {NAME: text})
    assert mfgroute("contract", "check", "--pin").code == 0
    assert mfgroute("check", "-q").code == 0
    write(project, {NAME: text.replace("maxLength: 12", "maxLength: 13", 1)})
    assert text.replace("maxLength: 12", "maxLength: 13", 1) != text
    found = mfgroute("check")
    line = next(number for number, one in enumerate(text.splitlines(), 1) if one.startswith("version:"))
    assert found.code == 78
    assert f"{NAME}:{line}:10: version 1.1.0 of production.operation.completed/1 was released" in found.err
    assert "hint: raise `version`" in found.err
    # A node does not start on it either, and a version of its own mends it.
    with pytest.raises(ConfigError, match="was released and is not the same any more"):
        load_project(project)
    write(project, {NAME: text.replace("maxLength: 12", "maxLength: 13", 1).replace("1.1.0", "1.2.0", 1)})
    assert mfgroute("check", "-q").code == 0


def test_a_lock_with_a_broken_line_is_refused(mfgroute, project):
    write(project, {lock.FILE: "# released\n<<<<<<< ours\n"})
    found = mfgroute("check")
    assert found.code == 78
    assert f"{lock.FILE}:2:1: the line is no released version" in found.err


def test_an_override_of_a_released_version_needs_a_version_of_its_own(mfgroute, project):
    text = (CANONICAL / NAME).read_text(encoding="utf-8")
    changed = text.replace("maxLength: 12", "maxLength: 13", 1)
    write(project, {NAME: changed})
    found = mfgroute("check")
    assert found.code == 78
    assert "version 1.0.0 of production.operation.completed/1 was released by canonical" in found.err
    assert "give what takes its place a version of its own" in found.err
    write(project, {NAME: changed.replace("1.0.0", "1.0.1", 1)})
    found = mfgroute("check")
    assert found.code == 0
    assert (
        f"note: {NAME} takes the place of the contract production.operation.completed.v1 of pack canonical"
        in found.out
    )


def test_the_canonical_pack_is_as_it_was_released(tmp_path):
    found = documents.read(documents.Folder(CANONICAL))
    pins = lock.read(found)
    assert (pins.unpinned, pins.problems) == ([], [])
    assert len(pins.pinned) == len(found.contracts) == len(list((CANONICAL / "contracts").glob("*.yaml")))
    # The lock is what the command writes.
    copy = tmp_path / "canonical"
    shutil.copytree(CANONICAL, copy, ignore=shutil.ignore_patterns("registry.lock"))
    assert command("contract", "check", "--pin", "-c", copy, folder=tmp_path).code == 0
    assert (copy / lock.FILE).read_bytes() == (CANONICAL / lock.FILE).read_bytes()


def test_a_pack_is_pinned_and_checked_by_itself(tmp_path):
    pack = write(tmp_path / "pack", {NAME: (CANONICAL / NAME).read_text(encoding="utf-8")})
    assert command("contract", "check", "--pin", "-c", pack, folder=tmp_path).code == 0
    path = pack / NAME
    path.write_text(path.read_text().replace("maxLength: 12", "maxLength: 13", 1))
    found = command("contract", "check", "-c", pack, folder=tmp_path)
    assert found.code == 1
    assert "was released and is not the same any more" in found.err


# Twelve plants.

MAIN = """\
apiVersion: mfgroute/v1
packs: [../../shared]
node: {{id: edge-{number}, site: P{number:02}, namespace: com.example}}
owner: plant-{number}
streams:
  business: {{durability: memory, capacity: 16MiB, when_full: block}}
sources:
  mes: {{adapter: files, path: ./in/*.jsonl, mappings: [reports]}}
sinks:
  erp: {{adapter: console, owner: erp-team}}
routes:
  - {{name: all, match: {{type: plant.report/1}}, to: erp}}
"""
CONTRACT = """\
type: plant.report
version: 1.0.0
kind: event
owner: group-it
lifecycle: {status: active}
key: {order: [data.site, data.order]}
idempotency: [data.site, data.id]
schema:
  type: object
  required: [site, order, id, good]
  additionalProperties: false
  properties:
    site: {type: string, minLength: 1}
    order: {type: string, minLength: 1}
    id: {type: string, minLength: 1}
    good: {type: string, format: decimal, x-decimal: {digits: 13, places: 3}}
    reason: {type: string}
"""
MAPPING = """\
from: {{decode: json}}
emit:
  - to: plant.report/1
    fields:
      site: {{const: P{number:02}}}
      order: {{path: "{prefix}order"}}
      id: {{path: "{prefix}id"}}
      good: {{path: "{prefix}good", number: {{decimal: "{mark}"}}}}
      reason: {{path: "{prefix}why", lookup: reasons}}
"""
PLANTS = range(1, 13)


@pytest.fixture
def plants(tmp_path):
    """Twelve projects; each has a mapping for its own MES, and the third a table of its own."""
    write(tmp_path / "shared", {
        "pack.yaml": "owner: group-it\n",
        "contracts/plant.report.v1.yaml": CONTRACT,
        "lookups/reasons.csv": "code,reason\n1,jam\n2,material\n",
    })  # fmt: skip
    made = []
    for number in PLANTS:
        prefix, mark = f"v{number}.", "," if number % 2 else "."
        made.append(write(tmp_path / "plants" / f"p{number:02}", {
            "mfgroute.yaml": MAIN.format(number=number),
            "mappings/reports.yaml": MAPPING.format(number=number, prefix=prefix, mark=mark),
        }))  # fmt: skip
    write(made[2], {"lookups/reasons.csv": "code,reason\n1,third\n"})
    return made


def test_twelve_plants_share_one_contract_with_their_own_mappings(plants):
    versions = set()
    for number, plant in zip(PLANTS, plants, strict=True):
        project = load_project(plant)
        assert project.warnings == []
        given = {"order": "4711", "id": "A", "good": "5,5" if number % 2 else "5.5", "why": "1"}
        [event] = run_mapping(project, "reports", json.dumps({f"v{number}": given}).encode())
        assert event.type == "com.example.plant.report.v1"
        assert event.key == f"order/P{number:02}/4711"
        assert json.loads(event.json)["data"] == {
            "site": f"P{number:02}", "order": "4711", "id": "A", "good": "5.5",
            "reason": "third" if number == 3 else "jam",
        }  # fmt: skip
        [contract] = project.plan.summary["contracts"]
        versions.add((contract["type"], contract["version"]))
    assert versions == {("plant.report", "1.0.0")}


def test_each_of_twelve_plants_says_what_is_shared_and_what_is_its_own(plants):
    for number, plant in zip(PLANTS, plants, strict=True):
        project = load_project(plant)
        found = {one.file: one for one in packs.parts(project.root, project.packs)}
        assert found["../../shared/contracts/plant.report.v1.yaml"].pack == "../../shared"
        assert found["mappings/reports.yaml"].pack is None
        own = found.get("lookups/reasons.csv")
        assert (own.overrides if own else None) == (["../../shared"] if number == 3 else None)
    told = origin(plants[2])
    assert [
        (one["owner"], one["file"]) for kind in ("contracts", "mappings", "lookups") for one in told[kind]
    ] == [
        ("group-it", "../../shared/contracts/plant.report.v1.yaml"),
        ("plant-3", "mappings/reports.yaml"),
        ("plant-3", "lookups/reasons.csv"),
    ]


def test_a_change_of_the_shared_contract_after_its_release_stops_all_twelve_plants(plants):
    shared = plants[0].parents[1] / "shared"
    assert command("contract", "check", "--pin", "-c", shared, folder=shared).code == 0
    path = shared / "contracts/plant.report.v1.yaml"
    for plant in plants:
        assert load_project(plant).warnings == []
    path.write_text(CONTRACT.replace("digits: 13", "digits: 12"))
    for plant in plants:
        [one] = problems(plant)
        assert (one.file, one.line) == ("../../shared/contracts/plant.report.v1.yaml", 2)
        assert "was released and is not the same any more" in one.message
    path.write_text(CONTRACT.replace("digits: 13", "digits: 14").replace("1.0.0", "1.1.0"))
    for plant in plants:
        [contract] = load_project(plant).plan.summary["contracts"]
        assert contract["version"] == "1.1.0"
