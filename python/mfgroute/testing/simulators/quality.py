"""A quality system: inspections and nonconformances, and the webhooks it raises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import aiohttp

from mfgroute.testing.simulators.documents import nc_webhook
from mfgroute.testing.simulators.ledger import Refusal
from mfgroute.testing.simulators.server import CloudEvent, Made, Simulator

__all__ = ["QmsSimulator"]


class QmsSimulator(Simulator):
    """A QMS that wants serious nonconformances only and inspects a lot once for each report."""

    system: ClassVar[str] = "qms"
    first_document: ClassVar[int] = 10_000_001
    accepts: ClassVar[dict[str, tuple[str, ...]]] = {
        "/inspections": ("quality.inspection.requested",),
        "/defects": ("quality.nonconformance.detected",),
    }

    resources: ClassVar[dict[str, str]] = {"defects": "nonconformance"}

    def make(self, name: str, event: CloudEvent) -> Made:
        """Open an inspection lot or take over a nonconformance."""
        data = event.data
        if name == "quality.inspection.requested":
            return Made("inspection", {"lot": data["batch"]})
        if data["severity"] not in {"major", "critical"}:
            raise Refusal("not_serious", f"severity {data['severity']} is settled on the shop floor")
        return Made("nonconformance", {"severity": data["severity"]})

    def make_plain(self, resource: str, document: dict[str, Any]) -> dict[str, Any]:
        """Take over a nonconformance that a document of the REST door reports."""
        del resource
        severity = document.get("severity")
        if severity not in {"major", "critical"}:
            raise Refusal("not_serious", f"severity {severity} is settled on the shop floor")
        return {"severity": severity}

    async def raise_nonconformance(
        self,
        inbox: str,
        *,
        number: str,
        at_ms: int,
        site: str,
        material: str,
        lots: Sequence[str],
        closed: bool = False,
        token: str = "",
    ) -> bytes:
        """Send the webhook of a nonconformance that was raised, or was closed.

        Returns:
            The body, so that a test can send it again.
        """
        event = "nc.closed" if closed else "nc.raised"
        body = nc_webhook(event, number=number, at_ms=at_ms, site=site, material=material, lots=lots)
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        async with (
            aiohttp.ClientSession() as client,
            client.post(inbox, data=body, headers=headers) as answer,
        ):
            answer.raise_for_status()
        return body
