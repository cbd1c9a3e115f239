"""Answers of the ERP that are not what they seem: only what is ours, and is there, is believed."""

import pytest
from aiohttp import web

from mfgroute.events import Absent, Accepted, Done, NotYet, Retry
from mfgroute.testing.simulators.s4 import ROOT, Fault, S4Setup
from mfgroute.testing.simulators.s4.master import Stock

from .http_target import serving
from .sap_cases import COMPLETED, CONFIRMATION
from .sap_plant import MOVEMENT, running


@pytest.fixture
async def plant(context):
    async with running(context) as found:
        yield found


@pytest.mark.parametrize(("kind", "data"), [(COMPLETED, CONFIRMATION), ("material.consumed", MOVEMENT)])
async def test_a_cancellation_is_not_done_by_the_document_of_another(plant, kind, data):
    sink = await plant.sink()
    request, done = await plant.post(sink, kind, data)
    undo = sink.reverse(request, done.reference, reason="twice", posted={})
    assert await sink.ask(undo) == Absent()
    plant.erp.misbehave(Fault(kind="other", times=1, path="_SRV"))
    (outcome,) = await sink.post([undo])
    assert isinstance(outcome, Done)
    assert outcome == await sink.ask(undo)
    assert plant.erp.ledger.mischief == {"other": 1}


async def test_a_material_document_is_cancelled_only_when_its_cancellation_is_found(plant):
    sink = await plant.sink()
    request, done = await plant.post(sink, "material.consumed", MOVEMENT)
    undo = sink.reverse(request, done.reference, reason="twice", posted={})
    plant.erp.misbehave(Fault(kind="lie", times=1))
    (lied,) = await sink.post([undo])
    assert (lied.judged, lied.sent) == (True, True)
    assert await sink.ask(undo) == Absent()


@pytest.mark.parametrize("repeatability", ["accepted", "ignored"])
@pytest.mark.parametrize("job_document", [False, True])
async def test_accepted_work_that_meets_a_missing_batch_may_be_sent_again(plant, repeatability, job_document):
    plant.erp.switch(repeatability=repeatability, job_document=job_document)
    sink = await plant.sink()
    plant.erp.misbehave(Fault(kind="accepted", times=1, polls=0))
    request, accepted = await plant.post(sink, "material.consumed", MOVEMENT | {"batch": "R2"})
    assert isinstance(accepted, Accepted)
    for _ in range(2):
        waiting = await sink.follow(request, accepted.reference)
        assert isinstance(waiting, NotYet)
        assert waiting.code == "batch_missing"
    steel = Stock(plant="DE07", storage_location="0010", material="RM-555", quantity="100", batch="R2")
    plant.erp.take(S4Setup(stock=[steel]))
    assert await sink.ask(request) == Absent()
    assert await sink.post([request]) == [Done("4900000001/2026")]
    assert len(plant.erp.ledger.effects()) == 1


async def test_a_job_that_nobody_knows_any_more_is_no_outcome(plant):
    sink = await plant.sink()
    request = await plant.request(sink)
    gone = await sink.follow(request, f"{plant.erp.url}/jobs/77")
    assert isinstance(gone, Retry)
    assert (gone.judged, gone.sent) == (True, True)
    await sink.post([request])
    assert await sink.follow(request, f"{plant.erp.url}/jobs/77") == Done("10047331/1")


@pytest.mark.parametrize("status", [200, 303, 403])
async def test_an_answer_that_does_not_say_that_work_is_over_leaves_it_accepted(plant, status):
    def answer(asked):
        if not asked.path.startswith("/jobs/"):
            return web.json_response({"d": {"results": []}})
        headers = {"X-CSRF-Token": "required", "Location": "http://169.254.169.254/"}
        return web.json_response({"d": {"Status": "parked"}}, status=status, headers=headers)

    async with serving() as peer:
        peer.answer = answer
        sink = await plant.sink(url=peer.root + ROOT.rstrip("/"))
        request = await plant.request(sink)
        assert await sink.ask(request) == Absent()
        job = f"{peer.root}/jobs/1"
        said = await sink.follow(request, job)
        assert isinstance(said, Accepted)
        assert said.reference == job
