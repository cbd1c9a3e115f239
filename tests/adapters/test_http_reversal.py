"""Reversals as data: what is made of a posted request, how it is sent, and which mistakes `check` names."""

import json
from decimal import Decimal

import pytest
from aiohttp import web

from mfgroute.adapter import Request
from mfgroute.adapters.http.kept import unpacked
from mfgroute.errors import ConfigError
from mfgroute.events import Absent, Done, InDoubt, Refused, Retry
from mfgroute.project import load_plan
from mfgroute.testing.simulators import WmsSimulator

from .conftest import make_event
from .http_target import NoBooks, made, opened, serving
from .test_http_requests import PROJECT

RECEIPT = "com.example.material.finishedgoods.received.v1"
DATA = b'{"site":"DE04","order":"4711","report":"R-1","quantity":{"value":"5.50","unit":"H87"}}'
EVENT = make_event(1, kind=RECEIPT, data=DATA, key="order/DE04/4711")
CANCEL = {
    "path": "/receipts/{original.reference}/cancellation",
    "body": {"reference": "{key}", "reason": "{reason?}"},
}
ENTRY = {
    "type": "material.finishedgoods.received/1",
    "path": "/receipts",
    "body": {"reference": "{key}", "order": "{data.order}", "quantity": "{data.quantity.value|number}"},
    "amounts": {"received": "{data.quantity.value}"},
}
LOOKUP = {
    "effect": {"by": "lookup"},
    "ask": {
        "path": "/receipts?reference={key}",
        "list": "/items",
        "match": "/reference",
        "reference": "/number",
    },
    "reference": "/number",
}
DELETED = {
    "method": "DELETE",
    "path": "/receipts/{original.reference}",
    "answers": [{"status": [204, 404], "means": "done"}],
}
URL = "https://wms.example/api"


def entry(reversal, **more):
    return ENTRY | {"reversal": reversal} | more


async def undone(sink, reference="80000001", *, reason="counted twice", event=EVENT):
    request = await sink.render(event, NoBooks())
    return request, sink.reverse(request, reference, posted={}, reason=reason)


async def test_a_reversal_is_made_of_what_was_sent_and_of_what_it_was_posted_as(context):
    reversal = {
        "method": "PUT",
        "path": "/receipts/{original.reference}?order={original.body.order}",
        "headers": {"X-Undoes": "{original.key}"},
        "body": {
            "id": "{key}",
            "of": "{original.path}",
            "type": "{original.type}",
            "quantity": "{original.body.quantity}",
            "why": "because {reason?}",
        },
    }
    sink = made(context, URL, requests=[entry(reversal)], effect={"by": "key", "header": "X-Key"})
    assert sink.reversible
    request, undo = await undone(sink, "8/1")
    kept = unpacked(undo.body)
    assert (kept.method, kept.path) == ("PUT", "/receipts/8%2F1?order=4711")
    assert kept.headers == {
        "X-Undoes": request.key, "X-Key": undo.key, "Content-Type": "application/json; charset=utf-8",
    }  # fmt: skip
    assert kept.body == (
        b'{"id":"%s","of":"/receipts","type":"%s","quantity":5.50,"why":"because counted twice"}'
        % (undo.key.encode(), RECEIPT.encode())
    )
    assert (undo.object, undo.amounts) == ("order/DE04/4711", {"received": Decimal("-5.50")})
    assert sink.describe(request, undo) == "sends PUT /receipts/8%2F1?order=4711"
    again = sink.reverse(request, "8/1", posted={}, reason="counted twice")
    assert again == undo
    assert undo.key != request.key


async def test_what_no_setting_takes_back_is_refused_with_what_is_missing(context):
    sink = made(
        context,
        URL,
        requests=[ENTRY, {"type": "material.consumed/1", "reversal": DELETED}],
        effect={"by": "key"},
    )
    _, refused = await undone(sink)
    assert refused == Refused(
        "not_reversible", f"no `reversal` is declared for {RECEIPT}: reverse 80000001 in the target"
    )
    assert not made(context, URL, requests=[ENTRY]).reversible
    sink = made(context, URL, requests=[entry(DELETED)], effect={"by": "key"})
    _, refused = await undone(sink, "")
    assert refused == Refused("field_missing", "/original/reference is not in the original")
    _, undo = await undone(sink)
    twice = sink.reverse(undo, "80000002", posted={})
    assert twice.reason == "80000002 took a posting back: post that again instead"
    old = Request(key="k", body=b'{"v":1,"method":"POST","path":"","headers":{}}\n{}')
    assert sink.reverse(old, "1", posted={}).code == "not_reversible"
    assert sink.reverse(Request(key="k", body=b"{}"), "1", posted={}).code == "not_reversible"


async def test_a_deletion_has_no_body_and_its_own_answers(context):
    async with (
        serving() as target,
        opened(context, target.root, requests=[entry(DELETED)], effect={"by": "key"}) as sink,
    ):
        request, undo = await undone(sink)
        for status, outcome in ((204, Done()), (404, Done()), (410, "http_410")):
            target.answer = lambda _, status=status: web.Response(status=status)
            (said,) = await sink.post([undo])
            assert getattr(said, "code", said) == outcome
        method, headers, body = target.seen[0]
        assert (method, body, headers["Idempotency-Key"]) == ("DELETE", b"", undo.key)
        assert "Content-Type" not in headers
        # The rows are of the reversal alone.
        target.answer = lambda _: web.Response(status=404)
        (said,) = await sink.post([request])
        assert said.code == "http_404"


async def test_a_cancellation_whose_answer_was_lost_is_found_by_the_sinks_own_question(context):
    async with (
        WmsSimulator() as wms,
        opened(context, f"{wms.url}/api", requests=[entry(CANCEL)], **LOOKUP) as sink,
    ):
        request = await sink.render(EVENT, NoBooks())
        (posted,) = await sink.post([request])
        undo = sink.reverse(request, posted.reference, posted={}, reason="twice")
        assert await sink.ask(undo) == Absent()
        wms.misbehave("cut", times=1)
        (lost,) = await sink.post([undo])
        assert isinstance(lost, InDoubt)
        found = await sink.ask(undo)
        assert found == Done(wms.ledger.effects[-1].document)
        assert wms.ledger.counts() == {"receipt": 1, "receipt_cancelled": 1}
        assert wms.ledger.effects[-1].body["quantity"] == -5.5
        (again,) = await sink.post([undo])
        assert (again.judged, "ALREADY" in again.reason or "before" in again.reason) == (True, True)


async def test_a_reversal_that_leaves_no_document_is_asked_about_in_its_own_way(context):
    ask = {
        "path": "/receipts/{original.reference}",
        "done": {"status": 404},
        "still": {"pointer": "/number"},
    }
    async with (
        serving() as target,
        opened(context, target.root, requests=[entry(DELETED | {"ask": ask})], **LOOKUP) as sink,
    ):
        _, undo = await undone(sink)
        for answer, said in (
            (web.Response(status=404), Done),
            (web.json_response({"number": "80000001"}), Absent),
            (web.Response(text="<html>log in</html>"), InDoubt),
            (web.Response(status=503), Retry),
        ):
            target.answer = lambda _, answer=answer: answer
            assert isinstance(await sink.ask(undo), said)
        assert target.seen[0][0] == "GET"
    now = made(context, URL, requests=[entry(CANCEL)], **LOOKUP)
    assert isinstance(await now.ask(undo), InDoubt), "nobody says any more how"


KEY = "    effect: {by: key, header: X-Key}\n    requests:\n      - reversal:\n"
LOOK = KEY.replace("{by: key, header: X-Key}", "{by: lookup}\n    ask: {path: '/of/{key}'}")
MISTAKES = [
    (KEY + "          path: /x\n", 14, "names nothing of the original"),
    (KEY + "          path: /x/{data.order}\n", 14, "`{data.order}` is nothing that is known here"),
    (KEY + "          path: /x/{data.order}\n", 14, "places begin with `key`, `original`, `reason`"),
    (KEY + "          path: x/{original.key}\n", 14, "expected a path"),
    (KEY + "          path: /{original.key}\n          headers: {Cookie: x}\n", 15, "cannot be set here"),
    (KEY + "          path: /{original.key}\n          headers: {X-Key: x}\n", 15, "a header is set twice"),
    (KEY + "          path: /{original.key}\n          body: event\n", 15, "expected a"),
    (KEY + "          path: /{original.key}/${HOME}\n", 14, "is kept with every request"),
    (KEY + "          path: /{original.key}\n          ask: {path: /x, done: {}, still: {}}\n", 15, "is of `effect: {by: lookup}`"),
    (LOOK + "          path: /{original.key}\n", 15, "cannot be asked for a request without our key"),
    (KEY.replace("{by: key, header: X-Key}", "{by: upsert}") + "          path: /{original.key}\n", 14, "POST cannot be repeated"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "said"), MISTAKES, ids=[said for _, _, said in MISTAKES])
def test_a_mistake_is_named_at_its_line(tmp_path, text, line, said):
    (tmp_path / "mfgroute.yaml").write_text(PROJECT + text)
    with pytest.raises(ConfigError) as error:
        load_plan(tmp_path)
    found = [one for one in error.value.problems if said in one.message + (one.hint or "")]
    assert [one.line for one in found] == [line], error.value


async def test_the_key_of_a_reversal_is_kept_apart_from_what_is_posted(context):
    sink = made(context, URL, requests=[entry(CANCEL)], **LOOKUP)
    keys = {(await undone(sink, event=make_event(n, kind=RECEIPT, data=DATA)))[1].key for n in range(3)}
    assert len(keys) == 3
    body = json.loads(unpacked((await undone(sink, reason=""))[1].body).body)
    assert set(body) == {"reference"}
