"""Packs in folders: what they may be, what a project overrides, whose each part is, and where it comes from."""

import json
import os
import shutil

import pytest
from cli_projects import PROJECT, command
from pack_projects import CANONICAL, origin, problems, use, write

from mfgroute.config.packs import SHIPPED
from mfgroute.project import load_project


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
    ("demo", "there is no pack `demo`", "known: `b2mml`, `canonical`, `effects`"),
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
