"""What was posted is taken back once: by a person who asks for it, and by an event that says so."""

import asyncio
import json
import re
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from mfgroute import project as projects
from mfgroute.adapter import Config, Effect, Poster, Request
from mfgroute.api.node import Router
from mfgroute.cli import main
from mfgroute.events import Done
from mfgroute.registry import Registry
from mfgroute.runtime.tempo import Tempo
from mfgroute.testing.simulators.s4 import ROOT, Fault, S4Setup, S4Simulator
from tests.effects.test_s4 import MAPPINGS, PROJECT, STOCK, message
from tests.testing.s4.client import order

ORDER = "order/1010/1004711"
SOURCE = "  asked: {adapter: effects, poll_s: 0.02, mappings: [effect-posted, effect-refused, reversal-requested]}\n"
ROUTE = "  - {name: reversals, match: {type: integration.reversal.requested/1}, to: sap}\n"
MAIN = (
    PROJECT.replace("packs: [canonical]", "packs: [canonical, effects]")
    .replace("sinks:\n", f"{SOURCE}sinks:\n", 1)
    .replace('{name: all, match: {type: ">"}, to: sap}', '{name: all, match: {type: ">", source: mes}, to: sap}')
    + ROUTE
)  # fmt: skip
RM = [{"mat": "RM-555", "qty": "5"}]


@asynccontextmanager
async def plant(folder, capsys, text, adapters=None):
    """An ERP, and a node that posts to it."""
    async with S4Simulator(setup=S4Setup(orders=[order()], stock=[STOCK])) as erp:
        files = {f"mappings/{name}.yaml": mapping for name, mapping in MAPPINGS.items()}
        for name, content in {
            "mfgroute.yaml": text.replace("URL", erp.url + ROOT.rstrip("/")),
            **files,
        }.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        (folder / "inbox").mkdir()
        erp.switch(negative_stock=False)

        async def run(*arguments):
            capsys.readouterr()
            code = await asyncio.to_thread(main, [str(one) for one in arguments])
            out, err = capsys.readouterr()
            return SimpleNamespace(code=code, out=out, err=err)

        async def read(*arguments):
            found = await run(*arguments, "--output", "json")
            assert found.code == 0, found.out + found.err
            return json.loads(found.out)

        async def until(question):
            async with asyncio.timeout(30):
                while not (found := await question()):  # noqa: ASYNC110 - the engine tells nobody
                    await asyncio.sleep(0.01)
                return found

        async with Router(folder, adapters=adapters, tempo=Tempo(poll_s=0.02)) as router:

            async def settled():
                async def idle():
                    return not any(router.queued().values())

                await until(idle)

            async def submit(*messages):
                """Ids of the events, once nothing can be done for them any more."""
                assert (await router.submit("mes", list(messages))).accepted == len(messages)
                await settled()
                found = await read("trace", ORDER)
                return [one["id"] for one in found["events"] if one["source"].endswith("/mes")]

            yield SimpleNamespace(
                erp=erp, router=router, submit=submit, settled=settled, run=run, read=read, until=until
            )


@pytest.fixture
def at(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    return lambda text=MAIN, **more: plant(tmp_path, capsys, text, **more)


def done(erp):
    return [one["what"] for one in erp.ledger.effects()]


def types(erp, material="RM-555"):
    return erp.ledger.totals()["1004711"]["materials"][material]["types"]


async def test_a_confirmation_is_taken_back_with_its_movements_once_however_often_it_is_asked_for(at):
    async with at() as here:
        (event,) = await here.submit(message("DONE", 1, good="10", scrap="1", used=RM))
        ask = ["effects", "reverse", event, "--reason", "counted twice"]
        plan = await here.read(*ask, "--dry-run")
        assert plan["does"].startswith("cancels confirmation 10047111/1;"), plan
        assert plan["amounts"] == {
            "operation/0010/yield/H87": "-10", "operation/0010/scrap/H87": "-1", "movement/261/RM-555/KGM": "-5",
        }  # fmt: skip
        assert (plan["sink"], plan["sent"], plan["before"]) == ("sap", False, None)
        refused = await here.run(*ask)
        assert (refused.code, "add `--yes`" in refused.err) == (2, True), refused
        assert done(here.erp) == ["confirmation"]

        asked = await here.run(*ask, "--yes")
        assert (asked.code, plan["reversal"] in asked.out) == (0, True), asked
        await here.settled()
        again = await here.run("effects", "reverse", event, "--reason", "said otherwise", "--yes")
        assert again.code == 0
        assert f"has a reversal already, {plan['reversal']}: posted as 10047111/2" in again.out
        await here.settled()
        assert done(here.erp) == ["confirmation", "confirmation_reversal"]
        assert types(here.erp) == {"261": "5.000", "262": "5.000"}
        assert here.erp.ledger.duplicates == 0

        (one,) = await here.read("effects", "show", event)
        assert one["reversed_by"] == {"id": plan["reversal"], "state": "posted", "reference": "10047111/2"}
        (one,) = await here.read("effects", "show", plan["reversal"])
        assert (one["reverses"], one["event"]["data"]["reason"]) == (event, "counted twice")
        listed = (await here.run("effects", "list")).out
        assert "posted, reversed" in listed
        assert "posted, a reversal" in listed
        assert f"reversed by {plan['reversal']}" in (await here.run("trace", ORDER)).out
        compared = await here.run("reconcile", "--order", "1004711")
        assert (compared.code, "had 10047111/1 reversed: counted twice" in compared.out) == (0, True), (
            compared
        )
        # A reversal is taken back by posting the report again, not by another reversal.
        back = await here.run("effects", "reverse", plan["reversal"], "--reason", "it was right", "--dry-run")
        assert (back.code, "post that again instead" in back.err) == (1, True), back


async def test_documents_that_were_posted_alone_are_taken_back_by_the_opposite_movement(at):
    async with at() as here:
        used, received = await here.submit(message("USED", 1, qty="2.125"), message("RECEIVED", 2, qty="10"))
        for event, said in ((used, "262 for 261"), (received, "102 for 101")):
            asked = await here.run("effects", "reverse", event, "--reason", "wrong order", "--yes")
            assert (asked.code, said in asked.out) == (0, True), asked
        await here.settled()
        assert types(here.erp) == {"261": "2.125", "262": "2.125"}
        assert types(here.erp, "FG-900") == {"101": "10.000", "102": "10.000"}
        assert (await here.run("reconcile", "--order", "1004711")).code == 0


async def test_what_is_asked_of_a_node_that_does_not_run_is_posted_when_it_does(at):
    async with at() as here:
        (event,) = await here.submit(message("USED", 1, qty="1"))
        await here.router.stop()
        ask = ["effects", "reverse", event, "--reason", "wrong lot"]
        look = await here.run(*ask, "--dry-run")
        assert (look.code, "this is what it has kept" in look.err) == (0, True), look
        asked = await here.run(*ask, "--yes")
        assert (asked.code, "done when one starts" in asked.err) == (0, True), asked
        assert "waiting to be sent" in (await here.run(*ask, "--yes")).out
        assert done(here.erp) == ["material_document"]
        async with Router(Path.cwd(), tempo=Tempo(poll_s=0.02)):

            async def reversed_():
                return "posted as 4900000002/" in (await here.run(*ask, "--yes")).out

            await here.until(reversed_)
        assert types(here.erp) == {"261": "1.000", "262": "1.000"}


async def test_what_was_not_posted_is_not_reversed_and_the_person_reads_why(at):
    async with at() as here:
        (refused,) = await here.submit(message("USED", 1, qty="999"))

        async def answer(*arguments):
            found = await here.run("effects", "reverse", *arguments, "--reason", "counted twice", "--yes")
            assert found.code == 1, found
            return found.err

        said = await answer(refused)
        assert f"event {refused} is not posted but refused at sap: it waits for a person" in said
        assert "has no effect: nothing was posted for it" in await answer("0" * 8)
        other = await here.run(
            "effects", "reverse", refused, "--sink", "sax", "--reason", "counted twice", "--yes"
        )
        assert (other.code, "no sink is called `sax`" in other.err) == (2, True), other
        assert (await here.run("effects", "reverse", refused, "--reason", " ", "--yes")).code == 2
        await here.run(
            "effects", "resolve", refused, "--sink", "sap", "--posted", "by hand", "--reason", "seen"
        )
        assert "names no document of the target" in await answer(refused)
        assert done(here.erp) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MAIN.replace(", reversal-requested]", "]"), "this node takes no reversals at sap"),
        (MAIN.replace(ROUTE, ""), "no route leads `integration.reversal.requested/1` from asked to sap"),
    ],
)
async def test_a_node_that_takes_no_reversals_says_what_its_project_lacks(at, text, said):
    async with at(text) as here:
        (event,) = await here.submit(message("USED", 1, qty="1"))
        found = await here.run("effects", "reverse", event, "--reason", "wrong lot", "--yes")
        assert (found.code, said in found.err) == (1, True), found
        assert "hint: add the mapping `reversal-requested`" in found.err
        assert done(here.erp) == ["material_document"]


async def test_a_reversal_that_was_given_up_can_be_asked_for_again(at):
    async with at() as here:
        (event,) = await here.submit(message("USED", 1, qty="1"))
        here.erp.misbehave(Fault(kind="refuse", message="period_closed", path="Cancel", times=1))
        ask = ["effects", "reverse", event, "--reason", "wrong lot", "--yes"]
        assert (await here.run(*ask)).code == 0
        await here.settled()
        (parked,) = await here.read("parked", "list")
        again = await here.run(*ask)
        assert (again.code, f"has a reversal already, {parked['id']}: refused" in again.out) == (0, True), (
            again
        )
        assert "posted, to be reversed" in (await here.run("effects", "list")).out
        skip = ["parked", "skip", parked["number"], "--sink", "sap", "--reason", "next month"]
        assert (await here.run(*skip)).code == 0
        second = await here.read(*ask)
        assert second["reversal"] != parked["id"]
        await here.settled()
        assert types(here.erp) == {"261": "1.000", "262": "1.000"}


class Undoes(Poster):
    """Posts everything, and takes everything back."""

    Config = Config

    def __init__(self, config, context):
        pass

    @property
    def effect(self):
        return Effect(by="key")

    async def render(self, event, books):
        return Request(key=event.id, body=b"{}")

    async def post(self, requests):
        return [Done("49") for _ in requests]

    def reverse(self, request, reference, *, posted, reason=""):
        return Request(key=f"undo {request.key}", body=b"{}")

    def describe(self, request, reversal):
        return "undoes it"


async def test_what_one_sink_has_reversed_stays_posted_at_the_other_and_can_be_reversed_there(
    at, monkeypatch
):
    registry = Registry({}, {"undoes": Undoes})
    monkeypatch.setattr(projects, "Registry", lambda: registry)
    sinks = "".join(f"  {name}: {{adapter: undoes, owner: tests}}\n" for name in ("sap", "wms"))
    text = re.sub(r"(?s)  sap:.*?routes:", f"{sinks}routes:", MAIN).replace("to: sap", "to: [sap, wms]")
    async with at(text, adapters=registry) as here:
        (event,) = await here.submit(message("DONE", 1, good="10", used=[]))

        async def reversed_at():
            await here.settled()
            shown = await here.read("effects", "show", event)
            return sorted(one["sink"] for one in shown if one["reversed_by"] is not None)

        for sink, so_far in (("sap", ["sap"]), ("wms", ["sap", "wms"])):
            asked = await here.read("effects", "reverse", event, "--sink", sink, "--reason", "twice", "--yes")
            assert (asked["before"], asked["sent"]) == (None, True)
            assert await reversed_at() == so_far


async def test_what_a_person_and_the_plant_take_back_is_taken_off_the_books_once(at):
    async with at() as here:
        (event,) = await here.submit(message("DONE", 1, good="10", basis="total", used=[]))
        # The request of the person is not done, and looked up after the timeout; meanwhile the plant reverses.
        here.erp.misbehave(Fault(kind="error", when="before", times=1, path="Cancel"))
        assert (await here.run("effects", "reverse", event, "--reason", "counted twice", "--yes")).code == 0

        async def failed():
            return here.erp.ledger.mischief.get("error")

        await here.until(failed)
        await here.router.submit("mes", [message("REVERSED", 2, reverses="R-1")])
        await here.settled()
        assert done(here.erp) == ["confirmation", "confirmation_reversal"]
        listed = await here.read("effects", "list")
        assert [one["state"] for one in listed["effects"] if one["reverses"] == event] == ["posted"] * 2
        # What comes then is the difference to what the books say was made.
        await here.submit(message("DONE", 3, good="4", basis="total", used=[]))
        assert here.erp.ledger.totals()["1004711"]["operations"]["0010"]["yield"] == "4.000"
        compared = await here.run("reconcile", "--order", "1004711")
        assert compared.code == 0, compared.out
