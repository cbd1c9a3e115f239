"""The form of a test in ``tests/<name>.yaml``: what may be written, and what a number there can carry."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from mfgroute.config.convert import escape

KEYS = {
    "name", "mapping", "source", "given", "given_file", "meta",
    "expect", "reject", "rejects", "filtered", "routes",
}  # fmt: skip
#: What may be expected of a test; one without any would always pass.
EXPECTATIONS = ("expect", "reject", "rejects", "filtered", "routes")
INEXACT_HINT = "write the whole message as a text: `given: '{...}'`"
_EVENT = {"to", "time", "key", "id", "data", "sinks", "mapping", "converted"}
_REJECT = {"code", "pointer", "field", "found", "expected", "item", "offset", "place"}
_NUMBER = re.compile(r"[-+0-9.eE]+")

#: A sentence and a hint.
Wrong = tuple[str, str | None]


def wrong(spec: Any) -> Wrong | None:
    """What is wrong with the form of a test; `None` if nothing is."""
    if not isinstance(spec, dict):
        return "a test is not a map", "write `name`, `mapping`, `given` and `expect`"
    unknown = sorted(set(spec) - KEYS)
    if unknown:
        return f"unknown key `{unknown[0]}` in a test", f"known are {', '.join(sorted(KEYS))}"
    if ("mapping" in spec) == ("source" in spec):
        return "a test needs either `mapping` or `source`", None
    if ("given" in spec) == ("given_file" in spec):
        return "a test needs either `given` or `given_file`", None
    if not any(name in spec for name in EXPECTATIONS):
        return "the test expects nothing", "add `expect: []`, or run `mfgroute test --update` after it"
    return (
        _wrong_meta(spec.get("meta"))
        or _wrong_list(spec.get("expect"), "expect", _EVENT)
        or _wrong_list(spec.get("rejects"), "rejects", _REJECT)
        or _wrong_list([spec["reject"]] if "reject" in spec else None, "reject", _REJECT)
        or _wrong_routes(spec.get("routes"))
    )


def inexact(
    value: Any, pointer: str, places: Mapping[str, tuple[int, int]], lines: Sequence[str]
) -> int | None:
    """The line of the first number that is not what is written, because it has too many digits.

    Args:
        value: the message of a test.
        pointer: where it is in the file.
        places: line and column of each value.
        lines: of the file.
    """
    if isinstance(value, float):
        line, column = places.get(pointer, (0, 0))
        token = _NUMBER.match(lines[line - 1][column - 1 :]) if 0 < line <= len(lines) else None
        if token is None:
            return None
        return None if math.isfinite(value) and Decimal(repr(value)) == Decimal(token[0]) else line
    if isinstance(value, dict):
        children = [(child, f"{pointer}/{escape(str(key))}") for key, child in value.items()]
    elif isinstance(value, list):
        children = [(child, f"{pointer}/{index}") for index, child in enumerate(value)]
    else:
        return None
    found = (inexact(child, at, places, lines) for child, at in children)
    return next((one for one in found if one), None)


def _wrong_meta(value: Any) -> Wrong | None:
    if value is None or isinstance(value, dict):
        return None
    return "`meta` of a test is not a map", "write `meta: {file.name: a.csv}`"


def _wrong_list(value: Any, name: str, known: set[str]) -> Wrong | None:
    """What is wrong with a list of events or rejects."""
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(one, dict) and one for one in value):
        what = "map" if name == "reject" else "list of maps"
        return f"`{name}` of a test is not a {what}", f"known keys are {', '.join(sorted(known))}"
    unknown = sorted({str(key) for one in value for key in one} - known)
    if unknown:
        return f"unknown key `{unknown[0]}` in `{name}`", f"known are {', '.join(sorted(known))}"
    return None


def _wrong_routes(value: Any) -> Wrong | None:
    if value is None or (isinstance(value, list) and all(isinstance(one, str) for one in value)):
        return None
    return "`routes` of a test is not a list of sinks", "write `routes: [sap, log]`, or `routes: []` for none"
