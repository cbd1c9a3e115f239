"""The engine's modules stand in one order, and the crates under the border know no Python.

Rust allows cycles between the modules of a crate; this test does not, but for what is listed with its reason.
"""

import re
from pathlib import Path

import pytest

RUST = Path(__file__).parents[1] / "rust"
CORE = RUST / "mfgroute-core" / "src"

# From the ground up: a module uses only what stands before it.
ORDER = [
    "machine",
    "reject",
    "problem",
    "tree",
    "identity",
    "dedup",
    "stats",
    "value",
    "units",
    "text",
    "time",
    "record",
    "yaml",
    "decode",
    "path",
    "schema",
    "expr",
    "contract",
    "route",
    "map",
    "flat",
    "engine",
    "plan",
    "pipeline",
    "router",
]
EXCEPTIONS = {
    ("plan", "pipeline"): "a plan runs its examples through the pipeline once it is compiled",
}
CRATES = {
    "mfgroute-log": set(),
    "mfgroute-core": {"mfgroute-log"},
    # For its tests alone: both decoders judge the same bytes.
    "mfgroute-link": {"mfgroute-core"},
    "mfgroute-py": {"mfgroute-core", "mfgroute-link"},
}


def code(path):
    """The text without comments, in which documentation may link anywhere, and without test modules."""
    text = re.sub(r"//.*", "", path.read_text())
    return re.split(r"#\[cfg\(test\)\]\s*mod \w+ \{", text)[0]


def is_test(path):
    return path.stem in ("tests", "model") or path.stem.endswith("_tests")


def used(text):
    """First names after `crate::`, in braces too."""
    for braces, name in re.findall(r"\bcrate::(?:\{((?:[^{}]|\{[^{}]*\})*)\}|(\w+))", text):
        yield from [name] if name else re.findall(r"(?:^|,)\s*(\w+)", re.sub(r"\{[^{}]*\}", "", braces))


def imports():
    found = {}
    for path in sorted(CORE.rglob("*.rs")):
        module = path.relative_to(CORE).parts[0].removesuffix(".rs")
        if module == "lib" or is_test(path):
            continue
        for name in used(code(path)):
            if name != module and name in ORDER:
                found.setdefault((module, name), path.relative_to(CORE))
    return found


def test_the_order_names_every_module():
    declared = re.findall(r"^(?:pub )?mod (\w+);", (CORE / "lib.rs").read_text(), re.MULTILINE)
    assert sorted(declared) == sorted(ORDER)


def test_a_module_uses_only_what_stands_before_it():
    upward = {
        edge: str(path) for edge, path in imports().items() if ORDER.index(edge[1]) > ORDER.index(edge[0])
    }
    assert {edge: path for edge, path in upward.items() if edge not in EXCEPTIONS} == {}
    assert set(EXCEPTIONS) <= set(upward), "an exception that nobody needs any more"


@pytest.mark.parametrize("crate", CRATES)
def test_a_crate_uses_only_the_crates_below_it(crate):
    manifest = (RUST / crate / "Cargo.toml").read_text()
    # A crate may name itself: its tests are built with features of its own that nothing else has.
    assert set(re.findall(r"^(mfgroute-\w+)\b", manifest, re.MULTILINE)) - {crate} == CRATES[crate]


@pytest.mark.parametrize("crate", ["mfgroute-log", "mfgroute-core", "mfgroute-link"])
def test_only_the_border_knows_python(crate):
    texts = [RUST / crate / "Cargo.toml", *(RUST / crate).rglob("*.rs")]
    assert [str(path) for path in texts if re.search(r"\bpyo3\b", path.read_text())] == []


def test_the_border_has_no_logic_and_so_no_tests_of_its_own():
    # An extension module cannot be linked as a test program; its tests are the Python ones.
    sources = (RUST / "mfgroute-py").rglob("*.rs")
    assert [path.name for path in sources if "#[test]" in path.read_text()] == []
