"""A service of pydantic models: validated on the way in, dumped on the way out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compare.common import Route, Routed, canonical, drive, partition


class Strict(BaseModel):
    """What is not declared, or has another type, is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Quantity(Strict):
    good: Annotated[float, Field(ge=0)]
    scrap: Annotated[float, Field(ge=0)]
    uom: Literal["EA", "KG", "LB", "M"]


class Parameter(Strict):
    n: str
    v: float
    u: str = ""


class Operation(Strict):
    order: Annotated[str, Field(min_length=1, max_length=12)]
    operation: Annotated[str, Field(min_length=4, max_length=4)]
    workcenter: Annotated[str, Field(max_length=16)]
    material: Annotated[str, Field(max_length=40)]
    qty: Quantity
    duration_s: Annotated[float, Field(ge=0, le=864000)]
    lot: Annotated[str, Field(max_length=20)] = ""
    operator: Annotated[str, Field(max_length=12)] = ""
    params: Annotated[list[Parameter], Field(max_length=32)] = []


class Message(Strict):
    specversion: Literal["1.0"]
    id: Annotated[str, Field(min_length=26, max_length=26)]
    source: Annotated[str, Field(min_length=1, max_length=128)]
    type: Literal["mes.operation.completed.v2", "mes.operation.started.v2"]
    time: Annotated[str, Field(min_length=20, max_length=35)]
    data: Operation


class Amount(BaseModel):
    good: float
    scrap: float
    unit: str


class Reading(BaseModel):
    name: str
    value: float
    unit: str


class Completed(BaseModel):
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


def make() -> Route:
    """A router of slabs with a memory of its own."""
    validate = Message.model_validate_json
    seen: set[str] = set()

    def event(message: Message) -> bytes:
        found: dict[str, Any] = message.data.model_dump()
        return Completed(**canonical(found, message.id, message.source)).model_dump_json().encode()

    def route(slab: bytes) -> Routed:
        out, rejected, duplicates = [], 0, 0
        for line in slab.splitlines():
            try:
                message = validate(line)
            except ValidationError:
                rejected += 1
                continue
            if message.id in seen:
                duplicates += 1
                continue
            seen.add(message.id)
            out.append((partition(message.data.workcenter), event(message)))
        return Routed(out, rejected, duplicates)

    return route


if __name__ == "__main__":
    drive(make)
