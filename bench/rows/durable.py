"""B4, P6, P7 and B8: durable streams beside what the same disk does for anybody.

All of it runs in ``micro/src/bin/durable``, raw and engine with the same senders, in turns. Raw is an append
to a recycled file with one ``fdatasync`` for what has come in since the last: the bytes of the records of the
engine, no checksum, no validation, nobody who reads. The engine validates, maps and refuses duplicates, and
(but for P6) a reader polls and settles everything meanwhile, which is durable as well; segments are small
enough to roll.
"""

from __future__ import annotations

import statistics
from typing import Any

import gates
import workload
from gates import Result
from peers import Absent

from rows import disk
from rows.context import Context

RATES = (1_000, 10_000, 50_000, 200_000)
_ASKED = 50_000
_SENDERS = 4
_BATCH = 100
_SUBMITTERS = (1, 4, 16)
#: Segments are a sixteenth: at 50,000 events a second one rolls about every second.
_CAPACITY = "512MiB"
#: Without a reader nothing is freed.
_CAPACITY_ALONE = "16GiB"
_EVENTS = 20_480
_MAX = "as many as it takes"
_CLOSED = ("KiB/group", "groups/s", "ack p50 µs", f"{'p99':>8}", "CPU µs/event")
_OPEN = (
    *(f"{one:>8}" for one in ("p50", "p99", "p99.9", "max", "late p99", "groups/s")),
    "KiB/group",
    "CPU µs/event",
)


def run(context: Context) -> list[Result]:
    """Measure B4 with P6 and P7."""
    try:
        program = disk.Program(context)
    except Absent as reason:
        targets = {"P6": "≥ 0.5 ×", "P7": "≤ 3 × raw or 2 ms", "B4": "≥ 1.2 M/s"}
        missing = [gates.missing(name, "durable", target, str(reason)) for name, target in targets.items()]
        return [Result("B4", gates=missing)]
    return [_closed(program), *_open(program)]


def _node(program: disk.Program, capacity: str, *rest: str) -> list[object]:
    events = program.context.track.events("w1", program.context.sized(_EVENTS))
    return [workload.PROJECT, events, capacity, *rest]


def _seconds(context: Context) -> float:
    return 0.3 if context.quick else 20.0 if context.full else 2.0


def _closed(program: disk.Program) -> Result:
    """P6."""
    context, seconds = program.context, _seconds(program.context)
    found: dict[str, list[dict[str, Any]]] = {}
    node = _node(program, _CAPACITY_ALONE, "alone")
    first = program.run("engine", "FOLDER", 1, _BATCH, 0.2, *node)
    # The head of a frame has 40 bytes, and each batch is one.
    record = first["record_bytes"] + 40 / _BATCH

    def turn(number: int) -> None:
        for senders in _SUBMITTERS:
            cases: dict[str, list[object]] = {
                "raw": ["raw", "FOLDER", senders, _BATCH, seconds, record],
                "engine": ["engine", "FOLDER", senders, _BATCH, seconds, *node],
            }
            for name in cases if number % 2 == 0 else reversed(cases):
                found.setdefault(f"{name}, {senders}", []).append(program.run(*cases[name]))

    moments = disk.rounds(context, turn)
    curve = program.curve()
    result = Result("P6", raw={"runs": found, "rounds": moments, "disk": curve, "record_bytes": record})
    result.text = [
        f"batches of {_BATCH}, each acknowledged when durable, {record:.0f} bytes an event",
        _row("senders", *(f"{one:>11}" for one in ("events/s", "min", "max")), *_CLOSED),
        *(_closed_line(name, runs) for name, runs in found.items()),
        *disk.show(curve),
        disk.quietness(moments),
    ]
    for senders in _SUBMITTERS:
        engine, raw = (
            [one["events_per_s"] for one in found[f"{who}, {senders}"]] for who in ("engine", "raw")
        )
        what = f"durable, batches of {_BATCH}, {senders} submitter{'s' * (senders > 1)}, against raw append"
        result.gates.append(gates.at_least("P6", what, 0.5, engine, raw))
    return result


def _middle(runs: list[dict[str, Any]], *path: str) -> float:
    values = []
    for one in runs:
        value: Any = one
        for name in path:
            value = value[name]
        values.append(float(value or 0.0))
    return statistics.median(values)


def _closed_line(name: str, runs: list[dict[str, Any]]) -> str:
    rate = [one["events_per_s"] for one in runs]
    groups = statistics.median(one["groups"] / one["seconds"] for one in runs)
    return _row(
        name,
        *(f"{one:11,.0f}" for one in (statistics.median(rate), min(rate), max(rate))),
        f"{_middle(runs, 'bytes_per_group') / 1024:9.1f}",
        f"{groups:8,.0f}",
        f"{_middle(runs, 'ack_us', 'p50'):10,.0f}",
        f"{_middle(runs, 'ack_us', 'p99'):8,.0f}",
        f"{_middle(runs, 'cpu_us_per_event'):12.2f}",
    )


def _row(name: str, *cells: str) -> str:
    return f"{name:>20} {' '.join(cells)}"


def _open(program: disk.Program) -> list[Result]:
    """P7 and the table of B4."""
    context, seconds = program.context, _seconds(program.context)
    found: dict[str, list[dict[str, Any]]] = {}
    node = _node(program, _CAPACITY, "reader")
    first = program.run("engine", "FOLDER", _SENDERS, "@10000", 0.5, *node)
    record = first["record_bytes"]
    rates = RATES[:3] if context.quick else RATES

    def turn(number: int) -> None:
        for drive in [*(f"@{rate}" for rate in rates), str(workload.SLAB)]:
            cases: dict[str, list[object]] = {
                "raw": ["raw", "FOLDER", _SENDERS, drive, seconds, record],
                "engine": ["engine", "FOLDER", _SENDERS, drive, seconds, *node],
            }
            for name in cases if number % 2 == 0 else reversed(cases):
                found.setdefault(f"{name} {drive}", []).append(program.run(*cases[name]))

    moments = disk.rounds(context, turn)
    curve = program.curve()
    most = statistics.median(one["events_per_s"] for one in found[f"engine {workload.SLAB}"])
    half = [
        program.run("engine", "FOLDER", _SENDERS, f"@{most / 2:.0f}", seconds, *node)
        for _ in range(min(3, context.rounds))
    ]
    found[f"engine @{most / 2:.0f}"] = half
    table = Result("B4", raw={"runs": found, "rounds": moments, "disk": curve, "record_bytes": record})
    table.text = [
        f"{_SENDERS} senders, a reader that settles everything, segments that roll; acknowledged after µs",
        f"{'offered/s':>26} {'taken/s':>10} {' '.join(_OPEN)}",
        *(_open_line(name, runs) for name, runs in found.items()),
        *disk.show(curve),
        disk.quietness(moments),
    ]
    lost = sum(
        one["unaccounted"] + abs(one["accepted"] - one["read"])
        for name, runs in found.items()
        for one in runs
        if name.startswith("engine")
    )
    p99 = _middle(half, "ack_us", "p99")
    table.gates = [
        gates.value(
            "B4",
            "the whole pipeline, durable, with a reader, closed loop",
            "≥ 1.2 M/s",
            f"{most / 1e6:.2f} M/s",
            met=most >= 1_200_000,
        ),
        gates.value(
            "B4", f"at half of that ({most / 2:,.0f}/s), p99", "≤ 5 ms", f"{p99 / 1e3:.2f} ms", met=p99 <= 5e3
        ),
        gates.value("B4", "every event read once, none unaccounted", "0", f"{lost}", met=lost == 0),
    ]
    return [_asked(found, moments, curve), table]


def _asked(
    found: dict[str, list[dict[str, Any]]], moments: list[dict[str, Any]], curve: dict[str, Any]
) -> Result:
    """P7 out of the table."""
    engine = sorted(one["ack_us"]["p99"] for one in found[f"engine @{_ASKED}"])
    raw = statistics.median(one["ack_us"]["p99"] for one in found[f"raw @{_ASKED}"])
    middle, bound = statistics.median(engine), max(3 * raw, 2_000.0)
    result = Result("P7", raw={"engine_p99_us": engine, "raw_p99_us": raw, "rounds": moments, "disk": curve})
    result.gates = [
        gates.value(
            "P7",
            f"acknowledgement at {_ASKED:,}/s offered, open loop, p99",
            f"≤ {bound / 1e3:.1f} ms",
            f"{middle / 1e3:.2f} ms ({engine[0] / 1e3:.2f} to {engine[-1] / 1e3:.2f}), raw {raw / 1e3:.2f}",
            met=middle <= bound,
        )
    ]
    return result


def _open_line(name: str, runs: list[dict[str, Any]]) -> str:
    who, _, drive = name.partition(" ")
    offered = f"{float(drive[1:]):,.0f}" if drive.startswith("@") else _MAX
    groups = statistics.median(one["groups"] / one["seconds"] for one in runs)
    shares = " ".join(f"{_middle(runs, 'ack_us', share):8,.0f}" for share in ("p50", "p99", "p99_9", "max"))
    late = f"{_middle(runs, 'late_us', 'p99'):8,.0f}" if drive.startswith("@") else f"{'-':>8}"
    return (
        f"{who:>6} {offered:>19} {_middle(runs, 'events_per_s'):10,.0f} {shares} {late} {groups:8,.0f} "
        f"{_middle(runs, 'bytes_per_group') / 1024:9.1f} {_middle(runs, 'cpu_us_per_event'):12.2f}"
    )
