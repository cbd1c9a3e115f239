"""The best plain Python we can write for W1: msgspec decodes and validates by type.

It does the work of the workload except that its numbers are binary floating point. A slab is decoded in one
call; only one that holds an invalid line is decoded again line by line.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from compare.common import BAR_PER_PSI, KG_PER_LB, UNITS, Route, Routed, drive, partition


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
    return Reading(parameter.n, round(parameter.v * BAR_PER_PSI, 6), "BAR")


def _event(message: Message) -> Completed:
    data, quantity = message.data, message.data.qty
    factor = KG_PER_LB if quantity.uom == "LB" else 1.0
    parts = message.source.split("/")
    return Completed(
        message.id,
        parts[2],
        parts[4],
        data.order.lstrip("0"),
        data.operation,
        data.workcenter,
        data.material,
        data.lot,
        Amount(round(quantity.good * factor, 6), round(quantity.scrap * factor, 6), UNITS[quantity.uom]),
        round(data.duration_s / 60, 6),
        [_reading(parameter) for parameter in data.params],
    )


def make() -> Route:
    """A router of slabs with a memory of its own."""
    decoder = msgspec.json.Decoder(Message)
    decode_lines, decode = decoder.decode_lines, decoder.decode
    encode = msgspec.json.Encoder().encode
    seen: set[str] = set()

    def one_by_one(slab: bytes) -> tuple[list[Message], int]:
        messages, rejected = [], 0
        for line in slab.splitlines():
            try:
                messages.append(decode(line))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                rejected += 1
        return messages, rejected

    def route(slab: bytes) -> Routed:
        rejected = duplicates = 0
        try:
            messages = decode_lines(slab)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            messages, rejected = one_by_one(slab)
        out = []
        for message in messages:
            if message.id in seen:
                duplicates += 1
                continue
            seen.add(message.id)
            out.append((partition(message.data.workcenter), encode(_event(message))))
        return Routed(out, rejected, duplicates)

    return route


if __name__ == "__main__":
    drive(make)
