"""What a target holds, read back as the configuration says."""

from decimal import Decimal

import msgspec
import pytest
from aiohttp import web

from mfgroute.adapter import Held
from mfgroute.errors import AdapterError, Disconnected
from mfgroute.events import Done
from mfgroute.testing.simulators import WmsSimulator

from .http_target import BY_KEY, made, opened, posted
from .test_http_effects import LOOKUP, receipt

READ = {
    "path": "/receipts?order={order}",
    "list": "/items",
    "amount": "/quantity",
    "name": "movement/101/{/article}/{/unit}",
    "document": "/number",
}
THING = "order/DE04/4711"


def item(number, quantity, *, article="A", unit="H87"):
    return {"number": number, "quantity": quantity, "article": article, "unit": unit}


async def test_what_was_posted_is_what_is_read(context):
    body = LOOKUP["requests"][0]["body"] | {"article": "FG-1", "unit": "H87"}
    more = LOOKUP | {"requests": [{"path": "/receipts", "body": body}], "read": READ}
    async with WmsSimulator() as wms, opened(context, f"{wms.url}/api", **more) as sink:
        assert sink.readable
        await posted(sink, *(receipt(n, quantity=f"{n}.25") for n in range(1, 4)))
        numbers = tuple(effect.document for effect in wms.ledger.effects)
        name = "movement/101/FG-1/H87"
        assert await sink.read(THING) == {name: Held(amount=Decimal("6.75"), documents=numbers)}
        assert await sink.read("order/DE04/4712") == {}


async def test_a_lie_that_looks_like_a_success_is_not_in_what_is_read(context):
    body = LOOKUP["requests"][0]["body"] | {"article": "FG-1", "unit": "H87"}
    more = LOOKUP | {"requests": [{"path": "/receipts", "body": body}], "read": READ}
    async with WmsSimulator() as wms, opened(context, f"{wms.url}/api", **more) as sink:
        wms.misbehave("lie", times=1)
        first, second = await posted(sink, receipt(1, quantity="1"), receipt(2, quantity="2"))
        assert first == Done("99999999")
        held = (await sink.read(THING))["movement/101/FG-1/H87"]
        assert held == Held(amount=Decimal(2), documents=(second.reference,))


async def test_amounts_are_summed_by_name_over_pages_and_exactly(context, erp):
    pages = {
        None: {"items": [item("1", "0.1"), item(2, 0.2), item("3", 7, article="B")], "next": "/x?page=2"},
        "2": {"items": [item("4", "-0.3"), item("5", "12345678901234567890.000000001")], "next": None},
    }
    asked = []
    erp.answer = lambda request: (
        asked.append(request.path_qs) or web.json_response(pages[request.query.get("page")])
    )
    async with opened(context, f"{erp.root}/api?client=1", read=READ | {"next": "/next"}) as sink:
        assert await sink.read("order/DE 04/47 11") == {
            "movement/101/A/H87": Held(
                amount=Decimal("12345678901234567890.000000001"), documents=("1", "2", "4", "5")
            ),
            "movement/101/B/H87": Held(amount=Decimal(7), documents=("3",)),
        }
    assert asked == ["/api/receipts?order=47%2011&client=1", "/x?page=2&client=1"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"items": [item("1", "many")]}, "no /quantity in thing 0"),
        ({"items": [item("1", None)]}, "no /quantity in thing 0"),
        ({"items": [item("1", True)]}, "no /quantity in thing 0"),
        ({"items": [item("1", "1e3")]}, "no /quantity in thing 0"),
        ({"items": [item("1", "1"), {"quantity": "1"}]}, "no movement/101/{/article}/{/unit} in thing 1"),
        ({"items": {}}, "without a list at /items"),
        ({"items": [], "next": "http://169.254.169.254/"}, "not at the target"),
        ({"items": [], "next": "/same"}, "more than"),
    ],
)
async def test_what_cannot_be_understood_is_no_sum(context, erp, answer, said):
    erp.answer = lambda _: web.json_response(answer)
    async with opened(context, erp.root, read=READ | {"next": "/next"}) as sink:
        with pytest.raises(AdapterError, match=said.replace("{", r"\{")):
            await sink.read(THING)


@pytest.mark.parametrize(("status", "kind"), [(503, Disconnected), (500, Disconnected), (403, AdapterError), (404, AdapterError), (302, AdapterError)])  # fmt: skip
async def test_a_status_is_no_sum(context, erp, status, kind):
    erp.answer = lambda _: web.Response(status=status, text="no")
    async with opened(context, erp.root, read=READ) as sink:
        with pytest.raises(kind):
            await sink.read(THING)


async def test_another_object_and_no_setting_are_said(context, erp):
    async with opened(context, erp.root, read=READ) as sink:
        for thing in ("lot/DE04/L1", "order/DE04", "order/DE04/1/2", ""):
            with pytest.raises(AdapterError, match="does not say"):
                await sink.read(thing)
    async with opened(context, erp.root) as sink:
        assert not sink.readable
        with pytest.raises(AdapterError, match="does not say"):
            await sink.read(THING)
    assert erp.seen == []


@pytest.mark.parametrize(
    "change",
    [
        {"path": "/receipts"},
        {"path": "/receipts?x={lot}"},
        {"path": "receipts?x={order}"},
        {"name": "movement/{article}"},
        {"amount": "quantity"},
        {"object": "order"},
    ],
)
def test_a_question_that_cannot_be_meant_is_refused(context, change):
    with pytest.raises(msgspec.ValidationError):
        made(context, "https://wms.example/", effect=BY_KEY, read=READ | change)
