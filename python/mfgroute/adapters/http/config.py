"""What an http sink can be told."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from mfgroute.adapter import Config, Effect, Secret
from mfgroute.units import Size

__all__ = ["HttpSinkConfig", "Success"]

_POINTER = "^(/[^/]*)*$"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = {"host", "content-length", "transfer-encoding", "connection", "content-type", "accept-encoding"}


class Success(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the body of a 2xx answer must say for the event to count as done."""

    pointer: Annotated[str, Meta(pattern=_POINTER, description="Place in the answer, such as `/d/status`")]
    equals: Annotated[Any, Meta(description="The value that must stand there")]


class HttpSinkConfig(Config):
    """Where events are sent, and how the answer is understood."""

    url: Annotated[str, Meta(pattern="^https?://", description="Target of every request")]
    method: Annotated[Literal["POST", "PUT", "PATCH"], Meta(description="HTTP method of every request")] = (
        "POST"
    )
    headers: Annotated[
        dict[str, Secret], Meta(description="Further request headers; values are treated as secrets")
    ] = msgspec.field(default_factory=dict)
    effect: Annotated[
        Effect | None, Meta(description="How one event has one effect; decides what a lost answer means")
    ] = None
    body: Annotated[
        Literal["event", "data"], Meta(description="Send the whole CloudEvent, or only its `data`")
    ] = "event"
    token: Annotated[Secret | None, Meta(description="Sent as `Authorization: Bearer …`")] = None
    success: Annotated[
        Success | None, Meta(description="What a 2xx answer must say; without it every 2xx is a success")
    ] = None
    reference: Annotated[
        Annotated[str, Meta(pattern=_POINTER)] | None,
        Meta(description="Place of the document number in the answer; default: `Location`"),
    ] = None
    conflict: Annotated[
        Literal["done", "retry", "refused"],
        Meta(description="What 409 means: the target has it already, is busy with it, or will not take it"),
    ] = "retry"
    connect_timeout_s: Annotated[
        float, Meta(gt=0, le=60, description="Seconds until a connection must stand, TLS included")
    ] = 3.0
    timeout_s: Annotated[
        float, Meta(gt=0, le=600, description="Seconds until the whole answer must be there")
    ] = 30.0
    response_max: Annotated[
        Size,
        Meta(description="Bytes of an answer that are read, unpacked"),
    ] = Size(1 << 20)
    allow_private: Annotated[
        bool,
        Meta(
            description="Allow a target in a private or loopback network. Link-local and metadata addresses "
            "are never allowed"
        ),
    ] = False
    ca_file: Annotated[
        str | None, Meta(description="PEM file of the authorities to trust instead of the system's")
    ] = None
    cert_file: Annotated[
        str | None, Meta(description="PEM file of our certificate for a target that asks for one")
    ] = None
    key_file: Annotated[str | None, Meta(description="PEM file of the private key of `cert_file`")] = None

    def __post_init__(self) -> None:
        """Refuse what could leak a secret or break a request."""
        parts = urlsplit(self.url)
        if not parts.hostname:
            raise ValueError("`url` has no host")
        if parts.username or parts.password:
            raise ValueError("`url` holds a user or password; use `token` or `headers`")
        if parts.fragment or any(sign <= " " for sign in self.url):
            raise ValueError("`url` holds a fragment, space or control character")
        names = [*self.headers, self.effect.header if self.effect else "x"]
        for name in names:
            if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
                raise ValueError(f"header {name!r} cannot be set")
        if any(re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value.reveal()) for value in self.headers.values()):
            raise ValueError("a header value holds a control character")
        if self.token is not None and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("`token` and a header `Authorization` exclude each other")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("`cert_file` and `key_file` belong together")

    @property
    def repeatable(self) -> bool:
        """Whether an event whose outcome is unknown may be sent again."""
        return self.effect is not None and self.effect.repeatable
