"""The sap adapter: posts confirmations, goods movements and lot status to SAP S/4HANA by OData."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mfgroute.adapters.sap.config import SapSinkConfig
    from mfgroute.adapters.sap.sink import SapSink

__all__ = ["SapSink", "SapSinkConfig"]


def __getattr__(name: str) -> Any:
    # aiohttp takes 0.1 s to import and only the sink needs it.
    if name == "SapSink":
        from mfgroute.adapters.sap.sink import SapSink  # noqa: PLC0415

        return SapSink
    if name == "SapSinkConfig":
        from mfgroute.adapters.sap.config import SapSinkConfig  # noqa: PLC0415

        return SapSinkConfig
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
