"""Texts and documents with places that are filled from an event: ``/orders/{data.order}/receipts``.

A place is ``{path}``, ``{path?}`` or ``{path|form}``. A path starts at the CloudEvent (``id``, ``subject``,
``data.quantity.value``, ``data.items[0]``, ``data.'odd name'``) or is ``key``, the key of the request. Values
are copied as they stand in the event: no number passes through a float. ``{{`` and ``}}`` are braces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from mfgroute.errors import SettingError

__all__ = [
    "EVENT",
    "Document",
    "Fields",
    "Place",
    "Text",
    "Unfit",
    "decimal_text",
    "document",
    "filled",
    "places",
    "rendered",
    "text",
]

_CONTEXT = {"correlationid", "causationid", "traceparent", "recordedtime", "bampid", "bamtxid", "bamptxsid"}
#: What an event has, and the key of its request.
EVENT = frozenset(
    {"id", "source", "type", "subject", "time", "data", "key", "dataschema", "partitionkey"}
    | {"mfgsite", "mfgkind", "mfgmapping"}
    | _CONTEXT
)
_STEP = re.compile(r"""(?P<name>[^.'"\[\]{}|?\s]+)|'(?P<quoted>[^']+)'|\[(?P<index>[0-9]{1,6})\]""")
_PLACE = re.compile(r"\{\{|\}\}|\{(?P<inside>[^{}]*)\}|(?P<stray>[{}])")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_FORMS = ("number", "text", "hex")
_NUMBER_MAX = 60

_LEVEL: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_WORD: msgspec.json.Decoder[str] = msgspec.json.Decoder(str)


class Unfit(Exception):  # noqa: N818 - a verdict on the event
    """An event has not what a template needs.

    Attributes:
        code: ``field_missing`` or ``field_unfit``.
        reason: the place as a pointer into the event, and what is wrong there.
    """

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)


class Place(msgspec.Struct, frozen=True):
    """One place that is filled.

    Attributes:
        path: the steps from the event to the value.
        optional: whether it may be missing.
        form: ``number``, ``text``, ``hex`` or nothing.
    """

    path: tuple[str | int, ...]
    optional: bool = False
    form: str = ""

    @property
    def pointer(self) -> str:
        """The place in the event as an RFC 6901 pointer."""
        return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in self.path)


Text: TypeAlias = tuple[str | Place, ...]
#: A template of a JSON document: bytes stand as they are; a list or a dict of templates, a place or a text.
Document: TypeAlias = Any


class Fields:
    """The values of one event, each as the JSON text that stands there.

    Args:
        event: the CloudEvent as JSON.
        key: what ``{key}`` is.
        what: the words for it in a verdict.

    Raises:
        Unfit: the event is no JSON object.
    """

    def __init__(self, event: bytes, key: str = "", *, what: str = "the event") -> None:
        self._levels: dict[tuple[str | int, ...], dict[str, msgspec.Raw] | list[msgspec.Raw] | None] = {}
        self._key, self._what = key, what
        try:
            self._levels[()] = _LEVEL.decode(event)
        except msgspec.DecodeError as error:
            raise Unfit("event_unreadable", str(error)) from error

    def keyed(self, key: str) -> Fields:
        """The same values with another ``{key}``."""
        self._key = key
        return self

    def raw(self, place: Place) -> bytes | None:
        """The JSON text at a place in its form, or `None` if it is optional and not there.

        Raises:
            Unfit: it is not there, or has not that form.
        """
        found = msgspec.json.encode(self._key) if place.path == ("key",) else self._at(place.path)
        if found is None or found == b"null":
            if place.optional:
                return None
            raise Unfit("field_missing", f"{place.pointer} is not in {self._what}")
        return _formed(place, found) if place.form else found

    def word(self, place: Place) -> str | None:
        """The value at a place as text: a text, or a number or boolean as it is written.

        Raises:
            Unfit: it is not there, or is an object or a list.
        """
        raw = self.raw(place)
        if raw is None:
            return None
        if raw[:1] in (b"{", b"["):
            what = "an object" if raw[:1] == b"{" else "a list"
            raise Unfit("field_unfit", f"{place.pointer} is {what}, expected a text or a number")
        return _WORD.decode(raw) if raw[:1] == b'"' else raw.decode()

    def _at(self, path: tuple[str | int, ...]) -> bytes | None:
        level = self._level(path[:-1])
        step = path[-1]
        if isinstance(level, dict) and isinstance(step, str) and step in level:
            return bytes(level[step])
        if isinstance(level, list) and isinstance(step, int) and step < len(level):
            return bytes(level[step])
        return None

    def _level(self, path: tuple[str | int, ...]) -> dict[str, msgspec.Raw] | list[msgspec.Raw] | None:
        if path not in self._levels:
            raw = self._at(path) or b""
            reader: Any = {b"{": _LEVEL, b"[": _ITEMS}.get(raw.lstrip()[:1])
            self._levels[path] = reader.decode(raw) if reader else None
        return self._levels[path]


def text(template: str, names: frozenset[str] = EVENT) -> Text:
    """Read a text with places.

    Args:
        template: as the configuration has it.
        names: with which a place may begin.

    Raises:
        SettingError: a place is not well formed, or begins with another name.
    """
    parts: list[str | Place] = []
    start = 0
    for found in _PLACE.finditer(template):
        parts.append(template[start : found.start()])
        start = found.end()
        if found["stray"]:
            raise SettingError(
                f"`{found[0]}` stands alone in `{template}`", hint="a brace that is meant is written twice"
            )
        parts.append(_place(found["inside"], names) if found["inside"] is not None else found[0][0])
    parts.append(template[start:])
    return tuple(part for part in parts if part)


def filled(template: Text, fields: Fields) -> str:
    """A text with its places filled; a missing optional value is nothing.

    Raises:
        Unfit: a value is missing, or is an object or a list.
    """
    return "".join(part if isinstance(part, str) else fields.word(part) or "" for part in template)


def document(template: Any, pointer: str = "", names: frozenset[str] = EVENT) -> Document:
    """Read a document whose texts have places.

    Args:
        template: as the configuration has it.
        pointer: where it stands, for messages.
        names: with which a place may begin.

    Raises:
        SettingError: with the pointer of the mistake.
    """
    if isinstance(template, dict):
        return {
            str(name): document(child, f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}", names)
            for name, child in template.items()
        }
    if isinstance(template, list):
        return [document(child, f"{pointer}/{index}", names) for index, child in enumerate(template)]
    if isinstance(template, str):
        try:
            return text(template, names)
        except SettingError as error:
            raise SettingError(str(error), pointer, hint=error.hint) from None
    if isinstance(template, float):
        shown = repr(template)
        if "e" in shown or sum(sign.isdigit() for sign in shown) > 15:
            raise SettingError(f"the number {shown} is not exact", pointer, hint="take it from the event")
        return shown.encode()
    return msgspec.json.encode(template)


def rendered(template: Document, fields: Fields) -> bytes:
    """The document as JSON; what is missing and optional is left out of its object or list.

    Raises:
        Unfit: a value is missing or has another form.
    """
    return _rendered(template, fields) or b"null"


def places(template: Any) -> Iterator[Place]:
    """Every place of a text or document."""
    if isinstance(template, Place):
        yield template
    elif isinstance(template, dict):
        for child in template.values():
            yield from places(child)
    elif isinstance(template, list | tuple):
        for child in template:
            yield from places(child)


def decimal_text(place: Place, fields: Fields) -> str | None:
    """A decimal as it is written in the event, number or text.

    Raises:
        Unfit: it is missing, or no decimal.
    """
    raw = fields.raw(msgspec.structs.replace(place, form="number"))
    return None if raw is None else raw.decode()


def _rendered(template: Document, fields: Fields) -> bytes | None:
    if isinstance(template, bytes):
        return template
    if isinstance(template, dict):
        pairs = ((name, _rendered(child, fields)) for name, child in template.items())
        inside = b",".join(msgspec.json.encode(name) + b":" + raw for name, raw in pairs if raw is not None)
        return b"{" + inside + b"}"
    if isinstance(template, list):
        items = (_rendered(child, fields) for child in template)
        return b"[" + b",".join(raw for raw in items if raw is not None) + b"]"
    if len(template) == 1 and isinstance(template[0], Place):
        # A place that stands alone is the value itself, of whatever kind.
        return fields.raw(template[0])
    return msgspec.json.encode(filled(template, fields))


def _place(inside: str, names: frozenset[str]) -> Place:
    path, bar, form = inside.partition("|")
    if bar and form not in _FORMS:
        raise SettingError(
            f"`{{{inside}}}`: `{form}` is no form of a value", hint=f"known: {', '.join(_FORMS)}"
        )
    optional = path.endswith("?")
    return Place(_path(path.removesuffix("?"), inside, names), optional, form)


def _path(written: str, inside: str, names: frozenset[str]) -> tuple[str | int, ...]:
    steps: list[str | int] = []
    at = 0
    while at < len(written):
        found = _STEP.match(written, at)
        if found is None or (found["index"] is not None and not steps):
            raise SettingError(f"`{{{inside}}}` is no path, expected one such as `{{data.order}}`")
        steps.append(int(found["index"]) if found["index"] else found["quoted"] or found["name"])
        at = found.end()
        if at < len(written) and written[at] == "." and at + 1 < len(written):
            at += 1
        elif at < len(written) and written[at] != "[":
            raise SettingError(f"`{{{inside}}}` is no path, expected one such as `{{data.order}}`")
    if not steps or steps[0] not in names:
        raise _unknown(written if steps else "", inside, names)
    return tuple(steps)


def _unknown(written: str, inside: str, names: frozenset[str]) -> SettingError:
    if names is not EVENT:
        known = ", ".join(f"`{name}`" for name in sorted(names))
        return SettingError(
            f"`{{{inside}}}` is nothing that is known here", hint=f"places begin with {known}"
        )
    hint = f"did you mean `{{data.{written}}}`?" if written else "write a path such as `{data.order}`"
    return SettingError(f"`{{{inside}}}` is nothing that an event has", hint=hint)


def _formed(place: Place, raw: bytes) -> bytes:
    is_text = raw[:1] == b'"'
    if place.form == "number":
        word = _WORD.decode(raw) if is_text else raw.decode()
        if len(word) > _NUMBER_MAX or not _NUMBER.fullmatch(word):
            raise Unfit("field_unfit", f"{place.pointer} is no plain decimal number")
        return word.encode()
    if raw[:1] in (b"{", b"["):
        raise Unfit("field_unfit", f"{place.pointer} is no text or number")
    if place.form == "hex":
        return msgspec.json.encode((_WORD.decode(raw) if is_text else raw.decode()).replace("-", ""))
    return raw if is_text else msgspec.json.encode(raw.decode())
