"""Events, books and configurations of the tests of the sap adapter."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from mfgroute.adapter import dec_hook
from mfgroute.adapters.sap import SapSinkConfig
from mfgroute.adapters.sap.call import unpack
from mfgroute.adapters.sap.render import Renderer
from mfgroute.events import Event

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
COMPLETED = "production.operation.completed"
CONFIRMATION = {
    "site": "DE04",
    "order": "1004733",
    "operation": "0010",
    "report": "A-1002",
    "type": "partial",
    "posting_date": "2026-11-24",
    "goods": "listed",
    "quantity": {"good": "10", "scrap": "1", "unit": "H87"},
}

MOVED = {
    "site": "DE07",
    "order": "1004711",
    "operation": "0020",
    "report": "88121/2",
    "material": "RM-555",
    "batch": "r26-0907",
    "posting_date": "2026-12-01",
    "quantity": {"value": "189.84", "unit": "KGM"},
}
HELD = {
    "site": "DE07",
    "material": "FG-900",
    "batch": "L261119-01",
    "scope": "batch",
    "reason": "NC-1",
    "report": "NC-1/1",
}


class Ledger:
    """The books of a sink, kept in memory."""

    def __init__(self):
        self.sums = {}

    async def posted(self, thing):
        return dict(self.sums.get(thing, {}))

    def add(self, request):
        sums = self.sums.setdefault(request.object, {})
        for name, value in request.amounts.items():
            sums[name] = sums.get(name, Decimal(0)) + value


def config(**more):
    settings = {
        "url": "https://sap.example/sap/opu/odata/sap",
        "auth": {"user": "MFG", "password": "secret"},
        "goods": "listed",
        "batch_level": "plant",
        "reasons": {"material": "0001"},
        "activities": {"setup": 1, "machine": 2, "labor": 3},
    }
    return msgspec.convert(settings | more, SapSinkConfig, dec_hook=dec_hook)


def event(kind, data, number=1, *, when="2026-11-24T09:00:00Z"):
    id_ = f"00000000-0000-8000-8000-{number:012d}"
    full = f"com.example.{kind}.v1"
    document = {
        "specversion": "1.0",
        "id": id_,
        "source": "//DE04/mes",
        "type": full,
        "time": when,
        "data": data,
    }
    key = f"order/{data.get('site')}/{data.get('order', data.get('batch'))}"
    return Event(id=id_, type=full, key=key, offset=number, json=json.dumps(document).encode())


async def nothing(order, operation, guids):
    return []


async def rendered(kind, data, *, books=None, find=nothing, now=NOW, number=1, **more):
    renderer = Renderer(config(**more), lambda: now)
    return await renderer.render(event(kind, data, number), books or Ledger(), find)


def body(request):
    return json.loads(unpack(request.body).body)
