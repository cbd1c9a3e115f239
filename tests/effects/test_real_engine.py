"""The follower on a real engine: what a log says of effects comes to the database over every restart."""

import asyncio
import json
from decimal import Decimal

import pytest
from sqlalchemy import select

import mfgroute
from mfgroute.effects import questions
from mfgroute.effects.tables import TAKEN
from mfgroute.runtime.follower import Follower
from mfgroute.runtime.tempo import Tempo
from tests.engine.conftest import CONTRACT, MAIN, MAPPING, MATERIALS, message

ORDER = "order/DE04/4711"
DURABLE = MAIN.replace("durability: memory, capacity: 64MiB", "durability: fsync, capacity: 16MiB")


@pytest.fixture
def open_engine(tmp_path):
    """Opens the engine of a project on its data folder; closes those that are open."""
    for name, text in {
        "mfgroute.yaml": DURABLE,
        "contracts/production.operation.completed.v1.yaml": CONTRACT,
        "mappings/mes-a.yaml": MAPPING,
        "lookups/materials.csv": MATERIALS,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "data").mkdir()
    engines = []

    def make():
        engine = mfgroute.Engine(mfgroute.load_plan(tmp_path), data_dir=str(tmp_path / "data"))
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.close()


def intend(batch, event, amount="1"):
    """Write the request of an event down."""
    about = {
        "object": event.key,
        "amounts": {"yield": amount},
        "sha256": "00",
        "event": json.loads(event.json),
    }
    batch.intend([(event, f"key-{event.id}", b"body", json.dumps(about).encode())])


def step(engine, outcome, amount="1"):
    """Hand out one event, write its request down, and say what became of it; answers its id."""
    with engine.poll("erp", events_max=1, wait_s=5.0) as batch:
        (event,) = batch
        if event.begun is None:
            intend(batch, event, amount)
        else:
            batch.intend([(event, "", b"", b"")])
        outcome(batch, event)
        return event.id


async def durable(engine, upto):
    """Wait until the line with a number can be read."""
    async with asyncio.timeout(30):
        while not engine.effects("erp", upto - 1, 1):  # noqa: ASYNC110 - the engine tells nobody
            await asyncio.sleep(0.005)


async def taken(following, upto):
    """Wait until the line with a number is durable, and in the database."""
    number = select(TAKEN.c.number)
    async with asyncio.timeout(30):
        there = lambda connection: connection.execute(number).scalar() or 0  # noqa: E731
        while await following.ask(there) < upto:  # noqa: ASYNC110 - the engine tells nobody
            await asyncio.sleep(0.005)


def follower(engine, folder, url):
    return Follower(engine, folder=folder, url=url, node="test", tempo=Tempo(poll_s=0.01))


async def test_effects_of_a_real_engine_come_to_the_database_over_restarts(open_engine, tmp_path, url):
    folder = tmp_path / "data"
    engine = open_engine()
    engine.submit("mes-a", [message(number) for number in range(4)], ack="durable")
    following = follower(engine, folder, url)
    await following.start(["erp"])
    books = following.books("erp")

    first = step(engine, lambda batch, event: batch.done(event, reference="49-1"), "0.1")
    await taken(following, 2)
    assert await books.posted(ORDER) == {"yield": Decimal("0.1")}
    assert await following.was_posted("erp", [first]) == {first: "49-1"}
    second = step(engine, lambda batch, event: batch.in_doubt(event, "no answer"), "0.2")
    assert await following.was_posted("erp", [second]) == {}
    await taken(following, 4)
    await following.stop()

    # What comes while nobody follows waits in the log, also over a restart.
    parked = json.loads(engine.dead_letters(b'{"kind": "parked", "verb": "list"}'))
    number = next(one["number"] for one in parked if one["id"] == second)
    retry = {"kind": "parked", "verb": "retry", "number": number, "sink": "erp", "who": "tests"}
    engine.dead_letters(json.dumps(retry).encode())
    assert step(engine, lambda batch, event: batch.done(event, reference="49-2")) == second
    engine.close()
    engine = open_engine()
    assert engine.stats()["sinks"]["erp"]["effects_waiting"] >= 2
    following = follower(engine, folder, url)
    await following.start(["erp"])
    await taken(following, 6)
    assert await following.books("erp").posted(ORDER) == {"yield": Decimal("0.3")}
    third = step(engine, lambda batch, event: batch.refused(event, "http_422", "closed"), "5")
    await taken(following, 8)
    rows = await following.ask(lambda connection: questions.show(connection, third))
    assert (rows[0]["state"], rows[0]["code"], rows[0]["reason"]) == ("refused", "http_422", "closed")
    history = (await following.ask(lambda connection: questions.show(connection, second)))[0]["history"]
    assert [(one["number"], one["state"]) for one in history] == [
        (3, "intent"), (4, "in_doubt"), (5, "again"), (6, "posted"),
    ]  # fmt: skip
    assert following.followed().missing == {}
    await following.stop()


def test_nothing_is_lost_or_counted_twice_when_the_follower_never_says_what_it_took(open_engine, tmp_path):
    """As after a crash between the two: the lines come again, and change nothing."""
    folder = tmp_path / "data"
    engine = open_engine()
    engine.submit("mes-a", [message(number) for number in range(3)], ack="durable")

    class Forgetful:
        def __init__(self):
            self.effects = engine.effects

        def effects_taken(self, sink, upto):
            pass

    async def once():
        following = follower(Forgetful(), folder, None)
        await following.start(["erp"])
        posted = await following.books("erp").posted(ORDER)
        await following.stop()
        return posted

    for number in range(3):
        step(engine, lambda batch, event: batch.done(event, reference="49"))
        asyncio.run(durable(engine, 2 * number + 2))
        assert asyncio.run(once()) == {"yield": Decimal(number + 1)}
    assert engine.stats()["sinks"]["erp"]["effects_waiting"] == 6


async def test_an_event_is_handed_out_when_the_books_know_what_came_before_it(open_engine, tmp_path):
    engine = open_engine()
    engine.submit("mes-a", [message(number) for number in range(30)], ack="durable")
    following = follower(engine, tmp_path / "data", None)
    await following.start(["erp"])
    books = following.books("erp")
    for number in range(30):
        with engine.poll("erp", events_max=1, wait_s=5.0) as batch:
            (event,) = batch
            assert (await books.posted(ORDER)).get("yield", 0) == number
            intend(batch, event)
            batch.done(event)
    await following.stop()


async def test_a_sink_whose_lines_nobody_takes_stops_and_goes_on_when_they_are(open_engine, tmp_path):
    engine = open_engine()
    engine.submit("mes-a", [message(number) for number in range(64)], ack="durable")
    big = "x" * 1_000_000
    posted = 0

    def post():
        with engine.poll("erp", events_max=1, wait_s=5.0) as batch:
            (event,) = batch
            about = {"object": event.key, "amounts": {"yield": "1"}, "sha256": "", "event": {"data": big}}
            batch.intend([(event, "key", b"", json.dumps(about).encode())])
            batch.done(event)

    with pytest.raises(mfgroute.errors.NobodyFollows, match="nobody has read"):
        for _ in range(64):
            post()
            posted += 1
    following = follower(engine, tmp_path / "data", None)
    await following.start(["erp"])
    assert await following.books("erp").posted(ORDER) == {"yield": Decimal(posted)}
    post()
    await following.stop()


async def test_accepted_work_that_is_over_is_known_after_a_restart_and_no_document(open_engine, tmp_path):
    engine = open_engine()
    engine.submit("mes-a", [message(0)], ack="durable")

    def over(batch, event):
        batch.accepted(event, "job 7")
        batch.accepted(event, "")
        batch.retry(event, after_s=0.0, reason="locked")

    first = step(engine, over)
    await durable(engine, 3)
    engine.close()
    engine = open_engine()
    with engine.poll("erp", events_max=1, wait_s=5.0) as batch:
        (event,) = batch
        assert (event.begun.accepted, event.begun.key) == ("", f"key-{first}")
        assert event.begun.body == b"body"
        batch.retry(event, after_s=0.0, reason="locked")
    following = follower(engine, tmp_path / "data", None)
    await following.start(["erp"])
    assert await following.books("erp").posted(ORDER) == {}
    assert step(engine, lambda batch, event: batch.done(event, reference="49-1")) == first
    await taken(following, 5)
    (row,) = await following.ask(lambda connection: questions.show(connection, first))
    assert (row["state"], row["reference"]) == ("posted", "49-1")
    assert [one["state"] for one in row["history"]] == ["intent", "accepted", "accepted", "again", "posted"]
    await following.stop()
