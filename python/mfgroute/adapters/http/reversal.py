"""What takes a posted request back, as settings: a request made of the original, and its answers."""

from __future__ import annotations

import hashlib
import uuid
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mfgroute.adapter import Request
from mfgroute.adapters.http import template
from mfgroute.adapters.http.contract import Condition, Row
from mfgroute.adapters.http.kept import Packed, packed
from mfgroute.adapters.http.pieces import filled_header, filled_path, header_text, path_text
from mfgroute.adapters.http.template import Document, Fields, Text
from mfgroute.errors import SettingError

__all__ = ["Reversal", "Undone"]

_NAMES = frozenset({"key", "original", "reason"})


class Undone(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How the target is asked, by GET, whether it has taken something back. Other answers leave it open."""

    path: Annotated[
        str,
        Meta(min_length=1, description="Is put behind `url`, such as `/receipts/{original.reference}`"),
    ]
    done: Annotated[Condition, Meta(description="Which answers say that it was taken back")]
    still: Annotated[
        Condition, Meta(description="Which answers say that it stands: the request is sent again")
    ]


class Reversal(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The request that takes a posted one back. Texts have places such as `{original.reference}`."""

    method: Annotated[Literal["POST", "PUT", "PATCH", "DELETE"], Meta(description="HTTP method")] = "POST"
    path: Annotated[
        str,
        Meta(
            min_length=1,
            description="Is put behind `url`, such as `/receipts/{original.reference}/cancel`; values are "
            "percent-encoded",
        ),
    ]
    headers: Annotated[
        dict[str, str], Meta(description="Headers of this request; they are kept with it, so no secrets")
    ] = msgspec.field(default_factory=dict)
    body: Annotated[
        dict[str, Any] | list[Any] | None,
        Meta(description="A document with places, as in `requests.body`; none: nothing is sent"),
    ] = None
    answers: Annotated[
        list[Row], Meta(description="What answers to it mean; those of the sink come after")
    ] = msgspec.field(default_factory=list)
    ask: Annotated[
        Undone | None,
        Meta(
            description="Of `effect.by: lookup`: how the target is asked; default: by `{key}`, as `ask` "
            "of the sink says"
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse templates that can never make a request."""
        _ = self._read
        if not any(place.path[0] == "original" for place in self._places()):
            raise SettingError("names nothing of the original, so every reversal would be the same", "/path")

    def check(self, by: str) -> None:
        """Refuse what could take something back twice.

        Args:
            by: the class of the target.

        Raises:
            SettingError: with the pointer of the mistake.
        """
        if self.ask is not None and by != "lookup":
            raise SettingError("`ask` is of `effect: {by: lookup}`", "/ask")
        if by == "upsert" and self.method not in ("PUT", "DELETE"):
            hint = "PUT and DELETE have one effect however often they are sent"
            raise SettingError(
                f"{self.method} cannot be repeated, as `by: upsert` says", "/method", hint=hint
            )
        if by == "lookup" and self.ask is None and ("key",) not in {one.path for one in self._places()}:
            hint = "send `{key}`, which the sink's `ask` finds, or say how this is asked for"
            raise SettingError("the target cannot be asked for a request without our key", "/ask", hint=hint)

    def made(
        self, request: Request, original: Packed, *, reference: str, reason: str, header: str | None
    ) -> Request:
        """The request that takes another back: the same for the same arguments.

        Args:
            request: that was posted.
            original: what is kept of it.
            reference: that it was posted under.
            reason: of a person.
            header: which header carries the key, if any.

        Raises:
            Unfit: the original has not what a template needs.
        """
        key = _key_of(request.key)
        fields = Fields(_document(request, original, reference, reason), key, what="the original")
        path, asked, headers, body = self._read
        made = {name: filled_header(name, value, fields) for name, value in headers.items()}
        if header is not None:
            made[header] = key
        if body is not None and not any(name.lower() == "content-type" for name in made):
            made["Content-Type"] = "application/json; charset=utf-8"
        one = Packed(
            method=self.method,
            path=filled_path(path, fields),
            headers=made,
            type=original.type,
            undoes=True,
            asked=None if asked is None else filled_path(asked, fields),
            body=b"" if body is None else template.rendered(body, fields),
        )
        amounts = {name: -amount for name, amount in request.amounts.items()}
        return Request(key=key, body=packed(one), object=request.object, amounts=amounts)

    @property
    def _read(self) -> tuple[Text, Text | None, dict[str, Text], Document | None]:
        return (
            path_text(self.path, "/path", _NAMES),
            None if self.ask is None else path_text(self.ask.path, "/ask/path", _NAMES),
            {name: header_text(name, value, _NAMES) for name, value in self.headers.items()},
            None if self.body is None else template.document(self.body, "/body", _NAMES),
        )

    def _places(self) -> list[template.Place]:
        path, _, headers, body = self._read
        return [*template.places(path), *template.places(headers), *template.places(body)]


def _key_of(original: str) -> str:
    """The key of the request that takes another back, once for each: a UUID of our own kind (RFC 9562)."""
    raw = bytearray(hashlib.sha256(b"reverse/" + original.encode()).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(raw)))


def _document(request: Request, original: Packed, reference: str, reason: str) -> bytes:
    """What the places of a reversal are filled from."""
    about = {"key": request.key, "type": original.type, "path": original.path}
    if reference:
        about["reference"] = reference
    document: dict[str, Any] = {"original": {**about, "body": msgspec.Raw(original.body or b"null")}}
    return msgspec.json.encode(document | ({"reason": reason} if reason else {}))
