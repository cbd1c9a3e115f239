"""The web server: connections, what goes wrong on them, and the paths that tests control it by."""

from __future__ import annotations

import asyncio
import re
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

import msgspec
from aiohttp import web

from mfgroute.testing.simulators.listening import Listening
from mfgroute.testing.simulators.s4.faults import Fault, Faults
from mfgroute.testing.simulators.s4.gateway import Gateway
from mfgroute.testing.simulators.s4.ledger import Books
from mfgroute.testing.simulators.s4.master import S4Setup, Switches, take
from mfgroute.testing.simulators.s4.messages import ODataError, refusal
from mfgroute.testing.simulators.s4.model import DEFAULTS, INDEXED
from mfgroute.testing.simulators.s4.protocol import ROOT, Answer, Call, error_answer
from mfgroute.testing.simulators.s4.sessions import Sessions
from mfgroute.testing.simulators.s4.store import Store, Tables

__all__ = ["S4Simulator"]

_CHUNK = 1 << 16
_STATUS = {"error": 500, "error_in_200": 200, "too_many": 429}
#: What an answer in JSON names documents and references by, and for each character another one.
_NAMED = re.compile(
    rb'("(?:ExternalSystemConfirmation|ReferenceDocument|ConfirmationCount|MaterialDocument)": ?")([^"]+)'
)
_NEXT = bytes.maketrans(b"0123456789abcdefGHIJKLMNOPQRSTUVWXYZ", b"1234567890bcdefaHIJKLMNOPQRSTUVWXYZG")
_LOGON = b"<html><head><title>Logon</title></head><body><form>User Password</form></body></html>"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class S4Simulator(Listening):
    """An ERP that answers as the OData services of SAP S/4HANA are documented to.

    Args:
        setup: master data.
        switches: how it is configured.
        journal: file that keeps everything it has done over the end of the process.
        kept_s: how long it remembers request ids, instead of `Switches.id_kept_s`.
        now: the time.
        clock: seconds, monotonic, for the life of tokens.
    """

    system: ClassVar[str] = "s4"

    def __init__(
        self,
        *,
        setup: S4Setup | None = None,
        switches: Switches | None = None,
        journal: Path | None = None,
        kept_s: float | None = None,
        now: Callable[[], datetime] = _utc_now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.switches = switches or Switches()
        if kept_s is not None:
            self.switches.id_kept_s = kept_s
            self.switches.response_kept_s = min(kept_s, self.switches.response_kept_s)
        self.store = Store(Tables(DEFAULTS, INDEXED), journal)
        self.ledger = Books(self.store)
        self.faults = Faults()
        self.sessions = Sessions(clock)
        self._now = now
        self._gateway = Gateway(
            self.store,
            self.switches,
            books=self.ledger,
            faults=self.faults,
            sessions=self.sessions,
            now=now,
        )
        self._stopping = asyncio.Event()
        if setup is not None:
            self.take(setup)

    def take(self, setup: S4Setup) -> None:
        """Take over master data."""
        with self.store.unit() as unit:
            take(unit, setup)

    def setup(self, document: dict[str, Any]) -> None:
        """Take over master data as they stand in JSON; ``switches`` may stand with them."""
        known = dict(document)
        self.switch(**known.pop("switches", {}))
        self.take(msgspec.convert(known, S4Setup))

    def open(self, document: dict[str, Any]) -> None:
        """Take over switches and, unless the journal has given it some, master data."""
        switches = {name: document[name] for name in ("switches",) if name in document}
        self.setup(switches if self.store.restored else document)

    def switch(self, **changes: Any) -> None:
        """Change switches."""
        changed = msgspec.convert({**msgspec.to_builtins(self.switches), **changes}, Switches)
        for name in self.switches.__struct_fields__:
            setattr(self.switches, name, getattr(changed, name))

    def misbehave(self, fault: Fault) -> None:
        """Misbehave from now on, see `Fault`."""
        self.faults.add(fault)

    def behave(self) -> None:
        """Stop misbehaving."""
        self.faults.clear()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; `url` says where."""
        self._stopping.clear()
        await super().start(host, port)
        self._gateway.base = self.url

    async def stop(self) -> None:
        """Stop listening; who waits for an answer gets none. The ledger stays."""
        self._stopping.set()
        await super().stop()
        self.store.close()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_get("/ledger", self._show_ledger)
        app.router.add_get("/health", self._show_health)
        app.router.add_get("/jobs/{number}", self._show_job)
        app.router.add_post("/misbehave", self._take_fault)
        app.router.add_post("/behave", self._take_good_behaviour)
        app.router.add_post("/expire", self._take_expiry)
        app.router.add_post("/setup", self._take_setup)
        app.router.add_post("/switches", self._take_switches)
        app.router.add_route("*", "/sap/opu/odata/{any:.*}", self._serve)
        return app

    # Control

    async def _show_ledger(self, request: web.Request) -> web.Response:
        after = request.query.get("after", "0")
        if not after.isdigit():
            return _json(400, {"code": "bad_request", "message": f"after={after} is not a number"})
        return _json(200, self.ledger.snapshot(int(after)))

    async def _show_health(self, _: web.Request) -> web.Response:
        return _json(200, {"system": self.system, "ok": True})

    async def _show_job(self, request: web.Request) -> web.Response:
        return _response(self._gateway.job(request.match_info["number"]))

    async def _take_fault(self, request: web.Request) -> web.Response:
        try:
            self.misbehave(msgspec.json.decode(await request.read(), type=Fault))
        except msgspec.DecodeError as error:
            return _json(400, {"code": "bad_request", "message": str(error)})
        return _json(200, {"ok": True})

    async def _take_good_behaviour(self, _: web.Request) -> web.Response:
        self.behave()
        return _json(200, {"ok": True})

    async def _take_expiry(self, _: web.Request) -> web.Response:
        self.sessions.expire()
        return _json(200, {"ok": True})

    async def _take_setup(self, request: web.Request) -> web.Response:
        return await self._take_document(request, self.setup)

    async def _take_switches(self, request: web.Request) -> web.Response:
        return await self._take_document(request, lambda document: self.switch(**document))

    @staticmethod
    async def _take_document(request: web.Request, taker: Callable[[dict[str, Any]], None]) -> web.Response:
        try:
            taker(msgspec.json.decode(await request.read(), type=dict[str, Any]))
        except (msgspec.MsgspecError, KeyError, ValueError, ArithmeticError) as error:
            return _json(400, {"code": "bad_request", "message": str(error)})
        return _json(200, {"ok": True})

    # Services

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.ledger.requests += 1
        call = _call(request, body)
        fault = self.faults.on_connection(self._gateway.subject(call))
        if fault is None:
            return _response(await self._gateway.answer(call))
        self.ledger.mischief[fault.kind] += 1
        if fault.kind == "expired":
            self.sessions.expire()
            return _response(await self._gateway.answer(call))
        if fault.kind == "other":
            return _response(_of_another(await self._gateway.answer(call)))
        answer = await self._gateway.answer(call) if fault.when == "after" else None
        return await self._play(fault, request, answer, call.service)

    async def _play(
        self, fault: Fault, request: web.Request, answer: Answer | None, service: str
    ) -> web.StreamResponse:
        """Answer as a fault says, whatever was done."""
        if fault.kind in ("cut", "hang"):
            await self._pause(fault.after_s if fault.kind == "hang" else 0)
            return _cut(request)
        if fault.kind in ("trickle", "endless", "torn"):
            return await self._stream(fault, request, answer or self._error(500, service))
        if fault.kind == "bomb":
            return await self._bomb(fault, request)
        if fault.kind == "redirect":
            return web.Response(status=fault.status or 307, headers={"Location": fault.location})
        if fault.kind == "html":
            return web.Response(body=_LOGON, content_type="text/html")
        refused = self._error(fault.status or _STATUS[fault.kind], service)
        headers = dict(refused.headers)
        if fault.kind == "too_many" and fault.retry_after:
            headers["Retry-After"] = fault.retry_after
        return _response(Answer(status=refused.status, headers=headers, body=refused.body))

    def _error(self, status: int, service: str) -> Answer:
        known = refusal("internal")
        error = ODataError(known.name, known.text, status=status)
        return error_answer(error, service, self.switches.codes, f"{self._now():%Y%m%d%H%M%S.%f}")

    async def _pause(self, seconds: float) -> None:
        """Wait, but not when the system stops."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _stream(self, fault: Fault, request: web.Request, answer: Answer) -> web.StreamResponse:
        """Send an answer in pieces: a byte at a time, without an end, or half of it."""
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        if fault.kind != "endless":
            response.content_length = len(answer.body)
        await response.prepare(request)
        try:
            if fault.kind == "torn":
                await response.write(answer.body[: len(answer.body) // 2])
                return _cut(request)
            if fault.kind == "endless":
                await response.write(answer.body[:-1])
                while not self._stopping.is_set():
                    await response.write(b" " * _CHUNK)
                    await asyncio.sleep(0)
                return _cut(request)
            for byte in answer.body:
                if self._stopping.is_set():
                    return _cut(request)
                await response.write(bytes([byte]))
                await self._pause(fault.after_s)
            await response.write_eof()
        except (ConnectionError, asyncio.CancelledError):
            return _cut(request)
        return response

    async def _bomb(self, fault: Fault, request: web.Request) -> web.StreamResponse:
        """Send a small body that becomes a big one."""
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        response = web.StreamResponse(status=200, headers=headers)
        await response.prepare(request)
        packer = zlib.compressobj(wbits=31)
        left = fault.size
        try:
            while left > 0 and not self._stopping.is_set():
                packed = packer.compress(b"0" * min(left, _CHUNK * 16))
                left -= _CHUNK * 16
                if packed:
                    await response.write(packed)
                await asyncio.sleep(0)
            await response.write(packer.flush())
            await response.write_eof()
        except (ConnectionError, asyncio.CancelledError):
            return _cut(request)
        return response


def _call(request: web.Request, body: bytes) -> Call:
    headers = {name.lower(): value for name, value in request.headers.items()}
    path = unquote(request.rel_url.raw_path)
    below = path[len(ROOT) :] if path.lower().startswith(ROOT) else path
    service, _, rest = below.partition("/")
    return Call(
        method=headers.get("x-http-method", request.method).upper(),
        service=service,
        path=rest.strip("/"),
        query=dict(request.rel_url.query),
        headers=headers,
        body=body,
    )


def _of_another(answer: Answer) -> Answer:
    """An answer that names other documents and references, of the same length."""
    body = _NAMED.sub(lambda found: found[1] + found[2].translate(_NEXT), answer.body)
    return Answer(status=answer.status, headers=answer.headers, body=body)


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


def _json(status: int, document: dict[str, Any]) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(document), content_type="application/json")


def _cut(request: web.Request) -> web.Response:
    """Drop the connection."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
