"""Medians, spreads and ratios with their uncertainty."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from typing import NamedTuple

_RESAMPLES = 2000
_SEED = 1


class Ratio(NamedTuple):
    """A ratio of two medians and its 95 % interval by the bootstrap."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    """Median over median. Both are drawn again, with replacement, to see how far the ratio may be off.

    Raises:
        ValueError: one of them is empty, or a denominator is not above zero.
    """
    if not numerator or not denominator:
        raise ValueError("a ratio needs at least one number on both sides")
    if min(denominator) <= 0:
        raise ValueError(f"a denominator is {min(denominator)}, expected more than 0")
    rnd = random.Random(_SEED)
    drawn = sorted(
        statistics.median(rnd.choices(numerator, k=len(numerator)))
        / statistics.median(rnd.choices(denominator, k=len(denominator)))
        for _ in range(_RESAMPLES)
    )
    middle = statistics.median(numerator) / statistics.median(denominator)
    return Ratio(middle, drawn[int(0.025 * _RESAMPLES)], drawn[int(0.975 * _RESAMPLES) - 1])


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value of a sorted sequence that at least `share` of all values do not exceed."""
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, -(-len(ordered) * round(share * 100_000) // 100_000) - 1)]


def slope(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Slope of a line through points by least squares, and its 95 % interval (of many points)."""
    count = len(points)
    if count < 3:
        raise ValueError(f"{count} points, expected at least 3")
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if spread == 0:
        raise ValueError("all points are at one place")
    found = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    rest = sum((y - mean_y - found * (x - mean_x)) ** 2 for x, y in points)
    error = 1.96 * (rest / (count - 2) / spread) ** 0.5
    return found, found - error, found + error
