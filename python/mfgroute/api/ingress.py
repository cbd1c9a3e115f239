"""``POST /v1/sources/{name}``: a delivery to an inbox, answered when its outcome is known."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mfgroute.adapter import Inbox
from mfgroute.api.body import BATCH_BYTES_MAX, SINGLE_BYTES_MAX, form_of, intake_of, read_body
from mfgroute.api.problems import Problem, answer
from mfgroute.errors import AdapterError, Closed, Full, UnknownName
from mfgroute.events import Receipt, Reject
from mfgroute.runtime.app import Router

#: Most rejects that an answer lists; all are counted.
ERRORS_MAX = 1000
_LEVELS = ("memory", "durable", "sealed")
_RETRY = {"Retry-After": "1"}

#: Rejects that say that the body is not in the form that its type promises.
_MALFORMED = {
    "payload_empty", "encoding", "bom", "bad_json", "duplicate_key", "lone_surrogate", "nul_in_key",
    "bad_xml", "doctype", "bad_csv",
}  # fmt: skip
_TOO_LARGE = {"message_too_large"}


async def deliver(request: Request, router: Router) -> Response:
    """Take one delivery.

    Raises:
        Problem: it is not taken.
    """
    name = request.path_params["name"]
    inbox = _inbox(router, name)
    _authorize(inbox, request)
    ack = _ack(request, router)
    form = form_of(request)
    body = await read_body(request, SINGLE_BYTES_MAX if form == "message" else BATCH_BYTES_MAX)
    intake = intake_of(form, body, request, ack)
    try:
        receipt = await inbox.offer(intake)
    except Full as full:
        status = 429 if full.what.startswith("source ") else 503
        raise Problem(status, str(full) or "there is no room", headers=_RETRY) from full
    except (Closed, AdapterError) as error:
        raise Problem(503, f"source {name} is closing", headers=_RETRY) from error
    return _answer(receipt, single=form == "message")


def receipt_document(receipt: Receipt) -> dict[str, Any]:
    """A receipt as JSON."""
    document: dict[str, Any] = {
        "accepted": receipt.accepted,
        "rejected": receipt.rejected,
        "duplicates": receipt.duplicates,
        "filtered": receipt.filtered,
        "dropped": receipt.dropped,
        "level": receipt.level,
    }
    if receipt.rejects:
        document["errors"] = [_error(reject) for reject in receipt.rejects[:ERRORS_MAX]]
    return document


def _inbox(router: Router, name: str) -> Inbox:
    try:
        inbox = router.inbox(name)
    except UnknownName as error:
        raise Problem(404, f"no source that takes HTTP is called {name[:100]}") from error
    if router.draining or inbox is None:
        raise Problem(503, f"source {name} is not open", headers=_RETRY)
    return inbox


def _authorize(inbox: Inbox, request: Request) -> None:
    given = request.headers.getlist("authorization")
    if len(given) > 1:
        raise Problem(400, "the request has more than one Authorization header")
    if inbox.authorized(given[0] if given else None):
        return
    if given:
        raise Problem(403, "this token does not open the source")
    raise Problem(401, "the source needs a bearer token", headers={"WWW-Authenticate": "Bearer"})


def _ack(request: Request, router: Router) -> str | None:
    """The level that the sender wants to wait for.

    Raises:
        Problem: 400, no such level, or no stream of this node can reach it.
    """
    given = request.query_params.getlist("ack")
    if not given:
        return None
    if len(given) > 1 or given[0] not in _LEVELS:
        raise Problem(400, f"`ack` is {', '.join(given)[:100]}, expected one of {', '.join(_LEVELS)}")
    streams = router.project.model.streams.values()
    if given[0] != "memory" and not any(stream.durability == "fsync" for stream in streams):
        raise Problem(400, f"`ack` is {given[0]}, and this node keeps its streams in memory only")
    return given[0]


def _answer(receipt: Receipt, *, single: bool) -> Response:
    """202 with the receipt, or a problem if every message was rejected."""
    document = receipt_document(receipt)
    taken = receipt.accepted + receipt.duplicates + receipt.filtered + receipt.dropped
    codes = {reject.code for reject in receipt.rejects}
    # What waits for a rejected message of its key is kept, and goes on by itself: the sender is done with it.
    if taken or not receipt.rejected or "key_held" in codes:
        return answer(document, 202)
    errors = document.pop("errors", [])
    if codes == {"conflict"}:
        raise Problem(
            409, "an event with this identity and another content was admitted before", errors=errors
        )
    if receipt.unsplittable or (single and codes <= _MALFORMED):
        raise Problem(400, "the body is malformed", errors=errors)
    if single and codes <= _TOO_LARGE:
        raise Problem(413, "the message is too large", errors=errors)
    raise Problem(422, "every message was rejected", errors=errors, rejected=receipt.rejected)


def _error(reject: Reject) -> dict[str, Any]:
    """A reject; keys without a value are left out."""
    fields = ("message", "item", "code", "pointer", "offset", "field", "place", "found", "expected")
    values = {name: getattr(reject, name) for name in fields}
    return {name: value for name, value in values.items() if value is not None}
