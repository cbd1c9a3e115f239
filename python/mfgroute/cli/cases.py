"""Tests of a project: ``tests/<name>.yaml`` read, run and compared."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mfgroute import _core
from mfgroute.cli import dryrun
from mfgroute.config.load import Project
from mfgroute.errors import ConfigError, Problem, UnknownName

_KEYS = {
    "name", "mapping", "source", "given", "given_file", "meta",
    "expect", "reject", "rejects", "filtered", "routes",
}  # fmt: skip


class Case(NamedTuple):
    """One test.

    Attributes:
        file: where it stands, relative to the project.
        number: its place in the file, from 0.
        line: where it begins.
        spec: what is written there.
    """

    file: str
    number: int
    line: int
    spec: dict[str, Any]

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self.spec.get("name", f"test {self.number + 1}"))


class Result(NamedTuple):
    """How a test went; it passed if there are no `differences`."""

    case: Case
    differences: list[str]
    outcomes: list[dict[str, Any]]
    source: str
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.differences


def read(project: Project, paths: Sequence[Path]) -> list[Case]:
    """Every test of the project, or those of `paths` (files or folders).

    Raises:
        ConfigError: with every problem of every file.
    """
    roots = list(paths) or [project.root / "tests"]
    files: list[Path] = []
    problems: list[Problem] = []
    for root in roots:
        if root.is_dir():
            files += sorted([*root.rglob("*.yaml"), *root.rglob("*.yml")])
        elif root.is_file():
            files.append(root)
        elif paths:
            problems.append(_problem(str(root), 0, "there is no such test file", None))
    cases: list[Case] = []
    for file in files:
        found, wrong = _file(project, file)
        cases += found
        problems += wrong
    if problems:
        raise ConfigError(problems)
    return cases


def run(project: Project, case: Case) -> Result:
    """Run one test through the hot path."""
    began = time.perf_counter()
    source, outcomes, wrong = "", [], None
    try:
        meta = {str(name): _text(value) for name, value in (case.spec.get("meta") or {}).items()}
        message = _message(project, case)
        if "source" in case.spec:
            source = str(case.spec["source"])
            outcomes = dryrun.received(project, source, message, meta)
        else:
            outcomes = dryrun.mapped(project, str(case.spec["mapping"]), message, meta)
    except (UnknownName, OSError) as error:
        wrong = str(error)
    differences = [wrong] if wrong else list(_differences(case.spec, outcomes))
    return Result(case, differences, outcomes, source, time.perf_counter() - began)


def short(outcome: dict[str, Any]) -> dict[str, Any]:
    """An event as a test expects it."""
    return {name: outcome[name] for name in ("to", "time", "data")}


def _file(project: Project, file: Path) -> tuple[list[Case], list[Problem]]:
    name = str(file.relative_to(project.root)) if file.is_relative_to(project.root) else str(file)
    try:
        document, places, _ = _core.parse_yaml(file.read_bytes(), name)
    except ConfigError as error:
        return [], list(error.problems)
    tests = document.get("tests") if isinstance(document, dict) else None
    if not isinstance(tests, list):
        return [], [_problem(name, 1, "the file has no list `tests`", "write `tests:` and a list of tests")]
    cases, problems = [], []
    for index, spec in enumerate(tests):
        line = places.get(f"/tests/{index}", (0, 0))[0]
        wrong = _wrong(spec)
        if wrong:
            problems.append(_problem(name, line, *wrong))
        else:
            cases.append(Case(name, index, line, spec))
    return cases, problems


def _wrong(spec: Any) -> tuple[str, str | None] | None:
    """What is wrong with the form of a test."""
    if not isinstance(spec, dict):
        return "a test is not a map", "write `name`, `mapping`, `given` and `expect`"
    unknown = sorted(set(spec) - _KEYS)
    if unknown:
        return f"unknown key `{unknown[0]}` in a test", f"known are {', '.join(sorted(_KEYS))}"
    if ("mapping" in spec) == ("source" in spec):
        return "a test needs either `mapping` or `source`", None
    if ("given" in spec) == ("given_file" in spec):
        return "a test needs either `given` or `given_file`", None
    if not any(name in spec for name in ("expect", "reject", "rejects", "filtered", "routes")):
        return "the test expects nothing", "add `expect: []`, or run `mfgroute test --update` after it"
    return None


def _problem(file: str, line: int, message: str, hint: str | None) -> Problem:
    return Problem(
        severity="error", file=file, line=line, column=1 if line else 0, message=message, hint=hint
    )


def _message(project: Project, case: Case) -> bytes:
    if "given_file" in case.spec:
        return (project.root / str(case.spec["given_file"])).read_bytes()
    given = case.spec["given"]
    return given.encode() if isinstance(given, str) else json.dumps(given, ensure_ascii=False).encode()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _differences(spec: dict[str, Any], outcomes: list[dict[str, Any]]) -> Iterable[str]:
    """Sentences, one for each difference."""
    rejects = [one["reject"] for one in outcomes if "reject" in one]
    events = [one for one in outcomes if "to" in one]
    wanted = [*([spec["reject"]] if "reject" in spec else []), *(spec.get("rejects") or [])]
    if wanted:
        yield from _reject_differences(wanted, rejects)
    else:
        for reject in rejects:
            yield f"rejected: {dryrun.reject_text(reject)}"
    if "expect" in spec and (events or not rejects or wanted):
        yield from _event_differences(spec["expect"] or [], events)
    if "filtered" in spec:
        found = [one["filtered"] for one in outcomes if "filtered" in one]
        if spec["filtered"] not in found:
            yield f"filtered by {', '.join(found) or 'nothing'}, expected {spec['filtered']}"
    if "routes" in spec and events:
        sinks = list(dict.fromkeys(sink for event in events for sink in event["sinks"]))
        if sorted(sinks) != sorted(map(str, spec["routes"] or [])):
            expected = ", ".join(map(str, spec["routes"] or [])) or "nobody"
            yield f"sent to {', '.join(sinks) or 'nobody'}, expected {expected}"


def _reject_differences(wanted: list[Any], found: list[dict[str, Any]]) -> Iterable[str]:
    if len(wanted) > len(found):
        yield f"{len(found)} rejects, expected {len(wanted)}"
    for one in wanted:
        if not any(all(reject.get(name) == value for name, value in one.items()) for reject in found):
            shown = "; ".join(dryrun.reject_text(reject) for reject in found) or "nothing"
            yield f"rejected: {shown}; expected {json.dumps(one, ensure_ascii=False)}"


def _event_differences(wanted: list[Any], found: list[dict[str, Any]]) -> Iterable[str]:
    if len(wanted) != len(found):
        kinds = ", ".join(event["to"] for event in found) or "none"
        yield f"{len(found)} event{'s' * (len(found) != 1)} ({kinds}), expected {len(wanted)}"
        return
    for index, (expected, event) in enumerate(zip(wanted, found, strict=True)):
        for name, value in expected.items():
            yield from _value(f"event {index + 1} {name}", event.get(name), value)


def _value(where: str, found: Any, expected: Any) -> Iterable[str]:
    """The smallest places where two values differ."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for name in [*expected, *(name for name in found if name not in expected)]:
            if name not in found:
                yield f"{where}.{name} is missing, expected {json.dumps(expected[name], ensure_ascii=False)}"
            elif name not in expected:
                yield f"{where}.{name} is {json.dumps(found[name], ensure_ascii=False)}, expected nothing"
            else:
                yield from _value(f"{where}.{name}", found[name], expected[name])
    elif found != expected or isinstance(found, bool) is not isinstance(expected, bool):
        yield (
            f"{where} is {json.dumps(found, ensure_ascii=False)}, "
            f"expected {json.dumps(expected, ensure_ascii=False)}"
        )
