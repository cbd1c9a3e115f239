"""A plain client of the ERP: nothing of our own adapters."""

import uuid
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp

from mfgroute.testing.simulators import Component, Operation, Order
from mfgroute.testing.simulators.s4 import ROOT, S4Setup, S4Simulator

CONFIRMATIONS = "API_PROD_ORDER_CONFIRMATION_2_SRV"
DOCUMENTS = "API_MATERIAL_DOCUMENT_SRV"
BATCHES = "API_BATCH_SRV"
LOTS = "API_INSPECTIONLOT_SRV"


def order(number="1004711", **changes):
    operations = (
        Operation(
            number="0010",
            work_center="PRESS-7",
            text="Pressen",
            confirmation_group=f"00{number}1",
            components=(
                Component(item="0010", material="RM-555", quantity="50", unit="KGM", backflush=True),
                Component(item="0020", material="RM-556", quantity="200", unit="PCE"),
            ),
        ),
        Operation(number="0020", work_center="PACK-1", text="Packen", confirmation_group=f"00{number}2"),
        Operation(
            number="0030", work_center="X", text="alt", confirmation_group=f"00{number}3", deleted=True
        ),
    )
    known = {
        "site": "1010",
        "number": number,
        "material": "FG-900",
        "quantity": "100",
        "unit": "PCE",
        "start": "20261124060000",
        "operations": operations,
    }
    return Order(**{**known, **changes})


class Got(NamedTuple):
    status: int
    headers: dict
    text: str
    json: object

    @property
    def d(self):
        return self.json["d"]

    @property
    def results(self):
        return self.json["d"]["results"]

    @property
    def code(self):
        return self.json["error"]["code"]

    @property
    def said(self):
        return self.json["error"]["message"]["value"]


class Client:
    """Fetches a token when it has none, and sends what it is given."""

    def __init__(self, system, http):
        self.system = system
        self.http = http
        self.token = None

    async def send(self, method, service, path, *, json=None, token=True, headers=None, **more):
        if token and self.token is None and method != "GET":
            await self.fetch(service)
        sent = {"Accept": "application/json", **(headers or {})}
        if token and self.token is not None:
            sent["X-CSRF-Token"] = self.token
        async with self.http.request(
            method,
            f"{self.system.url}{ROOT}{service}/{path}",
            json=json,
            headers=sent,
            allow_redirects=False,
            **more,
        ) as answer:
            text = (await answer.read()).decode()
            document = (
                await answer.json() if "json" in answer.headers.get("Content-Type", "") and text else None
            )
            return Got(answer.status, answer.headers, text, document)

    async def fetch(self, service=CONFIRMATIONS):
        got = await self.send("GET", service, "$metadata", token=False, headers={"X-CSRF-Token": "Fetch"})
        self.token = got.headers["x-csrf-token"]
        return got

    async def confirm(self, json=None, headers=None, **changes):
        return await self.send(
            "POST", CONFIRMATIONS, "ProdnOrdConf2", json=json or confirmation(**changes), headers=headers
        )

    async def document(self, json, headers=None):
        return await self.send("POST", DOCUMENTS, "A_MaterialDocumentHeader", json=json, headers=headers)

    async def read(self, service, path, **options):
        return await self.send(
            "GET", service, path, params={f"${name}": value for name, value in options.items()}
        )

    async def control(self, path, document=None):
        async with self.http.request(
            "GET" if document is None else "POST", self.system.url + path, json=document
        ) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


def confirmation(**changes):
    known = {
        "OrderID": "1004711",
        "Sequence": "0",
        "OrderOperation": "0010",
        "ConfirmationUnit": "PC",
        "ConfirmationYieldQuantity": "10",
        "ConfirmationScrapQuantity": "0",
        "FinalConfirmationType": "",
        "PostingDate": "/Date(1795478400000)/",  # 2026-11-24
    }
    return {**known, **changes}


def item(kind="261", material="RM-555", quantity="5", **changes):
    known = {
        "Material": material,
        "Plant": "1010",
        "StorageLocation": "101A",
        "GoodsMovementType": kind,
        "EntryUnit": "KG",
        "QuantityInEntryUnit": quantity,
    }
    return {**known, **changes}


def document(code="03", *items, **changes):
    known = {
        "PostingDate": "2026-11-24T00:00:00",
        "GoodsMovementCode": code,
        "to_MaterialDocumentItem": {"results": list(items)},
    }
    return {**known, **changes}


def once(key=None):
    """Headers that ask for being done once."""
    return {
        "RequestID": key or uuid.uuid4().hex.upper(),
        "RepeatabilityCreation": "Tue, 24 Nov 2026 07:00:00 GMT",
    }


@asynccontextmanager
async def system(*, orders=None, setup=None, **options):
    """A running system and a client of it. Options that are no argument are switches."""
    known = {name: options.pop(name) for name in ("journal", "now", "clock", "kept_s") if name in options}
    simulator = S4Simulator(setup=S4Setup(orders=[order()] if orders is None else orders), **known)
    simulator.setup(setup or {})
    simulator.switch(**options)
    async with simulator, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        yield simulator, Client(simulator, http)


__all__ = [
    "BATCHES",
    "CONFIRMATIONS",
    "DOCUMENTS",
    "LOTS",
    "Client",
    "Got",
    "confirmation",
    "document",
    "item",
    "once",
    "order",
    "system",
]
