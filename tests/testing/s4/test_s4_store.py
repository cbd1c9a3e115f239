"""What the ERP's tables hold after any mixture of commits and rollbacks, in memory and in the journal."""

import asyncio
import contextlib
import random
import uuid
from collections import Counter
from decimal import Decimal

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfgroute.testing.simulators.s4 import Fault
from mfgroute.testing.simulators.s4.store import Store, Tables

from .client import CONFIRMATIONS, confirmation, once, order, system

DEFAULTS = {"things": {"name": "", "size": 0, "note": None}}
INDEXED = {"things": ("name", "note")}
PUTS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.fixed_dictionaries(
            {
                "name": st.sampled_from(["", "x", "y"]),
                "size": st.integers(0, 2),
                "note": st.sampled_from([None, "n"]),
            }
        ),
    ),
    max_size=4,
)
#: What a unit does, up to which of it is rolled back, and how it ends.
UNITS = st.lists(st.tuples(PUTS, PUTS, st.sampled_from(["commit", "raise", "drop"])), max_size=6)


def check(store, model):
    """Every row is there, by its key and by each of its values."""
    assert {key: store.tables.get("things", key) for key in "abc"} == {key: model.get(key) for key in "abc"}
    for name, values in (("name", ["", "x", "y", "z"]), ("note", [None, "n"]), ("size", [0, 1, 2])):
        for value in values:
            found = [row["key"] for row in store.tables.rows("things", {name: value})]
            assert sorted(found) == sorted(key for key, row in model.items() if row[name] == value)


def work(store, model, kept, undone, end):
    """Do a unit of work, and say what is there when it is done."""
    after = dict(model)
    with contextlib.suppress(ZeroDivisionError), store.unit(keep=end != "drop") as unit:
        for key, row in kept:
            after[key] = {"key": key, **row}
            unit.put("things", key, after[key])
        mark = unit.mark()
        for key, row in undone:
            unit.put("things", key, {"key": key, **row})
        unit.roll_back(mark)
        check(store, after)
        if end == "raise":
            raise ZeroDivisionError
    return after if end == "commit" else model


@given(UNITS, st.integers(0, 49))
def test_a_journal_and_its_indexes_hold_what_was_committed(tmp_path_factory, units, torn):
    journal = tmp_path_factory.mktemp("store") / "journal"
    store = Store(Tables(DEFAULTS, INDEXED), journal)
    model = {}
    for kept, undone, end in units:
        model = work(store, model, kept, undone, end)
    store.close()
    with journal.open("ab") as file:
        file.write(b'[["things","a",{"name":"z","size":9,"note":null}]]'[:torn])
    check(store, model)
    check(Store(Tables(DEFAULTS, INDEXED), journal), model)


async def post(client, body, headers, said):
    """Post until what was posted can be read: a number in an answer proves nothing."""
    query = f"ExternalSystemConfirmation eq guid'{body['ExternalSystemConfirmation']}'"
    while not (await client.read(CONFIRMATIONS, "ProdnOrdConf2", filter=query)).results:
        try:
            got = await client.confirm(json=body, headers=headers)
        except (aiohttp.ClientError, TimeoutError):
            said["lost"] += 1
            continue
        said[got.status] += 1
        if got.status == 403:
            await client.fetch()


@pytest.mark.parametrize("by", ["key", "lookup"])
async def test_a_client_that_never_guesses_has_each_effect_once(by):
    """The ledger agrees to the piece with a client that repeats, or asks before it repeats, under faults."""
    numbers = [str(1004711 + number) for number in range(8)]
    async with system(orders=[order(number) for number in numbers], backflush=False) as (erp, client):
        await client.fetch()
        if by == "lookup":
            erp.switch(repeatability="ignored")
        for kind in ("cut", "error", "torn"):
            for when in ("before", "after"):
                erp.misbehave(Fault(kind=kind, when=when, ratio=0.06))
        for kind in ("refuse", "too_many", "expired", "error_in_200", "lie"):
            erp.misbehave(Fault(kind=kind, ratio=0.05, status={"refuse": 423}.get(kind)))
        said, sums = Counter(), Counter()

        async def line(number):
            chance = random.Random(number)
            for _ in range(10):
                good = Decimal(chance.randrange(1, 5_000)) / 1000
                body = confirmation(OrderID=number, ConfirmationYieldQuantity=str(good))
                body["ExternalSystemConfirmation"] = str(uuid.UUID(int=chance.getrandbits(128)))
                await post(client, body, once() if by == "key" else None, said)
                sums[number] += good

        await asyncio.gather(*map(line, numbers))
        assert said["lost"] > 3
        assert erp.ledger.mischief["lie"] > 0
        assert erp.ledger.duplicates == 0
        assert erp.ledger.counts() == {"confirmation": 80}
        totals = erp.ledger.totals()
        assert {number: Decimal(totals[number]["operations"]["0010"]["yield"]) for number in numbers} == sums
