"""What is sent for an event: templates as settings, and the exact bytes that are kept until it has ended."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mfgroute.adapter import Request
from mfgroute.adapters.http import template
from mfgroute.adapters.http.kept import Packed, packed
from mfgroute.adapters.http.pieces import filled_header, filled_path, header_text, path_text, read, single
from mfgroute.adapters.http.reversal import Reversal
from mfgroute.adapters.http.template import Document, Fields, Place, Text, Unfit
from mfgroute.errors import SettingError
from mfgroute.events import Event

__all__ = ["Guard", "Parts", "RequestTemplate"]

_TYPE = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*(/[1-9][0-9]*)?")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


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
    reversal: Annotated[
        Reversal | None,
        Meta(
            description="The request that takes it back, for `mfgroute effects reverse`; none: it cannot be"
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse templates that can never make a request."""
        for index, name in enumerate(self.types):
            if not _TYPE.fullmatch(name):
                raise SettingError(
                    f"`{name}` is no type, expected one such as `material.consumed/1`", _at(self, index)
                )
        path_text(self.path)
        if isinstance(self.body, str) and self.body not in ("event", "data"):
            raise SettingError(f"`{self.body}`, expected `event`, `data`, a map or a list", "/body")
        read(self.key, "/key")
        if not list(template.places(read(self.key, "/key"))):
            raise SettingError("every request would have the same key", "/key")
        if any(place.path[0] == "key" for place in template.places(read(self.key, "/key"))):
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
            path=path_text(self.path),
            headers={name: header_text(name, value) for name, value in self.headers.items()},
            body=self.body if isinstance(self.body, str) else template.document(self.body, "/body"),
            key=read(self.key, "/key"),
            object=None if self.object is None else read(self.object, "/object"),
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
        headers = {name: filled_header(name, value, fields) for name, value in self.headers.items()}
        if header is not None:
            headers[header] = key
        if not any(name.lower() == "content-type" for name in headers):
            kind = "cloudevents+json" if self.body == "event" else "json"
            headers["Content-Type"] = f"application/{kind}; charset=utf-8"
        guard = None if self.guard is None else (self.guard[0], fields.word(self.guard[1]) or "")
        what = event.key if self.object is None else template.filled(self.object, fields)
        one = Packed(
            method=method,
            type=event.type,
            path=filled_path(self.path, fields),
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


def _at(request: RequestTemplate, index: int) -> str:
    return f"/type/{index}" if isinstance(request.type, list) else "/type"
