"""An MES that takes routings, a CMMS that takes downtime and a portal that shows milestones."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from mfgroute.testing.simulators.ledger import Refusal
from mfgroute.testing.simulators.server import CloudEvent, Made, Simulator

__all__ = ["CmmsSimulator", "MesSimulator", "PortalSimulator"]


class MesSimulator(Simulator):
    """An MES that inserts or replaces the routing of an order; the latest revision wins."""

    system: ClassVar[str] = "mes"
    upsert: ClassVar[bool] = True
    first_document: ClassVar[int] = 1
    accepts: ClassVar[dict[str, tuple[str, ...]]] = {"/routings": ("production.routing.issued",)}

    def __init__(self, *, kept_s: float = 86_400.0, seed: int = 1) -> None:
        super().__init__(kept_s=kept_s, seed=seed)
        self.routings: dict[tuple[str, str], str] = {}

    def natural_key(self, name: str, event: CloudEvent) -> str:
        """One routing for each order."""
        return f"{name}/{event.data['site']}/{event.data['order']}"

    def make(self, name: str, event: CloudEvent) -> Made:
        """Take over a routing."""
        del name
        data = event.data
        if not data["steps"]:
            raise Refusal("no_steps", f"order {data['order']} has no steps")
        order = (data["site"], data["order"])
        newest = self.routings.get(order)
        current = newest is None or (len(newest), newest) <= (len(data["revision"]), data["revision"])
        if current:
            self.routings[order] = data["revision"]
        return Made("routing", {"steps": len(data["steps"]), "current": current})


class CmmsSimulator(Simulator):
    """A CMMS that opens a work order for each downtime."""

    system: ClassVar[str] = "cmms"
    first_document: ClassVar[int] = 700_001
    accepts: ClassVar[dict[str, tuple[str, ...]]] = {"/downtimes": ("equipment.downtime.classified",)}

    def make(self, name: str, event: CloudEvent) -> Made:
        """Open a work order."""
        del name
        start, end = (datetime.fromisoformat(event.data[at]) for at in ("start", "end"))
        if end < start:
            raise Refusal("times_reversed", "a downtime cannot end before it starts")
        return Made("work_order", {"minutes": round((end - start).total_seconds() / 60, 2)})


class PortalSimulator(Simulator):
    """A portal that shows a customer how far an order is; each milestone once."""

    system: ClassVar[str] = "portal"
    upsert: ClassVar[bool] = True
    first_document: ClassVar[int] = 1
    accepts: ClassVar[dict[str, tuple[str, ...]]] = {"/milestones": ("production.milestone.reached",)}

    def natural_key(self, name: str, event: CloudEvent) -> str:
        """One entry for each milestone of an order."""
        return f"{name}/{event.data['site']}/{event.data['order']}/{event.data['milestone']}"

    def make(self, name: str, event: CloudEvent) -> Made:
        """Show a milestone."""
        del name
        return Made("milestone", {"milestone": event.data["milestone"]})
