"""What a simulated system did, and how it may be told to misbehave. No network here."""

from __future__ import annotations

import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

import msgspec

__all__ = ["Effect", "KeyReused", "Ledger", "Misbehaviour", "Mischief", "Refusal"]

Mischief = Literal["too_many", "error", "slow", "cut", "refuse", "late_error", "lie", "error_body", "blind"]


class Refusal(Exception):  # noqa: N818 - a refusal is a verdict on the request, not a failure of the simulator
    """The system judges a request and refuses it.

    Attributes:
        status: HTTP status of the answer.
        code: the system's own short code.
        message: the system's own sentence.
    """

    def __init__(self, code: str, message: str, *, status: int = 422) -> None:
        self.status = status
        self.code = code
        self.message = message
        super().__init__(message)


class KeyReused(Refusal):
    """An idempotency key came again with another body."""

    def __init__(self, key: str) -> None:
        super().__init__("key_reused", f"idempotency key {key} was used with another body")


class Effect(msgspec.Struct, kw_only=True):
    """One thing a system did.

    Attributes:
        what: kind of effect, such as ``confirmation``.
        key: business object, such as ``order/DE04/1004733``.
        idempotency_key: under which the effect is known.
        document: number that the system gave it.
        body: the event's ``data``.
        requests: how often it was asked for; all but the first are duplicates.
        replaced: how often an upsert replaced its body.
        details: what else the system noted.
    """

    what: str
    key: str
    idempotency_key: str
    document: str
    body: dict[str, Any]
    requests: int = 1
    replaced: int = 0
    details: dict[str, Any] = msgspec.field(default_factory=dict)


class _Known(msgspec.Struct):
    """What is remembered of an idempotency key."""

    digest: bytes
    effect: Effect
    since: float


class Ledger:
    """The effects of one system, in the order they happened.

    Args:
        system: name of the system.
        kept_s: how long an idempotency key is remembered; later the same key is a new effect.
        upsert: whether a known key with another body replaces the effect instead of being refused.
        first_document: number of the first document.
        clock: seconds, monotonic; replaced in tests.
    """

    def __init__(
        self,
        system: str,
        *,
        kept_s: float = 86_400.0,
        upsert: bool = False,
        first_document: int = 4_900_000_001,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.system = system
        self.effects: list[Effect] = []
        self.refusals: list[dict[str, str]] = []
        self.requests = 0
        self.mischief: Counter[str] = Counter()
        self._kept_s = kept_s
        self._upsert = upsert
        self._next_document = first_document
        self._clock = clock
        self._known: dict[str, _Known] = {}

    def find(self, idempotency_key: str, body: bytes) -> Effect | None:
        """The effect that a request asks for again, or `None` when it is new or replaces one.

        Raises:
            KeyReused: the key is known with another body, and the system does not upsert.
        """
        known = self._known.get(idempotency_key)
        if known is None:
            return None
        if self._clock() - known.since > self._kept_s:
            del self._known[idempotency_key]
            return None
        if known.digest != _digest(body):
            if self._upsert:
                return None
            raise KeyReused(idempotency_key)
        known.effect.requests += 1
        return known.effect

    def post(
        self,
        *,
        what: str,
        key: str,
        idempotency_key: str,
        body: bytes,
        data: dict[str, Any],
        details: dict[str, Any],
    ) -> Effect:
        """Record that something was done, or that an upsert replaced it."""
        known = self._known.get(idempotency_key)
        if known is not None:
            effect = known.effect
            effect.body, effect.details = data, details
            effect.requests += 1
            effect.replaced += 1
            known.digest = _digest(body)
            return effect
        effect = Effect(
            what=what,
            key=key,
            idempotency_key=idempotency_key,
            document=str(self._next_document),
            body=data,
            details=details,
        )
        self._next_document += 1
        self.effects.append(effect)
        self._known[idempotency_key] = _Known(_digest(body), effect, self._clock())
        return effect

    def refuse(self, key: str, refusal: Refusal) -> None:
        """Record that a request was refused."""
        self.refusals.append({"key": key, "code": refusal.code, "message": refusal.message})

    @property
    def duplicates(self) -> int:
        """Requests that asked for what was already done, with the same body."""
        return sum(effect.requests - 1 - effect.replaced for effect in self.effects)

    def counts(self) -> dict[str, int]:
        """How many effects there are of each kind, sorted by kind."""
        return dict(sorted(Counter(effect.what for effect in self.effects).items()))

    def snapshot(self) -> dict[str, Any]:
        """Everything, as ``GET /ledger`` shows it."""
        return {
            "system": self.system,
            "requests": self.requests,
            "counts": self.counts(),
            "duplicates": self.duplicates,
            "refused": len(self.refusals),
            "refusals": self.refusals,
            "misbehaved": dict(sorted(self.mischief.items())),
            "effects": msgspec.to_builtins(self.effects),
        }


class Misbehaviour(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How a system shall misbehave.

    Attributes:
        kind: ``too_many`` answers 429 with ``Retry-After``; ``error`` answers 500 and does nothing;
            ``slow`` answers late; ``cut`` does its work and drops the connection without an answer;
            ``late_error`` does its work and answers 500; ``lie`` does nothing and answers 201;
            ``error_body`` does nothing and answers 200 with an error in the body; ``blind`` answers 503 to
            questions about what was done; ``refuse`` answers 422.
        times: for how many requests; without it, until told otherwise.
        ratio: which share of the requests it hits.
        name: only requests about this order, batch, equipment or report.
        after_s: wait that ``too_many`` asks for and that ``slow`` takes.
    """

    kind: Mischief
    times: int | None = None
    ratio: float = 1.0
    name: str | None = None
    after_s: float = 0.2

    def hits(self, names: set[str], chance: random.Random) -> bool:
        """Whether a request about `names` is hit; counts it."""
        if self.times == 0 or (self.name is not None and self.name not in names):
            return False
        if self.ratio < 1.0 and chance.random() >= self.ratio:
            return False
        if self.times is not None:
            self.times -= 1
        return True


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()
