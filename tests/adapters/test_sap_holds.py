"""Holds on one lot: it is free only when each of them was released."""

from decimal import Decimal

import pytest

from mfgroute.adapters.sap.call import unpack
from mfgroute.adapters.sap.cancel import described
from mfgroute.events import Absent, Done, Refused

from .sap_cases import HELD, Ledger, body, rendered
from .sap_plant import HOLD, running

PLACED, RELEASED = "quality.hold.placed", "quality.hold.released"


@pytest.fixture
async def plant(context):
    async with running(context) as found:
        yield found


def hold(reason, **more):
    return HOLD | {"reason": reason, "report": f"{reason}/1"} | more


async def status(plant, sink):
    """Whether the batch is restricted, as the target says."""
    request = await plant.request(sink, PLACED, HOLD)
    return isinstance(await sink.ask(request), Done)


async def said(plant, sink, kind, data, number):
    _, outcome = await plant.post(sink, kind, data, number)
    assert isinstance(outcome, Done), outcome
    return outcome.reference


async def test_a_lot_stays_restricted_until_its_last_hold_is_released(plant, caplog):
    caplog.set_level("INFO", "mfgroute")
    sink = await plant.sink()
    assert await said(plant, sink, PLACED, hold("NC-1"), 1) == "FG-900/L1 restricted"
    assert await said(plant, sink, PLACED, hold("NC-2", batch="l1"), 2) == "FG-900/L1 restricted"
    kept = await said(plant, sink, RELEASED, hold("NC-1"), 3)
    assert kept == "FG-900/L1 stays restricted: held for NC-2"
    assert await status(plant, sink)
    assert "a lot stays restricted" in caplog.text
    assert await said(plant, sink, RELEASED, hold("NC-2"), 4) == "FG-900/L1 unrestricted"
    assert not await status(plant, sink)
    assert plant.erp.ledger.counts() == {"batch_restricted": 1, "batch_unrestricted": 1}


async def test_a_release_that_changes_nothing_is_found_and_repeated_as_any_other(plant):
    sink = await plant.sink()
    for number, reason in enumerate(("NC-1", "NC-2"), 1):
        await said(plant, sink, PLACED, hold(reason), number)
    request, outcome = await plant.post(sink, RELEASED, hold("NC-1"), 3)
    assert await sink.ask(request) == outcome == (await sink.post([request]))[0]


async def test_nobody_who_has_freed_a_lot_by_hand_is_overwritten(plant):
    sink = await plant.sink()
    for number, reason in enumerate(("NC-1", "NC-2"), 1):
        await said(plant, sink, PLACED, hold(reason), number)
    free = await plant.request(sink, RELEASED, hold("NC-1"), 3)
    plant.books.sums.clear()
    await said(plant, sink, RELEASED, hold("NC-9"), 4)
    assert await sink.ask(free) == Absent()
    (outcome,) = await sink.post([free])
    assert outcome == Done("FG-900/L1 stays restricted: held for NC-2, but somebody else has freed it")
    assert not await status(plant, sink)


async def test_a_hold_that_is_taken_back_frees_its_lot_only_if_no_other_stands(plant):
    sink = await plant.sink()
    first, outcome = await plant.post(sink, PLACED, hold("NC-1"), 1)
    second, _ = await plant.post(sink, PLACED, hold("NC-2"), 2)

    async def undo(request):
        undone = sink.reverse(request, outcome.reference, posted=await plant.books.posted(request.object))
        (done,) = await sink.post([undone])
        plant.books.add(undone)
        return sink.describe(request, undone), done.reference

    does, done = await undo(first)
    assert does == "takes the hold NC-1 off batch L1 of FG-900, which stays restricted: held for NC-2"
    assert done == "FG-900/L1 stays restricted: held for NC-2"
    released, _ = await plant.post(sink, RELEASED, hold("NC-2"), 3)
    assert not await status(plant, sink)
    # A release that is taken back places its hold again.
    assert await undo(released) == ("sets batch L1 of FG-900 to restricted use", "FG-900/L1 restricted")
    assert await plant.books.posted(released.object) == {".hold/NC-1": Decimal(0), ".hold/NC-2": Decimal(1)}
    assert (await undo(second))[1] == "FG-900/L1 unrestricted"
    # What was released before takes nothing off.
    assert sink.reverse(second, "x", posted=await plant.books.posted(second.object)).amounts == {}


async def test_each_report_of_a_hold_counts_and_one_release_ends_them_all():
    books = Ledger()
    for number in (1, 2):
        request = await rendered(PLACED, HELD, books=books, number=number)
        assert request.amounts == {".hold/NC-1": Decimal(1)}
        books.add(request)
    released = await rendered(RELEASED, HELD, books=books, number=3)
    assert released.amounts == {".hold/NC-1": Decimal(-2)}
    assert body(released) == {"MatlBatchIsInRstrcdUseStock": False}


async def test_a_release_of_a_hold_that_nobody_placed_here_frees_a_lot_only_if_no_hold_stands():
    books = Ledger()
    unknown = await rendered(RELEASED, HELD, books=books)
    assert (unknown.amounts, body(unknown)) == ({}, {"MatlBatchIsInRstrcdUseStock": False})
    books.add(await rendered(PLACED, HELD | {"reason": "NC-2"}, books=books))
    assert unpack((await rendered(RELEASED, HELD, books=books)).body).held == "NC-2"


async def test_plants_that_share_the_status_of_a_lot_share_its_holds():
    for level, thing, held in (
        ("material", "lot/FG-900/L261119-01", "NC-7"),
        ("plant", "lot/DE07/FG-900/L261119-01", ""),
    ):
        books = Ledger()
        other = HELD | {"site": "DE04", "reason": "NC-7"}
        books.add(await rendered(PLACED, other, books=books, batch_level=level))
        books.add(await rendered(PLACED, HELD, books=books, batch_level=level))
        released = await rendered(RELEASED, HELD, books=books, batch_level=level)
        assert (released.object, unpack(released.body).held) == (thing, held)


async def test_many_and_odd_reasons_fit_into_a_line_and_a_database():
    books = Ledger()
    for number in range(5):
        odd = HELD | {"reason": f"{number}" + "\x00\n" + "x" * 75}
        request = await rendered(PLACED, odd, books=books, number=number)
        assert "\x00" not in "".join(request.amounts)
        books.add(request)
    call = unpack((await rendered(RELEASED, HELD, books=books)).body)
    assert call.held.endswith("… and 2 more")
    assert len(described(call, call)) < 300


async def test_a_hold_without_a_reason_is_refused():
    for kind in (PLACED, RELEASED):
        outcome = await rendered(kind, {name: one for name, one in HELD.items() if name != "reason"})
        assert isinstance(outcome, Refused)
        assert outcome.reason == "the event has no `reason`"
