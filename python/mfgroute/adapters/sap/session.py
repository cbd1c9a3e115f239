"""A session with the target: who we are, its CSRF token and its cookies."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Iterable, Mapping

from aiohttp.abc import AbstractResolver

from mfgroute.adapter import Context, Secret
from mfgroute.adapters.plain import excerpt
from mfgroute.adapters.sap.config import Auth, SapSinkConfig
from mfgroute.adapters.sap.odata import query
from mfgroute.adapters.web.answer import Answer, decoded, message_of
from mfgroute.adapters.web.client import Client
from mfgroute.errors import AdapterError, Disconnected

__all__ = ["NotReady", "Session"]

_TOKEN = "X-CSRF-Token"  # noqa: S105 - the name of a header
_TOKEN_MARGIN_S = 30.0
_TOKEN_LIFE_S = 300.0


class NotReady(Exception):  # noqa: N818 - says what the session is
    """The target refused what comes before a posting; nothing was posted.

    Attributes:
        answer: its answer.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(f"http_{answer.status}")


class Session:
    """Requests to the services under one root.

    A CSRF token is fetched before the first posting to a service and again, once, when the target says that
    it is required. Cookies that the target sets are sent to it and to nobody else, until the session ends.
    """

    def __init__(
        self, config: SapSinkConfig, context: Context, *, resolver: AbstractResolver | None = None
    ) -> None:
        self._config = config
        self._root = config.url.rstrip("/")
        self._client = Client(self._root, config, context, keep_alive=True, resolver=resolver)
        self._cookies: dict[str, str] = {}
        self._tokens: dict[str, str] = {}
        self._fetching = asyncio.Lock()
        self._bearer: tuple[str, float] | None = None
        options = [("sap-client", config.client), ("sap-language", config.language)]
        self._options = [(name, value) for name, value in options if value]
        self.token_fetches = 0

    async def open(self) -> None:
        """Check the target's address. Raises what `Client.open` raises."""
        await self._client.open({"Accept": "application/json", "DataServiceVersion": "2.0"})

    async def close(self) -> None:
        """Close all connections and forget the session."""
        await self._client.close()
        self._cookies.clear()
        self._tokens.clear()
        self._bearer = None

    async def get(self, service: str, path: str, options: Iterable[tuple[str, str]] = ()) -> Answer:
        """Read something. Raises what `Client.request` raises."""
        url = self._url(service, path, options)
        answer = await self._request("GET", url, None, {})
        if answer.status == 401 and await self._renewed():
            answer = await self._request("GET", url, None, {})
        return answer

    async def follow(self, url: str) -> Answer:
        """Read an address that the target gave, of its own host only.

        Raises:
            AdapterError: the address is of another host.
        """
        if not self.is_ours(url):
            raise AdapterError(f"{excerpt(url, 200)} is not under {self._root}")
        return await self._request("GET", url, None, {})

    def is_ours(self, url: str) -> bool:
        """Whether an address is of the target."""
        scheme, _, rest = self._root.partition("://")
        origin = f"{scheme}://{rest.partition('/')[0]}"
        return url.startswith(origin + "/")

    def absolute(self, service: str, location: str) -> str:
        """The full address of what an answer calls `location`."""
        scheme, _, rest = self._root.partition("://")
        if location.startswith("/"):
            return f"{scheme}://{rest.partition('/')[0]}{location}"
        return location if "://" in location else f"{self._root}/{service}/{location}"

    async def send(  # noqa: PLR0917 - all of a request
        self, method: str, service: str, path: str, body: bytes, headers: Mapping[str, str], kind: str
    ) -> Answer:
        """Post something.

        Raises:
            NotReady: no token could be had; nothing was posted.
            Disconnected: as `Client.request`; ``sent=False`` also where the token could not be fetched.
        """
        url = self._url(service, path)
        more = dict(headers) | {"Content-Type": kind}
        token = await self._token(service)
        answer = await self._request(method, url, body, more | _csrf(token))
        if answer.status == 401 and await self._renewed():
            answer = await self._request(method, url, body, more | _csrf(await self._token(service)))
        if token_required(answer):
            await self._forget(service, token)
            answer = await self._request(method, url, body, more | _csrf(await self._token(service)))
        return answer

    def _url(self, service: str, path: str, options: Iterable[tuple[str, str]] = ()) -> str:
        text = query([*options, *self._options])
        joined = "&" if "?" in path else "?"
        return f"{self._root}/{service}/{path}{joined if text else ''}{text}"

    async def _token(self, service: str) -> str:
        async with self._fetching:
            found = self._tokens.get(service)
            if found is not None:
                return found
            try:
                answer = await self._fetch(service)
                if answer.status == 401 and await self._renewed():
                    answer = await self._fetch(service)
            except Disconnected as error:
                raise Disconnected(str(error), sent=False) from error
            if answer.status >= 300:
                raise NotReady(answer)
            token = answer.headers.get(_TOKEN, "")
            self._tokens[service] = token
            return token

    async def _fetch(self, service: str) -> Answer:
        self.token_fetches += 1
        return await self._request("GET", self._url(service, ""), None, {_TOKEN: "Fetch"})

    async def _forget(self, service: str, token: str) -> None:
        """Drop a token that the target does not take any more; the cookies of its session too."""
        async with self._fetching:
            if self._tokens.get(service) == token:
                self._tokens.clear()
                self._cookies.clear()

    async def _request(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        more = dict(headers)
        authorization = await self._authorization()
        if authorization is not None:
            more["Authorization"] = authorization
        if self._cookies:
            more["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        answer = await self._client.request(method, url, body=body, headers=more)
        for name, value in answer.cookies.items():
            if value:
                self._cookies[name] = value
            else:
                self._cookies.pop(name, None)
        return answer

    async def _authorization(self) -> str | None:
        auth = self._config.auth
        if auth is None:
            return None
        if auth.user is not None and auth.password is not None:
            pair = f"{auth.user}:{auth.password.reveal()}".encode()
            return "Basic " + base64.b64encode(pair).decode()
        if auth.token is not None:
            return f"Bearer {auth.token.reveal()}"
        return f"Bearer {await self._oauth(auth)}"

    async def _oauth(self, auth: Auth) -> str:
        if self._bearer is not None and time.monotonic() < self._bearer[1]:
            return self._bearer[0]
        assert auth.token_url is not None
        assert auth.client_id is not None
        pair = f"{auth.client_id}:{_revealed(auth.client_secret)}".encode()
        form = [("grant_type", "client_credentials")] + ([("scope", auth.scope)] if auth.scope else [])
        headers = {
            "Authorization": "Basic " + base64.b64encode(pair).decode(),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        try:
            answer = await self._client.request(
                "POST", auth.token_url, body=query(form).encode(), headers=headers
            )
        except Disconnected as error:
            # Nothing of ours was posted to the target.
            raise Disconnected(str(error), sent=False) from error
        document = decoded(answer.body)
        token = document.get("access_token") if isinstance(document, dict) else None
        if answer.status != 200 or not isinstance(token, str):
            said = f"no token: http_{answer.status}: {message_of(answer.body)}"
            raise Disconnected(said, sent=False)
        life = document.get("expires_in")
        seconds = float(life) if isinstance(life, int) and life > 0 else _TOKEN_LIFE_S
        self._bearer = (token, time.monotonic() + max(seconds - _TOKEN_MARGIN_S, seconds / 2))
        return token

    async def _renewed(self) -> bool:
        """Forget a bearer token that was refused; whether there is another to be had."""
        auth = self._config.auth
        if auth is None or auth.token_url is None or self._bearer is None:
            return False
        self._bearer = None
        return True


def token_required(answer: Answer) -> bool:
    """Whether the target wants another CSRF token; it did nothing then."""
    return answer.status == 403 and answer.headers.get(_TOKEN, "").lower() == "required"


def _csrf(token: str) -> dict[str, str]:
    return {_TOKEN: token} if token else {}


def _revealed(secret: Secret | None) -> str:
    return "" if secret is None else secret.reveal()
