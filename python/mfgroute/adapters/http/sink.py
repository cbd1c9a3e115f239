"""Post events to a business system, one request each."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver

from mfgroute.adapter import Context, Sink
from mfgroute.adapters.http.answer import Answer, lost, outcome_of, unpacked
from mfgroute.adapters.http.config import HttpSinkConfig, Success
from mfgroute.adapters.http.destination import Forbidden, GuardedResolver, forbidden
from mfgroute.adapters.plain import excerpt
from mfgroute.errors import AdapterError, Disconnected
from mfgroute.events import Event, Outcome, Refused

__all__ = ["HttpSink", "HttpSinkConfig", "Success"]

_HEADER_MAX = 8190


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
        self._project_dir = context.project_dir
        parts = urlsplit(config.url)
        # Without the query, which may hold a secret.
        self._shown = f"{parts.scheme}://{parts.netloc}{parts.path}"
        self._host = parts.hostname or ""
        self._inner_resolver = resolver
        self._resolver: GuardedResolver | None = None
        self._http: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Check the target's address and prepare the session. HTTP connects with the first request.

        Raises:
            AdapterError: the address is not allowed, or a certificate file is unusable.
            Disconnected: the name cannot be resolved.
        """
        config = self._config
        self._resolver = GuardedResolver(allow_private=config.allow_private, inner=self._inner_resolver)
        try:
            await asyncio.wait_for(self._check_address(self._resolver), self._config.connect_timeout_s)
        except Forbidden as error:
            raise AdapterError(f"{self._shown} is not allowed: {error}") from error
        except (OSError, TimeoutError) as error:
            raise Disconnected(f"cannot resolve {self._host}: {error}", sent=False) from error
        connector = aiohttp.TCPConnector(
            resolver=self._resolver,
            ssl=self._tls(),
            limit=0,  # The runtime bounds what is in flight.
            keepalive_timeout=15 if config.repeatable else None,
            # A kept connection may be closed by the target just as we send; then nobody knows whether the
            # request arrived. Only a target that tells repetitions apart may be sent to like that.
            force_close=not config.repeatable,
        )
        self._http = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            headers=self._fixed_headers(),
            timeout=aiohttp.ClientTimeout(
                total=self._config.timeout_s, sock_connect=self._config.connect_timeout_s
            ),
            max_line_size=_HEADER_MAX,
            max_field_size=_HEADER_MAX,
        )

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
        http, self._http = self._http, None
        if http is not None:
            await http.close()
        resolver, self._resolver = self._resolver, None
        if resolver is not None:
            await resolver.close()

    async def _send(self, event: Event) -> Outcome:
        assert self._http is not None, "write before open"
        config = self._config
        try:
            body = event.json if config.body == "event" else bytes(_ENVELOPE.decode(event.json).data)
        except msgspec.DecodeError as error:
            return Refused("event_unreadable", str(error))
        headers = {config.effect.header: event.id} if config.effect is not None else {}
        try:
            async with self._http.request(
                config.method, config.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                answer = await self._answer(response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            # Before a connection stands, TLS included, nothing of the request is sent.
            # The cause says more than aiohttp's own text, such as why an address is not allowed.
            what = excerpt(str(getattr(error, "os_error", error)))
            raise Disconnected(f"cannot reach {self._shown}: {what}", sent=False) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            what = excerpt(str(error)) or type(error).__name__
            return lost(f"{self._shown} did not answer: {what}", config)
        return outcome_of(answer, config)

    async def _answer(self, response: aiohttp.ClientResponse) -> Answer:
        limit = self._config.response_max
        body = bytearray()
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > limit:
                response.close()  # Not read further, and not used again.
                break
        try:
            plain, cut = unpacked(bytes(body), response.headers.get("Content-Encoding", ""), limit)
        except ValueError:
            plain, cut = b"", True  # The status was said all the same.
        return Answer(status=response.status, headers=response.headers, body=plain, truncated=cut)

    async def _check_address(self, resolver: GuardedResolver) -> None:
        try:
            ipaddress.ip_address(self._host.partition("%")[0])
        except ValueError:
            await resolver.resolve(self._host, 0, socket.AF_UNSPEC)
            return
        # aiohttp does not ask the resolver about addresses.
        reason = forbidden(self._host, allow_private=self._config.allow_private)
        if reason is not None:
            raise Forbidden(reason)

    def _fixed_headers(self) -> dict[str, str]:
        config = self._config
        kind = "application/cloudevents+json" if config.body == "event" else "application/json"
        headers = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Accept-Encoding": "identity",
            "User-Agent": "mfgroute",
        }
        if config.token is not None:
            headers["Authorization"] = f"Bearer {config.token.reveal()}"
        return headers | {name: value.reveal() for name, value in config.headers.items()}

    def _tls(self) -> ssl.SSLContext:
        config = self._config
        try:
            ca_file = str(self._project_dir / config.ca_file) if config.ca_file else None
            context = ssl.create_default_context(cafile=ca_file)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            # A name in the common name alone does not count (RFC 9525).
            context.hostname_checks_common_name = False
            if config.cert_file is not None and config.key_file is not None:
                folder: Path = self._project_dir
                context.load_cert_chain(folder / config.cert_file, folder / config.key_file)
        except (OSError, ssl.SSLError) as error:
            raise AdapterError(f"cannot use the certificates of {self._shown}: {error}") from error
        return context
