"""Requests over HTTP that follow, keep and unpack nothing beyond limits."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from mfgroute.adapter import Context
from mfgroute.adapters.plain import excerpt
from mfgroute.adapters.web.answer import Answer, unpacked
from mfgroute.adapters.web.config import ConnectionConfig
from mfgroute.adapters.web.destination import Forbidden, GuardedResolver, forbidden
from mfgroute.errors import AdapterError, Disconnected

__all__ = ["Client", "shown"]

_HEADER_MAX = 8190
_MASK = "********"
#: Shorter values are no secrets, and masking them would garble messages.
_MASKED_LENGTH_MIN = 4


def shown(url: str) -> str:
    """A URL without its query, which may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


class Client:
    """One session with a target.

    Redirects are not followed, cookies not kept, proxies of the environment not used; no connection is
    made to an address that is not allowed, whatever a name resolves to by then.

    Args:
        url: of the target; its address is checked when the client is opened.
        config: limits and certificates.
        context: where files are.
        keep_alive: whether a connection is used again. It may be closed by the target just as we send,
            and then nobody knows whether the request arrived: only for targets that tell repetitions apart.
        resolver: instead of the system's.
        secrets: what no message shows, because a target may repeat what it was sent.
    """

    def __init__(
        self,
        url: str,
        config: ConnectionConfig,
        context: Context,
        *,
        keep_alive: bool,
        resolver: AbstractResolver | None = None,
        secrets: Iterable[str] = (),
    ) -> None:
        self._config = config
        self._project_dir = context.project_dir
        self._shown = shown(url)
        self._host = urlsplit(url).hostname or ""
        self._keep_alive = keep_alive
        self._inner_resolver = resolver
        self._secrets = sorted((one for one in secrets if len(one) >= _MASKED_LENGTH_MIN), key=len)
        self._resolver: GuardedResolver | None = None
        self._http: aiohttp.ClientSession | None = None

    async def open(self, headers: Mapping[str, str] | None = None) -> None:
        """Check the target's address and prepare the session. HTTP connects with the first request.

        Args:
            headers: of every request.

        Raises:
            AdapterError: the address is not allowed, or a certificate file is unusable.
            Disconnected: the name cannot be resolved.
        """
        config = self._config
        self._resolver = GuardedResolver(
            allow_private=config.allow_private, networks=config.networks, inner=self._inner_resolver
        )
        try:
            await asyncio.wait_for(self._check_host(self._host, self._resolver), config.connect_timeout_s)
        except Forbidden as error:
            raise AdapterError(f"{self._shown} is not allowed: {error}") from error
        except (OSError, TimeoutError) as error:
            raise Disconnected(f"cannot resolve {self._host}: {error}", sent=False) from error
        connector = aiohttp.TCPConnector(
            resolver=self._resolver,
            ssl=self._tls(),
            limit=0,  # The runtime bounds what is in flight.
            keepalive_timeout=15 if self._keep_alive else None,
            force_close=not self._keep_alive,
        )
        self._http = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "mfgroute"} | dict(headers or {}),
            timeout=aiohttp.ClientTimeout(total=config.timeout_s, sock_connect=config.connect_timeout_s),
            max_line_size=_HEADER_MAX,
            max_field_size=_HEADER_MAX,
        )

    async def request(
        self,
        method: str,
        url: str | URL,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request and read its answer.

        Args:
            method: of HTTP.
            url: where to; a `URL` is sent as it is encoded.
            body: of the request.
            headers: besides those of every request.

        Raises:
            AdapterError: the address of another host than the target's is not allowed.
            Disconnected: with ``sent=False`` when no connection stood and nothing was sent, else the
                request may have arrived and its answer is lost.
        """
        assert self._http is not None, "request before open"
        where = shown(str(url))
        host = urlsplit(str(url)).hostname or ""
        if host != self._host:
            reason = self._address_reason(host)
            if reason is not None:
                raise AdapterError(f"{where} is not allowed: {reason}")
        try:
            async with self._http.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return await self._answer(response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            # Before a connection stands, TLS included, nothing of the request is sent.
            # The cause says more than aiohttp's own text, such as why an address is not allowed.
            what = excerpt(str(getattr(error, "os_error", error)))
            raise Disconnected(self.masked(f"cannot reach {where}: {what}"), sent=False) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            what = excerpt(str(error)) or type(error).__name__
            raise Disconnected(self.masked(f"{where} did not answer: {what}"), sent=True) from error

    def masked(self, text: str) -> str:
        """`text` with stars for every secret."""
        for secret in reversed(self._secrets):
            text = text.replace(secret, _MASK)
        return text

    async def close(self) -> None:
        """Close all connections."""
        http, self._http = self._http, None
        if http is not None:
            await http.close()
        resolver, self._resolver = self._resolver, None
        if resolver is not None:
            await resolver.close()

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
        return Answer(
            status=response.status,
            headers=response.headers,
            cookies={name: one.value for name, one in response.cookies.items()},
            body=plain,
            truncated=cut,
        )

    async def _check_host(self, host: str, resolver: GuardedResolver) -> None:
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            await resolver.resolve(host, 0, socket.AF_UNSPEC)
            return
        reason = self._address_reason(host)
        if reason is not None:
            raise Forbidden(reason)

    def _address_reason(self, host: str) -> str | None:
        # aiohttp does not ask the resolver about addresses.
        try:
            return forbidden(host, allow_private=self._config.allow_private, networks=self._config.networks)
        except ValueError:
            return None  # A name: the resolver refuses it.

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
