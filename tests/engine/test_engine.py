"""The engine as Python embeds it: admission, duplicates, lanes, dead letters, back-pressure."""

import json
import threading

import pytest

import mfgroute
from mfgroute.errors import TooLarge

from .conftest import MAIN, balanced, message


def drain(engine, sink):
    """Everything that a sink gets, in the order of its offsets."""
    events = []
    while True:
        with engine.poll(sink) as batch:
            if len(batch) == 0:
                return sorted(events, key=lambda event: event.offset)
            events += batch.events
            batch.done_all()


def letters(engine, **request):
    return json.loads(engine.dead_letters(json.dumps(request).encode()))


def test_a_message_becomes_a_cloudevent_with_exact_quantities(make_engine):
    engine = make_engine()
    receipt = engine.submit("mes-a", [message(1, order="000004711", qty="12.500", text="grün")])
    assert (receipt.accepted, receipt.level, receipt.rejects) == (1, "memory", [])
    (event,) = drain(engine, "erp")
    document = json.loads(event.json)
    assert document["data"] == {
        "site": "DE04",
        "order": "4711",
        "report": "r1",
        "text": "grün",
        "quantity": {"unit": "KGM", "good": "12.5"},
    }
    assert document["type"] == "com.example.production.operation.completed.v1"
    assert document["source"] == "//DE04/mes-a"
    assert document["subject"] == document["partitionkey"] == event.key == "order/DE04/4711"
    assert document["bamtxid"] == document["correlationid"] == "4711"
    assert document["time"] == "2026-11-24T10:00:00Z"
    assert event.id[14] == "8", "a UUID of version 8"


def test_one_bad_message_costs_one_message(make_engine):
    engine = make_engine()
    receipt = engine.submit(
        "mes-a", [message(1), message(2, mat="ZZZ"), b"{bad", message(3, uom="XX"), message(4)]
    )
    assert (receipt.accepted, receipt.rejected) == (2, 3)
    found = [(reject.message, reject.code, reject.pointer, reject.field) for reject in receipt.rejects]
    assert found == [
        (1, "lookup_missing", "/mat", "quantity.unit"),
        (2, "bad_json", "", None),
        (3, "unit_unknown", "/uom", "quantity.good"),
    ]
    assert receipt.rejects[1].offset == 1
    assert receipt.rejects[0].found == "ZZZ"
    assert balanced(engine.stats())


def test_a_contract_violation_names_the_field_and_points_into_the_message(make_engine):
    receipt = make_engine().submit("mes-a", [message(1, qty="-3"), message(2, order="1234567890123")])
    assert [(reject.code, reject.field, reject.pointer) for reject in receipt.rejects] == [
        ("contract_invalid", "quantity.good", "/qty"),
        ("contract_invalid", "order", "/order"),
    ]


def test_the_same_message_twice_is_a_duplicate_and_another_body_a_conflict(make_engine):
    engine = make_engine()
    engine.submit("mes-a", [message(1)])
    receipt = engine.submit("mes-a", [message(1), message(1, sent="later"), message(1, qty="2")])
    assert (receipt.accepted, receipt.duplicates, receipt.rejected) == (0, 2, 1)
    assert receipt.rejects[0].code == "conflict"
    assert len(drain(engine, "erp")) == 1
    assert balanced(engine.stats())


def test_the_window_of_ids_is_bounded_and_says_so(make_engine):
    main = MAIN.replace("namespace: com.example}", "namespace: com.example, dedup_window: 100}")
    engine = make_engine(main=main)
    engine.submit("mes-a", [message(number) for number in range(150)])
    assert engine.submit("mes-a", [message(149)]).duplicates == 1
    assert engine.submit("mes-a", [message(0)]).accepted == 1, "beyond the window an id is new again"
    assert engine.stats()["dedup"]["capacity"] == 100


def test_a_condition_decides_at_admission(make_engine):
    engine = make_engine()
    engine.submit("mes-a", [message(1), message(2, severity="major"), message(3, severity="minor")])
    assert [json.loads(event.json)["data"]["report"] for event in drain(engine, "log")] == ["r2"]


def test_events_of_a_key_wait_for_each_other_and_others_do_not(make_engine):
    engine = make_engine()
    engine.submit("mes-a", [message(1, order="1"), message(2, order="1"), message(3, order="2")])
    with engine.poll("erp") as batch:
        assert [event.key for event in batch] == ["order/DE04/1", "order/DE04/2"]
        assert len(engine.poll("erp")) == 0
        batch.done_all()
    assert [event.offset for event in drain(engine, "erp")] == [1]


def test_leaving_a_batch_releases_what_was_not_settled(make_engine):
    engine = make_engine()
    engine.submit("mes-a", [message(1)])
    with engine.poll("erp") as batch:
        assert len(batch) == 1
        assert engine.stats()["sinks"]["erp"]["in_flight"] == 1
    assert engine.stats()["sinks"]["erp"]["in_flight"] == 0
    assert len(drain(engine, "erp")) == 1


def test_a_refused_event_parks_its_key_and_a_person_decides(make_engine):
    engine = make_engine()
    engine.submit("mes-a", [message(1), message(2), message(3, order="2")])
    with engine.poll("erp") as batch:
        batch.refused(batch.events[0], "http_422", "quantity must be positive")
        batch.done(batch.events[1], reference="49001")
    assert len(engine.poll("erp")) == 0, "the second event of the key waits behind the first"
    stats = engine.stats()
    assert stats["sinks"]["erp"]["parked"] == 2
    assert balanced(stats)
    first, second = letters(engine, kind="parked", verb="list", sink="erp")
    assert (first["code"], first["reason"], second["cause"]) == (
        "http_422",
        "quantity must be positive",
        "behind",
    )
    (line,) = letters(engine, kind="inbox", verb="list")
    assert (line["kind"], line["sink"], line["key"], line["behind"]) == (
        "parked",
        "erp",
        "order/DE04/4711",
        1,
    )
    assert letters(engine, kind="parked", verb="retry-key", sink="erp", key="order/DE04/4711", who="me") == {
        "retried": 2
    }
    assert [json.loads(event.json)["data"]["report"] for event in drain(engine, "erp")] == ["r1", "r2"]
    assert balanced(engine.stats())


def test_a_skipped_event_lets_its_key_flow_and_needs_a_reason(make_engine):
    engine = make_engine()
    engine.submit("mes-a", [message(1), message(2)])
    with engine.poll("erp") as batch:
        batch.in_doubt(batch.events[0], "cut")
    (parked, _) = letters(engine, kind="parked", verb="list", sink="erp")
    request = {"kind": "parked", "verb": "skip", "sink": "erp", "number": parked["number"], "who": "me"}
    with pytest.raises(mfgroute.MfgrouteError, match="a reason is needed"):
        letters(engine, **request)
    letters(engine, **request, why="booked by hand", posted_as="4900012345")
    assert [json.loads(event.json)["data"]["report"] for event in drain(engine, "erp")] == ["r2"]
    stats = engine.stats()
    assert (stats["sinks"]["erp"]["skipped"], stats["sinks"]["erp"]["delivered"]) == (1, 1)
    assert balanced(stats)
    found = json.loads(engine.find("4900012345"))["events"]
    assert [sink["state"] for sink in found[0]["sinks"]] == ["skipped"]


def test_a_retry_comes_back_after_its_delay_in_order(make_engine):
    engine = make_engine()
    engine.submit("mes-a", [message(1), message(2)])
    with engine.poll("erp") as batch:
        batch.retry(batch.events[0], after_s=0.05, reason="busy")
    assert len(engine.poll("erp")) == 0
    due = engine.next_due_s("erp")
    assert due is not None
    assert 0 < due <= 1.1
    with engine.poll("erp", wait_s=5) as batch:
        assert [json.loads(event.json)["data"]["report"] for event in batch] == ["r1"]
        batch.done_all()


@pytest.mark.parametrize("together", [True, False])
def test_what_failed_as_one_request_comes_back_as_one(make_engine, together):
    engine = make_engine()
    engine.submit("mes-a", [message(number, order=f"order-{number}") for number in range(40)])
    with engine.poll("erp") as batch:
        assert len(batch) == 40
        if together:
            batch.done(batch.events[7])
            batch.retry_all(reason="busy", judged=True)
        for event in batch.events if not together else ():
            batch.retry(event, reason="busy")
    sizes = []
    while sum(sizes) < 40 - together:
        with engine.poll("erp", wait_s=5) as batch:
            sizes.append(len(batch))
            batch.done_all()
    # One by one each has a jitter of its own, up to half a second.
    assert (sizes == [39]) if together else (len(sizes) > 1)


def test_a_reject_is_retried_through_the_current_plan(make_engine, write_project):
    engine = make_engine()
    engine.submit("mes-a", [message(1, mat="NEW")])
    (kept,) = letters(engine, kind="rejects", verb="list")
    again = letters(engine, kind="rejects", verb="retry", number=kept["number"], who="me")
    assert again["rejected"][0]["code"] == "lookup_missing", "the table still has no such row"
    engine.install(mfgroute.load_plan(write_project(materials="material,unit\nA,KGM\nNEW,KGM\n")))
    again = letters(engine, kind="rejects", verb="retry", number=kept["number"], who="me")
    assert again["accepted"] == 1
    assert letters(engine, kind="rejects", verb="list") == []
    assert balanced(engine.stats())


def test_an_edited_reject_is_admitted_as_new(make_engine):
    engine = make_engine()
    engine.submit("mes-a", [message(1, uom="XX")])
    (kept,) = letters(engine, kind="rejects", verb="list")
    whole = letters(engine, kind="rejects", verb="show", number=kept["number"])
    mended = whole["message"].replace("XX", "G")
    again = letters(
        engine, kind="rejects", verb="edit", number=kept["number"], message=mended, who="me", why="typo"
    )
    assert again["accepted"] == 1
    (event,) = drain(engine, "erp")
    assert json.loads(event.json)["data"]["quantity"]["good"] == "0.001"


def test_a_full_stream_admits_nothing_and_names_the_sink_that_holds_it(make_engine):
    engine = make_engine(main=MAIN.replace("64MiB", "1MiB"))
    number = 0
    with pytest.raises(mfgroute.Full) as full:
        while True:
            engine.submit("mes-a", [message(number)])
            number += 1
    assert (full.value.what, full.value.held_by) == ("stream business", "erp")
    before = engine.stats()
    assert before["sources"]["mes-a"]["accepted"] == number
    assert balanced(before)
    for _ in range(20):
        with engine.poll("erp") as batch:
            batch.done_all()
    assert engine.submit("mes-a", [message(number)]).accepted == 1, "no key was marked by the refused call"


def test_waiting_for_room_ends_when_there_is_room(make_engine):
    engine = make_engine(main=MAIN.replace("64MiB", "1MiB"))
    number = 0
    with pytest.raises(mfgroute.Full):
        while True:
            engine.submit("mes-a", [message(number, order=str(number))])
            number += 1
    result = []
    waiter = threading.Thread(
        target=lambda: result.append(engine.submit("mes-a", [message(number)], wait_s=30))
    )
    waiter.start()
    while not result:
        with engine.poll("erp", wait_s=0.01) as batch:
            batch.done_all()
    waiter.join()
    assert result[0].accepted == 1


def test_oldest_events_are_dropped_only_where_written_and_counted(make_engine):
    engine = make_engine(main=MAIN.replace("64MiB, when_full: block", "1MiB, when_full: drop_oldest"))
    for number in range(3000):
        engine.submit("mes-a", [message(number, order=str(number))])
    stats = engine.stats()["sinks"]["erp"]
    assert stats["matched"] == 3000
    assert stats["dropped"] > 0
    assert balanced(engine.stats())
    assert len(drain(engine, "erp")) == 3000 - stats["dropped"]


def test_a_slab_goes_on_where_the_engine_was_full(make_engine):
    engine = make_engine(main=MAIN.replace("64MiB", "1MiB"))
    slab = b"\n".join(message(number, order=str(number)) for number in range(5000))
    accepted, resume = 0, None
    while True:
        try:
            receipt = engine.submit_lines("mes-a", slab, resume=resume)
        except mfgroute.Full:
            receipt = None
        if receipt is not None:
            accepted += receipt.accepted
            resume = receipt.resume
            if resume is None:
                break
        drain(engine, "erp")
    assert accepted == 5000
    assert engine.stats()["sources"]["mes-a"]["received"] == 5000


def test_bad_rows_have_their_line_and_the_rest_goes_on(make_engine):
    slab = message(1) + b"\n\n" + b"nonsense\n" + message(2) + b"\n"
    engine = make_engine()
    receipt = engine.submit_lines("mes-a", slab, meta={"file.name": "x.jsonl"})
    assert (receipt.accepted, receipt.rejected) == (2, 1)
    (kept,) = letters(engine, kind="rejects", verb="export")
    assert kept["meta"]["file.line"] == "3"
    assert kept["meta"]["file.name"] == "x.jsonl"


def test_unknown_names_and_levels_are_errors(make_engine):
    engine = make_engine()
    with pytest.raises(mfgroute.UnknownName, match="there is no source nope"):
        engine.submit("nope", [b"{}"])
    with pytest.raises(mfgroute.UnknownName, match="there is no sink nope"):
        engine.poll("nope")
    with pytest.raises(ValueError, match="durable is not available"):
        engine.submit("mes-a", [message(1)], ack="durable")
    engine.drain()
    with pytest.raises(mfgroute.Closed):
        engine.submit("mes-a", [message(1)])


def test_a_sink_with_events_cannot_be_removed_without_saying_so(make_engine, write_project):
    engine = make_engine()
    engine.submit("mes-a", [message(1)])
    start = MAIN.index("  erp:")
    smaller = MAIN[:start] + MAIN[MAIN.index("  log:") :]
    smaller = smaller.replace(
        "  - {name: to-erp, match: {type: production.operation.completed/1, source: mes-a}, to: erp}\n", ""
    )
    plan = mfgroute.load_plan(write_project(main=smaller))
    with pytest.raises(mfgroute.MfgrouteError, match="sink erp cannot be removed: 1 events are queued"):
        engine.install(plan)
    engine.install(plan, discard=["erp"])
    assert balanced(engine.stats())


def test_the_timeline_of_an_order_tells_where_each_event_is(make_engine):
    engine = make_engine()
    engine.submit("mes-a", [message(1), message(2)])
    with engine.poll("erp") as batch:
        batch.done(batch.events[0], reference="4900000001")
    events = json.loads(engine.find("order/DE04/4711"))["events"]
    assert [[sink["state"] for sink in event["sinks"]] for event in events] == [["delivered"], ["queued"]]
    assert events[0]["sinks"][0]["reference"] == "4900000001"
    assert json.loads(engine.find("4900000001"))["events"][0]["id"] == events[0]["id"]
    assert json.loads(engine.find("r2"))["events"][0]["id"] == events[1]["id"]
    assert json.loads(engine.find(events[1]["id"]))["events"][0]["data"]["report"] == "r2"


def test_a_paused_sink_gets_nothing_and_loses_nothing(make_engine):
    engine = make_engine()
    engine.pause("erp")
    engine.submit("mes-a", [message(1)])
    assert len(engine.poll("erp")) == 0
    assert engine.stats()["sinks"]["erp"]["paused"]
    engine.resume("erp")
    assert len(drain(engine, "erp")) == 1


def test_more_than_a_stream_can_ever_hold_is_told_from_a_stream_that_is_full(make_engine):
    engine = make_engine(main=MAIN.replace("capacity: 64MiB", "capacity: 1MiB"))
    large = [message(number, text="x" * 200_000) for number in range(6)]
    with pytest.raises(TooLarge, match="larger than the capacity of stream business"):
        engine.submit("mes-a", large)
    assert engine.submit("mes-a", large[:4]).accepted == 4
    with pytest.raises(mfgroute.Full):
        engine.submit("mes-a", large[4:])
    assert balanced(engine.stats())
