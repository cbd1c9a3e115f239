"""What plants reported against what targets hold: exact, per order and amount, with the events behind it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfgroute.adapter import Held
from mfgroute.effects.comparison import Seen, Standing, compare
from mfgroute.effects.reported import Tally

ORDER = "order/DE04/4711"
YIELD = "operation/0010/yield/H87"
POSTED = Standing(state="delivered", posted=True, reference="10/1")
WAITING = Standing(state="queued", posted=False)


def event(name, number, **data):
    return {"id": f"e{number}", "type": f"com.example.{name}.v1", "data": {"report": f"R-{number}", **data}}


def confirmation(number, good="10", *, scrap="0", unit="H87", **more):
    quantity = {"good": good, "scrap": scrap, "unit": unit, **more.pop("quantity", {})}
    return event("production.operation.completed", number, operation="0010", quantity=quantity, **more)


def moved(name, number, material, value, unit="KGM", **more):
    return event(name, number, material=material, quantity={"value": value, "unit": unit}, **more)


def seen(one, **sinks):
    return Seen(event=one, sinks=sinks)


def sums(*events):
    tally = Tally()
    for one in events:
        tally.count(one)
    return {name: amount for name, amount in tally.sums.items() if amount}


def row(document, name):
    (found,) = [one for one in document["rows"] if one["name"] == name]
    return found


def test_events_add_up_by_operation_and_by_movement():
    found = sums(
        confirmation(1, "10.5", scrap="1", quantity={"rework": "2"}),
        confirmation(2, "0.25", sequence="0", suboperation=None),
        confirmation(3, "1", sequence="1", suboperation="0020"),
        event("production.scrap.reported", 4, operation="0010", origin="in_process", quantity={"value": "3", "unit": "H87"}),
        event("production.scrap.reported", 5, operation="0010", origin="from_stock", quantity={"value": "9", "unit": "H87"}),
        moved("material.consumed", 6, "RM-1", "189.84"),
        moved("material.consumed", 7, "RM-1", "0.84", direction="issue_reversal"),
        moved("material.byproduct.received", 8, "BP", "2"),
        moved("material.finishedgoods.received", 9, "FG", "120", "H87"),
        event("quality.hold.placed", 10, material="FG"),
    )  # fmt: skip
    assert found == {
        YIELD: Decimal("10.75"),
        "operation/0010/scrap/H87": Decimal(4),
        "operation/0010/rework/H87": Decimal(2),
        "operation/1-0010.0020/yield/H87": Decimal(1),
        "movement/261/RM-1/KGM": Decimal("189.00"),
        "movement/531/BP/KGM": Decimal(2),
        "movement/101/FG/H87": Decimal(120),
    }


def requested(number, of, sink="sap"):
    data = {
        "sink": sink,
        "event": f"e{of}",
        "reference": f"10/{of}",
        "by": "uid 7",
        "reason": "counted twice",
    }
    return {"id": f"e{number}", "type": "com.example.integration.reversal.requested.v1", "data": data}


def test_a_reversal_that_a_person_asked_for_counts_at_its_sink_alone_and_once():
    there = [
        seen(confirmation(1, "10"), sap=POSTED, mes=POSTED),
        seen(confirmation(2, "5"), sap=POSTED, mes=POSTED),
        seen(requested(3, 1), sap=POSTED, mes=POSTED),
    ]
    held = {"sap": {YIELD: Held(amount=Decimal(5))}, "mes": {YIELD: Held(amount=Decimal(15))}}
    document = compare(ORDER, there, held)
    assert row(document, YIELD)["reported"] == "15"
    assert [row(document, YIELD)["sinks"][sink]["reported"] for sink in ("sap", "mes")] == ["5", "15"]
    assert document["differences"] == 0
    assert document["notes"] == ["sap: uid 7 had 10/1 reversed: counted twice"]
    # The plant takes the same report back: it is gone already.
    reversal = event("production.confirmation.reversed", 4, reverses="R-1")
    document = compare(ORDER, [*there, seen(reversal, sap=POSTED, mes=POSTED)], held)
    assert [row(document, YIELD)["sinks"][sink]["reported"] for sink in ("sap", "mes")] == ["5", "5"]


def test_a_reversal_that_was_asked_for_and_not_posted_is_an_open_difference():
    there = [seen(confirmation(1, "10"), sap=POSTED), seen(requested(2, 1), sap=WAITING)]
    side = row(compare(ORDER, there, {"sap": {YIELD: Held(amount=Decimal(10))}}), YIELD)["sinks"]["sap"]
    assert (side["reported"], side["posted"], side["held"], side["difference"]) == ("0", "10", "10", "10")
    assert [(one["id"], one["amount"], one["state"]) for one in side["open"]] == [("e2", "-10", "queued")]


def test_movements_of_a_confirmation_are_counted_item_by_item_and_reversed_with_it():
    items = [
        {"direction": "issue", "material": "RM-1", "quantity": "5", "unit": "KGM"},
        {"direction": "issue", "material": "RM-1", "quantity": "2", "unit": "KGM"},
        {"direction": "receipt", "material": "FG", "quantity": "10", "unit": "H87"},
        {"direction": "receipt_reversal", "material": "FG", "quantity": "1", "unit": "H87"},
        {"direction": "byproduct", "material": "BP", "quantity": "1", "unit": "KGM"},
    ]
    first = confirmation(1, goods="listed", movements=items)
    assert sums(first) == {
        YIELD: Decimal(10), "movement/261/RM-1/KGM": Decimal(7), "movement/101/FG/H87": Decimal(9),
        "movement/531/BP/KGM": Decimal(1),
    }  # fmt: skip
    assert [part.pointer for part in Tally().count(first)][1:3] == [
        "/movements/0/quantity",
        "/movements/1/quantity",
    ]
    assert sums(first, event("production.confirmation.reversed", 2, reverses="R-1")) == {}


def test_a_running_total_counts_what_it_is_above_the_reports_before_it():
    total = {"basis": "total"}
    scrap = {"operation": "0010", "origin": "in_process", "quantity": {"value": "2", "unit": "H87"}}
    found = sums(
        confirmation(1, "30"),
        confirmation(2, "110", scrap="1", quantity=total),
        event("production.scrap.reported", 3, **scrap),
        confirmation(4, "150", scrap="4", quantity=total),
    )
    assert found == {YIELD: Decimal(150), "operation/0010/scrap/H87": Decimal(6)}
    reversal = event("production.confirmation.reversed", 5, reverses="R-2")
    assert sums(confirmation(1, "30"), confirmation(2, "110", quantity=total), reversal) == {
        YIELD: Decimal(30)
    }


def test_scrap_that_was_reported_apart_is_taken_back_as_every_report_and_running_totals_go_on():
    total = {"basis": "total"}
    scrap = {"operation": "0010", "origin": "in_process", "quantity": {"value": "2", "unit": "H87"}}
    before = [
        confirmation(1, "30", scrap="1", quantity=total),
        event("production.scrap.reported", 2, **scrap),
    ]
    reversal = event("production.confirmation.reversed", 3, reverses="R-2")
    asked_for = event("integration.reversal.requested", 3, sink="sap", event="e2")
    for taken_back in (reversal, asked_for):
        tally = Tally("sap")
        for one in (*before, taken_back, confirmation(4, "40", scrap="4", quantity=total)):
            tally.count(one)
        assert tally.unknown == []
        assert tally.sums == {YIELD: Decimal(40), "operation/0010/scrap/H87": Decimal(4)}
    from_stock = event("production.scrap.reported", 5, **scrap | {"origin": "from_stock"})
    tally.count(from_stock)
    tally.count(event("production.confirmation.reversed", 6, reverses="R-5"))
    assert tally.unknown == ["R-5"]


def test_a_report_of_two_operations_is_taken_back_where_its_reversal_says():
    there = {"report": "R-1", "quantity": {"good": "7", "unit": "H87"}}
    other = event("production.operation.completed", 2, operation="0020", **there)
    other_yield = "operation/0020/yield/H87"
    reversal = {"report": "R-3", "reverses": "R-1"}
    first = event("production.confirmation.reversed", 3, operation="0010", **reversal)
    assert sums(confirmation(1), other, first) == {other_yield: Decimal(7)}
    second = event("production.confirmation.reversed", 4, operation="0020", **reversal)
    assert sums(confirmation(1), other, second) == {YIELD: Decimal(10)}
    assert sums(confirmation(1), other, first, second) == {}


def test_a_quantity_that_is_no_decimal_is_an_error():
    with pytest.raises(ValueError, match="`good` is 'many'"):
        sums(confirmation(1, "many"))


@given(st.lists(st.decimals(0, 10**12, places=3, allow_nan=False), max_size=30))
def test_sums_are_exact_and_a_reversal_takes_back_exactly_its_report(amounts):
    tally = Tally()
    for number, amount in enumerate(amounts):
        tally.count(confirmation(number, str(amount)))
    assert tally.sums.get(YIELD, 0) == sum(amounts)
    for number in reversed(range(len(amounts))):
        tally.count(event("production.confirmation.reversed", 100 + number, reverses=f"R-{number}"))
    assert tally.sums.get(YIELD, 0) == 0


def test_what_agrees_has_no_difference():
    held = {"sap": {YIELD: Held(amount=Decimal("10.0"), documents=("10/1",))}}
    document = compare(ORDER, [seen(confirmation(1), sap=POSTED)], held)
    assert document["differences"] == 0
    assert row(document, YIELD)["sinks"]["sap"] == {
        "reported": "10", "posted": "10", "held": "10", "difference": None, "by_target": False,
    }  # fmt: skip


def test_what_waits_or_was_refused_is_named_with_its_amount_and_message():
    parked = Standing(state="parked", posted=False, said="http_422 period closed")
    skipped = Standing(state="skipped", posted=False, said="cancelled")
    events = [
        seen(confirmation(1), sap=POSTED),
        seen(confirmation(2, "5"), sap=parked),
        seen(confirmation(3, "2"), sap=WAITING),
        seen(confirmation(4, "1"), sap=skipped),
    ]
    side = row(compare(ORDER, events, {"sap": {YIELD: Held(amount=Decimal(10))}}), YIELD)["sinks"]["sap"]
    assert (side["reported"], side["posted"], side["held"], side["difference"]) == ("18", "10", "10", "-8")
    assert [(one["report"], one["amount"], one["state"], one["said"]) for one in side["open"]] == [
        ("R-2", "5", "parked", "http_422 period closed"), ("R-3", "2", "queued", ""), ("R-4", "1", "skipped", "cancelled"),
    ]  # fmt: skip
    assert "unknown_documents" not in side


def test_a_document_that_nobody_here_posted_and_one_that_is_gone_are_named():
    events = [
        seen(confirmation(1), sap=POSTED),
        seen(confirmation(2, "5"), sap=Standing(state="delivered", posted=True, reference="10/2")),
    ]
    held = {"sap": {YIELD: Held(amount=Decimal(13), documents=("10/1", "10/12"))}}
    side = row(compare(ORDER, events, held), YIELD)["sinks"]["sap"]
    assert (side["difference"], side["open"]) == ("-2", [])
    assert side["unknown_documents"] == ["10/12"]
    assert [(one["report"], one["document"]) for one in side["missing_documents"]] == [("R-2", "10/2")]


@pytest.mark.parametrize("state", ["queued", "in_doubt"])
def test_what_is_booked_by_hand_while_its_event_waits_is_a_difference_before_it_is_posted_twice(state):
    waiting = Standing(state=state, posted=False)
    held = {"sap": {YIELD: Held(amount=Decimal(17), documents=("10/1", "10/7"))}}
    document = compare(
        ORDER, [seen(confirmation(1), sap=POSTED), seen(confirmation(2, "7"), sap=waiting)], held
    )
    side = row(document, YIELD)["sinks"]["sap"]
    assert (document["differences"], side["difference"]) == (1, "0")
    assert [(one["report"], one["amount"], one["state"]) for one in side["open"]] == [("R-2", "7", state)]
    assert (side["unknown_documents"], side["missing_documents"]) == (["10/7"], [])


def test_a_sink_that_cannot_be_asked_is_taken_by_what_it_was_delivered():
    receipt = moved("material.finishedgoods.received", 1, "FG", "120", "H87")
    late = moved("material.finishedgoods.received", 2, "FG", "30", "H87")
    document = compare(
        ORDER, [seen(receipt, sap=POSTED, wms=POSTED), seen(late, sap=POSTED, wms=WAITING)], {}
    )
    found = row(document, "movement/101/FG/H87")
    assert (found["reported"], document["differences"]) == ("150", 1)
    assert found["sinks"]["sap"]["difference"] is None
    assert (found["sinks"]["wms"]["held"], found["sinks"]["wms"]["difference"]) == (None, "-30")


def test_movements_that_the_target_makes_by_itself_are_no_difference():
    held = {"sap": {YIELD: Held(amount=Decimal(10)), "movement/261/RM/KGM": Held(amount=Decimal(3))}}
    by_erp = compare(ORDER, [seen(confirmation(1, goods="by_erp"), sap=POSTED)], held)
    assert by_erp["differences"] == 0
    assert row(by_erp, "movement/261/RM/KGM")["sinks"]["sap"]["by_target"]
    none = compare(ORDER, [seen(confirmation(1, goods="none"), sap=POSTED)], held)
    assert row(none, "movement/261/RM/KGM")["sinks"]["sap"]["difference"] == "3"


def test_accounts_of_a_poster_of_its_own_and_zeros_are_not_compared():
    held = {"sap": {YIELD: Held(amount=Decimal(0)), ".apart/0010/scrap/H87": Held(amount=Decimal(3))}}
    assert compare(ORDER, [seen(confirmation(1, "0"), sap=POSTED)], held)["rows"] == []


def test_an_edited_event_counts_once_and_an_unknown_report_is_noted():
    superseded = Standing(state="superseded", posted=False)
    events = [
        seen(confirmation(1), sap=superseded),
        seen(confirmation(2, "12"), sap=POSTED),
        seen(event("production.confirmation.reversed", 3, reverses="R-9"), sap=POSTED),
    ]
    document = compare(ORDER, events, {"sap": {YIELD: Held(amount=Decimal(12))}})
    assert (document["differences"], row(document, YIELD)["reported"]) == (0, "12")
    assert document["notes"] == ["a reversal takes back the report `R-9`, which is not known here"]
