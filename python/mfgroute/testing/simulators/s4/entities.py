"""What an entity type, a function and a service are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from mfgroute.testing.simulators.s4.store import Row
from mfgroute.testing.simulators.s4.wire import Field

__all__ = ["Entity", "Function", "Service", "fields"]


@dataclass(frozen=True, eq=False)
class Entity:
    """An entity type and its set.

    Attributes:
        name: of the type.
        path: of the set.
        table: of the store.
        keys: properties that make the key, in the order of the metadata.
        fields: properties by name.
        children: navigation property -> (set, properties that both have in common).
    """

    name: str
    path: str
    table: str
    keys: tuple[str, ...]
    fields: dict[str, Field]
    children: dict[str, tuple[str, tuple[str, ...]]]

    def key(self, row: Row) -> str:
        """The key of a row in its table."""
        return "/".join(str(row[name]) for name in self.keys)

    @cached_property
    def _blank(self) -> Row:
        return {name: field.empty for name, field in self.fields.items()}

    def empty(self) -> Row:
        """A row that nobody gave values."""
        return dict(self._blank)


class Function(NamedTuple):
    """A function import, called with POST.

    Attributes:
        parameters: name -> whether it must be there.
        returns: set that its answer is of.
    """

    parameters: dict[str, bool]
    returns: str


class Service(NamedTuple):
    """A service: its sets and functions by name."""

    entities: dict[str, Entity]
    functions: dict[str, Function]


def fields(text: str) -> dict[str, Field]:
    """Properties of lines such as ``S10 OrderID Plant``."""
    found: dict[str, Field] = {}
    for line in text.split("\n"):
        kind, *names = line.split() or [""]
        for name in names:
            found[name] = Field(name, kind[0], int(kind[1:] or 0))
    return found
