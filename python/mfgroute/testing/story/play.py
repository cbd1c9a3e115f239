"""The story as a whole, with the effects it must have."""

from __future__ import annotations

import msgspec

from mfgroute.testing.story import chapters
from mfgroute.testing.story.expected import AMOUNTS, EXPECTED
from mfgroute.testing.story.messages import ORDERS
from mfgroute.testing.story.model import Story

__all__ = ["story"]

_SHOWN = {"100210": "100-210"}


def story() -> Story:
    """The story. Every call gives the same bytes."""
    setup = {
        "erp": {
            # As its services show numbers of materials; in an IDoc they have another form.
            "orders": [
                {**msgspec.to_builtins(order), "material": _SHOWN.get(order.material, order.material)}
                for order in ORDERS.values()
            ],
            "batches": [
                "DE04/RM-555/R26-1002",
                "DE04/RM-555/R26-1003",
                "DE07/RM-555/R26-0907",
                "DE07/RM-555/R26-0911",
                "DE07/FG-900/L26-111901",
                "DE07/FG-900/L26-111902",
                "DE07/FG-900/L26-112007",
            ],
            "closed_periods": ["2026-10"],
            "switches": {"users": {"MFGROUTE": "demo-password-of-mfgroute"}},
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
        *chapters.closing(),
    )
    return Story(
        setup=setup,
        steps=steps,
        expected=EXPECTED,
        amounts=AMOUNTS,
        refusals={"erp": {"CO/469": 2, "M7/053": 1}},
    )
