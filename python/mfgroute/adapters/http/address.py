"""The configured address and what lies behind it. Paths are encoded once, when they are made."""

from __future__ import annotations

from yarl import URL

from mfgroute.adapters.http.config import HttpSinkConfig

__all__ = ["Address", "secrets_of"]


class Address:
    """Where the target is.

    Args:
        url: as configured; its query, which may hold a secret, goes with every request.
    """

    def __init__(self, url: str) -> None:
        self._url = URL(url)

    def below(self, path: str) -> URL:
        """A path behind the configured one, encoded already."""
        if not path:
            return self._url
        plain, _, query = path.partition("?")
        return self._made(self._url.raw_path.rstrip("/") + plain, query)

    def beside(self, path: str) -> URL:
        """A path at the target's host, encoded already, as the target itself named it."""
        plain, _, query = path.partition("?")
        return self._made(plain, query)

    def _made(self, path: str, query: str) -> URL:
        given = query.split("&")
        # The target may have put our own query into the path that it named.
        ours = [pair for pair in self._url.raw_query_string.split("&") if pair not in given]
        both = "&".join(part for part in (*given, *ours) if part)
        # To encode or to normalise it once more would make it another path.
        return URL(f"{self._url.origin()}{path}{'?' if both else ''}{both}", encoded=True)


def secrets_of(config: HttpSinkConfig) -> set[str]:
    """What no message shows: the token, values of headers, and of the address's query."""
    url = URL(config.url)
    found = {value.reveal() for value in config.headers.values()}
    if config.token is not None:
        found.add(config.token.reveal())
    pairs = url.raw_query_string.split("&")
    return found | set(url.query.values()) | {pair.partition("=")[2] for pair in pairs}
