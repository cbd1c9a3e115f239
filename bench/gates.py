"""Targets, what was measured, and whether a target is met."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import stats


@dataclass
class Gate:
    """One target. Without a number it is neither met nor missed: `measured` says why."""

    id: str
    what: str
    target: str
    measured: str
    met: bool | None

    @property
    def verdict(self) -> str:
        """For the table."""
        return {True: "met", False: "not met", None: "not measured"}[self.met]


@dataclass
class Result:
    """What one row of the suite gives: raw numbers, lines for people, gates."""

    row: str
    raw: dict[str, Any] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)


def at_least(
    id_: str, what: str, bound: float, numerator: Sequence[float], denominator: Sequence[float]
) -> Gate:
    """A target of the form ``≥ bound ×``. The interval is shown; the median decides."""
    return _ratio(id_, what, f"≥ {bound:g} ×", numerator, denominator, lambda value: value >= bound)


def at_most(
    id_: str, what: str, bound: float, numerator: Sequence[float], denominator: Sequence[float]
) -> Gate:
    """A target of the form ``≤ bound ×``."""
    return _ratio(id_, what, f"≤ {bound:g} ×", numerator, denominator, lambda value: value <= bound)


def _ratio(id_: str, what: str, target: str, numerator: Any, denominator: Any, met: Any) -> Gate:
    if not numerator or not denominator:
        return missing(id_, what, target, "a side of the ratio is absent or disqualified")
    found = stats.ratio(numerator, denominator)
    return Gate(id_, what, target, str(found), met(found.value))


def value(id_: str, what: str, target: str, measured: str, *, met: bool) -> Gate:
    """A target that is no ratio."""
    return Gate(id_, what, target, measured, met)


def missing(id_: str, what: str, target: str, reason: str) -> Gate:
    """A target that this run says nothing about."""
    return Gate(id_, what, target, reason, None)


def show(gates: Iterable[Gate]) -> str:
    """The table of all gates."""
    lines = [f"{'gate':5} {'what':62} {'target':14} {'measured':34} verdict"]
    lines += [
        f"{gate.id:5} {gate.what:62} {gate.target:14} {gate.measured:34} {gate.verdict}" for gate in gates
    ]
    return "\n".join(lines)
