"""The HTTP application: inboxes, health, metrics."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mfgroute import _core
from mfgroute.api.body import HEADERS_BYTES_MAX, HEADERS_MAX
from mfgroute.api.ingress import deliver
from mfgroute.api.openapi import document
from mfgroute.api.problems import Problem, answer
from mfgroute.observe.logs import get_logger
from mfgroute.observe.metrics import CONTENT_TYPE, Metrics
from mfgroute.runtime.app import Router

URL_BYTES_MAX = 8 * 1024
_log = get_logger()


def application(router: Router) -> ASGIApp:
    """The application that serves `router`."""
    metrics = Metrics(router.engine.stats, router.pulses, lambda: router.quarantined, router.followed)
    description = document(getattr(_core, "__version__", "0"))

    async def post(request: Request) -> Response:
        return await deliver(request, router)

    async def livez(_: Request) -> Response:
        return answer({"status": "alive"})

    async def readyz(_: Request) -> Response:
        health = router.health()
        status = "ready" if health.ready else "not ready"
        body = {"status": status, "problems": health.problems, "notes": health.notes}
        return answer(body, 200 if health.ready else 503)

    async def scrape(_: Request) -> Response:
        return Response(metrics.expose(), media_type=None, headers={"Content-Type": CONTENT_TYPE})

    async def openapi(_: Request) -> Response:
        return answer(description)

    app = Starlette(
        routes=[
            Route("/v1/sources/{name}", post, methods=["POST"]),
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/metrics", scrape),
            Route("/openapi.json", openapi),
        ],
        exception_handlers={Problem: _problem, HTTPException: _http, Exception: _failure},
    )
    return Guard(app)


class Guard:
    """Refuses requests that are too large before their body, or that two readers could read differently."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 400, 414 or 431."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        problem = _refusal(scope)
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await problem.response()(scope, receive, send)


def _refusal(scope: Scope) -> Problem | None:
    headers = scope["headers"]
    names = [name for name, _ in headers]
    size = sum(len(name) + len(value) for name, value in headers)
    if len(headers) > HEADERS_MAX or size > HEADERS_BYTES_MAX:
        detail = f"the request has {len(headers)} headers of {size} bytes, expected at most {HEADERS_MAX} "
        return Problem(431, f"{detail}of {HEADERS_BYTES_MAX} bytes", headers={"Connection": "close"})
    close = {"Connection": "close"}
    if names.count(b"host") != 1:
        return Problem(
            400, f"the request has {names.count(b'host')} Host headers, expected one", headers=close
        )
    if b"content-length" in names and b"transfer-encoding" in names:
        return Problem(400, "the request has a content length and chunks", headers=close)
    if names.count(b"content-length") > 1:
        return Problem(400, "the request has more than one content length", headers=close)
    if len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"") > URL_BYTES_MAX:
        return Problem(414, f"the address is longer than {URL_BYTES_MAX} bytes", headers=close)
    return None


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def _http(_: Request, error: Exception) -> Response:
    """What starlette refuses itself: unknown paths and methods."""
    assert isinstance(error, HTTPException)
    headers: Any = error.headers
    return Problem(error.status_code, str(error.detail).lower(), headers=headers).response()


async def _failure(request: Request, error: Exception) -> Response:
    """A mistake of ours: logged here, and not shown to the sender."""
    _log.error("request failed", path=request.url.path, exc_info=error)
    return Problem(500, "the node failed; its log says why").response()
