"""Requests as data: what is made of an event, what is kept, and which mistakes `check` names."""

import msgspec
import pytest
from aiohttp import web

from mfgroute.adapter import Request
from mfgroute.adapters.http import HttpSink
from mfgroute.adapters.http.kept import packed, unpacked
from mfgroute.errors import ConfigError
from mfgroute.events import Done, InDoubt, Refused
from mfgroute.project import load_plan

from .conftest import make_event
from .http_target import NoBooks, made, opened, posted

RECEIPT = "com.example.material.finishedgoods.received.v1"
DATA = (
    b'{"site":"DE04","order":"47/11","report":"A-1010","batch":"L 1","serials":["a","b"],'
    b'"quantity":{"value":"120.50","unit":"H87"},"weight":1.10,"count":12345678901234567890,"full":true,'
    b'"odd name":"x","none":null,"items":[{"no":"10"},{"no":"20"}]}'
)
EVENT = make_event(7, kind=RECEIPT, data=DATA, key="order/DE04/4711")


async def rendered(context, entry, event=EVENT, **more):
    sink = made(context, "https://wms.example/api", requests=[entry], **more)
    return await sink.render(event, NoBooks())


async def parts(context, entry, **more):
    request = await rendered(context, entry, **more)
    assert isinstance(request, Request), request
    return unpacked(request.body)


async def test_a_request_is_made_of_the_event(context):
    entry = {
        "type": "material.finishedgoods.received/1",
        "method": "PUT",
        "path": "/orders/{data.order}/receipts/{id|hex}?site={data.site}&lot={data.batch}",
        "headers": {"X-Report": "{data.report}"},
        "body": {
            "reference": "{key}",
            "text": "{data.report} of {data.site}, {data.weight} kg, {{full: {data.full}}}",
            "quantity": "{data.quantity.value|number}",
            "quantityAsText": "{data.weight|text}",
            "weight": "{data.weight}",
            "count": "{data.count}",
            "serials": "{data.serials}",
            "first": "{data.items[0].no}",
            "odd": "{data.'odd name'}",
            "fixed": [1, 1.5, True, None, "x"],
            "left out": "{data.nothing?}",
            "list": ["{data.nothing?}", "{data.site}"],
        },
        "object": "order/{data.site}/{data.order}",
        "amounts": {"received": "{data.quantity.value}", "scrap": "{data.scrap?}"},
    }
    request = await rendered(context, entry)
    one = unpacked(request.body)
    assert (one.method, one.path) == (
        "PUT",
        "/orders/47%2F11/receipts/00000000000080008000000000000007?site=DE04&lot=L%201",
    )
    assert one.headers == {
        "X-Report": "A-1010",
        "Idempotency-Key": EVENT.id,
        "Content-Type": "application/json; charset=utf-8",
    }
    assert one.body == (
        b'{"reference":"%s","text":"A-1010 of DE04, 1.10 kg, {full: true}","quantity":120.50,'
        b'"quantityAsText":"1.10","weight":1.10,"count":12345678901234567890,"serials":["a","b"],'
        b'"first":"10","odd":"x","fixed":[1,1.5,true,null,"x"],"list":["DE04"]}' % EVENT.id.encode()
    )
    assert (request.key, request.object) == (EVENT.id, "order/DE04/47/11")
    assert {name: str(one) for name, one in request.amounts.items()} == {"received": "120.50"}


async def test_the_same_event_makes_the_same_bytes_and_they_can_be_read_back(context):
    entry = {"path": "/x/{data.order}", "body": {"b": "{data.site}", "a": "{data.report}"}}
    first, second = [await rendered(context, entry) for _ in range(2)]
    assert first == second
    assert packed(unpacked(first.body)) == first.body
    assert b"wms.example" not in first.body, "the address is the configuration's"


async def test_the_key_may_be_made_of_the_event_and_stands_where_it_is_asked_for(context):
    entry = {"key": "R-{data.report}", "path": "/r/{key}", "body": {"ref": "{key}"}}
    request = await rendered(context, entry)
    one = unpacked(request.body)
    assert request.key == "R-A-1010"
    assert (one.path, one.body) == ("/r/R-A-1010", b'{"ref":"R-A-1010"}')
    assert one.headers["Idempotency-Key"] == "R-A-1010"


async def test_without_entries_the_event_is_sent_as_it_is_under_its_key(context):
    request = await made(context, "https://wms.example/x").render(EVENT, NoBooks())
    one = unpacked(request.body)
    assert (one.method, one.path, one.body) == ("POST", "", EVENT.json)
    assert (request.key, request.object, request.amounts) == (EVENT.id, EVENT.key, {})


async def test_the_entry_of_the_type_is_taken_and_the_open_one_takes_the_rest(context):
    entries = [
        {"path": "/rest"},
        {"type": ["material.consumed", "material.finishedgoods.received/2"], "path": "/two"},
        {"type": "material.finishedgoods.received/1", "path": "/one"},
    ]
    sink = made(context, "https://wms.example/", requests=entries)

    async def path(kind):
        return unpacked((await sink.render(make_event(kind=kind), NoBooks())).body).path

    assert await path(RECEIPT) == "/one"
    assert await path("com.example.material.finishedgoods.received.v2") == "/two"
    assert await path("com.example.material.consumed.v3") == "/two"
    assert await path("com.example.immaterial.consumed.v3") == "/rest"
    sink = made(context, "https://wms.example/", requests=entries[1:])
    outcome = await sink.render(make_event(kind="com.example.quality.hold.placed.v1"), NoBooks())
    assert isinstance(outcome, Refused)
    assert (outcome.code, "quality.hold.placed.v1" in outcome.reason) == ("no_request", True)


@pytest.mark.parametrize(
    ("entry", "code", "where"),
    [
        ({"path": "/{data.nothing}"}, "field_missing", "/data/nothing"),
        ({"path": "/{data.none}"}, "field_missing", "/data/none"),
        ({"path": "/{data.site.deeper}"}, "field_missing", "/data/site/deeper"),
        ({"path": "/{data.items[2].no}"}, "field_missing", "/data/items/2/no"),
        ({"path": "/{data.quantity}"}, "field_unfit", "/data/quantity"),
        ({"body": {"a": {"b": ["{data.nothing}"]}}}, "field_missing", "/data/nothing"),
        ({"body": {"a": "{data.report|number}"}}, "field_unfit", "/data/report"),
        ({"body": {"a": "{data.items|text}"}}, "field_unfit", "/data/items"),
        ({"key": "{data.batch}"}, "key_unfit", "'L 1'"),
        ({"object": "{data.nothing}"}, "field_missing", "/data/nothing"),
        ({"amounts": {"good": "{data.report}"}}, "field_unfit", "/data/report"),
        ({"headers": {"X-A": "{data.nothing}"}}, "field_missing", "/data/nothing"),
    ],
)
async def test_an_event_that_lacks_what_a_template_needs_is_refused_with_the_place(
    context, entry, code, where
):
    outcome = await rendered(context, entry)
    assert isinstance(outcome, Refused), outcome
    assert outcome.code == code
    assert where in outcome.reason


@pytest.mark.parametrize("value", ["..", ".", "", "\\ud800", "a\\r\\nX: y", "\\u0000"])
async def test_a_value_that_would_lead_to_another_path_is_refused(context, value):
    event = make_event(kind=RECEIPT, data=b'{"order":"%s"}' % value.encode())
    outcome = await rendered(context, {"path": "/orders/{data.order}/receipts"}, event)
    assert isinstance(outcome, Refused), outcome


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("../../admin", "..%2F..%2Fadmin"),
        ("a?b#c&d=e", "a%3Fb%23c%26d%3De"),
        ("%2e%2e", "%252e%252e"),
        ("ü X: y", "%C3%BC%20X%3A%20y"),
        ("{data.site}", "%7Bdata.site%7D"),
    ],
)
async def test_a_value_stays_within_its_part_of_the_path_on_the_wire(context, erp, value, sent):
    paths = []
    erp.answer = lambda request: paths.append(request.raw_path) or web.Response()
    event = make_event(kind=RECEIPT, data=b'{"order":"%s"}' % value.encode())
    entry = {"path": "/orders/{data.order}/x?y=1"}
    async with opened(context, f"{erp.root}/api?client=100", requests=[entry]) as sink:
        assert await posted(sink, event) == [Done()]
    assert paths == [f"/api/orders/{sent}/x?y=1&client=100"]


@pytest.mark.parametrize("value", ["a\\r\\nX-Evil: 1", "ü", "\\u0000"])
async def test_a_value_that_would_break_a_header_is_refused(context, value):
    event = make_event(kind=RECEIPT, data=b'{"order":"%s"}' % value.encode())
    outcome = await rendered(context, {"headers": {"X-Order": "{data.order}"}}, event)
    assert isinstance(outcome, Refused), outcome


@pytest.mark.parametrize(
    "body", [b"", b"no json\nx", b'{"v":2,"method":"PUT","path":"","headers":{}}\n', b"\xff"]
)
async def test_a_kept_request_that_cannot_be_read_is_in_doubt_and_not_sent(context, erp, body):
    async with opened(context, erp.url) as sink:
        (outcome,) = await sink.post([Request(key="k", body=body)])
    assert isinstance(outcome, InDoubt)
    assert erp.seen == []


async def test_a_request_of_an_earlier_configuration_is_sent_as_it_was(context, erp):
    before = made(context, erp.root, requests=[{"path": "/old", "body": {"a": "{data.site}"}}])
    request = await before.render(EVENT, NoBooks())
    entry = {"path": "/new", "method": "PUT", "body": "event"}
    async with opened(context, erp.root, requests=[entry]) as now:
        assert await now.post([request]) == [Done("/confirmations/1")]
    method, headers, body = erp.seen[0]
    assert (method, body) == ("POST", b'{"a":"DE04"}')
    assert headers["Idempotency-Key"] == EVENT.id


PROJECT = """\
apiVersion: mfgroute/v1
packs: [canonical]
node: {id: n-1, site: DE04, namespace: com.example}
streams:
  business: {durability: memory, capacity: 16MiB}
sinks:
  wms:
    adapter: http
    url: https://wms.example/api
    owner: warehouse-it
"""
MISTAKES = [
    ("    effect: {by: key}\n    requests:\n      - path: /a/{data.order\n", 13, "stands alone"),
    ("    effect: {by: key}\n    requests:\n      - path: /a/{order}\n", 13, "did you mean `{data.order}`?"),
    ("    effect: {by: key}\n    requests:\n      - path: /a/../b\n", 13, "`..`"),
    ("    effect: {by: key}\n    requests:\n      - path: /a b\n", 13, "%XX"),
    ("    effect: {by: key}\n    requests:\n      - type: material\n        body:\n          a:\n            - '{data.b|upper}'\n", 16, "is no form"),
    ("    effect: {by: key}\n    requests:\n      - body: everything\n", 13, "expected `event`"),
    ("    effect: {by: key}\n    requests:\n      - key: fixed\n", 13, "the same key"),
    ("    effect: {by: key}\n    requests:\n      - headers:\n          Authorization: x\n", 14, "cannot be set here"),
    ("    effect: {by: key}\n    requests:\n      - headers:\n          X-A: ${HOME}\n", 14, "is kept with every request"),
    ("    effect: {by: key}\n    requests:\n      - {type: a.b/1}\n      - {type: [c.d, a.b/1]}\n", 14, "is there twice"),
    ("    effect: {by: key}\n    requests:\n      - {type: 'A b'}\n", 13, "is no type"),
    ("    effect: {by: key}\n    requests:\n      - amounts:\n          good: data.good\n", 14, "one place"),
    ("    effect: {by: key}\n    requests:\n      - guard: {at: /v, version: '{data.v}'}\n", 13, "`guard` is of"),
    ("    effect: {by: key}\n    requests:\n      - pth: /a\n", 13, "did you mean `path`?"),
    ("    effect: {by: key}\n    answers:\n      - {status: 422, means: not_yet}\n", 13, "needs `within`"),
    ("    effect: {by: key}\n    answers:\n      - {status: 422, equals: x, means: retry}\n", 13, "needs a `pointer`"),
    ("    effect: {by: key}\n    answers:\n      - {status: 6xx, means: retry}\n", 13, "6xx"),
    ("    effect: {by: key}\n    requests:\n      - type: material.finishedgoods.received/1\n        body:\n          a: ['{data.order}', '{data.ordre}']\n", 15, "`{data.ordre}` is in no event of material.finishedgoods.received/1"),
    ("    effect: {by: key}\n    requests:\n      - type: material.finishedgoods.received\n        path: /{data.quantity.value}/{data.quantity.value.x}\n", 14, "`{data.quantity.value.x}`"),
    ("    effect: {by: key}\n    requests:\n      - type: [material.consumed/1, material.consumd/1]\n", 13, "no contract is called `material.consumd/1`"),
    ("    effect: {by: lookup}\n", 8, "`ask` and `effect: {by: lookup}` belong together"),
    ("    effect: {by: lookup}\n    ask: {path: /x}\n", 12, "with `{key}`"),
    ("    effect: {by: lookup}\n    ask: {path: '/x/{data.site}/{key}'}\n", 12, "no other place"),
    ("    effect: {by: lookup}\n    ask: {path: '/x?k={key}', list: /items}\n", 12, "needs `match`"),
    ("    effect: {by: key}\n    follow: {job: /id, done: {}, refused: {}}\n", 12, "belong together"),
    ("    effect: {by: key}\n    networks: [10.0.0.1/8]\n", 12, "host bits"),
    ("    effect: {by: key}\n    networks: [10.0.0.0/8]\n    allow_private: true\n", 13, "exclude each other"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "said"), MISTAKES, ids=[said for _, _, said in MISTAKES])
def test_a_mistake_is_named_at_its_line(tmp_path, text, line, said):
    (tmp_path / "mfgroute.yaml").write_text(PROJECT + text)
    with pytest.raises(ConfigError) as error:
        load_plan(tmp_path)
    found = [one for one in error.value.problems if said in one.message + (one.hint or "")]
    assert [one.line for one in found] == [line], error.value


def test_a_description_of_a_sink_has_no_secrets(context):
    sink = made(context, "https://wms.example/?key=canary-1", token="canary-2", headers={"X": "canary-3"})
    assert "canary" not in repr(sink)
    assert isinstance(sink, HttpSink)
    assert "canary-2" not in msgspec.json.encode({"c": repr(sink._config)}).decode()
