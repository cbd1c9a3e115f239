"""What is sent for an event: templates as settings, and the exact bytes that are kept until it has ended."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta

from mfgroute.adapter import Request
from mfgroute.adapters.http import template
from mfgroute.adapters.http.template import Document, Fields, Place, Text, Unfit
from mfgroute.errors import SettingError
from mfgroute.events import Event

__all__ = [
    "HEADER_NAME",
    "PATH_CHARACTERS",
    "Guard",
    "Packed",
    "Parts",
    "RequestTemplate",
    "packed",
    "path_text",
    "target",
    "unpacked",
]

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TYPE = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*(/[1-9][0-9]*)?")
PATH_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@/?%]*")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_UNFIT_IN_PATH = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_NEVER = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "authorization"}
_NEVER |= {"cookie", "proxy-authorization", "te", "trailer", "upgrade", "expect"}
_PATH_MAX = 8000
_VERSION = 1


class Guard(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What keeps an old version from replacing a newer one."""

    at: Annotated[
        str, Meta(pattern="^(/[^/]*)+$", description="Place of the version in the target's own document")
    ]
    version: Annotated[str, Meta(description="The event's version, such as `{data.revision}`")]

    def __post_init__(self) -> None:
        """Refuse a version that is no place of the event."""
        single(self.version, "/version")


class RequestTemplate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The request for events of some types. Texts have places such as `{data.order}`."""

    type: Annotated[
        str | list[str] | None,
        Meta(description="Types of events, `name/1` or `name`; without it: all that no other entry takes"),
    ] = None
    method: Annotated[Literal["POST", "PUT", "PATCH"], Meta(description="HTTP method")] = "POST"
    path: Annotated[
        str,
        Meta(
            description="Is put behind `url`, such as `/orders/{data.order}/receipts`; values are "
            "percent-encoded"
        ),
    ] = ""
    headers: Annotated[
        dict[str, str],
        Meta(description="Headers of this request; they are kept with it, so no secrets"),
    ] = msgspec.field(default_factory=dict)
    body: Annotated[
        Any,
        Meta(
            description="`event`, `data`, or a document with places. A text that is one place becomes the "
            "value itself, numbers as they are written"
        ),
    ] = "event"
    key: Annotated[
        str, Meta(min_length=1, description="What the target knows the request by; `{key}` elsewhere")
    ] = "{id}"
    object: Annotated[
        str | None, Meta(description="What is posted to, as people ask for it; default: the event's key")
    ] = None
    amounts: Annotated[
        dict[str, str],
        Meta(description="What is added to the object, by name, such as `{yield: '{data.quantity.good}'}`"),
    ] = msgspec.field(default_factory=dict)
    guard: Annotated[
        Guard | None,
        Meta(description="Of `effect.by: upsert`: read the target's version first, and replace no newer one"),
    ] = None

    def __post_init__(self) -> None:
        """Refuse templates that can never make a request."""
        for index, name in enumerate(self.types):
            if not _TYPE.fullmatch(name):
                raise SettingError(
                    f"`{name}` is no type, expected one such as `material.consumed/1`", _at(self, index)
                )
        _path(self.path)
        if isinstance(self.body, str) and self.body not in ("event", "data"):
            raise SettingError(f"`{self.body}`, expected `event`, `data`, a map or a list", "/body")
        _read(self.key, "/key")
        if not list(template.places(_read(self.key, "/key"))):
            raise SettingError("every request would have the same key", "/key")
        if any(place.path[0] == "key" for place in template.places(_read(self.key, "/key"))):
            raise SettingError("the key cannot be made of itself", "/key")
        _ = self.parts

    @property
    def types(self) -> list[str]:
        """The types that it takes; none for all."""
        return [] if self.type is None else [self.type] if isinstance(self.type, str) else self.type

    @property
    def parts(self) -> Parts:
        """The templates, read."""
        return Parts(
            path=_path(self.path),
            headers={name: _header(name, value) for name, value in self.headers.items()},
            body=self.body if isinstance(self.body, str) else template.document(self.body, "/body"),
            key=_read(self.key, "/key"),
            object=None if self.object is None else _read(self.object, "/object"),
            amounts={
                name: single(value, f"/amounts/{name.replace('~', '~0').replace('/', '~1')}")
                for name, value in self.amounts.items()
            },
            guard=None
            if self.guard is None
            else (self.guard.at, single(self.guard.version, "/guard/version")),
        )

    def takes(self, type_: str) -> bool:
        """Whether it is for events of a full type, such as ``com.example.material.consumed.v1``."""
        for name in self.types:
            known, _, major = name.partition("/")
            found, _, version = type_.rpartition(".v")
            if f".{found}".endswith(f".{known}") and major in ("", version):
                return True
        return not self.types


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The templates of one request, read."""

    path: Text
    headers: dict[str, Text]
    body: Document
    key: Text
    object: Text | None
    amounts: dict[str, Place]
    guard: tuple[str, Place] | None

    def render(self, event: Event, method: str, header: str | None) -> Request:
        """The request of an event: the same for the same event.

        Args:
            event: the event.
            method: of HTTP.
            header: which header carries the key, if any.

        Raises:
            Unfit: the event has not what a template needs, with a code and the pointer.
        """
        fields = Fields(event.json)
        key = template.filled(self.key, fields)
        if not _KEY.fullmatch(key):
            raise Unfit("key_unfit", f"the key {key[:40]!r} has no, too many or other than ASCII characters")
        fields = fields.keyed(key)
        headers = {name: _value(name, value, fields) for name, value in self.headers.items()}
        if header is not None:
            headers[header] = key
        if not any(name.lower() == "content-type" for name in headers):
            kind = "cloudevents+json" if self.body == "event" else "json"
            headers["Content-Type"] = f"application/{kind}; charset=utf-8"
        guard = None if self.guard is None else (self.guard[0], fields.word(self.guard[1]) or "")
        what = event.key if self.object is None else template.filled(self.object, fields)
        one = Packed(
            method=method,
            path=_target(self.path, fields),
            headers=headers,
            guard=guard,
            body=self._body(event, fields),
        )
        return Request(key=key, body=packed(one), object=what, amounts=self._amounts(fields))

    def _body(self, event: Event, fields: Fields) -> bytes:
        if self.body == "event":
            return event.json
        if self.body == "data":
            return fields.raw(Place(("data",))) or b"null"
        return template.rendered(self.body, fields)

    def _amounts(self, fields: Fields) -> dict[str, Decimal]:
        found = {name: template.decimal_text(place, fields) for name, place in self.amounts.items()}
        return {name: Decimal(written) for name, written in found.items() if written is not None}


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """One request without its secrets and without the target's address.

    Attributes:
        method: of HTTP.
        path: what is put behind the configured address, encoded.
        headers: those that are no secrets.
        guard: the place of the version in the target's document, and the event's version.
        body: exactly.
    """

    method: str
    path: str
    headers: dict[str, str]
    guard: tuple[str, str] | None = None
    body: bytes = b""


class _Head(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The first line of a packed request."""

    v: int
    method: str
    path: str
    headers: dict[str, str]
    guard: tuple[str, str] | None = None


_HEAD = msgspec.json.Decoder(_Head)


def packed(one: Packed) -> bytes:
    """A request as it is kept: one line of JSON that says all but the body, then the body."""
    head = _Head(v=_VERSION, method=one.method, path=one.path, headers=one.headers, guard=one.guard)
    return msgspec.json.encode(head) + b"\n" + one.body


def unpacked(kept: bytes) -> Packed:
    """A request that was kept.

    Raises:
        ValueError: this version does not know the form.
    """
    line, _, body = kept.partition(b"\n")
    head = _HEAD.decode(line)
    if head.v != _VERSION:
        raise ValueError(f"the request is kept in form {head.v}, known is {_VERSION}")
    return Packed(method=head.method, path=head.path, headers=head.headers, guard=head.guard, body=body)


def single(written: str, pointer: str) -> Place:
    """A text that is exactly one place.

    Raises:
        SettingError: it is not.
    """
    read = _read(written, pointer)
    if len(read) == 1 and isinstance(read[0], Place):
        return read[0]
    raise SettingError(f"`{written}`, expected one place such as `{{data.quantity}}`", pointer)


def path_text(written: str, pointer: str = "/path") -> Text:
    """Read a template of a path.

    Raises:
        SettingError: it cannot be a path, wherever it is put.
    """
    read = _read(written, pointer)
    static = "".join(part for part in read if isinstance(part, str))
    if written and not written.startswith(("/", "?")):
        raise SettingError(f"`{written}`, expected a path that begins with `/`", pointer)
    if not PATH_CHARACTERS.fullmatch(static) or re.search(r"%(?![0-9A-Fa-f]{2})", static):
        raise SettingError(
            f"`{written}` has characters that a path has not", pointer, hint="write them as %XX"
        )
    if any(part in (".", "..") for part in written.partition("?")[0].split("/")):
        raise SettingError(f"`{written}` has a part `.` or `..`", pointer)
    return read


def target(path: Text, fill: dict[str, str]) -> str:
    """A path with ``{key}`` and the like filled from `fill`, percent-encoded."""
    return "".join(
        part if isinstance(part, str) else quote(fill[str(part.path[0])], safe="") for part in path
    )


def _path(written: str) -> Text:
    return path_text(written)


def _target(path: Text, fields: Fields) -> str:
    made = ""
    for part in path:
        if isinstance(part, str):
            made += part
            continue
        word = fields.word(part)
        if not word and not part.optional:
            raise Unfit("field_missing", f"{part.pointer} is empty, and stands in the path")
        if word and _UNFIT_IN_PATH.search(word):
            raise Unfit("field_unfit", f"{part.pointer} has characters that no path carries")
        made += quote(word or "", safe="")
    if any(part in (".", "..") for part in made.partition("?")[0].split("/")):
        raise Unfit("field_unfit", "a part of the path would be `.` or `..`")
    if len(made) > _PATH_MAX:
        raise Unfit("field_unfit", f"the path has {len(made)} characters, expected at most {_PATH_MAX}")
    return made


def _header(name: str, value: str) -> Text:
    pointer = f"/headers/{name.replace('~', '~0').replace('/', '~1')}"
    if not HEADER_NAME.fullmatch(name) or name.lower() in _NEVER:
        hint = "a secret belongs under the sink's own `headers` or `token`"
        raise SettingError(f"header `{name}` cannot be set here", pointer, hint=hint)
    read = _read(value, pointer)
    if not all(_HEADER_VALUE.fullmatch(part) for part in read if isinstance(part, str)):
        raise SettingError("the value has characters that a header has not", pointer)
    return read


def _value(name: str, value: Text, fields: Fields) -> str:
    made = template.filled(value, fields)
    if not _HEADER_VALUE.fullmatch(made) or len(made) > _PATH_MAX:
        raise Unfit("field_unfit", f"the header {name} would have characters that a header has not")
    return made


def _read(written: str, pointer: str) -> Text:
    try:
        return template.text(written)
    except SettingError as error:
        raise SettingError(str(error), pointer, hint=error.hint) from None


def _at(request: RequestTemplate, index: int) -> str:
    return f"/type/{index}" if isinstance(request.type, list) else "/type"
