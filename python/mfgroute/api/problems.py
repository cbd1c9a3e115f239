"""Answers that say what is wrong, as RFC 9457 problems."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response


class Problem(Exception):  # noqa: N818 - an answer, not a failure of ours
    """A request that is answered with a problem.

    Args:
        status: HTTP status.
        detail: one sentence for a person.
        headers: such as ``Retry-After``.
        fields: further members of the document.
    """

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **fields: Any
    ) -> None:
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.fields = fields
        super().__init__(detail)

    def response(self) -> Response:
        """The answer."""
        document = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.fields,
        }
        return answer(document, self.status, self.headers, media_type="application/problem+json")


def answer(
    document: Any,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    media_type: str = "application/json",
) -> Response:
    """A JSON answer that nobody keeps or guesses the type of."""
    fixed = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(orjson.dumps(document), status, {**fixed, **(headers or {})}, media_type)
