"""What a long run writes down: counts, names of what failed, and a list of all records."""

import datetime as dt
import importlib.util
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "tools" / "torture.py"
BEGAN = dt.datetime(2026, 11, 24, 7, 10, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def torture():
    spec = importlib.util.spec_from_file_location("torture", FILE)
    module = sys.modules["torture"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["torture"]


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
        torture.Run("cargo test", 7, 12, 0, 61.0),
        torture.Run("pytest, all", 7, 3, 1, 5.0, ["FAILED a::b"]),
    )
    page = torture.record([[good, bad]], name="abc1234", began=BEGAN, cases=20_000, fuzz_s=60)
    assert page.startswith("# Long run of 2026-11-24 07:10 UTC\n\n**1 of 2 runs failed**, see below.\n")
    assert "| 1 | cargo test | 7 | 12 | 0 | 61 |\n" in page
    assert "## Failed: pytest, all, seed 7\n\n* `FAILED a::b`\n" in page
    assert "\n\nNothing failed.\n" in torture.record(
        [[good]], name="abc1234", began=BEGAN, cases=20_000, fuzz_s=60
    )


def test_the_newest_record_is_listed_first_and_a_second_listing_changes_nothing(torture, tmp_path):
    pages = [tmp_path / "torture-1.md", tmp_path / "torture-2.md"]
    for page in pages:
        page.write_text(f"# Long run of {page.stem}\n\nNothing failed.\n")
    once = torture.listed("# Long runs\n\nText.\n\n## Records\n\nNone yet.\n", pages)
    assert once == (
        "# Long runs\n\nText.\n\n## Records\n\n"
        "* [torture-2](torture-2.md): Nothing failed.\n* [torture-1](torture-1.md): Nothing failed.\n"
    )
    assert torture.listed(once, pages) == once


def test_every_file_with_property_tests_is_run_in_every_round(torture):
    files = torture.property_tests()
    assert {
        "tests/exactness/test_decimals.py",
        "tests/exactness/test_times.py",
        "tests/runtime/test_config_fuzz.py",
    } <= set(files)
    assert all((FILE.parents[1] / name).is_file() for name in files)
    assert "tests/test_torture.py" not in files
