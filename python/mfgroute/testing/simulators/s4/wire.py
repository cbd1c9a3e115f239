"""OData V2 values: what stands in JSON, in a key or a filter, and what we keep of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple
from uuid import UUID

from mfgroute.testing.simulators.s4.messages import refusal

__all__ = ["NO_GUID", "ZERO", "Field", "amount", "literal", "plain", "quantity", "read", "show"]

NO_GUID = "00000000-0000-0000-0000-000000000000"
ZERO = "0.000"
_PLACES = Decimal("0.001")
_TICKS = re.compile(r"/Date\((-?\d+)(?:[+-]\d+)?\)/")
_LOCAL = re.compile(r"(\d{4}-\d\d-\d\d)T\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?")
_SPAN = re.compile(r"PT\d{1,2}H\d{1,2}M\d{1,2}(?:\.\d+)?S")
_EMPTY = {"S": "", "N": "", "D": ZERO, "A": None, "T": "PT00H00M00S", "B": False, "G": NO_GUID, "I": 0}
_LITERAL = re.compile(r"(datetime|datetimeoffset|guid|time)'([^']*)'")


class Field(NamedTuple):
    """A property.

    Attributes:
        name: of the property.
        kind: ``S`` text, ``N`` number as text, which is the same with and without leading zeros, ``D``
            decimal with 3 places, ``A`` date, ``T`` time, ``B`` boolean, ``G`` GUID, ``I`` whole number.
        size: most characters of a text; digits of a decimal.
    """

    name: str
    kind: str
    size: int = 0

    @property
    def empty(self) -> Any:
        """The value of a property that nobody gave."""
        return _EMPTY[self.kind]


def plain(value: str) -> str:
    """A number without the zeros it is stored with."""
    return value.lstrip("0") or value[:1]


def quantity(value: str) -> Decimal:
    """A kept decimal as a number."""
    return Decimal(value)


def amount(value: Decimal) -> str:
    """A number as it is kept: 3 places.

    Raises:
        ArithmeticError: it has more.
    """
    kept = value.quantize(_PLACES)
    if kept != value:
        raise ArithmeticError(f"{value} has more than 3 decimals")
    return f"{kept + 0:f}"


def read(field: Field, value: Any) -> Any:
    """A value of a request body as it is kept.

    Raises:
        ODataError: it does not fit the property.
    """
    if value is None:
        return field.empty
    try:
        return _READ[field.kind](field, value)
    except (ValueError, ArithmeticError, TypeError) as error:
        raise refusal("value", field.name, value, error) from None


def _text(field: Field, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    if len(value) > field.size:
        raise ValueError(f"longer than {field.size} characters")
    return value


def _number(field: Field, value: Any) -> str:
    return plain(_text(field, value))


def _decimal(field: Field, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a decimal is a text")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError("not a decimal") from None
    if not number.is_finite() or abs(number) >= 10 ** (field.size - 3):
        raise ValueError("out of range")
    return amount(number)


def _date(field: Field, value: Any) -> str | None:
    del field
    if value == "":
        return None
    ticks = _TICKS.fullmatch(value)
    if ticks is not None:
        return datetime.fromtimestamp(int(ticks[1]) / 1000, UTC).date().isoformat()
    local = _LOCAL.fullmatch(value)
    if local is None:
        raise ValueError("not a date")
    return datetime.fromisoformat(local[1]).date().isoformat()


def _time(field: Field, value: Any) -> str:
    del field
    if _SPAN.fullmatch(value) is None:
        raise ValueError("not a time")
    return str(value)


def _boolean(field: Field, value: Any) -> bool:
    del field
    if not isinstance(value, bool):
        raise TypeError("not a boolean")
    return value


def _guid(field: Field, value: Any) -> str:
    del field
    if len(value) != len(NO_GUID):
        raise ValueError("not a GUID")
    return str(UUID(value))


def _whole(field: Field, value: Any) -> int:
    del field
    return int(value)


_READ = {
    "S": _text,
    "N": _number,
    "D": _decimal,
    "A": _date,
    "T": _time,
    "B": _boolean,
    "G": _guid,
    "I": _whole,
}


def show(field: Field, value: Any) -> Any:
    """A kept value as it stands in an answer."""
    if field.kind == "A":
        if value is None:
            return None
        day = datetime.fromisoformat(value).replace(tzinfo=UTC)
        return f"/Date({int(day.timestamp()) * 1000})/"
    return value


def literal(text: str) -> Any:
    """A literal of a key, a filter or a parameter: text, date, GUID, boolean or number.

    Raises:
        ValueError: it is none of them.
    """
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    named = _LITERAL.fullmatch(text)
    if named is not None:
        kind, value = named.groups()
        if kind == "guid":
            return str(UUID(value))
        return value if kind == "time" else _date(Field("", "A"), value)
    if text in ("true", "false"):
        return text == "true"
    if text == "null":
        return None
    try:
        return Decimal(text.rstrip("mMdDfFlL"))
    except InvalidOperation:
        raise ValueError(f"not a literal: {text}") from None
