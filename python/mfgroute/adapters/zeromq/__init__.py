"""The zeromq adapter: the link from an edge node (sink) to the core (source)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mfgroute.adapters.zeromq.sink import ZeroMqSink, ZeroMqSinkConfig
    from mfgroute.adapters.zeromq.source import EdgePeer, ZeroMqSource, ZeroMqSourceConfig

__all__ = ["EdgePeer", "ZeroMqSink", "ZeroMqSinkConfig", "ZeroMqSource", "ZeroMqSourceConfig"]


def __getattr__(name: str) -> Any:
    # A node is an edge or a core and rarely both; `keys` is used without either.
    if name in ("ZeroMqSink", "ZeroMqSinkConfig"):
        from mfgroute.adapters.zeromq import sink  # noqa: PLC0415

        return getattr(sink, name)
    if name in ("EdgePeer", "ZeroMqSource", "ZeroMqSourceConfig"):
        from mfgroute.adapters.zeromq import source  # noqa: PLC0415

        return getattr(source, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
