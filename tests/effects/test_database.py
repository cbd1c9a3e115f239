"""The database of effects, SQLite and PostgreSQL alike: each line counts once, whatever ends in between."""

import random
from decimal import Decimal

import pytest
from sqlalchemy import text, update

from mfgroute.effects import lines, questions, tables
from mfgroute.effects.database import Database
from mfgroute.errors import DatabaseDown, DatabaseUnfit, SchemaNewer

from .feed import Feed

LIFE = "a" * 32
ORDER = "order/DE04/4711"


def take(database, feed, sink="sap", life=LIFE, after=0):
    return database.take(sink, life, lines.read(feed.effects(sink, after, 10_000)))


def asked(database, question, *arguments, **named):
    with database.reading() as connection:
        return question(connection, *arguments, **named)


def test_an_effect_is_one_row_with_its_history(open_database, feed):
    database = open_database()
    feed.intend("sap", "e1", amounts={"yield": "10"}, batch="L-7")
    feed.say("sap", "e1", "in_doubt", key="key-e1", attempt=1, reason="no answer")
    feed.say("sap", "e1", "again", key="key-e1", attempt=2)
    feed.say("sap", "e1", "posted", key="key-e1", attempt=2, reference="4900000001/2026")
    assert take(database, feed).number == 4
    (one,) = asked(database, questions.show, "e1")
    assert (one["state"], one["attempts"], one["reference"]) == ("posted", 2, "4900000001/2026")
    assert (one["object"], one["key"], one["request_key"]) == (ORDER, ORDER, "key-e1")
    assert one["amounts"] == {"yield": "10"}
    assert one["reason"] is None
    assert one["event"]["data"]["batch"] == "L-7"
    assert [line["state"] for line in one["history"]] == ["intent", "in_doubt", "again", "posted"]
    assert one["history"][1]["reason"] == "no answer"
    assert (one["first"], one["last"]) == ("2026-11-18T11:06:40.001Z", "2026-11-18T11:06:40.004Z")


def test_lines_that_come_twice_change_nothing(open_database, feed):
    database = open_database()
    for number in range(20):
        feed.post("sap", f"e{number}", amounts={"yield": "0.1"})
    for _ in range(3):
        assert take(database, feed).number == 40
    assert take(database, feed, after=17).number == 40
    assert asked(database, questions.posted, "sap", ORDER) == {"yield": Decimal("2.0")}
    assert len(asked(database, questions.effects)) == 20


def test_sums_are_exact_and_by_sink_object_and_name(open_database, feed):
    database = open_database()
    feed.post("sap", "a", amounts={"yield": "99999999999999999999999999999999999.001", "scrap": "1"})
    feed.post("sap", "b", amounts={"yield": "0.0000000000000000000000000000000000001"})
    feed.post("sap", "c", amounts={"scrap": "-1.0"})
    feed.post("sap", "d", thing="order/DE04/4712", amounts={"yield": "5"})
    feed.intend("sap", "open", amounts={"yield": "7"})
    feed.post("wms", "a", amounts={"yield": "3"})
    take(database, feed)
    take(database, feed, "wms")
    total = Decimal("99999999999999999999999999999999999.0010000000000000000000000000000000001")
    assert asked(database, questions.posted, "sap", ORDER) == {"yield": total, "scrap": Decimal(0)}
    assert asked(database, questions.posted, "wms", ORDER) == {"yield": Decimal(3)}
    assert asked(database, questions.posted, "sap", "order/DE04/1") == {}


def test_what_was_posted_or_booked_by_hand_is_known_by_its_id(open_database, feed):
    database = open_database()
    feed.post("sap", "posted", reference="4900000001")
    feed.post("sap", "unnamed", reference=None)
    feed.intend("sap", "by-hand", amounts={"yield": "4"})
    feed.say("sap", "by-hand", "skipped", reference="4900000009", reason="booked in the morning")
    feed.intend("sap", "accepted", amounts={"yield": "9"})
    feed.say("sap", "accepted", "accepted", reference="job-1")
    feed.say("sap", "accepted", "skipped", reason="cancelled")
    feed.say("sap", "refused", "refused", code="http_422", reason="closed")
    take(database, feed)
    ids = ["posted", "unnamed", "by-hand", "accepted", "refused", "never", *map(str, range(1200))]
    assert asked(database, questions.was_posted, "sap", ids) == {
        "posted": "4900000001", "unnamed": None, "by-hand": "4900000009",
    }  # fmt: skip
    assert asked(database, questions.was_posted, "wms", ids) == {}
    assert asked(database, questions.posted, "sap", ORDER) == {"yield": Decimal(4)}


def test_what_a_person_has_booked_while_it_waits_is_no_effect_and_the_last_word_counts(open_database, feed):
    database = open_database()
    for reference in ("49-1", "49-2"):
        feed.say("sap", "e1", "booked", reference=reference, reason="in CO11N", who="uid 7")
    feed.say("sap", "e2", "booked", reference="49-3", reason="so", who="uid 7")
    feed.say("wms", "e1", "booked", reference="w-1", reason="so", who="uid 7")
    take(database, feed)
    take(database, feed, "wms")
    assert asked(database, questions.effects) == []
    assert asked(database, questions.was_posted, "sap", ["e1", "e2"]) == {}
    assert asked(database, questions.booked_before, "sap") == {"e1": "49-2", "e2": "49-3"}
    # This life of the folder knows it itself.
    assert asked(database, questions.booked_before, "sap", LIFE) == {}
    assert asked(database, questions.booked_before, "sap", "b" * 32) == {"e1": "49-2", "e2": "49-3"}
    feed.say("sap", "e2", "unbooked", reason="it was not", who="uid 8")
    feed.post("sap", "e1", reference="49-2")
    take(database, feed)
    assert asked(database, questions.booked_before, "sap") == {"e1": "49-2"}
    assert asked(database, questions.booked_before, "wms") == {"e1": "w-1"}
    (effect,) = asked(database, questions.show, "e1")
    assert (effect["booked"]["who"], effect["booked"]["why"]) == ("uid 7", "in CO11N")


def test_an_effect_that_ends_counts_once_however_its_lines_are_cut(open_database):
    database = open_database()
    rng = random.Random(7)
    feed, expected = Feed(), Decimal()
    for number in range(60):
        amount = Decimal(rng.randrange(1, 999)) / 8
        feed.intend("sap", f"e{number}", amounts={"yield": str(amount)})
        end = rng.choice(["posted", "refused", "in_doubt", "skipped"])
        feed.say("sap", f"e{number}", end, reference="49" if end == "posted" else None)
        expected += amount * (end == "posted")
    after = 0
    while after < 120:
        first = max(0, after - rng.randrange(4))
        found = lines.read(feed.effects("sap", first, rng.randrange(1, 9)))
        assert database.take("sap", LIFE, found).number >= after
        after = database.taken("sap", LIFE).number
    assert asked(database, questions.posted, "sap", ORDER) == {"yield": expected}
    assert database.taken("sap", LIFE).missing == 0


def test_a_take_that_fails_leaves_nothing_behind(open_database, feed):
    database = open_database()
    feed.post("sap", "e1", amounts={"yield": "1"})
    take(database, feed)
    feed.post("sap", "e2", amounts={"yield": "1"})
    with database.reading() as connection:
        connection.execute(text("DROP TABLE amounts"))
    with pytest.raises(DatabaseDown, match="amounts"):
        take(database, feed)
    assert database.taken("sap", LIFE).number == 2
    assert [one["id"] for one in asked(database, questions.effects)] == ["e1"]


def test_effects_are_listed_by_sink_state_object_and_time(open_database, feed):
    database = open_database()
    for number in range(4):
        feed.post("sap", f"e{number}", thing=f"order/DE04/{number % 2}")
    feed.intend("wms", "w1")
    feed.say("wms", "w1", "in_doubt")
    take(database, feed)
    take(database, feed, "wms")

    def ids(**wanted):
        return [one["id"] for one in asked(database, questions.effects, **wanted)]

    assert ids() == ["e3", "e2", "e1", "e0", "w1"]
    assert ids(sink="wms") == ["w1"]
    assert ids(states=["in_doubt", "refused"]) == ["w1"]
    assert ids(thing="order/DE04/1") == ["e3", "e1"]
    assert ids(since_ms=1_795_000_000_006) == ["e3", "e2"]
    assert ids(count_max=1) == ["e3"]
    assert "event" not in asked(database, questions.effects)[0]


def test_an_effect_is_found_by_what_people_know_of_it(open_database, feed):
    database = open_database()
    feed.post("sap", "e1", reference="4900000001/2026", batch="L%_7", serials=["SN-1", "SN-2"])
    feed.post("sap", "e2", reference="4900000010/2026", batch="L%_77")
    take(database, feed)

    def ids(query):
        return [one["id"] for one in asked(database, questions.find, query)]

    assert ids("e1") == ["e1"]
    assert ids(ORDER) == ["e1", "e2"]
    assert ids("4900000001/2026") == ids("4900000001") == ids("L%_7") == ids("SN-2") == ids("R-e1") == ["e1"]
    assert ids("2026") == ["e1", "e2"]
    assert ids("490000000") == ids("SN") == ids("l%_7") == ids("L") == ids('"') == ids("") == []


def test_hostile_texts_are_kept_and_change_nothing_else(open_database, feed):
    database = open_database()
    hostile = "'; DROP TABLE effects; -- \x00 \x1b[31m \u2028 \U0001f4a5"
    feed.intend("sap", "e1", thing="order/DE04/'", note=hostile)
    feed.say("sap", "e1", "refused", code="c\x00", reason=hostile)
    take(database, feed)
    (one,) = asked(database, questions.show, "e1")
    assert one["event"]["data"]["note"] == hostile
    assert one["reason"] == hostile.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    assert [found["id"] for found in asked(database, questions.find, "order/DE04/'")] == ["e1"]


def test_lines_that_never_came_are_counted(open_database, feed):
    database = open_database()
    for number in range(5):
        feed.post("sap", f"e{number}")
    feed.effects_taken("sap", 4)
    assert take(database, feed).missing == 4
    feed.post("sap", "e5")
    feed.post("sap", "e6")
    assert take(database, feed, after=12).missing == 6
    assert asked(database, questions.missing) == {"sap": 6}


def test_a_restored_folder_numbers_its_lines_anew_and_knows_what_was_posted_since(open_database, feed):
    database = open_database()
    for number in range(5):
        feed.post("sap", f"e{number}", amounts={"yield": "1"})
    take(database, feed)
    feed.forget("sap", 6)  # A backup of when three were posted.
    assert database.taken("sap", "b" * 32).number == 0
    feed.post("sap", "other", amounts={"yield": "1"})
    now = take(database, feed, life="b" * 32)
    assert (now.number, now.missing) == (8, 0)
    assert asked(database, questions.posted, "sap", ORDER) == {"yield": Decimal(6)}
    assert set(asked(database, questions.was_posted, "sap", ["e4", "other"])) == {"e4", "other"}


def test_what_was_posted_stays_posted_when_a_restored_log_begins_it_once_more(open_database, feed):
    database = open_database()
    feed.post("sap", "e1", amounts={"yield": "1"})
    feed.intend("sap", "e2", amounts={"yield": "1"})
    feed.say("sap", "e2", "skipped", reference="by hand")
    take(database, feed)
    again = Feed()
    again.intend("sap", "e1", amounts={"yield": "1"})
    again.say("sap", "e1", "in_doubt", reason="no answer")
    again.intend("sap", "e2", amounts={"yield": "1"})
    take(database, again, life="b" * 32)
    assert asked(database, questions.was_posted, "sap", ["e1", "e2"]) == {"e1": "4900000001", "e2": "by hand"}
    assert asked(database, questions.posted, "sap", ORDER) == {"yield": Decimal(2)}
    again.say("sap", "e1", "posted", reference="4900000001")
    take(database, again, life="b" * 32, after=3)
    assert asked(database, questions.posted, "sap", ORDER) == {"yield": Decimal(2)}


def test_what_was_in_doubt_and_comes_again_is_denied_in_the_life_that_knows_it(open_database, feed):
    database = open_database()

    def denied(life=LIFE):
        return asked(database, questions.is_denied, "sap", "e1", life)

    assert not denied()
    feed.intend("sap", "e1")
    take(database, feed)
    assert not denied()
    feed.say("sap", "e1", "in_doubt", key="key-e1", attempt=1, reason="no answer")
    take(database, feed)
    assert denied()
    # A folder that was restored has not decided about it.
    assert not denied("b" * 32)
    feed.say("sap", "e1", "again", key="key-e1", attempt=2)
    take(database, feed)
    assert not denied()


def test_a_database_of_the_version_before_reversals_gets_what_they_need(open_database, feed):
    database = open_database()
    feed.post("sap", "e1", amounts={"yield": "10"})
    take(database, feed)
    with database.reading() as connection:
        for index in ("effects_by_reversed", "effects_that_reverse"):
            connection.execute(text(f"DROP INDEX {index}"))
        for column in ("request", "reverses"):
            connection.execute(text(f"ALTER TABLE effects DROP COLUMN {column}"))
        connection.execute(update(tables.ABOUT).where(tables.ABOUT.c.name == "version").values(value="1"))
    database.close()
    database = open_database()
    before = asked(database, questions.sent, "sap", "e1")
    assert (before.request, before.amounts) == (None, {"yield": Decimal(10)})
    feed.say(
        "sap", "r1", "intent", key="k", attempt=1,
        about={"request": "AP8=", "reverses": "e1", "event": {"type": "t", "subject": "s"}},
    )  # fmt: skip
    take(database, feed)
    assert asked(database, questions.sent, "sap", "r1").request == b"\0\xff"
    assert [one["id"] for one in asked(database, questions.reversals, "sap", "e1")] == ["r1"]
    (one,) = asked(database, questions.show, "e1")
    assert one["reversed_by"] == {"id": "r1", "state": "intent", "reference": None}


@pytest.mark.parametrize("at_once", [1, 8])
def test_what_several_take_back_is_taken_off_the_sums_once(open_database, feed, at_once):
    database = open_database()
    feed.post("sap", "e1", amounts={"yield": "10"})
    for by, amounts in (("nothing", {}), ("person", {"yield": "-10"}), ("plant", {"yield": "-10"})):
        event = {"type": "t", "subject": ORDER}
        about = {"object": ORDER, "amounts": amounts, "reverses": "e1", "event": event}
        feed.say("sap", by, "intent", key="k", attempt=1, about=about)
        feed.say("sap", by, "posted", key="k", attempt=1, reference="49")
    for after in range(0, 8, at_once):
        database.take("sap", LIFE, lines.read(feed.effects("sap", after, at_once)))
    assert asked(database, questions.posted, "sap", ORDER) == {"yield": Decimal(0)}


def test_a_request_for_a_reversal_at_another_sink_is_no_reversal_here(open_database, feed):
    database = open_database()
    for event, key in (("elsewhere", None), ("here", "k")):
        # The first names what is reversed there, as an earlier version said it.
        about = {"reverses": "e1", "event": {"type": "t", "subject": "s"}}
        feed.say("sap", event, "intent", key=key, about=about)
        feed.say("sap", event, "posted", key=key)
    feed.post("sap", "e1")
    take(database, feed)
    assert [one["id"] for one in asked(database, questions.reversals, "sap", "e1")] == ["here"]
    (one,) = asked(database, questions.show, "e1")
    assert one["reversed_by"]["id"] == "here"


def test_a_reversal_that_was_dropped_with_its_sink_is_none_any_more(open_database, feed):
    database = open_database()
    feed.post("sap", "e1")
    about = {"reverses": "e1", "event": {"type": "t", "subject": "s"}}
    feed.say("sap", "r1", "intent", key="k", attempt=1, about=about)
    take(database, feed)

    def reversed_by():
        (one,) = asked(database, questions.show, "e1")
        return one["reversed_by"]

    assert reversed_by()["id"] == "r1"
    feed.say("sap", "r1", "dropped", key="k", attempt=1)
    take(database, feed, after=3)
    assert reversed_by() is None
    # It is known of, so that another one gets an id of its own.
    assert [one["state"] for one in asked(database, questions.reversals, "sap", "e1")] == ["dropped"]


def test_the_report_of_a_large_event_is_found_as_those_of_rows_of_earlier_versions(open_database, feed):
    database = open_database()
    feed.post("sap", "old")
    take(database, feed)
    with database.reading() as connection:
        connection.execute(text("ALTER TABLE effects DROP COLUMN report"))
        connection.execute(update(tables.ABOUT).where(tables.ABOUT.c.name == "version").values(value="3"))
    database.close()
    database = open_database()
    feed.intend("sap", "new", note="R-large")
    about = {"report": "R-large\x00", "event": {"type": "t", "subject": ORDER, "data": None}}
    feed.say("sap", "large", "intent", key="k", attempt=1, about=about)
    take(database, feed)

    def ids(report, key=ORDER):
        return [one.id for one in asked(database, questions.originals, "sap", key, report)]

    assert [ids(report) for report in ("R-old", "R-new", "R-large\x00", "R-large")] == [
        ["old"], ["new"], ["large"], [],
    ]  # fmt: skip
    assert ids("R-new", "order/DE04/1") == []


def test_a_database_of_a_later_version_or_of_another_node_is_refused_and_left_alone(open_database, feed):
    database = open_database()
    feed.post("sap", "e1")
    take(database, feed)
    with pytest.raises(SchemaNewer, match="belongs to node `core-1`, and this is node `core-2`"):
        open_database("core-2")
    with database.reading() as connection:
        connection.execute(update(tables.ABOUT).where(tables.ABOUT.c.name == "version").values(value="99"))
    with pytest.raises(SchemaNewer, match=f"version 99, expected at most {tables.VERSION}"):
        open_database()
    assert len(asked(database, questions.effects)) == 1


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "effects.db").write_bytes(b"what is this? " * 100)
    with pytest.raises(DatabaseDown, match=r"effects\.db` cannot be used: file is not a database"):
        Database(tmp_path, node="core-1").open()


def test_sqlite_is_the_owners_alone_and_syncs_every_transaction(tmp_path):
    database = Database(tmp_path, node="core-1")
    with database.reading() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}
    database.close()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://host/name", "begins with `mysql:`"),
        ("what?", "cannot be read"),
        ("postgresql:/x", "cannot be read"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_showing_it(tmp_path, url, why):
    with pytest.raises(DatabaseUnfit, match=why):
        Database(tmp_path, url=url, node="core-1")
