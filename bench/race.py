"""Runs contenders in turns: every run a process of its own, A B C … C B A."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import host
import same
import workload
from peers import HERE, Contender, Field

CHECKED = 10_240
STEAL_MAX = 0.01
_RUN_S_MAX = 1800
DISCARD = (
    "a round that starts while the machine is less than 96 % idle, or during which more than 1 % of its "
    "time is stolen, is discarded and repeated; there are at most as many repetitions as rounds, and what "
    "comes later is kept and marked noisy"
)


class Failed(RuntimeError):  # noqa: N818 - what happened to a contender
    """A contender did not run to its end."""


@dataclass
class Lap:
    """One run of one contender."""

    messages: int
    wall_ns: float
    cpu_ns: float


@dataclass
class Table:
    """What a race found.

    Attributes:
        laps: of each contender, in the order of the rounds.
        disqualified: who did other work, and in what it differs.
        moments: the machine before each round and the time stolen during it, with `noisy` and `discarded`.
    """

    variant: str
    laps: dict[str, list[Lap]] = field(default_factory=dict)
    disqualified: dict[str, str] = field(default_factory=dict)
    moments: list[dict[str, Any]] = field(default_factory=list)

    def cpu(self, name: str) -> list[float]:
        """Processor nanoseconds per message, all threads of the contender together."""
        return [lap.cpu_ns / lap.messages for lap in self.laps.get(name, [])]

    def wall(self, name: str) -> list[float]:
        """Nanoseconds of wall time per message."""
        return [lap.wall_ns / lap.messages for lap in self.laps.get(name, [])]

    def as_json(self) -> dict[str, Any]:
        """For the results."""
        return {
            "variant": self.variant,
            "cpu_ns_per_message": {name: self.cpu(name) for name in self.laps},
            "wall_ns_per_message": {name: self.wall(name) for name in self.laps},
            "messages": {name: laps[0].messages for name, laps in self.laps.items() if laps},
            "disqualified": self.disqualified,
            "rounds": self.moments,
        }


def once(contender: Contender, events: Path, out: str) -> dict[str, Any]:
    """Run a contender to its end; what it printed."""
    command = [*contender.command, str(events), out, *contender.after]
    path = os.pathsep.join(part for part in (str(HERE), os.environ.get("PYTHONPATH")) if part)
    try:
        done = subprocess.run(
            command,
            cwd=HERE,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=_RUN_S_MAX,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"{contender.name}: {error}") from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise Failed(f"{contender.name}: {said[-1]}")
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return printed


class Track:
    """Files of messages, made once in a folder for work."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def events(self, variant: str, count: int) -> Path:
        """The file of the first `count` messages of a variant."""
        path = self.folder / f"{variant}-{count}.ndjson"
        if not path.exists():
            unfinished = path.with_suffix(".unfinished")
            unfinished.write_bytes(b"".join(workload.lines(variant, count)))
            unfinished.rename(path)
        return path

    def output(self, contender: Contender, variant: str, count: int) -> same.Output:
        """What a contender makes of the first messages of a variant."""
        with tempfile.NamedTemporaryFile(dir=self.folder) as file:
            counts = once(contender, self.events(variant, count), file.name)
            try:
                return same.read(counts, file.read().split(b"\n")[:-1])
            except (ValueError, KeyError, TypeError) as error:
                raise Failed(
                    f"{contender.name}: its output is not one event on each line: {error}"
                ) from error


@cache
def known(variant: str, count: int) -> dict[str, int]:
    """What must become of the first messages of a variant."""
    if variant != "mixed":
        return {"messages": count, "accepted": count, "rejected": 0, "duplicates": 0}
    kinds = [kind for _, kind in workload.mixed(count)]
    accepted, duplicates = kinds.count("valid"), kinds.count("duplicate")
    return {
        "messages": count,
        "accepted": accepted,
        "rejected": count - accepted - duplicates,
        "duplicates": duplicates,
    }


def check(track: Track, entered: Field, variants: Sequence[str], count: int = CHECKED) -> dict[str, str]:
    """Compare what all contenders make of the same messages; who differs, and in what.

    The first of them, the engine, is what the others are compared with; it must itself have counted right,
    and tests hold its outputs to ``w1/expected.jsonl``.

    Raises:
        Failed: the engine is not right: then there is nothing to compare with.
    """
    wrong: dict[str, str] = {}
    for variant in variants:
        first, *others = [one for one in entered.present if one.checked and variant in one.variants]
        references: dict[int, same.Output] = {}
        for contender in [first, *others]:
            used = min(count, contender.messages_max)
            if used not in references:
                references[used] = _reference(track, first, variant, used)
            try:
                found = same.differences(references[used], track.output(contender, variant, used))
            except Failed as failure:
                found = [str(failure)]
            if found:
                wrong[contender.name] = f"{variant}: {'; '.join(found)}"
        if first.name in wrong:
            raise Failed(wrong[first.name])
        checksum = same.checksum(references[min(count, first.messages_max)].events)
        print(f"same work, {variant}: checksum {checksum} of {count} messages", flush=True)
    for name, why in wrong.items():
        print(f"disqualified: {name}: {why}", flush=True)
    return wrong


def _reference(track: Track, first: Contender, variant: str, count: int) -> same.Output:
    output, expected = track.output(first, variant, count), known(variant, count)
    if output.counts != expected:
        raise Failed(f"{first.name}, {variant}: counted {output.counts}, expected {expected}")
    return output


def race(
    track: Track,
    entered: Field,
    variant: str,
    *,
    rounds: int,
    messages: int,
    repeat_noisy: bool,
    wrong: dict[str, str],
) -> Table:
    """Measure all contenders of a variant."""
    table = Table(variant)
    table.disqualified |= wrong
    runners = [one for one in entered.present if variant in one.variants and one.name not in wrong]
    spare = rounds if repeat_noisy else 0
    done = 0
    while done < rounds:
        before, begin = host.quiet(0.5), host.Moment.now()
        order = runners if done % 2 == 0 else runners[::-1]
        laps = {
            one.name: _lap(track, one, variant, messages, table)
            for one in order
            if one.name not in table.disqualified
        }
        steal = host.Moment.now().share("steal", begin)
        noisy = before["idle"] < host.IDLE_MIN or steal > STEAL_MAX
        discarded = noisy and spare > 0
        table.moments.append(
            {**before, "stolen_during": round(steal, 4), "noisy": noisy, "discarded": discarded}
        )
        if discarded:
            spare -= 1
            continue
        done += 1
        for name, lap in laps.items():
            if lap is not None:
                table.laps.setdefault(name, []).append(lap)
        print(f"{variant}: round {done} of {rounds}{' (noisy)' if noisy else ''}", flush=True)
    table.moments.append({**host.quiet(0.5), "after": True})
    return table


def _lap(track: Track, contender: Contender, variant: str, messages: int, table: Table) -> Lap | None:
    count = min(messages, contender.messages_max)
    # Two threads of the yardstick run the file once each.
    factor = 2 if contender.name == "yardstick, 2 threads" else 1
    expected = {name: number * factor for name, number in known(variant, count).items()}
    try:
        found = once(contender, track.events(variant, count), "-")
    except Failed as failure:
        table.disqualified[contender.name] = str(failure)
        return None
    differing = {name: found[name] for name in expected if found[name] != expected[name]}
    if differing:
        table.disqualified[contender.name] = f"counted {differing}, expected {expected}"
        return None
    return Lap(found["messages"], found["wall_ns"], found["cpu_ns"])


def show(table: Table, base: str, notes: Callable[[str], str]) -> str:
    """The table of a race for people."""
    titles = ("CPU ns/msg", "min", "max", "msg/s/core", "wall ns", f"x {base}")
    widths = (11, 8, 8, 11, 8, 12)
    head = " ".join(f"{title:>{width}}" for title, width in zip(titles, widths, strict=True))
    lines = [f"{table.variant:26} {head}"]
    reference = statistics.median(table.cpu(base)) if table.cpu(base) else 0.0
    for name in table.laps:
        cpu = table.cpu(name)
        middle, wall = statistics.median(cpu), statistics.median(table.wall(name))
        times = f"{middle / reference:12.2f}" if reference else f"{'-':>12}"
        lines.append(
            f"{name:26} {middle:11.0f} {min(cpu):8.0f} {max(cpu):8.0f} {1e9 / middle:11.0f} {wall:8.0f} "
            f"{times}  {notes(name)}"
        )
    lines += [f"{name:26} disqualified: {why}" for name, why in table.disqualified.items()]
    return "\n".join(lines)
