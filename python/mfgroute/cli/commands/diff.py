"""``mfgroute diff``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mfgroute.cli import show
from mfgroute.cli.app import Command, session
from mfgroute.cli.failures import DATA, FAILED, OK, Failure

if TYPE_CHECKING:
    from mfgroute.cli.difference import Change, Differences, Group
    from mfgroute.cli.rules import Rule
    from mfgroute.config.load import Project


@click.command("diff", cls=Command)
@click.option(
    "--mapping",
    "new",
    required=True,
    metavar="NEW",
    type=click.Path(path_type=Path),
    help="The changed mapping: a file of the same name, or a folder of such files.",
)
@click.option(
    "--recorded",
    required=True,
    metavar="FILE|SOURCE",
    help="Messages that were kept by `record`: a source of this project, or a file or folder of them.",
)
@click.option("--source", help="Read all messages as received by this source.")
@click.option(
    "--examples", default=3, show_default=True, type=click.IntRange(0, 1000), help="Examples of each rule."
)
@click.option("--fail-on-change", is_flag=True, help="End with 1 if anything changes.")
def command(*, new: Path, recorded: str, source: str | None, examples: int, fail_on_change: bool) -> int:
    """Compare what a changed mapping makes of recorded messages with what the project makes of them.

    Nothing is sent and nothing is changed. Differences are grouped by the rule of the mapping that makes
    the field. A conversion is compared by what sinks get that ask for its version, and named if no recorded
    event needed it. Ends with 65 if the recording cannot be read, with 78 if the changed mapping has
    problems.

    Examples:
      mfgroute diff --mapping new/mes-completion.yaml --recorded mes
      mfgroute diff --mapping new/ --recorded kept.jsonl --fail-on-change --output json
    """
    from mfgroute.cli import dryrun, overlay  # noqa: PLC0415 - not for --help
    from mfgroute.cli import recorded as kept  # noqa: PLC0415
    from mfgroute.cli.difference import Differences  # noqa: PLC0415

    project = dryrun.project()
    files = overlay.mapping_files(new)
    changed = overlay.replaced(project, files)
    found = Differences(_Rules(project, files).find, examples_max=examples)
    idle = overlay.conversions(project) & set(files)
    for place, one in kept.messages(project, recorded, source):
        before = dryrun.received(project, one.source, one.message, one.meta)
        after = dryrun.received(changed, one.source, one.message, one.meta)
        found.add(place, before, after)
        idle -= _converted_by([*before, *after])
    if not found.messages:
        raise Failure(f"no message is recorded at `{recorded}`", code=DATA)
    if session().json:
        show.document({**_document(found), "not_compared": sorted(idle)})
    else:
        _print(found)
        for name in sorted(idle):
            show.line(f"not compared: no event of these messages was converted by {name}")
    return FAILED if fail_on_change and found.groups else OK


def _converted_by(outcomes: Iterable[dict[str, Any]]) -> set[str]:
    """The conversions that made what sinks get."""
    return {
        label.partition("@")[0]
        for one in outcomes
        for by in one.get("conversions", {}).values()
        for label in by
    }


class _Rules:
    """The rules of the mappings of a project and of the changed ones, read when they are asked for."""

    def __init__(self, project: Project, files: dict[str, Path]) -> None:
        self._project = project
        self._files = files
        self._known: dict[str, tuple[list[Rule], list[Rule]]] = {}

    def find(self, mapping: str, to: str, field: str) -> tuple[Rule | None, Rule | None]:
        """The old and the new rule that makes a field."""
        from mfgroute.cli import rules  # noqa: PLC0415 - not for --help
        from mfgroute.cli.difference import rule_of  # noqa: PLC0415

        if mapping not in self._known:
            file = rules.mapping_file(self._project, mapping)
            before = rules.rules(file) if file is not None else []
            after = before
            if mapping in self._files:
                read = rules.read(self._files[mapping])
                shown = str(self._files[mapping])
                after = rules.rules(read, shown) if read is not None else []
            self._known[mapping] = before, after
        old, new = self._known[mapping]
        return rule_of(old, to, field), rule_of(new, to, field)


def _document(found: Differences) -> dict[str, Any]:
    return {
        "messages": found.messages,
        "changed": found.changed,
        "events": found.events,
        "rules": [
            {
                "kind": group.change.kind,
                "mapping": group.mapping,
                "to": group.change.to,
                "field": group.change.field,
                "events": group.events,
                "messages": group.messages,
                "parts": _parts(group),
                "rule": {
                    name: None if rule is None else {"place": rule.place, "text": rule.text}
                    for name, rule in group.rules.items()
                },
                "examples": [
                    {"message": place, "old": change.old, "new": change.new}
                    for place, change in group.examples
                ],
            }
            for group in found.sorted()
        ],
    }


def _parts(group: Group) -> list[str]:
    """The keys in which the rule itself differs, such as ``round``."""
    old, new = group.rules.get("old"), group.rules.get("new")
    if old is None or new is None or not isinstance(old.spec, dict) or not isinstance(new.spec, dict):
        return []
    names = dict.fromkeys([*old.spec, *new.spec])
    return [name for name in names if old.spec.get(name) != new.spec.get(name)]


def _print(found: Differences) -> None:
    for group in found.sorted():
        show.line(_headline(group, found.events.get(group.change.to, 0)))
        old, new = group.rules.get("old"), group.rules.get("new")
        if old is not None:
            show.line(f"  was  {old.place}: {old.text}")
        if new is not None and (old is None or (new.place, new.text) != (old.place, old.text)):
            show.line(f"  is   {new.place}: {new.text}")
        for place, change in group.examples:
            show.line(f"  {place}: {_example(change)}")
    if not found.groups:
        show.line(f"nothing changes in {found.messages} messages")
    else:
        show.line(f"{found.changed} of {found.messages} messages change")


def _headline(group: Group, total: int) -> str:
    change = group.change
    if change.kind in {"field", "fact"}:
        parts = f" ({', '.join(_parts(group))})" if _parts(group) else ""
        verb = "changes" if group.events == 1 else "change"
        mapping = f", mapping {group.mapping}" if group.mapping else ""
        return f"{group.events} of {total} {change.to} {verb}: `{change.field}`{parts}{mapping}"
    what, verb = change.kind.split(" ")
    verb = verb if group.events == 1 else verb.removesuffix("s")
    many = what if group.events == 1 else f"{what}s"
    return f"{group.events} {many} {verb}: {change.to or change.field}"


def _example(change: Change) -> str:
    from mfgroute.cli.dryrun import reject_text  # noqa: PLC0415 - not for --help

    def said(value: Any) -> str:
        if change.kind.startswith("reject"):
            return str(reject_text(value))
        return show.compact(value)

    if change.kind in {"field", "fact"}:
        old = "nothing" if change.old is None else said(change.old)
        return f"{old} becomes {'nothing' if change.new is None else said(change.new)}"
    if change.old is not None and change.new is not None:
        return f"{said(change.old)} becomes {said(change.new)}"
    return said(change.new if change.old is None else change.old)
