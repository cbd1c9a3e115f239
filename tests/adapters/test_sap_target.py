"""Postings to an ERP that behaves as its services are documented to, over real connections."""

import base64
import json
import socket
from decimal import Decimal

import pytest

from mfgroute.errors import AdapterError, Disconnected
from mfgroute.events import Absent, Accepted, Done, InDoubt, NotYet, Refused, Retry
from mfgroute.testing.simulators.s4 import ROOT, Fault, S4Setup

from .sap_cases import COMPLETED, CONFIRMATION
from .sap_plant import HOLD, MOVEMENT, PASSWORD, SERVICE, running


@pytest.fixture
async def plant(context):
    async with running(context) as found:
        yield found


async def test_a_confirmation_is_posted_and_says_its_number(plant):
    sink = await plant.sink()
    request, outcome = await plant.post(sink)
    assert outcome == Done("10047331/1")
    (effect,) = plant.erp.ledger.effects()
    assert effect["amounts"] == {"yield": "10.000", "scrap": "1.000", "rework": "0.000", "unit": "PC"}
    assert effect["request_id"] == request.key
    assert effect["movements"] == []


async def test_the_class_is_key_only_after_the_target_has_said_so(plant, caplog):
    caplog.set_level("INFO", "mfgroute")
    sink = await plant.sink()
    assert sink.effect.by == "lookup"
    assert "until the target says that it honours RequestID" in caplog.text
    await plant.post(sink)
    assert sink.effect.by == "key"
    plant.erp.switch(repeatability="ignored")
    await plant.post(sink, data=CONFIRMATION | {"report": "A-2"}, number=2)
    assert sink.effect.by == "lookup"
    assert "the target does not honour RequestID" in caplog.text


async def test_a_target_that_refuses_request_ids_gets_none(plant):
    plant.erp.switch(repeatability="unsupported")
    sink = await plant.sink()
    request, outcome = await plant.post(sink)
    assert isinstance(outcome, Retry)
    assert not outcome.sent
    assert await sink.post([request]) == [Done("10047331/1")]
    assert sink.effect.by == "lookup"


async def test_the_same_request_again_has_no_second_effect(plant):
    sink = await plant.sink()
    request, first = await plant.post(sink)
    assert await sink.post([request]) == [first]
    assert plant.erp.ledger.duplicates == 0


async def test_a_token_is_fetched_once_and_again_when_it_expires(plant):
    sink = await plant.sink()
    await plant.post(sink)
    await plant.post(sink, data=CONFIRMATION | {"report": "A-2"}, number=2)
    assert sink.counters["token_fetches"] == 1
    plant.erp.sessions.expire()
    _, outcome = await plant.post(sink, data=CONFIRMATION | {"report": "A-3"}, number=3)
    assert outcome == Done("10047331/3")
    assert sink.counters["token_fetches"] == 2
    plant.erp.misbehave(Fault(kind="expired"))
    _, outcome = await plant.post(sink, data=CONFIRMATION | {"report": "A-4"}, number=4)
    assert isinstance(outcome, Retry)
    assert not outcome.sent
    assert sink.counters["token_fetches"] == 3


async def test_a_wrong_password_is_no_fault_of_the_event(plant):
    sink = await plant.sink(auth={"user": "MFG", "password": "wrong"})
    _, outcome = await plant.post(sink)
    assert isinstance(outcome, Retry)
    assert (outcome.judged, outcome.sent) == (False, False)
    assert "401" in outcome.reason


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["cut", "hang", "torn"])
async def test_a_lost_answer_is_found_by_asking_or_not_there(plant, kind, when):
    sink = await plant.sink(timeout_s=0.5, effect={"by": "lookup"})
    plant.erp.misbehave(Fault(kind=kind, when=when, times=1, after_s=2.0, path="ProdnOrdConf2"))
    request, outcome = await plant.post(sink)
    assert isinstance(outcome, Retry)
    assert outcome.sent
    found = await sink.ask(request)
    assert found == (Done("10047331/1") if when == "after" else Absent())
    if isinstance(found, Absent):
        assert await sink.post([request]) == [Done("10047331/1")]
    assert plant.erp.ledger.duplicates == 0
    assert len(plant.erp.ledger.effects()) == 1


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(kind="too_many", retry_after="7"), Retry(after_s=7.0, reason="x")),
        (Fault(kind="too_many", retry_after="soon"), Retry(reason="x")),
        (Fault(kind="error"), Retry(reason="x", judged=True, sent=True)),
        (Fault(kind="error", status=503), Retry(reason="x")),
        (Fault(kind="refuse", message="order_locked"), NotYet(reason="x", within_s=900, code="locked")),
        (Fault(kind="refuse", message="order_locked", status=423), NotYet(reason="x", within_s=900, code="locked")),
        (Fault(kind="refuse", message="XX/001", text="Order 1 is being processed by A"), NotYet(reason="x", within_s=900, code="locked")),
        (Fault(kind="refuse", message="batch_unknown"), NotYet(reason="x", within_s=86_400, code="batch_missing")),
        (Fault(kind="refuse", message="period"), Refused("period_closed", "x")),
        (Fault(kind="refuse", message="deficit"), Refused("M7/021", "x")),
        (Fault(kind="refuse", message="XX/001", text="nonsense"), Refused("XX/001", "x")),
        (Fault(kind="refuse", message="etag_wrong"), Retry(reason="x")),
        (Fault(kind="redirect"), Retry(reason="x", judged=True, sent=True)),
        (Fault(kind="html"), Retry(reason="x", judged=True, sent=True)),
        (Fault(kind="error_in_200"), Retry(reason="x", judged=True, sent=True)),
        (Fault(kind="bomb", size=4 << 20), Retry(reason="x", judged=True, sent=True)),
        (Fault(kind="trickle", after_s=0.1), Retry(reason="x", sent=True)),
        (Fault(kind="endless"), Retry(reason="x", judged=True, sent=True)),
    ],
    ids=lambda value: getattr(value, "kind", type(value).__name__),
)  # fmt: skip
async def test_every_answer_has_one_meaning_and_none_leaves_a_posting(plant, fault, expected):
    sink = await plant.sink(timeout_s=1.0)
    fault.path = SERVICE
    plant.erp.misbehave(fault)
    request, outcome = await plant.post(sink)
    assert type(outcome) is type(expected)
    for name in ("judged", "sent", "code", "within_s"):
        assert getattr(outcome, name, None) == getattr(expected, name, None), (name, outcome)
    if isinstance(expected, Retry):
        assert outcome.after_s == expected.after_s
    assert outcome.reason
    assert plant.erp.ledger.effects() == []
    plant.erp.behave()
    assert await sink.post([request]) == [Done("10047331/1")]


async def test_a_200_with_an_error_is_asked_about_before_it_is_judged(plant):
    sink = await plant.sink()
    plant.erp.misbehave(Fault(kind="error_in_200", when="after", times=1))
    _, outcome = await plant.post(sink)
    assert outcome == Done("10047331/1")


@pytest.mark.parametrize(
    ("kind", "data", "name"),
    [(COMPLETED, CONFIRMATION, "10047331/1"), ("material.consumed", MOVEMENT, "4900000001/2026")],
)
async def test_an_answer_with_the_document_of_another_request_is_not_believed(plant, kind, data, name):
    sink = await plant.sink()
    plant.erp.misbehave(Fault(kind="other", times=1, path="_SRV"))
    _, outcome = await plant.post(sink, kind, data)
    assert outcome == Done(name)
    assert len(plant.erp.ledger.effects()) == 1
    assert plant.erp.ledger.mischief == {"other": 1}


async def test_what_the_target_calls_outdated_is_looked_up(plant):
    sink = await plant.sink()
    request, _ = await plant.post(sink)
    plant.erp.switch(response_kept_s=0.0)
    assert await sink.post([request]) == [Done("10047331/1")]
    plant.erp.misbehave(Fault(kind="refuse", message="outdated"))
    _, outcome = await plant.post(sink, data=CONFIRMATION | {"report": "A-2"}, number=2)
    assert isinstance(outcome, InDoubt)
    assert "RequestID is outdated" in outcome.reason


async def test_what_is_accepted_is_followed_to_its_end(plant):
    sink = await plant.sink()
    plant.erp.misbehave(Fault(kind="accepted", times=1, polls=2))
    request, outcome = await plant.post(sink)
    assert isinstance(outcome, Accepted)
    seen = []
    while isinstance(outcome, Accepted):
        seen.append(outcome)
        outcome = await sink.follow(request, outcome.reference)
    assert len(seen) == 3
    assert {one.within_s for one in seen} == {86_400.0}
    assert outcome == Done("10047331/1")
    plant.erp.misbehave(Fault(kind="accepted", times=1, polls=0))
    data = CONFIRMATION | {"order": "999", "report": "A-2"}
    request, outcome = await plant.post(sink, data=data, number=2)
    refused = await sink.follow(request, outcome.reference)
    assert isinstance(refused, Refused)
    assert "999" in refused.reason
    elsewhere = await sink.follow(request, "http://169.254.169.254/jobs/1")
    assert isinstance(elsewhere, InDoubt)


async def test_a_confirmation_with_its_movements(plant):
    sink = await plant.sink()
    moves = [
        {"direction": "issue", "material": "RM-555", "batch": "R1", "storage_location": "0010", "quantity": "2.5", "unit": "KGM"},
        {"direction": "receipt", "material": "FG-900", "storage_location": "0030", "quantity": "10", "unit": "H87"},
    ]  # fmt: skip
    data = CONFIRMATION | {"site": "DE07", "order": "1004711", "movements": moves}
    _, outcome = await plant.post(sink, data=data)
    assert outcome == Done("10047111/1")
    (effect,) = plant.erp.ledger.effects()
    assert [one["movement_type"] for one in effect["movements"]] == ["261", "101"]
    assert {one["origin"] for one in effect["movements"]} == {"confirmation"}


async def test_a_confirmation_whose_movements_failed_is_done_and_says_so(plant, caplog):
    sink = await plant.sink()
    plant.erp.switch(failed_movements="save")
    moves = [
        {"direction": "issue", "material": "RM-555", "batch": "R1", "storage_location": "0010", "quantity": "1", "unit": "KGM"},
        {"direction": "issue", "material": "RM-555", "batch": "GONE", "storage_location": "0010", "quantity": "1", "unit": "KGM"},
    ]  # fmt: skip
    data = CONFIRMATION | {"site": "DE07", "order": "1004711", "movements": moves}
    request, outcome = await plant.post(sink, data=data)
    assert outcome == Done("10047111/1 incomplete: 1 of 2 goods movements")
    assert sink.counters["posted_incomplete"] == 1
    assert "10047111/1 incomplete" in caplog.text
    undone = sink.reverse(request, outcome.reference, posted={})
    assert await sink.post([undone]) == [Done("10047111/2")]


async def test_the_erp_moves_the_stock_only_where_it_is_told_to(plant):
    sink = await plant.sink(goods="by_erp")
    await plant.post(sink, data=CONFIRMATION | {"goods": "by_erp"})
    sink = await plant.sink(goods="none")
    await plant.post(sink, data=CONFIRMATION | {"goods": "none", "report": "A-2"}, number=2)
    first, second = plant.erp.ledger.effects()
    assert {one["origin"] for one in first["movements"]} == {"backflush"}
    assert second["movements"] == []


async def test_material_documents_and_what_takes_them_back(plant):
    sink = await plant.sink()
    request, outcome = await plant.post(sink, "material.consumed", MOVEMENT)
    assert outcome == Done("4900000001/2026")
    assert await sink.ask(request) == outcome
    undone = sink.reverse(request, outcome.reference, reason="wrong lot", posted={})
    assert await sink.ask(undone) == Absent()
    assert await sink.post([undone]) == [Done("4900000002/2026")]
    assert await sink.ask(undone) == Done("4900000002/2026")
    # The cancellation carries the reference of what it cancelled.
    assert await sink.ask(request) == outcome
    assert plant.erp.ledger.totals()["1004711"]["materials"]["RM-555"]["types"] == {
        "261": "12.500",
        "262": "12.500",
    }


@pytest.mark.parametrize(
    ("kind", "more", "type_"),
    [
        ("material.consumed", {"direction": "issue_reversal"}, "262"),
        ("material.byproduct.received", {}, "531"),
        ("material.byproduct.received", {"direction": "receipt_reversal"}, "532"),
        ("material.finishedgoods.received", {"material": "FG-900", "batch": "L2"}, "101"),
        ("material.transfer.requested", {"from_location": "0010", "to_location": "0020"}, "311"),
        ("production.scrap.reported", {"origin": "from_stock"}, "551"),
        ("quality.hold.placed", {"scope": "quantity", "reason": "NC"}, "344"),
        ("quality.hold.released", {"scope": "quantity", "reason": "NC"}, "343"),
    ],
)
async def test_every_movement_is_taken_by_the_target(plant, kind, more, type_):
    sink = await plant.sink()
    _, outcome = await plant.post(sink, kind, MOVEMENT | more)
    assert isinstance(outcome, Done), outcome
    (effect,) = plant.erp.ledger.effects()
    assert [one["movement_type"] for one in effect["movements"]] == [type_]


async def test_serial_numbers_are_posted_with_their_pieces(plant):
    plant.erp.take(S4Setup(serialized=["DRV-100"]))
    sink = await plant.sink()
    data = MOVEMENT | {"material": "DRV-100", "batch": "L9", "quantity": {"value": "2", "unit": "H87"}}
    _, outcome = await plant.post(sink, "material.finishedgoods.received", data | {"serials": ["SN1"]})
    assert isinstance(outcome, Refused)
    _, outcome = await plant.post(
        sink, "material.finishedgoods.received", data | {"serials": ["SN1", "SN2"]}, 2
    )
    assert isinstance(outcome, Done)


async def test_a_batch_that_comes_later_is_waited_for(plant):
    sink = await plant.sink()
    request, outcome = await plant.post(sink, "material.consumed", MOVEMENT | {"batch": "NEW"})
    assert isinstance(outcome, NotYet)
    assert outcome.code == "batch_missing"
    plant.erp.take(S4Setup(batches=["DE07/RM-555/NEW"]))
    assert await sink.post([request]) == [Done("4900000001/2026")]


async def test_a_closed_period_is_refused_in_the_targets_words(plant):
    plant.erp.take(S4Setup(closed_periods=["2026-11"]))
    sink = await plant.sink()
    for kind, data in ((COMPLETED, CONFIRMATION), ("material.consumed", MOVEMENT)):
        _, outcome = await plant.post(sink, kind, data)
        assert isinstance(outcome, Refused)
        assert outcome.code == "period_closed"
        assert "Posting only possible in periods" in outcome.reason


async def test_the_status_of_a_batch_is_set_once_and_nobody_is_overwritten(plant):
    sink = await plant.sink()
    request, outcome = await plant.post(sink, "quality.hold.placed", HOLD)
    assert outcome == Done("FG-900/L1 restricted")
    assert await sink.post([request]) == [outcome]
    assert await sink.ask(request) == outcome
    assert plant.erp.ledger.counts() == {"batch_restricted": 1}
    plant.erp.misbehave(Fault(kind="refuse", message="etag_wrong", times=1, path="API_BATCH_SRV"))
    released, outcome = await plant.post(sink, "quality.hold.released", HOLD, 2)
    assert outcome == Done("FG-900/L1 unrestricted")
    assert await sink.ask(request) == Absent()
    _, outcome = await plant.post(sink, "quality.hold.placed", HOLD | {"batch": "NONE"}, 3)
    assert isinstance(outcome, NotYet)
    undone = sink.reverse(released, outcome.code, posted={})
    assert await sink.post([undone]) == [Done("FG-900/L1 restricted")]


async def test_a_reversal_cancels_its_confirmation_and_its_movements(plant):
    sink = await plant.sink(goods="by_erp")
    await plant.post(sink, data=CONFIRMATION | {"goods": "by_erp"})
    reversal = {
        "site": "DE04", "order": "1004733", "report": "A-1009", "reverses": "A-1002", "posting_date": "2026-11-24",
        "reason": "counted twice",
    }  # fmt: skip
    request, outcome = await plant.post(sink, "production.confirmation.reversed", reversal, 2)
    assert outcome == Done("10047331/2")
    assert await sink.ask(request) == outcome
    totals = plant.erp.ledger.totals()["1004733"]
    assert totals["operations"]["0010"]["yield"] == "0.000"
    assert totals["materials"]["RM-555"]["types"] == {"261": "5.500", "262": "5.500"}
    assert not any(plant.books.sums["order/DE04/1004733"].values())
    again = await plant.request(sink, "production.confirmation.reversed", reversal | {"report": "A-1010"}, 3)
    assert again == Done("10047331/1 reversed before")
    early = await plant.request(sink, "production.confirmation.reversed", reversal | {"reverses": "A-9"}, 4)
    assert isinstance(early, NotYet)


async def test_a_total_after_a_reversal_counts_from_what_is_left(plant):
    sink = await plant.sink()
    for number, good in ((1, "40"), (2, "70")):
        data = CONFIRMATION | {
            "quantity": {"good": good, "unit": "H87", "basis": "total"},
            "report": f"T-{number}",
        }
        await plant.post(sink, data=data, number=number)
    reversal = {
        "site": "DE04",
        "order": "1004733",
        "report": "R-1",
        "reverses": "T-1",
        "posting_date": "2026-11-24",
    }
    await plant.post(sink, "production.confirmation.reversed", reversal, 3)
    data = CONFIRMATION | {"quantity": {"good": "75", "unit": "H87", "basis": "total"}, "report": "T-3"}
    await plant.post(sink, data=data, number=4)
    assert plant.erp.ledger.totals()["1004733"]["operations"]["0010"]["yield"] == "75.000"


async def test_the_target_is_read_back_in_the_names_of_the_amounts(plant):
    sink = await plant.sink()
    await plant.post(sink, data=CONFIRMATION | {"site": "DE07", "order": "1004711"})
    consumed, outcome = await plant.post(sink, "material.consumed", MOVEMENT, 2)
    await plant.post(sink, "material.consumed", MOVEMENT | {"report": "x", "direction": "issue_reversal"}, 3)
    await sink.post([sink.reverse(consumed, outcome.reference, posted={})])
    plant.erp.switch(page_max=1)
    held = await sink.read("order/DE07/1004711")
    assert {name: one.amount for name, one in held.items()} == {
        "operation/0010/yield/H87": Decimal(10),
        "operation/0010/scrap/H87": Decimal(1),
        "movement/261/RM-555/KGM": Decimal("-12.5"),
    }
    assert held["operation/0010/yield/H87"].documents == ("10047111/1",)
    assert held["movement/261/RM-555/KGM"].documents == (
        "4900000001/2026",
        "4900000002/2026",
        "4900000003/2026",
    )
    assert await sink.read("order/DE07/none") == {}
    with pytest.raises(AdapterError, match="nothing that can be read"):
        await sink.read("stock/DE07/RM-555")


async def test_a_target_that_lies_is_found_out_by_reading_it_back(plant):
    sink = await plant.sink()
    plant.erp.misbehave(Fault(kind="lie", times=1))
    request, outcome = await plant.post(sink)
    assert isinstance(outcome, Done)
    assert request.amounts
    assert await sink.read(request.object) == {}
    assert await sink.ask(request) == Absent()


async def test_what_somebody_else_posted_under_our_reference_is_left_to_a_person(plant):
    sink = await plant.sink(effect={"by": "lookup"})
    request, _ = await plant.post(sink)
    other = await plant.request(
        sink, data=CONFIRMATION | {"quantity": {"good": "11", "scrap": "1", "unit": "H87"}}, number=2
    )
    found = await sink.ask(other)
    assert isinstance(found, InDoubt)
    assert "other quantities" in found.reason
    await sink.post([request])
    found = await sink.ask(request)
    assert isinstance(found, InDoubt)
    assert "2 confirmations" in found.reason


@pytest.fixture
def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def test_a_dead_target_is_a_lost_connection_that_sent_nothing(plant, closed_port):
    sink = await plant.sink(url=f"http://127.0.0.1:{closed_port}{ROOT}")
    request = await plant.request(sink)
    for call in (lambda: sink.post([request]), lambda: sink.ask(request), lambda: sink.read("order/DE04/1")):
        with pytest.raises(Disconnected) as failure:
            await call()
        assert failure.value.sent is False


async def test_a_private_address_is_refused_unless_allowed(plant):
    with pytest.raises(AdapterError, match="allow_private"):
        await plant.sink(allow_private=False)


async def test_secrets_stand_nowhere_and_cookies_go_nowhere_else(plant, caplog):
    sink = await plant.sink()
    request, outcome = await plant.post(sink)
    plant.erp.misbehave(Fault(kind="error"))
    _, failed = await plant.post(sink, data=CONFIRMATION | {"report": "x"}, number=2)
    shown = f"{request} {outcome} {failed} {sink!r} {sink._config!r} {caplog.text}"
    assert PASSWORD not in shown
    assert base64.b64encode(f"MFG:{PASSWORD}".encode()).decode() not in shown
    assert json.dumps(plant.erp.ledger.snapshot())
