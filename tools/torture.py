"""Run the random tests again and again with new seeds, and record it: ``make torture``."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "docs" / "reliability"
CASES = "20000"  # proptest's default is 256; a test that names its own number keeps it, and gets new seeds.


def property_tests() -> list[str]:
    """The Python files with property tests."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [str(path.relative_to(ROOT)) for path in files if "from hypothesis import" in path.read_text()]


def commit() -> str:
    """The short name of the commit, with a plus when files differ from it."""
    name = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return name.stdout.strip() or "no-commit"


def run(command: list[str], **env: str) -> tuple[bool, float]:
    """Run a command; whether it passed and how long it took."""
    print(f"=== {' '.join(command)}", flush=True)
    started = time.monotonic()
    status = subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, check=False).returncode
    return status == 0, time.monotonic() - started


def main() -> int:
    """Go round until the time is over; a round that began is finished."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    end = time.monotonic() + parser.parse_args().minutes * 60
    rust = ["cargo", "test", "--locked", "--workspace", "--quiet"]
    rows: list[str] = []
    failures = 0
    rounds = 0
    while rounds == 0 or time.monotonic() < end:
        rounds += 1
        seed = str(time.time_ns() % 2**32)
        python = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--hypothesis-seed={seed}"]
        every = python + property_tests() if rounds % 2 else python
        for name, command, env in (
            ("cargo test", rust, {"PROPTEST_CASES": CASES}),
            ("pytest, property tests" if rounds % 2 else "pytest, all", every, {}),
        ):
            passed, seconds = run(command, **env)
            failures += not passed
            rows.append(
                f"| {rounds} | {name} | {seed} | {seconds:.0f} | {'passed' if passed else 'FAILED'} |"
            )
    now = dt.datetime.now(dt.UTC)
    record = RECORDS / f"torture-{now:%Y%m%dT%H%M}-{commit().rstrip('+')}.md"
    record.write_text(
        f"# Long run of the random tests\n\nCommit {commit()}, {now:%Y-%m-%d %H:%M} UTC, "
        f"{os.cpu_count()} cores, {rounds} rounds, PROPTEST_CASES={CASES}, {failures} failed.\n\n"
        "| round | suite | seed of hypothesis | seconds | outcome |\n|---|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )
    print(f"{rounds} rounds, {failures} failed; recorded in {record.relative_to(ROOT)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
