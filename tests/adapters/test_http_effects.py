"""One effect per event at simulated systems that cut, break, lie and say later, for each class of `effect`."""

import asyncio
from collections import Counter

import aiohttp
import pytest
from aiohttp import web

from mfgroute.adapter import Request
from mfgroute.errors import Disconnected
from mfgroute.events import Absent, Accepted, Done, InDoubt, NotYet, Refused, Retry
from mfgroute.testing.simulators import QmsSimulator, WmsSimulator

from .conftest import make_event
from .http_target import NONE, NoBooks, opened, raw_server

RECEIPT = "com.example.material.finishedgoods.received.v1"
BODY = {
    "reference": "{key}",
    "order": "{data.order}",
    "quantity": "{data.quantity|number}",
    "revision": "{data.revision?}",
}
LOOKUP = {
    "effect": {"by": "lookup"},
    "requests": [{"path": "/receipts", "body": BODY}],
    "ask": {
        "path": "/receipts?reference={key}",
        "list": "/items",
        "match": "/reference",
        "reference": "/number",
    },
    "success": {"pointer": "/status", "equals": "POSTED"},
    "reference": "/number",
}
UPSERT = {
    "effect": {"by": "upsert"},
    "requests": [{"method": "PUT", "path": "/receipts/{data.report}", "body": BODY}],
    "reference": "/number",
}
KEY = {"effect": {"by": "key"}, "reference": "/document"}
JOBS = {
    "effect": {"by": "key"},
    "requests": [{"path": "/receipts", "headers": {"Prefer": "respond-async"}, "body": BODY}],
    "follow": {
        "done": {"pointer": "/state", "equals": "done"},
        "refused": {"pointer": "/state", "equals": "failed"},
        "reference": "/number",
        "every": "10ms",
    },
}


def receipt(n=1, *, quantity="5.50", revision="1"):
    data = b'{"site":"DE04","order":"4711","report":"R-%d","quantity":"%s","revision":%s}' % (
        n, quantity.encode(), revision.encode(),
    )  # fmt: skip
    return make_event(n, kind=RECEIPT, data=data)


@pytest.fixture
async def wms():
    async with WmsSimulator() as simulator:
        yield simulator


async def request_of(sink, event):
    request = await sink.render(event, NoBooks())
    assert isinstance(request, Request), request
    return request


async def settled(sink, event, tries=20):
    """Drive one event to its end with the same bytes, as the runtime does; say what came of each step."""
    request, said = await request_of(sink, event), []
    for _ in range(tries):
        try:
            (outcome,) = await sink.post([request])
            said.append(outcome)
            while isinstance(outcome, Accepted):
                await asyncio.sleep(outcome.after_s)
                outcome = await sink.follow(request, outcome.reference)
                said.append(outcome)
            while isinstance(outcome, InDoubt) and sink.effect.by == "lookup":
                outcome = await sink.ask(request)
                while isinstance(outcome, Retry):
                    outcome = await sink.ask(request)
                said.append(outcome)
        except Disconnected as error:
            if error.sent:
                raise
            continue
        if not isinstance(outcome, Retry | Absent):
            return outcome, said
    return outcome, said


def kinds(said):
    return [type(one).__name__ for one in said]


async def test_a_lost_answer_is_looked_up_and_sent_again_only_if_it_is_absent(context, wms):
    async with opened(context, f"{wms.url}/api", **LOOKUP) as sink:
        wms.misbehave("cut", times=1)
        wms.misbehave("error", times=1)
        cut, said = await settled(sink, receipt(1))
        assert kinds(said) == ["InDoubt", "Done"]
        error, said = await settled(sink, receipt(2))
        assert kinds(said) == ["InDoubt", "Absent", "Done"]
    numbers = [effect.document for effect in wms.ledger.effects]
    assert [cut, error] == [Done(number) for number in numbers]
    assert wms.ledger.effects[0].body["quantity"] == 5.5


async def test_a_target_without_keys_is_posted_to_once_through_every_fault(context, wms):
    for kind in ("cut", "error", "late_error", "too_many", "blind"):
        wms.misbehave(kind, ratio=0.25, after_s=0)
    wms.misbehave("error_body", times=3)
    async with opened(context, f"{wms.url}/api", **LOOKUP) as sink:
        ended = [await settled(sink, receipt(n)) for n in range(1, 61)]
    outcomes = [outcome for outcome, _ in ended]
    assert {type(outcome) for outcome in outcomes} == {Done}, outcomes
    references = Counter(effect.body["reference"] for effect in wms.ledger.effects)
    assert references == Counter(receipt(n).id for n in range(1, 61))
    assert {outcome.reference for outcome in outcomes} == {one.document for one in wms.ledger.effects}
    assert set(wms.ledger.mischief) == {"cut", "error", "late_error", "too_many", "blind", "error_body"}


@pytest.mark.parametrize("more", [UPSERT, KEY], ids=["upsert", "key"])
async def test_the_same_bytes_under_the_same_key_have_one_effect(context, more):
    simulator = WmsSimulator() if more is UPSERT else QmsSimulator()
    async with simulator:
        for kind in ("cut", "late_error", "error"):
            simulator.misbehave(kind, ratio=0.25)
        url = f"{simulator.url}/api" if more is UPSERT else f"{simulator.url}/defects"
        async with opened(context, url, **more) as sink:
            for n in range(1, 41):
                event = receipt(n) if more is UPSERT else defect(n)
                outcome, _ = await settled(sink, event)
                assert isinstance(outcome, Done), outcome
        assert len(simulator.ledger.effects) == 40
        assert simulator.ledger.duplicates > 0
        assert all(effect.replaced == 0 for effect in simulator.ledger.effects)


def defect(n):
    data = b'{"site":"DE04","nonconformance":"N-%d","severity":"major"}' % n
    return make_event(n, kind="com.example.quality.nonconformance.detected.v1", data=data)


async def test_without_any_of_these_a_lost_answer_stays_in_doubt(context, wms):
    wms.misbehave("cut", times=1)
    more = {"effect": NONE, "requests": [{"path": "/receipts", "body": BODY}]}
    async with opened(context, f"{wms.url}/api", **more) as sink:
        outcome, said = await settled(sink, receipt())
    assert isinstance(outcome, InDoubt)
    assert (len(said), len(wms.ledger.effects)) == (1, 1)


async def test_a_success_that_is_none_is_found_by_the_success_contract(context, wms):
    wms.misbehave("error_body", times=1)
    async with opened(context, f"{wms.url}/api", **LOOKUP) as sink:
        outcome, said = await settled(sink, receipt())
    assert kinds(said) == ["InDoubt", "Absent", "Done"]
    assert outcome == Done(wms.ledger.effects[0].document)


ANSWERS = [
    ('{"items": []}', 200, Absent()),
    ('{"items": [{"reference": "KEY", "number": 4711}]}', 200, Done("4711")),
    ('{"items": [{"reference": "other", "number": "1"}]}', 200, "none with the key at"),
    ('{"items": [{"reference": "KEY", "number": "1"}, {"reference": "KEY", "number": "2"}]}', 200, "1, 2"),
    ('{"items": {"reference": "KEY"}}', 200, "without a list"),
    ("{}", 200, "without a list"),
    ("<html>please log in</html>", 200, "log in"),
    ('{"message": "no such path"}', 404, "no such path"),
    ("", 405, "405"),
    ("", 302, "302"),
]


@pytest.mark.parametrize(("body", "status", "expected"), ANSWERS)
async def test_only_a_clear_answer_decides_a_lookup(context, erp, body, status, expected):
    async with opened(context, erp.root, **LOOKUP) as sink:
        request = await request_of(sink, receipt())
        text = body.replace("KEY", request.key)
        erp.answer = lambda _: web.Response(status=status, text=text)
        said = await sink.ask(request)
    if isinstance(expected, str):
        assert isinstance(said, InDoubt)
        assert expected in said.reason
    else:
        assert said == expected


@pytest.mark.parametrize("status", [401, 403, 408, 423, 425, 429, 500, 502, 503, 504])
async def test_a_target_that_cannot_say_is_asked_again(context, erp, status):
    erp.answer = lambda _: web.Response(status=status, text="later")
    async with opened(context, erp.root, **LOOKUP) as sink:
        said = await sink.ask(await request_of(sink, receipt()))
    assert isinstance(said, Retry)
    assert (str(status) in said.reason, said.judged, said.sent) == (True, False, False)


async def test_one_thing_is_asked_for_by_its_own_path(context, erp):
    ask = {"path": "/r/{key}", "match": "/ref", "reference": "/no"}
    ask |= {"refused": {"pointer": "/state", "equals": ["rejected", "void"]}}
    answers = {
        404: ("", Absent()),
        200: ('{"ref":"K","no":"9"}', Done("9")),
        201: ('{"ref":"K","state":"void","message":"order closed"}', Refused("target_refused", "order closed")),
        203: ('{"ref":"L","no":"9"}', InDoubt("asked for K: answered with another thing, without the key at /ref")),
    }  # fmt: skip
    async with opened(context, erp.root, effect={"by": "lookup"}, ask=ask) as sink:
        for status, (text, expected) in answers.items():
            erp.answer = lambda _, status=status, text=text: web.Response(status=status, text=text)
            assert await sink.ask(Request(key="K", body=b"")) == expected
    assert {method for method, _, _ in erp.seen} == {"GET"}


async def test_absent_is_what_the_configuration_says(context, erp):
    ask = {"path": "/r/{key}", "absent": {"status": [200, 404], "pointer": "/code", "equals": "NONE"}}
    async with opened(context, erp.root, effect={"by": "lookup"}, ask=ask) as sink:
        erp.answer = lambda _: web.Response(status=404, text="proxy: no route")
        assert isinstance(await sink.ask(Request(key="K", body=b"")), InDoubt)
        erp.answer = lambda _: web.json_response({"code": "NONE"})
        assert await sink.ask(Request(key="K", body=b"")) == Absent()


async def test_a_job_is_followed_to_its_end(context, wms):
    wms.job_polls = 3
    async with opened(context, f"{wms.url}/api", **JOBS) as sink:
        outcome, said = await settled(sink, receipt())
        assert kinds(said) == ["Accepted", "Accepted", "Accepted", "Done"]
        assert outcome == Done(wms.ledger.effects[0].document)
        wms.misbehave("blind", times=2)
        outcome, said = await settled(sink, receipt(2, quantity="0"))
        assert outcome == Refused("target_refused", "a quantity must be positive")
        assert kinds(said) == ["Accepted", "Accepted", "Accepted", "Accepted", "Accepted", "Refused"]
    assert len(wms.ledger.effects) == 1


async def test_a_job_whose_target_is_away_or_cuts_is_asked_for_again(context):
    async with WmsSimulator() as wms, opened(context, f"{wms.url}/api", **JOBS) as sink:
        request = await request_of(sink, receipt())
        (accepted,) = await sink.post([request])
        await wms.stop()
        with pytest.raises(Disconnected) as failure:
            await sink.follow(request, accepted.reference)
        assert failure.value.sent is False

    async def cut(reader, writer):
        await reader.readuntil(b"\r\n\r\n")

    server, url = await raw_server(cut)
    async with server, opened(context, url, **JOBS) as sink:
        assert await sink.follow(request, accepted.reference) == accepted


async def test_a_job_may_be_named_in_the_answer(context, wms):
    follow = JOBS["follow"] | {"job": "/job", "path": "/jobs/{job}"}
    async with opened(context, f"{wms.url}/api", **JOBS | {"follow": follow | {"within": "2h"}}) as sink:
        outcome, said = await settled(sink, receipt())
    assert said[0] == Accepted(reference="1", after_s=0.01, within_s=7200.0)
    assert outcome == Done(wms.ledger.effects[0].document)


@pytest.mark.parametrize(
    "location",
    [
        "",
        "http://169.254.169.254/latest/meta-data",
        "//169.254.169.254/x",
        "https://elsewhere.example/jobs/1",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "jobs/1",
        "/jobs/1 HTTP/1.1\tX: y",
        "/" + "x" * 3000,
        "http://[::1",
    ],
)
async def test_a_job_that_is_not_at_the_target_is_never_asked_for(context, erp, location):
    erp.answer = lambda _: web.Response(status=202, headers={"Location": location})
    async with opened(context, erp.root, **JOBS | {"effect": NONE}) as sink:
        (outcome,) = await sink.post([await request_of(sink, receipt())])
    assert isinstance(outcome, InDoubt)
    assert "expected a path of the target" in outcome.reason


async def test_a_job_at_the_targets_own_full_address_is_followed(context, erp):
    erp.answer = lambda r: (
        web.Response(status=202, headers={"Location": f"{erp.root}/jobs/1?x=%2F"})
        if r.method == "POST"
        else web.json_response({"state": "done", "number": r.raw_path})
    )
    async with opened(context, f"{erp.root}/api?client=100", **JOBS) as sink:
        outcome, _ = await settled(sink, receipt())
    assert outcome == Done("/jobs/1?x=%2F&client=100")


@pytest.mark.parametrize("status", [302, 400, 404, 410])
async def test_a_job_that_the_target_no_longer_knows_is_in_doubt(context, erp, status):
    erp.answer = lambda _: web.Response(status=status, text="gone")
    async with opened(context, erp.root, **JOBS) as sink:
        assert isinstance(await sink.follow(await request_of(sink, receipt()), "/jobs/1"), InDoubt)


GUARDED = {
    **UPSERT,
    "requests": [
        {**UPSERT["requests"][0], "guard": {"at": "/revision", "version": "{data.revision}"}},
    ],
}


async def test_an_old_version_never_replaces_a_newer_one(context, wms):
    async with opened(context, f"{wms.url}/api", **GUARDED) as sink:
        second = await request_of(sink, receipt(quantity="2", revision="2"))
        tenth = await request_of(sink, receipt(quantity="10", revision="10"))
        number = (await sink.post([second]))[0].reference
        assert await sink.post([tenth]) == [Done(number)]
        assert await sink.post([second]) == [Done(number)]
    (effect,) = wms.ledger.effects
    assert (effect.body["quantity"], effect.replaced) == (10, 1)


async def test_a_document_that_changes_between_reading_and_writing_is_not_overwritten(context, wms):
    async with opened(context, f"{wms.url}/api", **GUARDED) as sink, aiohttp.ClientSession() as other:
        first = await request_of(sink, receipt(quantity="1", revision="1"))
        third = await request_of(sink, receipt(quantity="3", revision="3"))
        await sink.post([first])

        async def booked_by_hand():
            document = {"order": "4711", "quantity": 9, "revision": 2}
            async with other.put(f"{wms.url}/api/receipts/R-1", json=document) as answer:
                assert answer.status == 200

        # Somebody books between our reading and our writing; that moment has no other name.
        request = sink._client.request

        async def between(method, url, **more):
            if method == "PUT":
                await booked_by_hand()
                sink._client.request = request
            return await request(method, url, **more)

        sink._client.request = between
        (outcome,) = await sink.post([third])
        assert isinstance(outcome, Retry)
        assert (outcome.sent, outcome.judged) == (False, True)
        assert await sink.post([third]) == [Done(wms.ledger.effects[0].document)]
    assert wms.ledger.effects[0].body["revision"] == 3


@pytest.mark.parametrize("body", ['{"revision": "A"}', "{}", "no json"])
async def test_a_version_that_cannot_be_compared_is_refused(context, erp, body):
    erp.answer = lambda _: web.Response(text=body)
    async with opened(context, erp.root, **GUARDED) as sink:
        (outcome,) = await sink.post([await request_of(sink, receipt())])
    assert isinstance(outcome, Refused)
    assert outcome.code == "version_unknown"
    assert [method for method, _, _ in erp.seen] == ["GET"]


@pytest.mark.parametrize(("there", "ours", "sent"), [("2026-11-24T10:00:00Z", "2026-11-24T09:59:59Z", 0), ("9", "10", 1), ("1.5", "1.50", 0)])  # fmt: skip
async def test_versions_are_compared_as_numbers_or_as_texts(context, erp, there, ours, sent):
    erp.answer = lambda _: web.json_response({"revision": there})
    async with opened(context, erp.root, **GUARDED) as sink:
        (outcome,) = await sink.post([await request_of(sink, receipt(revision=f'"{ours}"'))])
    assert isinstance(outcome, Done)
    assert [method for method, _, _ in erp.seen] == ["GET"] + ["PUT"] * sent


TABLE = [
    {"status": 409, "pointer": "/error/code", "equals": ["ALREADY", "TWICE"], "means": "already_done", "reference": "/document"},
    {"status": 422, "pointer": "/error/code", "equals": "LOT_UNKNOWN", "means": "not_yet", "within": "2h", "after": "30s", "code": "lot_unknown"},
    {"status": [200, 201], "pointer": "/error", "means": "refused", "code": "error_in_body"},
    {"status": "4xx", "pointer": "/error/code", "equals": "DB_LOCK", "means": "retry"},
    {"status": 500, "means": "ask"},
    {"status": 501, "means": "retry", "after": "5s"},
]  # fmt: skip
MEANINGS = [
    (409, {"error": {"code": "TWICE"}, "document": "7"}, Done("7")),
    (409, {"error": {"code": "BUSY", "message": "wait"}}, Retry(reason="http_409: wait", judged=True, waits=True)),
    (422, {"error": {"code": "LOT_UNKNOWN", "message": "no lot"}}, NotYet(reason="http_422: no lot", after_s=30, within_s=7200, code="lot_unknown")),
    (422, {"error": {"code": "OTHER", "message": "no"}}, Refused("http_422", "no")),
    (200, {"error": {"message": "order is locked"}}, Refused("error_in_body", "order is locked")),
    (200, {"document": "8"}, Done(None)),
    (400, {"error": {"code": "DB_LOCK", "message": "x"}}, Retry(reason="http_400: x", judged=True, waits=True)),
    (500, {"message": "x"}, Retry(reason="http_500: x", sent=True)),
    (501, {"message": "x"}, Retry(reason="http_501: x", after_s=5, judged=True)),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "expected"), MEANINGS)
async def test_an_answer_means_what_the_table_says(context, erp, status, body, expected):
    erp.answer = lambda _: web.json_response(body, status=status)
    async with opened(context, erp.url, answers=TABLE) as sink:
        assert await sink.post([await request_of(sink, receipt())]) == [expected]


async def test_what_the_table_asks_for_is_in_doubt_where_it_cannot_be_sent_again(context, erp):
    erp.answer = lambda _: web.json_response({"message": "x"}, status=500)
    async with opened(context, erp.url, answers=TABLE, effect=NONE) as sink:
        assert await sink.post([await request_of(sink, receipt())]) == [InDoubt("http_500: x")]
