"""Post events to a business system, one request each."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from aiohttp.abc import AbstractResolver

from mfgroute.adapter import Context, Sink
from mfgroute.adapters.http.answer import lost, outcome_of
from mfgroute.adapters.http.config import HttpSinkConfig, Success
from mfgroute.adapters.web.client import Client
from mfgroute.errors import Disconnected
from mfgroute.events import Event, Outcome, Refused

__all__ = ["HttpSink", "HttpSinkConfig", "Success"]


class _Envelope(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")


_ENVELOPE = msgspec.json.Decoder(_Envelope)


class HttpSink(Sink):
    """Send each event as one request.

    Redirects, cookies, proxies from the environment and compressed answers beyond the limit are not
    followed, kept, used or unpacked. Requests of several `write` calls share connections.
    """

    Config = HttpSinkConfig
    batch_max = 1

    def __init__(
        self, config: HttpSinkConfig, context: Context, *, resolver: AbstractResolver | None = None
    ) -> None:
        self._config = config
        self._client = Client(config.url, config, context, keep_alive=config.repeatable, resolver=resolver)

    async def open(self) -> None:
        """Check the target's address and prepare the session. HTTP connects with the first request.

        Raises:
            AdapterError: the address is not allowed, or a certificate file is unusable.
            Disconnected: the name cannot be resolved.
        """
        await self._client.open(self._fixed_headers())

    async def write(self, events: Sequence[Event]) -> list[Outcome]:
        """Send the events one after the other and judge each answer.

        Raises:
            Disconnected: the target cannot be reached and nothing of the batch was sent.
        """
        outcomes: list[Outcome] = []
        for event in events:
            try:
                outcomes.append(await self._send(event))
            except Disconnected:
                if not outcomes:
                    raise
                missing = len(events) - len(outcomes)
                return outcomes + [lost("the connection was lost before", self._config)] * missing
        return outcomes

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _send(self, event: Event) -> Outcome:
        config = self._config
        try:
            body = event.json if config.body == "event" else bytes(_ENVELOPE.decode(event.json).data)
        except msgspec.DecodeError as error:
            return Refused("event_unreadable", str(error))
        headers = {config.effect.header: event.id} if config.effect is not None else {}
        try:
            answer = await self._client.request(config.method, config.url, body=body, headers=headers)
        except Disconnected as error:
            if not error.sent:
                raise
            return lost(str(error), config)
        return outcome_of(answer, config)

    def _fixed_headers(self) -> dict[str, str]:
        config = self._config
        kind = "application/cloudevents+json" if config.body == "event" else "application/json"
        headers = {"Content-Type": f"{kind}; charset=utf-8"}
        if config.token is not None:
            headers["Authorization"] = f"Bearer {config.token.reveal()}"
        return headers | {name: value.reveal() for name, value in config.headers.items()}
