"""Where a schema may refuse what a conjunction of others accepts.

The conjunction (`All`) is the context, which grows with every condition on the way; the schema is taken apart
keyword by keyword, and each must follow from what the context says. That is sound, not complete: what does
not follow is a `Difference`, and a value that shows it is sought.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from mfgroute.schemas.meaning import All, accepts, alternatives, every
from mfgroute.schemas.patterns import automaton, counterexample
from mfgroute.schemas.plain import UndecidedError, canonical
from mfgroute.schemas.rules import RULES
from mfgroute.schemas.sample import fresh_name, samples

__all__ = ["Difference", "Inclusion"]

_STEPS_MAX = 20_000
_SPLITS_MAX = 6
Put = Callable[[Any, Any], Any]


class Difference(msgspec.Struct, frozen=True):
    """One place where the second schema may refuse what the first accepts.

    Attributes:
        pointer: where in a document; ``*`` is any item, ``**`` any member that has no name.
        reason: what the second schema asks for, or why the question is not decided.
        proven: whether there is a counterexample.
        counterexample: a document that the first schema accepts and the second refuses.
    """

    pointer: str
    reason: str
    proven: bool = False
    counterexample: Any = None


class _Case(msgspec.Struct, frozen=True):
    """What is compared: the context, a part of the second schema, the place, and values to begin with."""

    first: All
    part: dict[str, Any]
    pointer: str
    hints: list[Any]


class Inclusion:
    """One comparison of two schemas, with a bound on its work."""

    def __init__(self) -> None:
        self._steps = 0
        self._done: dict[tuple[str, str, str], list[Difference]] = {}

    def included(
        self, first: All, second: Any, pointer: str, hints: list[Any], splits: int = 0
    ) -> list[Difference]:
        """Differences between a context and a plain schema; none means that all is included."""
        self._steps += 1
        if self._steps > _STEPS_MAX:
            return [Difference(pointer, "the schemas are too large to compare")]
        if second is True or first.impossible or canonical(second) in first.texts:
            return []
        key = (first.text, canonical(second), pointer)
        if key not in self._done:
            try:
                self._done[key] = self._included(first, second, pointer, hints, splits)
            except UndecidedError as error:
                self._done[key] = [_shown(first, second, pointer, str(error), hints)]
        return self._done[key]

    def _included(
        self, first: All, second: Any, pointer: str, hints: list[Any], splits: int
    ) -> list[Difference]:
        if second is False:
            return [_shown(first, second, pointer, "nothing is allowed here", hints)]
        if first.values is not None:
            return [
                Difference(pointer, f"{canonical(one)} is refused", proven=True, counterexample=one)
                for one in first.values
                if not accepts(second, one)
            ]
        found = list(self._keywords(first, second, pointer, hints))
        others = alternatives(first)
        if splits >= _SPLITS_MAX or not others or all(one.proven for one in found):
            return found
        # What does not follow at once may follow in every case on its own.
        below: dict[tuple[str, str], Difference] = {}
        for case in others:
            fitting = [hint for hint in hints if accepts(case.schema, hint)]
            for one in self.included(case, second, pointer, fitting, splits + 1):
                key = (one.pointer, one.reason)
                below[key] = one if one.proven else below.get(key, one)
        return list(below.values())

    def _keywords(
        self, first: All, second: dict[str, Any], pointer: str, hints: list[Any]
    ) -> Iterator[Difference]:
        """What the keywords of the second schema refuse, those together that depend on each other."""
        unknown = dict(second)
        for words, method in self._methods():
            part = {word: second[word] for word in words if word in second}
            for word in part:
                del unknown[word]
            if part and not _said(first, part, words):
                yield from method(_Case(first, part, pointer, hints))
        for word, value in unknown.items():
            yield _shown(first, {word: value}, pointer, f"{word} is beyond the comparison", hints)

    def _methods(self) -> Iterator[tuple[tuple[str, ...], Callable[[_Case], Iterable[Difference]]]]:
        for words, rule in RULES:
            yield (
                words,
                lambda case, rule=rule: [  # type: ignore[misc]
                    _shown(
                        case.first,
                        doubt.part,
                        case.pointer + doubt.below,
                        doubt.reason,
                        case.hints,
                        doubt.tries,
                    )
                    for doubt in rule(case.first, case.part)
                ],
            )
        yield ("properties", "patternProperties", "additionalProperties"), self._members
        yield ("propertyNames",), self._names
        yield ("prefixItems", "items"), self._items
        yield ("allOf",), self._all_of
        yield ("anyOf",), self._any_of
        yield ("oneOf",), self._one_of
        yield ("not",), self._not
        yield ("if", "then", "else"), self._if
        yield ("dependentSchemas",), self._dependent

    # Objects and arrays.

    def _members(self, case: _Case) -> Iterator[Difference]:
        first, part = case.first, case.part
        if "object" not in first.types:
            return
        second = every(part)
        for name in sorted({*first.names, *second.names}):
            yield from self._member(case, first.member(name), second.member(name), name, name)
        patterns = part.get("patternProperties", {})
        for pattern, schema in patterns.items():
            fitting = _name_like(pattern, {*first.names, *second.names})
            yield from self._member(case, first.matched(pattern), every(schema), fitting, f"**{pattern}")
        if "additionalProperties" in part:
            rest = every(part["additionalProperties"])
            inner = first.others(frozenset(patterns))
            yield from self._member(case, inner, rest, fresh_name(first, second), "**")

    def _member(
        self, case: _Case, inner: All, second: All, name: str | None, shown: str
    ) -> Iterator[Difference]:
        def put(base: Any, value: Any) -> Any:
            return {**base, name: value} if isinstance(base, dict) and name is not None else None

        place = f"{case.pointer}/{shown.replace('~', '~0').replace('/', '~1')}"
        below = [one[name] for one in case.hints if isinstance(one, dict) and name in one]
        for schema in [False] if second.never else second.schemas:
            for one in self.included(inner, schema, place, below):
                yield _lifted(case, one, put, "object")

    def _names(self, case: _Case) -> Iterator[Difference]:
        first, wanted = case.first, case.part["propertyNames"]
        if "object" not in first.types:
            return

        def put(base: Any, name: Any) -> Any:
            values = samples(first.member(name), limit=1) if isinstance(name, str) else []
            return {**base, name: values[0]} if isinstance(base, dict) and values else None

        closed = any(
            one.get("additionalProperties") is False and "patternProperties" not in one
            for one in first.schemas
        )
        if closed:
            names = [name for name in first.names if not first.member(name).impossible]
            context = every({"enum": names}) if names else every(False)  # noqa: FBT003 - a schema
        else:
            context = All([{"type": ["string"]}, *first.all_of("propertyNames")])
        for one in self.included(context, wanted, f"{case.pointer}/**", []):
            yield _lifted(case, one, put, "object")

    def _items(self, case: _Case) -> Iterator[Difference]:
        first = case.first
        if "array" not in first.types:
            return
        second = every(case.part)
        most = first.most("maxItems")
        own = max(first.prefixes, second.prefixes)
        for index in range(own + 1):
            if most is not None and index >= most:
                return
            shown = "*" if index == own else str(index)
            yield from self._item(case, index, first.item(index), second.item(index), shown)

    def _item(self, case: _Case, index: int, inner: All, second: All, shown: str) -> Iterator[Difference]:
        def put(base: Any, value: Any) -> Any:
            if not isinstance(base, list):
                return None
            made = list(base)
            while len(made) <= index:
                filling = samples(case.first.item(len(made)), limit=1)
                if not filling:
                    return None
                made += filling
            made[index] = value
            return made

        below = [item for one in case.hints if isinstance(one, list) for item in one[index:]][:8]
        for schema in [False] if second.never else second.schemas:
            for one in self.included(inner, schema, f"{case.pointer}/{shown}", below):
                yield _lifted(case, one, put, "array")

    # Schemas of the same value.

    def _all_of(self, case: _Case) -> Iterator[Difference]:
        for schema in case.part["allOf"]:
            yield from self._same(case, case.first, schema)

    def _any_of(self, case: _Case) -> Iterator[Difference]:
        tries = []
        for schema in case.part["anyOf"]:
            found = self.included(case.first, schema, case.pointer, case.hints)
            if not found:
                return
            tries += [one.counterexample for one in found if one.proven]
        yield _shown(case.first, case.part, case.pointer, "none of anyOf takes all", case.hints, tries)

    def _one_of(self, case: _Case) -> Iterator[Difference]:
        branches = case.part["oneOf"]
        tries = []
        for number, schema in enumerate(branches):
            others = [one for at, one in enumerate(branches) if at != number]
            found = self.included(case.first, schema, case.pointer, case.hints)
            if not found and all(case.first.with_(one).impossible for one in others):
                return
            tries += [one.counterexample for one in found if one.proven]
        yield _shown(
            case.first, case.part, case.pointer, "not exactly one of oneOf takes all", case.hints, tries
        )

    def _not(self, case: _Case) -> Iterator[Difference]:
        both = case.first.with_(case.part["not"])
        if not both.impossible:
            reason = "what is under `not` may be accepted"
            yield _shown(case.first, case.part, case.pointer, reason, case.hints, _samples(both))

    def _if(self, case: _Case) -> Iterator[Difference]:
        condition = case.part["if"]
        yield from self._same(case, case.first.with_(condition), case.part.get("then", True))
        refused = case.first.with_({"not": condition})
        yield from self._same(case, refused, case.part.get("else", True))

    def _dependent(self, case: _Case) -> Iterator[Difference]:
        for name, schema in case.part["dependentSchemas"].items():
            context = case.first.with_({"type": ["object"]}, {"required": [name]})
            yield from self._same(case, context, schema)

    def _same(self, case: _Case, context: All, schema: Any) -> Iterator[Difference]:
        """Differences in a narrower context; a value counts only if it shows them for the whole part."""
        hints = [one for one in case.hints if accepts(context.schema, one)]
        for one in self.included(context, schema, case.pointer, hints):
            if one.proven and _shows(case.first, case.part, one.counterexample):
                yield one
            else:
                yield Difference(one.pointer, one.reason)


def _shown(  # noqa: PLR0917 - what is compared, where, why, and what may show it
    first: All, second: Any, pointer: str, reason: str, hints: list[Any], tries: Iterable[Any] = ()
) -> Difference:
    """A difference, with a value that shows it if one is found."""
    for one in _tries(first, hints, tries):
        if _shows(first, second, one):
            return Difference(pointer, reason, proven=True, counterexample=one)
    return Difference(pointer, reason)


def _said(first: All, part: dict[str, Any], words: Iterable[str]) -> bool:
    """Whether the context says the same word for word. Texts are compared: to Python, 1 is `True`."""
    text = canonical(part)
    return any(canonical({word: one[word] for word in words if word in one}) == text for one in first.schemas)


def _tries(first: All, hints: list[Any], tries: Iterable[Any]) -> Iterator[Any]:
    yield from hints
    yield from tries
    yield from _samples(first)


def _samples(first: All) -> list[Any]:
    try:
        return samples(first, limit=24)
    except UndecidedError:
        return []


def _shows(first: All, second: Any, value: Any) -> bool:
    try:
        return accepts(first.schema, value) and not accepts(second, value)
    except UndecidedError:
        return False


def _lifted(case: _Case, found: Difference, put: Put, kind: str) -> Difference:
    """A difference of a member or an item as one of the value that holds it."""
    if not found.proven:
        return found
    for base in (*case.hints, *_samples(case.first.with_({"type": [kind]})), {}, []):
        value = put(base, found.counterexample)
        if value is not None and _shows(case.first, case.part, value):
            return Difference(found.pointer, found.reason, proven=True, counterexample=value)
    return Difference(found.pointer, f"{found.reason}, but no document was found that shows it")


def _name_like(pattern: str, taken: set[str]) -> str | None:
    """A name that a pattern matches and that no schema names."""
    try:
        name = counterexample([automaton(pattern)], (0, None), None, (-1, -1))
    except UndecidedError:
        return None
    return None if name in taken else name
