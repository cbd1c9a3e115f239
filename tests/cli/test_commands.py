"""Commands that need no node, run in this process."""

import importlib
import io
import json
import re
import resource
import subprocess
import sys
import types
from pathlib import Path
from xml.etree import ElementTree as ET

from cli_projects import PROJECT, TESTS, report, write_project  # isort: skip
import click
import pytest

from mfgroute.cli import main
from mfgroute.cli.app import COMMANDS, UNAVAILABLE, app

NAMES = [name for section in COMMANDS.values() for name in section]


class Ended:
    def __init__(self, code, captured):
        self.code, self.out, self.err = code, captured.out, captured.err

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def error(self):
        return json.loads(self.err)["error"]


@pytest.fixture
def run(project, capsys, monkeypatch):
    """Run a command in the project's folder."""
    monkeypatch.chdir(project)

    def of(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        code = main([str(one) for one in arguments])
        return Ended(code, capsys.readouterr())

    return of


# Help.


def test_help_takes_at_most_150_ms_and_imports_nothing_slow():
    took = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "mfgroute", "--help"], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(took) <= 0.15
    code = "import sys, mfgroute.cli; mfgroute.cli.main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(done.stderr.split())
    slow = {
        "asyncio",
        "asyncua",
        "aiohttp",
        "starlette",
        "rich",
        "structlog",
        "msgspec",
        "zmq",
        "mfgroute._core",
    }
    assert not slow & loaded


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_with_an_example_and_the_global_options(run, name):
    ended = run(name, "--help")
    assert ended.code == 0
    assert ended.out.startswith(f"Usage: mfgroute {name} ")
    assert "--output [table|json]" in ended.out
    command = app.get_command(click.Context(app), name)
    kinds = command.commands.values() if isinstance(command, click.Group) else [command]
    for one in kinds:
        text = one.help or ""
        assert "Examples:" in text or "not available in this version" in text, one.name
        shown = run(*([name] if one is command else [name, one.name]), "--help").out
        # Each example has its own line, to be copied.
        examples = shown.partition("Examples:\n")[2].partition("\n\n")[0].splitlines()
        assert all(line.startswith("    ") and "mfgroute" in line for line in examples), shown
        assert bool(examples) == ("Examples:" in text), shown


def test_without_a_command_the_help_is_shown(run):
    ended = run()
    assert ended.code == 0
    assert all(f"  {name} " in ended.out for name in NAMES)


@pytest.mark.parametrize("name", UNAVAILABLE)
def test_what_is_not_built_says_so_and_is_not_in_the_help(run, name):
    ended = run(name, "anything")
    assert (ended.code, ended.err) == (2, f"error: `mfgroute {name}` is not available in this version\n")
    assert f"  {name} " not in run("--help").out


def test_a_part_that_is_not_built_of_a_command_that_is_says_so(run):
    ended = run("check", "--online")
    assert (ended.code, "not available in this version" in ended.err) == (2, True)


def test_a_mistyped_command_gets_a_hint(run):
    ended = run("chek")
    assert (ended.code, ended.err) == (
        2, "error: there is no command `chek`\nhint: did you mean `mfgroute check`?\n"
    )  # fmt: skip


def test_a_mistyped_option_is_a_usage_error_in_one_sentence(run):
    ended = run("check", "--stric")
    assert ended.code == 2
    assert ended.err.splitlines()[-1] == "hint: see `mfgroute check --help`"
    assert run("check", "--stric", "--output", "json").error["exit_code"] == 2


def test_the_version_is_printed(run):
    assert re.fullmatch(r"mfgroute \d+\.\d+.*\n", run("--version").out)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(run, shell):
    assert "_MFGROUTE_COMPLETE" in run("completion", shell).out


# Global options.


@pytest.mark.parametrize("place", ["before", "after", "inside"])
def test_global_options_work_before_and_after_the_command(run, project, monkeypatch, place):
    monkeypatch.chdir(project.parent)
    given = ["-c", "project", "--output", "json"]
    arguments = {
        "before": [*given, "config", "show"],
        "after": ["config", "show", *given],
        "inside": ["config", *given, "show"],
    }[place]
    assert run(*arguments).json["node"]["id"] == "core-1"


def test_the_project_can_be_named_by_the_environment_and_the_option_wins(run, project, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MFGROUTE_CONFIG", str(project / "mfgroute.yaml"))
    assert run("check").code == 0
    assert run("check", "-c", "nowhere").code == 78


# check


def test_check_says_what_it_found(run):
    ended = run("check")
    assert ended.code == 0
    note, ok = ended.out.splitlines()
    assert note.startswith("note: nobody owns mapping done, ")
    assert ok.startswith("ok: 43 contracts, 2 mappings, 1 lookups, 2 routes")
    assert run("check", "--output", "json").json["ok"]


def test_check_names_every_problem_with_its_place_and_a_hint(run, mfgroute, project):
    text = PROJECT.replace("adapter: console", "").replace(
        'adapter: files, path: "./out', 'adapter: flies, path: "./out'
    )
    text = text.replace("when_full: block", "when_full: blok").replace("to: sap}", "to: spa}")
    write_project(project, text)
    ended = run("check")
    assert ended.code == 78
    lines = ended.err.splitlines()
    places = [line for line in lines if re.match(r"mfgroute\.yaml:\d+:\d+: ", line)]
    assert len(places) == 3
    assert "  hint: did you mean `files`?" in lines
    assert lines[-1].startswith("3 errors")
    found = run("check", "--output", "json")
    assert (found.code, len(found.json["problems"])) == (78, 3)
    started = mfgroute("run")
    assert started.code == 78
    assert len([line for line in started.err.splitlines() if line.startswith("mfgroute.yaml:")]) == 3


def test_warnings_fail_only_when_strict(run, project):
    write_project(project, PROJECT.replace(", owner: plant-it", ""))
    ended = run("check")
    assert (ended.code, "warning: the sink log has no owner" in ended.err) == (0, True)
    assert run("check", "--strict").code == 1
    assert not run("check", "--strict", "--output", "json").json["ok"]


def test_no_project_and_a_missing_variable_are_configuration_errors(run, tmp_path, monkeypatch):
    monkeypatch.delenv("MES_TOKEN")
    ended = run("check")
    assert (ended.code, "MES_TOKEN" in ended.err) == (78, True)
    monkeypatch.chdir(tmp_path)
    ended = run("check", "--output", "json")
    assert ended.json["problems"][0]["hint"].endswith("or make one with `mfgroute init`")


# test


def test_tests_pass_and_a_failing_one_names_the_difference(run, project):
    assert run("test").out.splitlines()[-1] == "2 passed"
    file = project / "tests" / "done.yaml"
    file.write_text(TESTS.replace('good: "5"', 'good: "6"').replace("routes: [sap, log]", "routes: [log]"))
    ended = run("test")
    assert ended.code == 1
    assert 'event 1 data.quantity.good is "5", expected "6"' in ended.out
    assert "sent to sap, log, expected log" in ended.out
    assert ended.out.splitlines()[-1] == "1 passed, 1 failed"
    assert run("test", "--output", "json").json["failed"] == 1


def test_update_writes_what_was_found_and_leaves_the_rest_alone(run, project):
    file = project / "tests" / "done.yaml"
    file.write_text(TESTS.replace('good: "5"', 'good: "6"').replace("routes: [sap, log]", "routes: [log]"))
    assert run("test", "--update").out.splitlines()[-1] == "1 passed, 1 updated"
    text = file.read_text()
    assert "# A comment that stays." in text
    assert '"quantity": {' in text
    assert "given: {evt: DONE, id: A-2" in text
    assert run("test").code == 0


def test_update_adds_an_expectation_but_never_makes_a_reject_one(run, project):
    file = project / "tests" / "done.yaml"
    text = TESTS[: TESTS.index("    expect:")] + "    expect: []\n"
    file.write_text(
        text
        + TESTS[TESTS.index("\n  - name: an unknown") :]
        .replace("reject: {", "expect: []\n    meta: {")
        .replace("code: lookup_missing, pointer: /wc", "")
    )
    ended = run("test", "--update")
    assert ended.code == 1
    assert "not updated: the message is rejected" in ended.out
    assert run("test").out.splitlines()[-1] == "1 passed, 1 failed"


def test_a_junit_report_is_xml_whatever_is_in_it(run, project):
    file = project / "tests" / "done.yaml"
    file.write_text(
        TESTS.replace('good: "5"', 'good: "<6>\\u001b"').replace("a report", "<&\\u0007> a report")
    )
    assert run("test", "--junit", "report.xml").code == 1
    suite = ET.parse(project / "report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")


def test_a_bad_test_file_is_a_configuration_error_with_its_place(run, project):
    (project / "tests" / "done.yaml").write_text(TESTS.replace("mapping: done", "maping: done"))
    ended = run("test")
    assert (ended.code, "tests/done.yaml:3:" in ended.err) == (78, True)
    assert run("test", "tests/nope.yaml").code == 78


# eval, try


def test_eval_prints_events_and_ends_with_65_when_something_is_rejected(run):
    ended = run("eval", "done", stdin=json.dumps(report(1)).encode())
    assert (ended.code, "event production.operation.completed/1  order/DE04/4711" in ended.out) == (0, True)
    ended = run("eval", "done", "--output", "json", stdin=b'{"evt": "DONE"')
    assert ended.code == 65
    assert ended.json["outcomes"][0]["reject"]["code"] == "bad_json"
    assert run("eval", "nope").code == 2


def test_try_says_which_mapping_takes_it_and_what_each_sink_is_sent(run, project):
    (project / "message.json").write_text(json.dumps(report(1)))
    ended = run("try", "message.json", "--source", "mes")
    assert ended.code == 0
    assert "message.json at source mes: taken by mapping done@" in ended.out
    assert re.search(
        r"sink sap is sent:\n  production.operation.completed/1  order/DE04/4711  id ", ended.out
    )
    (project / "message.json").write_text(json.dumps(report(1, evt="OTHER")))
    ended = run("try", "message.json", "--source", "mes")
    assert (ended.code, "taken by no mapping" in ended.out, "no_mapping" in ended.out) == (65, True, True)
    assert run("try", "nothing.json", "--source", "mes").code == 2
    assert "add --source mes | drops" in run("try", "message.json").err
    ended = run("try", "message.json", "--source", "mess")
    assert (ended.code, ended.err) == (2, "error: no source is called `mess`\nhint: did you mean `mes`?\n")


def test_nothing_of_a_message_with_a_bad_item_goes_anywhere(run, tmp_path):
    folder = tmp_path / "made"
    run("init", "--template", "quality-hold", folder)
    message = (folder / "samples" / "raised.json").read_text().replace("Schwer", "Kritisch")
    (folder / "message.json").write_text(message)
    ended = run("try", folder / "message.json", "--source", "qms", "-c", folder)
    assert ended.code == 65
    assert "quality.hold.placed" not in ended.out
    assert "is sent" not in ended.out


@pytest.mark.parametrize("hostile", ["\x1b[31mred", "a\u202eb", "x\ny", "\x07", "\u2028"])
def test_hostile_text_never_reaches_the_terminal(run, project, hostile):
    message = json.dumps(report(1, order="47", center=hostile)).encode()
    ended = run("eval", "done", stdin=message)
    assert ended.code == 65
    (project / "m.json").write_bytes(json.dumps(report(hostile, order="47")).encode())
    tried = run("try", "m.json", "--source", "mes")
    usage = run(hostile)
    for text in (ended.out, tried.out, usage.err):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", text)


# init


@pytest.mark.parametrize(
    "template", ["confirmation-to-sap", "quality-hold", "receipt-to-wms", "csv-drop", "b2mml"]
)
def test_a_template_checks_and_has_one_failing_test(run, template, tmp_path):
    folder = tmp_path / "made"
    ended = run("init", "--template", template, folder)
    assert ended.code == 0
    assert len([line for line in ended.out.splitlines() if line.startswith("  ")]) == 3
    checked = run("check", "--strict", "-c", folder)
    assert (checked.code, checked.err) == (0, "")
    tested = run("test", "-c", folder)
    assert (tested.code, tested.out.splitlines()[-1]) == (1, "1 passed, 1 failed")
    again = run("init", folder)
    assert (again.code, "is not empty" in again.err) == (73, True)


def test_init_lists_its_files_for_programs(run, tmp_path):
    found = run("init", tmp_path / "made", "--output", "json").json
    assert "mfgroute.yaml" in found["files"]
    assert len(found["next"]) == 3


# config, adapters, contract, pki


def test_config_shows_no_secret(run):
    for arguments in ((), ("--output", "json")):
        ended = run("config", "show", *arguments)
        assert ended.code == 0
        assert "token-of-the-cli-tests" not in ended.out
        assert "********" in ended.out
    from mfgroute import _core

    document, _, _ = _core.parse_yaml(run("config", "show").out.encode(), "shown.yaml")
    assert document["sinks"]["log"]["path"] == "./out/{type}.jsonl"


def test_the_schema_knows_every_adapter(run):
    text = run("config", "schema").out
    assert json.loads(text) == run("config", "schema", "--output", "json").json
    for name in ("http", "files", "opcua", "zeromq", "console"):
        assert f'"{name}"' in text


def test_adapters_are_listed_and_shown_with_their_settings(run):
    assert re.search(r"^zeromq +yes +yes$", run("adapters", "list").out, re.MULTILINE)
    assert run("adapters", "list", "--output", "json").json["sinks"] == [
        "console",
        "files",
        "http",
        "sap",
        "zeromq",
    ]
    shown = run("adapters", "show", "http").out
    assert re.search(r"^  url +text +required +Target of every request$", shown, re.MULTILINE)
    unknown = run("adapters", "show", "nope")
    assert (unknown.code, "hint: known: console" in unknown.err) == (2, True)


def test_contracts_are_listed_and_shown(run):
    assert "production.operation.completed" in run("contract", "list").out
    shown = run("contract", "show", "production.operation.completed/1").out
    assert "manufacturing" in shown
    assert "runs flat" in shown, "which of its mappings run compiled, and what keeps the others on trees"
    assert run("contract", "show", "production.operation.completed/9").code == 2


def test_pki_makes_keys_that_only_their_owner_reads_and_prints_no_secret(run, project):
    made = run("pki", "create", "edge-1")
    secret = project / "keys" / "edge-1.secret"
    assert made.code == 0
    assert secret.stat().st_mode & 0o777 == 0o600
    key = (project / "keys" / "edge-1.public").read_text().strip()
    assert made.out.startswith(key)
    assert "core_key:" in made.out
    assert secret.read_text().strip().removeprefix("secret:") not in made.out
    assert run("pki", "create", "edge-1").code == 73
    for file in ("edge-1.secret", "edge-1.public"):
        assert run("pki", "show", f"keys/{file}", "--output", "json").json["public_key"] == key
    secret.chmod(0o644)
    assert "expected 0600" in run("pki", "show", "keys/edge-1.secret").err
    assert run("pki", "create", "../x").code == 2


# demo and mistakes of ours


def test_demo_is_handed_its_options(run, monkeypatch, tmp_path):
    asked = {}
    fake = types.SimpleNamespace(main=lambda **given: asked.update(given) or 7)
    monkeypatch.setitem(sys.modules, "mfgroute.testing.demo", fake)
    assert run("demo", "--once", "--output", "json", "--dir", tmp_path / "kept").code == 7
    assert asked == {"once": True, "output": "json", "directory": tmp_path / "kept", "outage": False}


def test_a_mistake_of_ours_is_one_line_and_says_where_the_traceback_is(run, monkeypatch):
    module = importlib.import_module("mfgroute.cli.commands.check")
    monkeypatch.setattr(module.command, "callback", lambda **_: 1 / 0)
    ended = run("check")
    assert ended.code == 70
    first, hint = ended.err.splitlines()
    assert first == "error: internal error: ZeroDivisionError: division by zero"
    file = re.search(r"traceback is in (\S+)", hint)[1]
    assert "Traceback" in Path(file).read_text()
    assert "Traceback" in run("check", "-v").err
    assert run("check", "--output", "json").error["kind"] == "Internal"


@pytest.mark.parametrize(
    ("error", "code"),
    [(PermissionError(13, "Permission denied", "x"), 77), (FileExistsError(17, "exists", "x"), 73),
     (OSError(5, "Input/output error", "x"), 74), (OSError(28, "No space left on device", "x"), 73),
     (KeyboardInterrupt(), 130)],
)  # fmt: skip
def test_errors_of_the_system_have_their_exit_codes(run, monkeypatch, error, code):
    module = importlib.import_module("mfgroute.cli.commands.check")

    def fail(**_):
        raise error

    monkeypatch.setattr(module.command, "callback", fail)
    ended = run("check")
    assert ended.code == code
    assert "Traceback" not in ended.err
