"""Measure, print tables and gates, keep the numbers: ``make bench``; see README.md."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import gates
import host
import workload
from peers import MAKERS, Workshop
from race import Track
from rows import (
    adapter,
    durable,
    hand_over,
    idle,
    link,
    opcua,
    open_loop,
    overload,
    overload_disk,
    pipeline,
    polling,
    restart,
    scaling,
    validation,
)
from rows.context import Context

from mfgroute.errors import MfgrouteError

HERE = Path(__file__).parent
RESULTS = HERE / "results"
METHOD = (
    "contenders of B1 are processes of their own, in turns (A B C ... C B A); everything else is measured "
    "in turns in one process; medians, with the least and the greatest; 95 % intervals of ratios by the "
    "bootstrap over rounds; processor time of all threads of a process where nothing else is said"
)


def main() -> int:
    """Run the rows that were asked for."""
    options = _options()
    context = Context(
        rounds=options.rounds,
        messages=options.messages // workload.SLAB * workload.SLAB,
        full=options.full,
        quick=options.quick,
        repeat_noisy=not options.noisy,
        shop=Workshop(options.peers),
        track=Track(options.work),
    )
    rows: dict[str, Callable[[], list[gates.Result]]] = {
        "B1": lambda: pipeline.run(context, options.only),
        "B2": lambda: validation.run(context),
        "B3": lambda: link.run(context),
        "B4": lambda: durable.run(context),
        "B5": lambda: scaling.run(context),
        "B6": lambda: open_loop.run(context),
        "B7": lambda: overload.run(context),
        "B7-disk": lambda: overload_disk.run(context),
        "B8": lambda: hand_over.run(context),
        "B9": lambda: adapter.run(context),
        "B10": lambda: opcua.run(context),
        "P10": lambda: polling.run(context),
        "P13": lambda: restart.run(context),
        "P14": lambda: idle.run(context),
    }
    chosen = options.rows or list(rows)
    if unknown := set(chosen) - set(rows):
        print(f"unknown row {', '.join(sorted(unknown))}; known: {', '.join(rows)}", file=sys.stderr)
        return 2
    before = host.quiet()
    results: list[gates.Result] = []
    failed: dict[str, str] = {}
    for name in chosen:
        print(f"\n=== {name}", flush=True)
        started = time.monotonic()
        try:
            found = rows[name]()
        except (RuntimeError, ValueError, OSError, AssertionError, MfgrouteError) as error:
            failed[name] = f"{type(error).__name__}: {error}"
            print(f"{name} failed: {failed[name]}", file=sys.stderr)
            continue
        for result in found:
            print("\n".join(result.text))
        results += found
        print(f"({time.monotonic() - started:.0f} s)")
    after = host.quiet()
    print("\n=== targets")
    print(gates.show(gate for result in results for gate in result.gates))
    if min(before["idle"], after["idle"]) < host.IDLE_MIN:
        print(
            f"The machine was not quiet: idle {before['idle']:.0%} before and {after['idle']:.0%} after. "
            "Read nothing into these numbers but that the programs ran."
        )
    for name, why in failed.items():
        print(f"{name}: no result: {why}")
    _keep(options, before, after, results, failed)
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="repetitions; fewer than 5 say little")
    parser.add_argument("--messages", type=int, default=99_840, help="of one run of W1")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="some rows, such as B1 P14")
    parser.add_argument(
        "--only", nargs="+", metavar="PEER", choices=list(MAKERS), help="some contenders of B1"
    )
    parser.add_argument(
        "--full", action="store_true", help="the durations and numbers of the targets: an hour"
    )
    parser.add_argument("--quick", action="store_true", help="see that everything runs; no numbers to keep")
    parser.add_argument("--noisy", action="store_true", help="keep rounds in which the machine was not quiet")
    parser.add_argument("--peers", type=Path, default=HERE / ".peers", help="where peers are installed")
    parser.add_argument("--work", type=Path, default=HERE / ".work", help="for files of messages")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the numbers are kept")
    parser.add_argument("--note", default="", help="kept with the numbers: what else the machine did")
    options = parser.parse_args()
    if options.quick:
        options.messages = min(options.messages, 5 * workload.SLAB)
    if options.rounds < 1 or options.messages < workload.SLAB:
        parser.error(f"at least one round and {workload.SLAB} messages are needed")
    return options


def _keep(
    options: argparse.Namespace,
    before: dict[str, object],
    after: dict[str, object],
    results: list[gates.Result],
    failed: dict[str, str],
) -> None:
    result = {
        "commit": host.commit(),
        "at": f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}",
        "host": host.facts(),
        "before": before,
        "after": after,
        "note": options.note,
        "method": METHOD,
        "options": {
            "rounds": options.rounds,
            "messages": options.messages,
            "full": options.full,
            "quick": options.quick,
        },
        "rows": {one.row: one.raw for one in results},
        "gates": [vars(gate) | {"verdict": gate.verdict} for one in results for gate in one.gates],
        "failed": failed,
    }
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / f"{result['commit']}.json"
    path.write_text(json.dumps(result, indent=1, default=str) + "\n")
    print(f"kept in {os.path.relpath(path)}")


if __name__ == "__main__":
    sys.exit(main())
