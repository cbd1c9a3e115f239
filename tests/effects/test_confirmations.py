"""The source `effects` reads each effect that has ended, in order, from SQLite and PostgreSQL alike."""

import asyncio
import contextlib
import json
from types import SimpleNamespace

import msgspec
import pytest

from mfgroute.adapter import Context, dec_hook
from mfgroute.adapters.effects import EffectsSource, changes
from mfgroute.effects import lines
from mfgroute.effects.database import Database
from mfgroute.errors import DatabaseUnfit, Disconnected, SchemaNewer

LIFE, LATER = "a" * 32, "b" * 32


@contextlib.asynccontextmanager
async def source(folder, url, resume=None, **settings):
    raw = {"poll_s": 0.01, **({"url": url} if url else {}), **settings}
    config = msgspec.convert(raw, EffectsSource.Config, dec_hook=dec_hook)
    one = EffectsSource(config, Context(name="done", data_dir=folder))
    try:
        await one.open(resume)
        yield one
    finally:
        await one.close()


async def read(one, count):
    """So many messages, and the last position."""
    found, position = [], None
    async with asyncio.timeout(10):
        while len(found) < count:
            intake = await one.read()
            found += [json.loads(message) for message in intake.messages]
            position = intake.position
    assert len(found) == count, found
    return found, position


def take(database, feed, sink="sap", life=LIFE):
    return database.take(sink, life, lines.read(feed.effects(sink, 0, 10_000)))


def ids(messages):
    return [one["event"] for one in messages]


async def test_what_ended_at_a_poster_is_a_message_and_nothing_else(open_database, feed, tmp_path, url):
    database = open_database()
    feed.post("sap", "posted", reference="4900000001/2026")
    feed.intend("sap", "refused")
    feed.say("sap", "refused", "refused", key="key-refused", attempt=2, code="http_422", reason="closed")
    for state in ("in_doubt", "again", "accepted", "gave_up"):
        feed.say("sap", "refused", state, attempt=3, reference="job-1")
    feed.say("sap", "refused", "skipped", attempt=3, reason="not needed")
    feed.intend("sap", "by-hand")
    feed.say("sap", "by-hand", "skipped", attempt=1, reference="49-7", reason="booked in CO11N")
    feed.intend("sap", "without")
    feed.say("sap", "without", "posted", attempt=1)
    take(database, feed)
    async with source(tmp_path, url) as one:
        found, _ = await read(one, 4)
    of = {
        "sink": "sap",
        "type": "com.example.production.operation.completed.v1",
        "key": "order/DE04/4711",
        "object": "order/DE04/4711",
    }
    at = "2026-11-18T11:06:40.{:03}Z".format
    assert found == [
        {**of, "event": "posted", "state": "posted", "request": "key-posted", "reference": "4900000001/2026", "attempt": 1, "at": at(2)},
        {**of, "event": "refused", "state": "refused", "request": "key-refused", "code": "http_422", "reason": "closed", "attempt": 2, "at": at(4)},
        {**of, "event": "by-hand", "state": "skipped", "reference": "49-7", "reason": "booked in CO11N", "attempt": 1, "at": at(11)},
        {**of, "event": "without", "state": "posted", "attempt": 1, "at": at(13)},
    ]  # fmt: skip


async def test_it_goes_on_behind_what_was_acknowledged(open_database, feed, tmp_path, url):
    database = open_database()
    for number in range(5):
        feed.post("sap", f"e{number}")
    take(database, feed)
    async with source(tmp_path, url, batch_max=2) as one:
        found, position = await read(one, 4)
        assert ids(found) == ["e0", "e1", "e2", "e3"]
    for number in range(5, 8):
        feed.post("sap", f"e{number}")
    take(database, feed)
    async with source(tmp_path, url, position, batch_max=2) as one:
        found, position = await read(one, 4)
        assert ids(found) == ["e4", "e5", "e6", "e7"]
        assert one.counters["begun_anew"] == 0
        waiting = asyncio.create_task(read(one, 1))
        feed.post("sap", "late")
        take(database, feed)
        assert ids((await waiting)[0]) == ["late"]


async def test_only_the_sinks_that_are_wanted(open_database, feed, tmp_path, url):
    database = open_database()
    for sink in ("sap", "wms", "qms"):
        feed.post(sink, f"of-{sink}")
        take(database, feed, sink)
    async with source(tmp_path, url, sinks=["wms", "qms"]) as one:
        assert ids((await read(one, 2))[0]) == ["of-wms", "of-qms"]
    async with source(tmp_path, url) as one:
        assert ids((await read(one, 3))[0]) == ["of-sap", "of-wms", "of-qms"]


@pytest.mark.parametrize(
    "kind", ["integration.effect.posted.v1", "com.example.integration.effect.refused.v12"]
)
async def test_a_confirmation_that_was_posted_is_not_confirmed(open_database, feed, tmp_path, url, kind):
    database = open_database()

    def post(event, kind):
        document = {"id": event, "type": kind, "subject": "effect/order/DE04/4711"}
        feed.say(
            "portal",
            event,
            "intent",
            attempt=1,
            about={"object": "", "amounts": {}, "sha256": "", "event": document},
        )
        feed.say("portal", event, "posted", attempt=1)

    for number in range(3):
        post(f"own-{number}", kind)
    post("like", "com.example.integration.effect.posted.more.v1")
    post("own-3", kind)
    take(database, feed, "portal")
    async with source(tmp_path, url, batch_max=2) as one:
        assert ids((await read(one, 1))[0]) == ["like"]
        post("next", "com.example.order.released.v1")
        take(database, feed, "portal")
        assert ids((await read(one, 1))[0]) == ["next"]
        assert one.counters == {"begun_anew": 0, "own": 4}


async def test_a_position_that_the_database_does_not_know_begins_anew(open_database, feed, tmp_path, url):
    """As after a restore: behind the newest row, or of a row that is another one now."""
    database = open_database()
    for number in range(3):
        feed.post("sap", f"e{number}")
    take(database, feed)
    async with source(tmp_path, url) as one:
        _, position = await read(one, 3)
    known = json.loads(position)
    for wrong in ({"row": known["row"] + 1}, {"life": LATER}, {"number": 5}, {"sink": "wms"}):
        async with source(tmp_path, url, json.dumps(known | wrong).encode()) as one:
            assert ids((await read(one, 3))[0]) == ["e0", "e1", "e2"]
            assert one.counters["begun_anew"] == 1
    async with source(tmp_path, url, b"not of this source") as one:
        assert one.counters["begun_anew"] == 1


async def test_changes_of_a_restored_folder_come_behind_the_others(open_database, feed, tmp_path, url):
    database = open_database()
    feed.post("sap", "e0")
    take(database, feed)
    async with source(tmp_path, url) as one:
        _, position = await read(one, 1)
    feed.forget("sap", 0)
    feed.post("sap", "e1")
    take(database, feed, life=LATER)
    async with source(tmp_path, url, position) as one:
        assert ids((await read(one, 1))[0]) == ["e1"]


async def test_an_effect_whose_event_is_unknown_has_no_type_and_no_key(open_database, feed, tmp_path, url):
    """Changes before it were lost; the mapping makes a reject of it that a person sees."""
    database = open_database()
    feed.say("sap", "e1", "posted", attempt=1, reference="49")
    take(database, feed)
    async with source(tmp_path, url) as one:
        (found,), _ = await read(one, 1)
    assert not {"type", "key", "object"} & found.keys()


async def test_it_waits_for_a_database_that_is_not_there_yet_and_makes_none(tmp_path):
    with pytest.raises(Disconnected, match="no sink has posted anything yet") as failure:
        async with source(tmp_path, None):
            pass
    assert failure.value.sent is False
    assert list(tmp_path.iterdir()) == []


async def test_a_database_of_another_version_is_not_read(open_database, tmp_path, url):
    database = open_database()
    for version, error, words in (
        (99, SchemaNewer, "later version"),
        (0, Disconnected, "not of this version yet"),
    ):
        with database._engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE about SET value = '{version}' WHERE name = 'version'")
        with pytest.raises(error, match=words):
            async with source(tmp_path, url):
                pass


async def test_a_url_that_is_none_of_postgresql_is_refused_without_its_password(tmp_path):
    with pytest.raises(DatabaseUnfit, match="begins with `mysql:`"):
        async with source(tmp_path, "mysql://reader:secret-of-mine@host/effects"):
            pass
    with pytest.raises(Disconnected) as failure:
        async with source(tmp_path, "postgresql://reader:secret-of-mine@127.0.0.1:1/effects"):
            pass
    assert "secret-of-mine" not in str(failure.value)


async def test_it_writes_nothing(open_database, feed, tmp_path, url):
    database = open_database()
    feed.post("sap", "e0")
    take(database, feed)
    async with source(tmp_path, url) as one:
        await read(one, 1)
        with pytest.raises(Exception, match=r"read.?only"), one._changes._engine.connect() as connection:
            connection.exec_driver_sql("DELETE FROM changes")


async def test_a_lower_row_that_is_committed_later_is_not_passed_over(feed, tmp_path, postgres, monkeypatch):
    """A transaction of a node that was killed may end after those of its next life."""
    import psycopg

    url = postgres.database()
    database = Database(tmp_path, url=url, node="core-1")
    database.open()
    insert = "INSERT INTO changes (sink, life, number, id, at_ms, state, attempt) VALUES ('wms', 'x', 1, 'slow', 1, 'posted', 1)"
    with psycopg.connect(url) as slow:
        slow.execute(insert)
        feed.post("sap", "fast")
        take(database, feed)
        # It commits when it is waited for, and not before.
        monkeypatch.setattr(changes, "time", SimpleNamespace(sleep=lambda _: slow.commit()))
        async with source(tmp_path, url) as one:
            assert ids((await read(one, 2))[0]) == ["slow", "fast"]
    database.close()
