"""A sap sink, the ERP that it posts to, and the books between."""

from contextlib import asynccontextmanager

import msgspec

from mfgroute.adapter import dec_hook
from mfgroute.adapters.sap import SapSink, SapSinkConfig
from mfgroute.events import Done
from mfgroute.testing.simulators import Component, Operation, Order
from mfgroute.testing.simulators.s4 import ROOT, S4Setup, S4Simulator, Switches
from mfgroute.testing.simulators.s4.master import Stock

from .sap_cases import COMPLETED, CONFIRMATION, Ledger, event

PASSWORD = "canary-that-must-never-be-printed"
SERVICE = "API_PROD_ORDER_CONFIRMATION_2_SRV"


def order(number="1004733", site="DE04"):
    steel = Component(item="0010", material="RM-555", quantity="50", unit="KGM", backflush=True)
    operations = (
        Operation(
            number="0010",
            work_center="PRS-7",
            text="Press",
            confirmation_group=f"{number}1",
            components=(steel,),
        ),
        Operation(number="0020", work_center="PCK-1", text="Pack", confirmation_group=f"{number}2"),
    )
    return Order(
        site=site, number=number, material="FG-900", quantity="100", unit="PCE", start="20261124060000", operations=operations
    )  # fmt: skip


SETUP = S4Setup(
    orders=[order(), order("1004711", "DE07"), *(order(f"10050{n:02}") for n in range(10))],
    stock=[
        Stock(plant="DE07", storage_location="0010", material="RM-555", quantity="1000", batch="R1"),
        Stock(plant="DE07", storage_location="0030", material="FG-900", quantity="100", batch="L1"),
    ],
)
MOVEMENT = {
    "site": "DE07", "order": "1004711", "operation": "0020", "report": "88121/2", "material": "RM-555", "batch": "R1",
    "storage_location": "0010", "posting_date": "2026-11-24", "quantity": {"value": "12.5", "unit": "KGM"},
}  # fmt: skip


class Plant:
    """A sink, the ERP it posts to, and the books between."""

    def __init__(self, erp, context):
        self.erp, self.context, self.books, self.sinks = erp, context, Ledger(), []

    async def sink(self, **more):
        settings = {
            "url": self.erp.url + ROOT.rstrip("/"), "auth": {"user": "MFG", "password": PASSWORD}, "goods": "listed",
            "allow_private": True, "batch_level": "plant", "timeout_s": 5.0, "effect": {"by": "key", "kept": "12h"},
        }  # fmt: skip
        sink = SapSink(msgspec.convert(settings | more, SapSinkConfig, dec_hook=dec_hook), self.context)
        await sink.open()
        self.sinks.append(sink)
        return sink

    async def request(self, sink, kind=COMPLETED, data=CONFIRMATION, number=1):
        return await sink.render(event(kind, data, number), self.books)

    async def post(self, sink, kind=COMPLETED, data=CONFIRMATION, number=1):
        request = await self.request(sink, kind, data, number)
        (outcome,) = await sink.post([request])
        if isinstance(outcome, Done):
            self.books.add(request)
        return request, outcome


HOLD = {
    "site": "DE07",
    "material": "FG-900",
    "batch": "L1",
    "scope": "batch",
    "reason": "NC-1",
    "report": "NC-1/1",
}


@asynccontextmanager
async def running(context):
    """A plant whose ERP knows one user."""
    async with S4Simulator(setup=SETUP, switches=Switches(users={"MFG": PASSWORD})) as erp:
        found = Plant(erp, context)
        yield found
        for sink in found.sinks:
            await sink.close()
