import asyncio

import msgspec
import pytest

from mfgroute.adapter import Secret, dec_hook
from mfgroute.adapters.http import HttpSource, HttpSourceConfig
from mfgroute.errors import Closed, Full
from mfgroute.events import Intake, Receipt
from mfgroute.units import Size

from .conftest import until

TOKEN = "a-token-of-sixteen-characters"


def inbox(context, **more):
    return HttpSource(HttpSourceConfig(token=Secret(TOKEN), **more), context)


async def test_each_sender_gets_its_own_receipt_in_whatever_order_they_come(context):
    source = inbox(context)
    offers = [asyncio.create_task(source.offer(Intake(messages=[b"%d" % n]))) for n in range(3)]
    intakes = [await source.read() for _ in range(3)]
    assert [i.messages for i in intakes] == [[b"0"], [b"1"], [b"2"]]
    for n in (2, 0, 1):
        await source.ack(intakes[n], Receipt(accepted=n))
    assert [(await offer).accepted for offer in offers] == [0, 1, 2]
    await source.close()


async def test_a_full_queue_refuses_and_loses_nothing(context):
    source = inbox(context, queue_max=5)
    offers = [asyncio.create_task(source.offer(Intake(messages=[b"%d" % n]))) for n in range(8)]
    await until(lambda: sum(offer.done() for offer in offers) == 3)
    for offer in offers[5:]:
        with pytest.raises(Full, match="source it"):
            await offer
    for n in range(5):
        intake = await source.read()
        assert intake.messages == [b"%d" % n]
        await source.ack(intake, Receipt(accepted=1))
    assert [(await offer).accepted for offer in offers[:5]] == [1] * 5


async def test_the_queue_is_bounded_in_bytes_and_one_is_always_taken(context):
    source = inbox(context, queue_size=Size(10))
    big = asyncio.create_task(source.offer(Intake(slab=b"x" * 100)))
    await asyncio.sleep(0)
    with pytest.raises(Full):
        await source.offer(Intake(slab=b"x"))
    intake = await source.read()
    small = asyncio.create_task(source.offer(Intake(slab=b"x")))
    await source.ack(intake, Receipt(accepted=1))
    await source.ack(await source.read(), Receipt(accepted=2))
    assert (await big).accepted, (await small).accepted == (1, 2)


async def test_no_room_in_a_stream_reaches_the_sender(context):
    source = inbox(context)
    offer = asyncio.create_task(source.offer(Intake(messages=[b"1"])))
    await source.refuse(await source.read(), Full("stream business is full", "stream business", "sap"))
    with pytest.raises(Full) as full:
        await offer
    assert full.value.held_by == "sap"


async def test_a_sender_that_hung_up_before_it_was_read_is_not_admitted(context):
    source = inbox(context)
    gone = asyncio.create_task(source.offer(Intake(messages=[b"gone"])))
    await asyncio.sleep(0)
    gone.cancel()
    stays = asyncio.create_task(source.offer(Intake(messages=[b"stays"])))
    intake = await source.read()
    assert intake.messages == [b"stays"]
    await source.ack(intake, Receipt(accepted=1))
    assert (await stays).accepted == 1


async def test_a_sender_that_hung_up_after_it_was_read_harms_nobody(context):
    source = inbox(context)
    offer = asyncio.create_task(source.offer(Intake(messages=[b"1"])))
    intake = await source.read()
    offer.cancel()
    await asyncio.gather(offer, return_exceptions=True)
    await source.ack(intake, Receipt(accepted=1))


async def test_closing_tells_everybody_who_waits(context):
    source = inbox(context)
    offers = [asyncio.create_task(source.offer(Intake(messages=[b"1"]))) for _ in range(2)]
    await source.read()
    reading = [asyncio.create_task(source.read()) for _ in range(2)]
    await source.close()
    await source.close()
    for offer in offers:
        with pytest.raises(Closed):
            await offer
    with pytest.raises(Closed):
        await reading[1]
    with pytest.raises(Closed):
        await source.offer(Intake(messages=[b"1"]))
    await asyncio.gather(*reading, return_exceptions=True)


@pytest.mark.parametrize(
    ("header", "opens"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer {TOKEN}", True),
        (f"Bearer  {TOKEN} ", True),
        (f"Basic {TOKEN}", False),
        (f"Bearer {TOKEN}x", False),
        (f"Bearer {TOKEN[:-1]}", False),
        (TOKEN, False),
        ("Bearer ", False),
        ("Bearer \udcff", False),
        ("", False),
        (None, False),
    ],
)
def test_only_the_token_opens_the_inbox(context, header, opens):
    assert inbox(context).authorized(header) is opens


@pytest.mark.parametrize("bad", [{"token": "short"}, {"token": TOKEN, "anonymous": True}])
def test_an_inbox_that_is_open_by_accident_is_refused(bad):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, HttpSourceConfig, dec_hook=dec_hook)


def test_the_token_is_never_printed():
    assert TOKEN not in repr(msgspec.convert({"token": TOKEN}, HttpSourceConfig, dec_hook=dec_hook))
