"""Run the random tests again and again with new seeds, and record it: ``make torture``."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "docs" / "reliability"
#: Cases of each property test in Rust; proptest's default is 256. A test that names its own number keeps it.
CASES = 20_000
#: Histories of the log for each of those cases: a million in a round; a tenth as many of the engine.
HISTORIES = 50
#: No test in Python takes longer; `make test` allows less, for fewer cases.
TIMEOUT_S = 1_800
#: How often a node with durable streams is killed in one round of all tests in Python.
KILLS = 100
#: Seconds that each fuzz target in Rust is run on mutated input.
FUZZ_S = 60
#: What a file with property tests imports.
RANDOM = re.compile(r"from hypothesis import|import (?:.*\b)?batches\b")
_RUST = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed;", re.MULTILINE)
_PYTHON = re.compile(r"(\d+) (passed|failed|errors?)\b")
#: Lines that name a test which failed: of pytest, and of cargo.
_FAILED = re.compile(r"^(?:(?:FAILED|ERROR) \S+.*|\S+ --- FAILED)$", re.MULTILINE)


@dataclass
class Run:
    """One suite in one round.

    Attributes:
        name: what was run.
        seed: with which the run can be repeated.
        passed: tests that passed.
        failed: tests that failed; at least 1 where the command did.
        seconds: how long it took.
        named: lines that name what failed.
    """

    name: str
    seed: int
    passed: int = 0
    failed: int = 0
    seconds: float = 0.0
    named: list[str] = field(default_factory=list)

    def run(self, command: list[str], **env: str) -> None:
        """Run the command, show what it prints, and read what it counts."""
        print(f"=== {' '.join(command)} (seed {self.seed})", flush=True)
        started = time.monotonic()
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
                lines.append(line)
        self.seconds = time.monotonic() - started
        self._count("".join(lines), process.returncode)

    def _count(self, output: str, status: int) -> None:
        found = _RUST.findall(output)
        if found:
            self.passed = sum(int(passed) for passed, _ in found)
            self.failed = sum(int(failed) for _, failed in found)
        else:
            last = output.strip().rpartition("\n")[2]
            counts = {word: int(count) for count, word in _PYTHON.findall(last)}
            self.passed = counts.pop("passed", 0)
            self.failed = sum(counts.values())
        if status != 0:
            self.failed = max(self.failed, 1)
            self.named = sorted({line.strip() for line in _FAILED.findall(output)})


def property_tests() -> list[str]:
    """The Python files with property tests."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [str(path.relative_to(ROOT)) for path in files if RANDOM.search(path.read_text())]


def commit() -> str:
    """The short name of the commit, with a plus when files differ from it."""
    name = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return name.stdout.strip() or "no-commit"


def turn(number: int, cases: int, fuzz_s: int) -> list[Run]:
    """One round: the Rust tests, the mutants, and property tests of Python or all of its tests."""
    seed = time.time_ns() % 2**32
    log = {"MFGROUTE_HISTORIES": str(cases * HISTORIES), "MFGROUTE_SEED": str(seed)}
    rust = Run("cargo test", seed)
    rust.run(
        [
            "cargo",
            "test",
            "--locked",
            "--workspace",
            "--no-fail-fast",
            "--quiet",
            "--",
            "--skip=every_mutant",
        ],
        PROPTEST_CASES=str(cases),
        PROPTEST_RNG_SEED=str(seed),
        FUZZ_SEED=str(seed),
        FUZZ_SECONDS=str(fuzz_s),
        **log,
    )
    mutants = Run("cargo test, mutants", seed)
    mutants.run(
        ["cargo", "test", "--locked", "--workspace", "--quiet", "every_mutant", "--", "--nocapture"],
        **log,
    )
    only = number % 2 == 1
    python = Run("pytest, property tests" if only else "pytest, all", seed)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--hypothesis-seed={seed}"]
    command += ["--hypothesis-profile=torture", f"--timeout={TIMEOUT_S}"]
    python.run(command + (property_tests() if only else ["tests"]), MFGROUTE_KILLS=str(KILLS))
    return [rust, mutants, python]


def record(rounds: list[list[Run]], *, name: str, began: dt.datetime, cases: int, fuzz_s: int) -> str:
    """The page of one long run."""
    runs = [run for one in rounds for run in one]
    failed = [run for run in runs if run.failed]
    minutes = sum(run.seconds for run in runs) / 60
    lines = [
        f"# Long run of {began:%Y-%m-%d %H:%M} UTC",
        "",
        f"{'Nothing failed.' if not failed else f'**{len(failed)} of {len(runs)} runs failed**, see below.'}",
        "",
        "| commit | cores | rounds | minutes | cases of each property test in Rust | seconds per target |",
        "|---|---|---|---|---|---|",
        f"| {name} | {os.cpu_count()} | {len(rounds)} | {minutes:.0f} | {cases:,} | {fuzz_s} |",
        "",
        "| round | suite | seed | passed | failed | seconds |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {number} | {run.name} | {run.seed} | {run.passed} | {run.failed} | {run.seconds:.0f} |"
        for number, one in enumerate(rounds, 1)
        for run in one
    ]
    for run in failed:
        lines += ["", f"## Failed: {run.name}, seed {run.seed}", ""]
        lines += [f"* `{line[:200].replace('`', '')}`" for line in run.named] or ["* the command itself"]
    return "\n".join(lines) + "\n"


def listed(readme: str, pages: list[Path]) -> str:
    """The page about long runs with a list of all records, the newest first."""
    head, _, _ = readme.partition("\n## Records\n")
    lines = ["", "## Records", ""]
    for page in sorted(pages, reverse=True):
        title, _, verdict = page.read_text(encoding="utf-8").split("\n")[:3]
        lines.append(f"* [{title.removeprefix('# Long run of ')}]({page.name}): {verdict.replace('*', '')}")
    return head.rstrip() + "\n" + "\n".join(lines if pages else [*lines, "None yet."]) + "\n"


def main() -> int:
    """Go round until the time is over; a round that began is finished."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="when no further round begins")
    parser.add_argument("--cases", type=int, default=CASES, help="of each property test in Rust")
    parser.add_argument(
        "--fuzz", type=int, default=FUZZ_S, metavar="SECONDS", help="of each fuzz target in Rust"
    )
    options = parser.parse_args()
    began, end = dt.datetime.now(dt.UTC), time.monotonic() + options.minutes * 60
    name = commit()
    rounds: list[list[Run]] = []
    while not rounds or time.monotonic() < end:
        rounds.append(turn(len(rounds) + 1, options.cases, options.fuzz))
    page = RECORDS / f"torture-{began:%Y%m%dT%H%M}-{name.rstrip('+')}.md"
    text = record(rounds, name=name, began=began, cases=options.cases, fuzz_s=options.fuzz)
    page.write_text(text, encoding="utf-8")
    readme = RECORDS / "README.md"
    readme.write_text(
        listed(readme.read_text(encoding="utf-8"), list(RECORDS.glob("torture-*.md"))), encoding="utf-8"
    )
    failed = sum(run.failed for one in rounds for run in one)
    print(f"{len(rounds)} rounds, {failed} failed; recorded in {page.relative_to(ROOT)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
