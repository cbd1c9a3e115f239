"""Several postings in one request, and at the same time."""

import asyncio

import pytest

from mfgroute.events import Done, Refused, Retry
from mfgroute.testing.simulators.s4 import Fault, gateway
from mfgroute.testing.simulators.s4.protocol import Answer

from .sap_cases import CONFIRMATION
from .sap_plant import HOLD, MOVEMENT, running


@pytest.fixture
async def plant(context):
    async with running(context) as found:
        yield found


async def batch_of(plant, sink, count=6, bad=None):
    requests = []
    for number in range(count):
        data = CONFIRMATION | {"order": f"10050{number:02}", "report": f"B-{number}"}
        if number == bad:
            data["operation"] = "0099"
        requests.append(await plant.request(sink, data=data, number=100 + number))
    return requests


@pytest.mark.parametrize("changeset", [1, 3])
async def test_one_bad_head_of_a_batch_does_not_fail_its_neighbours(plant, changeset):
    sink = await plant.sink(bundle={"size": 6, "changeset": changeset})
    requests = await batch_of(plant, sink, bad=1)
    before = plant.erp.ledger.requests
    outcomes = await sink.post(requests)
    assert [type(one) for one in outcomes] == [Done, Refused, Done, Done, Done, Done]
    assert outcomes[5] == Done("10050051/1")
    assert plant.erp.ledger.duplicates == 0
    assert len(plant.erp.ledger.effects()) == 5
    assert sink.counters.get("split", 0) == (1 if changeset == 3 else 0)
    assert plant.erp.ledger.requests - before == (2 if changeset == 1 else 5)
    assert sink.effect.by == "key"


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        (Fault(kind="cut", when="after", times=1, path="$batch"), True),
        (Fault(kind="torn", when="after", times=1, path="$batch"), True),
        (Fault(kind="too_many", times=1, path="$batch"), False),
        (Fault(kind="html", times=1, path="$batch"), True),
        (Fault(kind="error", times=1, path="$batch"), True),
    ],
)
async def test_a_batch_that_fails_leaves_every_posting_to_be_asked_about(plant, fault, sent):
    sink = await plant.sink(bundle={"size": 6})
    requests = await batch_of(plant, sink)
    plant.erp.misbehave(fault)
    outcomes = await sink.post(requests)
    assert [type(one) for one in outcomes] == [Retry] * 6
    assert {one.sent for one in outcomes} == {sent}
    outcomes = await sink.post(requests)
    assert [type(one) for one in outcomes] == [Done] * 6
    assert plant.erp.ledger.duplicates == 0


@pytest.mark.parametrize("done", [True, False])
async def test_a_changeset_over_which_the_target_failed_is_looked_up_before_it_is_split(
    plant, monkeypatch, done
):
    """Whether it was done is not said, and the target does not recognise what it has done."""
    plant.erp.switch(repeatability="ignored")
    sink = await plant.sink(bundle={"size": 4, "changeset": 2}, effect={"by": "lookup"})
    requests = await batch_of(plant, sink, 4, bad=None if done else 0)
    answered, failed = gateway.write_batch, Answer(status=500, headers={}, body=b"")

    def fails(parts):
        (one, _), other = parts
        monkeypatch.undo()
        return answered([(one, [failed]), other])

    monkeypatch.setattr(gateway, "write_batch", fails)
    outcomes = await sink.post(requests)
    assert [type(one) for one in outcomes] == [Done if done else Refused, Done, Done, Done]
    assert plant.erp.ledger.duplicates == 0
    assert len(plant.erp.ledger.effects()) == (4 if done else 3)
    assert sink.counters["split"] == 1


async def test_a_target_without_batches_gets_them_singly(plant):
    sink = await plant.sink(bundle={"size": 6})
    requests = await batch_of(plant, sink, 3)
    plant.erp.misbehave(Fault(kind="error", status=404, path="$batch"))
    assert [type(one) for one in await sink.post(requests)] == [Done] * 3


async def test_different_services_stand_in_different_batches(plant):
    sink = await plant.sink(bundle={"size": 6})
    requests = await batch_of(plant, sink, 2)
    requests.append(await plant.request(sink, "material.consumed", MOVEMENT, 200))
    requests.append(await plant.request(sink, "quality.hold.placed", HOLD, 201))
    outcomes = await sink.post(requests)
    assert [one.reference for one in outcomes] == [
        "10050001/1",
        "10050011/1",
        "4900000001/2026",
        "FG-900/L1 restricted",
    ]


async def test_postings_at_the_same_time_share_one_token(plant):
    sink = await plant.sink()
    requests = await batch_of(plant, sink, 6)
    outcomes = await asyncio.gather(*(sink.post([one]) for one in requests))
    assert all(isinstance(one, Done) for (one,) in outcomes)
    assert sink.counters["token_fetches"] == 1
