"""The tables of the pack, as data: operations and their fields, movement types, and what answers mean."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any, Literal

import msgspec

from mfgroute import _core

__all__ = [
    "Field",
    "Line",
    "Move",
    "Operation",
    "answers",
    "base_types",
    "event_kind",
    "move_of",
    "operation_of",
    "operations",
]

Form = Literal["text", "batch", "quantity", "unit", "date", "time", "boolean"]


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the value of a property comes from and how it is written."""

    form: Form = msgspec.field(name="as")
    data: str | None = None
    own: str | None = None
    length: int | None = msgspec.field(name="max", default=None)
    default: str | None = None
    cut: bool = False
    iso: str = ""


class Operation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A service, an entity and its fields."""

    service: str
    entity: str
    fields: dict[str, Field]
    items: str
    item: dict[str, Field]
    activity: dict[str, Field] = {}
    serials: str = ""
    serial: dict[str, Field] = {}


class Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A movement type and what it counts as."""

    type: str
    code: str
    counts: str
    sign: int
    ref: str = ""
    posting: str = ""
    order: bool = True


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the answer table."""

    means: Literal["token", "already", "retry", "not_yet", "refused", "ask"]
    source: str
    status: list[int | str] = []
    code: list[str] = []
    says: str = ""
    header: dict[str, str] = {}
    within: Literal["lock", "batch", ""] = ""
    code_as: str = msgspec.field(name="as", default="")
    unsent: bool = False
    verified: bool = True


@functools.cache
def operations() -> dict[str, Operation]:
    """The operations by name."""
    document = _read("operations.yaml")
    return {
        name: msgspec.convert(one, Operation) for name, one in document.items() if name in ("confirm", "move")
    }


@functools.cache
def _events() -> dict[str, str | dict[str, str]]:
    return msgspec.convert(_read("operations.yaml")["events"], dict[str, str | dict[str, str]])


def event_kind(full_type: str) -> str:
    """The name of an event type without its namespace: ``material.consumed/1``; empty if it is unknown."""
    return _kinds().get(full_type) or next(
        (name for ending, name in _kinds().items() if full_type.endswith("." + ending)), ""
    )


def operation_of(kind: str, data: dict[str, Any]) -> str:
    """The operation of an event, or empty if it has none."""
    found = _events().get(kind, "")
    if isinstance(found, dict):
        return found.get(str(data.get(found["field"], "")), "")
    return found


@functools.cache
def _kinds() -> dict[str, str]:
    return {name.replace("/", ".v"): name for name in _events()}


@functools.cache
def _movements() -> dict[str, dict[str, Any]]:
    return dict(_read("movements.yaml"))


def move_of(event: str, direction: str | None) -> Move | None:
    """The movement of an event (without its version) in a direction."""
    table = _movements().get(event, {})
    found = table.get(direction or table.get("absent", ""))
    return msgspec.convert(found, Move) if isinstance(found, dict) else None


@functools.cache
def base_types() -> dict[str, tuple[str, int]]:
    """What each movement type counts as, and its sign."""
    found: dict[str, tuple[str, int]] = {}
    for table in _movements().values():
        for one in table.values():
            if isinstance(one, dict):
                found[one["type"]] = (one["counts"], one["sign"])
    return found


@functools.cache
def answers() -> list[Line]:
    """The answer table, in order."""
    return msgspec.convert(_read("answers.yaml"), list[Line])


def _read(name: str) -> Any:
    text = resources.files(__package__).joinpath(name).read_bytes()
    return _core.parse_yaml(text, name)[0]
