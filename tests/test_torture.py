"""What a long run writes down: counts, names of what failed, and a list of all records."""

import datetime as dt
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "tools" / "torture.py"
BEGAN = dt.datetime(2026, 11, 24, 7, 10, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def torture():
    sys.path.insert(0, str(FILE.parent))
    spec = importlib.util.spec_from_file_location("torture", FILE)
    module = sys.modules["torture"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(FILE.parent))
    del sys.modules["torture"], sys.modules["reliability"]


def ran(torture, text, status):
    """A run of a program that prints `text`."""
    run = torture.Run("suite", 7)
    run.run([sys.executable, "-c", f"import sys; print({text!r}); sys.exit({status})"])
    return run


def test_counts_of_both_suites_are_read(torture):
    rust = ran(
        torture, "test result: ok. 12 passed; 0 failed; 0 ignored;\ntest result: ok. 3 passed; 0 failed;", 0
    )
    assert (rust.passed, rust.failed, rust.named) == (15, 0, [])
    python = ran(torture, "...\n5 passed, 1 skipped in 0.10s", 0)
    assert (python.passed, python.failed) == (5, 0)


def test_what_failed_is_named(torture):
    rust = ran(
        torture,
        "engine::model::no_history --- FAILED\n.\n\nfailures:\n\ntest result: FAILED. 1 passed; 1 failed;",
        101,
    )
    assert (rust.failed, rust.named) == (1, ["engine::model::no_history --- FAILED"])
    python = ran(torture, "FAILED tests/a.py::test_b - boom\n2 failed, 1 error, 9 passed in 3s", 1)
    assert (python.passed, python.failed, python.named) == (9, 3, ["FAILED tests/a.py::test_b - boom"])
    crashed = ran(torture, "Killed", 137)
    assert (crashed.passed, crashed.failed) == (0, 1)


def test_a_record_says_what_ran_with_which_seed_and_what_failed(torture):
    good, bad = (
        torture.Run("cargo test", 7, 12, 0, 2, 61.0),
        torture.Run("pytest, all", 7, 3, 1, 0, 5.0, ["FAILED a::b"]),
    )
    page = torture.record([[good, bad]], torture.Told("abc1234", BEGAN, 20_000, 1_000_000, 60))
    assert page.startswith("# Long run of 2026-11-24 07:10 UTC\n\n**1 of 2 runs failed**, see below.\n")
    assert "| 1 | cargo test | 7 | 12 | 0 | 2 | 61 |\n" in page
    assert "## Failed: pytest, all, seed 7\n\n* `FAILED a::b`\n" in page
    assert "\n\nNothing failed.\n" in torture.record(
        [[good]], torture.Told("abc1234", BEGAN, 20_000, 1_000_000, 60)
    )


def test_records_are_listed_in_the_order_given(torture, tmp_path):
    pages = [tmp_path / "torture-2.md", tmp_path / "torture-1.md"]
    for page in pages:
        page.write_text(f"# Long run of {page.stem}\n\n**1 of 2 runs failed**, see below.\n")
    assert torture.reliability.listed(pages) == [
        "* [torture-2](torture-2.md): 1 of 2 runs failed, see below.",
        "* [torture-1](torture-1.md): 1 of 2 runs failed, see below.",
    ]


POWER = "tests/torture/test_power_cut.py::test_short_writes_are_completed"
FAULT = "tests/torture/test_system_calls.py::test_any_call_that_fails_loses_nothing"
HISTORY = "rust/mfgroute-log/tests/simulation/main.rs::no_history_loses_invents_or_changes_a_record"


def test_a_fault_that_this_machine_cannot_put_in_is_not_run_and_one_that_fails_once_has_failed(
    torture, tmp_path
):
    report = tmp_path / "report.xml"
    report.write_text("""<testsuites><testsuite>
        <testcase classname="tests.torture.test_power_cut" name="test_short_writes_are_completed">
          <skipped message="no FUSE"/></testcase>
        <testcase classname="tests.torture.test_system_calls" name="test_any_call_that_fails_loses_nothing[EIO]">
          <properties><property name="faults" value="12"/></properties><failure/></testcase>
        <testcase classname="tests.torture.test_system_calls" name="test_any_call_that_fails_loses_nothing[ENOSPC]">
          <properties><property name="faults" value="30"/></properties></testcase>
        <testcase classname="tests.engine.test_engine" name="test_another"/>
        </testsuite></testsuites>""")
    run = torture.Run("pytest, faults", 7)
    run.read(report)
    rust = ran(
        torture, f"test main::{HISTORY.rpartition('::')[2]} ... ok\ntest result: ok. 1 passed; 0 failed;", 0
    )
    told = torture.Told("abc1234", BEGAN, 20_000, 1_000_000, 60)
    made = torture.for_machines([[run, rust]], told)
    assert made["tests"] == {
        HISTORY: {"verdict": "survived"},
        POWER: {"verdict": "not run", "why": "no FUSE"},
        FAULT: {"verdict": "failed"},
    }
    assert made["counts"] == {"faults": 42}
    page = torture.record([[run, rust]], told)
    assert f"## Not run\n\n* `{POWER}`: no FUSE\n" in page
    assert "* errors put into system calls: 42\n" in page
    records = [{**made, "page": "torture-1.md"}]
    shown = [
        torture.reliability.together([torture.reliability.result(test, records)]) for test in made["tests"]
    ]
    assert shown == [
        "survived ([record](torture-1.md))",
        "**not run**: no FUSE ([record](torture-1.md))",
        "**failed** ([record](torture-1.md))",
    ]
    results = [torture.reliability.result(test, records) for test in made["tests"]]
    assert torture.reliability.together(results).startswith("**failed**")


def test_every_test_that_the_catalogue_names_is_there(torture):
    for test in torture.SHOWING:
        file, _, name = test.partition("::")
        text = (FILE.parents[1] / file).read_text()
        assert f"{'fn' if file.endswith('.rs') else 'def'} {name}(" in text, test


def test_every_fault_has_a_test_or_says_why_not(torture):
    found = torture.reliability.catalogue()
    assert all(bool(entry.get("tests")) != bool(entry.get("untested")) for entry in found["fault"])
    assert all(entry["tests"] for entry in found["promise"])
    ids = [entry["id"] for entry in [*found["promise"], *found["fault"]]]
    assert len(set(ids)) == len(ids)


def test_faults_that_are_wanted_alone_are_named_by_their_files():
    command = [sys.executable, str(FILE), "--faults", "test_effects", "nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    _, said, names = done.stderr.partition("--faults nonsense: expected some of ")
    assert said
    assert {"test_effects", "test_effects_calls", "test_power_cut"} <= set(names.strip().split(", "))


def test_every_file_with_property_tests_is_run_in_every_round(torture):
    files = torture.property_tests()
    assert {
        "tests/exactness/test_decimals.py",
        "tests/exactness/test_times.py",
        "tests/runtime/test_config_fuzz.py",
    } <= set(files)
    assert all((FILE.parents[1] / name).is_file() for name in files)
    assert "tests/test_torture.py" not in files
