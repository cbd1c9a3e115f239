"""The control socket: commands of the operator against a running node.

A request is one line of JSON, ``{"verb": "pause", "sink": "sap"}``; the answer is one line,
``{"ok": true, "result": ...}`` or ``{"ok": false, "error": {"kind": ..., "message": ...}}``. Several requests
may follow each other on one connection. Only the user of the node (and root) may connect.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import orjson

from mfgroute import _core
from mfgroute.api.ingress import receipt_document
from mfgroute.errors import ConfigError, DatabaseDown, DatabaseUnfit, MfgrouteError
from mfgroute.observe.logs import get_logger
from mfgroute.runtime import booking, inquiry, requests, reversal
from mfgroute.runtime.app import Router
from mfgroute.runtime.parts import posters
from mfgroute.runtime.reconcile import reconcile
from mfgroute.runtime.requests import BadRequest

SOCKET_NAME = "control.sock"
LINE_BYTES_MAX = 16 << 20
HOLD_MAX_S = 600
_log = get_logger()

Request = dict[str, Any]


class ControlSocket:
    """Serves the control socket while its context is open."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._verbs: dict[str, Callable[[Request], Awaitable[Any]]] = {
            "status": self._status,
            "stats": self._stats,
            "health": self._health,
            "adapters": self._adapters,
            "pause": self._pause,
            "resume": self._resume,
            "find": self._find,
            "inbox": self._inbox,
            "dead_letters": self._dead_letters,
            "replay": self._replay,
            "effects": self._effects,
            "reconcile": self._reconcile,
            "submit": self._submit,
            "reload": self._reload,
            "hold": self._hold,
        }

    async def __aenter__(self) -> Self:
        path = self._router.data_dir / SOCKET_NAME
        with contextlib.suppress(FileNotFoundError):
            path.unlink()  # Ours: we hold the lock of the folder.
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with short_path(path) as name:
            before = os.umask(0o177)
            try:
                listening.bind(name)
            finally:
                os.umask(before)
        self._server = await asyncio.start_unix_server(self._serve, sock=listening, limit=LINE_BYTES_MAX)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        with contextlib.suppress(FileNotFoundError):
            (self._router.data_dir / SOCKET_NAME).unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            by = _peer(writer)
            while by is not None and (line := await reader.readline()):
                writer.write(await self._answer(line, by) + b"\n")
                await writer.drain()
        except (OSError, ValueError) as error:
            _log.warning("control connection ended", reason=str(error))
        finally:
            self._open.discard(task)
            writer.close()

    async def _answer(self, line: bytes, by: str) -> bytes:
        try:
            request = orjson.loads(line)
            verb = self._verbs.get(str(request.get("verb"))) if isinstance(request, dict) else None
            if verb is None:
                raise BadRequest(f"no such verb; known: {', '.join(sorted(self._verbs))}")
            result = await verb({**request, "by": by})
        except ConfigError as error:
            problems = msgspec.to_builtins(error.problems)
            return _failed("ConfigError", "the project has problems", problems=problems)
        except (MfgrouteError, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            return _failed(type(error).__name__, str(error))
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not end the node
            _log.error("control request failed", exc_info=error)
            return _failed("Internal", f"{type(error).__name__}: {error}")
        raw = orjson.Fragment(result) if isinstance(result, bytes) else result
        return orjson.dumps({"ok": True, "result": raw})

    async def _status(self, _: Request) -> Any:
        router = self._router
        health = router.health()
        return {
            "version": getattr(_core, "__version__", ""),
            "pid": os.getpid(),
            "node": router.project.model.node.id,
            "site": router.project.model.node.site,
            "project": str(router.project.file.resolve()),
            "address": router.address,
            "uptime_s": round(router.uptime_s, 3),
            "draining": router.draining,
            "ready": health.ready,
            "problems": health.problems,
            "notes": health.notes,
            "parts": [pulse.as_dict() for pulse in router.pulses()],
            "stats": router.engine.stats(),
        }

    async def _stats(self, _: Request) -> Any:
        return self._router.engine.stats()

    async def _health(self, _: Request) -> Any:
        return msgspec.to_builtins(self._router.health())

    async def _adapters(self, _: Request) -> Any:
        return [pulse.as_dict() for pulse in self._router.pulses()]

    async def _pause(self, request: Request) -> Any:
        return self._turn(request, paused=True)

    async def _resume(self, request: Request) -> Any:
        return self._turn(request, paused=False)

    def _turn(self, request: Request, *, paused: bool) -> Any:
        router = self._router
        done = requests.turn(router.engine, request, router.project.model.sinks, paused=paused)
        _log.info("paused" if paused else "resumed", sink=done["sink"], by=request["by"])
        return done

    async def _find(self, request: Request) -> Any:
        router = self._router
        answer = await asyncio.to_thread(requests.find, router.engine, request)
        if router.follower is None:
            return answer
        found = orjson.loads(answer)
        ids = [event["id"] for event in found["events"]]
        try:
            rows = await router.follower.ask(inquiry.rows(found["query"], ids))
        except (DatabaseDown, DatabaseUnfit) as error:
            return {**found, "note": str(error)}
        return await asyncio.to_thread(inquiry.joined, router.engine, found, rows)

    async def _effects(self, request: Request) -> Any:
        """Effects from their database; what is decided about them goes to the engine."""
        router = self._router
        if inquiry.resolves(request):
            done = await self._resolve(request)
            _log.info("effect resolved", sink=done["sink"], id=done["id"], by=request["by"])
            return done
        if reversal.asks_for(request):
            return await self._reverse(request)
        if router.follower is None:
            return inquiry.nothing(request)
        return await router.follower.ask(inquiry.question(request))

    async def _resolve(self, request: Request) -> Any:
        router = self._router
        try:
            return await asyncio.to_thread(inquiry.resolve, router.engine, request)
        except inquiry.NotParked as refused:
            follower, sink = router.follower, request["request"]["sink"]
            if follower is None or sink not in posters(router.project, router.adapters):
                raise
            before = follower.booked_before(sink)
            return await asyncio.to_thread(
                booking.decide, request, refused, engine=router.engine, before=before
            )

    async def _reverse(self, request: Request) -> Any:
        router = self._router
        done = await reversal.reverse(
            request,
            engine=router.engine,
            project=router.project,
            adapters=router.adapters,
            ask=router.follower.ask if router.follower else None,
            submit=lambda source, message: router.submit(source, [message]),
        )
        if done["sent"]:
            fields = {name: done[name] for name in ("sink", "id", "reversal", "reference")}
            _log.info("reversal requested", **fields, by=request["by"], why=request["request"]["why"])
        return done

    async def _reconcile(self, request: Request) -> Any:
        router = self._router
        ask = router.follower.ask if router.follower else None
        return await reconcile(
            request, engine=router.engine, project=router.project, adapters=router.adapters, ask=ask
        )

    async def _dead_letters(self, request: Request) -> bytes:
        return await asyncio.to_thread(requests.dead_letters, self._router.engine, request)

    async def _replay(self, request: Request) -> bytes:
        router = self._router
        answer = await asyncio.to_thread(requests.replay, router.engine, request, router.project.model.sinks)
        asked = request["request"]
        if asked.get("verb") in ("start", "stop"):
            _log.info(f"replay {asked['verb']}", sink=asked.get("sink"), to=asked.get("to"), by=request["by"])
        return answer

    async def _inbox(self, _: Request) -> Any:
        """Everything that waits for a person, oldest first, and parts that do not work."""
        parts = [pulse.as_dict() for pulse in self._router.pulses() if pulse.state != "up"]
        health = self._router.health()
        return await asyncio.to_thread(
            requests.inbox, self._router.engine, parts, health.problems, health.notes
        )

    async def _submit(self, request: Request) -> Any:
        messages = request.get("messages")
        if not isinstance(messages, list) or not all(isinstance(one, str) for one in messages):
            raise BadRequest("`submit` needs `messages`, a list of texts")
        receipt = await self._router.submit(
            requests.text(request, "source"), [one.encode() for one in messages]
        )
        return receipt_document(receipt)

    async def _reload(self, request: Request) -> Any:
        discard = request.get("discard", [])
        if not isinstance(discard, list) or not all(isinstance(one, str) for one in discard):
            raise BadRequest("`discard` is a list of sinks")
        if discard:
            _log.warning("events of removed sinks are dropped", sinks=discard, by=request["by"])
        return {"warnings": msgspec.to_builtins(await self._router.reload(discard=discard))}

    async def _hold(self, request: Request) -> Any:
        """Keep the segments of all logs for a while, so that the data folder can be copied."""
        seconds = request.get("seconds")
        if not isinstance(seconds, int | float) or not 0 <= seconds <= HOLD_MAX_S:
            raise BadRequest(f"`hold` needs `seconds`, a number up to {HOLD_MAX_S}")
        held = await asyncio.to_thread(self._router.engine.hold, float(seconds))
        if held != bool(seconds):
            _log.info("segments are held" if seconds else "segments go", by=request["by"])
        return {"held": held}


@contextlib.contextmanager
def short_path(path: Path) -> Any:
    """A name for a socket that fits the 107 bytes of an address, however long its folder's name is."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}" if len(os.fsencode(path)) > 100 else str(path)
    finally:
        os.close(folder)


def _peer(writer: asyncio.StreamWriter) -> str | None:
    """Who asks, or `None` for a user who may not."""
    peer = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid, uid, _ = struct.unpack("3i", peer)
    if uid not in (0, os.getuid()):
        _log.warning("control connection refused", uid=uid, pid=pid)
        return None
    return f"uid {uid}"


def _failed(kind: str, message: str, **fields: Any) -> bytes:
    return orjson.dumps({"ok": False, "error": {"kind": kind, "message": message, **fields}})
