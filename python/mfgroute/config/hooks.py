"""Types of a configuration that msgspec does not know: how they are made, and their JSON Schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mfgroute import adapter
from mfgroute.units import DURATION_PATTERN, RATE_PATTERN, SIZE_PATTERN, Duration, Rate, Size


def dec_hook(kind: type, value: Any) -> Any:
    """Make units, secrets and paths while msgspec converts a configuration.

    Raises:
        ValueError: the text does not say such a value.
        NotImplementedError: the type is not ours.
    """
    if kind is adapter.Secret and not isinstance(value, str):
        raise ValueError("expected a text")
    if issubclass(kind, Path) and not isinstance(value, str):
        raise ValueError("expected a path")  # noqa: TRY004 - as above
    return adapter.dec_hook(kind, value)


def schema_hook(kind: type) -> dict[str, Any]:
    """Describe our own types in a JSON Schema.

    Raises:
        NotImplementedError: the type is not ours.
    """
    if kind is Size:
        return {"type": "string", "pattern": SIZE_PATTERN, "examples": ["20GiB"]}
    if kind is Duration:
        return {"type": "string", "pattern": DURATION_PATTERN, "examples": ["5m"]}
    if kind is Rate:
        return {"type": "string", "pattern": RATE_PATTERN, "examples": ["50/s"]}
    if kind is adapter.Secret or issubclass(kind, Path):
        return {"type": "string"}
    raise NotImplementedError(kind)
