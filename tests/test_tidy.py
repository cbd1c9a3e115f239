"""Habits of the repository that no other tool checks."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINES_MAX = 450
# Why a file may be longer. A file that became shorter leaves the list.
LONG = {
    "python/mfgroute/_core.pyi": "one extension module, and a stub has one file",
    "tests/adapters/test_opcua.py": "one server and every fault of a session",
    "tests/adapters/test_opcua_detect.py": "one plant and every rule of detection",
}
# Who may look again after a moment, within a bound, because nothing else tells.
LOOKS_AGAIN = {"tests/docs/commands.py": "whether a command that was started listens yet"}
UNSAFE = {"rust/mfgroute-core/src/flat/scan/bytes.rs", "rust/mfgroute-py/src/eventfd.rs"}
# Programs of one file that measure the machine: no crate, and in no build of the product.
UNSAFE_MEASURES = {"bench/yardstick/limit.rs", "bench/yardstick/yardstick.rs"}
# `init` writes these; its failing test tells the user what to do.
MARKED = "python/mfgroute/packs/templates/"
MARKERS = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
TEXT = {".rs", ".py", ".pyi", ".md", ".toml", ".yaml", ".yml", ".csv", ".json", ".jsonl", ".lock", ".xml", ""}


def tracked():
    """Files of the repository; of the folder where there is no repository (an unpacked archive)."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        names = listed.stdout.decode().split("\0")
        return sorted(name for name in names if name and (ROOT / name).is_file())
    folders = ("rust", "python", "tests", "bench", "docs", "tools")
    found = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    return sorted(str(path.relative_to(ROOT)) for path in found if path.is_file())


FILES = tracked()
SKIPS = {
    f"pytest.{mark}{name}" for mark in ("", "mark.") for name in ("skip", "skipif", "xfail", "importorskip")
}
THIS = "tests/test_tidy.py"


def texts(*suffixes, under=""):
    for name in FILES:
        if name.startswith(under) and Path(name).suffix in suffixes and name != THIS:
            yield name, (ROOT / name).read_text(errors="replace")


def where(pattern, found):
    return [
        f"{name}:{number}"
        for name, text in found
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]


def test_a_file_is_short_or_says_why_not():
    long = {
        name
        for name, text in texts(".rs", ".py", ".pyi")
        if name.startswith(("rust/", "python/", "tests/")) and text.count("\n") > LINES_MAX
    }
    assert long == set(LONG)


def test_nothing_is_left_marked():
    found = where(MARKERS, texts(*TEXT))
    # The template's test says in as many words what to do, and test_packs.py checks that it does.
    allowed = (MARKED, "tests/test_packs.py:")
    assert [place for place in found if not place.startswith(allowed)] == []


def test_unsafe_code_is_where_it_is_named():
    pattern = re.compile(r"\bunsafe\s*(?:\{|\(|fn|impl|extern|trait)|(?:allow|expect|warn)\(\s*unsafe_code")
    assert {name for name, text in texts(".rs") if pattern.search(text)} == UNSAFE | UNSAFE_MEASURES


def test_unsafe_code_says_why_and_the_compiler_denies_it_elsewhere():
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())
    lints = workspace["workspace"]["lints"]
    assert lints["rust"]["unsafe_code"] == "deny"
    assert lints["clippy"]["undocumented_unsafe_blocks"] == "deny"
    for member in workspace["workspace"]["members"]:
        assert tomllib.loads((ROOT / member / "Cargo.toml").read_text())["lints"] == {"workspace": True}
    for name in UNSAFE:
        allowed = re.findall(r"(?:allow|expect)\(unsafe_code(.*)\)\]", (ROOT / name).read_text())
        assert allowed, name
        assert all("reason =" in why for why in allowed), name


def test_miri_runs_the_tests_of_every_module_with_unsafe_code_that_it_can_run():
    # A test program cannot be made of the extension module, and its calls are the kernel's.
    border = "rust/mfgroute-py/src/eventfd.rs"
    recipe = (ROOT / "Makefile").read_text().partition("\nmiri:")[2].partition("\n.PHONY")[0]
    for name in UNSAFE - {border}:
        crate, _, module = name.removeprefix("rust/").partition("/src/")
        folder = str(Path(module).parent).replace("/", "::")
        assert re.search(rf"-p {crate}\b.*(?:-- {folder}\b|$)", recipe, re.MULTILINE), name


def test_no_test_waits_for_a_time_to_pass():
    rust = [one for one in texts(".rs", under="rust/") if "#[test]" in one[1] or "tests" in one[0]]
    tests = [*texts(".py", under="tests/"), *rust]
    found = where(r"\btime\.sleep\(|\bthread::sleep\b", tests)
    assert {place.partition(":")[0] for place in found} == set(LOOKS_AGAIN)


def test_nothing_reads_code_from_data():
    python = [*texts(".py", under="python/"), *texts(".py", under="bench/"), *texts(".py", under="tools/")]
    assert where(r"\bpickle\b|\bmarshal\b|\bshelve\b|(?<![.\w])(?:eval|exec)\(|yaml\.load\(", python) == []


def test_nothing_names_a_place_of_one_workplace():
    places = r"(?<![\w.-])/(?:work|root|home/\w+|tmp/wt)/"
    assert where(places, texts(*TEXT)) == []


def reason_missing(node):
    """Whether a use of pytest's skips says nothing about why."""
    if not isinstance(node, ast.Call):
        return isinstance(node, ast.Attribute) and ast.unparse(node) in (
            "pytest.mark.skip",
            "pytest.mark.xfail",
        )
    name = ast.unparse(node.func)
    if name not in SKIPS:
        return False
    said = {keyword.arg for keyword in node.keywords}
    return "reason" not in said and not (
        name in ("pytest.skip", "pytest.xfail", "pytest.mark.skip") and node.args
    )


def test_every_skip_says_why():
    silent = []
    for name, text in texts(".py", under="tests/"):
        tree = ast.parse(text)
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        silent += [
            f"{name}:{node.lineno}"
            for node in ast.walk(tree)
            if id(node) not in called and reason_missing(node)
        ]
    assert silent + where(r"#\[ignore\]", texts(".rs")) == []


def test_locked_versions_name_no_host():
    locks = [(name, (ROOT / name).read_text()) for name in ("requirements.lock", "requirements-dev.lock")]
    assert where(r"://|--(?:index|extra|find)", locks) == []
    assert all(re.match(r"[a-z0-9-]+==[\w.]+", line) for _, text in locks for line in text.splitlines())


def test_the_runtime_is_locked_to_one_version_in_both_files():
    runtime = set((ROOT / "requirements.lock").read_text().splitlines())
    assert runtime <= set((ROOT / "requirements-dev.lock").read_text().splitlines())
