"""Variants as JSON, exactly. Imports asyncua: only for `subscription` and its tests."""

from __future__ import annotations

import base64
import dataclasses
import math
import struct
import zlib
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from asyncua import ua

from mfgroute.adapters.opcua.change import Change, Quality, Scalar, micros, rfc3339

#: Structures and arrays within each other; deeper ones are cut off and marked.
DEPTH_MAX = 16
#: Longest text a detector takes.
TEXT_MAX = 1_000

#: Source time of a value in microseconds, and a checksum of the value and its status.
Mark: TypeAlias = tuple[int, int]

_OVERFLOW = 0x0480
_OVERFLOW_MASK = 0x0C80
_FLOAT = struct.Struct("<f")


class Plain:
    """Converts one value; `exact` tells whether all of it could be said."""

    def __init__(self) -> None:
        self.exact = True

    def of(self, value: Any, depth: int = 0, *, single: bool = False) -> Any:  # noqa: PLR0911 - one line for each type
        """The value in types of JSON. `single` is a float of 32 bits, whose shortest text is another."""
        match value:
            case None | bool():
                return value
            case Enum():
                return value.value
            case int():
                return int(value)
            case str():
                return str(value)
            case float():
                return self._float(value, single=single)
            case bytes() | bytearray():
                return base64.b64encode(value).decode()
            case datetime():
                return rfc3339(micros(value))
            case Decimal() | UUID():
                return str(value)
        if depth >= DEPTH_MAX:
            self.exact = False
            return None
        return self._nested(value, depth + 1, single=single)

    def _float(self, value: float, *, single: bool) -> float | str:
        if not math.isfinite(value):
            self.exact = False
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return shortest_single(value) if single else float(value)

    def _nested(self, value: Any, depth: int, *, single: bool) -> Any:  # noqa: PLR0911 - one line for each type
        match value:
            case list() | tuple():
                return [self.of(one, depth, single=single) for one in value]
            case ua.Variant():
                return self.of(value.Value, depth, single=value.VariantType == ua.VariantType.Float)
            case ua.DataValue():
                return self.of(value.Value, depth)
            case ua.StatusCode():
                return value.name
            case ua.LocalizedText():
                return value.Text
            case ua.NodeId() | ua.QualifiedName():
                return value.to_string()
            case ua.ExtensionObject():
                return {"type_id": value.TypeId.to_string(), "body": self.of(value.Body, depth)}
        if dataclasses.is_dataclass(value):
            singles = {field.name for field in dataclasses.fields(value) if "Float" in str(field.type)}
            return {
                field.name: self.of(getattr(value, field.name), depth, single=field.name in singles)
                for field in dataclasses.fields(value)
                if field.name not in ("Encoding", "data_type")
            }
        self.exact = False
        return None


def shortest_single(value: float) -> float:
    """The float with the shortest text that is the same float of 32 bits."""
    for digits in range(6, 10):
        short = float(f"{value:.{digits}g}")
        try:
            if _FLOAT.pack(short) == _FLOAT.pack(value):
                return short
        except OverflowError:
            continue
    return value


def quality_of(status: ua.StatusCode | None) -> Quality:
    """Severity of a status code; none is good."""
    if status is None or status.is_good():
        return "good"
    return "uncertain" if status.is_uncertain() else "bad"


def overflowed(status: ua.StatusCode | None) -> bool:
    """Whether the server says that it discarded values before this one."""
    return status is not None and status.value & _OVERFLOW_MASK == _OVERFLOW


def mark(data: ua.DataValue) -> Mark | None:
    """What a value is known by when it is sent again; `None` without a source time.

    Bits of a status that tell how the value came here are not in it: a historian sets others.
    """
    if data.SourceTimestamp is None:
        return None
    status = 0 if data.StatusCode is None else data.StatusCode.value & 0xFFFF0000
    said = msgspec.json.encode([status, Plain().of(data.Value)])
    return micros(data.SourceTimestamp), zlib.crc32(said)


def document(node: str, data: ua.DataValue, *, gap: bool, backfilled: bool = False) -> dict[str, Any]:
    """The message of one change."""
    plain = Plain()
    value = plain.of(data.Value)
    status = data.StatusCode
    quality = quality_of(status)
    name = "Good" if status is None else ua.StatusCode(ua.UInt32(status.value & 0xFFFF0000)).name
    return {
        "node": node,
        "value": value,
        "source_time": _time(data.SourceTimestamp),
        "server_time": _time(data.ServerTimestamp),
        "quality": "uncertain" if quality == "good" and not plain.exact else quality,
        "status": name,
        "gap": gap,
        "backfilled": backfilled,
    }


def change(node: str, data: ua.DataValue, *, gap: bool, now_us: int) -> Change:
    """The change as a detector takes it. Without any time it happened now."""
    server = None if data.ServerTimestamp is None else micros(data.ServerTimestamp)
    source = None if data.SourceTimestamp is None else micros(data.SourceTimestamp)
    return Change(
        node=node,
        value=_scalar(data.Value),
        source_time_us=source if source is not None else server if server is not None else now_us,
        server_time_us=server,
        quality=quality_of(data.StatusCode),
        gap=gap,
    )


def _scalar(variant: ua.Variant | None) -> Scalar:
    value = None if variant is None else Plain().of(variant.Value)
    if isinstance(value, str) and len(value) > TEXT_MAX:
        return None
    return value if isinstance(value, bool | int | float | str) else None


def _time(time: datetime | None) -> str | None:
    return None if time is None else rfc3339(micros(time))
