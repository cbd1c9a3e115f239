"""Post events to a business system, one request each."""

from __future__ import annotations

import decimal
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec
from aiohttp.abc import AbstractResolver

from mfgroute.adapter import Books, Context, Effect, Held, Poster, Request
from mfgroute.adapters.http.address import Address, secrets_of
from mfgroute.adapters.http.answer import local_path, lost, outcome_of
from mfgroute.adapters.http.asking import followed, found, held, undone
from mfgroute.adapters.http.config import HttpSinkConfig
from mfgroute.adapters.http.contract import document_of, reference_at
from mfgroute.adapters.http.kept import Packed, unpacked
from mfgroute.adapters.http.pieces import PATH_CHARACTERS, path_text, target
from mfgroute.adapters.http.request import RequestTemplate
from mfgroute.adapters.http.reversal import Reversal
from mfgroute.adapters.http.template import Unfit
from mfgroute.adapters.plain import excerpt
from mfgroute.adapters.web.answer import Answer, at
from mfgroute.adapters.web.client import Client
from mfgroute.errors import AdapterError, Disconnected
from mfgroute.events import Absent, Accepted, Done, Event, InDoubt, NotYet, Outcome, Refused, Retry

__all__ = ["HttpSink", "HttpSinkConfig"]

_PAGES_MAX = 1000
#: Sums of quantities are exact, or an error.
_EXACT = decimal.Context(prec=150, traps=[decimal.Inexact, decimal.InvalidOperation])
T = TypeVar("T", bound=msgspec.Struct)

_STRONG_TAG = re.compile(r'"[\x21\x23-\x7e]*"')
_DECIMAL = re.compile(r"-?[0-9]{1,60}(\.[0-9]{1,60})?")


class HttpSink(Poster):
    """Send each event as one request, made of a template and kept until it has ended.

    It is a `Reader` and a `Reverser` as far as its configuration says how.
    """

    Config = HttpSinkConfig
    batch_max = 1

    def __init__(
        self, config: HttpSinkConfig, context: Context, *, resolver: AbstractResolver | None = None
    ) -> None:
        self._config = config
        self._address = Address(config.url)
        self._client = Client(
            config.url,
            config,
            context,
            keep_alive=config.repeatable,
            resolver=resolver,
            secrets=secrets_of(config),
        )
        entries = config.requests or [RequestTemplate(method=config.method, body=config.body)]
        # An entry without types comes last: it takes what no other does.
        ordered = sorted(entries, key=lambda one: not one.types)
        self._entries = [(one, one.parts) for one in ordered]

    @property
    def effect(self) -> Effect:
        """As configured. Without a word about it what may have arrived is never sent again."""
        return self._config.effect or Effect(by="none", accept="at_most_once")

    async def open(self) -> None:
        """Check the target's address and prepare the session. HTTP connects with the first request.

        Raises:
            AdapterError: the address is not allowed, or a certificate file is unusable.
            Disconnected: the name cannot be resolved.
        """
        await self._client.open(self._secret_headers())

    async def render(self, event: Event, books: Books) -> Request | Done | Refused | NotYet:
        """Make the request of an event by the entry of `requests` for its type."""
        del books  # What was posted before has no influence on a request.
        header = None if self._config.effect is None else self._config.effect.header
        for entry, parts in self._entries:
            if entry.takes(event.type):
                try:
                    return parts.render(event, entry.method, header)
                except Unfit as error:
                    return Refused(error.code, excerpt(error.reason))
        return Refused("no_request", f"no entry of `requests` is for {event.type}")

    async def post(self, requests: Sequence[Request]) -> list[Outcome | Accepted | NotYet]:
        """Send the requests one after the other and judge each answer.

        Raises:
            Disconnected: the target cannot be reached and nothing of the batch was sent.
        """
        outcomes: list[Outcome | Accepted | NotYet] = []
        for request in requests:
            try:
                outcomes.append(self._masked(await self._post(request)))
            except Disconnected as error:
                if not outcomes:
                    raise
                missing = len(requests) - len(outcomes)
                # Nothing of these was sent.
                return outcomes + [Retry(reason=str(error))] * missing
        return outcomes

    async def ask(self, request: Request) -> Done | Refused | Absent | InDoubt | Retry:
        """Ask the target whether it has a request that may have arrived.

        Raises:
            Disconnected: the target cannot be reached.
        """
        kept, reversal = self._kept(request)
        ask, undo = self._config.ask, None if reversal is None else reversal.ask
        said: Done | Refused | Absent | InDoubt | Retry
        try:
            if kept is not None and kept.asked is not None:
                if undo is None:
                    return InDoubt(f"no `reversal` says any more how to ask for {request.key}")
                said = undone(await self._get(kept.asked), undo, request.key)
            elif ask is not None:
                there = target(path_text(ask.path), {"key": request.key})
                said = found(await self._get(there), ask, request.key)
            else:
                return await super().ask(request)
        except Disconnected as error:
            if not error.sent:
                raise
            said = Retry(reason=str(error))
        return self._masked(said)

    async def follow(self, request: Request, reference: str) -> Outcome | Accepted | NotYet:
        """Ask what became of a request that the target has accepted under a reference.

        Raises:
            Disconnected: the target cannot be reached.
        """
        follow = self._config.follow
        if follow is None or not (follow.path or PATH_CHARACTERS.fullmatch(reference)):
            return await super().follow(request, reference)
        if follow.path is None:
            url = self._address.beside(reference)
        else:
            # The template calls it a job; see `Follow`.
            path = path_text(follow.path.replace("{job}", "{key}"))
            url = self._address.below(target(path, {"key": reference}))
        try:
            answer = await self._client.request("GET", url)
        except Disconnected as error:
            if not error.sent:
                raise
            # It was accepted, and that stands; it is asked again later.
            return follow.accepted(reference)
        return self._masked(followed(answer, follow, reference, self._config))

    @property
    def readable(self) -> bool:
        """Whether the configuration says how the target is read."""
        return self._config.read is not None

    async def read(self, thing: str) -> dict[str, Held]:
        """What the target holds of an object, page by page.

        Raises:
            Disconnected: the target cannot be reached, or cannot say now.
            AdapterError: it is not configured, no such object, or the answer cannot be understood.
        """
        read = self._config.read
        path = None if read is None else read.path_of(thing)
        if read is None or path is None:
            raise AdapterError(f"`read` does not say how to ask about {thing}")
        sums: dict[str, Decimal] = {}
        documents: dict[str, list[str]] = {}
        url = self._address.below(path)
        for _ in range(_PAGES_MAX):
            rows, following = held(await self._client.request("GET", url), read)
            for name, amount, document in rows:
                sums[name] = _EXACT.add(sums.get(name, Decimal()), amount)
                documents.setdefault(name, []).extend([document] if document is not None else [])
            if following is None:
                return {
                    name: Held(amount=amount, documents=tuple(documents[name]))
                    for name, amount in sums.items()
                }
            there = local_path(following, self._config.url)
            if there is None:
                raise AdapterError(
                    f"the next page of {thing} is not at the target: {excerpt(following, 200)}"
                )
            url = self._address.beside(there)
        raise AdapterError(f"{thing} has more than {_PAGES_MAX} pages")

    @property
    def reversible(self) -> bool:
        """Whether the configuration says how anything is taken back."""
        return any(entry.reversal is not None for entry, _ in self._entries)

    def reverse(
        self, request: Request, reference: str, *, posted: Mapping[str, Decimal], reason: str = ""
    ) -> Request | Refused:
        """The request that takes another back, by the `reversal` of its entry."""
        del posted  # What else was posted has no influence on a request.
        kept, reversal = self._kept(request)
        if kept is None:
            return Refused("not_reversible", "what was sent cannot be read by this version")
        if kept.undoes:
            return Refused("not_reversible", f"{reference} took a posting back: post that again instead")
        if reversal is None:
            what = kept.type or "such an event"
            said = f"no `reversal` is declared for {what}: reverse {reference or 'it'} in the target"
            return Refused("not_reversible", said)
        header = None if self._config.effect is None else self._config.effect.header
        try:
            return reversal.made(request, kept, reference=reference, reason=reason, header=header)
        except Unfit as error:
            return Refused(error.code, excerpt(error.reason))

    def describe(self, request: Request, reversal: Request) -> str:
        """What the reversal of a request is, in a line for a person."""
        del request
        kept = unpacked(reversal.body)
        return f"sends {kept.method} {excerpt(kept.path, 200)}"

    async def _get(self, path: str) -> Answer:
        return await self._client.request("GET", self._address.below(path))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _post(self, request: Request) -> Outcome | Accepted | NotYet:
        kept, reversal = self._kept(request)
        if kept is None:
            return InDoubt("the kept request cannot be read by this version")
        guarded = await self._guarded(request, kept)
        if isinstance(guarded, Done | Refused | Retry | InDoubt):
            return guarded
        url, headers = self._address.below(kept.path), {**kept.headers, **guarded}
        try:
            answer = await self._client.request(kept.method, url, body=kept.body or None, headers=headers)
        except Disconnected as error:
            if not error.sent:
                raise
            return lost(str(error), self._config)
        if guarded and answer.status == 412:
            said = "http_412: the target's document changed meanwhile"
            return Retry(reason=said, judged=True, waits=True)
        own = reversal.answers if reversal is not None and kept.undoes else ()
        return outcome_of(answer, self._config, own)

    def _kept(self, request: Request) -> tuple[Packed | None, Reversal | None]:
        """What is kept of a request, if it can be read, and how its events are taken back."""
        try:
            kept = unpacked(request.body)
        except (ValueError, msgspec.MsgspecError):
            return None, None
        entry = next((one for one, _ in self._entries if one.takes(kept.type)), None)
        return kept, None if entry is None else entry.reversal

    async def _guarded(self, request: Request, kept: Packed) -> Mapping[str, str] | Outcome:
        """Headers that let a version replace an older one only, or an outcome when nothing is to be sent."""
        if kept.guard is None:
            return {}
        try:
            answer = await self._client.request("GET", self._address.below(kept.path))
        except Disconnected as error:
            # Nothing was sent but a question.
            raise Disconnected(str(error), sent=False) from error
        if answer.status == 404:
            return {"If-None-Match": "*"}
        if not 200 <= answer.status < 300:
            outcome = outcome_of(answer, self._config)
            judged = isinstance(outcome, Retry) and outcome.judged
            said = f"asked for the version of {request.key}: http_{answer.status}"
            return outcome if isinstance(outcome, Refused) else Retry(reason=said, judged=judged)
        return self._versioned(answer, *kept.guard)

    def _versioned(self, answer: Answer, place: str, ours: str) -> Mapping[str, str] | Outcome:
        there = _version(answer, place)
        newer = None if there is None else _at_least(there, ours)
        if newer is None:
            return Refused("version_unknown", f"no version to compare with {ours} at {place}")
        if newer:
            return Done(self._number(answer))
        tag = answer.headers.get("ETag", "")
        return {"If-Match": tag} if _STRONG_TAG.fullmatch(tag) else {}

    def _secret_headers(self) -> dict[str, str]:
        config = self._config
        token = {} if config.token is None else {"Authorization": f"Bearer {config.token.reveal()}"}
        return token | {name: value.reveal() for name, value in config.headers.items()}

    def _number(self, answer: Answer) -> str | None:
        pointer = self._config.reference
        return None if pointer is None else reference_at(document_of(answer), pointer)

    def _masked(self, outcome: T) -> T:
        """An outcome without secrets in the target's words."""
        texts = {
            name: self._client.masked(value)
            for name in ("reason", "reference")
            if isinstance(value := getattr(outcome, name, None), str)
        }
        return msgspec.structs.replace(outcome, **texts) if texts else outcome


def _version(answer: Answer, pointer: str) -> str | None:
    value = at(document_of(answer), pointer)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def _at_least(there: str, ours: str) -> bool | None:
    """Whether the target's version is ours or newer; `None` if they cannot be compared."""
    if _DECIMAL.fullmatch(there) and _DECIMAL.fullmatch(ours):
        return Decimal(there) >= Decimal(ours)
    if _DECIMAL.fullmatch(there) or _DECIMAL.fullmatch(ours):
        return None
    return there >= ours  # Such as two times in UTC.
