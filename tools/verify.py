"""Run every suite of the repository and add up what they say: ``make test``."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
TARGET = ROOT / "target" / "verify"
RUST_RESULT = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;", re.MULTILINE)


@dataclass
class Count:
    """What a suite says."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Count) -> Count:
        """Add up suites."""
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


@dataclass
class Suite:
    """A command and how to count what it did: a check is one, a test suite says its own number."""

    name: str
    command: list[str]
    kind: str = "check"
    env: dict[str, str] = field(default_factory=dict)

    @property
    def report(self) -> Path:
        """Where pytest writes its counts."""
        return TARGET / f"{self.name}.xml"

    def run(self) -> Count:
        """Run the command and show what it prints as it prints it."""
        command = [*self.command]
        if self.kind == "pytest":
            self.report.unlink(missing_ok=True)
            command.append(f"--junitxml={self.report}")
        print(f"\n=== {self.name}: {' '.join(self.command)}", flush=True)
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **self.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            lines.append(line)
        status = process.wait()
        return self.count(status, b"".join(lines).decode(errors="replace"))

    def count(self, status: int, output: str) -> Count:
        """Read the counts; a command that fails without a failed test counts as one failure."""
        if self.kind == "cargo":
            count = sum((Count(*map(int, found)) for found in RUST_RESULT.findall(output)), start=Count())
        elif self.kind == "pytest" and self.report.exists():
            count = Count()
            for suite in ET.parse(self.report).getroot().iter("testsuite"):
                total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
                failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
                count += Count(total - failed - skipped, failed, skipped)
        else:
            count = Count(passed=1) if status == 0 else Count()
        if status != 0 and count.failed == 0:
            count.failed = 1
        return count


# What `make test` says of one commit, it says again; `make torture` draws other seeds each round.
SEEDS = {name: os.environ.get(name, "20260101") for name in ("FUZZ_SEED", "PROPTEST_RNG_SEED")}
HYPOTHESIS = "--hypothesis-seed=20260101"
# Most tests of nodes wait: two at a time need half the time. What a file sets up for its tests stands once.
BESIDE = ["-n", "2", "--dist", "loadfile"]
# Run again to be shown: `cargo-test` has built them.
MUTANTS = ["cargo", "test", "--locked", "--workspace", "--quiet", "every_mutant", "--", "--show-output"]


def suites() -> list[Suite]:
    """All suites, the quick ones first."""
    tool = BIN.joinpath
    return [
        Suite("ruff", [str(tool("ruff")), "check", "."]),
        Suite("ruff-format", [str(tool("ruff")), "format", "--check", "."]),
        Suite("rustfmt", ["cargo", "fmt", "--all", "--check"]),
        Suite("mypy", [str(tool("mypy"))]),
        Suite("import-linter", [str(tool("lint-imports")), "--no-cache"]),
        Suite(
            "stubtest",
            [sys.executable, "-m", "mypy.stubtest", "mfgroute._core", "--mypy-config-file", "pyproject.toml"],
        ),
        Suite("pytest", [sys.executable, "-m", "pytest", "-q", HYPOTHESIS, *BESIDE], kind="pytest"),
        Suite(
            "bench-smoke",
            [sys.executable, "-m", "pytest", "-q", "bench", "--benchmark-disable"],
            kind="pytest",
        ),
        Suite(
            "clippy",
            [
                "cargo",
                "clippy",
                "--locked",
                "--workspace",
                "--all-targets",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ],
        ),
        Suite(
            "cargo-test",
            ["cargo", "test", "--locked", "--workspace", "--no-fail-fast", "--quiet"],
            kind="cargo",
            env=SEEDS,
        ),
        # Faults put in on purpose, each with the seed that catches it.
        Suite("mutants", MUTANTS, kind="cargo"),
    ]


DOCS = Suite(
    "docs", [sys.executable, "-m", "pytest", "-q", "tests", "-k", "docs or page or reference"], kind="pytest"
)
TESTS = {"pytest", "bench-smoke", "cargo-test", "mutants"}


def main() -> int:
    """Run what was asked for and say what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", help="names of suites")
    parser.add_argument("--lint", action="store_true", help="the lints and type checks alone")
    options = parser.parse_args()
    known = suites()
    chosen = [suite for suite in [*known, DOCS] if suite.name in options.only]
    if unknown := set(options.only) - {suite.name for suite in chosen}:
        parser.error(f"unknown suite {', '.join(sorted(unknown))}; known: {', '.join(s.name for s in known)}")
    if not options.only:
        chosen = [suite for suite in known if not (options.lint and suite.name in TESTS)]
    TARGET.mkdir(parents=True, exist_ok=True)
    results: list[tuple[str, float, Count]] = []
    for suite in chosen:
        started = time.monotonic()
        count = suite.run()
        results.append((suite.name, time.monotonic() - started, count))
    print("\n=== what ran")
    for name, seconds, count in results:
        print(f"{'FAILED' if count.failed else 'ok':6} {name:14} {seconds:6.0f} s  {count}")
    total = sum((count for _, _, count in results), start=Count())
    print(f"{total} ({len(results)} suites, {sum(seconds for _, seconds, _ in results):.0f} s)")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
