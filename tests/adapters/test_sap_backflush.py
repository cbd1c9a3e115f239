"""Goods movements that the ERP makes by itself, and those of them that it could not make."""

import pytest

from mfgroute.events import Done
from mfgroute.testing.simulators.s4 import Fault

from .sap_cases import CONFIRMATION
from .sap_plant import running


@pytest.fixture
async def plant(context):
    async with running(context) as found:
        yield found


FAILED = {"goods": "by_erp", "failed_movements": {"service": "Z_FAILED_GOODS_MOVEMENT_SRV"}}


async def test_automatic_movements_that_failed_are_read_where_the_target_tells_them(plant, caplog):
    sink = await plant.sink(**FAILED)
    data = CONFIRMATION | {"goods": "by_erp"}
    assert (await plant.post(sink, data=data))[1] == Done("10047331/1")
    plant.erp.misbehave(Fault(kind="movements_fail", times=1))
    request, outcome = await plant.post(sink, data=data | {"report": "A-2"}, number=2)
    assert outcome == Done("10047331/2 incomplete: 1 goods movements failed")
    assert sink.counters["posted_incomplete"] == 1
    assert "10047331/2 incomplete" in caplog.text
    assert (await plant.post(sink, data=data | {"report": "A-3"}, number=3))[1] == Done("10047331/3")
    assert await sink.ask(request) == outcome, "what is looked up says so as well"
    undone = sink.reverse(request, outcome.reference, posted={})
    assert await sink.post([undone]) == [Done("10047331/4")]


async def test_a_service_of_failed_movements_that_is_not_there_hides_no_confirmation(plant):
    sink = await plant.sink(**FAILED | {"failed_movements": {"service": "Z_NONE_SRV"}})
    _, outcome = await plant.post(sink, data=CONFIRMATION | {"goods": "by_erp"})
    assert outcome == Done("10047331/1 incomplete? its failed goods movements cannot be read")
