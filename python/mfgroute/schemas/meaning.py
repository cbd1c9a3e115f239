"""What several plain schemas say that hold at once."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from mfgroute import _core
from mfgroute.schemas.patterns import matches
from mfgroute.schemas.plain import UndecidedError, canonical

__all__ = ["NAMES", "All", "accepts", "alternatives", "every", "exact", "widened"]

#: Every type of JSON Schema; a number is also each integer.
NAMES = ("null", "boolean", "object", "array", "number", "integer", "string")


class All:
    """A conjunction of plain schemas.

    Attributes:
        schemas: the schemas, without `True`, each once; objects with ``allOf`` are taken apart.
        never: whether one of them is `False`, or one contradicts another word for word.
        text: the same for conjunctions of the same schemas.
    """

    def __init__(self, schemas: Sequence[Any]) -> None:
        found: dict[str, Any] = {}
        for one in schemas:
            for part in _parts(one):
                found.setdefault(canonical(part), part)
        self.never = "false" in found or any(
            "not" in part and canonical(part["not"]) in {*found, "true"}
            for part in found.values()
            if isinstance(part, dict)
        )
        self.schemas: list[dict[str, Any]] = [one for one in found.values() if isinstance(one, dict)]
        self.texts = frozenset(found)
        self.text = "\n".join(sorted(found))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, All) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    def schema(self) -> Any:
        """The conjunction as one schema."""
        if self.never:
            return False
        return {"allOf": self.schemas} if self.schemas else True

    @functools.cached_property
    def types(self) -> frozenset[str]:
        """Types that all allow; with ``number`` also ``integer``."""
        found = frozenset(NAMES)
        for one in self.schemas:
            if "type" in one:
                found &= widened(one["type"])
        return frozenset() if self.never else found

    @functools.cached_property
    def values(self) -> list[Any] | None:
        """Every value that is accepted, where they are listed; `None` where they are not."""
        if self.never:
            return []
        for one in self.schemas:
            listed = [one["const"]] if "const" in one else one.get("enum")
            if listed is not None:
                return [value for value in listed if accepts(self.schema, value)]
        if self.types <= {"null", "boolean"}:
            return [value for value in (None, True, False) if accepts(self.schema, value)]
        return None

    @functools.cached_property
    def impossible(self) -> bool:
        """Whether nothing is accepted, as far as that is easily seen."""
        if self.never or not self.types or self.values == []:
            return True
        if self.types != {"object"}:
            return False
        try:
            return any(self.member(name).impossible for name in self.required)
        except UndecidedError:
            return False

    def all_of(self, keyword: str) -> Iterator[Any]:
        """What each schema says with a keyword."""
        return (one[keyword] for one in self.schemas if keyword in one)

    def least(self, keyword: str) -> int:
        """The greatest of lower bounds; 0 without any."""
        return max((int(one) for one in self.all_of(keyword)), default=0)

    def most(self, keyword: str) -> int | None:
        """The least of upper bounds."""
        return min((int(one) for one in self.all_of(keyword)), default=None)

    @functools.cached_property
    def required(self) -> frozenset[str]:
        """Members that must be there, also because others must."""
        found = {name for names in self.all_of("required") for name in names}
        while True:
            more = {
                need
                for needs in self.all_of("dependentRequired")
                for name, listed in needs.items()
                if name in found
                for need in listed
            }
            if more <= found:
                return frozenset(found)
            found |= more

    @functools.cached_property
    def names(self) -> list[str]:
        """Members that are named."""
        return sorted({name for one in self.all_of("properties") for name in one} | self.required)

    def member(self, name: str) -> All:
        """What holds for the member `name`."""
        return All([part for one in self.schemas for part in members_of(one, name)])

    def others(self, patterns: frozenset[str]) -> All:
        """What surely holds for members that no schema names and none of `patterns` matches."""
        return All([
            one["additionalProperties"]
            for one in self.schemas
            if "additionalProperties" in one and set(one.get("patternProperties", ())) <= patterns
        ])  # fmt: skip

    def matched(self, pattern: str) -> All:
        """What surely holds for members that no schema names and `pattern` matches."""
        found = []
        for one in self.schemas:
            if pattern in one.get("patternProperties", {}):
                found.append(one["patternProperties"][pattern])
            elif "patternProperties" not in one and "additionalProperties" in one:
                found.append(one["additionalProperties"])
        return All(found)

    def item(self, index: int) -> All:
        """What holds for the item at an index."""
        found = []
        for one in self.schemas:
            prefix = one.get("prefixItems", [])
            found.append(prefix[index] if index < len(prefix) else one.get("items", True))
        return All(found)

    @property
    def prefixes(self) -> int:
        """Number of items that have a place of their own."""
        return max((len(one) for one in self.all_of("prefixItems")), default=0)

    def with_(self, *schemas: Any) -> All:
        """The conjunction with more schemas."""
        return All([*self.schemas, *(([False]) if self.never else []), *schemas])


def every(schema: Any) -> All:
    """A schema as a conjunction."""
    return All([schema])


def members_of(schema: dict[str, Any], name: str) -> list[Any]:
    """What one schema says about the member `name`; raises `UndecidedError` for unknown patterns."""
    properties = schema.get("properties", {})
    found = [properties[name]] if name in properties else []
    found += [one for pattern, one in schema.get("patternProperties", {}).items() if matches(pattern, name)]
    if not found and "additionalProperties" in schema:
        found.append(schema["additionalProperties"])
    return found


def alternatives(found: All) -> list[All]:
    """Conjunctions of which at least one holds where `found` holds; none where there is no choice."""
    for number, one in enumerate(found.schemas):
        others = [*found.schemas[:number], *found.schemas[number + 1 :]]
        for word in ("anyOf", "oneOf"):
            if word in one:
                rest = {key: value for key, value in one.items() if key != word}
                return [All([*others, rest, branch]) for branch in one[word]]
        if "if" in one:
            rest = {key: value for key, value in one.items() if key not in ("if", "then", "else")}
            return [
                All([*others, rest, one["if"], one.get("then", True)]),
                All([*others, rest, {"not": one["if"]}, one.get("else", True)]),
            ]
    kinds = found.types - ({"integer"} if "number" in found.types else set())
    return [found.with_({"type": [kind]}) for kind in sorted(kinds)] if len(kinds) > 1 else []


def accepts(schema: Any, value: Any) -> bool:
    """The engine's own verdict.

    Raises:
        UndecidedError: the engine takes it for no schema.
    """
    return _verdict(canonical(schema), json.dumps(value, ensure_ascii=False))


@functools.lru_cache(maxsize=2048)
def _verdict(schema: str, value: str) -> bool:
    try:
        return not _core.check_schema(schema.encode(), value.encode(), {}, formats=True)
    except ValueError as error:
        raise UndecidedError(str(error).splitlines()[0]) from error


def exact(number: Any) -> Decimal:
    """A number of a schema."""
    return Decimal(repr(number)) if isinstance(number, float) else Decimal(str(number))


def _parts(schema: Any) -> Iterator[Any]:
    if schema is True or schema == {}:
        return
    if not isinstance(schema, dict) or "allOf" not in schema:
        yield schema
        return
    yield from _parts({word: value for word, value in schema.items() if word != "allOf"})
    for one in schema["allOf"]:
        yield from _parts(one)


def widened(types: Sequence[str]) -> frozenset[str]:
    """Types with those that they hold."""
    return frozenset([*types, "integer"] if "number" in types else types)
