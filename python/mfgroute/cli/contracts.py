"""What ``mfgroute contract check`` finds, for people and for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from mfgroute.cli import show
from mfgroute.cli.app import session
from mfgroute.cli.failures import FAILED, OK, tell_problems
from mfgroute.config import documents, lock
from mfgroute.config.load import find_project
from mfgroute.config.lock import Pins
from mfgroute.config.packs import FILE_NAME
from mfgroute.contracts import commit
from mfgroute.contracts.changes import Change, changes
from mfgroute.contracts.links import Links
from mfgroute.registry import Registry

_SHOWN_MAX = 400
_TESTS_MAX = 8


def check(*, against: str | None, pin: bool, allow_undecided: bool) -> int:
    """Hold the contracts of the project to their lock and to a commit; returns the exit code."""
    root = _folder(Path(session().project)).resolve()
    now = documents.read(documents.Folder(root), Registry())
    found: list[Change] = []
    if against is not None:
        then = documents.read(commit.at(root, against), Registry())
        today = datetime.now(UTC).date()
        found = changes(then, now, today=today, undecided=allow_undecided)
    refused = [one for one in found if not one.accepted]
    # What breaks a promise is not released by the same command.
    added = lock.pin(now) if pin and not refused else []
    pins = lock.read(now)
    ok = not refused and not pins.problems
    if session().json:
        show.document({
            "ok": ok,
            "problems": msgspec.to_builtins(pins.problems),
            "pinned": [_version(one) for one in pins.pinned],
            "unpinned": [_version(one) for one in pins.unpinned],
            "against": against,
            "contracts": [_document(one) for one in found],
        })  # fmt: skip
    else:
        _print(found, pins, len(added), against)
    return OK if ok else FAILED


def _folder(given: Path) -> Path:
    """The folder of a project, or of a pack, which has contracts and no main file."""
    if (given / "contracts").is_dir() and not (given / FILE_NAME).exists():
        return given
    return find_project(given).parent


def _version(contract: documents.Contract) -> str:
    return f"{contract.type} {contract.version}"


def _document(change: Change) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(change)
    made["directions"] = {
        name: {"verdict": one.verdict, "differences": msgspec.to_builtins(one.differences)}
        for name, one in change.directions.items()
    }
    links = made.pop("links")
    made["touches"] = {
        "mappings": links["mappings"],
        "conversions": links["conversions"],
        "routes": [one["name"] for one in links["routes"]],
        "sinks": change.links.sinks,
        "lookups": links["lookups"],
        "tests": links["tests"],
    }
    return made


def _print(found: list[Change], pins: Pins, added: int, against: str | None) -> None:
    if pins.problems:
        tell_problems(pins.problems)
    for one in found:
        if one.verdict != "unchanged":
            _print_change(one)
    if session().quiet:
        return
    if against is not None:
        counts: dict[str, int] = {}
        for one in found:
            counts[one.verdict] = counts.get(one.verdict, 0) + 1
        told = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items()))
        show.line(f"against {against}: {told or 'no contracts'}")
    if added:
        show.line(f"{added} versions pinned")
    show.line(f"released: {len(pins.pinned)} as they were, {len(pins.problems)} changed; "
              f"not released yet: {len(pins.unpinned)}")  # fmt: skip


def _print_change(change: Change) -> None:
    versions = " -> ".join(one for one in (change.before, change.after) if one is not None)
    promise = f" ({change.promise})" if change.directions else ""
    bump = ", allowed by the new major version" if change.bumped and change.verdict != "compatible" else ""
    show.line(f"{change.label} {versions}: {change.verdict}{promise}{bump}")
    for reason in change.reasons:
        show.line(f"  {reason}")
    for name, comparison in change.directions.items():
        asked = change.promise in (name, "full")
        if not comparison.differences:
            continue
        who = "the new version refuses" if name == "backward" else "the old version refuses"
        may = "" if asked else ", which the contract does not promise against"
        show.line(f"  {name}: {comparison.verdict}; {who}{may}:" if comparison.verdict == "breaking"
                  else f"  {name}: {comparison.verdict}{may}:")  # fmt: skip
        for one in comparison.differences if asked or session().verbose else comparison.differences[:1]:
            show.line(f"    {one.pointer or 'the document'}: {one.reason}")
            if one.proven and (asked or session().verbose):
                show.line(f"      for example {_short(one.counterexample)}")
    if change.verdict not in ("added", "compatible"):
        _print_links(change.links)


def _print_links(links: Links) -> None:
    for what, names in (
        ("mappings", links.mappings),
        ("conversions", links.conversions),
        ("routes", [one.name for one in links.routes]),
        ("sinks", links.sinks),
        ("lookups", links.lookups),
        ("tests", links.tests),
    ):
        if names:
            more = f" and {len(names) - _TESTS_MAX} more" if len(names) > _TESTS_MAX else ""
            show.line(f"  touches {what}: {', '.join(names[:_TESTS_MAX])}{more}")


def _short(document: Any) -> str:
    text = show.compact(document)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}… (all of it with --output json)"
