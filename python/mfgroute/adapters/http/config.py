"""What an http sink can be told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from mfgroute.adapter import Effect, Secret
from mfgroute.adapters.http.contract import POINTER, Ask, Follow, Read, Row, Success
from mfgroute.adapters.http.fit import misfits
from mfgroute.adapters.http.pieces import HEADER_NAME
from mfgroute.adapters.http.request import RequestTemplate
from mfgroute.adapters.http.reversal import Reversal
from mfgroute.adapters.web.config import ConnectionConfig, check_url
from mfgroute.errors import SettingError

__all__ = ["HttpSinkConfig"]

_OURS = {"host", "content-length", "transfer-encoding", "connection", "content-type", "accept-encoding"}


class HttpSinkConfig(ConnectionConfig, kw_only=True):
    """Where events are sent, and how the answer is understood."""

    stored: ClassVar[frozenset[str]] = frozenset({"requests"})

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
    requests: Annotated[
        list[RequestTemplate],
        Meta(description="Requests by type of event; without them every event is sent to `url` as it is"),
    ] = msgspec.field(default_factory=list)
    token: Annotated[Secret | None, Meta(description="Sent as `Authorization: Bearer …`")] = None
    success: Annotated[
        Success | None, Meta(description="What a 2xx answer must say; without it every 2xx is a success")
    ] = None
    reference: Annotated[
        Annotated[str, Meta(pattern=POINTER)] | None,
        Meta(description="Place of the document number in the answer; default: `Location`"),
    ] = None
    conflict: Annotated[
        Literal["done", "retry", "refused"],
        Meta(description="What 409 means: the target has it already, is busy with it, or will not take it"),
    ] = "retry"
    answers: Annotated[
        list[Row], Meta(description="What answers mean; the first row that fits counts, then the default")
    ] = msgspec.field(default_factory=list)
    ask: Annotated[
        Ask | None, Meta(description="Of `effect.by: lookup`, required there: how the target is asked")
    ] = None
    follow: Annotated[
        Follow | None, Meta(description="How the outcome is asked for of a request that was only accepted")
    ] = None

    read: Annotated[
        Read | None, Meta(description="How the target is asked what it holds, for `mfgroute reconcile`")
    ] = None

    def __post_init__(self) -> None:
        """Refuse what could leak a secret or break a request."""
        super().__post_init__()
        check_url("url", self.url, "`token` or `headers`")
        names = [*self.headers, self.effect.header if self.effect else "x"]
        for name in names:
            if not HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
                raise ValueError(f"header {name!r} cannot be set")
        if any(re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value.reveal()) for value in self.headers.values()):
            raise ValueError("a header value holds a control character")
        if self.token is not None and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("`token` and a header `Authorization` exclude each other")
        self._check_requests()
        if (self.ask is not None) != (self.effect is not None and self.effect.by == "lookup"):
            raise ValueError("`ask` and `effect: {by: lookup}` belong together")

    def misfits(self, schemas: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Places of requests that no event of their types has."""
        for index, one in enumerate(self.requests):
            for pointer, said in misfits(one, schemas):
                yield f"/requests/{index}{pointer}", said

    def _check_requests(self) -> None:
        if self.requests and (self.method != "POST" or self.body != "event"):
            raise ValueError("`method` and `body` belong into the entries of `requests`")
        taken: dict[str, int] = {}
        for index, one in enumerate(self.requests):
            for name in one.types or [""]:
                if name in taken:
                    said = f"`{name}`" if name else "an entry without `type`"
                    raise SettingError(
                        f"{said} is there twice, first in `requests[{taken[name]}]`", f"/requests/{index}"
                    )
                taken[name] = index
            if one.guard is not None and (self.effect is None or self.effect.by != "upsert"):
                raise SettingError("`guard` is of `effect: {by: upsert}`", f"/requests/{index}/guard")
            if one.reversal is not None:
                self._check_reversal(one.reversal, f"/requests/{index}/reversal")
            key_header = self.effect.header.lower() if self.effect is not None else ""
            if any(name.lower() in {key_header, *map(str.lower, self.headers)} for name in one.headers):
                raise SettingError("a header is set twice", f"/requests/{index}/headers")

    def _check_reversal(self, one: Reversal, pointer: str) -> None:
        by = "none" if self.effect is None else self.effect.by
        try:
            one.check(by)
        except SettingError as error:
            raise SettingError(str(error), pointer + error.pointer, hint=error.hint) from None
        ours = {*map(str.lower, self.headers), self.effect.header.lower() if self.effect is not None else ""}
        if any(name.lower() in ours for name in one.headers):
            raise SettingError("a header is set twice", f"{pointer}/headers")

    @property
    def repeatable(self) -> bool:
        """Whether an event whose outcome is unknown may be sent again."""
        return self.effect is not None and self.effect.repeatable
