"""Every code block of the documentation is run, or says why not."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mfgroute._core", reason="the extension is not built")

import mfgroute

from . import mapping_examples
from .blocks import RUNS, Block, all_blocks, blocks, pages
from .commands import Shell
from .projects import STUB, fragment, parse, write_project

BLOCKS = all_blocks()
DATA = {"csv", "json", "xml", "jsonl"}
SECRETS = (
    "MES_A_TOKEN",
    "SAP_TOKEN",
    "WMS_TOKEN",
    "MES_TOKEN",
    "EDGE_PUBLIC",
    "CORE_PUBLIC",
    "PRESS_7_PASSWORD",
)


def chosen(*languages: str, kinds: tuple[str, ...] = ("",)) -> Any:
    """The blocks of some languages and kinds that are run by themselves."""
    found = [
        block
        for block in BLOCKS
        if block.language in languages and block.kind in kinds and not block.reason and not block.options
    ]
    return pytest.mark.parametrize("block", found, ids=lambda block: block.place)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_a_block_is_run_or_says_why_not(block):
    runs = block.language in RUNS or "file" in block.options
    assert runs or block.reason, f"{block.place}: add a line <!-- not run: REASON --> before the block"


@chosen("yaml", kinds=("example",))
def test_an_example_of_the_mapping_language_is_true(block, tmp_path):
    mapping_examples.check(tmp_path, parse(block.text, block.place))


@chosen("yaml", kinds=("mapping",))
def test_a_mapping_compiles_and_its_examples_pass(block, tmp_path):
    source = {"adapter": "files", "path": "./in/*", "mappings": ["shown"]}
    main = {"packs": ["canonical"], "sources": {"plant": source}}
    write_project(tmp_path, {"mappings/shown.yaml": block.text}, main)
    assert mfgroute.load_plan(tmp_path).summary["mappings"]


@chosen("yaml", kinds=("contract",))
def test_a_contract_compiles_and_its_examples_are_valid(block, tmp_path):
    shown = parse(block.text, block.place)
    name = f"contracts/{shown['type']}.v{shown['version'].split('.')[0]}.yaml"
    write_project(tmp_path, {name: block.text}, {})
    assert len(mfgroute.load_plan(tmp_path).summary["contracts"]) == 2


@chosen("yaml")
def test_a_part_of_the_main_file_compiles(block, tmp_path, monkeypatch):
    for name in SECRETS:
        monkeypatch.setenv(name, "public:" + "0" * 64 if "PUBLIC" in name else "0123456789abcdef")
    fragment(tmp_path, parse(block.text, block.place))
    assert mfgroute.load_plan(tmp_path).summary


def steps(page: Path) -> list[Block]:
    """The blocks of a page that work together, in its folder."""
    return [
        block
        for block in blocks(page)
        if not block.reason and ("file" in block.options or block.language in {"console", "python"})
    ]


def small_project(folder: Path) -> None:
    """A project with a sink that nobody polls, for pages that show what then happens."""
    main = {
        "streams": {"business": {"durability": "memory", "capacity": "1MiB"}},
        "sources": {"plant": {"adapter": "files", "path": "./in/*", "mappings": ["stub"]}},
        "sinks": {"slow": {"adapter": "console", "owner": "docs"}},
        "routes": [{"name": "all", "match": {"type": ">"}, "to": "slow"}],
    }
    write_project(folder, {"mappings/stub.yaml": STUB}, main)


@pytest.mark.parametrize("page", [page for page in pages() if steps(page)], ids=lambda page: page.name)
@pytest.mark.timeout(300)
def test_a_page_can_be_followed(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small_project(tmp_path / "small")
    names: dict[str, Any] = {"__name__": "page"}
    shell = Shell(tmp_path)
    with contextlib.closing(shell):
        for block in steps(page):
            if "file" in block.options:
                path = shell.cwd / block.options["file"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(shell.real(block.text))
            elif block.language == "console":
                if any("mfgroute" in line for line in block.text.splitlines() if line.startswith("$ ")):
                    pytest.importorskip("mfgroute.cli", reason="the command is not there")
                shell.run(block.text, int(block.options.get("exit", "0")))
            else:
                os.chdir(shell.cwd)
                code = compile(
                    "\n" * (block.line - 1) + shell.real(block.text), str(page), "exec", dont_inherit=True
                )
                exec(code, names)


def test_the_stub_of_a_mapping_compiles(tmp_path):
    source = {"adapter": "files", "path": "./in/*", "mappings": ["stub"]}
    write_project(tmp_path, {"mappings/stub.yaml": STUB}, {"sources": {"plant": source}})
    assert mfgroute.load_plan(tmp_path).summary["mappings"]
