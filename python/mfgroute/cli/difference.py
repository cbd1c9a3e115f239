"""What two versions of mappings make of the same messages, field by field."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from mfgroute.cli.rules import Rule

Outcome = dict[str, Any]
#: Members of an event besides `data`, and how they are called in a difference.
_FACTS = {"time": "time", "key": "key", "id": "id", "sinks": "sinks"}
_ABSENT = object()


class Change(NamedTuple):
    """One field that differs.

    Attributes:
        kind: ``field``, or ``event appears``, ``event disappears``, ``reject``, ``mapping``.
        to: the contract, or empty where there is no event.
        field: a field of `data` with ``[]`` for items, or ``time``, ``key``, ``id``, ``sinks`` of the event.
        old: what it was, as the outcome has it; `None` where there was nothing.
        new: what it becomes.
    """

    kind: str
    to: str
    field: str
    old: Any
    new: Any


class Group:
    """All changes of one rule.

    Attributes:
        mapping: which makes the field; empty for events and rejects.
        change: the first one; its kind, type and field are those of all.
        rules: where the new mapping and the old one write the rule.
        events: how many events have such a change.
        messages: of how many messages.
        examples: some changes, each with the place of its message.
    """

    def __init__(self, mapping: str, change: Change) -> None:
        self.mapping = mapping
        self.change = change
        self.rules: dict[str, Rule | None] = {}
        self.events = 0
        self.messages = 0
        self.examples: list[tuple[str, Change]] = []


class Differences:
    """Collects what differs.

    Args:
        rule: finds the rule of a mapping that makes a field: mapping, type, field -> old rule, new rule.
        examples_max: how many examples of each rule are kept.
    """

    def __init__(
        self, rule: Callable[[str, str, str], tuple[Rule | None, Rule | None]], *, examples_max: int
    ) -> None:
        self.groups: dict[tuple[str, str, str, str], Group] = {}
        self.messages = 0
        self.changed = 0
        self.events: dict[str, int] = {}
        self._rule = rule
        self._examples_max = examples_max

    def add(self, place: str, old: Sequence[Outcome], new: Sequence[Outcome]) -> None:
        """Compare what came of one message."""
        self.messages += 1
        for one in [form for outcome in old for form in [outcome, *forms(outcome)]]:
            if "to" in one:
                self.events[one["to"]] = self.events.get(one["to"], 0) + 1
        touched: set[tuple[str, str, str, str]] = set()
        for before, after in _with_forms(_pairs(old, new)):
            seen: set[tuple[str, str, str, str]] = set()
            mapping = str((after or before or {}).get("mapping", "")).partition("@")[0]
            for change in _changes(before, after):
                self._count(place, mapping, change, seen)
            touched |= seen
        for key in touched:
            self.groups[key].messages += 1
        self.changed += bool(touched)

    def sorted(self) -> list[Group]:
        """The groups: what is lost or won first, then by how many events they change."""
        return sorted(
            self.groups.values(),
            key=lambda one: (one.change.kind == "field", -one.events, one.mapping, one.change.field),
        )

    def _count(self, place: str, mapping: str, change: Change, seen: set[tuple[str, str, str, str]]) -> None:
        key = (mapping, change.kind, change.to, change.field)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(mapping, change)
            if change.kind == "field":
                before, after = self._rule(mapping, change.to, change.field)
                group.rules = {"old": before, "new": after}
        if key not in seen:
            group.events += 1
            if len(group.examples) < self._examples_max:
                group.examples.append((place, change))
        seen.add(key)


def _pairs(old: Sequence[Outcome], new: Sequence[Outcome]) -> Iterator[tuple[Outcome | None, Outcome | None]]:
    """Outcomes that belong together: by identity, then in order within a type, then what is left alone."""
    by_id = {one["id"]: index for index, one in enumerate(new) if "id" in one}
    taken: set[int] = set()
    left: list[Outcome] = []
    for one in old:
        index = by_id.get(one.get("id"), -1)
        if index < 0 or index in taken:
            left.append(one)
        else:
            taken.add(index)
            yield one, new[index]
    after = [one for index, one in enumerate(new) if index not in taken]
    names = [_name(one) for one in left], [_name(one) for one in after]
    for tag, begin, end, start, stop in difflib.SequenceMatcher(None, *names, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from zip(left[begin:end], after[start:stop], strict=True)
            continue
        yield from ((one, None) for one in left[begin:end])
        yield from ((None, one) for one in after[start:stop])


def _with_forms(
    pairs: Iterable[tuple[Outcome | None, Outcome | None]],
) -> Iterator[tuple[Outcome | None, Outcome | None]]:
    """Each pair, and after it what the sinks get of it that ask for another version."""
    for before, after in pairs:
        yield before, after
        if before is None or after is None:
            # An event that comes or goes does so for all of its sinks.
            continue
        old, new = ({one["to"]: one for one in forms(outcome)} for outcome in (before, after))
        for to in dict.fromkeys([*old, *new]):
            yield old.get(to), new.get(to)


def forms(outcome: Outcome) -> list[Outcome]:
    """The other versions of an event that sinks get, each with the last of the conversions that make it."""
    converted: dict[str, Outcome] = outcome.get("converted", {})
    return [
        {
            "to": to,
            "data": next(one["data"] for one in converted.values() if one["to"] == to),
            "sinks": [sink for sink, one in converted.items() if one["to"] == to],
            "mapping": by[-1],
        }
        for to, by in outcome.get("conversions", {}).items()
    ]


def _name(outcome: Outcome) -> str:
    """What an outcome is: outcomes of one name are compared with each other."""
    if "to" in outcome:
        return f"event {outcome['to']}"
    return "reject" if "reject" in outcome else f"filtered {outcome.get('filtered')}"


def _changes(old: Outcome | None, new: Outcome | None) -> Iterator[Change]:
    if old is None or new is None:
        yield from _alone(old, gone=True)
        yield from _alone(new, gone=False)
        return
    if "reject" in old:
        before, after = old["reject"], new["reject"]
        # Words may change with the rules; whoever repairs a reject looks at these.
        if any(before.get(name) != after.get(name) for name in ("code", "pointer", "field", "item")):
            yield Change("reject changes", "", before["code"], before, after)
        return
    if "to" not in old:
        return
    yield from _fields(str(old["to"]), "", old["data"], new["data"])
    for name, field in _FACTS.items():
        if old.get(name) != new.get(name):
            yield Change("fact", str(old["to"]), field, old.get(name), new.get(name))


def _alone(outcome: Outcome | None, *, gone: bool) -> Iterator[Change]:
    """A change that is a whole outcome."""
    if outcome is None:
        return
    verb = "disappears" if gone else "appears"
    if "to" in outcome:
        value: Any = outcome["data"]
        kind, to, field = f"event {verb}", str(outcome["to"]), ""
    elif "reject" in outcome:
        value = outcome["reject"]
        kind, to, field = f"reject {verb}", "", str(value["code"])
    else:
        value = outcome["filtered"]
        kind, to, field = f"filter {verb}", "", str(value)
    yield Change(kind, to, field, value if gone else None, None if gone else value)


def _fields(to: str, field: str, old: Any, new: Any) -> Iterator[Change]:
    """The smallest places where two values differ; lists of the same length item by item."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*old, *new]):
            inner = f"{field}.{name}" if field else str(name)
            yield from _fields(to, inner, old.get(name, _ABSENT), new.get(name, _ABSENT))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for one, two in zip(old, new, strict=True):
            yield from _fields(to, f"{field}[]", one, two)
    elif old is _ABSENT and isinstance(new, dict) and new:
        yield from _fields(to, field, {}, new)
    elif new is _ABSENT and isinstance(old, dict) and old:
        yield from _fields(to, field, old, {})
    elif old != new or isinstance(old, bool) is not isinstance(new, bool):
        yield Change("field", to, field, None if old is _ABSENT else old, None if new is _ABSENT else new)


def rule_of(rules: Iterable[Rule], to: str, field: str) -> Rule | None:
    """The rule that makes a field, or the list or object that the field lies in."""
    found = [one for one in rules if one.to == to and _holds(one.field, field)]
    return max(found, key=lambda one: len(one.field), default=None)


def _holds(rule: str, field: str) -> bool:
    return field == rule or field.startswith((f"{rule}.", f"{rule}["))
