"""From an event's values to the properties of a request body, by the tables of the pack."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from mfgroute import _core
from mfgroute.adapters.plain import excerpt
from mfgroute.adapters.sap import odata
from mfgroute.adapters.sap.data import Field

__all__ = ["Unfit", "Units", "number", "operation_name", "properties", "text"]


class Unfit(Exception):  # noqa: N818 - says what the event is
    """An event that cannot be posted as it is.

    Attributes:
        code: why, as a refusal says it.
    """

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        super().__init__(reason)


class Units:
    """The target's codes of units, in both directions.

    Args:
        kind: ``iso`` or ``sap``.
        given: codes that outrank the built-in ones, by unit.
    """

    def __init__(self, kind: Literal["iso", "sap"], given: Mapping[str, str]) -> None:
        self.kind = kind
        self._given = given
        self._units = {code: unit for unit, code in given.items()}

    def code(self, unit: str) -> str:
        """The target's code of a unit.

        Raises:
            Unfit: there is none, or several.
        """
        found = self._given.get(unit)
        if found is not None:
            return found
        codes = _codes(self.kind).get(unit, [])
        if len(codes) == 1:
            return codes[0]
        if self.kind == "iso" and unit in codes:
            return unit
        what = f"several codes ({', '.join(sorted(codes)[:6])})" if codes else "no code"
        raise Unfit(
            "unit_unknown", f"the target has {what} for the unit {excerpt(unit, 20)}: set it in `unit_codes`"
        )

    def unit(self, iso: str, own: str) -> str:
        """The unit of a row, from its ISO code or the target's own; the code itself if nobody knows it."""
        first, second = (iso, own) if self.kind == "iso" else (own, iso)
        if first in self._units:
            return self._units[first]
        for kind, code in (("iso", iso), ("sap", own)):
            if code in _units(kind):
                return _units(kind)[code]
        return first or second


@functools.cache
def _units(kind: str) -> dict[str, str]:
    name = "sap_iso" if kind == "iso" else "sap"
    return {code: unit for own, code, unit in _core.units()["codes"] if own == name}


@functools.cache
def _codes(kind: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for code, unit in _units(kind).items():
        found.setdefault(unit, []).append(code)
    return found


def properties(
    fields: Mapping[str, Field],
    data: Mapping[str, Any],
    own: Mapping[str, Any],
    units: Units,
    *,
    number: int | None = None,
) -> dict[str, Any]:
    """The properties that `fields` describe and that have a value.

    Args:
        fields: by name of the property; ``#`` in a name is `number`.
        data: of the event.
        own: what the adapter computed.
        units: codes of the target.
        number: of an activity.

    Raises:
        Unfit: a value does not fit its property.
    """
    made: dict[str, Any] = {}
    for name, field in fields.items():
        value = (
            own.get(field.own) if field.own is not None else data.get((field.data or "").removeprefix("/"))
        )
        if value is None or value == "":
            value = field.default
        if value is None:
            continue
        shown = field.iso if field.form == "unit" and units.kind == "iso" else name
        if number is not None:
            shown = shown.replace("#", str(number))
        made[shown] = _written(shown, field, value, units)
    return made


def _written(name: str, field: Field, value: Any, units: Units) -> Any:
    if field.form in ("text", "batch"):
        text = str(value).upper() if field.form == "batch" else str(value)
        if field.length is not None and len(text) > field.length:
            if not field.cut:
                said = f"{excerpt(text, 60)!r} has {len(text)} characters, {name} has room for {field.length}"
                raise Unfit("too_long", said)
            text = text[: field.length]
        return text
    if field.form == "quantity" and isinstance(value, Decimal):
        try:
            return odata.quantity(value)
        except ValueError as error:
            raise Unfit("quantity_unfit", f"{name}: {error}") from None
    if field.form == "unit":
        return units.code(str(value))
    if field.form == "date" and isinstance(value, date):
        return odata.date_json(value)
    if field.form == "time" and isinstance(value, time):
        return odata.time_json(value)
    if field.form == "boolean" and isinstance(value, bool):
        return value
    raise Unfit("value_unfit", f"{name} cannot be made of {excerpt(str(value), 60)}")


def operation_name(sequence: Any, operation: str, suboperation: Any) -> str:
    """An operation in a name of an amount: ``0020``, ``1-0020`` of another sequence, ``0020.0010``."""
    before = f"{sequence}-" if sequence and str(sequence).strip("0") else ""
    return before + operation + (f".{suboperation}" if suboperation else "")


def text(data: Mapping[str, Any], name: str) -> str:
    """A text of an event.

    Raises:
        Unfit: there is none.
    """
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise Unfit("value_unfit", f"the event has no `{name}`")
    return value


def number(data: Mapping[str, Any], name: str) -> Decimal:
    """A quantity of an event; 0 where there is none.

    Raises:
        Unfit: it is no number.
    """
    value = data.get(name)
    try:
        found = Decimal(0 if value is None else str(value))
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        raise Unfit("quantity_unfit", f"{name} is {excerpt(str(value), 40)}, expected a number")
    return found
