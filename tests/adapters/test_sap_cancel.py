"""Requests that take postings back: nothing is sent here."""

from decimal import Decimal

from mfgroute.adapters.sap import references
from mfgroute.adapters.sap.call import unpack
from mfgroute.adapters.sap.cancel import Cancels
from mfgroute.adapters.sap.fields import Units
from mfgroute.events import Done, NotYet

from .sap_cases import COMPLETED, CONFIRMATION, MOVED, NOW, config, rendered

REVERSAL = {
    "site": "DE04", "order": "1004733", "report": "A-1009", "reverses": "A-1002", "posting_date": "2026-11-24",
    "reason": "counted twice",
}  # fmt: skip


def row(operation="0010", kind="confirmation", **more):
    return {
        "ConfirmationGroup": "100", "ConfirmationCount": "3", "Sequence": "0", "OrderOperation": operation,
        "ExternalSystemConfirmation": references.guid(kind, "DE04", "1004733", operation, "A-1002").upper(),
        "IsReversed": False, "ConfirmationUnit": "PC", "ConfirmationUnitISOCode": "PCE",
        "ConfirmationYieldQuantity": "10.000", "ConfirmationScrapQuantity": "1.000", "ConfirmationReworkQuantity": "0.000",
    } | more  # fmt: skip


async def reversal(*rows, **more):
    async def find(order, operation, guids):
        assert order == "1004733"
        assert bool(operation) == bool(guids)
        return list(rows)

    return await rendered("production.confirmation.reversed", REVERSAL | more, find=find)


async def test_a_reversal_finds_its_confirmation_by_the_report():
    for more in ({}, {"operation": "0010"}):
        request = await reversal(row(), row("0020", ExternalSystemConfirmation="0" * 32), **more)
        call = unpack(request.body)
        assert call.path.startswith(
            "CancelProdnOrdConf?ConfirmationGroup=%27100%27&ConfirmationCount=%273%27"
            "&PostingDate=datetime%272026-11-24T00%3A00%3A00%27&ExternalSystemConfirmation=guid%27"
        )
        assert request.amounts == {
            "operation/0010/yield/H87": Decimal(-10),
            "operation/0010/scrap/H87": Decimal(-1),
        }


async def test_a_reversal_of_scrap_alone_takes_it_off_both_accounts():
    request = await reversal(row(kind="scrap", ConfirmationYieldQuantity="0.000"))
    assert request.amounts == {"operation/0010/scrap/H87": Decimal(-1), ".apart/0010/scrap/H87": Decimal(-1)}


async def test_a_reversal_waits_for_its_original_and_is_done_where_it_was_reversed_before():
    waiting = await reversal()
    assert isinstance(waiting, NotYet)
    assert waiting.code == "original_missing"
    assert await reversal(row(IsReversed=True)) == Done("100/3 reversed before")
    several = await reversal(row(), row("0020", ConfirmationGroup="101"))
    assert several.code == "original_ambiguous"
    assert isinstance(await reversal(row("0020"), operation="0010"), NotYet)


async def test_what_was_posted_is_taken_back_by_what_the_target_knows():
    cancels = Cancels(config(), Units("iso", {}))

    def back(request, reference):
        return cancels.of_request(request, reference, "2026-11-24T10:00:00Z", NOW.date(), "by mistake")

    confirmed = await rendered(COMPLETED, CONFIRMATION)
    undone = back(confirmed, "100/3 incomplete: 0 of 2 goods movements")
    assert "ConfirmationCount=%273%27" in unpack(undone.body).path
    assert undone.amounts == {name: -value for name, value in confirmed.amounts.items()}
    assert undone.key == back(confirmed, "100/3").key != confirmed.key
    moved = await rendered("material.consumed", MOVED)
    undone = back(moved, "4900000001/2026")
    assert unpack(undone.body).path == (
        "Cancel?MaterialDocumentYear=%272026%27&MaterialDocument=%274900000001%27"
        "&PostingDate=datetime%272026-11-24T00%3A00%3A00%27"
    )
    assert back(undone, "4900000002/2026").code == "not_reversible"
    assert back(moved, "by hand").code == "not_reversible"
