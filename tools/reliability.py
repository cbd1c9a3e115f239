"""The reliability page: promises, faults, and what the recorded long runs say of each."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reliability"
PAGE = FOLDER / "README.md"
NOTE = "<!-- Written by docs/generate.py from faults.toml and the records. Do not edit. -->"
#: From the worst: what several tests, or several runs of one, come to.
VERDICTS = ("failed", "not run", "survived")
#: What tests count, and how the page calls it.
COUNTS = {
    "kills": "times killed",
    "power_cuts": "power cuts",
    "faults": "errors put into system calls",
    "effects": "events posted while node and target were killed",
    "edges": "edges that came back at once to a core that was killed",
    "windows": "maintenance windows that began meanwhile",
    "periods": "posting periods that closed and opened meanwhile",
}


@dataclass(frozen=True)
class Result:
    """What a record says of a test.

    Attributes:
        verdict: one of `VERDICTS`.
        why: why it was not run, if it was not.
        record: the name of the record's page.
    """

    verdict: str
    why: str = ""
    record: str = ""


def catalogue() -> dict[str, list[dict[str, Any]]]:
    """What is promised and which faults are known."""
    return tomllib.loads((FOLDER / "faults.toml").read_text(encoding="utf-8"))


def tests_named(found: dict[str, list[dict[str, Any]]]) -> set[str]:
    """The tests that show something, as `file::name`."""
    return {test for row in [*found["promise"], *found["fault"]] for test in row.get("tests", [])}


def records() -> list[dict[str, Any]]:
    """The records that say of each test what became of it, the newest first."""
    read = [(path, json.loads(path.read_text(encoding="utf-8"))) for path in FOLDER.glob("torture-*.json")]
    return [{**record, "page": path.with_suffix(".md").name} for path, record in sorted(read, reverse=True)]


def result(test: str, read: list[dict[str, Any]]) -> Result:
    """What the newest record that knows a test says of it."""
    for record in read:
        if said := record["tests"].get(test):
            return Result(said["verdict"], said.get("why", ""), record["page"])
    return Result("not run", "no record yet")


def together(results: list[Result]) -> str:
    """One cell for the tests of a row: the worst of them, and why."""
    worst = min(results, key=lambda one: VERDICTS.index(one.verdict))
    if worst.verdict == "survived":
        return f"survived ([record]({worst.record}))"
    shown = f"**{worst.verdict}**" + (f": {worst.why}" if worst.why else "")
    return shown + (f" ([record]({worst.record}))" if worst.record else "")


def row(entry: dict[str, Any], words: str, read: list[dict[str, Any]]) -> str:
    """One line of a table."""
    if "untested" in entry:
        return f"| {entry['id']} | {words} | none | **not run**: {entry['untested']} |"
    shown = "<br>".join(
        f"[{test.rpartition('::')[2].replace('_', ' ')}]({link(test)})" for test in entry["tests"]
    )
    return (
        f"| {entry['id']} | {words} | {shown} | {together([result(test, read) for test in entry['tests']])} |"
    )


def title(test: str) -> str:
    """The name of a test as words."""
    return test.rpartition("::")[2].removeprefix("test_").replace("_", " ")


def link(test: str) -> str:
    """From the page to the file of a test."""
    return f"../../{test.partition('::')[0]}"


def tally(found: dict[str, list[dict[str, Any]]], read: list[dict[str, Any]]) -> list[str]:
    """How many faults were survived, and what the records counted."""
    counts = dict.fromkeys(VERDICTS, 0)
    for entry in found["fault"]:
        results = [result(test, read).verdict for test in entry.get("tests", [])] or ["not run"]
        counts[min(results, key=VERDICTS.index)] += 1
    lines = [
        f"{len(found['fault'])} faults: "
        + ", ".join(f"{counts[one]} {one}" for one in reversed(VERDICTS))
        + "."
    ]
    if read:
        counted = {name: sum(one["counts"].get(name, 0) for one in read) for name in COUNTS}
        said = [f"{counted[name]:,} {words}" for name, words in COUNTS.items() if counted[name]]
        if histories := sum(one["histories"] for one in read):
            said.append(f"{histories:,} histories of the log over a disk that fails")
        lines += ["", f"All {len(read)} records together have:", "", *(f"* {words}" for words in said)]
    return lines


def page() -> str:
    """The whole page."""
    found, read = catalogue(), records()
    lines = [
        "# Reliability",
        "",
        NOTE,
        "",
        "What is promised of [durable streams](../concepts/durability.md), which faults a node must survive,",
        "the test that puts each in, and what the newest [long run](long-runs.md) that has this test says.",
        "*Not run* is no success: the machine of that run could not put the fault in, or nothing does yet.",
        "",
        *tally(found, read),
        "",
        "## Promises",
        "",
        "| id | promise | shown by | result |",
        "|---|---|---|---|",
        *(row(entry, entry["text"], read) for entry in found["promise"]),
        "",
        "## Faults",
        "",
        "Each test runs in `make test`, most with a few samples, and in `make torture`, with all or many.",
        "Where processes are killed or disks fail, a ledger of what the client was told is compared with one",
        "of what reached the target; neither is the node's.",
        "",
        "| id | fault | put in by | result |",
        "|---|---|---|---|",
        *(row(entry, entry["fault"], read) for entry in found["fault"]),
        "",
        "## What is not proven",
        "",
        *(f"* {entry['text']}." for entry in found["unproven"]),
        "",
        "## Records",
        "",
        *(listed(sorted(FOLDER.glob("torture-*.md"), reverse=True)) or ["None yet."]),
    ]
    return "\n".join(lines) + "\n"


def listed(pages: list[Path]) -> list[str]:
    """A line for each record, in the order given."""
    lines = []
    for one in pages:
        title, _, verdict = one.read_text(encoding="utf-8").split("\n")[:3]
        lines.append(f"* [{title.removeprefix('# Long run of ')}]({one.name}): {verdict.replace('*', '')}")
    return lines


def write() -> None:
    """Write the page anew."""
    PAGE.write_text(page(), encoding="utf-8")
