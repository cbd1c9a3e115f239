"""Post events to SAP S/4HANA, each exactly once in effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, TypeAlias

from aiohttp.abc import AbstractResolver

from mfgroute.adapter import Books, Context, Effect, Held, Poster, Request
from mfgroute.adapters.sap.call import Call, unpack
from mfgroute.adapters.sap.cancel import described
from mfgroute.adapters.sap.config import SapSinkConfig
from mfgroute.adapters.sap.lookup import Lookups
from mfgroute.adapters.sap.post import Posting
from mfgroute.adapters.sap.render import Renderer
from mfgroute.adapters.sap.session import Session
from mfgroute.events import (
    Absent,
    Accepted,
    Done,
    Event,
    InDoubt,
    NotYet,
    Outcome,
    Refused,
)
from mfgroute.observe.logs import get_logger

__all__ = ["SapSink", "SapSinkConfig"]

_log = get_logger()

Posted: TypeAlias = Outcome | Accepted | NotYet


class SapSink(Poster):
    """Confirmations, goods movements and batch status in SAP S/4HANA, by its OData V2 services.

    What it posts carries our reference, by which it can be found again. It is a `Reader` and a `Reverser`.
    """

    Config = SapSinkConfig
    batch_max = 20

    def __init__(
        self,
        config: SapSinkConfig,
        context: Context,
        *,
        resolver: AbstractResolver | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._config = config
        self._name = context.name
        self._counters: Counter[str] = Counter()
        self._session = Session(config, context, resolver=resolver)
        self._renderer = Renderer(config, now)
        self._lookups = Lookups(self._session, self._renderer.units)
        self._posting = Posting(config, self._session, self._lookups, self._counters)
        self._said: str | None = None

    @property
    def effect(self) -> Effect:
        """By key only while answers say that RequestID is honoured, else by lookup."""
        return self._config.effect.effect(self._by)

    @property
    def _by(self) -> Literal["key", "lookup"]:
        return "key" if self._config.effect.by == "key" and self._posting.honoured else "lookup"

    @property
    def counters(self) -> Mapping[str, int]:
        """What was counted.

        `posted_incomplete`: confirmations without all their goods movements; `split`: changesets sent again
        piece by piece; `looked_up`: postings asked about; `token_fetches`: CSRF tokens.
        """
        return {**self._counters, "token_fetches": self._session.token_fetches}

    async def open(self) -> None:
        """Check the target's address and say how an event has one effect. Connects with the first request.

        Raises:
            AdapterError: the address is not allowed, or a certificate file is unusable.
            Disconnected: the name cannot be resolved.
        """
        await self._session.open()
        self._say()

    async def close(self) -> None:
        """Close all connections and forget the session."""
        await self._session.close()

    async def render(self, event: Event, books: Books) -> Request | Done | Refused | NotYet:
        """The request of an event; only a reversal looks something up in the target.

        Raises:
            Disconnected: a reversal's confirmation cannot be looked up now.
        """
        return await self._renderer.render(event, books, self._lookups.confirmations)

    async def adds(self, event: Event, books: Books) -> tuple[str, Mapping[str, Decimal]] | None:
        """What an event that cannot be posted as it is adds to its order, if a person books it by hand."""
        return await self._renderer.adds(event, books)

    async def post(self, requests: Sequence[Request]) -> list[Posted]:
        """Send requests, singly or in batches, and say what became of each.

        Raises:
            Disconnected: the target cannot be reached and nothing of the first request was sent.
        """
        calls = [unpack(request.body) for request in requests]
        outcomes = await self._posting.post(calls, by_key=self._config.effect.by == "key")
        self._say()
        for call, outcome in zip(calls, outcomes, strict=True):
            self._warn(call, outcome)
        return outcomes

    async def ask(self, request: Request) -> Done | Refused | Absent | InDoubt:
        """Look a request up by our reference in the target.

        Raises:
            Disconnected: the target cannot be asked now.
        """
        self._counters["looked_up"] += 1
        return await self._posting.ask(unpack(request.body))

    async def follow(self, request: Request, reference: str) -> Posted:
        """Ask what became of a request that was accepted."""
        return await self._posting.follow(unpack(request.body), reference)

    async def read(self, thing: str) -> Mapping[str, Held]:
        """What the target holds of an order (``order/DE04/4711``) or of blocked stock of a lot.

        Raises:
            Disconnected: the target cannot be reached, or does not answer now.
            AdapterError: the target does not answer this.
        """
        return await self._lookups.read(thing)

    def reverse(
        self, request: Request, reference: str, *, posted: Mapping[str, Decimal], reason: str = ""
    ) -> Request | Refused:
        """The request that takes a posting back: a confirmation with its movements, a document, a hold."""
        return self._renderer.reverse(request, reference, reason, posted)

    def describe(self, request: Request, reversal: Request) -> str:
        """What the reversal of a request does in SAP, in a line for a person."""
        return described(unpack(request.body), unpack(reversal.body))

    def _say(self) -> None:
        """Say how an event has one effect, at start and when that changes."""
        if self._by == self._said:
            return
        first, self._said = self._said is None, self._by
        if self._by == "key":
            _log.info("effect by key", sink=self._name, reason="the target honours RequestID")
        elif first and self._config.effect.by == "key":
            reason = "until the target says that it honours RequestID"
            _log.info("effect by lookup", sink=self._name, reason=reason)
        elif first:
            _log.info("effect by lookup", sink=self._name)
        else:
            _log.warning("effect by lookup", sink=self._name, reason="the target does not honour RequestID")

    def _warn(self, call: Call, outcome: Posted) -> None:
        if not isinstance(outcome, Done) or outcome.reference is None:
            return
        if call.held:
            _log.info("a lot stays restricted", sink=self._name, lot=call.thing, held_for=call.held)
        elif call.kind == "confirm" and " incomplete" in outcome.reference:
            _log.warning(
                "posted without its goods movements",
                sink=self._name,
                order=call.order,
                reference=outcome.reference,
            )
