"""Sessions and their tokens against forged requests."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie

__all__ = ["COOKIE", "Sessions"]

#: Name of the session's cookie.
COOKIE = "SAP_SESSIONID_MFG_100"


class Sessions:
    """Tokens by session. A restart forgets them, as it does in a real system.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tokens: dict[str, tuple[str, float]] = {}

    def fetch(self, cookies: str, lasts_s: float) -> tuple[str, str]:
        """The session and token for a client that asks for one."""
        session = self._session(cookies)
        known = self._tokens.get(session)
        if known is not None and known[1] > self._clock():
            return session, known[0]
        session, token = secrets.token_urlsafe(24), secrets.token_urlsafe(16)
        self._tokens[session] = (token, self._clock() + lasts_s)
        return session, token

    def valid(self, cookies: str, token: str) -> bool:
        """Whether a token is the one of the session that the cookie names."""
        known = self._tokens.get(self._session(cookies))
        return known is not None and known[1] > self._clock() and secrets.compare_digest(known[0], token)

    def expire(self) -> None:
        """Forget every session."""
        self._tokens.clear()

    @staticmethod
    def _session(cookies: str) -> str:
        try:
            morsel = SimpleCookie(cookies).get(COOKIE)
        except CookieError:
            return ""
        return morsel.value if morsel is not None else ""
