"""The http adapter: an inbox on the node's listener, and a sink that posts events to a target system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mfgroute.adapters.http.sink import HttpSink, HttpSinkConfig
    from mfgroute.adapters.http.source import HttpSource, HttpSourceConfig

__all__ = ["HttpSink", "HttpSinkConfig", "HttpSource", "HttpSourceConfig"]


def __getattr__(name: str) -> Any:
    # aiohttp takes 0.1 s to import and only the sink needs it.
    if name in ("HttpSink", "HttpSinkConfig"):
        from mfgroute.adapters.http import sink  # noqa: PLC0415

        return getattr(sink, name)
    if name in ("HttpSource", "HttpSourceConfig"):
        from mfgroute.adapters.http import source  # noqa: PLC0415

        return getattr(source, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
