"""A node with posters: effects, traces and comparisons over its control socket, and then without it."""

import asyncio
import json
from decimal import Decimal
from random import Random
from types import SimpleNamespace

import pytest

from mfgroute import project as projects
from mfgroute.adapter import Config, Effect, Held, Poster, Request
from mfgroute.api.node import Router
from mfgroute.cli import main
from mfgroute.effects import questions
from mfgroute.effects.reported import Tally
from mfgroute.errors import AdapterError, Disconnected
from mfgroute.events import Done, InDoubt, Refused, Retry
from mfgroute.registry import Registry
from mfgroute.runtime import offline
from mfgroute.runtime.tempo import Tempo

ORDER = "order/DE04/4711"
PROJECT = """\
apiVersion: mfgroute/v1
packs: [canonical]
node: {id: core-1, site: DE04, namespace: com.example, data_dir: ./data}
http: {listen: "127.0.0.1:0"}
streams:
  business: {durability: fsync, capacity: 32MiB}
sources:
  mes: {adapter: files, path: ./inbox/*.jsonl, mappings: [done, received]}
sinks:
  sap: {adapter: ledger, effect: {by: none, accept: at_most_once}, owner: tests}
  wms: {adapter: delivered, effect: {by: upsert}, owner: tests}
routes:
  - {name: to-sap, match: {type: "production.>"}, to: sap}
  - {name: receipts, match: {type: material.finishedgoods.received/1}, to: [sap, wms]}
"""
DONE = """\
from: {decode: json}
when: {path: evt, equals: DONE}
time: {path: ts}
emit:
  - to: production.operation.completed/1
    fields:
      site: {const: DE04}
      order: {path: order}
      operation: {const: "0010"}
      report: {path: id}
      type: {const: partial}
      posting_date: {const: "2026-11-24"}
      goods: {const: listed}
      quantity.unit: {const: H87}
      quantity.good: {path: good}
      movements:
        list: used
        fields: {direction: {const: issue}, material: {path: mat}, quantity: {path: qty}, unit: {const: KGM}}
"""
RECEIVED = """\
from: {decode: json}
when: {path: evt, equals: RECEIVED}
time: {path: ts}
emit:
  - to: material.finishedgoods.received/1
    fields:
      site: {const: DE04}
      order: {path: order}
      report: {path: id}
      material: {const: FG-1}
      posting_date: {const: "2026-11-24"}
      quantity.unit: {const: H87}
      quantity.value: {path: good}
"""


class Target:
    """A business system: what it holds, and how it answers."""

    def __init__(self):
        self.held = {}
        self.answers = {}
        self.away = None

    def book(self, thing, amounts, document):
        of = self.held.setdefault(thing, {})
        for name, amount in amounts.items():
            before = of.get(name, Held(amount=Decimal()))
            of[name] = Held(amount=before.amount + amount, documents=(*before.documents, document))


class Delivered(Poster):
    """Posts what events say; is not told how to read."""

    Config = Config
    target = Target()
    readable = False

    async def read(self, thing):
        raise AdapterError("nobody said how")

    def __init__(self, config, context):
        self.context = context

    @property
    def effect(self):
        return Effect(by="upsert")

    async def render(self, event, books):
        document = json.loads(event.json)
        tally = Tally()
        tally.count(document)
        await books.posted(event.key)
        body = json.dumps(
            {"report": document["data"]["report"], "amounts": {n: str(a) for n, a in tally.sums.items()}}
        )
        return Request(key=f"key-{event.id}", body=body.encode(), object=event.key, amounts=tally.sums)

    async def post(self, requests):
        return [self._post(json.loads(request.body), request) for request in requests]

    def _post(self, body, request):
        answer = self.target.answers.get(body["report"])
        if isinstance(answer, Refused):
            return answer
        document = f"49-{body['report']}"
        self.target.book(ORDER, {name: Decimal(amount) for name, amount in body["amounts"].items()}, document)
        return answer or Done(document)


class Ledger(Delivered):
    """Can also be read."""

    target = Target()
    readable = True

    @property
    def effect(self):
        return Effect(by="none", accept="at_most_once")

    async def read(self, thing):
        if self.target.away is not None:
            raise self.target.away
        return self.target.held.get(thing, {})


@pytest.fixture
def registry():
    Delivered.target, Ledger.target = Target(), Target()
    return Registry({}, {"ledger": Ledger, "delivered": Delivered})


@pytest.fixture
def folder(tmp_path, monkeypatch, registry):
    for name, text in {
        "mfgroute.yaml": PROJECT, "mappings/done.yaml": DONE, "mappings/received.yaml": RECEIVED,
    }.items():  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "inbox").mkdir()
    monkeypatch.chdir(tmp_path)
    for module in (projects, offline):
        monkeypatch.setattr(module, "Registry", lambda: registry)
    return tmp_path


@pytest.fixture
def run(folder, capsys):
    """Run a command while the node runs in this process."""

    async def of(*arguments):
        capsys.readouterr()
        code = await asyncio.to_thread(main, [str(one) for one in arguments])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return of


def node(folder, registry):
    return Router(folder, adapters=registry, tempo=Tempo(poll_s=0.02), random=Random(1))


def done(number, good="10", order="4711", used=()):
    return message("DONE", number, good, order, used=[{"mat": mat, "qty": qty} for mat, qty in used])


def message(kind, number, good, order="4711", **more):
    body = {
        "evt": kind,
        "id": f"R-{number}",
        "ts": "2026-11-24T07:00:00Z",
        "order": order,
        "good": good,
        **more,
    }
    return json.dumps(body).encode()


async def settled(router):
    async with asyncio.timeout(30):
        while any(router.queued().values()):  # noqa: ASYNC110 - the engine tells nobody
            await asyncio.sleep(0.01)


async def read(run, *arguments, code=0):
    ended = await run(*arguments, "--output", "json")
    assert ended.code == code, ended.err + ended.out
    return json.loads(ended.out)


async def test_effects_of_posters_are_listed_traced_and_resolved(folder, registry, run):
    Ledger.target.answers = {"R-2": InDoubt("no answer")}
    async with node(folder, registry) as router:
        await router.submit("mes", [done(1), done(2), done(3)])
        await settled(router)
        found = (await read(run, "effects", "list", "--sink", "sap"))["effects"]
        assert [(one["state"], one["reference"], one["object"]) for one in found] == [
            ("in_doubt", None, ORDER), ("posted", "49-R-1", ORDER),
        ]  # fmt: skip
        doubt = found[0]["id"]
        ended = await run("effects", "show", doubt)
        assert (ended.code, "sap: sent, no answer" in ended.out) == (0, True), ended.err
        traced = (await read(run, "trace", "49-R-1"))["events"]
        assert [event["data"]["report"] for event in traced] == ["R-1"]
        resolved = await run(
            "effects", "resolve", doubt, "--sink", "sap", "--posted", "49-R-2", "--reason", "seen"
        )
        assert resolved.code == 0, resolved.err
        await settled(router)
        ids = [event["id"] for event in (await read(run, "trace", ORDER))["events"]]
        async with asyncio.timeout(30):
            while len(known := await router.follower.was_posted("sap", ids)) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert sorted(known.values()) == ["49-R-1", "49-R-2", "49-R-3"]
        assert await router.follower.books("sap").posted(ORDER) == {"operation/0010/yield/H87": Decimal(30)}
        assert router.health().ready
    assert Ledger.target.held[ORDER]["operation/0010/yield/H87"].amount == 30


async def test_what_waits_is_known_after_a_restart(folder, registry, run):
    Ledger.target.answers = {"R-9": Retry(reason="busy")}
    async with node(folder, registry) as router:
        await router.submit("mes", [message("RECEIVED", 9, "20")])
        async with asyncio.timeout(30):
            while Ledger.target.held.get(ORDER) is None:  # noqa: ASYNC110 - it is written down before
                await asyncio.sleep(0.01)
        assert (await run("pause", "sap")).code == 0
        await router.submit("mes", [done(1), message("RECEIVED", 2, "5"), done(3, "7"), done(4, order="1")])
    Ledger.target.held.clear()
    async with node(folder, registry):
        traced = await read(run, "trace", ORDER)
        (first,) = [event for event in traced["events"] if event["data"]["report"] == "R-9"]
        assert first["admitted"]
        assert {at["sink"]: at["state"] for at in first["sinks"]} == {"sap": "forgotten", "wms": "delivered"}
        compared = await read(run, "reconcile", "--order", ORDER, "--sink", "sap", code=1)
        assert {
            row["name"]: (side["reported"], side["posted"], [one["report"] for one in side["open"]])
            for row in compared["orders"][0]["rows"]
            for side in row["sinks"].values()
        } == {
            "movement/101/FG-1/H87": ("25", "0", ["R-9", "R-2"]),
            "operation/0010/yield/H87": ("17", "0", ["R-1", "R-3"]),
        }


async def test_what_is_booked_by_hand_in_an_outage_is_not_sent_after_it(folder, registry, run):
    """Three reports wait, two are booked by hand: one while the node runs, one while it does not."""

    async def resolve(event_id, *said):
        return await run("effects", "resolve", event_id, "--sink", "sap", *said, "--reason", "by hand")

    async with node(folder, registry) as router:
        assert (await run("pause", "sap")).code == 0
        await router.submit("mes", [done(1, "10"), done(2, "7"), done(3, "5")])
        ids = [event["id"] for event in (await read(run, "trace", ORDER))["events"]]
        for number, good in ((1, 10), (2, 7)):
            Ledger.target.book(ORDER, {"operation/0010/yield/H87": Decimal(good)}, f"hand-{number}")
        ended = await run("effects", "resolve", ids[2], "--sink", "sap", "--not-posted", "--reason", "no")
        assert (ended.code, "it is queued there" in ended.err) == (1, True)
        assert (await resolve(ids[0], "--posted", "hand-1")).code == 0
        assert (await resolve(ids[2], "--posted", "wrong")).code == 0
        assert (await resolve(ids[2], "--not-posted")).code == 0
        unknown = await resolve("00000000-0000-8000-8000-000000000000", "--posted", "hand-9")
        assert (unknown.code, "neither in doubt nor parked" in unknown.err) == (1, True)
    assert (await resolve(ids[1], "--posted", "hand-2")).code == 0
    async with node(folder, registry) as router:
        assert (await run("resume", "sap")).code == 0
        await settled(router)
        found = (await read(run, "effects", "list"))["effects"]
        assert {one["id"]: one["reference"] for one in found} == dict(
            zip(ids, ("hand-1", "hand-2", "49-R-3"), strict=True)
        )
        shown = {one: (await read(run, "effects", "show", one))[0]["booked"] for one in ids}
        assert [bool(shown[one]) for one in ids] == [True, True, False]
        assert (shown[ids[0]]["why"], bool(shown[ids[0]]["who"])) == ("by hand", True)
        assert ": by hand" in (await run("effects", "show", ids[0])).out
        # A running total goes on from all three.
        assert await router.follower.books("sap").posted(ORDER) == {"operation/0010/yield/H87": Decimal(22)}
        again = await resolve(ids[0], "--posted", "hand-1")
        assert (again.code, "delivered there as hand-1" in again.err) == (1, True)
        compared = await read(run, "reconcile", "--order", "4711")
        assert compared["differences"] == 0
    assert Ledger.target.held[ORDER]["operation/0010/yield/H87"].documents == ("hand-1", "hand-2", "49-R-3")


async def test_what_is_booked_by_hand_is_in_the_log_and_needs_no_database(folder, registry, run):
    async with node(folder, registry) as router:
        assert (await run("pause", "sap")).code == 0
        await router.submit("mes", [done(1, "10"), done(2, "7")])
        ids = [event["id"] for event in (await read(run, "trace", ORDER))["events"]]
        booked = await run(
            "effects", "resolve", ids[0], "--sink", "sap", "--posted", "hand-1", "--reason", "by hand"
        )
        assert booked.code == 0
    for path in (folder / "data").glob("effects.*"):
        path.unlink()
    async with node(folder, registry) as router:
        assert (await run("resume", "sap")).code == 0
        await settled(router)
        found = (await read(run, "effects", "list"))["effects"]
        assert {one["id"]: one["reference"] for one in found} == dict(
            zip(ids, ("hand-1", "49-R-2"), strict=True)
        )
    assert Ledger.target.held[ORDER]["operation/0010/yield/H87"].documents == ("49-R-2",)


async def test_an_event_that_was_posted_before_the_log_began_is_not_posted_again(folder, registry):
    async with node(folder, registry) as router:
        await router.submit("mes", [done(1)])
        await settled(router)
    for path in (folder / "data").iterdir():
        if path.name in ("node", "streams"):
            path.rename(folder / f"old-{path.name}")
    (folder / "data" / "effects.life").unlink()
    async with node(folder, registry) as router:
        await router.submit("mes", [done(1), done(2)])
        await settled(router)
        assert await router.follower.ask(lambda connection: len(questions.effects(connection))) == 2
    assert Ledger.target.held[ORDER]["operation/0010/yield/H87"].amount == 20


async def test_what_agrees_is_compared_without_a_difference(folder, registry, run):
    async with node(folder, registry) as router:
        receipt = message("RECEIVED", 9, "20")
        await router.submit("mes", [done(1, used=[("RM", "1.5"), ("RM", "0.25")]), done(2, "0.125"), receipt])
        await router.submit("mes", [done(3, order="4712")])
        await settled(router)
        Ledger.target.held["order/DE04/4712"] = {"operation/0010/yield/H87": Held(amount=Decimal(10))}
        # The poster of the test books everything on one order.
        Ledger.target.book(ORDER, {"operation/0010/yield/H87": Decimal(-10)}, "moved")
        found = await read(run, "reconcile", "--order", "4711")
        (order,) = found["orders"]
        rows = {row["name"]: row for row in order["rows"]}
        assert rows["operation/0010/yield/H87"]["sinks"]["sap"]["held"] == "10.125"
        assert rows["movement/261/RM/KGM"]["sinks"]["sap"]["reported"] == "1.75"
        assert {sink: side["posted"] for sink, side in rows["movement/101/FG-1/H87"]["sinks"].items()} == {
            "sap": "20", "wms": "20",
        }  # fmt: skip
        assert (found["differences"], found["unread"]) == (0, {})
        ended = await run("reconcile", "--since", "1h")
        assert (ended.code, ended.out) == (0, "2 orders compared, no difference\n"), ended.out
        await read(run, "reconcile", "--order", ORDER)
    ended = await run("reconcile", "--order", "4711")
    assert (ended.code, "1 order compared, no difference" in ended.out) == (0, True), ended.out + ended.err
    assert "no node runs on" in ended.err


async def test_a_difference_names_the_events_and_documents_behind_it(folder, registry, run):
    Ledger.target.answers = {"R-2": Refused("http_422", "period closed")}
    Delivered.target.answers = {"R-9": Refused("http_409", "no such pallet")}
    async with node(folder, registry) as router:
        receipt = message("RECEIVED", 9, "20")
        await router.submit("mes", [done(1, used=[("RM", "1")]), done(2, "5"), done(3, "1"), receipt])
        await settled(router)
        Ledger.target.book(ORDER, {"movement/261/RM/KGM": Decimal("0.5")}, "by-hand-7")
        found = await read(run, "reconcile", "--order", "4711", code=1)
        rows = {row["name"]: row["sinks"] for row in found["orders"][0]["rows"]}
        confirmed = rows["operation/0010/yield/H87"]["sap"]
        assert (confirmed["reported"], confirmed["posted"], confirmed["difference"]) == ("16", "10", "-6")
        assert [(one["report"], one["amount"], one["state"], one["said"]) for one in confirmed["open"]] == [
            ("R-2", "5", "parked", "http_422 period closed"), ("R-3", "1", "waiting behind", ""),
        ]  # fmt: skip
        used = rows["movement/261/RM/KGM"]["sap"]
        assert (used["difference"], used["unknown_documents"]) == ("0.5", ["by-hand-7"])
        assert rows["movement/101/FG-1/H87"]["wms"]["difference"] == "-20"
        assert rows["movement/101/FG-1/H87"]["sap"]["difference"] == "-20"
        ended = await run("reconcile", "--order", "4711", "--sink", "sap")
        assert ended.code == 1
        assert "sap: operation/0010/yield/H87 is 6 less than was reported" in ended.out
        assert "R-2 of 5 is parked: http_422 period closed" in ended.out
        assert "document by-hand-7 was not posted from here" in ended.out
        assert "wms" not in ended.out
        assert "1 order compared, 1 with differences" in ended.out


async def test_an_effect_that_was_taken_back_in_the_target_is_a_difference(folder, registry, run):
    async with node(folder, registry) as router:
        await router.submit("mes", [done(1), done(2, "5")])
        await settled(router)
        Ledger.target.held[ORDER] = {
            "operation/0010/yield/H87": Held(amount=Decimal(10), documents=("49-R-1",))
        }
        ended = await run("reconcile", "--order", "4711")
        assert ended.code == 1
        assert "R-2 of 5 was posted as 49-R-2, which does not count there" in ended.out


@pytest.mark.parametrize(
    "why", [Disconnected("erp.example does not answer"), AdapterError("may not read orders")]
)
async def test_a_target_that_cannot_be_asked_is_said_and_ends_with_69(folder, registry, run, why):
    async with node(folder, registry) as router:
        await router.submit("mes", [done(1)])
        await settled(router)
        Ledger.target.away = why
        ended = await run("reconcile", "--order", "4711")
        assert (ended.code, f"sap could not be asked, and counts by what was delivered to it: {why}" in ended.err) == (
            69, True,
        )  # fmt: skip
        assert (await read(run, "reconcile", "--since", "1h", code=69))["unread"] == {"sap": str(why)}


async def test_what_cannot_be_compared_is_refused(folder, registry, run):
    async with node(folder, registry):
        assert (await run("reconcile")).code == 2
        assert (await run("reconcile", "--order", "1", "--since", "1h")).code == 2
        assert (await run("reconcile", "--since", "some time")).code == 2
        ended = await run("reconcile", "--order", "999")
        assert (ended.code, "no order is known as `999`" in ended.err) == (1, True)
        ended = await run("reconcile", "--since", "1h", "--sink", "nobody")
        assert (ended.code, "no sink is called `nobody`" in ended.err) == (2, True), ended.err
        assert (await run("reconcile", "--since", "1h")).out == "0 orders compared, no difference\n"
