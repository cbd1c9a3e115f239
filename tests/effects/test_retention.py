"""What the database lets go of, and what keeps an event from being posted twice whatever it has let go of."""

import asyncio
import contextlib
import time
from decimal import Decimal
from random import Random

import pytest
from sqlalchemy import func, select

from mfgroute.cli.outcomes import outcome
from mfgroute.config.load import read_project
from mfgroute.effects import lines, questions, retention, tables
from mfgroute.errors import ConfigError
from mfgroute.runtime.follower import Follower
from mfgroute.runtime.tempo import Tempo
from tests.effects.test_node import PROJECT
from tests.effects.test_node import folder as folder  # noqa: PLC0414 - fixtures of that file
from tests.effects.test_node import registry as registry  # noqa: PLC0414

from .feed import Feed

LIFE = "a" * 32
ORDER = "order/DE04/4711"
NOW = 1_795_000_000_000
DAY = 86_400_000


def take(database, feed, after=0, life=LIFE):
    return database.take("sap", life, lines.read(feed.effects("sap", after, 10_000)))


def asked(database, question, *arguments, **named):
    with database.reading() as connection:
        return question(connection, *arguments, **named)


def forget(database, until_ms=NOW + DAY):
    """Let go of everything that may go before a time; answers how many effects went."""
    gone = 0
    with database.reading() as connection:
        horizon = select(tables.ABOUT.c.value).where(tables.ABOUT.c.name == "forgotten_ms")
        while True:
            there = connection.execute(horizon).scalar() == str(until_ms)
            found = retention.forget(connection, until_ms, rows_max=3)
            gone += found.count
            if there and not found.more:
                return gone


def ids(database):
    return {one["id"] for one in asked(database, questions.effects)}


def size(database, table):
    return asked(
        database, lambda connection: connection.execute(select(func.count()).select_from(table)).scalar()
    )


def test_of_a_posted_effect_id_and_document_stay_for_ever(open_database, feed):
    database = open_database()
    for number in range(10):
        feed.post("sap", f"e{number}", reference=f"49-{number}", amounts={"yield": "1"})
    feed.intend("sap", "by-hand", amounts={"yield": "4"})
    feed.say("sap", "by-hand", "skipped", reference="49-h")
    take(database, feed)
    assert forget(database) == 11
    assert ids(database) == set()
    assert size(database, tables.CHANGES) == 0
    known = asked(database, questions.was_posted, "sap", [f"e{n}" for n in range(10)] + ["by-hand", "new"])
    assert known == {f"e{n}": f"49-{n}" for n in range(10)} | {"by-hand": "49-h"}
    assert asked(database, questions.was_posted, "wms", ["e1"]) == {}
    assert asked(database, questions.posted, "sap", ORDER) == {"yield": Decimal(14)}
    assert asked(database, questions.past, ORDER) == 11
    assert database.taken("sap", LIFE).number == 22
    for called, count in ((ORDER, 11), ("e3", 1), ("49-3", 1), ("49", 0), ("", 0)):
        found = asked(database, questions.find, called)
        assert len(found) == count, called
        assert {(one["sink"], one["key"], one["event"]) for one in found} <= {("sap", ORDER, None)}
    (one,) = asked(database, questions.find, "49-h")
    assert outcome(one) == f"posted by hand as 49-h at {one['last']}"


@pytest.mark.parametrize("state", ["planned", "intent", "accepted", "in_doubt", "refused", "gave_up"])
def test_what_is_not_at_its_end_stays_with_everything(open_database, feed, state):
    database = open_database()
    feed.intend("sap", "open", thing="effect/1")
    if state != "intent":
        feed.say("sap", "open", state, key="key-open", attempt=1)
    take(database, feed)
    assert forget(database, NOW + 5 * DAY) == 0
    (one,) = asked(database, questions.show, "open")
    assert one["event"]["data"]["report"] == "R-open"
    assert one["history"][0]["state"] == "intent"


@pytest.mark.parametrize("state", ["skipped", "superseded", "dropped"])
def test_what_ended_without_effect_goes_whole(open_database, feed, state):
    database = open_database()
    feed.intend("sap", "e1")
    feed.say("sap", "e1", state, reference="other" if state == "superseded" else None)
    take(database, feed)
    assert forget(database) == 1
    assert (size(database, tables.EFFECTS), size(database, tables.PAST), size(database, tables.CHANGES)) == (
        0,
        0,
        0,
    )


def test_effects_of_an_order_go_together_and_those_of_other_keys_each_by_itself(open_database, feed):
    database = open_database()
    feed.post("sap", "old", at_ms=NOW)
    feed.post("sap", "machine-old", thing="equipment/DE04/P7")
    feed.say("sap", "machine-new", "planned", at_ms=NOW + 30 * DAY)
    take(database, feed)
    feed.intend("sap", "late")
    feed.say("sap", "late", "in_doubt", reason="no answer")
    take(database, feed, after=5)
    assert forget(database, NOW + 2 * DAY) == 1
    assert ids(database) == {"old", "late", "machine-new"}
    feed.say("sap", "late", "posted", reference="49-2")
    take(database, feed, after=7)
    assert forget(database, NOW + 4 * DAY) == 2
    assert ids(database) == {"machine-new"}


def test_a_transaction_takes_whole_orders(open_database, feed):
    database = open_database()
    for number in range(8):
        feed.post("sap", f"e{number}", thing=f"order/DE04/{number % 2}")
    take(database, feed)
    counts = []
    for _ in range(4):
        with database.reading() as connection:
            counts.append(retention.forget(connection, NOW + DAY, rows_max=1).count)
    assert counts == [4, 4, 0, 0]


def test_a_reversal_stays_as_long_as_what_it_takes_back(open_database, feed):
    database = open_database()
    feed.post("sap", "original", thing="lot/1")
    feed.post("sap", "reversal", thing="lot/2")
    feed.intend("sap", "open", thing="lot/1")
    take(database, feed)
    with database.reading() as connection:
        row = tables.EFFECTS.update().where(tables.EFFECTS.c.id == "reversal")
        connection.execute(row.values(reverses="original"))
        assert retention.forget(connection, NOW + DAY).count == 1
        assert retention.forget(connection, NOW + DAY).count == 1
    assert ids(database) == {"open"}


def test_what_is_told_again_of_a_forgotten_effect_counts_once(open_database, feed):
    database = open_database()
    feed.post("sap", "e1", amounts={"yield": "10"})
    take(database, feed)
    assert forget(database) == 1
    # A restored log begins it once more; a replay posts it once more, under the same key.
    again = Feed()
    again.intend("sap", "e1", amounts={"yield": "10"})
    again.say("sap", "e1", "in_doubt", reason="no answer")
    take(database, again, life="b" * 32)
    assert asked(database, questions.was_posted, "sap", ["e1"]) == {"e1": "4900000001"}
    again.say("sap", "e1", "posted", reference="4900000001")
    take(database, again, after=2, life="b" * 32)
    assert asked(database, questions.posted, "sap", ORDER) == {"yield": Decimal(10)}
    assert asked(database, questions.past, ORDER) == 0
    assert forget(database, NOW + 3 * DAY) == 1
    assert asked(database, questions.was_posted, "sap", ["e1"]) == {"e1": "4900000001"}


def test_a_replay_to_a_target_that_still_knows_the_key_is_answered_as_before(open_database, feed):
    database = open_database()
    feed.post("sap", "e1")
    take(database, feed)
    spans = [(NOW - DAY, NOW + DAY), (NOW + DAY, NOW + 2 * DAY), (0, 0), None]
    before = [asked(database, questions.was_posted, "sap", ["e1"], span) for span in spans]
    assert forget(database) == 1
    assert [asked(database, questions.was_posted, "sap", ["e1"], span) for span in spans] == before
    assert [bool(one) for one in before] == [False, True, True, True]


def test_a_clock_that_jumps_lets_go_of_a_day_at_a_time_and_one_set_back_of_nothing(open_database, feed):
    database = open_database()
    for day in range(10):
        feed.post("sap", f"e{day}", thing=f"order/DE04/{day}", at_ms=NOW + day * DAY)
    take(database, feed)
    left = []
    for _ in range(5):
        database.forget(NOW + 400 * DAY)
        left.append(len(ids(database)))
    assert left == [9, 8, 7, 6, 5]
    database.forget(NOW)
    assert len(ids(database)) == 5


def test_a_database_of_a_version_before_can_let_go(open_database, feed):
    database = open_database()
    feed.post("sap", "e1")
    take(database, feed)
    with database.reading() as connection:
        tables.PAST.drop(connection)
        connection.execute(tables.ABOUT.update().where(tables.ABOUT.c.name == "version").values(value="2"))
    database = open_database()
    assert forget(database) == 1
    assert asked(database, questions.was_posted, "sap", ["e1"]) == {"e1": "4900000001"}


@contextlib.asynccontextmanager
async def following(feed, folder, url, keep_s):
    tempo = Tempo(poll_s=0.01, forget_s=0.0)
    follower = Follower(
        feed, folder=folder, url=url, node="core-1", keep_s=keep_s, tempo=tempo, random=Random(1)
    )
    await follower.start(["sap"])
    try:
        yield follower
    finally:
        await follower.stop()


async def test_a_follower_lets_go_by_itself_and_takes_what_comes_meanwhile(feed, tmp_path, url):
    at_ms = int(time.time() * 1000)
    for number in range(600):
        feed.post("sap", f"old{number}", at_ms=at_ms - 40 * DAY, thing=f"order/DE04/{number}")
    feed.post("sap", "new", at_ms=at_ms)
    async with following(feed, tmp_path, url, 30 * 86_400.0) as follower, asyncio.timeout(60):
        while [one["id"] for one in await follower.ask(questions.effects)] != ["new"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        names = [f"old{number}" for number in range(600)]
        assert len(await follower.was_posted("sap", [*names, "new", "never"])) == 601


def test_effects_are_kept_longer_than_events_that_can_be_replayed(folder, registry):
    file = folder / "mfgroute.yaml"
    durable = PROJECT.replace("durability: memory", "durability: fsync")
    assert "durability: fsync" in durable
    file.write_text(durable.replace("streams:", "effects: {keep: 6d}\nstreams:", 1))
    with pytest.raises(
        ConfigError, match=r"`effects\.keep` is 6d, and the stream `\w+` keeps its events for 7d"
    ):
        read_project(folder, registry, environ={})
    file.write_text(durable.replace("streams:", "effects: {keep: 7d}\nstreams:", 1))
    assert read_project(folder, registry, environ={}).model.effects.keep == 7 * 86_400
