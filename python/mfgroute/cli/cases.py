"""Tests of a project: ``tests/<name>.yaml`` read, run and compared."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mfgroute import _core
from mfgroute.cli import dryrun, form
from mfgroute.config.load import Project
from mfgroute.errors import ConfigError, Problem, UnknownName


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
    found: list[dict[str, Any]] = []
    try:
        found = outcomes(project, case)
        differences = list(_differences(case.spec, found))
    except (UnknownName, OSError) as error:
        differences = [str(error)]
    return Result(case, differences, found, str(case.spec.get("source", "")), time.perf_counter() - began)


def outcomes(project: Project, case: Case) -> list[dict[str, Any]]:
    """What becomes of the message of a test.

    Raises:
        UnknownName: the project has no such mapping or source.
        OSError: the file with the message cannot be read.
    """
    meta = {str(name): _text(value) for name, value in (case.spec.get("meta") or {}).items()}
    message = _message(project, case)
    if "source" in case.spec:
        return dryrun.received(project, str(case.spec["source"]), message, meta)
    return dryrun.mapped(project, str(case.spec["mapping"]), message, meta)


def short(outcome: dict[str, Any]) -> dict[str, Any]:
    """An event as a test expects it."""
    return {name: outcome[name] for name in ("to", "time", "data")}


def _file(project: Project, file: Path) -> tuple[list[Case], list[Problem]]:
    name = str(file.relative_to(project.root)) if file.is_relative_to(project.root) else str(file)
    try:
        content = file.read_bytes()
        document, places, _ = _core.parse_yaml(content, name)
    except ConfigError as error:
        return [], list(error.problems)
    tests = document.get("tests") if isinstance(document, dict) else None
    if not isinstance(tests, list):
        return [], [_problem(name, 1, "the file has no list `tests`", "write `tests:` and a list of tests")]
    cases, problems = [], []
    lines = content.decode(errors="replace").splitlines()
    for index, spec in enumerate(tests):
        line = places.get(f"/tests/{index}", (0, 0))[0]
        wrong = form.wrong(spec)
        number = None if wrong else form.inexact(spec.get("given"), f"/tests/{index}/given", places, lines)
        if wrong:
            problems.append(_problem(name, line, *wrong))
        elif number:
            problems.append(
                _problem(name, number, "a number has more digits than a test carries", form.INEXACT_HINT)
            )
        else:
            cases.append(Case(name, index, line, spec))
    return cases, problems


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
    if "routes" in spec and (events or not rejects):
        sinks = list(dict.fromkeys(sink for event in events for sink in event["sinks"]))
        if sorted(sinks) != sorted(map(str, spec["routes"] or [])):
            expected = ", ".join(map(str, spec["routes"] or [])) or "nobody"
            yield f"sent to {', '.join(sinks) or 'nobody'}, expected {expected}"


def _reject_differences(wanted: list[Any], found: list[dict[str, Any]]) -> Iterable[str]:
    """Each reject answers one that was wanted; a reject that nobody wanted is a difference, too."""
    left = list(found)
    missing = []
    for one in wanted:
        match = next((reject for reject in left if _fits(one, reject)), None)
        if match is None:
            missing.append(one)
        else:
            left.remove(match)
    shown = "; ".join(dryrun.reject_text(reject) for reject in left) or "nothing"
    if missing:
        for one in missing:
            yield f"rejected: {shown}; expected {json.dumps(one, ensure_ascii=False)}"
    elif left:
        yield f"rejected besides: {shown}"


def _fits(wanted: dict[str, Any], reject: dict[str, Any]) -> bool:
    return all(reject.get(name) == value for name, value in wanted.items())


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
