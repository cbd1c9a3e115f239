"""Quantiles of what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value of a sorted sequence that at least `share` of all values do not exceed.

    Raises:
        ValueError: there is no value.
    """
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
