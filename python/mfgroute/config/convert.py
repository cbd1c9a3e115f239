"""Conversion of plain values to structs that finds every problem, not only the first.

msgspec stops at the first error. Here each key is converted on its own, so that a file with five
mistakes is mended in one round.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec

from mfgroute.adapter import Secret
from mfgroute.config.hooks import dec_hook
from mfgroute.errors import Problem, SettingError

T = TypeVar("T", bound=msgspec.Struct)

_PATH = re.compile(r"^(?P<text>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[([0-9]+)\]")
_EXPECTED = re.compile(r"^Expected `(?P<want>[^`]+)`(?:, got `(?P<got>[^`]+)`)?$")
_PATTERN = re.compile(r"^Expected `str` matching regex (?P<quote>['\"])(?P<pattern>.*)(?P=quote)$", re.DOTALL)
_WORDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a map",
    "null": "nothing",
}


def escape(key: str) -> str:
    """One step of an RFC 6901 pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def dotted(pointer: str) -> str:
    """A pointer as people write it: ``sinks.sap.to[0]``."""
    text = ""
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        text += f"[{name}]" if name.isdigit() else f".{name}" if text else name
    return text


def close(name: str, known: Mapping[str, Any] | AbstractSet[str] | list[str]) -> str | None:
    """A hint with the known names, the closest first, or `None` when there are none."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"known: {', '.join(f'`{one}`' for one in names)}" if names else None


class Notes:
    """Collects the problems of one file, each at its place."""

    def __init__(self, file: str, places: Mapping[str, tuple[int, int]], hidden: AbstractSet[str]) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._places = places
        self._hidden = hidden

    def error(self, pointer: str, message: str, hint: str | None = None) -> None:
        """Note an error at `pointer`, or at its nearest parent with a known place."""
        self._add("error", pointer, message, hint)

    def warn(self, pointer: str, message: str, hint: str | None = None) -> None:
        """Note a warning."""
        self._add("warning", pointer, message, hint)

    def replaced(self, pointer: str) -> list[str]:
        """Pointers of values at or below `pointer` that came from a replacement."""
        return sorted(one for one in self._hidden if one == pointer or one.startswith(f"{pointer}/"))

    def shown(self, pointer: str, value: Any) -> str:
        """A value for a message: short, and never one that came from a replacement."""
        if pointer in self._hidden:
            return "a value from `${...}`"
        if isinstance(value, str) and len(value) <= 80:
            return f"`{value}`"
        if isinstance(value, bool):
            return "`true`" if value else "`false`"
        if value is None:
            return "nothing"
        if isinstance(value, int | float):
            return f"`{value}`"
        return "a map" if isinstance(value, dict) else "a list" if isinstance(value, list) else "a long text"

    def _add(self, severity: str, pointer: str, message: str, hint: str | None) -> None:
        line, column = self._place(pointer)
        problem = Problem(
            severity=severity, file=self._file, line=line, column=column, message=message, hint=hint
        )
        if problem not in self.problems:
            self.problems.append(problem)

    def _place(self, pointer: str) -> tuple[int, int]:
        """The place of a value, of a key (``pointer#key``), or of the nearest parent that has one."""
        for candidate in (pointer, pointer.removesuffix("#key")):
            if candidate in self._places:
                return self._places[candidate]
        if not pointer:
            return (0, 0)
        return self._place(pointer.rpartition("/")[0])


def convert_struct(
    kind: type[T], value: Any, pointer: str, notes: Notes, *, also: AbstractSet[str] = frozenset()
) -> T | None:
    """Make a struct of `kind`, or note every problem and return `None`.

    `value` is a decoded document at `pointer`; `also` are keys that are read elsewhere, for hints.
    """
    name = dotted(pointer) or "the file"
    if not isinstance(value, dict):
        notes.error(pointer, f"`{name}` is {notes.shown(pointer, value)}, expected a map")
        return None
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    before = len(notes.problems)
    for key in value:
        if key not in fields:
            notes.error(
                f"{pointer}/{escape(key)}#key",
                f"unknown key `{key}` in `{name}`",
                close(key, fields.keys() | also),
            )
    made: dict[str, Any] = {}
    for key, field in fields.items():
        if key in value:
            made[field.name] = convert(field.type, value[key], f"{pointer}/{escape(key)}", notes)
        elif field.required:
            notes.error(pointer, f"`{name}` has no `{key}`", _description(field.type))
    if len(notes.problems) > before:
        return None
    try:
        return kind(**made)
    except SettingError as error:
        place = pointer + error.pointer
        notes.error(place, f"`{dotted(place)}`: {error}", error.hint)
        return None
    except (ValueError, TypeError) as error:
        notes.error(pointer, f"`{name}`: {error}")
        return None


def convert(kind: Any, value: Any, pointer: str, notes: Notes) -> Any:
    """Make a value of type `kind`, going into structs, maps and lists key by key."""
    inner = _bare(kind)
    if inner is not None and isinstance(inner, type) and issubclass(inner, msgspec.Struct):
        return convert_struct(inner, value, pointer, notes)
    origin, arguments = get_origin(inner), get_args(inner)
    if origin is dict and isinstance(value, dict) and arguments[0] is str:
        return {
            key: convert(arguments[1], child, f"{pointer}/{escape(str(key))}", notes)
            for key, child in value.items()
        }
    if origin is list and isinstance(value, list) and value and _is_struct(arguments[0]):
        return [
            convert(arguments[0], child, f"{pointer}/{index}", notes) for index, child in enumerate(value)
        ]
    return _leaf(kind, value, pointer, notes)


def _leaf(kind: Any, value: Any, pointer: str, notes: Notes) -> Any:
    try:
        return msgspec.convert(value, kind, dec_hook=dec_hook)
    except msgspec.ValidationError as error:
        found = _PATH.match(str(error))
        assert found is not None
        for key, index in _STEP.findall(found["path"] or ""):
            value = value[int(index)] if index else value.get(key) if isinstance(value, dict) else value
            pointer += f"/{index or escape(key)}"
        notes.error(pointer, *_said(found["text"], kind, value, pointer, notes))
    except NotImplementedError:
        notes.error(pointer, f"`{dotted(pointer)}` has a type that cannot be configured: {kind}")
    return None


def _said(text: str, kind: Any, value: Any, pointer: str, notes: Notes) -> tuple[str, str | None]:
    """What msgspec says, as a sentence of ours and a hint."""
    shown = "a value that is not shown" if _bare(kind) is Secret else notes.shown(pointer, value)
    name = dotted(pointer)
    expected = _EXPECTED.match(text)
    if expected:
        want = " or ".join(_WORDS.get(one, one) for one in expected["want"].split(" | "))
        number = isinstance(value, int | float)
        hint = "quote it" if "str" in expected["want"].split(" | ") and number else None
        return f"`{name}` is {shown}, expected {want}", hint
    if text.startswith("Invalid enum value"):
        choices = [str(one) for one in _choices(kind)]
        return f"`{name}` is {shown}, expected one of {', '.join(choices)}", None
    pattern = _PATTERN.match(text)
    if pattern:
        plain = pattern["pattern"].replace("\\\\", "\\")
        return f"`{name}` is {shown}, expected a text like `{plain}`", _description(kind)
    text = text[0].lower() + text[1:]
    return f"`{name}` is {shown}, {text.replace('`str`', 'a text').replace('`int`', 'a whole number')}", None


def _bare(kind: Any) -> Any:
    """A type without `Annotated` and ``| None``."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, types.UnionType):
        rest = [one for one in get_args(kind) if one is not type(None)]
        return _bare(rest[0]) if len(rest) == 1 else kind
    return kind


def _is_struct(kind: Any) -> bool:
    bare = _bare(kind)
    return isinstance(bare, type) and issubclass(bare, msgspec.Struct)


def _choices(kind: Any) -> list[Any]:
    bare = _bare(kind)
    found: list[Any] = []
    for one in get_args(bare):
        found.extend(_choices(one) or ([] if isinstance(one, type) else [one]))
    return [one for one in found if one is not None]


def _description(kind: Any) -> str | None:
    for one in get_args(kind) if get_origin(kind) is Annotated else ():
        if isinstance(one, msgspec.Meta) and one.description:
            return f"{one.description[0].lower()}{one.description[1:]}"
    return None
