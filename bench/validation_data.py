"""Messages for B2: three classes of schema, three sizes; one message of twenty is invalid.

* ``flat``: one object of twelve members.
* ``nested``: objects in objects, and a list of objects.
* ``deep``: a tree by ``$ref``, each node one of two forms (``oneOf``).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

CLASSES = ("flat", "nested", "deep")
SIZES = (150, 436, 4096)
_SEED = 2
_INVALID_EACH = 20

_TEXT: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 600}
_NUMBER: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 1_000_000}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(properties),
        "additionalProperties": False,
        "properties": properties,
    }


SCHEMAS: dict[str, dict[str, Any]] = {
    "flat": _object(
        {"id": _TEXT}
        | {f"t{number}": _TEXT for number in range(6)}
        | {f"n{number}": _NUMBER for number in range(4)}
        | {"unit": {"enum": ["EA", "KG", "LB", "M"]}}
    ),
    "nested": _object(
        {
            "id": _TEXT,
            "at": _object({"plant": _TEXT, "line": _TEXT}),
            "qty": _object({"good": _NUMBER, "unit": {"enum": ["EA", "KG", "LB", "M"]}}),
            "items": {
                "type": "array",
                "maxItems": 500,
                "items": _object({"n": _TEXT, "v": _NUMBER}),
            },
        }
    ),
    "deep": {
        **_object({"id": _TEXT, "root": {"$ref": "#/$defs/node"}}),
        "$defs": {
            "node": {"oneOf": [{"$ref": "#/$defs/leaf"}, {"$ref": "#/$defs/branch"}]},
            "leaf": _object({"kind": {"const": "leaf"}, "v": _NUMBER}),
            "branch": _object(
                {
                    "kind": {"const": "branch"},
                    "of": {"type": "array", "maxItems": 200, "items": {"$ref": "#/$defs/node"}},
                }
            ),
        },
    },
}


def messages(kind: str, size: int, count: int) -> tuple[list[bytes], int]:
    """Messages of about `size` bytes, and how many of them are valid."""
    rnd = random.Random(_SEED)
    make = {"flat": _flat, "nested": _nested, "deep": _deep}[kind]
    found = []
    for number in range(count):
        message = make(rnd, number, size)
        if number % _INVALID_EACH == 0:
            _break(message, number // _INVALID_EACH)
        found.append(json.dumps(message, separators=(",", ":")).encode())
    return found, count - -(-count // _INVALID_EACH)


def _break(message: dict[str, Any], way: int) -> None:
    changes: list[Callable[[], object]] = [
        lambda: message.pop(next(reversed(message))),
        lambda: message.update(surprise=1),
        lambda: message.update(id=7),
        lambda: message.update(id=""),
    ]
    changes[way % len(changes)]()


def _number(rnd: random.Random) -> float:
    return round(rnd.uniform(0, 9_999), 1)


def _flat(rnd: random.Random, number: int, size: int) -> dict[str, Any]:
    text = "x" * max(1, (size - 115) // 7)
    message: dict[str, Any] = {"id": f"{number:06d}{text[6:]}"}
    message |= {f"t{one}": text for one in range(6)}
    message |= {f"n{one}": _number(rnd) for one in range(4)}
    return message | {"unit": rnd.choice(["EA", "KG", "LB", "M"])}


def _nested(rnd: random.Random, number: int, size: int) -> dict[str, Any]:
    items = max(1, (size - 90) // 25)
    return {
        "id": f"{number:06d}",
        "at": {"plant": "DE04", "line": f"L{rnd.randint(10, 99)}"},
        "qty": {"good": _number(rnd), "unit": rnd.choice(["EA", "KG", "LB", "M"])},
        "items": [{"n": f"p{one:03d}", "v": _number(rnd)} for one in range(items)],
    }


def _deep(rnd: random.Random, number: int, size: int) -> dict[str, Any]:
    leaves = max(1, (size - 60) // 30)

    def tree(count: int) -> dict[str, Any]:
        if count == 1:
            return {"kind": "leaf", "v": _number(rnd)}
        # Four below each branch, the rest spread evenly.
        parts = [count // 4 + (one < count % 4) for one in range(4)]
        return {"kind": "branch", "of": [tree(part) for part in parts if part]}

    return {"id": f"{number:06d}", "root": tree(leaves)}
