"""The story as a whole, with the effects it must have."""

from __future__ import annotations

import msgspec

from mfgroute.testing.story import chapters
from mfgroute.testing.story.expected import EXPECTED
from mfgroute.testing.story.messages import ORDERS
from mfgroute.testing.story.model import Story

__all__ = ["story"]


def story() -> Story:
    """The story. Every call gives the same bytes."""
    setup = {
        "erp": {
            "orders": [msgspec.to_builtins(order) for order in ORDERS.values()],
            "lots": ["DE07/L26-1119-01", "DE07/L26-1119-02", "DE07/L26-1120-07"],
            "closed_periods": ["2026-10"],
        }
    }
    steps = (
        *chapters.orders(),
        *chapters.morning(),
        *chapters.plant_b(),
        *chapters.trouble(),
        *chapters.line_c(),
        *chapters.presses(),
        *chapters.hold(),
        *chapters.evening(),
    )
    return Story(setup=setup, steps=steps, expected=EXPECTED)
