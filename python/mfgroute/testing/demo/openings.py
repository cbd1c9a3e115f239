"""What the processes of machines and systems are told on standard input, a JSON document a line."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

__all__ = ["Change", "Fault", "MachinesOpening", "SystemsOpening"]

#: What a system can be made to do wrong, to show that the demo notices.
Fault = Literal["posts-twice", "forgets"]


class Change(msgspec.Struct, frozen=True):
    """A node of a machine changes: name after ``ns=2;s=``, value and source time."""

    node: str
    value: bool | int | str
    at: datetime


class MachinesOpening(msgspec.Struct, frozen=True):
    """Where to listen, the machines, and what stands on them before anybody connects."""

    port: int
    machines: list[str]
    before: list[Change]


class SystemsOpening(msgspec.Struct, frozen=True):
    """Master data by system, and a fault by system."""

    setup: dict[str, dict[str, Any]]
    faults: dict[str, Fault]
