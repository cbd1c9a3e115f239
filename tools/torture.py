"""Run the random tests again and again with new seeds, and record it: ``make torture``."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import reliability

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "docs" / "reliability"
#: Cases of each property test in Rust; proptest's default is 256. A test that names its own number keeps it.
CASES = 20_000
#: Histories of the log for each of those cases: a million in a round; a tenth as many of the engine.
HISTORIES = 50
#: No test in Python takes longer; `make test` allows less, for fewer cases.
TIMEOUT_S = 1_800
#: How often a node with durable streams is killed at random in a run, and how often the power is cut.
KILLS, POWER_CUTS = 1_000, 200
#: How often a node with durable streams is reloaded under load.
RELOADS = 1_000
#: How many edges come back at once to a core that was killed, and how often edge and core are killed in turn.
EDGES, LINK_KILLS = 500, 20
#: Shares of packets, in percent, that the kernel loses between edge and core.
LINK_LOSSES = "1,5,20,35,50"
#: How many events are posted while the node and its targets are killed.
EFFECTS = 100_000
#: Days of outage of the edge link that are simulated.
LINK_DAYS = 5_000
#: Seconds that each fuzz target in Rust is run on mutated input.
FUZZ_S = 60
#: What a file with property tests imports.
RANDOM = re.compile(r"from hypothesis import|import (?:.*\b)?batches\b")
_RUST = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed;", re.MULTILINE)
_PYTHON = re.compile(r"(\d+) (passed|failed|skipped|errors?)\b")
#: Lines that name a test which failed: of pytest, and of cargo.
_FAILED = re.compile(r"^(?:(?:FAILED|ERROR) \S+.*|\S+ --- FAILED|test \S+ \.\.\. FAILED)$", re.MULTILINE)
#: A line of cargo about one test.
_RUST_TEST = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)", re.MULTILINE)
#: Where pytest writes what became of each test.
REPORT = ROOT / "target" / "torture.xml"
#: Tests that show something about a promise or a fault.
SHOWING = reliability.tests_named(reliability.catalogue())


@dataclass
class Run:
    """One suite in one round.

    Attributes:
        name: what was run.
        seed: with which the run can be repeated.
        passed: tests that passed.
        failed: tests that failed; at least 1 where the command did.
        skipped: tests that were not run.
        seconds: how long it took.
        named: lines that name what failed.
        tests: of each test that shows something about a fault, what became of it and why.
        counts: what tests counted, such as kills.
    """

    name: str
    seed: int
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    named: list[str] = field(default_factory=list)
    tests: dict[str, dict[str, str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

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
            self.skipped = counts.pop("skipped", 0)
            self.failed = sum(counts.values())
        if status != 0:
            self.failed = max(self.failed, 1)
            self.named = sorted({line.strip() for line in _FAILED.findall(output)})
        self._rust_tests(output)

    def _say(self, test: str, verdict: str, why: str = "") -> None:
        """Remember what became of a test; of several of one name the worst."""
        rank = reliability.VERDICTS.index
        if test not in self.tests or rank(verdict) < rank(self.tests[test]["verdict"]):
            self.tests[test] = {"verdict": verdict} | ({"why": why} if why else {})

    def _rust_tests(self, output: str) -> None:
        """Tests in Rust are known by the last part of their name."""
        wanted = {test.rpartition("::")[2]: test for test in SHOWING if test.startswith("rust/")}
        for name, said in _RUST_TEST.findall(output):
            if test := wanted.get(name.rpartition("::")[2]):
                verdict = {"ok": "survived", "FAILED": "failed"}.get(said, "not run")
                self._say(test, verdict)

    def read(self, report: Path) -> None:
        """What pytest says of each test, and what tests counted."""
        for case in ET.parse(report).getroot().iter("testcase"):
            file = case.get("classname", "").replace(".", "/") + ".py"
            test = f"{file}::{case.get('name', '').partition('[')[0]}"
            for counted in case.iter("property"):
                name, value = counted.get("name", ""), counted.get("value", "0")
                self.counts[name] = self.counts.get(name, 0) + int(value)
            if test not in SHOWING:
                continue
            skipped = case.find("skipped")
            if skipped is not None:
                self._say(test, "not run", " ".join(skipped.get("message", "").replace("|", "/").split()))
            else:
                broken = case.find("failure") is not None or case.find("error") is not None
                self._say(test, "failed" if broken else "survived")


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


def turn(number: int, options: argparse.Namespace) -> list[Run]:
    """One round: the Rust tests, the mutants, and property tests of Python or all of its tests.

    The first round puts faults into real processes besides: that is once for a run, since it takes long.
    Where only some of these are wanted, nothing else is run.
    """
    seed = time.time_ns() % 2**32
    if options.faults:
        return [faults(seed, options)]
    cases = options.cases
    log = {"MFGROUTE_HISTORIES": str(options.histories), "MFGROUTE_SEED": str(seed)}
    rust = Run("cargo test", seed)
    rust.run(
        ["cargo", "test", "--locked", "--workspace", "--no-fail-fast", "--", "--skip=every_mutant"],
        PROPTEST_CASES=str(cases),
        PROPTEST_RNG_SEED=str(seed),
        FUZZ_SEED=str(seed),
        FUZZ_SECONDS=str(options.fuzz),
        **log,
    )
    mutants = Run("cargo test, mutants", seed)
    mutants.run(["cargo", "test", "--locked", "--workspace", "every_mutant", "--", "--show-output"], **log)
    if options.rust:
        return [rust, mutants]
    only = number % 2 == 1
    python = Run("pytest, property tests" if only else "pytest, all", seed)
    python.run(pytest(seed, property_tests() if only else ["tests"]))
    runs = [rust, mutants, python]
    if number == 1 and not options.random:
        runs.append(faults(seed, options))
    return runs


def pytest(seed: int, tests: list[str]) -> list[str]:
    """The command that runs tests in Python with new seeds."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--hypothesis-seed={seed}"]
    return [*command, "--hypothesis-profile=torture", f"--timeout={TIMEOUT_S}", *tests]


def faults(seed: int, options: argparse.Namespace) -> Run:
    """Put faults into real processes: kills, errors at system calls, power cuts, disks that fail."""
    run = Run("pytest, faults" + "".join(f", {name}" for name in options.faults), seed)
    known = sorted({test.partition("::")[0] for test in SHOWING if test.startswith("tests/")})
    files = [file for file in known if not options.faults or Path(file).stem in options.faults]
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.unlink(missing_ok=True)
    run.run(
        [*pytest(seed, files), f"--junitxml={REPORT}"],
        MFGROUTE_KILLS=str(options.kills),
        MFGROUTE_POWER_CUTS=str(options.power_cuts),
        MFGROUTE_EFFECTS=str(options.effects),
        MFGROUTE_RELOADS=str(RELOADS),
        MFGROUTE_SYSCALLS=options.syscalls,
        MFGROUTE_LINK_DAYS=str(LINK_DAYS),
        MFGROUTE_LINK_FIRST=str(seed),
        MFGROUTE_EDGES=str(EDGES),
        MFGROUTE_LINK_KILLS=str(LINK_KILLS),
        MFGROUTE_LINK_LOSSES=LINK_LOSSES,
        MFGROUTE_SEED=str(seed),
    )
    if REPORT.exists():
        run.read(REPORT)
    return run


@dataclass(frozen=True)
class Told:
    """What a run was told, for its record.

    Attributes:
        name: of the commit.
        began: when.
        cases: of each property test in Rust.
        histories: of the log.
        fuzz_s: seconds of each fuzz target.
    """

    name: str
    began: dt.datetime
    cases: int
    histories: int
    fuzz_s: int


def record(rounds: list[list[Run]], told: Told) -> str:
    """The page of one long run."""
    runs = [run for one in rounds for run in one]
    failed = [run for run in runs if run.failed]
    minutes = sum(run.seconds for run in runs) / 60
    lines = [
        f"# Long run of {told.began:%Y-%m-%d %H:%M} UTC",
        "",
        f"{'Nothing failed.' if not failed else f'**{len(failed)} of {len(runs)} runs failed**, see below.'}",
        "",
        (
            "| commit | cores | rounds | minutes | cases of each property test in Rust "
            "| histories of the log | seconds per target |"
        ),
        "|---|---|---|---|---|---|---|",
        (
            f"| {told.name} | {os.cpu_count()} | {len(rounds)} | {minutes:.0f} "
            f"| {told.cases:,} | {told.histories:,} | {told.fuzz_s} |"
        ),
        "",
        "| round | suite | seed | passed | failed | not run | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {number} | {run.name} | {run.seed} "
        f"| {run.passed} | {run.failed} | {run.skipped} | {run.seconds:.0f} |"
        for number, one in enumerate(rounds, 1)
        for run in one
    ]
    counts = total(runs)
    if counts:
        lines += ["", "## Faults put into real processes", ""]
        lines += [f"* {words}: {counts.get(name, 0):,}" for name, words in reliability.COUNTS.items()]
    missing = {
        test: said.get("why", "") for test, said in verdicts(runs).items() if said["verdict"] == "not run"
    }
    if missing:
        lines += ["", "## Not run", ""]
        lines += [f"* `{test}`: {why or 'no reason given'}" for test, why in sorted(missing.items())]
    for run in failed:
        lines += ["", f"## Failed: {run.name}, seed {run.seed}", ""]
        lines += [f"* `{line[:200].replace('`', '')}`" for line in run.named] or ["* the command itself"]
    return "\n".join(lines) + "\n"


def total(runs: list[Run]) -> dict[str, int]:
    """What the tests of all runs counted."""
    counts: dict[str, int] = {}
    for run in runs:
        for name, count in run.counts.items():
            counts[name] = counts.get(name, 0) + count
    return counts


def verdicts(runs: list[Run]) -> dict[str, dict[str, str]]:
    """What became of each test that shows something; of several runs the worst."""
    found: dict[str, dict[str, str]] = {}
    rank = reliability.VERDICTS.index
    for run in runs:
        for test, said in run.tests.items():
            if test not in found or rank(said["verdict"]) < rank(found[test]["verdict"]):
                found[test] = said
    return dict(sorted(found.items()))


def for_machines(rounds: list[list[Run]], told: Told) -> dict[str, Any]:
    """The same record, for the reliability page."""
    runs = [run for one in rounds for run in one]
    return {
        "began": f"{told.began:%Y-%m-%d %H:%M} UTC",
        "commit": told.name,
        "cores": os.cpu_count(),
        "rounds": len(rounds),
        "cases": told.cases,
        "histories": told.histories,
        "seconds": round(sum(run.seconds for run in runs)),
        "failed": sum(run.failed for run in runs),
        "counts": total(runs),
        "tests": verdicts(runs),
    }


def main() -> int:
    """Go round until the time is over; a round that began is finished."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="when no further round begins")
    parser.add_argument("--cases", type=int, default=CASES, help="of each property test in Rust")
    parser.add_argument(
        "--histories",
        type=int,
        help=f"of the log, and a tenth of them of the engine; {HISTORIES} for each case",
    )
    parser.add_argument(
        "--fuzz", type=int, default=FUZZ_S, metavar="SECONDS", help="of each fuzz target in Rust"
    )
    parser.add_argument("--kills", type=int, default=KILLS, help="of a node, at random times")
    parser.add_argument("--power-cuts", type=int, default=POWER_CUTS, help="of a node's disk")
    parser.add_argument(
        "--effects", type=int, default=EFFECTS, help="posted while the node and its targets are killed"
    )
    parser.add_argument(
        "--syscalls", default="all", metavar="COUNT", help="system calls at which faults are put in, or `all`"
    )
    parser.add_argument(
        "--faults",
        nargs="+",
        default=[],
        metavar="NAME",
        help="nothing but these files with faults in real processes, such as test_effects",
    )
    parser.add_argument("--rust", action="store_true", help="nothing but the random tests in Rust")
    parser.add_argument(
        "--random", action="store_true", help="nothing but the random tests, no faults in real processes"
    )
    options = parser.parse_args()
    if options.histories is None:
        options.histories = options.cases * HISTORIES
    known = {Path(test.partition("::")[0]).stem for test in SHOWING if test.startswith("tests/")}
    if unknown := set(options.faults) - known:
        parser.error(f"--faults {' '.join(sorted(unknown))}: expected some of {', '.join(sorted(known))}")
    began, end = dt.datetime.now(dt.UTC), time.monotonic() + options.minutes * 60
    # Where faults alone are put in, no property test and no fuzz target is run.
    random = not options.faults
    told = Told(commit(), began, options.cases * random, options.histories * random, options.fuzz * random)
    rounds: list[list[Run]] = []
    while not rounds or time.monotonic() < end:
        rounds.append(turn(len(rounds) + 1, options))
    page = RECORDS / f"torture-{began:%Y%m%dT%H%M}-{told.name.rstrip('+')}.md"
    page.write_text(record(rounds, told), encoding="utf-8")
    text = json.dumps(for_machines(rounds, told), indent=1)
    page.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    reliability.write()
    failed = sum(run.failed for one in rounds for run in one)
    print(f"{len(rounds)} rounds, {failed} failed; recorded in {page.relative_to(ROOT)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
