"""The REST door of a simulated system: plain documents instead of CloudEvents, at ``/api/<resource>``.

``POST /api/receipts`` makes a new document every time, whatever its ``reference``: this door knows no
idempotency key. ``GET /api/receipts?reference=R`` lists what has a reference (or order …), and ``GET``, ``PUT
/api/receipts/R`` read and replace a document by it, with ``ETag``, ``If-Match`` and ``If-None-Match`` (RFC
9110). ``POST /api/receipts/N/cancellation`` makes a document of its
own, with the quantity taken off and the ``reference`` that it is sent with, once for each. With ``Prefer:
respond-async`` (RFC 7240) a POST is answered 202, and ``GET /api/jobs/N`` says later what became of it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from aiohttp import web

from mfgroute.testing.simulators.ledger import Effect, KeyReused, Ledger, Misbehaviour, Refusal

__all__ = ["Host", "RestDoor"]

_DOCUMENT = msgspec.json.Decoder(dict[str, Any])


class Host(Protocol):
    """What a door needs of its system."""

    ledger: Ledger
    #: How often a job is asked for before it has ended.
    job_polls: int

    def make_plain(self, resource: str, document: dict[str, Any]) -> dict[str, Any]:
        """Judge a document and say what else is noted of it; raises `Refusal`."""

    def struck(self, names: set[str], kinds: frozenset[str] | None = None) -> Misbehaviour | None:
        """The misbehaviour that hits a request about these names."""


class _Job(msgspec.Struct):
    work: Callable[[], Effect]
    left: int
    answer: dict[str, Any] | None = None


class RestDoor:
    """One system's resources.

    Args:
        host: the system.
        resources: name of a resource -> kind of effect.
    """

    def __init__(self, host: Host, resources: dict[str, str]) -> None:
        self._host = host
        self._resources = resources
        self._things: dict[str, list[dict[str, Any]]] = {name: [] for name in resources}
        self._jobs: dict[str, _Job] = {}

    def add_to(self, app: web.Application) -> None:
        """Serve the resources."""
        for name in self._resources:
            app.router.add_post(f"/api/{name}", self._guarded(name, self._create))
            app.router.add_get(f"/api/{name}", self._guarded(name, self._list))
            app.router.add_get(f"/api/{name}/{{reference}}", self._guarded(name, self._show))
            app.router.add_put(f"/api/{name}/{{reference}}", self._guarded(name, self._replace))
            app.router.add_post(f"/api/{name}/{{number}}/cancellation", self._guarded(name, self._cancel))
        if self._resources:
            app.router.add_get("/api/jobs/{number}", self._show_job)

    def _guarded(self, resource: str, handle: Any) -> Any:
        async def guarded(request: web.Request) -> web.StreamResponse:
            self._host.ledger.requests += 1
            try:
                answer: web.StreamResponse = await handle(resource, request)
            except Refusal as refusal:
                self._host.ledger.refuse(request.path, refusal)
                return _refused(refusal)
            return answer

        return guarded

    async def _create(self, resource: str, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        document = _decoded(body)
        wish = self._host.struck(_names(document))
        early = await _early(wish)
        if early is not None:
            return early

        def work() -> Effect:
            details = self._host.make_plain(resource, document)
            count = len(self._things[resource])
            effect = self._noted(resource, document, body, details, f"{resource}#{count}")
            self._things[resource].append({**document, **details, "number": effect.document})
            return effect

        if "respond-async" in request.headers.get("Prefer", ""):
            number = str(len(self._jobs) + 1)
            self._jobs[number] = _Job(work, self._host.job_polls)
            answer = _json(202, {"job": number})
            answer.headers["Location"] = f"/api/jobs/{number}"
            return answer
        return _late(wish, request, _made(201, resource, work().document, document))

    async def _list(self, resource: str, request: web.Request) -> web.StreamResponse:
        blind = await _early(self._host.struck({request.query.get("reference", "")}, frozenset({"blind"})))
        if blind is not None:
            return blind
        wanted = request.query.items()
        things = [
            one
            for one in self._things[resource]
            if all(str(one.get(name, "")) == value for name, value in wanted)
        ]
        return _json(200, {"items": things})

    async def _show(self, resource: str, request: web.Request) -> web.StreamResponse:
        thing = self._by_path(resource, request)
        if thing is None:
            raise Refusal("not_found", f"no {resource} {request.match_info['reference']}", status=404)
        answer = _json(200, thing)
        answer.headers["ETag"] = _tag(thing)
        return answer

    async def _replace(self, resource: str, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        document = _decoded(body)
        wish = self._host.struck(_names(document))
        early = await _early(wish)
        if early is not None:
            return early
        thing = self._by_path(resource, request)
        if not _precondition(request, thing):
            raise Refusal("precondition_failed", "the document is not as it was", status=412)
        details = self._host.make_plain(resource, document)
        name = f"{resource}/{request.match_info['reference']}"
        effect = self._noted(resource, document, body, details, name)
        fields = {**document, **details, "number": effect.document}
        # The path says which document it is, whatever the document says.
        fields["reference"] = request.match_info["reference"]
        if thing is None:
            self._things[resource].append(fields)
        else:
            thing.update(fields)
        answer = _made(200 if thing is not None else 201, resource, effect.document, document)
        answer.headers["ETag"] = _tag(fields)
        return _late(wish, request, answer)

    async def _cancel(self, resource: str, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        asked = _decoded(body)
        wish = self._host.struck(_names(asked))
        early = await _early(wish)
        if early is not None:
            return early
        number = request.match_info["number"]
        thing = next((one for one in self._things[resource] if one["number"] == number), None)
        if thing is None or "cancels" in thing:
            raise Refusal("not_found", f"no {resource} {number} to cancel", status=404)
        if "cancelled_by" in thing:
            raise Refusal("already_cancelled", f"{number} was cancelled before", status=409)
        document = {**thing, **asked, "cancels": number, "quantity": _negative(thing.get("quantity", 0))}
        effect = self._host.ledger.post(
            what=f"{self._resources[resource]}_cancelled",
            key=str(thing.get("order", "")),
            idempotency_key=f"{resource}/{number}/cancellation",
            body=body,
            data=document,
            details={"cancels": number},
        )
        thing["cancelled_by"] = effect.document
        self._things[resource].append({**document, "number": effect.document})
        return _late(wish, request, _made(201, resource, effect.document, document))

    async def _show_job(self, request: web.Request) -> web.StreamResponse:
        job = self._jobs.get(request.match_info["number"])
        if job is None:
            return _refused(Refusal("not_found", "no such job", status=404))
        if self._host.struck(set(), frozenset({"blind"})) is not None:
            return _json(503, {"error": {"code": "busy", "message": "later"}})
        if job.answer is None:
            job.left -= 1
            if job.left > 0:
                return _json(200, {"state": "running"})
            try:
                job.answer = {"state": "done", "number": job.work().document}
            except Refusal as refusal:
                self._host.ledger.refuse(request.path, refusal)
                job.answer = {"state": "failed", "message": refusal.message}
        return _json(200, job.answer)

    def _noted(
        self, resource: str, document: dict[str, Any], body: bytes, details: dict[str, Any], key: str
    ) -> Effect:
        try:
            known = self._host.ledger.find(key, body)
        except KeyReused:
            known = None
        if known is not None:
            return known
        return self._host.ledger.post(
            what=self._resources[resource],
            key=str(document.get("order", "")),
            idempotency_key=key,
            body=body,
            data=document,
            details=details,
        )

    def _by_path(self, resource: str, request: web.Request) -> dict[str, Any] | None:
        reference = request.match_info["reference"]
        found = [one for one in self._things[resource] if one.get("reference") == reference]
        return found[-1] if found else None


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        return _DOCUMENT.decode(body)
    except msgspec.DecodeError as error:
        raise Refusal("bad_request", f"not a JSON object: {error}", status=400) from error


def _negative(quantity: Any) -> Any:
    return f"-{quantity}" if isinstance(quantity, str) else -quantity


def _names(document: dict[str, Any]) -> set[str]:
    return {value for value in document.values() if isinstance(value, str)}


def _precondition(request: web.Request, thing: dict[str, Any] | None) -> bool:
    if request.headers.get("If-None-Match") == "*" and thing is not None:
        return False
    wanted = request.headers.get("If-Match")
    return wanted is None or (thing is not None and wanted == _tag(thing))


def _tag(thing: dict[str, Any]) -> str:
    content = msgspec.json.encode(thing, order="deterministic")
    return f'"{hashlib.sha256(content).hexdigest()[:16]}"'


async def _early(wish: Misbehaviour | None) -> web.Response | None:
    """What is answered before the document is looked at."""
    match wish.kind if wish is not None else "":
        case "too_many":
            answer = _json(429, {"error": {"code": "too_many", "message": "too many requests"}})
            answer.headers["Retry-After"] = f"{max(1, round(wish.after_s if wish is not None else 1))}"
            return answer
        case "error":
            return _json(500, {"error": {"code": "internal", "message": "short dump"}})
        case "blind":
            return _json(503, {"error": {"code": "busy", "message": "the search is being rebuilt"}})
        case "lie":
            return _json(201, {"number": "99999999", "status": "POSTED"})
        case "error_body":
            return _json(200, {"error": {"code": "LOCKED", "message": "the order is locked"}})
        case "refuse":
            raise Refusal("locked", "locked by a user")
        case "slow" if wish is not None:
            await asyncio.sleep(wish.after_s)
    return None


def _late(wish: Misbehaviour | None, request: web.Request, answer: web.Response) -> web.Response:
    """What is answered after the work is done."""
    if wish is not None and wish.kind == "late_error":
        return _json(500, {"error": {"code": "internal", "message": "after the commit"}})
    if wish is not None and wish.kind == "cut" and request.transport is not None:
        request.transport.abort()
    return answer


def _made(status: int, resource: str, number: str, document: dict[str, Any]) -> web.Response:
    answer = _json(status, {"number": number, "reference": document.get("reference"), "status": "POSTED"})
    answer.headers["Location"] = f"/api/{resource}/{number}"
    return answer


def _refused(refusal: Refusal) -> web.Response:
    return _json(refusal.status, {"error": {"code": refusal.code.upper(), "message": refusal.message}})


def _json(status: int, document: dict[str, Any]) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(document), content_type="application/json", charset="utf-8"
    )
