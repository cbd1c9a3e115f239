"""Workload W1: a MES reports a finished operation, 436 bytes on average; and its variants.

The messages are made, not kept: the same seed gives the same messages, and the first of them are compared
with ``w1/expected.jsonl`` before anything is measured.

* ``w1``: every message valid and new, keys always in the same order.
* ``shuffled`` (W2): the same messages, keys of every object in any order, every tenth with spaces.
* ``mixed``: 95 % valid, some of them with escapes, with text beyond ASCII or with spaces; 3 % invalid in
  eight ways; 2 % sent twice.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
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
    made = lines("w1", count)
    return [b"".join(made[start : start + SLAB]) for start in range(0, count, SLAB)]


def shuffled(count: int) -> Iterator[bytes]:
    """W2: the messages of W1 with their keys in any order, every tenth with spaces."""
    rnd = random.Random(_SEED + 1)
    for number, line in enumerate(messages(count)):
        spaces = (", ", ": ") if number % 10 == 0 else (",", ":")
        yield json.dumps(_any_order(json.loads(line), rnd), separators=spaces).encode()


def mixed(count: int) -> Iterator[tuple[bytes, str]]:
    """Messages with what they are: ``valid``, ``duplicate``, or how they are invalid."""
    rnd = random.Random(_SEED + 2)
    valid: list[bytes] = []
    for number, line in enumerate(messages(count)):
        chance = rnd.random()
        if chance < 0.03:
            kind = rnd.choice(sorted(INVALID))
            yield INVALID[kind](json.loads(line)), kind
        elif chance < 0.05 and valid:
            yield rnd.choice(valid), "duplicate"
        else:
            valid.append(_dressed(json.loads(line), number))
            yield valid[-1], "valid"


def lines(variant: str, count: int) -> list[bytes]:
    """The messages of a variant, each with its newline."""
    if variant == "mixed":
        return [line + b"\n" for line, _ in mixed(count)]
    return [line + b"\n" for line in {"w1": messages, "shuffled": shuffled}[variant](count)]


def expected() -> list[dict[str, Any]]:
    """The `data` that the first messages become."""
    return [json.loads(line) for line in (PROJECT / "expected.jsonl").read_text().splitlines()]


def _with(path: str, value: Any) -> Callable[[dict[str, Any]], bytes]:
    """An invalid message: `value` at a dotted path."""

    def change(message: dict[str, Any]) -> bytes:
        *parents, last = path.split(".")
        target = message
        for name in parents:
            target = target[name]
        target[last] = value
        return _compact(message)

    return change


def _without_quantity(message: dict[str, Any]) -> bytes:
    del message["data"]["qty"]
    return _compact(message)


def _compact(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


#: Eight ways to be invalid; every one of them is refused by schema or decoder.
INVALID: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "cut": lambda message: _compact(message)[:-20],
    "enum": _with("data.qty.uom", "XX"),
    "items": _with("data.params", [{"n": "temp", "v": 1.5, "u": "degF"}] * 33),
    "length": _with("data.lot", "L" * 21),
    "missing": _without_quantity,
    "range": _with("data.qty.scrap", -1),
    "type": _with("data.qty.good", "12"),
    "unknown": _with("data.surprise", 1),
}


def _dressed(message: dict[str, Any], number: int) -> bytes:
    """Valid still: every seventh with text beyond ASCII, every eleventh escaped, every tenth with spaces."""
    if number % 7 == 0:
        message["data"]["material"] = f"Gehäuse-{number}-ß"
    if number % 11 == 0:
        message["data"]["lot"] = f'é"{number}\\/\t'
    spaces = (", ", ": ") if number % 10 == 0 else (",", ":")
    return json.dumps(message, separators=spaces, ensure_ascii=number % 2 == 0).encode()


def _any_order(value: Any, rnd: random.Random) -> Any:
    if isinstance(value, dict):
        names = list(value)
        rnd.shuffle(names)
        return {name: _any_order(value[name], rnd) for name in names}
    if isinstance(value, list):
        return [_any_order(one, rnd) for one in value]
    return value


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
