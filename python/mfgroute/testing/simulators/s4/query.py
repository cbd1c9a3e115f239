"""Queries: resource paths with keys, and ``$filter``, ``$select``, ``$orderby``, ``$top``, ``$skip``."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from mfgroute.testing.simulators.s4.messages import refusal
from mfgroute.testing.simulators.s4.model import Entity
from mfgroute.testing.simulators.s4.store import Row
from mfgroute.testing.simulators.s4.wire import Field, literal, plain

__all__ = ["Segment", "key_of", "ordered", "parsed", "segments"]

_SEGMENT = re.compile(r"([A-Za-z_$][\w$]*)(?:\((.*)\))?", re.DOTALL)
_KEY = re.compile(r"(?:(\w+)\s*=\s*)?((?:datetime|guid)?'(?:[^']|'')*'|[\w.-]+)\s*(?:,|$)\s*")
_TOKEN = re.compile(
    r"\s*(?:(?P<literal>(?:datetimeoffset|datetime|guid|time)?'(?:[^']|'')*'|-?\d+(?:\.\d+)?[mMdDfFlL]?\b)"
    r"|(?P<word>[A-Za-z_]\w*)|(?P<mark>[(),]))"
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: left == right,
    "ne": lambda left, right: left != right,
    "gt": lambda left, right: left > right,
    "ge": lambda left, right: left >= right,
    "lt": lambda left, right: left < right,
    "le": lambda left, right: left <= right,
}
_TEXT: dict[str, Callable[[str, str], bool]] = {
    "startswith": lambda first, second: first.startswith(second),
    "endswith": lambda first, second: first.endswith(second),
    "substringof": lambda first, second: first in second,
}
_TYPES: dict[str, type] = {"D": Decimal, "I": Decimal, "B": bool}
_Test = Callable[[Row], bool]


class Segment(NamedTuple):
    """A part of a resource path: a name, and what stands in its parentheses."""

    name: str
    key: str | None


def segments(path: str) -> list[Segment]:
    """The parts of a path below a service.

    Raises:
        ODataError: it cannot be understood.
    """
    found = []
    for part in re.split(r"/(?=(?:[^']*'[^']*')*[^']*$)", path.strip("/")):
        match = _SEGMENT.fullmatch(part)
        if match is None:
            raise refusal("resource_unknown", part)
        found.append(Segment(match[1], match[2]))
    return found


def key_of(entity: Entity, text: str) -> str:
    """The key of a row from what stands in the parentheses of a path.

    Raises:
        ODataError: it is not the key of this entity.
    """
    given: dict[str, str] = {}
    place = 0
    while place < len(text):
        match = _KEY.match(text, place)
        if match is None:
            raise refusal("resource_unknown", f"{entity.path}({text})")
        name = match[1] or (entity.keys[0] if len(entity.keys) == 1 else "")
        given[name] = match[2]
        place = match.end()
    if set(given) != set(entity.keys):
        raise refusal("resource_unknown", f"{entity.path}({text})")
    values = {name: _normal(entity.fields[name], _literal(value)) for name, value in given.items()}
    return entity.key(values)


def parsed(entity: Entity, text: str | None) -> tuple[_Test, dict[str, Any]]:
    """A ``$filter``: a test of a row, and values that every row has that passes it, to find rows by.

    Raises:
        ODataError: it cannot be understood.
    """
    if not text:
        return (lambda _: True), {}
    found = _Filter(entity, text)
    test = found.parse()
    return test, {} if found.alternatives else found.equal


def ordered(entity: Entity, rows: list[Row], text: str | None) -> list[Row]:
    """Rows in the order of ``$orderby``.

    Raises:
        ODataError: it names no property.
    """
    for part in reversed(text.split(",") if text else []):
        name, _, direction = part.strip().partition(" ")
        field = entity.fields.get(name)
        if field is None or direction not in ("", "asc", "desc"):
            raise refusal("query", "$orderby", part)
        rows = sorted(rows, key=_sorter(field), reverse=direction == "desc")
    return rows


def _sorter(field: Field) -> Callable[[Row], Any]:
    def of(row: Row) -> tuple[int, Any]:
        value = _comparable(field, row[field.name])
        if field.kind == "N":
            return (len(value), value)
        return (0, "") if value is None else (1, value)

    return of


def _literal(text: str) -> Any:
    try:
        return literal(text)
    except ValueError as error:
        raise refusal("query", "$filter", error) from None


def _normal(field: Field, value: Any) -> Any:
    """A literal as the property is kept."""
    return plain(value) if field.kind == "N" and isinstance(value, str) else value


def _comparable(field: Field, value: Any) -> Any:
    return Decimal(value) if field.kind in "DI" else value


class _Filter:
    """A parser of ``$filter``: comparisons, three functions of text, ``and``, ``or``, ``not``.

    Attributes:
        equal: values that outermost comparisons ask for.
        alternatives: whether there is an outermost ``or``.
    """

    def __init__(self, entity: Entity, text: str) -> None:
        self._entity = entity
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        place = 0
        while place < len(text.rstrip()):
            match = _TOKEN.match(text, place)
            if match is None or match.lastgroup is None:
                raise self._wrong(text[place:])
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            place = match.end()
        self._place = 0
        self._depth = 0
        self.equal: dict[str, Any] = {}
        self.alternatives = False

    def _wrong(self, what: str) -> Exception:
        return refusal("query", "$filter", f"at '{what}'")

    def _next(self) -> tuple[str, str]:
        if self._place == len(self._tokens):
            raise self._wrong("")
        self._place += 1
        return self._tokens[self._place - 1]

    def _take(self, value: str) -> bool:
        if self._place < len(self._tokens) and self._tokens[self._place][1] == value:
            self._place += 1
            return True
        return False

    def _expect(self, value: str) -> None:
        if not self._take(value):
            raise self._wrong(value)

    def parse(self) -> _Test:
        """The whole filter as a test of a row."""
        test = self._either()
        if self._place < len(self._tokens):
            raise self._wrong(self._tokens[self._place][1])
        return test

    def _either(self) -> _Test:
        tests = [self._both()]
        while self._take("or"):
            self.alternatives = self.alternatives or self._depth == 0
            tests.append(self._both())
        return lambda row: any(test(row) for test in tests)

    def _both(self) -> _Test:
        tests = [self._one()]
        while self._take("and"):
            tests.append(self._one())
        return lambda row: all(test(row) for test in tests)

    def _one(self) -> _Test:
        if self._take("not"):
            self._depth += 1
            test = self._one()
            self._depth -= 1
            return lambda row: not test(row)
        if self._take("("):
            self._depth += 1
            test = self._either()
            self._depth -= 1
            self._expect(")")
            return test
        kind, word = self._next()
        if kind == "word" and word in _TEXT:
            return self._function(_TEXT[word])
        field = self._entity.fields.get(word)
        if field is None:
            raise refusal("property", word)
        return self._comparison(field)

    def _comparison(self, field: Field) -> _Test:
        _, operator = self._next()
        compare = _COMPARE.get(operator)
        if compare is None:
            raise self._wrong(operator)
        _, text = self._next()
        value = _normal(field, _literal(text))
        if value is not None and not isinstance(value, _TYPES.get(field.kind, str)):
            raise self._wrong(text)
        if operator == "eq" and self._depth == 0 and field.kind in "SNG":
            self.equal[field.name] = value

        def test(row: Row) -> bool:
            kept = _comparable(field, row[field.name])
            if kept is None or value is None:
                return operator == ("eq" if kept is value else "ne")
            return compare(kept, value)

        return test

    def _function(self, function: Callable[[str, str], bool]) -> _Test:
        self._expect("(")
        first = self._operand()
        self._expect(",")
        second = self._operand()
        self._expect(")")
        if self._take("eq"):
            self._expect("true")
        return lambda row: function(first(row), second(row))

    def _operand(self) -> Callable[[Row], str]:
        kind, text = self._next()
        if kind == "literal":
            value = str(_literal(text))
            return lambda _: value
        field = self._entity.fields.get(text)
        if field is None:
            raise refusal("property", text)
        return lambda row: str(row[text])
