"""``mfgroute contract check``: what was released stays, and a broken promise needs a new major version."""

import json
import os
import shutil
import subprocess
from datetime import date

import pytest

from mfgroute.cli import main
from mfgroute.config import documents, lock
from mfgroute.contracts import changes, commit
from mfgroute.errors import ConfigError, UnknownName
from mfgroute.registry import Registry
from mfgroute.testing import check_schema

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

MAIN = """\
apiVersion: mfgroute/v1
packs: [canonical, ../shared/plant]
node: {id: core-1, site: DE04, namespace: com.example}
streams:
  business: {durability: memory, capacity: 64MiB, when_full: block}
sources:
  mes: {adapter: files, path: ./in/*.jsonl, mappings: [done]}
sinks:
  sap: {adapter: console, owner: erp-team}
routes: [{name: things, match: {type: plant.thing/1}, to: sap}]
"""
CONTRACT = """\
type: plant.thing
version: 1.2.0
kind: event
stream: business
owner: tests
lifecycle: {status: active}
compatibility: backward
key: {thing: [data.id]}
idempotency: [data.id]
business: {process: p, transaction: data.id, step: s}
schema:
  title: Thing
  type: object
  required: [id]
  additionalProperties: false
  properties:
    id: {type: string, minLength: 1, maxLength: 10, description: Its name}
    lot: {type: string, minLength: 1}
    state: {enum: [new, old]}
examples:
  - {id: A-1, state: new}
"""
FILE = "contracts/plant.thing.v1.yaml"
SHARED = "../shared/plant/contracts/plant.part.v1.yaml"
MAPPING = """\
from: {decode: json}
emit:
  - to: plant.thing/1
    fields: {id: {path: id, lookup: ids}}
"""
TESTS = "tests:\n  - {name: a thing, mapping: done, given: {id: 1}, expect: []}\n"


class Project:
    """A project below the top of a git repository, with a pack beside it."""

    def __init__(self, root):
        self.root = root / "plants" / "one"
        for name, text in {
            "mfgroute.yaml": MAIN,
            FILE: CONTRACT,
            SHARED: CONTRACT.replace("plant.thing", "plant.part"),
            "mappings/done.yaml": MAPPING,
            "lookups/ids.csv": "id,name\n1,A-1\n",
            "tests/done.yaml": TESTS,
        }.items():
            self.write(name, text)
        self.git("init", "--quiet", folder=root)
        self.commit()

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def edit(self, old, new, name=FILE):
        text = (self.root / name).read_text()
        assert old in text
        (self.root / name).write_text(text.replace(old, new, 1))

    def git(self, *arguments, folder=None):
        user = ["-c", "user.name=tests", "-c", "user.email=tests@example.com", "-c", "commit.gpgsign=false"]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        subprocess.run(["git", *user, *arguments], cwd=folder or self.root, check=True, env=environ)

    def commit(self):
        self.git("add", "--all", ".", "..")
        self.git("commit", "--quiet", "--allow-empty", "--message", "state")

    def read(self, place=None):
        return documents.read(place or documents.Folder(self.root), Registry())

    def change(self, label="plant.thing/1", **more):
        """What became of a contract since the last commit."""
        then = self.read(commit.at(self.root, "HEAD"))
        found = changes.changes(then, self.read(), **{"today": date(2026, 7, 1), **more})
        return next(one for one in found if one.label == label)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture
def run(project, capsys, monkeypatch):
    monkeypatch.chdir(project.root)

    def of(*arguments):
        capsys.readouterr()
        code = main(["contract", "check", *arguments])
        return code, *capsys.readouterr()

    return of


# The judgement.


def test_a_commit_reads_as_the_folder_does(project):
    then, now = project.read(commit.at(project.root, "HEAD")), project.read()
    assert {label: one.content for label, one in then.contracts.items()} == {
        label: one.content for label, one in now.contracts.items()
    }
    assert {"plant.thing/1", "plant.part/1", "production.operation.completed/1"} <= set(then.contracts)
    assert then.mappings["done"].content == now.mappings["done"].content
    assert list(then.tests) == ["done"]


@pytest.mark.parametrize(("old", "new"), [
    ("description: Its name", "description: Another"), ("owner: tests", "owner: others"), ("A-1", "A-2"),
    ("{status: active}", '{status: deprecated, since: "2026-01-01"}'), ("title: Thing", "title: A thing"),
])  # fmt: skip
def test_words_that_explain_change_nothing(project, old, new):
    project.edit(old, new)
    assert project.change().verdict == "unchanged"


@pytest.mark.parametrize(("promise", "old", "new", "verdict"), [
    ("backward", "maxLength: 10", "maxLength: 20", "compatible"),
    ("backward", "maxLength: 10", "maxLength: 2", "breaking"),
    ("forward", "maxLength: 10", "maxLength: 20", "breaking"),
    ("forward", "maxLength: 10", "maxLength: 2", "compatible"),
    ("full", "maxLength: 10", "maxLength: 20", "breaking"),
    ("full", "maxLength: 10", "maxLength: 2", "breaking"),
    ("full", "minLength: 1, maxLength: 10", 'pattern: "^.{1,10}$"', "breaking"),
    ("full", "minLength: 1, maxLength: 10", "maxLength: 10, minLength: 1, pattern: '.'", "breaking"),
    ("full", "enum: [new, old]", "type: string, enum: [old, new]", "compatible"),
    ("backward", "required: [id]", "required: [id, lot]", "breaking"),
    ("forward", "required: [id]", "required: [id, lot]", "compatible"),
    ("backward", "state: {enum: [new, old]}", "state: {enum: [new, old]}\n    more: {type: string}", "compatible"),
])  # fmt: skip
def test_a_change_is_judged_by_the_promise_of_its_contract(project, promise, old, new, verdict):
    project.edit("compatibility: backward", f"compatibility: {promise}")
    project.commit()
    project.edit("1.2.0", "1.3.0")
    project.edit(old, new)
    found = project.change()
    assert (found.verdict, found.promise) == (verdict, promise)
    assert found.accepted is (verdict == "compatible")
    assert set(found.directions) == {"backward", "forward"}


def test_a_counterexample_is_taken_by_the_one_version_and_refused_by_the_other(project):
    before = project.read().contracts["plant.thing/1"].schema
    project.edit("maxLength: 10", "maxLength: 2")
    project.edit("state: {enum: [new, old]}", "state: {enum: [new, old, odd]}")
    after = project.read().contracts["plant.thing/1"].schema
    found = project.change()
    for direction, (taking, refusing) in {"backward": (before, after), "forward": (after, before)}.items():
        [difference] = found.directions[direction].differences
        assert difference.proven
        assert check_schema(taking, difference.counterexample, formats=True) == []
        assert check_schema(refusing, difference.counterexample, formats=True)
    # It is made of the contract's own example.
    assert found.directions["backward"].differences[0].counterexample == {"id": "A-1", "state": "new"}


def test_both_promises_hold_when_the_promise_itself_changes(project):
    project.edit("compatibility: backward", "compatibility: forward")
    project.edit("maxLength: 10", "maxLength: 20")
    found = project.change()
    assert (found.promise, found.verdict) == ("full", "breaking")


def test_a_promise_that_is_none_is_a_problem_at_its_place(project):
    project.edit("compatibility: backward", "compatibility: sideways")
    with pytest.raises(ConfigError) as info:
        project.change()
    assert [(one.file, one.line) for one in info.value.problems] == [(FILE, 7)]


@pytest.mark.parametrize(("old", "new", "reason"), [
    ("idempotency: [data.id]", "idempotency: [data.id, data.lot]", "identity_changed: id became id, lot"),
    ("idempotency: [data.id]", "idempotency: [data.id]\nacross_sources: true", "identity_changed: id became id across sources"),
    ("key: {thing: [data.id]}", "key: {item: [data.id]}", "key_changed: thing of id became item of id"),
    ("kind: event", "kind: command", "kind changed from event to command"),
    ("stream: business", "stream: other", "stream changed from business to other"),
])  # fmt: skip
def test_what_moves_ids_keys_or_streams_is_breaking(project, old, new, reason):
    project.edit("1.2.0", "1.3.0")
    project.edit(old, new)
    found = project.change()
    assert (found.verdict, found.accepted) == ("breaking", False)
    assert [one for one in found.reasons if one.startswith(reason)]
    assert found.identity_changed is reason.startswith("identity_changed")
    assert found.key_changed is reason.startswith("key_changed")


def test_a_new_major_version_allows_everything_and_says_what_it_breaks(project):
    text = CONTRACT.replace("1.2.0", "2.0.0").replace("[data.id]\nbusiness", "[data.id, data.lot]\nbusiness")
    project.write("contracts/plant.thing.v2.yaml", text.replace("required: [id]", "required: [id, lot]"))
    found = project.change("plant.thing/2")
    assert (found.before, found.after) == ("1.2.0", "2.0.0")
    assert (found.verdict, found.bumped, found.accepted) == ("breaking", True, True)
    assert found.identity_changed
    assert project.change().verdict == "unchanged"
    (project.root / FILE).unlink()
    assert project.change("plant.thing/2").accepted


@pytest.mark.parametrize(("lifecycle", "accepted"), [
    ("{status: active}", False),
    ('{status: deprecated, since: "2026-01-01"}', False),
    ('{status: deprecated, since: "2026-01-01", sunset: "2026-07-02"}', False),
    ('{status: deprecated, since: "2026-01-01", sunset: "2026-07-01"}', True),
])  # fmt: skip
def test_a_contract_may_go_after_its_sunset(project, lifecycle, accepted):
    project.edit("{status: active}", lifecycle)
    project.commit()
    (project.root / FILE).unlink()
    found = project.change()
    assert (found.verdict, found.accepted) == ("removed", accepted)
    assert found.links.mappings == ["done"]


def test_a_contract_that_is_new_is_added(project):
    project.write("contracts/plant.new.v1.yaml", CONTRACT.replace("plant.thing", "plant.new"))
    found = project.change("plant.new/1")
    assert (found.verdict, found.accepted, found.before) == ("added", True, None)


def test_a_version_does_not_go_back(project):
    project.edit("1.2.0", "1.1.9")
    found = project.change()
    assert (found.verdict, found.accepted) == ("compatible", False)
    assert "the version goes back from 1.2.0 to 1.1.9" in found.reasons
    project.edit("1.1.9", "1.10.0")
    assert project.change().accepted


def test_what_cannot_be_decided_is_breaking_unless_told_otherwise(project):
    project.edit(
        "lot: {type: string, minLength: 1}", 'lot: {type: string, minLength: 1, pattern: "^\\\\p{L}*$"}'
    )
    project.commit()
    project.edit("1.2.0", "1.3.0")
    project.edit("^\\\\p{L}*$", "^[\\\\p{L}]*$")
    found = project.change()
    assert (found.verdict, found.accepted) == ("undecided", False)
    assert "is not understood" in found.directions["backward"].differences[0].reason
    assert project.change(undecided=True).accepted
    project.edit("required: [id]", "required: [id, lot]")
    found = project.change(undecided=True)
    assert (found.verdict, found.accepted) == ("breaking", False)


RULES = "rules:\n  - {code: lot_is_id, check: data.id != '', message: it has a name}\n"


@pytest.mark.parametrize(("promise", "then", "now", "verdict"), [
    ("backward", "", RULES, "undecided"), ("forward", "", RULES, "compatible"),
    ("backward", RULES, "", "compatible"), ("forward", RULES, "", "undecided"),
    ("full", RULES, RULES.replace("it has", "there is"), "compatible"),
    ("full", RULES, RULES.replace("!= ''", "!= 'x'"), "undecided"),
])  # fmt: skip
def test_a_rule_that_only_one_version_has_is_not_decided(project, promise, then, now, verdict):
    project.edit("compatibility: backward\n", f"compatibility: {promise}\n{then}")
    project.commit()
    project.edit(f"compatibility: {promise}\n{then}", f"compatibility: {promise}\n{now}")
    assert project.change().verdict == verdict


def test_a_contract_of_a_pack_beside_the_project_is_judged_too(project):
    project.edit("maxLength: 10", "maxLength: 2", SHARED)
    found = project.change("plant.part/1")
    assert (found.verdict, found.accepted) == ("breaking", False)


def test_a_project_that_does_not_compile_is_judged(project):
    project.edit("required: [id]", "required: [id, lot]")
    assert main(["check", "-c", str(project.root), "-q"]) == 78
    assert project.change().verdict == "breaking"


def test_a_folder_without_git_and_a_commit_without_a_name_are_said(project, tmp_path_factory):
    with pytest.raises(UnknownName, match="no commit `nope`"):
        commit.at(project.root, "nope")
    with pytest.raises(UnknownName, match="no commit `--help`"):
        commit.at(project.root, "--help")
    with pytest.raises(UnknownName, match="in no git repository"):
        commit.at(tmp_path_factory.mktemp("bare"), "HEAD")


# The lock.


def lines(project, name=lock.FILE):
    return [line for line in (project.root / name).read_text().splitlines() if not line.startswith("#")]


def test_a_released_version_is_pinned_where_its_contract_lies(project):
    assert {one.label for one in lock.pin(project.read())} == {"plant.part/1", "plant.thing/1"}
    assert [line.split()[:2] for line in lines(project)] == [["plant.thing", "1.2.0"]]
    assert [line.split()[:2] for line in lines(project, "../shared/plant/" + lock.FILE)] == [
        ["plant.part", "1.2.0"]
    ]
    pins = lock.read(project.read())
    assert len(pins.pinned) == 2
    assert (pins.unpinned, pins.problems) == ([], [])


@pytest.mark.parametrize(("old", "new"), [
    ("maxLength: 10", "maxLength: 20"), ("[data.id]\nbusiness", "[data.id, data.lot]\nbusiness"),
    ("thing: [data.id]", "item: [data.id]"), ("kind: event", "kind: command"), ("stream: business", "stream: x"),
    ("step: s", "step: t"), ("compatibility: backward", "compatibility: full"), ("[new, old]", "[new]"),
    ("business: {", "volatile: [data.lot]\nbusiness: {"),
])  # fmt: skip
def test_a_released_version_stays_as_it_is(project, old, new):
    lock.pin(project.read())
    project.edit(old, new)
    [problem] = lock.read(project.read()).problems
    assert (problem.file, problem.line) == (FILE, 2)
    assert "version 1.2.0 of plant.thing/1 was released" in problem.message
    with pytest.raises(ConfigError):
        lock.pin(project.read())
    project.edit("1.2.0", "1.3.0")
    assert lock.read(project.read()).problems == []


def test_a_released_version_may_be_explained_better_and_deprecated(project):
    lock.pin(project.read())
    for old, new in (("Its name", "The name"), ("owner: tests", "owner: others"), ("A-1", "A-2")):
        project.edit(old, new)
    project.edit("{status: active}", '{status: deprecated, since: "2026-01-01", sunset: "2026-06-30"}')
    assert lock.read(project.read()).problems == []


def test_a_member_that_is_called_as_a_word_that_explains_is_pinned(project):
    project.edit("lot: {", "title: {")
    lock.pin(project.read())
    project.edit("title: {type: string", "title: {type: integer")
    assert len(lock.read(project.read()).problems) == 1


def test_every_version_that_was_released_stays_in_the_lock_in_order(project):
    for version in ("1.2.0", "1.10.0", "1.9.0"):
        project.edit(project.read().contracts["plant.thing/1"].version, version)
        lock.pin(project.read())
    assert [line.split()[1] for line in lines(project)] == ["1.2.0", "1.9.0", "1.10.0"]


@pytest.mark.parametrize(("line", "message"), [
    ("plant.thing 1.2.0 sha256:12", "the line is no released version"),
    ("<<<<<<< HEAD", "the line is no released version"),
    (f"plant.thing 1.2.0 sha256:{'0' * 64}", "pinned twice, and differently"),
])  # fmt: skip
def test_a_line_of_the_lock_that_is_none_is_named(project, line, message):
    lock.pin(project.read())
    with (project.root / lock.FILE).open("a") as file:
        file.write(f"\n{line}\n")
    [problem] = lock.read(project.read()).problems
    assert (problem.file, problem.line) == (lock.FILE, 4)
    assert message in problem.message


# The command.


def test_the_command_says_what_broke_whom_it_touches_and_ends_with_1(run, project):
    assert run("--against", "HEAD")[0] == 0
    project.edit("1.2.0", "1.3.0")
    project.edit("maxLength: 10", "maxLength: 2")
    project.edit("[data.id]\nbusiness", "[data.id, data.lot]\nbusiness")
    code, out, _ = run("--against", "HEAD")
    assert code == 1
    for line in (
        "plant.thing/1 1.2.0 -> 1.3.0: breaking (backward)",
        "  identity_changed: id became id, lot; the same fact gets another id",
        '    /id: found "A-1", expected at most 2 characters',
        '      for example {"id": "A-1", "state": "new"}',
        "  touches mappings: done",
        "  touches routes: things",
        "  touches sinks: sap",
        "  touches lookups: ids",
        "  touches tests: tests/done.yaml: a thing",
    ):
        assert line in out.splitlines(), line
    assert "against HEAD: 1 breaking, 44 unchanged" in out
    code, out, _ = run("--against", "HEAD", "--output", "json")
    document = json.loads(out)
    assert (code, document["ok"]) == (1, False)
    [change] = [one for one in document["contracts"] if one["verdict"] != "unchanged"]
    assert change["identity_changed"] is True
    assert change["directions"]["backward"]["verdict"] == "breaking"
    assert change["touches"] == {
        "mappings": ["done"], "conversions": [], "routes": ["things"], "sinks": ["sap"], "lookups": ["ids"],
        "tests": ["tests/done.yaml: a thing"],
    }  # fmt: skip


def test_the_command_pins_only_what_keeps_its_promise(run, project):
    project.edit("maxLength: 10", "maxLength: 2")
    assert run("--against", "HEAD", "--pin")[0] == 1
    assert not (project.root / lock.FILE).exists()
    code, out, _ = run("--pin")
    assert (code, out.splitlines()[0]) == (0, "2 versions pinned")
    assert run()[0] == 0
    project.edit("maxLength: 2", "maxLength: 3")
    code, out, err = run()
    assert code == 1
    assert f"{FILE}:2:10: version 1.2.0 of plant.thing/1 was released" in err
    assert run("--pin")[0] == 78


def test_the_command_accepts_what_is_undecided_only_when_told(run, project):
    project.edit("lot: {", 'odd: {type: string, pattern: "\\\\p{L}"}\n    lot: {')
    project.commit()
    project.edit("1.2.0", "1.3.0")
    project.edit("\\\\p{L}", "\\\\p{L}+")
    assert run("--against", "HEAD")[0] == 1
    assert run("--against", "HEAD", "--allow-undecided")[0] == 0


def test_the_command_refuses_a_commit_that_is_none(run):
    code, _, err = run("--against", "nope")
    assert code == 2
    assert "hint: name a branch, a tag or a commit" in err
