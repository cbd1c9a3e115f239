"""``mfgroute test --update``: what was found becomes what is expected; the rest of a file stays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mfgroute import _core
from mfgroute.cli.cases import Result, short
from mfgroute.errors import ConfigError


def update(root: Path, results: Sequence[Result]) -> tuple[list[Result], list[tuple[Result, str]]]:
    """Rewrite the expectations of failing tests.

    A reject is never made the expectation: that would turn a lost event into a passing test.

    Returns:
        The tests whose expectation was written, and those that were left with the reason.
    """
    done: list[Result] = []
    left: list[tuple[Result, str]] = []
    # From the end of a file, so that the places of the others stay true.
    for result in sorted(results, key=lambda one: (one.case.file, -one.case.number)):
        reason = _update(root / result.case.file, result)
        if reason is None:
            done.append(result)
        else:
            left.append((result, reason))
    return done, left


def _update(file: Path, result: Result) -> str | None:
    """Rewrite one expectation; the reason if that cannot be done."""
    if not result.outcomes:
        return "nothing came of the message"
    if any("reject" in one for one in result.outcomes):
        return "the message is rejected"
    if any(name in result.case.spec for name in ("reject", "rejects")):
        return "it expects a reject, and events came"
    events = [one for one in result.outcomes if "to" in one]
    values: dict[str, Any] = {"expect": [_like(result, index, one) for index, one in enumerate(events)]}
    if "routes" in result.case.spec:
        values["routes"] = list(dict.fromkeys(sink for one in events for sink in one["sinks"]))
    text = file.read_text(encoding="utf-8")
    try:
        old, places, _ = _core.parse_yaml(text.encode(), file.name)
        for name, value in values.items():
            text = _replaced(text, places, result.case.number, name, value)
            new, places, _ = _core.parse_yaml(text.encode(), file.name)
            old["tests"][result.case.number][name] = value
            if new != old:
                return f"its `{name}` is written in a form that cannot be replaced safely"
    except (ConfigError, KeyError, IndexError):
        return "its place in the file cannot be replaced safely"
    part = file.with_name(f".{file.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)
    return None


def _like(result: Result, index: int, outcome: dict[str, Any]) -> dict[str, Any]:
    """The event with the members that the test looked at before; a new one whole."""
    expected = result.case.spec.get("expect") or []
    if index < len(expected) and isinstance(expected[index], dict) and "data" in expected[index]:
        return {name: outcome[name] for name in expected[index] if name in outcome}
    return short(outcome)


def _replaced(text: str, places: dict[str, tuple[int, int]], index: int, name: str, value: Any) -> str:
    """The text with another value for one member of a test."""
    lines = text.splitlines(keepends=True)
    pointer = f"/tests/{index}"
    start, column = places[pointer][0] - 1, places[pointer][1] - 1
    indent = " " * column
    block = _written(name, value, indent)
    end = _end(lines, start + 1, column)
    for number in range(start, end):
        body = lines[number]
        head = body[column:] if number == start else body
        if number != start and not body.startswith(indent + name + ":"):
            continue
        if number == start and not head.startswith(name + ":"):
            continue
        after = _end(lines, number + 1, column + 1)
        kept = lines[number][:column] if number == start else indent
        return "".join([*lines[:number], kept + block.lstrip(), *lines[after:]])
    while end > start + 1 and not lines[end - 1].strip():
        end -= 1
    if not lines[end - 1].endswith("\n"):
        lines[end - 1] += "\n"
    return "".join([*lines[:end], block, *lines[end:]])


def _end(lines: list[str], start: int, column: int) -> int:
    """Where a block ends: the first line that is not empty and begins left of `column`."""
    end = start
    for number in range(start, len(lines)):
        body = lines[number]
        if not body.strip():
            continue
        if len(body) - len(body.lstrip(" ")) < column:
            break
        end = number + 1
    return end


def _written(name: str, value: Any, indent: str) -> str:
    """A member as YAML: one line for each part of an event, its data as JSON."""
    if name == "routes":
        return f"{indent}routes: [{', '.join(map(json.dumps, value))}]\n"
    if not value:
        return f"{indent}{name}: []\n"
    lines = [f"{indent}{name}:\n"]
    for event in value:
        for position, (key, child) in enumerate(event.items()):
            mark = "- " if position == 0 else "  "
            lines.append(f"{indent}  {mark}{key}: {json.dumps(child, ensure_ascii=False)}\n")
    return "".join(lines)
