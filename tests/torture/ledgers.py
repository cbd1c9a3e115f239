"""What a client and a target wrote down over the lives of a node, and what must hold between the two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from tests.engine.conftest import CONTRACT, MAPPING, MATERIALS

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("worker.py")
#: Reports of a whole story: segments of the stream are filled, sealed and freed meanwhile.
REPORTS = 18
MAIN = """\
apiVersion: mfgroute/v1
node: {id: test, site: DE04, namespace: com.example}
streams:
  business: {durability: fsync, capacity: 1MiB, keep: 1ms, when_full: block}
sources:
  mes-a: {adapter: files, path: ./in/*.jsonl, mappings: [mes-a]}
sinks:
  erp:
    adapter: http
    url: "http://127.0.0.1:9/x"
    allow_private: true
    effect: {by: key, header: Idempotency-Key, kept: 24h}
    owner: tests
routes:
  - {name: to-erp, match: {type: production.operation.completed/1}, to: erp}
"""


def write_project(folder):
    """A project with one small durable stream."""
    for name, text in {
        "mfgroute.yaml": MAIN,
        "contracts/production.operation.completed.v1.yaml": CONTRACT,
        "mappings/mes-a.yaml": MAPPING,
        "lookups/materials.csv": MATERIALS,
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@dataclass
class Life:
    """One process.

    Attributes:
        code: how it ended.
        lines: what it said.
        errors: what it wrote to standard error.
    """

    code: int
    lines: list[dict]
    errors: str

    def said(self, name):
        """Lines of this name."""
        return [line for line in self.lines if name in line]


@dataclass
class Story:
    """The lives of one node, one after the other.

    Attributes:
        project: what it runs.
        data: its data folder.
        lives: those that are over.
    """

    project: Path
    data: Path
    lives: list[Life] = field(default_factory=list)

    @property
    def acknowledged(self):
        """Reports that the client need not send again, in order."""
        return [line["ack"] for life in self.lives for line in life.said("ack")]

    def live(self, *, last=REPORTS, final=False, prefix=(), env=None, ends_with=None):
        """One more life; the client sends what was not acknowledged. It is killed when `ends_with` ends."""
        done = set(self.acknowledged)
        numbers = ",".join(str(number) for number in range(last) if f"r{number}" not in done)
        arguments = [self.project, self.data, len(self.lives), numbers]
        command = [*prefix, sys.executable, WORKER, *arguments, *(["final"] if final else [])]
        path = os.pathsep.join([str(ROOT / "python"), str(ROOT), os.environ.get("PYTHONPATH", "")])
        process = subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, "PYTHONPATH": path, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if ends_with is not None:
            threading.Thread(target=lambda: (ends_with.wait(), process.kill()), daemon=True).start()
        try:
            out, errors = process.communicate(timeout=110)
        finally:
            process.kill()
        lines = [json.loads(line) for line in out.splitlines(keepends=True) if line.endswith("\n")]
        self.lives.append(Life(process.returncode, lines, errors))
        return self.lives[-1]

    def end(self):
        """The last life, in which everything is delivered; answers what is wrong."""
        life = self.live(final=True)
        if life.code or not life.said("stats"):
            return [f"the last life ended with {life.code}: {life.errors[-2000:]}"]
        return [*self.broken(), *self._balance(life.said("stats")[0]["stats"])]

    def broken(self):
        """What does not hold of: all has arrived, as acknowledged, in order; only what was in flight came again."""
        wrong, first, reports = [], {}, defaultdict(list)
        for life in self.lives:
            for line in life.said("effect"):
                reports[line["order"]].append(int(line["effect"][1:]))
                if first.setdefault(line["effect"], line["id"]) != line["id"]:
                    wrong.append(f"{line['effect']} has two ids")
            wrong += [
                f"{line['ack']} is {line['level']}" for line in life.said("ack") if line["level"] != "durable"
            ]
        if len(set(first.values())) != len(first):
            wrong.append("two reports have one id")
        expected = {f"r{number}" for number in range(REPORTS)}
        if missing := expected - set(first):
            wrong.append(f"lost: {sorted(missing)}, acknowledged: {self.acknowledged}")
        if invented := set(first) - expected:
            wrong.append(f"never sent: {sorted(invented)}")
        for order, numbers in reports.items():
            if [number for number, _ in groupby(numbers)] != sorted(set(numbers)):
                wrong.append(f"order {order} arrived as {numbers}")
        return wrong + self._again()

    def _again(self):
        """What came again although its settlement was on the disk: something was acknowledged after it."""
        settled, wrong = set(), []
        for life in self.lives:
            since, seen = set(), set()
            for line in life.lines:
                if "effect" in line:
                    if line["effect"] in settled | seen:
                        wrong.append(f"{line['effect']} arrived again in life {line['life']}")
                    since.add(line["effect"])
                    seen.add(line["effect"])
                elif "ack" in line:
                    settled |= since
                    since = set()
        return wrong

    @staticmethod
    def _balance(stats):
        """The node's own account at the end."""
        sink, source = stats["sinks"]["erp"], stats["sources"]["mes-a"]
        found = {name: sink[name] for name in ("queued", "in_flight", "parked", "in_doubt", "dropped")}
        found |= {"unaccounted": stats["unaccounted"], "failed": int(stats["failed"] is not None)}
        wrong = [f"{name} is {count} at the end" for name, count in found.items() if count]
        # The reject came with r4; it is kept once for each time that the client had to send it.
        if source["rejects_kept"] < 1:
            wrong.append("the reject is gone")
        return wrong
