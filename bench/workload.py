"""Workload W1: a MES reports a finished operation, 436 bytes on average.

The messages are made, not kept: the same seed gives the same messages, and the first of them are compared
with ``w1/expected.jsonl`` before anything is measured.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent / "w1"
SOURCE, SINK = "mes", "out"
SLAB = 512
_SEED = 20250314
_ULID = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def messages(count: int) -> Iterator[bytes]:
    """The first messages, each one line of JSON. The order of the random calls is the workload."""
    rnd = random.Random(_SEED)
    for _ in range(count):
        yield json.dumps(_message(rnd), separators=(",", ":")).encode()


def slabs(count: int) -> list[bytes]:
    """The same messages, 512 lines at a time."""
    lines = [line + b"\n" for line in messages(count)]
    return [b"".join(lines[start : start + SLAB]) for start in range(0, count, SLAB)]


def expected() -> list[dict[str, Any]]:
    """The `data` that the first messages become."""
    return [json.loads(line) for line in (PROJECT / "expected.jsonl").read_text().splitlines()]


def _message(rnd: random.Random) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "01J8ZQ" + "".join(rnd.choice(_ULID) for _ in range(20)),
        "source": f"/plant/DE{rnd.randint(1, 9):02d}/line/L{rnd.randint(1, 40):02d}/mes",
        "type": "mes.operation.completed.v2",
        "time": f"2025-03-14T{rnd.randint(0, 23):02d}:{rnd.randint(0, 59):02d}:{rnd.randint(0, 59):02d}"
        f".{rnd.randint(0, 999):03d}Z",
        "data": _operation(rnd),
    }


def _operation(rnd: random.Random) -> dict[str, Any]:
    return {
        "order": f"{10000000 + rnd.randint(0, 99999):012d}",
        "operation": f"{rnd.randint(1, 99) * 10:04d}",
        "workcenter": f"WC-{rnd.randint(1000, 9999)}",
        "material": f"RM-{rnd.randint(10000, 99999)}-{rnd.choice('ABCDEF')}",
        "lot": f"L2403{rnd.randint(10, 28)}-{rnd.randint(1, 99):02d}",
        "qty": {
            "good": rnd.randint(1, 500),
            "scrap": rnd.randint(0, 9),
            "uom": rnd.choice(["EA", "KG", "LB", "M"]),
        },
        "duration_s": round(rnd.uniform(1, 3600), 2),
        "operator": f"u{rnd.randint(10000, 99999)}",
        "params": [
            {"n": "temp", "v": round(rnd.uniform(60, 400), 1), "u": "degF"},
            {"n": "press", "v": round(rnd.uniform(10, 150), 1), "u": "psi"},
        ],
    }
