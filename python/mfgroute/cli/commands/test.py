"""``mfgroute test``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mfgroute.cli import show
from mfgroute.cli.app import Command, session
from mfgroute.cli.failures import FAILED, OK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mfgroute.cli.cases import Result
    from mfgroute.cli.coverage import Coverage


_ONE = {"mappings": "mapping", "entries": "entry", "fields": "field", "filters": "filter", "routes": "route"}


@click.command("test", cls=Command)
@click.argument("paths", metavar="[PATH]…", nargs=-1, type=click.Path(path_type=Path))
@click.option("--update", is_flag=True, help="Make what was found the expectation of failing tests.")
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Write a JUnit report.")
@click.option(
    "--coverage",
    is_flag=True,
    help="Name mappings, entries, fields, filters and routes that no test touches.",
)
def command(*, paths: tuple[Path, ...], update: bool, junit: Path | None, coverage: bool) -> int:
    """Run the tests in tests/*.yaml, or those of PATH, through mappings and routes; no server is needed.

    Ends with 1 if a test fails.

    Examples:
      mfgroute test
      mfgroute test tests/completion.yaml --update
      mfgroute test --junit report.xml --coverage
    """
    from mfgroute.cli import cases, dryrun, snapshot  # noqa: PLC0415 - not for --help

    project = dryrun.project()
    results = [cases.run(project, case) for case in cases.read(project, paths)]
    failed = [one for one in results if not one.passed]
    updated: list[Result] = []
    left: list[tuple[Result, str]] = []
    if update:
        updated, left = snapshot.update(project.root, failed)
        failed = [one for one in failed if one not in updated]
    found = None
    if coverage:
        from mfgroute.cli.coverage import measured  # noqa: PLC0415 - only when asked

        found = measured(project, results)
    if junit is not None:
        junit.write_text(_junit(results, failed), encoding="utf-8")
    if session().json:
        show.document(_document(results, failed, updated, found))
    else:
        _print(results, failed, updated, {id(one): why for one, why in left})
        if found is not None:
            _print_uncovered(found)
    return FAILED if failed else OK


def _document(
    results: Sequence[Result],
    failed: Sequence[Result],
    updated: Sequence[Result],
    coverage: Coverage | None,
) -> dict[str, Any]:
    document = {
        "passed": len(results) - len(failed) - len(updated),
        "failed": len(failed),
        "updated": len(updated),
        "tests": [
            {
                "file": one.case.file,
                "line": one.case.line,
                "name": one.case.name,
                "status": "failed" if one in failed else "updated" if one in updated else "passed",
                "differences": one.differences,
            }
            for one in results
        ],
    }
    if coverage is None:
        return document
    return {**document, "uncovered": coverage.uncovered, "total": coverage.total}


def _print(
    results: Sequence[Result], failed: Sequence[Result], updated: Sequence[Result], left: dict[int, str]
) -> None:
    for one in results:
        word = "FAILED" if one in failed else "updated" if one in updated else "ok"
        if word != "ok" or not session().quiet:
            show.line(f"{word:7} {one.case.file}:{one.case.line} {one.case.name}")
        if word != "ok":
            for difference in one.differences:
                show.line(f"          {difference}")
        if word == "FAILED" and session().verbose:
            for outcome in one.outcomes:
                show.line(f"          found {show.compact(outcome)}")
        if id(one) in left:
            show.line(f"          not updated: {left[id(one)]}")
    passed = len(results) - len(failed) - len(updated)
    counts = [
        f"{passed} passed",
        f"{len(failed)} failed" if failed else "",
        f"{len(updated)} updated" if updated else "",
    ]
    show.line(", ".join(filter(None, counts)) if results else "there are no tests; write tests/<name>.yaml")


def _print_uncovered(coverage: Coverage) -> None:
    for what, names in coverage.uncovered.items():
        for name in names:
            show.line(f"no test touches {_ONE[what]} {name}")
    shares = [
        f"{total - len(coverage.uncovered[what])} of {total} {what}"
        for what, total in coverage.total.items()
        if total
    ]
    show.line(f"tests touch {', '.join(shares)}" if shares else "there is nothing that a test could touch")


def _junit(results: Sequence[Result], failed: Sequence[Result]) -> str:
    """A report as build servers read it."""
    from xml.sax.saxutils import escape, quoteattr  # noqa: PLC0415 - only when asked

    from mfgroute.adapters.plain import escaped  # noqa: PLC0415

    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuite name="mfgroute" tests="{len(results)}" failures="{len(failed)}" errors="0" skipped="0">',
    ]
    for one in results:
        file, name = quoteattr(escaped(one.case.file)), quoteattr(escaped(one.case.name))
        head = (
            f"  <testcase classname={file} name={name} "
            f'file={file} line="{one.case.line}" time="{one.seconds:.4f}"'
        )
        if one in failed:
            text = escape("\n".join(map(escaped, one.differences)))
            first = quoteattr(escaped(one.differences[0]))
            lines += [f"{head}>", f"    <failure message={first}>{text}</failure>", "  </testcase>"]
        else:
            lines.append(f"{head}/>")
    return "\n".join([*lines, "</testsuite>", ""])
