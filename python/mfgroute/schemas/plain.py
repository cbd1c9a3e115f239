"""Schemas without references and annotations: what is left is what decides about a document."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["UndecidedError", "canonical", "plain"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: Keywords that assert nothing, and those that only say where things are.
_SILENT = frozenset({
    "$anchor", "$comment", "$defs", "contentEncoding", "contentMediaType", "contentSchema", "default",
    "deprecated", "description", "examples", "readOnly", "title", "writeOnly",
})  # fmt: skip
#: Keywords that change what others mean; schemas with them are compared as texts only.
_BEYOND = ("$id", "$dynamicRef", "$dynamicAnchor", "$vocabulary", "unevaluatedItems", "unevaluatedProperties")
_ONE = frozenset({"additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"})
_LIST = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_MAP = frozenset({"dependentSchemas", "patternProperties", "properties"})
_OURS = frozenset({"x-codes", "x-decimal"})
_VALUES_MAX = 50_000
_DIGITS_MAX = 15


class UndecidedError(Exception):
    """A question about schemas is not decided; the message says why."""


def canonical(value: Any) -> str:
    """A text that is the same for equal documents."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def plain(schema: Any) -> Any:
    """A schema of the same meaning: `True`, `False` or an object without references and annotations.

    Lists whose order says nothing are sorted, so that equal schemas have equal texts.

    Raises:
        UndecidedError: a keyword, a reference or a number of the schema is beyond the comparison.
    """
    return _Plain(schema).of(schema, ())


class _Plain:
    """Rewrites one schema document."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._values = 0

    def of(self, schema: Any, above: tuple[str, ...]) -> Any:
        self._values += 1
        if self._values > _VALUES_MAX:
            raise UndecidedError(f"the schema has more than {_VALUES_MAX} values without its references")
        if not isinstance(schema, dict):
            return schema
        for word in _BEYOND:
            if word in schema:
                raise UndecidedError(f"{word} is beyond the comparison")
        if schema.get("$schema", DIALECT).rstrip("#") != DIALECT:
            raise UndecidedError(f"the dialect {schema['$schema']} is beyond the comparison")
        made = {
            word: self._keyword(word, value, above)
            for word, value in schema.items()
            if word not in _SILENT
            and word not in ("$ref", "$schema")
            and (word in _OURS or not word.startswith("x-"))
        }
        if "$ref" in schema:
            made["allOf"] = [*made.get("allOf", []), self._target(str(schema["$ref"]), above)]
        return _tidy(made) or True

    def _keyword(self, word: str, value: Any, above: tuple[str, ...]) -> Any:
        if word in _ONE:
            return self.of(value, above)
        if word in _LIST:
            return [self.of(one, above) for one in value]
        if word in _MAP:
            return {name: self.of(one, above) for name, one in value.items()}
        _check_numbers(value)
        return _sorted(word, value)

    def _target(self, reference: str, above: tuple[str, ...]) -> Any:
        if reference in above:
            raise UndecidedError(f"the schema refers to itself by {reference}")
        if not reference.startswith("#"):
            raise UndecidedError(f"the reference {reference} leaves the schema")
        name = reference[1:]
        found = self._at(name) if name == "" or name.startswith("/") else _anchored(self._root, name)
        if found is None:
            raise UndecidedError(f"the reference {reference} has no target")
        return self.of(found, (*above, reference))

    def _at(self, pointer: str) -> Any:
        at = self._root
        for step in pointer.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(at, list) and name.isdecimal() and int(name) < len(at):
                at = at[int(name)]
            elif isinstance(at, dict) and name in at:
                at = at[name]
            else:
                return None
        return at


def _sorted(word: str, value: Any) -> Any:
    """Lists whose order says nothing, in one order."""
    if word == "enum":
        return sorted(value, key=canonical)
    if word == "type":
        return sorted(set(value)) if isinstance(value, list) else [value]
    if word == "required":
        return sorted(set(value))
    if word == "dependentRequired":
        return {name: sorted(set(needs)) for name, needs in value.items()}
    return value


def _tidy(made: dict[str, Any]) -> dict[str, Any]:
    """Without keywords that say nothing where they stand."""
    if "if" not in made or not ("then" in made or "else" in made):
        made = {word: value for word, value in made.items() if word not in ("if", "then", "else")}
    if "contains" not in made:
        made = {word: value for word, value in made.items() if word not in ("minContains", "maxContains")}
    nothing = {"additionalProperties": True, "items": True, "propertyNames": True, "uniqueItems": False}
    empty = {"allOf", "dependentRequired", "dependentSchemas", "patternProperties", "prefixItems", "required"}
    return {
        word: value
        for word, value in made.items()
        if not (word in nothing and value is nothing[word]) and not (word in empty and not value)
    }


def _anchored(schema: Any, anchor: str) -> Any:
    if isinstance(schema, dict) and schema.get("$anchor") == anchor:
        return schema
    children = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    return next((one for one in (_anchored(child, anchor) for child in children) if one is not None), None)


def _check_numbers(value: Any) -> None:
    """Numbers with a fraction come as floats; one with too many digits may not be what was written."""
    if isinstance(value, float):
        digits = repr(value).partition("e")[0].replace(".", "").lstrip("-0")
        if len(digits.rstrip("0")) > _DIGITS_MAX or abs(value) >= 1 << 53:
            raise UndecidedError(f"the number {value!r} may have more digits than are kept")
    elif isinstance(value, list):
        for one in value:
            _check_numbers(one)
    elif isinstance(value, dict):
        for one in value.values():
            _check_numbers(one)
