"""Workload of B10: machines report temperatures over OPC UA, and what an ERP is to get of them.

Each plant numbers its changes from 0. A number says all of a change: which machine, which temperature, when.
The first numbers, one of each machine, are there when somebody subscribes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent / "opcua"
PLANTS = 2
#: Of one plant; each has one node.
MACHINES = 50
ITEM = "Temperature"
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_STEP = timedelta(milliseconds=1)
_MICRO = Decimal("0.000001")


def machine(plant: int, number: int) -> str:
    """Name of the machine that a change is of."""
    return f"M{plant * MACHINES + number % MACHINES:03d}"


def names(plant: int) -> list[str]:
    """The variables of a plant, in the order of its machines."""
    return [f"{machine(plant, number)}.{ITEM}" for number in range(MACHINES)]


def node_ids(plant: int) -> list[str]:
    """Their node ids."""
    return [f"ns=2;s={name}" for name in names(plant)]


def fahrenheit(number: int) -> float:
    """What is measured: never twice the same in a row, and exact in binary."""
    return 50 + number * 37 % 100_003 / 64


def at(number: int) -> datetime:
    """When: the time of the source."""
    return _BEGAN + number * _STEP


def expected(plant: int, numbers: range) -> Iterator[dict[str, Any]]:
    """The data of the events that the target gets."""
    for number in numbers:
        name = machine(plant, number)
        time = at(number).isoformat(timespec="milliseconds")[:-6] + "Z"
        celsius = (Decimal(fahrenheit(number)) - 32) * 5 / 9
        yield {
            "event": f"ns=2;s={name}.{ITEM}@{time}",
            "machine": name,
            "item": ITEM,
            "value": f"{celsius.quantize(_MICRO, ROUND_HALF_EVEN).normalize():f}",
            "unit": "CEL",
            "quality": "good",
            "gap": False,
            "at": time,
        }
