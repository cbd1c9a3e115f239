import asyncio
import socket
import time
from email.utils import formatdate

import msgspec
import pytest
from aiohttp import web

from mfgroute.adapter import Effect, Secret, dec_hook
from mfgroute.adapters.http import HttpSink, HttpSinkConfig
from mfgroute.adapters.web.answer import message_of, retry_after_s
from mfgroute.errors import Disconnected
from mfgroute.events import Done, InDoubt, Refused, Retry

from .conftest import make_event
from .http_target import BY_LOOKUP, NONE, one, posted, write


async def test_the_event_is_sent_with_its_id_as_the_key(context, erp):
    event = make_event()
    outcome = await one(context, erp.url, token="t0ken", headers={"X-Plant": "DE04"})
    assert outcome == Done("/confirmations/1")
    method, headers, body = erp.seen[0]
    assert method == "POST"
    assert headers["Idempotency-Key"] == event.id
    assert headers["Content-Type"].startswith("application/cloudevents+json")
    assert headers["Authorization"] == "Bearer t0ken"
    assert headers["X-Plant"] == "DE04"
    assert body == event.json


async def test_the_data_alone_is_sent_byte_by_byte_as_it_is(context, erp):
    data = b'{"quantity":  "10.50","n":1.10}'
    await write(
        context, erp.url, make_event(data=data), body="data", effect={"by": "upsert", "header": "X-Key"}
    )
    _, headers, body = erp.seen[0]
    assert body == data
    assert headers["X-Key"] == make_event().id


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 422, 451])
async def test_a_judged_event_is_refused_with_the_targets_words(context, erp, status):
    erp.answer = lambda _: web.json_response({"detail": "quantity must be \x1b[31mpositive"}, status=status)
    assert await one(context, erp.url) == Refused(f"http_{status}", "quantity must be \\u001b[31mpositive")


async def test_one_refused_event_leaves_the_others_done_and_in_order(context, erp):
    bad = make_event(2).id
    erp.answer = lambda r: web.Response(status=422 if r.headers["Idempotency-Key"] == bad else 200, text="no")
    outcomes = await write(context, erp.url, *(make_event(n) for n in (1, 2, 3)))
    assert outcomes == [Done(), Refused("http_422", "no"), Done()]


@pytest.mark.parametrize("status", [408, 423, 425, 429, 503])
async def test_a_busy_target_is_tried_again_when_it_says_and_not_counted(context, erp, status):
    erp.answer = lambda _: web.Response(status=status, headers={"Retry-After": "7"})
    outcome = await one(context, erp.url, effect=NONE)
    assert isinstance(outcome, Retry)
    assert outcome.after_s == 7.0
    assert not outcome.judged


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0", 0.0), ("1", 1.0), (" 12 ", 12.0), ("3600", 3600.0), ("99999999", 3600.0), ("9" * 5000, 3600.0)]
    + [
        (v, None) for v in ("", "soon", "-1", "1.5", "1e9", "٣", "Mon, 99 Foo 2020", "\x00", "x" * 9000, None)
    ],
)
def test_retry_after_is_clamped_and_nonsense_is_ignored(value, expected):
    assert retry_after_s(value) == expected


def test_retry_after_may_be_a_date():
    assert retry_after_s(formatdate(time.time() + 100, usegmt=True)) == pytest.approx(100, abs=2)
    assert retry_after_s(formatdate(time.time() - 100, usegmt=True)) == 0.0
    assert retry_after_s(formatdate(time.time() + 1e6, usegmt=True)) == 3600.0


@pytest.mark.parametrize("status", [500, 502, 504, 599])
async def test_a_broken_target_is_a_counted_retry_by_key_and_else_in_doubt(context, erp, status):
    erp.answer = lambda _: web.Response(status=status, text="dump")
    outcome = await one(context, erp.url)
    assert outcome == Retry(reason=f"http_{status}: dump", judged=True, sent=True)
    for more in ({"effect": NONE}, BY_LOOKUP, {"effect": None}):
        assert isinstance(await one(context, erp.url, **more), InDoubt)


@pytest.mark.parametrize(("conflict", "kind"), [("done", Done), ("retry", Retry), ("refused", Refused)])
async def test_a_conflict_means_what_the_configuration_says(context, erp, conflict, kind):
    erp.answer = lambda _: web.Response(status=409)
    assert isinstance(await one(context, erp.url, conflict=conflict), kind)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_refused_and_never_followed(context, erp, status):
    where = "http://169.254.169.254/latest/meta-data"
    erp.answer = lambda _: web.Response(status=status, headers={"Location": where})
    outcome = await one(context, erp.url)
    assert isinstance(outcome, Refused)
    assert where in outcome.reason
    assert len(erp.seen) == 1


async def test_see_other_is_not_taken_for_done(context, erp):
    erp.answer = lambda _: web.Response(status=303, headers={"Location": "/login"})
    assert isinstance(await one(context, erp.url, effect=NONE), InDoubt)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"d":{"status":"S","doc":"4900012345"}}', Done("4900012345")),
        (b'{"d":{"status":"S","doc":4900012345678901234567}}', Done("4900012345678901234567")),
        (b'{"d":{"status":"S"}}', Done(None)),
        (b'{"d":{"status":"E"},"message":"order is locked"}', Refused("success_not_met", "order is locked")),
    ],
)
async def test_success_is_what_the_contract_says(context, erp, body, expected):
    erp.answer = lambda _: web.Response(body=body)
    more = {"success": {"pointer": "/d/status", "equals": "S"}, "reference": "/d/doc"}
    assert await one(context, erp.url, **more) == expected


@pytest.mark.parametrize("body", [b"", b"<html>OK</html>", b"{}", b"[" * 100_000, b'{"d":{}}'])
async def test_a_2xx_without_the_contract_is_never_done(context, erp, body):
    erp.answer = lambda _: web.Response(body=body)
    more = {"success": {"pointer": "/d/status", "equals": "S"}}
    assert isinstance(await one(context, erp.url, effect=NONE, **more), InDoubt)
    assert isinstance(await one(context, erp.url, **more), Retry)


async def test_true_is_not_one(context, erp):
    erp.answer = lambda _: web.json_response({"ok": 1})
    outcome = await one(context, erp.url, success={"pointer": "/ok", "equals": True})
    assert isinstance(outcome, Refused)


async def test_a_refused_connection_is_certainly_not_sent(context):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Disconnected, match="cannot reach") as failure:
        await one(context, f"http://127.0.0.1:{port}/x?secret=1", effect=NONE)
    assert failure.value.sent is False
    assert "secret" not in str(failure.value)


async def test_a_target_that_does_not_speak_tls_is_certainly_not_sent(context, erp):
    with pytest.raises(Disconnected) as failure:
        await one(context, erp.url.replace("http:", "https:"))
    assert failure.value.sent is False
    assert erp.seen == []


async def test_no_cookie_is_kept(context, erp):
    erp.answer = lambda _: web.Response(headers={"Set-Cookie": "a=b; Path=/"})
    # By name: a cookie jar takes nothing from an address anyway.
    url = erp.url.replace("127.0.0.1", "localhost")
    await write(context, url, make_event(1), make_event(2))
    assert len(erp.seen) == 2
    assert all("Cookie" not in headers for _, headers, _ in erp.seen)


async def test_no_proxy_of_the_environment_is_used(context, erp, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert isinstance(await one(context, erp.url), Done)


async def test_several_writes_at_once_get_their_own_answers(context, erp):
    async def answer(request):
        key = request.headers["Idempotency-Key"]
        await asyncio.sleep(0.02 if key.endswith("0") else 0)
        return web.Response(status=200, headers={"Location": key})

    erp.answer = answer
    config = HttpSinkConfig(url=erp.url, effect=Effect(by="key"),
                            allow_private=True)  # fmt: skip
    sink = HttpSink(config, context)
    await sink.open()
    outcomes = await asyncio.gather(*(posted(sink, make_event(n)) for n in range(40)))
    await sink.close()
    await sink.close()
    assert outcomes == [[Done(make_event(n).id)] for n in range(40)]


@pytest.mark.parametrize(
    "bad",
    [
        {"url": "ftp://x/"},
        {"url": "https:///x"},
        {"url": "https://u:p@x/"},
        {"url": "https://x/#f"},
        {"url": "https://x/ y"},
        {"url": "https://x/", "headers": {"a\r\nb": "c"}},
        {"url": "https://x/", "headers": {"a": "b\r\nc: d"}},
        {"url": "https://x/", "headers": {"Host": "b"}},
        {"url": "https://x/", "headers": {"authorization": "b"}, "token": "t"},
        {"url": "https://x/", "effect": {"by": "magic"}},
        {"url": "https://x/", "effect": {"by": "key", "header": "a b"}},
        {"url": "https://x/", "reference": "no/pointer"},
        {"url": "https://x/", "cert_file": "a"},
        {"url": "https://x/", "colour": 1},
    ],
)
def test_a_configuration_that_cannot_work_is_refused(bad):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, HttpSinkConfig, dec_hook=dec_hook)


def test_secrets_are_never_printed():
    raw = {"url": "https://x/", "token": "canary-1", "headers": {"X-Api-Key": "canary-2"}}
    config = msgspec.convert(raw, HttpSinkConfig, dec_hook=dec_hook)
    assert "canary" not in repr(config)
    assert config.token == Secret("canary-1")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"error":{"code":"X","message":{"lang":"en","value":"Order 4711 is closed"}}}',
            "Order 4711 is closed",
        ),
        (b'{"title":"Bad","detail":"why"}', "why"),
        (b"plain\r\n  text\x00", "plain text\\u0000"),
        (b"\xff", "\ufffd"),
        (b"", ""),
        (b"[" * 10_000, "[" * 499 + "…"),
    ],
)
def test_the_targets_message_is_one_harmless_line(body, expected):
    assert message_of(body) == expected
