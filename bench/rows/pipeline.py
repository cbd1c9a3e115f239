"""B1: W1 from bytes to events in memory; the targets P1 to P5."""

from __future__ import annotations

import json
import statistics
import subprocess
from typing import Any

import gates
import race
from gates import Result
from peers import MAKERS, Absent, Field, gather

from rows.context import Context

WINDOW = 1_000_000
OWN = "mfgroute"


def run(context: Context, only: list[str] | None = None) -> list[Result]:
    """Check everybody, then measure W1, W2 and the mixed messages."""
    result = Result("B1")
    names = [name for name in MAKERS if only is None or name in only or name == OWN]
    field = gather(context.shop, names)
    wrong = race.check(context.track, field, ("w1", "shuffled", "mixed"), context.sized(race.CHECKED))
    tables = {
        variant: race.race(
            context.track,
            _field(field, variant),
            variant,
            rounds=context.rounds,
            messages=context.messages,
            repeat_noisy=context.repeat_noisy,
            wrong=wrong,
        )
        for variant in ("w1", "shuffled", "mixed")
    }
    notes = {one.name: one.note for one in field.present}
    for table in tables.values():
        result.text += [race.show(table, OWN, lambda name: notes.get(name, "")), ""]
    result.text += [f"{name:26} absent: {why}" for name, why in field.absent.items()]
    limit = _limit(context)
    result.text.append(_limit_text(limit, tables["w1"]))
    result.raw = {
        "tables": {variant: table.as_json() for variant, table in tables.items()},
        "absent": field.absent,
        "notes": notes,
        "limit": limit,
        "discard_rule": race.DISCARD,
    }
    result.gates = _gates(tables)
    return [result]


def _field(field: Field, variant: str) -> Field:
    """Everybody on W1; on the other variants those who stand for their kind."""
    if variant == "w1":
        return field
    chosen = {OWN, "yardstick", "plain Python (msgspec)", "usual Python service", "Benthos", "VRL"}
    return Field([one for one in field.present if one.name in chosen], field.absent)


def _gates(tables: dict[str, race.Table]) -> list[gates.Gate]:
    w1, w2 = tables["w1"], tables["shuffled"]
    own = w1.cpu(OWN)
    return [
        gates.at_least("P1", "W1, one thread, against the yardstick (CPU)", 0.6, w1.cpu("yardstick"), own),
        gates.at_least(
            "P2",
            "two threads against one (wall, messages/s)",
            1.7,
            w1.wall(OWN),
            w1.wall("mfgroute, 2 threads"),
        ),
        gates.at_least("P3", "against the best plain Python (CPU)", 4, w1.cpu("plain Python (msgspec)"), own),
        gates.at_least(
            "P3", "against the usual Python service (CPU)", 8, w1.cpu("usual Python service"), own
        ),
        gates.at_least("P4", "against Benthos, json_schema + Bloblang (CPU)", 10, w1.cpu("Benthos"), own),
        gates.at_least("P4", "against VRL (CPU)", 5, w1.cpu("VRL"), own),
        gates.at_least("P5", "shuffled keys against own W1 (CPU)", 0.6, own, w2.cpu(OWN)),
    ]


def _limit(context: Context) -> dict[str, Any]:
    """The composed limit, term by term, or why there is none."""
    try:
        program = context.shop.rust("limit")
    except Absent as reason:
        return {"absent": str(reason)}
    events = context.track.events("w1", context.messages)
    found: list[dict[str, float]] = []
    for _ in range(context.rounds):
        done = subprocess.run(
            [program, str(events), str(WINDOW)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            return {"absent": done.stderr.strip()}
        found.append(json.loads(done.stdout))
    return {name: statistics.median(one[name] for one in found) for name in found[0]} | {"rounds": found}


def _limit_text(limit: dict[str, Any], table: race.Table) -> str:
    if "absent" in limit:
        return f"limit: absent: {limit['absent']}"
    terms = ", ".join(
        f"{name[:-3]} {limit[name]:.0f}" for name in ("scan_ns", "moved_ns", "probe_ns", "numbers_ns")
    )
    text = f"limit {limit['limit_ns']:.0f} ns/message ({terms}; copy {limit['copy_gb_s']:.1f} GB/s)"
    for name in ("yardstick", OWN):
        if table.cpu(name):
            text += f"; {name} is at {limit['limit_ns'] / statistics.median(table.cpu(name)):.0%} of it"
    return text
