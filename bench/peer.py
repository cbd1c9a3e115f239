"""The best plain Python we can write for W1: msgspec decodes and validates by type.

It does the work of the workload except that its numbers are binary floating point; `check` compares with the
expected outputs to the last place that floats can hold.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

_KG_PER_LB = 0.45359237
_BAR_PER_PSI = 0.06894757293168361
_UNITS = {"EA": "C62", "KG": "KGM", "LB": "KGM", "M": "MTR"}


class Quantity(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    good: Annotated[float, Meta(ge=0)]
    scrap: Annotated[float, Meta(ge=0)]
    uom: Literal["EA", "KG", "LB", "M"]


class Parameter(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    n: str
    v: float
    u: str = ""


class Operation(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    order: Annotated[str, Meta(min_length=1, max_length=12)]
    operation: Annotated[str, Meta(min_length=4, max_length=4)]
    workcenter: Annotated[str, Meta(max_length=16)]
    material: Annotated[str, Meta(max_length=40)]
    qty: Quantity
    duration_s: Annotated[float, Meta(ge=0, le=864000)]
    lot: Annotated[str, Meta(max_length=20)] = ""
    operator: Annotated[str, Meta(max_length=12)] = ""
    params: Annotated[list[Parameter], Meta(max_length=32)] = []


class Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    specversion: Literal["1.0"]
    id: Annotated[str, Meta(min_length=26, max_length=26)]
    source: Annotated[str, Meta(min_length=1, max_length=128)]
    type: Literal["mes.operation.completed.v2", "mes.operation.started.v2"]
    time: Annotated[str, Meta(min_length=20, max_length=35)]
    data: Operation


class Amount(msgspec.Struct, gc=False):
    good: float
    scrap: float
    unit: str


class Reading(msgspec.Struct, gc=False):
    name: str
    value: float
    unit: str


class Completed(msgspec.Struct, gc=False):
    event: str
    plant: str
    line: str
    order: str
    operation: str
    work_center: str
    material: str
    lot: str
    quantity: Amount
    duration_min: float
    readings: list[Reading]


def _reading(parameter: Parameter) -> Reading:
    if parameter.u == "degF":
        return Reading(parameter.n, round((parameter.v - 32) / 1.8, 6), "CEL")
    return Reading(parameter.n, round(parameter.v * _BAR_PER_PSI, 6), "BAR")


def make() -> Callable[[bytes], list[tuple[int, bytes]]]:
    """A router of slabs with a memory of its own: partition and encoded event of each new message."""
    decode = msgspec.json.Decoder(Message).decode_lines
    encode = msgspec.json.Encoder().encode
    seen: set[str] = set()

    def submit_lines(slab: bytes) -> list[tuple[int, bytes]]:
        out = []
        for message in decode(slab):
            if message.id in seen:
                continue
            seen.add(message.id)
            data, quantity = message.data, message.data.qty
            factor = _KG_PER_LB if quantity.uom == "LB" else 1.0
            amount = Amount(
                round(quantity.good * factor, 6), round(quantity.scrap * factor, 6), _UNITS[quantity.uom]
            )
            parts = message.source.split("/")
            event = Completed(
                message.id,
                parts[2],
                parts[4],
                data.order.lstrip("0"),
                data.operation,
                data.workcenter,
                data.material,
                data.lot,
                amount,
                round(data.duration_s / 60, 6),
                [_reading(parameter) for parameter in data.params],
            )
            out.append((zlib.crc32(data.workcenter.encode()) & 15, encode(event)))
        return out

    return submit_lines
