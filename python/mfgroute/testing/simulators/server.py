"""The web server that every simulated system is."""

from __future__ import annotations

import asyncio
import random
from typing import Any, ClassVar

import msgspec
from aiohttp import web

from mfgroute.testing.simulators.ledger import Effect, Ledger, Misbehaviour, Mischief, Refusal
from mfgroute.testing.simulators.listening import Listening
from mfgroute.testing.simulators.rest import RestDoor

__all__ = ["CloudEvent", "Made", "Simulator", "canonical"]

_NAMES = ("order", "batch", "equipment", "report", "nonconformance")


class CloudEvent(msgspec.Struct, frozen=True):
    """The attributes of a structured CloudEvent that a target system looks at."""

    id: str
    source: str
    type: str
    data: dict[str, Any]
    subject: str = ""


class Made(msgspec.Struct, frozen=True):
    """What a system does for an event."""

    what: str
    details: dict[str, Any] = msgspec.field(default_factory=dict)


_EVENT = msgspec.json.Decoder(CloudEvent)
_MISBEHAVIOUR = msgspec.json.Decoder(Misbehaviour)


def canonical(type_: str) -> str:
    """``com.example.production.operation.completed.v1`` without namespace and version.

    The namespace is whatever stands before one of the families of our catalogue.
    """
    name = type_.rsplit(".v", 1)[0]
    for family in ("production", "material", "quality", "equipment", "traceability", "masterdata"):
        start = f".{name}".find(f".{family}.")
        if start >= 0:
            return name[start:]
    return name


class Simulator(Listening):
    """A business system on loopback that keeps a ledger and misbehaves on request.

    Subclasses say in `accepts` which events they take at which path and implement `make`. A request is
    judged and its effect recorded without giving up control, so two equal requests at once have one
    effect.
    """

    system: ClassVar[str]
    #: Path -> canonical types taken there. Every simulator also takes all of them at ``/events``.
    accepts: ClassVar[dict[str, tuple[str, ...]]]
    #: Whether a known key with another body replaces the effect.
    upsert: ClassVar[bool] = False
    first_document: ClassVar[int] = 4_900_000_001
    #: Resources of the REST door -> kind of effect, see `RestDoor`.
    resources: ClassVar[dict[str, str]] = {}

    def __init__(self, *, kept_s: float = 86_400.0, seed: int = 1) -> None:
        self.ledger = Ledger(
            self.system, kept_s=kept_s, upsert=self.upsert, first_document=self.first_document
        )
        #: How often a job of the REST door is asked for before it has ended.
        self.job_polls = 2
        self._misbehaviours: list[Misbehaviour] = []
        self._chance = random.Random(seed)  # noqa: S311 - repeatable, not secret

    def make(self, name: str, event: CloudEvent) -> Made:
        """Judge an event and do what it asks for.

        Raises:
            Refusal: the system does not do it.
        """
        raise NotImplementedError

    def make_plain(self, resource: str, document: dict[str, Any]) -> dict[str, Any]:
        """Judge a document that came through the REST door, and say what else is noted of it.

        Raises:
            Refusal: the system does not do it.
        """
        raise Refusal("unknown", f"{self.system} makes no {resource} of {len(document)} fields")

    def natural_key(self, name: str, event: CloudEvent) -> str:
        """What an upsert replaces by: for most systems the business object and the sender's report."""
        return f"{name}/{event.subject}/{event.data.get('report', '')}"

    def setup(self, document: dict[str, Any]) -> None:
        """Take over master data. Systems without any ignore it."""
        del document

    def misbehave(
        self,
        kind: Mischief,
        *,
        times: int | None = None,
        ratio: float = 1.0,
        name: str | None = None,
        after_s: float = 0.2,
    ) -> None:
        """Misbehave from now on, see `Misbehaviour`."""
        self._misbehaviours.append(
            Misbehaviour(kind=kind, times=times, ratio=ratio, name=name, after_s=after_s)
        )

    def behave(self) -> None:
        """Stop misbehaving."""
        self._misbehaviours.clear()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 20)
        app.router.add_get("/ledger", self._show_ledger)
        app.router.add_get("/health", self._show_health)
        app.router.add_post("/misbehave", self._take_misbehaviour)
        app.router.add_post("/behave", self._take_good_behaviour)
        app.router.add_post("/setup", self._take_setup)
        for path in ("/events", *self.accepts):
            app.router.add_post(path, self._take_event)
            app.router.add_put(path, self._take_event)
        RestDoor(self, self.resources).add_to(app)
        return app

    async def _show_ledger(self, _: web.Request) -> web.Response:
        return _json(200, self.ledger.snapshot())

    async def _show_health(self, _: web.Request) -> web.Response:
        return _json(200, {"system": self.system, "ok": True})

    async def _take_misbehaviour(self, request: web.Request) -> web.Response:
        try:
            wish = _MISBEHAVIOUR.decode(await request.read())
        except msgspec.DecodeError as error:
            return _json(400, {"code": "bad_request", "message": str(error)})
        self._misbehaviours.append(wish)
        return _json(200, {"ok": True})

    async def _take_good_behaviour(self, _: web.Request) -> web.Response:
        self.behave()
        return _json(200, {"ok": True})

    async def _take_setup(self, request: web.Request) -> web.Response:
        try:
            self.setup(msgspec.json.decode(await request.read(), type=dict[str, Any]))
        except (msgspec.MsgspecError, KeyError) as error:
            return _json(400, {"code": "bad_request", "message": str(error)})
        return _json(200, {"ok": True})

    async def _take_event(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.ledger.requests += 1
        try:
            event = _EVENT.decode(body)
        except msgspec.DecodeError as error:
            refusal = Refusal("bad_event", f"not a structured CloudEvent: {error}", status=400)
            self.ledger.refuse("", refusal)
            return _refused(refusal)
        wish = self.struck({value for name in _NAMES if isinstance(value := event.data.get(name), str)})
        early = await self._misbehave_early(wish)
        if early is not None:
            return early
        try:
            status, effect = self._judge(request, event, body, wish)
        except Refusal as refusal:
            self.ledger.refuse(event.subject or event.id, refusal)
            return _refused(refusal)
        if wish is not None and wish.kind == "cut":
            return _cut(request)
        if wish is not None and wish.kind == "late_error":
            return _json(500, {"code": "internal", "message": "after the commit"})
        answer = _json(status, {"document": effect.document, "what": effect.what, **effect.details})
        answer.headers["Location"] = f"/documents/{effect.document}"
        if status == 200 and not effect.replaced:
            answer.headers["Idempotency-Replayed"] = "true"
        return answer

    def struck(self, names: set[str], kinds: frozenset[str] | None = None) -> Misbehaviour | None:
        """The misbehaviour that hits a request about these names; counted.

        Args:
            names: orders, lots, references and the like.
            kinds: only misbehaviour of these kinds; without it, of all that are not about questions.
        """
        for wish in self._misbehaviours:
            wanted = wish.kind in kinds if kinds is not None else wish.kind != "blind"
            if wanted and wish.hits(names, self._chance):
                self.ledger.mischief[wish.kind] += 1
                return wish
        return None

    async def _misbehave_early(self, wish: Misbehaviour | None) -> web.Response | None:
        """What is answered before the event is looked at."""
        if wish is None:
            return None
        if wish.kind == "too_many":
            answer = _json(429, {"code": "too_many", "message": "too many requests"})
            answer.headers["Retry-After"] = f"{max(1, round(wish.after_s))}"
            return answer
        if wish.kind == "error":
            return _json(500, {"code": "internal", "message": "short dump"})
        if wish.kind == "lie":
            return _json(201, {"document": "99999999", "what": "nothing"})
        if wish.kind == "error_body":
            return _json(200, {"error": {"code": "LOCKED", "message": "the order is locked"}})
        if wish.kind == "slow":
            await asyncio.sleep(wish.after_s)
        return None

    def _judge(
        self, request: web.Request, event: CloudEvent, body: bytes, wish: Misbehaviour | None
    ) -> tuple[int, Effect]:
        name = canonical(event.type)
        allowed = self.accepts.get(request.path)
        if allowed is None:
            allowed = tuple(type_ for types in self.accepts.values() for type_ in types)
        if name not in allowed:
            raise Refusal("wrong_type", f"{self.system} takes no {name} at {request.path}")
        key = request.headers.get("Idempotency-Key", event.id)
        if self.upsert:
            try:
                key = self.natural_key(name, event)
            except KeyError as error:
                raise Refusal("field_missing", f"{name} has no {error.args[0]}") from None
        known = self.ledger.find(key, body)
        if known is not None:
            return 200, known
        if wish is not None and wish.kind == "refuse":
            raise Refusal("locked", f"{event.subject} is locked by a user")
        try:
            made = self.make(name, event)
        except KeyError as error:
            raise Refusal("field_missing", f"{name} has no {error.args[0]}") from None
        except (ValueError, ArithmeticError) as error:
            raise Refusal("value_invalid", f"{name}: {error}") from None
        effect = self.ledger.post(
            what=made.what,
            key=event.subject,
            idempotency_key=key,
            body=body,
            data=event.data,
            details=made.details,
        )
        return (200 if effect.replaced else 201), effect


def _json(status: int, document: dict[str, Any]) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(document), content_type="application/json", charset="utf-8"
    )


def _refused(refusal: Refusal) -> web.Response:
    return _json(refusal.status, {"code": refusal.code, "message": refusal.message})


def _cut(request: web.Request) -> web.Response:
    """Drop the connection; the work is done and nobody hears of it."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
