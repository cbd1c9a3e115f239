"""B5: time per message with 1 to 10,000 routes and with 10 to 1,000 contracts and mappings; the target P8.

The work is the same at every size: each message is valid, is mapped once and goes to one sink. What grows is
how many routes do not take it, or how many contracts and mappings it could have been.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import closing

import gates
import projects
import workload
from gates import Result

from mfgroute._core import Engine, Plan
from rows.context import Context, in_turns, seeded

ROUTES = (1, 10, 100, 1_000, 10_000)
#: Of the projects whose routes by type grow; every message becomes an event of the first.
CONTRACTS = 50
TYPES = (1, 10, 100, 1_000)
MESSAGES = 20_480
#: A case that takes longer sees fewer messages; its time is per message all the same.
BUDGET_NS = 2_000_000_000


def run(context: Context) -> list[Result]:
    """Measure both."""
    result = Result("B5")
    messages = context.sized(MESSAGES)
    lines = workload.lines("w1", messages)
    started: dict[str, float] = {}
    cases: dict[str, Callable[[], float]] = {}
    for kind, routes_of, contracts in (("conditions", _conditions, 1), ("types", _types, CONTRACTS)):
        for count in ROUTES:
            name = f"{count} routes, {kind}"
            folder = projects.write(
                context.work / f"routes-{kind}-{count}", routes=routes_of(count), types=contracts
            )
            cases[name] = _case(*_loaded(folder, name, started), lines)
    for count in TYPES:
        name = f"{count} contracts and mappings"
        folder = projects.write(context.work / f"types-{count}", types=count)
        chosen = projects.of_types(lines, count, seeded(count))
        cases[name] = _case(*_loaded(folder, name, started), chosen)
    numbers = in_turns(context.rounds, cases)
    result.raw = {"cpu_ns_per_message": numbers, "compile_s": started, "messages": messages}
    result.text.append(f"{'scaling':32} {'CPU ns/msg':>11} {'min':>8} {'max':>8} {'compile s':>10}")
    result.text += [
        f"{name:32} {statistics.median(found):11.0f} {min(found):8.0f} {max(found):8.0f} "
        f"{started[name]:10.2f}"
        for name, found in numbers.items()
    ]
    result.gates = [
        gates.at_most(
            "P8",
            f"10,000 routes against 10, by {kind}",
            1.5,
            numbers[f"10000 routes, {kind}"],
            numbers[f"10 routes, {kind}"],
        )
        for kind in ("conditions", "types")
    ] + [
        gates.at_most(
            "P8",
            "1,000 contracts and mappings against 10",
            1.2,
            numbers["1000 contracts and mappings"],
            numbers["10 contracts and mappings"],
        )
    ]
    return [result]


def _conditions(count: int) -> list[str]:
    """One route that takes everything, and others whose condition names a work center that no message has."""
    others = (
        f'{{name: r{number}, match: {{type: ">"}}, where: \'data.work_center == "X{number}"\', '
        f"to: {workload.SINK}}}"
        for number in range(1, count)
    )
    return [_all(), *others]


def _types(count: int) -> list[str]:
    """One route that takes everything, and others for types of contracts that no message becomes."""
    types = [f"{projects.TYPE}{projects.suffix(number)}/1" for number in range(1, CONTRACTS)]
    others = (
        f'{{name: r{number}, match: {{type: "{types[number % len(types)]}"}}, to: {workload.SINK}}}'
        for number in range(1, count)
    )
    return [_all(), *others]


def _all() -> str:
    return f'{{name: all, match: {{type: ">"}}, to: {workload.SINK}}}'


def _loaded(folder: object, name: str, started: dict[str, float]) -> tuple[Plan, str]:
    began = time.perf_counter()
    plan = projects.load(folder)  # type: ignore[arg-type]
    started[name] = time.perf_counter() - began
    return plan, name


def _case(plan: Plan, name: str, lines: list[bytes]) -> Callable[[], float]:
    """Submit slab after slab until all are in or the time is up; processor time per message."""
    slabs = projects.slabs(lines)

    def measure() -> float:
        offered = accepted = spent = 0
        with closing(Engine(plan)) as engine:
            for slab in slabs:
                began = time.process_time_ns()
                accepted += engine.submit_lines(workload.SOURCE, slab).accepted
                spent += time.process_time_ns() - began
                offered += slab.count(b"\n")
                if spent > BUDGET_NS:
                    break
            matched = engine.stats()["sinks"][workload.SINK]["matched"]
        if (accepted, matched) != (offered, offered):
            raise RuntimeError(f"{name}: {accepted} accepted, {matched} matched, expected {offered}")
        return spent / offered

    return measure
