"""Attributes that every message has, whoever brought it in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime


def attributes(source: str, site: str, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """``source.name``, ``source.site`` and ``received`` (now), and over them what the sender or adapter gave."""
    received = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"source.name": source, "source.site": site, "received": received, **(given or {})}
