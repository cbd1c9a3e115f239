"""Values that are never printed."""

from __future__ import annotations

__all__ = ["Secret"]


class Secret:
    """A configured value that is never printed: `str` and `repr` show stars.

    Attributes are private; `reveal` gives the value to the code that needs it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __str__(self) -> str:
        return "********"

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)
