"""Problems as text and as JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from mfgroute.errors import Problem

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def sorted_problems(problems: Sequence[Problem]) -> list[Problem]:
    """In the order of files and places."""
    return sorted(problems, key=lambda one: (one.file, one.line, one.column, one.severity, one.message))


def as_text(problems: Sequence[Problem]) -> str:
    """One line for each problem and one for its hint; no colour, no control characters.

    A place that is not known is left out.
    """
    lines = []
    for problem in sorted_problems(problems):
        place = f":{problem.line}:{problem.column}" if problem.line else ""
        severity = "" if problem.severity == "error" else f"{problem.severity}: "
        lines.append(_safe(f"{problem.file}{place}: {severity}{problem.message}"))
        if problem.hint:
            lines.append(_safe(f"  hint: {problem.hint}"))
    return "\n".join(lines)


def as_json(problems: Sequence[Problem]) -> bytes:
    """A JSON document ``{"problems": [...]}`` with the fields of `Problem`."""
    return msgspec.json.encode({"problems": sorted_problems(problems)})


def count(problems: Sequence[Problem]) -> dict[str, int]:
    """How many problems of each severity there are."""
    found: dict[str, int] = {"error": 0, "warning": 0}
    for problem in problems:
        found[problem.severity] = found.get(problem.severity, 0) + 1
    return found


def _safe(text: str) -> str:
    def escaped(match: re.Match[Any]) -> str:
        return f"\\u{ord(match[0]):04x}"

    return _CONTROL.sub(escaped, text.replace("\n", "\n  "))
