"""What an http sink can be told."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mfgroute.adapter import Effect, Secret
from mfgroute.adapters.web.config import ConnectionConfig, check_url

__all__ = ["HttpSinkConfig", "Success"]

_POINTER = "^(/[^/]*)*$"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = {"host", "content-length", "transfer-encoding", "connection", "content-type", "accept-encoding"}


class Success(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the body of a 2xx answer must say for the event to count as done."""

    pointer: Annotated[str, Meta(pattern=_POINTER, description="Place in the answer, such as `/d/status`")]
    equals: Annotated[Any, Meta(description="The value that must stand there")]


class HttpSinkConfig(ConnectionConfig, kw_only=True):
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

    def __post_init__(self) -> None:
        """Refuse what could leak a secret or break a request."""
        super().__post_init__()
        check_url("url", self.url, "`token` or `headers`")
        names = [*self.headers, self.effect.header if self.effect else "x"]
        for name in names:
            if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
                raise ValueError(f"header {name!r} cannot be set")
        if any(re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value.reveal()) for value in self.headers.values()):
            raise ValueError("a header value holds a control character")
        if self.token is not None and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("`token` and a header `Authorization` exclude each other")

    @property
    def repeatable(self) -> bool:
        """Whether an event whose outcome is unknown may be sent again."""
        return self.effect is not None and self.effect.repeatable
