"""The follower brings every line into the database once, in order, whatever goes down or ends in between."""

import asyncio
import contextlib
import threading
from decimal import Decimal
from random import Random

import pytest

from mfgroute.effects import questions
from mfgroute.effects.database import Database
from mfgroute.errors import DatabaseDown, DatabaseUnfit, SchemaNewer, UnknownName
from mfgroute.observe import health
from mfgroute.runtime import taker
from mfgroute.runtime.follower import Follower
from mfgroute.runtime.taker import LINES_MAX, Taker
from mfgroute.runtime.tempo import Tempo

from .feed import Feed

ORDER = "order/DE04/4711"
QUICK = Tempo(backoff_first_s=0.001, backoff_max_s=0.01, poll_s=0.01)


@contextlib.asynccontextmanager
async def following(feed, folder, url=None, *, sinks=("sap",), node="core-1"):
    follower = Follower(feed, folder=folder, url=url, node=node, tempo=QUICK, random=Random(1))
    await follower.start(sinks)
    try:
        yield follower
    finally:
        await follower.stop()


async def until(true):
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - a thread has no event to wait for
            await asyncio.sleep(0.005)


def rows(folder, url, question, *arguments, **named):
    database = Database(folder, url=url, node="core-1")
    try:
        with database.reading() as connection:
            return question(connection, *arguments, **named)
    finally:
        database.close()


async def test_lines_come_to_the_database_by_themselves_and_are_taken(feed, tmp_path, url):
    async with following(feed, tmp_path, url, sinks=("sap", "wms")) as follower:
        feed.post("sap", "e1", amounts={"yield": "10"})
        feed.post("wms", "w1")
        await until(lambda: not feed.left("sap") and not feed.left("wms"))
        assert await follower.books("sap").posted(ORDER) == {"yield": Decimal(10)}
        followed = follower.followed()
        assert (followed.behind, followed.failures, followed.why) == ({"sap": 0, "wms": 0}, 0, "")
    assert {one["id"] for one in rows(tmp_path, url, questions.effects)} == {"e1", "w1"}


async def test_the_books_know_what_was_said_just_before(feed, tmp_path, url):
    async with following(feed, tmp_path, url) as follower:
        books = follower.books("sap")
        total = Decimal()
        for number in range(25):
            feed.post("sap", f"e{number}", reference=f"49{number}", amounts={"yield": "0.3"})
            total += Decimal("0.3")
            assert await books.posted(ORDER) == {"yield": total}
            assert await follower.was_posted("sap", [f"e{number}", "other"]) == {f"e{number}": f"49{number}"}


async def test_more_lines_than_fit_into_one_transaction_keep_their_order(feed, tmp_path):
    for number in range(LINES_MAX):
        feed.post("sap", f"e{number}")
    feed.say("sap", "e0", "superseded")
    async with following(feed, tmp_path) as follower:
        assert await follower.was_posted("sap", ["e1"]) == {"e1": "4900000001"}
        await until(lambda: not feed.left("sap"))
    history = rows(tmp_path, None, questions.show, "e0")[0]["history"]
    assert [line["state"] for line in history] == ["intent", "posted", "superseded"]


async def test_what_was_left_is_taken_at_the_end(feed, tmp_path):
    async with following(feed, tmp_path, sinks=()) as follower:
        feed.post("sap", "e1")
        follower.follow(["sap"])
    assert feed.left("sap") == []


class Cut(Feed):
    """A feed whose reader dies at the n-th call, before or after the call did its work."""

    def __init__(self):
        super().__init__()
        self.left_calls = 10**9
        self.after = False

    def _call(self, call, *arguments):
        self.left_calls -= 1
        if not self.left_calls and not self.after:
            raise InterruptedError
        answer = call(*arguments)
        if not self.left_calls:
            raise InterruptedError
        return answer

    def effects(self, sink, after, count_max):
        return self._call(super().effects, sink, after, count_max)

    def effects_taken(self, sink, upto):
        return self._call(super().effects_taken, sink, upto)


@pytest.mark.parametrize("after", [False, True])
def test_a_follower_that_dies_at_any_call_goes_on_where_it_was(tmp_path, monkeypatch, after):
    monkeypatch.setattr(taker, "LINES_MAX", 4)
    for calls in range(1, 9):
        feed, folder = Cut(), tmp_path / f"{calls}"
        feed.after = after
        folder.mkdir()
        for number in range(5):
            feed.post("sap", f"e{number}", amounts={"yield": "1"})
        feed.left_calls = calls
        for _ in range(2):
            database = Database(folder, node="core-1")
            with contextlib.suppress(InterruptedError):
                Taker(feed, database, folder).drain("sap")
            database.close()
            feed.left_calls = 10**9
        assert rows(folder, None, questions.posted, "sap", ORDER) == {"yield": Decimal(5)}
        assert rows(folder, None, questions.missing) == {}
        assert feed.left("sap") == []


async def test_a_server_that_goes_away_is_waited_for_and_nothing_is_lost(feed, tmp_path, postgres):
    url = postgres.database()
    async with following(feed, tmp_path, url) as follower:
        feed.post("sap", "e1", amounts={"yield": "1"})
        assert await follower.books("sap").posted(ORDER) == {"yield": Decimal(1)}
        await asyncio.to_thread(postgres.crash)
        try:
            feed.post("sap", "e2", amounts={"yield": "1"})
            with pytest.raises(DatabaseDown, match="cannot be used"):
                await follower.was_posted("sap", ["e2"])
            await until(lambda: follower.followed().failures > 1)
            followed = follower.followed()
            assert followed.behind == {"sap": 2}
            assert followed.behind_s["sap"] > 0
            assert "cannot be used" in followed.why
            late = health.check([], {}, followed=health.Followed(**{
                name: getattr(followed, name) for name in followed.__struct_fields__
            } | {"failing_s": 9.0}))  # fmt: skip
            assert (late.ready, "effects are not in their database since 9 s" in late.problems[0]) == (
                False,
                True,
            )
        finally:
            await asyncio.to_thread(postgres.start)
        await until(lambda: not feed.left("sap"))
        await until(lambda: not follower.followed().failing_s)
        assert await follower.books("sap").posted(ORDER) == {"yield": Decimal(2)}


async def test_a_node_starts_without_its_server_and_follows_when_it_comes(feed, tmp_path, postgres):
    url = postgres.database()
    await asyncio.to_thread(postgres.crash)
    try:
        follower = Follower(feed, folder=tmp_path, url=url, node="core-1", tempo=QUICK)
        await follower.start(["sap"])
        feed.post("sap", "e1")
        await until(lambda: follower.followed().failures > 2)
    finally:
        await asyncio.to_thread(postgres.start)
    await until(lambda: not feed.left("sap"))
    await follower.stop()
    assert [one["id"] for one in rows(tmp_path, url, questions.effects)] == ["e1"]


async def test_a_password_is_in_no_message(feed, tmp_path):
    url = "postgresql://mfgroute:canary-4711@127.0.0.1:9/effects"
    pytest.importorskip("psycopg", reason="the driver for PostgreSQL is not installed")
    async with following(feed, tmp_path, url) as follower:
        with pytest.raises(DatabaseDown) as found:
            await follower.was_posted("sap", ["e1"])
    assert "canary" not in str(found.value)
    assert "127.0.0.1:9/effects" in str(found.value)


async def test_a_database_of_another_node_ends_the_start(feed, tmp_path, url):
    async with following(feed, tmp_path, url):
        pass
    with pytest.raises(SchemaNewer, match="node `core-1`"):
        async with following(feed, tmp_path, url, node="core-2"):
            pytest.fail("it started")


async def test_a_line_of_a_later_version_stops_the_follower_and_is_named(feed, tmp_path):
    feed.post("sap", "e1")
    feed.say("sap", "e2", "transcended")
    feed.post("sap", "e3")
    async with following(feed, tmp_path) as follower:
        await until(lambda: follower.followed().failures)
        with pytest.raises(DatabaseUnfit, match=r"behind number 0 is not understood.*transcended"):
            await follower.was_posted("sap", ["e1"])
    assert feed.left("sap") == [1, 2, 3, 4, 5]


async def test_a_folder_that_was_set_back_is_noticed_and_loses_nothing(feed, tmp_path):
    async with following(feed, tmp_path) as follower:
        for number in range(5):
            feed.post("sap", f"e{number}", amounts={"yield": "1"})
        await until(lambda: not feed.left("sap"))
        before = (tmp_path / "effects.life").read_text()
    feed.forget("sap", 4)
    feed.post("sap", "other", amounts={"yield": "1"})
    async with following(feed, tmp_path) as follower:
        assert await follower.books("sap").posted(ORDER) == {"yield": Decimal(6)}
        assert follower.followed().missing == {}
    assert (tmp_path / "effects.life").read_text() != before
    assert feed.left("sap") == []


async def test_what_was_booked_in_another_life_counts_until_somebody_says_otherwise(feed, tmp_path, url):
    """A log that is put back knows nothing of what a person has booked since, and its database does."""

    async def booked(follower):
        await follower.was_posted("sap", ["e1"])
        return dict(follower.booked_before("sap"))

    feed.post("sap", "e0")
    async with following(feed, tmp_path, url) as follower:
        for event in ("e1", "e2"):
            feed.say("sap", event, "booked", reference=f"49-{event}", reason="so", who="uid 7")
        await until(lambda: not feed.left("sap"))
        assert await booked(follower) == {}
    feed.forget("sap", 2)
    async with following(feed, tmp_path, url) as follower:
        assert await booked(follower) == {"e1": "49-e1", "e2": "49-e2"}
        feed.say("sap", "e1", "unbooked", reason="it was not", who="uid 7")
        feed.say("sap", "e2", "booked", reference="49-other", reason="so", who="uid 7")
        assert await booked(follower) == {}
        await until(lambda: not feed.left("sap"))
    async with following(feed, tmp_path, url) as follower:
        assert await booked(follower) == {}
    assert rows(tmp_path, url, questions.booked_before, "sap") == {"e2": "49-other"}


async def test_a_database_that_was_deleted_says_what_it_lacks(feed, tmp_path):
    async with following(feed, tmp_path):
        for number in range(3):
            feed.post("sap", f"e{number}")
        await until(lambda: not feed.left("sap"))
    for path in tmp_path.glob("effects.db*"):
        path.unlink()
    feed.post("sap", "e3")
    async with following(feed, tmp_path) as follower:
        await until(lambda: follower.followed().missing)
        followed = follower.followed()
        assert followed.missing == {"sap": 6}
        (note,) = health.check([], {}, followed=followed).notes
        assert "lacks 6 changes of sink sap" in note


async def test_a_sink_that_a_reload_removes_does_not_hold_up_the_others(feed, tmp_path, monkeypatch):
    real = Feed.effects

    def effects(self, sink, after, count_max):
        if sink == "gone":
            raise UnknownName("no sink is called `gone`")
        return real(self, sink, after, count_max)

    monkeypatch.setattr(Feed, "effects", effects)
    feed.post("sap", "e1")
    async with following(feed, tmp_path, sinks=("gone", "sap")) as follower:
        await until(lambda: not feed.left("sap"))
        followed = follower.followed()
        assert (followed.behind, followed.failures) == ({"gone": 0, "sap": 0}, 0)


async def test_the_loop_is_not_held_while_the_database_works(feed, tmp_path, monkeypatch):
    entered, go = threading.Event(), threading.Event()
    real = Database.take

    def slow(*arguments):
        entered.set()
        assert go.wait(30)
        return real(*arguments)

    monkeypatch.setattr(Database, "take", slow)
    feed.post("sap", "e1")
    async with following(feed, tmp_path) as follower:
        asking = asyncio.create_task(follower.was_posted("sap", ["e1"]))
        await until(entered.is_set)
        assert follower.followed().behind == {"sap": 2}
        go.set()
        assert await asking == {"e1": "4900000001"}


async def test_what_a_full_disk_keeps_out_of_the_database_is_found_in_the_log(feed, tmp_path, monkeypatch):
    async with following(feed, tmp_path) as follower:
        feed.post("sap", "e1")
        await until(lambda: not feed.left("sap"))

        def full(*_):
            raise DatabaseDown("database or disk is full")

        monkeypatch.setattr(Database, "take", full)
        feed.post("sap", "e2")
        assert set(await follower.was_posted("sap", ["e1", "e2", "e3"])) == {"e1", "e2"}
        with pytest.raises(DatabaseDown):
            await follower.books("sap").posted(ORDER)
